"""Close the books of a run cycle that is over: what it still has open is named first, and closed over once it was seen.

Afterwards nothing of the cycle is planned: no draft, no reserve list, no decision on shifts of it, no further loss. What
teams owe (reports) and what they were promised (compensation) stays as it is.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from django.db import transaction
from django.db.models import Exists, OuterRef

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, Refused, noop
from scheduler.beamtime import gathering, rules
from scheduler.beamtime.drafts import OPEN
from scheduler.beamtime.models import BeamAllocation, BeamVisit, Compensation, ScheduleDraft
from scheduler.facilities import cycles, services
from scheduler.facilities.models import RunCycle
from scheduler.proposals.models import BeamRequest

__all__ = ["CycleUnfinished", "Open", "OpenKind", "close_books", "still_open"]

_ = noop
S = rules.VisitState


class OpenKind(StrEnum):
    """What a cycle can still have open."""

    VISIT = "visit"
    COMPENSATION = "compensation"
    SHIFTS = "shifts"
    RESERVE = "reserve"
    DRAFT = "draft"


SAID = {
    OpenKind.VISIT: (_("到访 %(number)s 尚未结束。"), _("请先结束、取消或记为未到场。")),
    OpenKind.COMPENSATION: (
        _("到访 %(number)s 损失的束流还没有决定是否补偿。"),
        _("结账后仍可决定，补偿在其他周期使用。"),
    ),
    OpenKind.SHIFTS: (_("申请 %(number)s 分得的 %(shifts)s 个班次没有排上。"), _("结账后本周期不再为它排班。")),
    OpenKind.RESERVE: (_("申请 %(number)s 仍在候补名单上。"), _("结账后不再递补。")),
    OpenKind.DRAFT: (_("排班草案 %(number)s 还没有采用或放弃。"), _("结账后不能再采用。")),
}


class CycleUnfinished(Refused):
    """The cycle still has something open. `data["open"]` names it; accept each to close it all the same."""

    code = "facility.cycle_unfinished"
    message = _("这一周期还有下列事项没有了结。请逐项核对并确认，再结账；未确认前什么都没有改变。")


@dataclass(frozen=True, slots=True)
class Open:
    """One thing that is open. `number` is a visit's, a proposal's or a draft's; `shifts` 0 where none are meant."""

    kind: OpenKind
    number: str
    shifts: int = 0

    @property
    def key(self) -> str:
        """What names it to whoever accepts it: one visit may be open and wait for compensation, too."""
        return f"{self.kind.value}:{self.number}"

    def reason(self) -> Reason:
        text, remedy = SAID[self.kind]
        params = {"number": self.number, "shifts": self.shifts}
        return Reason("facility.cycle_open", text, remedy, "accepts", params)


STANDS = (*gathering.HOLDING, S.DONE.value, S.CLOSED.value, S.MISSED.value)


def still_open(cycle: RunCycle) -> list[Open]:
    """Return what a cycle has open, by kind. A look: nothing is written. Five queries."""
    found: list[Open] = []
    lines = {"beamline__facility_id": cycle.facility_id}
    visits = BeamVisit.objects.filter(**lines, during__overlap=cycle.during, state__in=gathering.HOLDING)
    found += [Open(OpenKind.VISIT, one) for one in visits.order_by("during", "pk").values_list("number", flat=True)]
    lost = Compensation.objects.filter(
        state=rules.CompensationState.LISTED.value,
        visit__beamline__facility_id=cycle.facility_id,
        visit__during__overlap=cycle.during,
    )
    found += [Open(OpenKind.COMPENSATION, one) for one in lost.order_by("pk").values_list("visit__number", flat=True)]
    stands = BeamVisit.objects.filter(allocation=OuterRef("pk"), state__in=STANDS)
    given = BeamAllocation.objects.filter(
        ~Exists(stands), request__cycle=cycle, ended_at__isnull=True, made_up_for__isnull=True
    )
    rows = given.order_by("pk").values_list("request__proposal__number", "shifts")
    found += [Open(OpenKind.SHIFTS, number, shifts) for number, shifts in rows]
    waiting = BeamRequest.objects.filter(cycle=cycle, state="reserve").order_by("place", "pk")
    found += [Open(OpenKind.RESERVE, one) for one in waiting.values_list("proposal__number", flat=True)]
    drafts = ScheduleDraft.objects.filter(cycle=cycle, state__in=OPEN).order_by("pk")
    found += [Open(OpenKind.DRAFT, str(pk)) for pk in drafts.values_list("pk", flat=True)]
    return list(dict.fromkeys(found))


def refuse_unseen(found: Sequence[Open], *, accepts: Collection[str]) -> None:
    """Raise CycleUnfinished naming everything in `found` unless each key is among `accepts`."""
    if {one.key for one in found} <= set(accepts):
        return
    raise CycleUnfinished(
        [one.reason() for one in found],
        data={"open": [{"kind": one.kind.value, "number": one.number, "shifts": one.shifts} for one in found]},
    )


@transaction.atomic
def close_books(*, actor: Actor, cycle: RunCycle, accepts: Collection[str] = (), now: datetime) -> RunCycle:
    """Close a cycle that is over, as its user office or director. Idempotent.

    `accepts` holds the keys of what is open and was seen (`Open.key`). Raises CycleRuns before its end, CycleUnfinished
    naming everything that is open, Forbidden.
    """
    services.lock(actor, cycle.facility, Permission.FACILITY_MANAGE, Permission.FACILITY_DECIDE)
    row = RunCycle.objects.select_for_update(no_key=True).order_by("pk").get(pk=cycle.pk)
    if row.closed_at is None:
        cycles.refuse_running(row, now=now)
        refuse_unseen(still_open(row), accepts=accepts)
    return cycles.close_cycle(actor=actor, cycle=cycle, now=now)
