"""End visits: minutes had and lost, the list of those who lost beam, what a report is due for; cancel by the facility."""

from __future__ import annotations

from datetime import datetime

import structlog
from django.db import DatabaseError, transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import InvalidTransition, PortalError
from portal.kernel.period import Period
from scheduler.availability.models import Claim
from scheduler.beamtime import billing, call_offs, correcting, holding, rules, telling, visit_rules, visits
from scheduler.beamtime.models import BeamLoss, BeamVisit, Compensation
from scheduler.facilities.models import Beamline, FacilityCourse
from scheduler.proposals import finishing
from scheduler.usage import services as usage

__all__ = ["cancel", "end_due", "finish", "losses_of", "recount"]

A, S, P = rules.VisitAction, rules.VisitState, Permission
logger = structlog.get_logger("beamtime")
OVER = (S.DONE.value, S.CLOSED.value)


def losses_of(visit: BeamVisit) -> list[rules.Loss]:
    """Return what was lost on the visit's beamline in its time and counts. One query."""
    found = BeamLoss.objects.filter(beamline_id=visit.beamline_id, during__overlap=visit.during, void_at__isnull=True)
    return [rules.Loss(Period(one.during.lower, one.during.upper), rules.LossCause(one.cause)) for one in found]


def _count(visit: BeamVisit) -> None:
    assert visit.ended_at is not None
    sums = visit_rules.counted(visits.period_of(visit), losses_of(visit), ended_at=visit.ended_at)
    visit.had_min, visit.lost_min, visit.own_lost_min = sums.had_min, sums.lost_min, sums.own_lost_min


def _list(visit: BeamVisit, *, lost_min: int, cancelled: bool, now: datetime) -> None:
    """Enter a visit in the list of those who lost beam, or correct what it lost while nobody has decided. No credit."""
    known = Compensation.objects.select_for_update(no_key=True).filter(visit=visit).order_by("pk").first()
    if known is None and lost_min:
        Compensation.objects.create(visit=visit, is_cancelled=cancelled, lost_min=lost_min, listed_at=now)
    elif known is not None and known.state == rules.CompensationState.LISTED.value:
        known.lost_min = lost_min
        known.save(update_fields=["lost_min"])


def _due(visit: BeamVisit) -> datetime:
    proposal, facility = visit.allocation.request.proposal, visit.beamline.facility
    course = FacilityCourse.objects.filter(facility=facility, kind=proposal.kind).first()
    assert visit.ended_at is not None
    return visit_rules.report_due(
        ended_at=visit.ended_at,
        weeks=facility.report_weeks,
        months=course.report_months if course else 0,
        since=proposal.decided_at or proposal.sent_at,
    )


@transaction.atomic
def finish(*, actor: Actor, visit: BeamVisit, ended_at: datetime | None = None, now: datetime) -> BeamVisit:
    """End a visit now or at `ended_at`: its minutes are counted, lost beam is listed, its report becomes due.

    Beam left unused at an early end is the team's own loss. Paid time becomes a usage record. Raises BadEnd,
    InvalidTransition, Forbidden.
    """
    holding.hold(visit)
    # Whoever logs a loss waits for the same row, so that it is counted here or there.
    Beamline.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=visit.beamline_id)
    locked = visits.served(actor=actor, visit=visit, permission=P.BEAMTIME_RUN)
    visits.move(locked, A.FINISH)
    wanted = now if ended_at is None else ended_at
    if not locked.during.lower < wanted <= now:
        raise visit_rules.BadEnd(field="ended_at")
    locked.ended_at = min(wanted, locked.during.upper)
    _count(locked)
    locked.report_due = _due(locked)
    holding.set_claims(locked, Claim.State.DONE)
    locked.save()
    assert locked.lost_min is not None
    _list(locked, lost_min=locked.lost_min, cancelled=False, now=now)
    _serve(locked, actor=actor, now=now)
    telling.counted(locked, now=now)
    visits.record(
        locked,
        action="visit.finished",
        actor=actor,
        now=now,
        had_min=locked.had_min,
        lost_min=locked.lost_min,
        own_lost_min=locked.own_lost_min,
    )
    return locked


