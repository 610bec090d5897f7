"""Visits: their states, what has to be there before the beam, what was delivered, lost and owed, what is released. Pure.

Sources: lost beam is not credited by itself, who was hit enters a list (Diamond, E8); in a disturbed cycle cancelled beam
comes first, then the score, then what can be done by mail-in (APS); market-like use of unallocated time (Zhejiang 2025,
item 7). Figures F16, F17 and F19 as facilities report them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction
from itertools import pairwise
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Reason, noop
from portal.kernel.period import Period, merge, subtract
from scheduler.facilities.grades import Direction
from scheduler.facilities.grid import Shift

__all__ = [
    "BEAM_QUOTE_TRANSITIONS",
    "COMPENSATION_TRANSITIONS",
    "DRAFT_TRANSITIONS",
    "MARKET_DAYS",
    "TRANSITIONS",
    "BeamQuoteAction",
    "BeamQuoteState",
    "CompensationAction",
    "CompensationState",
    "Delivered",
    "DraftAction",
    "DraftState",
    "Figures",
    "Hit",
    "Loss",
    "LossCause",
    "Preparation",
    "VisitAction",
    "VisitState",
    "changing",
    "compensation",
    "delivered",
    "figures",
    "not_ready",
    "released",
]

_ = noop

MARKET_DAYS: Final = 14
"""How many days before it starts a shift nobody has is released to enterprises."""


class VisitState(StrEnum):
    OFFERED = "offered"
    SCHEDULED = "scheduled"
    READY = "ready"
    RUNNING = "running"
    DONE = "done"
    CLOSED = "closed"
    DECLINED = "declined"
    CANCELLED = "cancelled"
    MISSED = "missed"


class VisitAction(StrEnum):
    """ACCEPT and DECLINE are the team's; a visit is made ready and started by the staff; REPORT closes it.

    MOVE is the planner's: the team is asked again.
    """

    ACCEPT = "accept"
    DECLINE = "decline"
    MAKE_READY = "make_ready"
    UNDO_READY = "undo_ready"
    START = "start"
    FINISH = "finish"
    REPORT = "report"
    CANCEL = "cancel"
    MISS = "miss"
    MOVE = "move"


S, A = VisitState, VisitAction

TRANSITIONS: Final[Mapping[tuple[VisitState, VisitAction], VisitState]] = MappingProxyType(
    {
        (S.OFFERED, A.ACCEPT): S.SCHEDULED,
        (S.OFFERED, A.DECLINE): S.DECLINED,
        (S.OFFERED, A.CANCEL): S.CANCELLED,
        **{(state, A.MOVE): S.OFFERED for state in (S.OFFERED, S.SCHEDULED, S.READY)},
        (S.SCHEDULED, A.MAKE_READY): S.READY,
        (S.SCHEDULED, A.DECLINE): S.DECLINED,
        (S.SCHEDULED, A.CANCEL): S.CANCELLED,
        (S.SCHEDULED, A.MISS): S.MISSED,
        (S.READY, A.UNDO_READY): S.SCHEDULED,
        (S.READY, A.START): S.RUNNING,
        (S.READY, A.CANCEL): S.CANCELLED,
        (S.READY, A.MISS): S.MISSED,
        (S.RUNNING, A.FINISH): S.DONE,
        (S.DONE, A.REPORT): S.CLOSED,
    }
)


class DraftState(StrEnum):
    """Where a draft of a cycle's schedule stands."""

    QUEUED = "queued"
    SOLVING = "solving"
    DRAFTED = "drafted"
    FAILED = "failed"
    ADOPTED = "adopted"
    DISCARDED = "discarded"


class DraftAction(StrEnum):
    SOLVE = "solve"
    FINISH = "finish"
    FAIL = "fail"
    ADOPT = "adopt"
    DISCARD = "discard"
    RESOLVE = "resolve"


