"""Arrange a draft by hand: put, take out, fix. Every change names what was seen, so that nobody undoes another's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import IntegrityError, transaction

from portal.audit.models import Record
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Invalid, InvalidTransition, NotFound, Reason, noop
from scheduler.beamtime import drafting, drafts, faulting, gathering
from scheduler.beamtime.models import DraftPlace, ScheduleDraft
from scheduler.beamtime.planning_access import require_planner
from scheduler.beamtime.ports import Fault, Placed

__all__ = ["MovedMeanwhile", "NoShiftThere", "Spot", "fix", "look", "put", "take_out"]

_ = noop

IN_THE_WAY: Final = frozenset({"overlap", "changeover", "shared"})
"""Faults that end when the other one makes way."""


class MovedMeanwhile(Conflict):
    """Another planner changed this place since it was read."""

    code = "beamtime.moved_meanwhile"
    message = _("%(who)s 已先改动了这项安排（现在：%(where)s）。您的改动没有执行，请查看后再决定。")


class NoShiftThere(Invalid):
    code = "beamtime.no_shift"
    message = _("这一周期没有在该时间开始的班次，或其后班次不够。请选择班次的开始时间。")


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a request is put: on a beamline by its code, from the shift that starts at an aware time."""

    line: str
    starts_at: datetime


def _locked(actor: Actor, draft: ScheduleDraft) -> ScheduleDraft:
    """Lock a draft that can be arranged. Raises InvalidTransition, Forbidden."""
    require_planner(actor, draft.cycle.facility)
    locked = drafts.lock(draft)
    if locked.state != ScheduleDraft.State.DRAFTED.value:
        raise InvalidTransition(state=locked.state, action="arrange")
    return locked


def _seen(draft: ScheduleDraft, allocation_id: int, version: int) -> DraftPlace | None:
    """Return the place as it is; `version` is what the planner saw, 0: no place. Raises MovedMeanwhile, saying who."""
    row = draft.places.select_related("beamline", "moved_by", "allocation").filter(allocation_id=allocation_id).first()
    if (row.version if row is not None else 0) == version:
        return row
    if row is None:
        acts = Record.objects.filter(
            subject=f"schedule_draft:{draft.pk}", action="schedule.taken_out", data__allocation=allocation_id
        )
        last = acts.order_by("-pk").first()
        raise MovedMeanwhile(who=last.actor_label if last else "—", where="—", field="version")
    who = str(row.moved_by) if row.moved_by is not None else "—"
    zone = drafts.zone_of(draft)
    where = f"{row.beamline.code} {row.during.lower.astimezone(zone):%Y-%m-%d %H:%M}"
    raise MovedMeanwhile(who=who, where=where, field="version")


def _placed(gathered: gathering.Gathered, number: str, spot: Spot) -> Placed:
    """Return the request in a spot. Raises NotFound for what is not to be placed, NoShiftThere."""
    if number not in gathered.allocations:
        raise NotFound
    shifts = gathered.request(number).shifts
    start = gathered.cycle.start_of(spot.starts_at)
    if start is None or start + shifts > len(gathered.cycle.shifts):
        raise NoShiftThere(field="starts_at")
    return Placed(spot.line, start, number, shifts)


def _others(draft: ScheduleDraft, allocation_id: int, gathered: gathering.Gathered) -> list[DraftPlace]:
    """Return the other places of a draft; what is not to be placed any more is in nobody's way (`faults_of` names it)."""
    rows = draft.places.select_related("beamline").exclude(allocation_id=allocation_id)
    return [row for row in rows if f"A{row.allocation_id}" in gathered.allocations]


def _clear(locked: ScheduleDraft, *, but: Sequence[int], actor: Actor, now: datetime) -> None:
    """Take out of a draft what is not to be placed any more."""
    for row in locked.places.exclude(allocation_id__in=but):
        _remove(locked, row, actor=actor, now=now)


def _met(gathered: gathering.Gathered, one: Placed, others: Sequence[DraftPlace]) -> list[Fault]:
    """Return what is wrong with the request there beside the others, and nothing else."""
    placed = [one, *gathering.placed_of(others, gathered.cycle)]
    found = faulting.faults_beside(gathered, placed, preferred=faulting.preferred(others))
    return [fault for fault in found if fault.number == one.number]


def look(*, draft: ScheduleDraft, allocation_id: int, spot: Spot, now: datetime) -> list[Reason]:
    """Return everything a request would break in a spot of the draft. A look: nothing is written. Raises NoShiftThere."""
    gathered = gathering.gather(draft.cycle, now=now)
    places = _others(draft, allocation_id, gathered)
    one = _placed(gathered, f"A{allocation_id}", spot)
    return [faulting.explain(fault, gathered) for fault in _met(gathered, one, places)]


