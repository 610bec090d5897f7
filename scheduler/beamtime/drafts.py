"""Order a draft of a cycle's schedule, have the rest placed anew around what is fixed, give it up."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import transaction

from portal.audit import services as audit
from portal.audit.models import Record
from portal.kernel import idempotency
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Invalid, Reason, Refused, noop
from portal.kernel.states import next_state
from scheduler.beamtime import faulting, gathering, rules
from scheduler.beamtime.models import ScheduleDraft
from scheduler.beamtime.planning_access import require_planner
from scheduler.facilities.models import RunCycle

__all__ = [
    "OPEN",
    "BadSeconds",
    "ChangedMeanwhile",
    "CycleClosed",
    "DraftOpen",
    "discard",
    "lock",
    "order",
    "record",
    "resolve",
    "step",
    "zone_of",
]

_ = noop
A = rules.DraftAction
LONGEST_S: Final = 600
OPEN: Final = ("queued", "solving", "drafted")


class DraftOpen(Conflict):
    code = "beamtime.draft_open"
    message = _("这一周期已有一份草案。请继续调整它，或先放弃它。")


class CycleClosed(Conflict):
    code = "beamtime.cycle_closed"
    message = _("这一运行周期已关闭，不能再排班。")


class ChangedMeanwhile(Conflict):
    """Somebody else changed the draft since it was read."""

    code = "beamtime.draft_changed"
    message = _("草案在此期间已被他人修改。请查看最新的安排后再操作。")


class BadSeconds(Invalid):
    code = "beamtime.seconds"
    message = _("计算时间须在 1 到 600 秒之间。")


def lock(draft: ScheduleDraft) -> ScheduleDraft:
    """Lock a draft and return it as it is now: planners of one draft take turns."""
    return (
        ScheduleDraft.objects.select_for_update(no_key=True, of=("self",))
        .select_related("cycle__facility")
        .order_by("pk")
        .get(pk=draft.pk)
    )


def zone_of(draft: ScheduleDraft) -> ZoneInfo:
    return ZoneInfo(draft.cycle.facility.zone)


def step(draft: ScheduleDraft, action: rules.DraftAction) -> None:
    """Take a locked draft's transition; the caller saves. Raises InvalidTransition."""
    draft.state = next_state(rules.DRAFT_TRANSITIONS, rules.DraftState(draft.state), action).value


def record(draft: ScheduleDraft, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write down an act on a draft; titles of proposals never go in."""
    audit.record(
        action=action,
        subject=f"schedule_draft:{draft.pk}",
        actor=actor,
        now=now,
        organisations=[draft.cycle.facility.owner_id],
        data={"cycle": draft.cycle.code, **data},
    )


def bound_of(draft: ScheduleDraft, gathered: gathering.Gathered) -> int:
    """Return what no schedule can exceed now: what was proved, and all that was given since besides."""
    lines = draft.lines.values()
    known = {number for one in lines for number in one.get("known", ())}
    since = [one for one in gathered.problem.requests if one.number in gathered.allocations and one.number not in known]
    proved: int = sum(one.get("bound", 0) for one in lines)
    return max(draft.value, proved + sum(one.value + one.bonus for one in since))


def _checked(seconds: int) -> int:
    if not 1 <= seconds <= LONGEST_S:
        raise BadSeconds(field="seconds")
    return seconds


@transaction.atomic
def order(
    *, actor: Actor, cycle: RunCycle, seconds: int, wake: Callable[[int], None], key: str, now: datetime
) -> ScheduleDraft:
    """Have a schedule drafted for a cycle; a worker looks `seconds` of wall time per beamline; `wake` tells it, once kept.

    Idempotent on (cycle, `key`). Raises DraftOpen while another draft is open, CycleClosed, Refused where nothing is to be
    placed, BadSeconds, KeyReused, Forbidden.
    """
    require_planner(actor, cycle.facility)
    _checked(seconds)
    locked = RunCycle.objects.select_for_update(no_key=True).order_by("pk").get(pk=cycle.pk)
    if known := ScheduleDraft.objects.filter(cycle=locked, key=key).first():
        idempotency.check_replay(stored=str(_ordered_seconds(known)), asked=str(seconds))
        return known
    if locked.closed_at is not None:
        raise CycleClosed
    if ScheduleDraft.objects.filter(cycle=locked, state__in=OPEN).exists():
        raise DraftOpen
    if not gathering.to_place(locked).exists():
        text = _("没有待排的机时：分配的班次都已安排，或尚未分配。")
        raise Refused([Reason("beamtime.nothing", text, _("请先由评审组和主任分配班次。"), "cycle")])
    made = ScheduleDraft.objects.create(cycle=locked, seconds=seconds, key=key, made_by_id=actor.user_id, made_at=now)
    record(made, action="schedule.ordered", actor=actor, now=now, seconds=seconds)
    transaction.on_commit(lambda: wake(made.pk))
    return made


def _ordered_seconds(draft: ScheduleDraft) -> int:
    """Return what a draft was ordered with; placing the rest anew may have changed `seconds` since."""
    first = (
        Record.objects.filter(subject=f"schedule_draft:{draft.pk}", action="schedule.ordered").order_by("pk").first()
    )
    seconds: int = draft.seconds if first is None else first.data["seconds"]
    return seconds


@transaction.atomic
def resolve(
    *,
    actor: Actor,
    draft: ScheduleDraft,
    version: int,
    seconds: int,
    wake: Callable[[int], None],
    now: datetime,
) -> ScheduleDraft:
    """Have the rest placed anew around what is fixed.

    Raises NotAsDrafted naming what is fixed and not possible any more,
    ChangedMeanwhile, InvalidTransition, BadSeconds, Forbidden.
    """
    require_planner(actor, draft.cycle.facility)
    locked = lock(draft)
    if locked.version != version:
        raise ChangedMeanwhile
    step(locked, A.RESOLVE)
    locked.seconds = _checked(seconds)
    locked.version += 1
    locked.lines = {}
    locked.started_at = now
    fixed = list(locked.places.filter(is_fixed=True).select_related("beamline"))
    gathered = gathering.gather(locked.cycle, now=now)
    if wrong := faulting.faults_of(gathered, fixed):
        raise faulting.NotAsDrafted(wrong)
    locked.save(update_fields=["state", "seconds", "version", "lines", "started_at"])
    record(locked, action="schedule.resolved", actor=actor, now=now, fixed=len(fixed), seconds=seconds)
    transaction.on_commit(lambda: wake(locked.pk))
    return locked


@transaction.atomic
def discard(*, actor: Actor, draft: ScheduleDraft, now: datetime) -> ScheduleDraft:
    """Give a draft up; its places stay to be looked at. Raises InvalidTransition, Forbidden."""
    require_planner(actor, draft.cycle.facility)
    locked = lock(draft)
    step(locked, A.DISCARD)
    locked.version += 1
    locked.ended_at = now
    locked.save(update_fields=["state", "version", "ended_at"])
    record(locked, action="schedule.discarded", actor=actor, now=now)
    return locked
