"""What the API says and asks of facilities."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from fractions import Fraction
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from portal.wire import Block, Day, Flag, Line, MoneyIn, MoneyOut, PeriodIn, StrictIn, Whole, money
from scheduler.facilities import queries, standing
from scheduler.facilities.courses import ProposalKind, ReportRule
from scheduler.facilities.grades import Direction
from scheduler.facilities.models import Beamline, Device, Facility, Partner, RunCycle
from scheduler.facilities.plan import MachineMode
from scheduler.facilities.shares import Pool
from scheduler.facilities.values import FacilityValues
from scheduler.resources.facility_things import ThingValues
from scheduler.resources.models import Rate

Small = Annotated[Whole, Field(ge=0, le=32000)]
Code = Annotated[Line, Field(min_length=1, max_length=24)]
Name = Annotated[Line, Field(min_length=1, max_length=120)]
Long = Annotated[Line, Field(max_length=160)]
Parts = Annotated[Whole, Field(ge=0, le=10_000)]
"""A share in hundredths of a per cent: 10,000 are all of it."""


class FacilityIn(StrictIn):
    """What a facility says of itself. Minutes count from local midnight, grades are hundredths."""

    name: Name
    name_en: Long = ""
    city: Annotated[Line, Field(min_length=1, max_length=40)]
    summary: Annotated[Block, Field(max_length=900)] = ""
    summary_en: Annotated[Block, Field(max_length=1500)] = ""
    zone: Annotated[Line, Field(max_length=40)] = "Asia/Shanghai"
    first_min: Small = 0
    length_min: Small = 480
    shift_names: Annotated[list[Annotated[Line, Field(max_length=24)]], Field(max_length=24)]
    multiple: Small = 1
    lowest_c: Annotated[Whole, Field(ge=-10_000, le=10_000)] = 0
    highest_c: Annotated[Whole, Field(ge=-10_000, le=10_000)] = 550
    step_c: Annotated[Whole, Field(ge=-10_000, le=10_000)] = 10
    best: Direction = Direction.HIGH
    ageing_c: Small = 0
    ageing_cycles: Small = 0
    graders: Small = 2
    together_years: Small = 3
    forms_days: Small = 14
    answer_days: Small = 10
    report_weeks: Small = 12
    report_rule: ReportRule = ReportRule.TELL
    market_days: Small = 14

    def said(self) -> FacilityValues:
        """Return it as the rules' value."""
        given = self.model_dump(exclude={"code"})
        return FacilityValues(
            **{
                **given,
                "shift_names": tuple(self.shift_names),
                "best": self.best.value,
                "report_rule": self.report_rule.value,
            }
        )


class NewFacilityIn(FacilityIn):
    """A facility and the code that names it in addresses; the code never changes."""

    code: Code


class ShownIn(StrictIn):
    """Whether it is on the public pages."""

    shown: Flag


class FacilityCourseIn(StrictIn):
    """How proposals of one kind go. `report_months` 0: a report after each visit."""

    kind: ProposalKind
    pool: Pool
    peer_review: Flag = True
    reviewed_after: Flag = False
    cycles: Annotated[Whole, Field(ge=1, le=20)] = 1
    lapses: Flag = False
    own_schedule: Flag = False
    report_months: Annotated[Whole, Field(ge=0, le=60)] = 0
    paid: Flag = False
    confidential: Flag = False


class CoursesIn(StrictIn):
    """All kinds of proposals that are taken."""

    courses: Annotated[list[FacilityCourseIn], Field(max_length=7)]


class PoolSharesIn(StrictIn):
    """Who has which share, hundredths of a per cent, together 10,000; {} lets a beamline follow its facility."""

    beamline: Annotated[Line, Field(max_length=16)] = ""
    shares: dict[Pool, Parts]


class PartnerUseIn(StrictIn):
    """A use a partner's time may go to and at most which part of it, hundredths of a per cent."""

    code: Annotated[Line, Field(pattern=r"^[-a-zA-Z0-9_]{1,24}$")]
    name: Annotated[Line, Field(min_length=1, max_length=60)]
    name_en: Annotated[Line, Field(max_length=80)] = ""
    most: Parts


class PartnerTermsIn(StrictIn):
    """What a partner keeps of a beamline's time; days are the facility's local ones, `until` inclusive."""

    share: Parts
    since: Day
    until: Day | None = None
    uses: Annotated[list[PartnerUseIn], Field(max_length=12)] = []


class PartnerIn(PartnerTermsIn):
    """A new partner of a beamline, by its credit code."""

    organisation: Annotated[Line, Field(min_length=18, max_length=18)]


class ThingIn(StrictIn):
    """What the catalogue says of a beamline or device."""

    name: Name
    name_en: Long = ""
    functions: Annotated[Block, Field(max_length=2000)] = ""
    functions_en: Annotated[Block, Field(max_length=3000)] = ""
    contact: Annotated[Line, Field(max_length=60)] = ""
    phone: Annotated[Line, Field(max_length=40)] = ""

    def thing(self, facility: Facility) -> ThingValues:
        said = {name: getattr(self, name) for name in ThingIn.model_fields if name != "code"}
        return ThingValues(city=facility.city, **said)


class BeamlineIn(ThingIn):
    """A beamline; `changeover_shifts` lie between two visits with different set-ups."""

    techniques: Annotated[Line, Field(max_length=300)] = ""
    changeover_shifts: Annotated[Whole, Field(ge=0, le=30)] = 0
    needs_operator: Flag = False


