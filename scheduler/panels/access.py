"""Reach what is judged: staff see their facility's, a reviewer only what is assigned to her, a team its own answers.

Proposals of confidential kinds reach no reviewer at all.
"""

from __future__ import annotations

from typing import TypeVar

from django.db.models import Model, Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.facilities.models import Facility
from scheduler.panels.models import Appeal, Grading, Panel, Panelist, Ranking
from scheduler.proposals.access import SERVING, in_team
from scheduler.proposals.models import BeamProposal, ProposalCall

__all__ = [
    "appeals_of",
    "get_appeal",
    "get_call",
    "get_own",
    "get_panel",
    "get_proposal",
    "get_ranking",
    "get_review",
    "heads",
    "is_panelist",
    "panels_of",
    "proposals_of",
    "rankings_of",
    "require",
    "reviews_of",
    "teams_of",
]

Row = TypeVar("Row", bound=Model)
P = Permission
STAFF = (P.PROPOSAL_ASSESS, P.PROPOSAL_CLEAR, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
HEADS = (P.FACILITY_MANAGE, P.FACILITY_DECIDE)
UNSENT = ("draft", "withdrawn")


def require(actor: Actor, facility: Facility, *permissions: Permission) -> None:
    """Raise Forbidden unless the actor works for the facility and holds one of the permissions."""
    if actor.organisation_id != facility.owner_id or not any(actor.may(one) for one in permissions):
        raise Forbidden


def heads(actor: Actor) -> bool:
    """Say whether the actor runs or decides anything: the user office and the director."""
    return any(actor.may(one) for one in HEADS)


def proposals_of(actor: Actor) -> QuerySet[BeamProposal]:
    """Return what was sent to the facilities the actor works for as staff; confidential ones to who serves them."""
    if not any(actor.may(one) for one in STAFF):
        return BeamProposal.objects.none()
    found = BeamProposal.objects.filter(facility__owner_id=actor.organisation_id).exclude(state__in=UNSENT)
    if not any(actor.may(one) for one in SERVING):
        found = found.filter(is_confidential=False)
    return found.select_related("facility", "call", "organisation")


def get_proposal(actor: Actor, number: str) -> BeamProposal:
    """Return a proposal that staff may judge. Raises NotFound."""
    return _found(proposals_of(actor).filter(number=number).first())


def get_call(actor: Actor, number: str) -> ProposalCall:
    """Return a call of a facility the actor's office runs. Raises NotFound."""
    found = ProposalCall.objects.filter(number=number, facility__owner_id=actor.organisation_id)
    if not heads(actor):
        raise NotFound
    return _found(found.select_related("facility", "cycle").first())


def panels_of(actor: Actor) -> QuerySet[Panel]:
    """Return the panels of the facilities the actor runs, and those whose chair she is."""
    seen = Q(panelists__user_id=actor.user_id, panelists__is_chair=True, panelists__left_at__isnull=True)
    if heads(actor):
        seen |= Q(facility__owner_id=actor.organisation_id)
    found = Panel.objects.filter(pk__in=Panel.objects.filter(seen).values("pk"))
    return found.select_related("facility", "call__cycle").order_by("-pk")


def get_panel(actor: Actor, number: int) -> Panel:
    """Return a panel the actor runs or chairs. Raises NotFound."""
    return _found(panels_of(actor).filter(pk=number).first())


def rankings_of(actor: Actor) -> QuerySet[Ranking]:
    """Return the lists of those panels."""
    return Ranking.objects.filter(panel__in=panels_of(actor).values("pk")).select_related(
        "panel__facility", "panel__call__cycle", "beamline__resource", "proposed_by", "decided_by"
    )


def get_ranking(actor: Actor, number: int) -> Ranking:
    """Return a list of a panel the actor runs or chairs. Raises NotFound."""
    return _found(rankings_of(actor).filter(pk=number).first())


def is_panelist(user_id: int | None) -> bool:
    """Say whether the person sits on any panel now."""
    return Panelist.objects.filter(user_id=user_id, left_at__isnull=True).exists() if user_id else False


def reviews_of(actor: Actor) -> QuerySet[Grading]:
    """Return what the person was asked to grade, the open ones first: never of a confidential kind."""
    return (
        Grading.objects.filter(
            panelist__user_id=actor.person, panelist__left_at__isnull=True, proposal__is_confidential=False
        )
        .exclude(proposal__state="withdrawn")
        .select_related(
            "panelist__panel", "panelist__user", "proposal__facility", "proposal__call", "proposal__organisation"
        )
    )


def get_review(actor: Actor, number: int) -> Grading:
    """Return one's own part in judging a proposal. Raises NotFound."""
    return _found(reviews_of(actor).filter(pk=number).first())


def teams_of(actor: Actor) -> QuerySet[BeamProposal]:
    """Return the proposals in whose team the person is, for the organisation she acts for: who left it reads no more."""
    return BeamProposal.objects.filter(in_team(actor)).select_related("facility", "call", "organisation")


def get_own(actor: Actor, number: str) -> BeamProposal:
    """Return a proposal of one's own team. Raises NotFound."""
    return _found(teams_of(actor).filter(number=number).first())


def appeals_of(actor: Actor) -> QuerySet[Appeal]:
    """Return the appeals to the facilities the actor runs, and those of her own teams."""
    seen = Q(proposal__in=teams_of(actor).values("pk"))
    if heads(actor):
        seen |= Q(proposal__facility__owner_id=actor.organisation_id)
    return Appeal.objects.filter(seen).select_related("proposal__facility", "by", "answered_by")


def get_appeal(actor: Actor, number: int) -> Appeal:
    """Return an appeal the actor may answer or has made. Raises NotFound."""
    return _found(appeals_of(actor).filter(pk=number).first())


def _found(row: Row | None) -> Row:
    if row is None:
        raise NotFound
    return row
