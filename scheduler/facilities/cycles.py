"""Run cycles and the machine plan: a change says at once what it breaks, and goes through once that has been seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Invalid, Reason, Refused, noop
from portal.kernel.period import Period
from scheduler.facilities import plan, queries, services, values
from scheduler.facilities.models import Facility, MachinePeriod, RunCycle
from scheduler.facilities.plan import ModePeriod, Occupied
from scheduler.resources import services as resources

__all__ = [
    "CycleClosed",
    "CycleOverlaps",
    "CycleRuns",
    "PlanBreaks",
    "PlanChange",
    "PlanMoved",
    "close_cycle",
    "create_cycle",
    "foresee",
    "refuse_running",
    "refuse_unseen",
    "set_plan",
]

_ = noop
P = Permission
LONGEST_DAYS = 400


class CycleOverlaps(Conflict):
    code = "facility.cycle_overlaps"
    message = _("该时间与周期“%(other)s”重叠。请调整起止时间。")


class CycleTooLong(Invalid):
    code = "facility.cycle_long"
    message = _("一个运行周期最长 %(days)s 天。请缩短，或分成两个周期。")


class CycleClosed(Conflict):
    code = "facility.cycle_closed"
    message = _("周期“%(cycle)s”已结账，不能再改。")


class CycleRuns(Conflict):
    code = "facility.cycle_runs"
    message = _("周期“%(cycle)s”还没有结束，不能结账。")


class PlanMoved(Conflict):
    """Somebody changed the plan since it was read; nothing of what was sent is written."""

    code = "facility.plan_moved"
    message = _("运行计划已被他人修改（现为第 %(version)s 版）。您的改动没有保存，请对照最新计划后再提交。")


class PlanBreaks(Refused):
    """The change takes beam away from what is scheduled. `data["broken"]` names it; accept it to go on."""

    code = "facility.plan_breaks"
    message = _("这一改动会使下列已排定的机时没有束流。请逐项核对并确认处理，再保存；未确认前什么都没有改变。")


@dataclass(frozen=True, slots=True)
class PlanChange:
    """A new machine plan as somebody wants it, made from `version`; `accepts` are the numbers she has seen will break."""

    spans: tuple[ModePeriod, ...]
    version: int
    accepts: frozenset[str] = frozenset()


@transaction.atomic
def create_cycle(*, actor: Actor, facility: Facility, code: str, during: Period, now: datetime) -> RunCycle:
    """Enter a run cycle; without a plan it has no user beam. Raises BadFacility, CodeTaken, CycleOverlaps, CycleTooLong."""
    locked = services.lock(actor, facility, P.FACILITY_MANAGE, P.BEAMTIME_PLAN)
    if wrong := values.code_refusals(code):
        raise values.BadFacility(wrong)
    if len(code) > 16:
        raise values.BadFacility([Reason("facility.code_long", _("代码最多 16 个字符。"), field="code")])
    if during.duration.days > LONGEST_DAYS:
        raise CycleTooLong(field="ends_at", days=LONGEST_DAYS)
    if locked.cycles.filter(code=code).exists():
        raise services.CodeTaken(field="code", code=code)
    other = locked.cycles.filter(during__overlap=(during.start, during.end)).first()
    if other is not None:
        raise CycleOverlaps(field="starts_at", other=other.code)
    made = RunCycle.objects.create(facility=locked, code=code, during=(during.start, during.end))
    services.record(locked, action="facility.cycle_created", actor=actor, now=now, cycle=code)
    return RunCycle.objects.select_related("facility").get(pk=made.pk)


def foresee(cycle: RunCycle, spans: Sequence[ModePeriod], *, now: datetime) -> list[Occupied]:
    """Return the visits and bookings still to come that these spans would leave without beam and that have it now.

    A look: nothing is written. Raises BadPlan.
    """
    during = queries.period_of_cycle(cycle)
    plan.check_plan(during, spans)
    held = queries.held(cycle.facility, since=now, window=during)
    before = plan.broken(held, beam=plan.user_beam(queries.plan_of(cycle)))
    return [one for one in plan.broken(held, beam=plan.user_beam(spans)) if one not in before]


def refuse_unseen(broken: Sequence[Occupied], *, accepts: Collection[str], facility: Facility) -> None:
    """Raise PlanBreaks naming everything in `broken` unless each number is among `accepts`."""
    if {one.number for one in broken} <= set(accepts):
        return
    zone = ZoneInfo(facility.zone)
    raise PlanBreaks(
        [
            Reason(
                "facility.broken",
                _("%(number)s：%(from)s 至 %(to)s（%(zone)s）"),
                _("请确认取消或改期。"),
                "accepts",
                {
                    "number": one.number,
                    "from": f"{one.period.start.astimezone(zone):%Y-%m-%d %H:%M}",
                    "to": f"{one.period.end.astimezone(zone):%Y-%m-%d %H:%M}",
                    "zone": facility.zone,
                },
            )
            for one in broken
        ],
        data={
            "broken": [
                {
                    "number": one.number,
                    "starts_at": one.period.start.isoformat(),
                    "ends_at": one.period.end.isoformat(),
                }
                for one in broken
            ]
        },
    )


@transaction.atomic
def set_plan(
    *,
    actor: Actor,
    cycle: RunCycle,
    change: PlanChange,
    now: datetime,
    deal: Callable[[Sequence[Occupied]], None],
) -> RunCycle:
    """Replace the machine plan of a cycle; `deal` does with what breaks what those concerned are owed, before it is written.

    Raises BadPlan with every fault; PlanMoved where somebody else changed it since `version`; PlanBreaks naming every
    visit and booking that would lose its beam and is not in `accepts`; CycleClosed, Forbidden. All or nothing.
    """
    locked = services.lock(actor, cycle.facility, P.BEAMTIME_PLAN)
    resources.lock(resource_ids=locked.beamlines.values_list("pk", flat=True))
    row = RunCycle.objects.select_for_update(no_key=True).order_by("pk").get(pk=cycle.pk)
    row.facility = locked
    if row.closed_at is not None:
        raise CycleClosed(cycle=row.code)
    if row.version != change.version:
        raise PlanMoved(field="version", version=row.version)
    broken = foresee(row, change.spans, now=now)
    refuse_unseen(broken, accepts=change.accepts, facility=locked)
    if broken:
        deal(broken)
    row.periods.all().delete()
    MachinePeriod.objects.bulk_create(
        MachinePeriod(cycle=row, mode=one.mode.value, during=(one.period.start, one.period.end))
        for one in sorted(change.spans)
    )
    RunCycle.objects.filter(pk=row.pk).update(version=F("version") + 1)
    row.version += 1
    services.record(
        locked,
        action="facility.plan_set",
        actor=actor,
        now=now,
        cycle=row.code,
        version=row.version,
        broken=[one.number for one in broken],
    )
    return row


@transaction.atomic
def close_cycle(*, actor: Actor, cycle: RunCycle, now: datetime) -> RunCycle:
    """Close a cycle's books once it is over: nothing of it is planned afterwards. Idempotent. Raises CycleRuns."""
    locked = services.lock(actor, cycle.facility, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    row = RunCycle.objects.select_for_update(no_key=True).order_by("pk").get(pk=cycle.pk)
    row.facility = locked
    if row.closed_at is None:
        refuse_running(row, now=now)
        row.closed_at = now
        row.save(update_fields=["closed_at"])
        services.record(locked, action="facility.cycle_closed", actor=actor, now=now, cycle=row.code)
    return row


def refuse_running(cycle: RunCycle, *, now: datetime) -> None:
    """Raise CycleRuns before the cycle has ended."""
    if queries.period_of_cycle(cycle).end > now:
        raise CycleRuns(cycle=cycle.code)
