"""Some weeks of life in the demo province: applications, vouchers, bookings, sessions, payments, a settlement, jobs.

Everything goes through the services with the time it would have had, so the ledger tells a true story.
"""

from __future__ import annotations

import contextlib
import random
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from portal.demo.people import People
from portal.kernel.actors import Actor
from portal.kernel.errors import Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability import services as availability
from scheduler.bookings import services as bookings
from scheduler.bookings.bundles import Wanted
from scheduler.bookings.models import Booking
from scheduler.jobs import rules as job_rules
from scheduler.jobs import services as jobs
from scheduler.resources.models import Partition, Resource
from vouchers.issuance import facts, reviewing
from vouchers.issuance import services as issuance
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.programmes.models import ProgrammeVersion
from vouchers.settlements import services as settlements
from vouchers.settlements.models import SettlementBatch
from vouchers.wallets.models import Voucher

BEIJING = ZoneInfo("Asia/Shanghai")
TITLES = (
    "电池极片截面观察", "芯片焊点失效分析", "药物晶型确认", "涂层元素分布", "合金断口分析", "抗体细胞筛选",
    "催化剂表面价态", "光学薄膜厚度", "电机轴承精度校准", "水样痕量金属", "高分子热稳定性", "毫米波滤波器测试",
)  # fmt: skip
FIRMS = (
    "xinghe",
    "lanting",
    "haichuan",
    "ruian",
    "yunfan",
    "mingzhu",
    "jinhua",
    "taizhou",
    "quzhou",
    "zhoushan",
    "lishui",
    "wenyu",
)
TRAINING = """#!/bin/bash
echo "数据集 12,000 条，批大小 64，学习率 3e-4"
for step in $(seq 1 {steps}); do
  echo "step $step/{steps}  loss $(awk -v s=$step 'BEGIN {{ printf "%.4f", 2.4 * exp(-s / 18) + 0.21 }}')"
  sleep {pause}
done
echo "模型已保存：checkpoint-{steps}.bin"
"""


@dataclass
class Story:
    """What the demo province has been up to; `now` is the present."""

    people: People
    programmes: dict[str, ProgrammeVersion]
    instruments: list[Resource]
    partitions: list[Partition]
    now: datetime
    dice: random.Random = field(default_factory=lambda: random.Random(20261125))  # noqa: S311  demo data only
    vouchers: dict[str, Voucher] = field(default_factory=dict)
    serial: int = 0

    def paying(self, firm: str) -> list[Voucher]:
        """Return what a firm pays with: its voucher, if it has one."""
        return [self.vouchers[firm]] if firm in self.vouchers else []

    def key(self) -> str:
        self.serial += 1
        return f"demo-{self.serial:08d}"


