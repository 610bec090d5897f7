"""End requests whose time was given and proposals that have nothing more to come. Called by the capability of visits."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.states import next_state
from scheduler.facilities.models import FacilityCourse
from scheduler.proposals import outcomes, rules
from scheduler.proposals.models import BeamProposal, BeamRequest

__all__ = ["allocate", "close", "give_up", "lapse", "serve"]

R, S = rules.RequestState, rules.BeamProposalState
STANDING = (R.OPEN.value, R.RESERVE.value, R.ALLOCATED.value)


@transaction.atomic
def serve(*, request: BeamRequest) -> bool:
    """Say that a request had all the time it was given; returns whether that is news."""
    locked = BeamRequest.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.pk)
    if locked.state != R.ALLOCATED.value:
        return False
    locked.state = next_state(rules.REQUEST_TRANSITIONS, R.ALLOCATED, rules.RequestAction.SERVE).value
    locked.save(update_fields=["state"])
    return True


@transaction.atomic
def give_up(*, request: BeamRequest) -> bool:
    """Put a request whose time is gone back on the reserve list; returns whether that is news.

    Locks its proposal first, as all writers of requests do.
    """
    BeamProposal.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.proposal_id)
    locked = BeamRequest.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.pk)
    if locked.state != R.ALLOCATED.value:
        return False
    locked.state = next_state(rules.REQUEST_TRANSITIONS, R.ALLOCATED, rules.RequestAction.GIVE_UP).value
    locked.save(update_fields=["state"])
    return True


@transaction.atomic
def lapse(*, request: BeamRequest) -> bool:
    """End a request on the reserve list of a cycle that is closed; returns whether that is news."""
    BeamProposal.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.proposal_id)
    locked = BeamRequest.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.pk)
    if locked.state != R.RESERVE.value:
        return False
    locked.state = next_state(rules.REQUEST_TRANSITIONS, R.RESERVE, rules.RequestAction.LAPSE).value
    locked.save(update_fields=["state"])
    return True


@transaction.atomic
def allocate(*, request: BeamRequest) -> bool:
    """Say that a request on the reserve list or served is given time for beam it lost; returns whether that is news."""
    BeamProposal.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.proposal_id)
    locked = BeamRequest.objects.select_for_update(no_key=True).order_by("pk").get(pk=request.pk)
    if locked.state not in {R.RESERVE.value, R.SERVED.value}:
        return False
    outcomes.move_request(locked, rules.RequestAction.ALLOCATE)
    locked.save(update_fields=["state"])
    return True


@transaction.atomic
def close(*, proposal: BeamProposal, actor: Actor, now: datetime) -> bool:
    """Close an accepted proposal with no request left standing, once it was in all run cycles its kind may be in.

    Whether its visits are over and reported is the caller's to know. Returns whether it was closed.
    """
    locked = (
        BeamProposal.objects.select_for_update(no_key=True, of=("self",))
        .select_related("facility")
        .order_by("pk")
        .get(pk=proposal.pk)
    )
    if locked.state != S.ACCEPTED.value or locked.requests.filter(state__in=STANDING).exists():
        return False
    course = FacilityCourse.objects.filter(facility=locked.facility, kind=locked.kind).first()
    if locked.requests.values("cycle").distinct().count() < (course.cycles if course else 1):
        return False
    locked.state = next_state(rules.TRANSITIONS, S.ACCEPTED, rules.BeamProposalAction.CLOSE).value
    locked.version += 1
    locked.save(update_fields=["state", "version"])
    audit.record(
        action="proposal.closed",
        subject=f"beam_proposal:{locked.number}",
        actor=actor,
        now=now,
        organisations=[locked.organisation_id, locked.facility.owner_id],
    )
    return True
