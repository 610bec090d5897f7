"""Reach visits: a team's members see theirs, the staff of a facility all of it. Nobody else sees any."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from django.db.models import BooleanField, ExpressionWrapper, Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.beamtime.models import BeamLoss, BeamTraining, BeamVisit, Compensation
from scheduler.facilities.models import Beamline, Facility, RunCycle
from scheduler.proposals.access import SERVING
from scheduler.proposals.models import TeamMember
from scheduler.proposals.rules import InvitationState

__all__ = [
    "DEPARTMENT",
    "STAFF",
    "by_mail",
    "get_compensation",
    "get_confided",
    "get_cycle",
    "get_facility",
    "get_line",
    "get_loss",
    "get_member",
    "get_reported",
    "get_visit",
    "is_team",
    "knows_addresses",
    "may_read_figures",
    "of_staff",
    "of_team",
    "serves",
    "team_of",
    "told_of",
    "trainings_of",
    "visible_to",
]

STAFF: Final = (
    Permission.BEAMTIME_RUN,
    Permission.BEAMTIME_PLAN,
    Permission.FACILITY_MANAGE,
    Permission.FACILITY_DECIDE,
    Permission.PROPOSAL_CLEAR,
)
DEPARTMENT: Final = (
    Permission.PROGRAMME_DRAFT,
    Permission.PROGRAMME_PUBLISH,
    Permission.APPLICATION_REVIEW,
    Permission.APPLICATION_APPROVE,
    Permission.LEDGER_READ,
)
"""Who oversees facilities, too: they read figures, never visits."""
TRAINING: Final = (Permission.BEAMTIME_RUN, Permission.PROPOSAL_CLEAR)
"""Staff who enter training, of a person they know by her address."""
RELATED: Final = (
    "beamline__facility",
    "beamline__resource",
    "allocation__request__cycle",
    "allocation__request__proposal__organisation",
    "compensation",
    "report",
)


def serves(actor: Actor) -> bool:
    """Say whether the actor works for a facility's visits, whichever of its tasks she has."""
    return any(actor.may(one) for one in STAFF)


def _mine(actor: Actor) -> QuerySet[TeamMember]:
    """Return in which teams the actor is, for the organisation acted for: whoever left it is out of its teams."""
    return TeamMember.objects.filter(
        user_id=actor.user_id or 0,
        organisation_id=actor.organisation_id or 0,
        state=InvitationState.JOINED.value,
    )


def _told(actor: Actor) -> Q:
    """Return of which visits the actor may read what each is about and whose it is.

    Of confidential ones the team may, and the staff who serve it: the same who read its proposal.
    """
    told = Q(allocation__request__proposal__is_confidential=False)
    told |= Q(allocation__request__proposal__in=_mine(actor).values("proposal"))
    if any(actor.may(one) for one in SERVING):
        told |= Q(beamline__facility__owner_id=actor.organisation_id)
    return told


def _shown(actor: Actor) -> QuerySet[BeamVisit]:
    """Return visits that say by `is_told` whether the actor may read what each is about."""
    is_told = ExpressionWrapper(_told(actor), output_field=BooleanField())
    return BeamVisit.objects.select_related(*RELATED).annotate(is_told=is_told)


def of_team(actor: Actor) -> QuerySet[BeamVisit]:
    """Return the visits of teams the actor has joined."""
    found = _shown(actor)
    return found.filter(allocation__request__proposal__in=_mine(actor).values("proposal"))


def of_staff(actor: Actor) -> QuerySet[BeamVisit]:
    """Return the visits at the facilities of the actor's organisation."""
    found = _shown(actor)
    return found.filter(beamline__facility__owner_id=actor.organisation_id) if serves(actor) else found.none()


def visible_to(actor: Actor) -> QuerySet[BeamVisit]:
    """Return every visit the actor may see."""
    seen = Q(allocation__request__proposal__in=_mine(actor).values("proposal"))
    if serves(actor):
        seen |= Q(beamline__facility__owner_id=actor.organisation_id)
    return _shown(actor).filter(seen)


def get_visit(actor: Actor, number: str) -> BeamVisit:
    """Return a visit the actor may see. Raises NotFound."""
    found = visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def get_confided(actor: Actor, number: str) -> BeamVisit:
    """Return a visit whose results the actor may read. Raises NotFound."""
    found = visible_to(actor).filter(_told(actor), number=number).first()
    if found is None:
        raise NotFound
    return found