DRAFT_TRANSITIONS: Final[Mapping[tuple[DraftState, DraftAction], DraftState]] = MappingProxyType(
    {
        (DraftState.QUEUED, DraftAction.SOLVE): DraftState.SOLVING,
        # Taken up again after a worker died.
        (DraftState.SOLVING, DraftAction.SOLVE): DraftState.SOLVING,
        (DraftState.SOLVING, DraftAction.FINISH): DraftState.DRAFTED,
        (DraftState.SOLVING, DraftAction.FAIL): DraftState.FAILED,
        (DraftState.DRAFTED, DraftAction.RESOLVE): DraftState.QUEUED,
        (DraftState.DRAFTED, DraftAction.ADOPT): DraftState.ADOPTED,
        **{
            (state, DraftAction.DISCARD): DraftState.DISCARDED
            for state in (DraftState.QUEUED, DraftState.SOLVING, DraftState.DRAFTED)
        },
    }
)


class CompensationState(StrEnum):
    LISTED = "listed"
    GRANTED = "granted"
    DECLINED = "declined"


class CompensationAction(StrEnum):
    GRANT = "grant"
    DECLINE = "decline"


COMPENSATION_TRANSITIONS: Final[Mapping[tuple[CompensationState, CompensationAction], CompensationState]] = (
    MappingProxyType(
        {
            (CompensationState.LISTED, CompensationAction.GRANT): CompensationState.GRANTED,
            (CompensationState.LISTED, CompensationAction.DECLINE): CompensationState.DECLINED,
        }
    )
)


class BeamQuoteState(StrEnum):
    """An accepted one ends billed (SETTLED) or, where nothing was delivered, without a bill (FREED)."""

    OFFERED = "offered"
    ACCEPTED = "accepted"
    SETTLED = "settled"
    FREED = "freed"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"


class BeamQuoteAction(StrEnum):
    ACCEPT = "accept"
    SETTLE = "settle"
    FREE = "free"
    DECLINE = "decline"
    WITHDRAW = "withdraw"
    EXPIRE = "expire"


BEAM_QUOTE_TRANSITIONS: Final[Mapping[tuple[BeamQuoteState, BeamQuoteAction], BeamQuoteState]] = MappingProxyType(
    {
        (BeamQuoteState.OFFERED, BeamQuoteAction.ACCEPT): BeamQuoteState.ACCEPTED,
        (BeamQuoteState.OFFERED, BeamQuoteAction.DECLINE): BeamQuoteState.DECLINED,
        (BeamQuoteState.OFFERED, BeamQuoteAction.WITHDRAW): BeamQuoteState.WITHDRAWN,
        (BeamQuoteState.OFFERED, BeamQuoteAction.EXPIRE): BeamQuoteState.EXPIRED,
        (BeamQuoteState.ACCEPTED, BeamQuoteAction.SETTLE): BeamQuoteState.SETTLED,
        (BeamQuoteState.ACCEPTED, BeamQuoteAction.FREE): BeamQuoteState.FREED,
    }
)


@dataclass(frozen=True, slots=True)
class Preparation:
    """What is there before a visit. `trained_until`: the earliest end of the needed training of each participant, by name."""

    sample_approved_at: datetime | None
    safety_approved_at: datetime | None
    participants: tuple[str, ...]
    trained_until: Mapping[str, datetime | None]
    by_mail: bool = False
    """Whether samples are sent in: then nobody has to come; who comes all the same has to be trained."""


def not_ready(there: Preparation, *, visit: Period, days: int) -> list[Reason]:
    """Return everything that keeps a visit from being ready. Forms count when approved `days` whole days before the beam."""
    by = visit.start - timedelta(days=days)
    found = []
    for code, field, text, at in (
        ("visit.sample", "sample", _("样品单未在开始前 %(days)s 天获批。"), there.sample_approved_at),
        ("visit.safety", "safety", _("安全审查未在开始前 %(days)s 天通过。"), there.safety_approved_at),
    ):
        if at is None or at > by:
            found.append(Reason(code, text, _("请尽快补交；逾期须由线站负责人另行同意。"), field, {"days": days}))
    if not there.participants and not there.by_mail:
        found.append(Reason("visit.participants", _("没有确认到场人员。"), _("请确认谁来做实验。"), "participants"))
    for who in there.participants:
        until = there.trained_until.get(who)
        if until is None or until < visit.end:
            text = _("%(who)s 的培训不覆盖整个实验。")
            found.append(Reason("visit.training", text, _("请在开始前完成培训。"), "participants", {"who": who}))
    return found


class LossCause(StrEnum):
    """Why there was no beam; what the users lost themselves is theirs."""

    MACHINE = "machine"
    BEAMLINE = "beamline"
    FACILITY = "facility"
    USER = "user"


