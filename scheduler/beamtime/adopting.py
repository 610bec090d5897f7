"""Make visits of what was planned: all of a draft at once or nothing, under the constraints that refuse any overlap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Reason, noop
from portal.kernel.period import Period
from portal.numbers.services import next_numbers
from scheduler.availability import claiming, queries
from scheduler.availability.models import Claim
from scheduler.availability.rules import ClaimRole
from scheduler.beamtime import drafts, faulting, gathering, offer_news, rules
from scheduler.beamtime.models import BeamAllocation, BeamVisit, DraftPlace, ScheduleDraft
from scheduler.beamtime.planning_access import require_planner
from scheduler.facilities.models import Beamline, Facility
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["Adopted", "Plan", "adopt", "answer_by", "claim", "clash", "free", "offer", "touched"]

_ = noop

NUMBERS: Final = "BV"


class Adopted(Conflict):
    """Somebody adopted it before."""

    code = "beamtime.adopted"
    message = _("%(who)s 已采用这份草案，机时已发给各课题组。")


@dataclass(frozen=True, slots=True)
class Plan:
    """Where and when an allocation gets its visit, and who runs it."""

    allocation: BeamAllocation
    beamline: Beamline
    during: Period
    shifts: int
    operator: Resource | None = None


def answer_by(facility: Facility, *, starts_at: datetime, now: datetime) -> datetime:
    """Return until when a team answers: so many days as the facility says, never past the start of the beam."""
    return min(now + timedelta(days=facility.answer_days), starts_at)


def touched(plans: Iterable[Plan]) -> set[int]:
    """Return the ids of all resources these visits need."""
    found: set[int] = set()
    for plan in plans:
        found |= {plan.beamline.pk, *(device.pk for device in plan.allocation.request.devices.all())}
        if plan.operator is not None:
            found.add(plan.operator.pk)
    return found


def claim(visit: BeamVisit, *, state: Claim.State) -> None:
    """Claim the beamline, its devices and its operator for a visit. Raises Taken. The caller holds the locks."""
    period = queries.period_of(visit.during)
    asks = [claiming.Ask(visit.beamline.resource, period, period)]
    asks += [
        claiming.Ask(device.resource, period, period, role=ClaimRole.PREPARATION)
        for device in visit.devices.select_related("resource")
    ]
    if visit.operator is not None:
        asks.append(claiming.Ask(visit.operator, period, period, role=ClaimRole.OPERATOR))
    claiming.occupy(asks, state=state, visit_id=visit.pk)
    for ask in asks:
        resources.touch_calendar(resource_id=ask.resource.pk)


def free(visit: BeamVisit) -> None:
    """Release all that a visit holds. The caller holds the locks."""
    held = Claim.objects.filter(visit=visit, state__in=[Claim.State.HELD, Claim.State.CONFIRMED])
    ids = list(held.values_list("resource_id", flat=True))
    held.update(state=Claim.State.RELEASED)
    for pk in ids:
        resources.touch_calendar(resource_id=pk)


def offer(*, plan: Plan, number: str, actor: Actor, now: datetime) -> BeamVisit:
    """Offer a visit to a team and claim its time. Raises Taken, and then nothing is left of it.

    The caller holds the locks of all it needs.
    """
    facility = plan.beamline.facility
    during = (plan.during.start, plan.during.end)
    try:
        with transaction.atomic():
            made = BeamVisit.objects.create(
                number=number,
                allocation=plan.allocation,
                beamline=plan.beamline,
                during=during,
                shifts=plan.shifts,
                operator=plan.operator,
                offered_at=now,
                answer_by=answer_by(facility, starts_at=plan.during.start, now=now),
            )
            made.refresh_from_db(fields=["during"])
            made.devices.set(plan.allocation.request.devices.all())
            claim(made, state=Claim.State.HELD)
    except IntegrityError as error:
        if getattr(error.__cause__, "sqlstate", "") != "23P01":
            raise
        raise claiming.Taken(resource_ids=[plan.beamline.pk]) from None
    record(made, action="visit.offered", actor=actor, now=now)
    offer_news.offered(made, now=now)
    return made


def record(visit: BeamVisit, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Write down an act on a visit, for the team's organisation and the facility. Titles never go in."""
    audit.record(
        action=action,
        subject=f"beam_visit:{visit.number}",
        actor=actor,
        now=now,
        organisations=[visit.allocation.request.proposal.organisation_id, visit.beamline.facility.owner_id],
        data={"state": visit.state, "from": visit.during.lower.isoformat(), **data},
    )


