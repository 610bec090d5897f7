"""Shapes of the API of schedules and offers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Schema
from pydantic import Field

from portal.wire import Block, Flag, Line, Moment, Number, PeriodOut, ReasonOut, StrictIn, Whole

__all__ = [
    "AdoptIn",
    "BeamOfferOut",
    "FixIn",
    "OfferAnswerIn",
    "PlaceIn",
    "PlaceSeenIn",
    "ScheduleDraftIn",
    "ScheduleDraftOut",
    "ScheduleLineOut",
    "ScheduleLookOut",
    "ScheduleOut",
    "SchedulePlaceOut",
    "ScheduleVisitOut",
    "SpotIn",
    "VisitMoveIn",
    "WaitingAllocationOut",
]

Version = Annotated[Whole, Field(ge=0, le=2_000_000_000)]
Seconds = Annotated[Whole, Field(ge=1, le=600)]


class ScheduleDraftIn(StrictIn):
    """How long the planner may look, in seconds per beamline."""

    seconds: Seconds = 40


class AdoptIn(StrictIn):
    """`version` is the draft's that was seen; for computing anew `seconds` may be given."""

    version: Version
    seconds: Seconds = 40


class PlaceIn(StrictIn):
    """Where a request is put. `version` is that of its place as seen, 0: it had none. `make_way`: others may lose theirs."""

    beamline: Number
    starts_at: Moment
    version: Version = 0
    make_way: Flag = False


class SpotIn(StrictIn):
    """A beamline and the start of a shift."""

    beamline: Number
    starts_at: Moment


class PlaceSeenIn(StrictIn):
    version: Version


class FixIn(StrictIn):
    version: Version
    is_fixed: Flag


class OfferAnswerIn(StrictIn):
    note: Annotated[Block, Field(max_length=500)] = ""


class VisitMoveIn(StrictIn):
    starts_at: Moment
    version: Version
    reason: Annotated[Line, Field(max_length=500)]


class SchedulePlaceOut(Schema):
    """A place of a draft. `faults`: everything that is wrong with it now."""

    allocation: int
    proposal: str
    beamline: str
    period: PeriodOut
    shifts: int
    operator: str
    is_fixed: bool
    version: int
    faults: list[ReasonOut] = []


class WaitingAllocationOut(Schema):
    """An allocation without a place. `why`: ``nowhere`` it could be, ``crowded`` out by others, or empty."""

    allocation: int
    proposal: str
    beamline: str
    shifts: int
    why: str


class AllocationBackIn(StrictIn):
    """Why it cannot be placed; the team reads it."""

    reason: Annotated[Block, Field(min_length=1, max_length=500)]


class AllocationBackOut(Schema):
    """An allocation that was given back: its shifts are free again, its request waits as `request_state` says."""

    allocation: int
    proposal: str
    beamline: str
    pool: str
    shifts: int
    ended_at: datetime
    request_state: str


class ScheduleVisitOut(Schema):
    """A visit that stands already."""

    number: str
    proposal: str
    beamline: str
    period: PeriodOut
    shifts: int
    state: str
    version: int


class ScheduleLineOut(Schema):
    """A beamline and its open shifts, by their start."""

    code: str
    name: str
    open: list[datetime]


class ScheduleDraftOut(Schema):
    """A draft with its proof: `value` reached of at most `bound`; `gap` 0 to 1. `lines` says the same by beamline."""

    id: int
    state: str
    state_label: str
    version: int
    seconds: int
    value: int
    bound: int
    gap: float
    spent_ms: int
    lines: dict[str, Any]
    failure: str


class ScheduleOut(Schema):
    """A cycle's schedule. Titles are not in it: proprietary ones are nobody's to read."""

    facility: str
    cycle: str
    shifts: list[PeriodOut]
    lines: list[ScheduleLineOut]
    draft: ScheduleDraftOut | None
    places: list[SchedulePlaceOut]
    waiting: list[WaitingAllocationOut]
    visits: list[ScheduleVisitOut]


class ScheduleLookOut(Schema):
    """What a move would break; empty: nothing."""

    faults: list[ReasonOut]


class BeamOfferOut(Schema):
    """Beam time offered to a team, and what became of it. `answer_by`: after it the offer is no more."""

    number: str
    proposal: str
    title: str
    facility: str
    beamline: str
    period: PeriodOut
    zone: str
    shifts: int
    state: str
    state_label: str
    operator: str
    devices: list[str]
    offered_at: datetime
    answer_by: datetime
    answered_at: datetime | None
    answer_note: str
    version: int