@dataclass(frozen=True, slots=True)
class Loss:
    """A span without beam, as logged; spans may overlap, and reach beyond the visit."""

    period: Period
    cause: LossCause


@dataclass(frozen=True, slots=True)
class Delivered:
    """Whole minutes of a visit: what it was given, had, and lost by the facility and by itself. The parts add up."""

    given_min: int
    had_min: int
    lost_min: int
    own_lost_min: int


def delivered(visit: Period, losses: Iterable[Loss]) -> Delivered:
    """Add up a visit: a minute lost for two reasons is lost once, and to the facility where one of them is the facility's."""
    every = list(losses)
    within = [visit]
    theirs = subtract(within, subtract(within, [one.period for one in every if one.cause is not LossCause.USER]))
    users = subtract(within, subtract(within, [one.period for one in every if one.cause is LossCause.USER]))
    lost = merge(theirs)
    own = subtract(users, lost)
    given, gone, kept = (_minutes(spans) for spans in (within, lost, own))
    return Delivered(given, given - gone - kept, gone, kept)


def _minutes(spans: Iterable[Period]) -> int:
    return int(sum((one.duration for one in spans), timedelta()) // timedelta(minutes=1))


@dataclass(frozen=True, slots=True)
class Hit:
    """A visit that lost beam, or all of it: what a compensation is decided by."""

    number: str
    cancelled: bool
    lost_min: int
    grade: Decimal | None
    by_mail: bool = False
    """Whether what is left can be done by samples sent in."""
    ended_at: datetime | None = None


def compensation(hits: Sequence[Hit], *, best: Direction, least_min: int = 1) -> list[Hit]:
    """Return the list in the order in which time is given back: cancelled beam, then grade, then mail-in, then more lost.

    Nobody is credited by itself, whoever lost at least `least_min` minutes is on the list (E8: 6 h of 24 h are). Ungraded
    visits come after graded ones.
    """
    sign = -1 if best is Direction.HIGH else 1

    def order(one: Hit) -> tuple[bool, bool, Decimal, bool, int, str]:
        grade = Decimal(0) if one.grade is None else sign * one.grade
        return (not one.cancelled, one.grade is None, grade, not one.by_mail, -one.lost_min, one.number)

    return sorted((one for one in hits if one.cancelled or one.lost_min >= least_min), key=order)


def released(
    shifts: Sequence[Shift], *, taken: Sequence[Period], now: datetime, days: int = MARKET_DAYS
) -> list[Shift]:
    """Return the shifts that enterprises can book now: nobody has them, they start later and within `days`."""
    last = now + timedelta(days=days)
    busy = merge(taken)
    return [
        one for one in shifts if now < one.period.start <= last and not any(one.period.overlaps(span) for span in busy)
    ]


def changing(visits: Sequence[tuple[Period, str]], *, changeover: timedelta) -> list[Period]:
    """Return what of a beamline's time is kept for changing its set-up: as long on either side of a gap between two visits,
    by time and with their set-ups, that differ; never more than the gap. Whoever comes in between has a set-up of her own.
    """
    found: list[Period] = []
    if not changeover:
        return found
    for (one, before), (two, after) in pairwise(visits):
        if before != after and one.end < two.start:
            found.append(Period(one.end, min(one.end + changeover, two.start)))
            found.append(Period(max(two.start - changeover, one.end), two.start))
    return found


@dataclass(frozen=True, slots=True)
class Figures:
    """What a facility reports of a cycle; None where nothing was planned, allocated or used."""

    availability: Fraction | None
    """F16: user beam delivered ÷ planned."""
    oversubscription: Fraction | None
    """F17: shifts asked for ÷ allocated."""
    industrial: Fraction | None
    """F19: paid and industrial shifts ÷ user shifts."""


def figures(
    *, planned_min: int, delivered_min: int, requested: int, allocated: int, industrial: int, used: int
) -> Figures:
    """Return F16, F17, F19; the share compliance F18 is `facilities.shares.compliance`."""
    return Figures(
        Fraction(delivered_min, planned_min) if planned_min else None,
        Fraction(requested, allocated) if allocated else None,
        Fraction(industrial, used) if used else None,
    )
