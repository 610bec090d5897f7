"""Publish the demo province's programmes, instruments and clusters."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from portal.demo.catalogue import CLUSTERS, INSTRUMENTS
from portal.demo.people import People
from portal.kernel.actors import Actor
from portal.kernel.money import Money
from scheduler.availability import rules as hours
from scheduler.availability import services as availability
from scheduler.catalogue import admitting
from scheduler.qualifications import services as qualifications
from scheduler.resources import fees, pricing, profile, reviewing, rules, services
from scheduler.resources.models import Cluster, Partition, Rate, Resource
from vouchers.programmes import services as programmes
from vouchers.programmes.models import ProgrammeVersion

FOLDER = Path(__file__).parent / "programmes"
OPERATORS = ("周敏", "沈立群", "许航", "陆佳", "方毅", "苏晴", "韩松", "郑悦")
"""Whom the labs' staff are called, a lab each."""
UNREACHABLE = {
    "url": "http://127.0.0.1:9",
    "reader": "portal-reader",
    "job_root": "/srv/jobs",
    "jwks_private_key_file": "/etc/gongxiang/slurm.pem",
    "key_id": "portal-1",
}
"""A cluster under construction: nothing answers there, which is what its pages are to show."""
RUNS = 3
"""How many of its lab's instruments each of them can run."""
SAMPLED = {"SU8600": 300}
"""Which instruments samples are taken for, by model, at how many yuan each."""
BUDGETS = {
    "zj-share-2026": "12000000",
    "zj-compute-2026": "25000000",
    "zj-model-2026": "6000000",
    "zj-corpus-2026": "4000000",
    "zj-service-2026": "3000000",
    "zj-expert-2026": "5000000",
    "zj-lottery-2026": "1000000",
    "zj-opc-2026": "500000",
    "zj-award-2026": "2000000",
}


def publish_programmes(people: People, *, now: datetime) -> dict[str, ProgrammeVersion]:
    """Import each programme file as one person and publish it as another."""
    published = {}
    for path in sorted(FOLDER.glob("*.json")):
        version = programmes.import_version(
            actor=people.actors["zhengce"],
            raw=path.read_bytes(),
            budget=Money.from_yuan(BUDGETS[path.stem]),
            fiscal_year=now.astimezone(ZoneInfo("Asia/Shanghai")).year,
            now=now,
        )
        today = now.astimezone(ZoneInfo("Asia/Shanghai")).date()
        review = programmes.Review(
            "省市场监督管理部门（演示）", today, f"演示公审 {today.year}-1 号", "演示数据：未发现影响公平竞争的内容。"
        )
        programmes.record_fair_review(actor=people.actors["fabu"], version=version, review=review, now=now)
        published[path.stem] = programmes.publish(actor=people.actors["fabu"], version=version, now=now)
    return published


def publish_instruments(people: People, *, now: datetime) -> list[Resource]:
    """Enter, open, price and publish every instrument as its own lab."""
    made = []
    for entry in INSTRUMENTS:
        actor = people.actors[f"clerk-{entry.lab}"]
        lab = people.organisations[entry.lab]
        resource = services.create_instrument(
            actor=actor,
            values=services.InstrumentValues(
                name=entry.name,
                name_en=entry.name_en,
                category=entry.category,
                city=lab.city,
                site="",
                zone="Asia/Shanghai",
                model=entry.model,
                manufacturer=entry.maker,
                functions=entry.functions,
                functions_en=entry.functions_en,
                original_value_fen=entry.value * 100,
                contact="仪器管理员",
                phone="0571-0000 0000",
                granularity_s=1800,
                min_duration_s=3600 if entry.longest_h <= 24 else 2 * 3600,
                max_duration_s=entry.longest_h * 3600,
                lead_s=0,
                horizon_s=60 * 86400,
                setup_s=entry.buffers_min[0] * 60,
                cleanup_s=entry.buffers_min[1] * 60,
                internal_no=f"ZC-{entry.model}",
                modes=("self", "sample") if entry.model in SAMPLED else ("self",),
            ),
            now=now,
        )
        first, last, opens, closes = entry.hours
        availability.set_opening_hours(
            actor=actor,
            resource=resource,
            hours=[hours.WeeklyHours(frozenset(range(first, last + 1)), opens, closes)],
            now=now,
        )
        pricing.set_hourly_rate(actor=actor, resource=resource, amount=Money.from_yuan(entry.rate), now=now)
        if entry.model in SAMPLED:
            pricing.set_price(actor=actor, resource=resource, item=_a_sample(SAMPLED[entry.model], now), now=now)
        made.append(_published(people, actor, resource, now=now))
    enter_operators(people, made, now=now)
    return made


