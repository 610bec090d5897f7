"""One of every kind of thing that can be booked, beside the instruments: what newcomers look at to see the difference."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from portal.demo.people import People
from portal.kernel.money import Money
from scheduler.availability import rules as hours
from scheduler.availability import services as availability
from scheduler.catalogue import admitting
from scheduler.catalogue.rules import NEW as BLANK
from scheduler.resources import pricing, services
from scheduler.resources.models import Resource
from scheduler.resources.rules import Counting, PublishAction, ResourceKind

__all__ = ["propose_one", "publish_kinds"]

LAB: Final = "qianjiang"
INSTITUTE: Final = "nanhu"
K, HOUR = ResourceKind, 3600


@dataclass(frozen=True, slots=True)
class Thing:
    """`rate` is yuan an hour, `longest_h` hours; weekdays 08:00 to 22:00."""

    kind: ResourceKind
    name: str
    name_en: str
    functions: str
    functions_en: str
    rate: int
    longest_h: int = 8
    capacity: int = 1
    counting: Counting = Counting.UNITS


THINGS: Final = (
    Thing(K.SERVICE_UNIT, "材料微观表征服务单元", "Materials characterisation unit", "电镜、能谱与制样的成套服务。",
          "Microscopy, EDS and preparation as one service.", 900),
    Thing(K.BENCH, "电镜制样工位", "EM preparation benches", "抛光、离子减薄与镀膜，四个编号工位。",
          "Polishing, ion milling and coating; four numbered benches.", 60, capacity=4),
    Thing(K.BENCH, "样品前处理台位", "Sample preparation places", "称量、消解与稀释，按名额预约。",
          "Weighing, digestion and dilution; booked by places.", 30, capacity=12, counting=Counting.FUNGIBLE),
    Thing(K.ROOM, "恒温恒湿洁净间", "Clean room", "ISO 7 级，23 ± 1 °C。", "ISO 7, 23 ± 1 °C.", 200, longest_h=12),
    Thing(K.PILOT_LINE, "锂电浆料中试线", "Battery slurry pilot line", "混料、涂布、辊压连续中试，50 kg 批次。",
          "Mixing, coating and calendering, 50 kg batches.", 1200, longest_h=120),
    Thing(K.CONCEPT_SERVICE, "功能材料概念验证", "Proof of concept for functional materials",
          "从样品到可行性报告，含两轮试制。", "From sample to feasibility report, with two trial rounds.", 800, longest_h=72),
)  # fmt: skip


def publish_kinds(people: People, *, now: datetime) -> list[Resource]:
    """Enter, open, price and publish one of every kind as one lab; its operators are entered with its instruments."""
    actor, lab = people.actors[f"clerk-{LAB}"], people.organisations[LAB]
    made = []
    for thing in THINGS:
        longest = thing.longest_h * HOUR
        resource = services.create_instrument(
            actor=actor,
            values=services.InstrumentValues(
                name=thing.name,
                name_en=thing.name_en,
                category="other",
                city=lab.city,
                site="2 号楼",
                zone="Asia/Shanghai",
                model="",
                manufacturer="",
                functions=thing.functions,
                functions_en=thing.functions_en,
                original_value_fen=0,
                contact="仪器管理员",
                phone="0571-0000 0000",
                granularity_s=HOUR // 2,
                min_duration_s=HOUR,
                max_duration_s=longest,
                lead_s=0,
                horizon_s=60 * 86400,
                setup_s=0,
                cleanup_s=HOUR // 2,
                kind=thing.kind.value,
                capacity=thing.capacity,
                counting=thing.counting.value,
            ),
            now=now,
        )
        # What runs for days must be open for days.
        week = hours.WeeklyHours(frozenset(range(1, 8)), 0, 1440) if thing.longest_h > 24 else WORKDAYS
        availability.set_opening_hours(actor=actor, resource=resource, hours=[week], now=now)
        pricing.set_hourly_rate(actor=actor, resource=resource, amount=Money.from_yuan(thing.rate), now=now)
        made.append(services.change_state(actor=actor, resource=resource, action=PublishAction.PUBLISH, now=now))
    return made


def propose_one(people: People, *, now: datetime) -> Resource:
    """Let an institute propose an instrument: it waits for the platform's officer."""
    actor, lab = people.actors[f"clerk-{INSTITUTE}"], people.organisations[INSTITUTE]
    values = replace(
        BLANK,
        name="圆柱度测量仪",
        name_en="Cylindricity tester",
        category="metrology",
        city=lab.city,
        internal_no="ZC-Talyrond 595",
        model="Talyrond 595",
        manufacturer="泰勒霍普森",
        functions="回转零件圆度与圆柱度测量，0.02 μm。",
        functions_en="Roundness and cylindricity to 0.02 μm.",
        original_value_fen=186_000_000,
        contact="仪器管理员",
        phone="0571-0000 0000",
    )
    resource = services.create_instrument(actor=actor, values=values, now=now)
    availability.set_opening_hours(actor=actor, resource=resource, hours=[WORKDAYS], now=now)
    pricing.set_hourly_rate(actor=actor, resource=resource, amount=Money.from_yuan(260), now=now)
    return admitting.propose(actor=actor, resource=resource, now=now)


WORKDAYS: Final = hours.WeeklyHours(frozenset(range(1, 6)), 480, 1320)