def adopt(*, actor: Actor, draft: ScheduleDraft, version: int, now: datetime) -> list[BeamVisit]:
    """Offer every place of a draft to its team, with its claims, or none of them.

    What got no place stays to be placed by the next draft. Offers nobody answered in time lapse first. Raises NotAsDrafted naming every clash, Adopted, saying by
    whom, ChangedMeanwhile, InvalidTransition, Forbidden.
    """
    require_planner(actor, draft.cycle.facility)
    due = BeamVisit.objects.filter(gathering.due_offers(now), beamline__facility=draft.cycle.facility)
    if overdue := list(due.values_list("pk", flat=True)):
        from scheduler.beamtime import answering  # it makes offers itself, of what lapses

        answering.lapse_due(now=now, visit_ids=overdue)
    return _adopt(actor=actor, draft=draft, version=version, now=now)


@transaction.atomic
def _adopt(*, actor: Actor, draft: ScheduleDraft, version: int, now: datetime) -> list[BeamVisit]:
    locked = drafts.lock(draft)
    if locked.state == ScheduleDraft.State.ADOPTED.value:
        raise Adopted(who=str(locked.adopted_by))
    drafts.step(locked, rules.DraftAction.ADOPT)
    if locked.version != version:
        raise drafts.ChangedMeanwhile
    places = list(
        locked.places.select_related(
            "allocation__request__proposal__facility", "beamline__resource", "beamline__facility", "operator"
        ).prefetch_related("allocation__request__devices")
    )
    people = {one.pk for one in gathering.gather(locked.cycle, now=now).people.values()}
    resources.lock(resource_ids=touched([_plan(row, row.operator) for row in places]) | people)
    gathered = gathering.gather(locked.cycle, now=now)
    if wrong := faulting.faults_of(gathered, places):
        raise faulting.NotAsDrafted(wrong)
    run = faulting.staffed(gathered, places)
    plans = [_plan(row, run[f"A{row.allocation_id}"]) for row in places]
    made, clashes = [], []
    for plan, number in zip(plans, next_numbers(prefix=NUMBERS, now=now, count=len(plans)), strict=True):
        try:
            made.append(offer(plan=plan, number=number, actor=actor, now=now))
        except claiming.Taken as taken:
            clashes.append(clash(plan, taken.resource_ids))
    if clashes:
        raise faulting.NotAsDrafted(clashes)
    locked.version += 1
    locked.adopted_by_id, locked.adopted_at = actor.user_id, now
    locked.save(update_fields=["state", "version", "adopted_by", "adopted_at"])
    drafts.record(locked, action="schedule.adopted", actor=actor, now=now, visits=len(made))
    return made


def _plan(row: DraftPlace, operator: Resource | None) -> Plan:
    return Plan(row.allocation, row.beamline, queries.period_of(row.during), row.allocation.shifts, operator)


def clash(plan: Plan, resource_ids: Iterable[int]) -> Reason:
    known = {plan.beamline.pk: plan.beamline.code}
    known |= {device.pk: device.code for device in plan.allocation.request.devices.all()}
    if plan.operator is not None:
        known[plan.operator.pk] = plan.operator.name
    names = "、".join(known.get(pk, "") for pk in resource_ids)
    text = _("%(request)s 的时段已被占用：%(other)s。")
    about = {"request": plan.allocation.request.proposal.number, "other": names}
    return Reason("beamtime.taken", text, _("请换一个时间。"), f"A{plan.allocation.pk}", about)