def _contract(story: Story, firm: str, *, provider: str, yuan: int, kinds: tuple[str, ...]) -> facts.Contract:
    return facts.Contract(
        number=f"{firm.upper()}-2026-{story.dice.randrange(100, 999)}",
        provider=provider,
        signed=(story.now - timedelta(days=60)).astimezone(BEIJING).date(),
        months=12,
        items={kind: Money.from_yuan(yuan // len(kinds)) for kind in kinds},
        related=False,
    )


def issue_vouchers(story: Story) -> None:
    """Give most enterprises a shared voucher, and leave cases at every stage of the review."""
    then = story.now - timedelta(days=45)
    reviewer, approver = story.people.actors["chushen"], story.people.actors["shenpi"]
    provider = story.people.organisations["qianjiang"].name
    for at, firm in enumerate(FIRMS):
        wanted = issuance.Wanted(
            version=story.programmes["zj-share-2026"],
            contract=_contract(
                story,
                firm,
                provider=provider,
                yuan=story.dice.choice([120000, 200000, 400000]),
                kinds=("compute", "instrument_use"),
            ),
            stated={},
        )
        case = issuance.submit(
            actor=story.people.actors[f"clerk-{firm}"], wanted=wanted, now=then + timedelta(hours=at), key=story.key()
        )
        if firm == "lishui":
            continue
        verdict = reviewing.Verdict()
        reviewing.pass_stage(actor=reviewer, application=case, verdict=verdict, now=then + timedelta(days=2))
        if firm != "zhoushan":
            done = reviewing.pass_stage(actor=approver, application=case, verdict=verdict, now=then + timedelta(days=3))
            story.vouchers[firm] = done.voucher
    wanted = issuance.Wanted(
        version=story.programmes["zj-compute-2026"],
        contract=_contract(
            story, "wenyu", provider=story.people.organisations["zhisuan"].name, yuan=800000, kinds=("compute",)
        ),
        stated={},
    )
    issuance.submit(actor=story.people.actors["clerk-wenyu"], wanted=wanted, now=story.now, key=story.key())
    wanted = issuance.Wanted(
        version=story.programmes["zj-model-2026"],
        contract=_contract(story, "xinghe", provider="杭州文语模型科技有限公司", yuan=90000, kinds=("model_api",)),
        stated={},
    )
    issuance.submit(actor=story.people.actors["qiye"], wanted=wanted, now=story.now, key=story.key())


def slot(day: date, half: int, length: int) -> Period:
    """Return `length` half hours of a day in Beijing from its half hour number `half`."""
    start = datetime.combine(day, time(half // 2, 30 * (half % 2)), BEIJING).astimezone(UTC)
    return Period(start, start + timedelta(minutes=30 * length))


def book(story: Story) -> None:
    """Fill last week, this one and the next: measured, in use, confirmed and waiting bookings, maintenance too."""
    today = story.now.astimezone(BEIJING).date()
    for resource in story.instruments:
        keeper = story.people.actors[f"clerk-{lab_of(story, resource)}"]
        for offset in (-6, -3, -2, -1, 0, 1, 2, 4, 5, 6, 7):
            if story.dice.random() < 0.28:
                continue
            firm = "xinghe" if story.dice.random() < 0.2 else story.dice.choice(FIRMS)
            period = slot(
                today + timedelta(days=offset), story.dice.randrange(17, 38), story.dice.choice([2, 3, 4, 4, 6, 8])
            )
            with contextlib.suppress(Refused):
                _one(story, resource, keeper, firm, period)
        if story.dice.random() < 0.4:
            period = slot(today + timedelta(days=story.dice.choice([3, 4, 6])), story.dice.randrange(18, 32), 4)
            with contextlib.suppress(availability.OutageTaken):
                availability.block_for_maintenance(
                    actor=keeper, resource=resource, period=period, note="例行维护", now=story.now
                )


def lab_of(story: Story, resource: Resource) -> str:
    """Return the key of the organisation an instrument belongs to."""
    return next(key for key, org in story.people.organisations.items() if org.pk == resource.owner_id)


def _one(story: Story, resource: Resource, keeper: Actor, firm: str, period: Period) -> None:
    asked = min(story.now, period.start) - timedelta(days=story.dice.choice([1, 2, 3]), hours=story.dice.randrange(5))
    booking = bookings.request_booking(
        actor=story.people.actors[f"clerk-{firm}"],
        wanted=Wanted(
            resource=resource,
            period=period,
            title=story.dice.choice(TITLES),
            vouchers=story.paying(firm),
        ),
        now=asked,
        key=story.key(),
    )
    if period.start > story.now and story.dice.random() < 0.3:
        return
    bookings.confirm(actor=keeper, booking=booking, now=asked + timedelta(minutes=40))
    if period.start > story.now:
        return
    bookings.start_session(actor=keeper, booking=booking, started_at=period.start, now=period.start)
    if period.end <= story.now:
        early = timedelta(minutes=story.dice.choice([0, 0, 7, 15, 23]))
        bookings.finish_session(
            actor=keeper,
            booking=booking,
            ended_at=period.end - early,
            now=story.now,
        )


def pay_and_settle(story: Story) -> SettlementBatch:
    """Let most own shares be paid; draft a batch for one lab, return that of another, approved."""
    finance = story.people.actors["caiwu"]
    for at, payment in enumerate(Payment.objects.select_related("payer").order_by("pk")):
        firm = next(key for key, org in story.people.organisations.items() if org.pk == payment.payer_id)
        if at % 4 == 3:
            continue
        payments.declare(
            actor=story.people.actors[f"clerk-{firm}"],
            payment=payment,
            bank_reference=f"2026{at:06d}",
            now=story.now,
        )
        if at % 4 != 2:
            payments.confirm(actor=finance, payment=payment, bank_reference="", now=story.now)
    xixi = settlements.draft(
        actor=finance, payee=story.people.organisations["xixi"], now=story.now - timedelta(hours=5)
    )
    approved = settlements.approve(actor=story.people.actors["fuhe"], batch=xixi, now=story.now - timedelta(hours=4))
    settlements.draft(actor=finance, payee=story.people.organisations["yongjiang"], now=story.now)
    return approved


def submit_jobs(story: Story) -> None:
    """Submit a few jobs; the worker takes them to the cluster as soon as it runs."""
    by_name = {(p.cluster.code, p.name): p for p in story.partitions}
    plan = (
        ("xinghe", ("zhibin", "a100"), "缺陷检测模型训练", 2, 60, 1),
        ("xinghe", ("zhibin", "h20"), "质检图像批量推理", 1, 30, 1),
        ("wenyu", ("zhibin", "a100"), "行业语料微调", 4, 120, 1),
        ("ruian", ("haishu", "gpu"), "分子对接打分", 1, 45, 1),
        ("lanting", ("haishu", "gpu"), "版图热仿真", 2, 40, 1),
    )
    for firm, place, title, cards, steps, pause in plan:
        jobs.submit(
            actor=story.people.actors[f"clerk-{firm}"],
            wanted=jobs.Wanted(
                partition=by_name[place],
                title=title,
                ask=job_rules.Ask(
                    cards=cards,
                    cpus=cards,
                    memory_mb=2000,
                    time_limit_s=1800,
                    script=TRAINING.format(steps=steps, pause=pause),
                ),
                vouchers=story.paying(firm),
            ),
            now=story.now,
            key=story.key(),
            dispatch=lambda _job_id: None,
        )


__all__ = ["Booking", "Story", "book", "issue_vouchers", "lab_of", "pay_and_settle", "slot", "submit_jobs"]