@transaction.atomic
def put(
    *,
    actor: Actor,
    draft: ScheduleDraft,
    allocation_id: int,
    spot: Spot,
    seen: int,
    make_way: bool,
    now: datetime,
) -> DraftPlace:
    """Put a request in a spot and fix it there; `seen` is the version of its place that the planner saw, 0: it had none.

    With `make_way` requests in the way lose their place, unless they are fixed or a visit already. Raises MovedMeanwhile
    saying who was first, NotAsDrafted with everything it would break, NoShiftThere, NotFound, InvalidTransition, Forbidden.
    """
    locked = _locked(actor, draft)
    row = _seen(locked, allocation_id, seen)
    gathered = gathering.gather(locked.cycle, now=now)
    number = f"A{allocation_id}"
    one = _placed(gathered, number, spot)
    others = _others(locked, allocation_id, gathered)
    found = _met(gathered, one, others)
    leaving = _leaving(found, others) if make_way else []
    gone = {f"A{other.allocation_id}" for other in leaving}
    if left := [fault for fault in found if fault.other not in gone]:
        raise faulting.NotAsDrafted([faulting.explain(fault, gathered) for fault in left])
    locked.version += 1
    _clear(locked, but=[allocation.pk for allocation in gathered.allocations.values()], actor=actor, now=now)
    for other in leaving:
        _remove(locked, other, actor=actor, now=now)
    stay = [other for other in others if other not in leaving]
    row = row or DraftPlace(draft=locked, allocation=gathered.allocations[number])
    row.beamline = gathered.lines[spot.line]
    period = gathered.cycle.period(one.start, one.shifts)
    row.during = (period.start, period.end)
    row.is_fixed, row.moved_by_id, row.version = True, actor.user_id, locked.version
    try:
        with transaction.atomic():
            row.save()
    except IntegrityError as error:
        if getattr(error.__cause__, "sqlstate", "") != "23P01":
            raise
        raise drafts.ChangedMeanwhile from None
    row.refresh_from_db(fields=["during"])
    for place, who in zip([*stay, row], faulting.staffed(gathered, [*stay, row]).values(), strict=True):
        if place.operator != who:
            place.operator = who
            place.save(update_fields=["operator"])
    locked.value = drafting.value(gathered.problem, [one, *gathering.placed_of(stay, gathered.cycle)])
    locked.bound = drafts.bound_of(locked, gathered)
    locked.save(update_fields=["version", "value", "bound"])
    where = {"beamline": spot.line, "from": period.start.isoformat()}
    drafts.record(locked, action="schedule.put", actor=actor, now=now, allocation=allocation_id, **where)
    return DraftPlace.objects.select_related("beamline", "allocation").get(pk=row.pk)


def _leaving(found: Sequence[Fault], others: Sequence[DraftPlace]) -> list[DraftPlace]:
    met = {fault.other for fault in found if fault.code in IN_THE_WAY}
    return [one for one in others if f"A{one.allocation_id}" in met and not one.is_fixed]


def _remove(locked: ScheduleDraft, row: DraftPlace, *, actor: Actor, now: datetime) -> None:
    allocation_id = row.allocation_id
    row.delete()
    drafts.record(locked, action="schedule.taken_out", actor=actor, now=now, allocation=allocation_id)


@transaction.atomic
def take_out(*, actor: Actor, draft: ScheduleDraft, allocation_id: int, seen: int, now: datetime) -> None:
    """Take a request out of the draft; it waits beside it. Raises MovedMeanwhile, NotFound, InvalidTransition, Forbidden."""
    locked = _locked(actor, draft)
    row = _seen(locked, allocation_id, seen)
    if row is None:
        raise NotFound
    gathered = gathering.gather(locked.cycle, now=now)
    locked.version += 1
    _remove(locked, row, actor=actor, now=now)
    rest = gathering.placed_of(locked.places.select_related("beamline"), gathered.cycle)
    locked.value = drafting.value(gathered.problem, [one for one in rest if one.number in gathered.allocations])
    locked.save(update_fields=["version", "value"])


@transaction.atomic
def fix(
    *, actor: Actor, draft: ScheduleDraft, allocation_id: int, seen: int, is_fixed: bool, now: datetime
) -> DraftPlace:
    """Fix a place, so that computing anew leaves it where it is, or let it go. The same again changes nothing.

    Raises MovedMeanwhile, NotFound, InvalidTransition, Forbidden.
    """
    locked = _locked(actor, draft)
    row = _seen(locked, allocation_id, seen)
    if row is None:
        raise NotFound
    if row.is_fixed != is_fixed:
        locked.version += 1
        row.is_fixed, row.moved_by_id, row.version = is_fixed, actor.user_id, locked.version
        row.save(update_fields=["is_fixed", "moved_by", "version"])
        locked.save(update_fields=["version"])
        if is_fixed:
            drafts.record(locked, action="schedule.fixed", actor=actor, now=now, allocation=allocation_id)
        else:
            drafts.record(locked, action="schedule.unfixed", actor=actor, now=now, allocation=allocation_id)
    return row