def _a_sample(yuan: int, now: datetime) -> fees.PriceItem:
    return fees.PriceItem(
        mode=profile.ServiceMode.SAMPLE,
        unit=rules.Unit.SAMPLE,
        user_class=fees.UserClass.EXTERNAL,
        since=now,
        amount=Money.from_yuan(yuan),
    )


def _published(people: People, actor: Actor, resource: Resource, *, now: datetime) -> Resource:
    """Publish an instrument, through the platform's review where its lab needs that."""
    if not reviewing.needs_review(resource.owner.facts):
        return services.change_state(actor=actor, resource=resource, action=rules.PublishAction.PUBLISH, now=now)
    admitting.propose(actor=actor, resource=resource, now=now)
    return admitting.admit(actor=people.actors["chushen"], resource=resource, note="已核对（演示）。", now=now)


def enter_operators(people: People, instruments: list[Resource], *, now: datetime) -> None:
    """Give each lab one of its staff, on weekdays from nine to five, for the first of its instruments."""
    today = now.astimezone(ZoneInfo("Asia/Shanghai")).date()
    week = hours.WeeklyHours(frozenset(range(1, 6)), 9 * 60, 17 * 60)
    labs = list(dict.fromkeys(entry.lab for entry in INSTRUMENTS))
    for lab, name in zip(labs, OPERATORS, strict=False):
        actor = people.actors[f"clerk-{lab}"]
        city = people.organisations[lab].city
        person = qualifications.enter_operator(actor=actor, name=name, city=city, zone="Asia/Shanghai", now=now)
        availability.set_opening_hours(actor=actor, resource=person, hours=[week], now=now)
        own = [made for entry, made in zip(INSTRUMENTS, instruments, strict=True) if entry.lab == lab]
        days = qualifications.Days(today, today + timedelta(days=365))
        for instrument in own[:RUNS]:
            qualifications.grant_skill(actor=actor, operator=person, instrument=instrument, days=days, now=now)


def register_clusters(people: People, *, now: datetime) -> list[Partition]:
    """Register the clusters. Operators' inventories are entered at installation, so no service writes them."""
    made = []
    for entry in CLUSTERS:
        cluster = Cluster.objects.create(
            code=entry.code,
            owner=people.organisations[entry.lab],
            name=entry.name,
            name_en=entry.name_en,
            city=entry.city,
            adapter=entry.adapter,
            accepts_work=entry.accepts_work,
            config=UNREACHABLE if entry.adapter == "slurm" else {},
            health_ok=None if entry.accepts_work else False,
            health_detail="" if entry.accepts_work else "计划内维护",
        )
        for name, label, label_en, card, most, cpus, fen in entry.partitions:
            partition = Partition.objects.create(
                cluster=cluster,
                name=name,
                label=label,
                label_en=label_en,
                card_type=card,
                max_cards=most,
                max_cpus=most * cpus,
                cpus_per_card=cpus,
                max_time_s=24 * 3600,
            )
            Rate.objects.create(
                partition=partition,
                unit=rules.Unit.CARD_HOUR.value,
                amount_fen=fen,
                valid=(now - timedelta(days=1), None),
            )
            made.append(partition)
    return made