def _serve(visit: BeamVisit, *, actor: Actor, now: datetime) -> None:
    """Write what a paid visit used; a request all of whose time was given is served."""
    request = visit.allocation.request
    call_offs.lock_allocation(visit)
    paid = FacilityCourse.objects.filter(facility=visit.beamline.facility, kind=request.proposal.kind, paid=True)
    if paid.exists() and visit.ended_at is not None and visit.had_min is not None:
        span = (visit.during.lower, visit.ended_at)
        usage.record_visit(visit_id=visit.pk, span=span, duration_s=visit.had_min * 60, actor=actor, now=now)
    given = request.allocations.filter(ended_at__isnull=True, made_up_for__isnull=True)
    wanted = sum(given.values_list("shifts", flat=True))
    had = BeamVisit.objects.filter(allocation__in=given, state__in=OVER).values_list("shifts", flat=True)
    if sum(had) >= wanted:
        finishing.serve(request=request)
    billing.follow(request=request, actor=actor, now=now)


@transaction.atomic
def recount(*, actor: Actor, visit: BeamVisit, now: datetime) -> BeamVisit:
    """Count an ended visit again after its beamline's losses changed; a decided compensation stays as it is.

    What a paid visit used is put right in a further usage record, what was billed for it by a refund, never upwards.
    """
    locked = visits.lock(visit)
    if locked.state in OVER:
        _count(locked)
        locked.save(update_fields=["had_min", "lost_min", "own_lost_min"])
        assert locked.lost_min is not None
        assert locked.had_min is not None
        _list(locked, lost_min=locked.lost_min, cancelled=False, now=now)
        usage.correct_visit(visit_id=locked.pk, duration_s=locked.had_min * 60, actor=actor, now=now)
        correcting.correct(request=locked.allocation.request, actor=actor, now=now)
    return locked


@transaction.atomic
def cancel(*, actor: Actor, visit: BeamVisit, reason: str, now: datetime) -> BeamVisit:
    """Cancel a visit, as the facility (planner or beamline staff), with a reason the team reads.

    Beam that was promised, before the facility moved it or since, is listed for compensation, first of all; its
    allocation ends. What was only offered can be scheduled again. Raises ReasonMissing, InvalidTransition, Forbidden.
    """
    runs = P.BEAMTIME_RUN if actor.may(P.BEAMTIME_RUN) else P.BEAMTIME_PLAN
    holding.hold(visit)
    locked = visits.served(actor=actor, visit=visit, permission=runs)
    said = visit_rules.noted(reason)
    promised = locked.state != S.OFFERED.value or locked.promised_at is not None
    visits.move(locked, A.CANCEL)
    locked.cancel_reason = said
    holding.set_claims(locked, Claim.State.RELEASED)
    locked.save()
    if promised:
        whole = visits.period_of(locked).duration
        _list(locked, lost_min=int(whole.total_seconds() // 60), cancelled=True, now=now)
        call_offs.call_back(locked, now=now)
        billing.follow(request=locked.allocation.request, actor=actor, now=now)
    telling.cancelled(locked, listed=promised, now=now)
    visits.record(locked, action="visit.cancelled", actor=actor, now=now)
    return locked


def end_due(*, now: datetime) -> int:
    """End visits whose time was over a day ago: running ones at their end, others as missed; returns how many.

    Run by the clock, safe at any time; 200 at most. One that cannot be ended keeps no other back.
    """
    actor = Actor.system("自动处理")
    late = BeamVisit.objects.filter(
        state__in=[S.SCHEDULED.value, S.READY.value, S.RUNNING.value], during__endswith__lte=now - visit_rules.LATEST
    )
    ended = 0
    for one in late.order_by("pk")[:200]:
        try:
            if one.state == S.RUNNING.value:
                finish(actor=actor, visit=one, ended_at=one.during.upper, now=now)
            else:
                visits.miss(actor=actor, visit=one, now=now)
            ended += 1
        except InvalidTransition:
            continue
        except (DatabaseError, PortalError):
            logger.exception("beamtime.end_failed", visit=one.number)
    return ended