class NewBeamlineIn(BeamlineIn):
    """A new beamline and its code, such as BL01."""

    code: Annotated[Line, Field(min_length=1, max_length=16)]


class NewDeviceIn(ThingIn):
    """A new device or sample environment and its code."""

    code: Annotated[Line, Field(min_length=1, max_length=16)]


class DeviceFitsIn(StrictIn):
    """On which beamlines a device can be used, and which devices cannot be with it; both replace what was said."""

    beamlines: Annotated[list[Code], Field(max_length=200)]
    clashes: Annotated[list[Code], Field(max_length=200)] = []


class DeviceIn(ThingIn, DeviceFitsIn):
    """What is said of a device, with where it fits."""


class HourlyIn(StrictIn):
    """What an hour costs enterprises from now on."""

    hourly: MoneyIn


class CycleIn(StrictIn):
    """A run cycle."""

    code: Annotated[Line, Field(min_length=1, max_length=16)]
    during: PeriodIn


class MachineSpanIn(StrictIn):
    """One span of the machine plan."""

    mode: MachineMode
    during: PeriodIn


class BeamlineOut(Schema):
    """A beamline. `hourly` is null while it has no price; `bookable` as soon as it is in the catalogue."""

    code: str
    number: str
    name: str
    name_en: str
    techniques: str
    changeover_shifts: int
    needs_operator: bool
    bookable: bool
    hourly: MoneyOut | None


class DeviceOut(Schema):
    code: str
    name: str
    name_en: str
    beamlines: list[str]


class PartnerUseOut(Schema):
    """A use a partner's time may go to, hundredths of a per cent at most."""

    code: str
    name: str
    name_en: str
    most: int


class PartnerOut(Schema):
    """What a partner keeps of a beamline; `until` is its last day, null without end."""

    id: int
    organisation: str
    name: str
    share: int
    since: date
    until: date | None
    uses: list[PartnerUseOut]


class FacilityOut(Schema):
    """A facility in short."""

    code: str
    name: str
    name_en: str
    city: str
    is_published: bool


class CycleOut(Schema):
    """A run cycle; `version` is that of its machine plan."""

    code: str
    starts_at: datetime
    ends_at: datetime
    version: int
    closed_at: datetime | None


class FacilityDetailOut(FacilityOut):
    """A facility with what it has and how it works."""

    summary: str
    summary_en: str
    zone: str
    first_min: int
    length_min: int
    shift_names: list[str]
    multiple: int
    market_days: int
    kinds: list[ProposalKind]
    shares: dict[Pool, int]
    beamlines: list[BeamlineOut]
    devices: list[DeviceOut]
    cycles: list[CycleOut]


class MachineSpanOut(Schema):
    mode: MachineMode
    starts_at: datetime
    ends_at: datetime


class PlanOut(CycleOut):
    """A cycle with its machine plan."""

    plan: list[MachineSpanOut]


class PoolUseOut(Schema):
    """How a pool stands, in whole shifts; `left` may be negative."""

    pool: Pool
    given: int
    allocated: int
    delivered: int
    left: int


class LineStandingOut(Schema):
    """One beamline's user shifts in a cycle and how each pool stands."""

    beamline: str
    shifts: int
    pools: list[PoolUseOut]


def facility_out(row: Facility) -> dict[str, Any]:
    return {name: getattr(row, name) for name in FacilityOut.model_fields}


def beamline_out(row: Beamline, hourly: Mapping[int, Rate]) -> dict[str, Any]:
    resource = row.resource
    return {
        "code": row.code,
        "number": resource.number,
        "name": resource.name,
        "name_en": resource.name_en,
        "techniques": row.techniques,
        "changeover_shifts": row.changeover_shifts,
        "needs_operator": row.needs_operator,
        "bookable": resource.state == "published",
        "hourly": money(hourly[row.pk].amount_fen) if row.pk in hourly else None,
    }


def device_out(row: Device) -> dict[str, Any]:
    names = {"code": row.code, "name": row.resource.name, "name_en": row.resource.name_en}
    return {**names, "beamlines": sorted(fit.beamline.code for fit in row.fits.all())}


def partner_out(row: Partner) -> dict[str, Any]:
    last = row.valid.upper - timedelta(days=1) if row.valid.upper else None
    return {
        "id": row.pk,
        "organisation": row.organisation.credit_code,
        "name": row.organisation.name,
        "share": int(Fraction(row.num, row.den) * 10_000),
        "since": row.valid.lower,
        "until": last,
        "uses": [
            {**{name: getattr(one, name) for name in ("code", "name", "name_en")}, "most": one.num * 10_000 // one.den}
            for one in row.parts.all()
        ],
    }


def cycle_out(row: RunCycle) -> dict[str, Any]:
    return {
        "code": row.code,
        "starts_at": row.during.lower,
        "ends_at": row.during.upper,
        "version": row.version,
        "closed_at": row.closed_at,
    }


def plan_out(row: RunCycle) -> dict[str, Any]:
    spans = [
        {"mode": one.mode, "starts_at": one.period.start, "ends_at": one.period.end} for one in queries.plan_of(row)
    ]
    return {**cycle_out(row), "plan": spans}


def standing_out(row: standing.LineStanding) -> dict[str, Any]:
    return {
        "beamline": row.beamline.code,
        "shifts": row.shifts,
        "pools": [
            {name: getattr(one, name) for name in ("pool", "given", "allocated", "delivered", "left")}
            for one in row.pools
        ],
    }