def is_team(actor: Actor, visit: BeamVisit) -> bool:
    """Say whether the actor is in the visit's team."""
    return _mine(actor).filter(proposal_id=visit.allocation.request.proposal_id).exists()


def told_of(actor: Actor, visit_ids: Iterable[int]) -> set[int]:
    """Return of which of these visits the actor may read what each is about and whose it is. One query."""
    return set(BeamVisit.objects.filter(_told(actor), pk__in=list(visit_ids)).values_list("pk", flat=True))


def knows_addresses(actor: Actor, visit: BeamVisit) -> bool:
    """Say whether the actor may read the team's addresses: as one of it, or as staff who enter its training."""
    theirs = visit.beamline.facility.owner_id == actor.organisation_id and any(actor.may(one) for one in TRAINING)
    return theirs or is_team(actor, visit)


def by_mail(visit: BeamVisit) -> bool:
    """Say whether a visit is run with samples that were sent in and nobody of the team."""
    return visit.allocation.request.by_mail and not visit.participants.exists()


def team_of(visit: BeamVisit) -> QuerySet[TeamMember]:
    """Return who is in the visit's team, the leader first."""
    joined = TeamMember.objects.filter(
        proposal_id=visit.allocation.request.proposal_id, state=InvitationState.JOINED.value
    )
    return joined.select_related("user", "organisation").order_by("-is_leader", "pk")


def get_member(visit: BeamVisit, email: str) -> TeamMember:
    """Return who is in a visit's team under an address. Raises NotFound."""
    found = team_of(visit).filter(email__iexact=email).first()
    if found is None:
        raise NotFound(field="email")
    return found


def get_facility(actor: Actor, code: str) -> Facility:
    """Return a facility the actor works for. Raises NotFound."""
    found = Facility.objects.filter(code=code, owner_id=actor.organisation_id).first() if serves(actor) else None
    if found is None:
        raise NotFound(field="facility")
    return found


def get_reported(actor: Actor, code: str) -> Facility:
    """Return a facility whose figures the actor may read: of its own organisation, or any as the department.

    Raises NotFound.
    """
    if not any(actor.may(one) for one in DEPARTMENT):
        return get_facility(actor, code)
    found = Facility.objects.filter(code=code).first()
    if found is None:
        raise NotFound(field="facility")
    return found


def may_read_figures(actor: Actor | None, facility: Facility) -> bool:
    """Say whether the actor may read a facility's figures: as its staff, or as the department."""
    if actor is None:
        return False
    if any(actor.may(one) for one in DEPARTMENT):
        return True
    return facility.owner_id == actor.organisation_id and any(actor.may(one) for one in STAFF)


def get_line(facility: Facility, code: str) -> Beamline:
    """Return one of a facility's beamlines. Raises NotFound."""
    found = Beamline.objects.select_related("facility", "resource").filter(facility=facility, code=code).first()
    if found is None:
        raise NotFound(field="beamline")
    return found


def get_cycle(facility: Facility, code: str) -> RunCycle:
    """Return one of a facility's run cycles. Raises NotFound."""
    found = RunCycle.objects.filter(facility=facility, code=code).first()
    if found is None:
        raise NotFound(field="cycle")
    return found


def get_loss(actor: Actor, loss_id: int) -> BeamLoss:
    """Return a logged loss at a facility the actor works for. Raises NotFound."""
    rows = BeamLoss.objects.select_related("beamline__facility")
    rows = rows.filter(beamline__facility__owner_id=actor.organisation_id) if serves(actor) else rows.none()
    found = rows.filter(pk=loss_id).first()
    if found is None:
        raise NotFound
    return found


def get_compensation(actor: Actor, number: str) -> Compensation:
    """Return what is listed for a visit the actor may see, by the visit's number. Raises NotFound."""
    rows = Compensation.objects.select_related("visit__beamline")
    found = rows.filter(visit__in=visible_to(actor).filter(number=number)).first()
    if found is None:
        raise NotFound
    return found


def trainings_of(facility: Facility, user_ids: list[int]) -> dict[int, BeamTraining]:
    """Return the safety training people have at a facility, by user. One query."""
    return {one.user_id: one for one in BeamTraining.objects.filter(facility=facility, user_id__in=user_ids)}
