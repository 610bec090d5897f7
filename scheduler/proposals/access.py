"""Reach calls and proposals: a team its own, an organisation its open ones, a facility's staff what was sent to it."""

from __future__ import annotations

import hashlib
from datetime import datetime

from django.db.models import Exists, OuterRef, Prefetch, Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.facilities.models import Facility
from scheduler.proposals import rules
from scheduler.proposals.models import BeamProposal, BeamRequest, ProposalCall, TeamMember

__all__ = [
    "SERVING",
    "STAFF",
    "by_link",
    "digest",
    "get_call",
    "get_call_to_manage",
    "get_checked",
    "get_facility",
    "get_led",
    "get_managed",
    "get_own",
    "get_proposal",
    "in_team",
    "is_office",
    "is_team",
    "managed_facilities",
    "membership",
    "own_proposals",
    "published_calls",
    "readable_call",
    "served_proposals",
    "state_of",
    "visible_to",
    "with_shifts",
]

STAFF = (
    Permission.FACILITY_MANAGE,
    Permission.BEAMTIME_PLAN,
    Permission.BEAMTIME_RUN,
    Permission.PROPOSAL_ASSESS,
    Permission.PROPOSAL_CLEAR,
    Permission.FACILITY_DECIDE,
)
"""Who serves the proposals of a facility, at the organisation that owns it."""
SERVING = (
    Permission.FACILITY_MANAGE,
    Permission.PROPOSAL_ASSESS,
    Permission.PROPOSAL_CLEAR,
    Permission.BEAMTIME_RUN,
)
"""Who of them serves confidential ones: planners see shifts and directors decide others, neither reads what they are about."""
RELATED = ("facility", "facility__owner", "call__cycle", "organisation", "partner", "partner_part")


def in_team(actor: Actor) -> Q:
    """Match the teams a person has joined for the organisation she acts for: who acts for another is not of the team."""
    joined = TeamMember.objects.filter(
        proposal=OuterRef("pk"),
        user_id=actor.user_id or 0,
        organisation_id=actor.organisation_id or 0,
        state=rules.InvitationState.JOINED.value,
    )
    return Q(Exists(joined))


def own_proposals(actor: Actor) -> QuerySet[BeamProposal]:
    """Return the proposals of the person's teams, and those of the organisation that are not confidential. Raises Forbidden."""
    actor.require(Permission.PROPOSAL_SUBMIT)
    ours = Q(organisation_id=actor.acting_for, is_confidential=False)
    return BeamProposal.objects.filter(ours | in_team(actor)).select_related(*RELATED)


def served_proposals(actor: Actor) -> QuerySet[BeamProposal]:
    """Return what was sent to the facilities of the actor's organisation, drafts never; confidential ones to who serves
    them. Raises Forbidden.
    """
    if not any(actor.may(one) for one in STAFF):
        raise Forbidden
    return BeamProposal.objects.filter(_served(actor)).select_related(*RELATED)


def _served(actor: Actor) -> Q:
    """Match what was sent to the facilities of the actor's organisation and she serves."""
    found = Q(facility__owner_id=actor.organisation_id, sent_at__isnull=False)
    if not any(actor.may(one) for one in SERVING):
        found &= Q(is_confidential=False)
    return found


def visible_to(actor: Actor) -> QuerySet[BeamProposal]:
    """Return every proposal the actor may see."""
    seen = in_team(actor)
    if actor.may(Permission.PROPOSAL_SUBMIT):
        seen |= Q(organisation_id=actor.organisation_id, is_confidential=False)
    if any(actor.may(one) for one in STAFF):
        seen |= _served(actor)
    return BeamProposal.objects.filter(seen).select_related(*RELATED)


def get_proposal(actor: Actor, number: str) -> BeamProposal:
    """Return a proposal the actor may see. Raises NotFound."""
    found = visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def is_team(actor: Actor, proposal: BeamProposal) -> bool:
    """Say whether the person has joined the team, for the organisation she acts for."""
    return membership(actor, proposal) is not None


def membership(actor: Actor, proposal: BeamProposal) -> TeamMember | None:
    """Return the person's place in the team, joined for the organisation she acts for."""
    joined = proposal.team.filter(state=rules.InvitationState.JOINED.value)
    return joined.filter(user_id=actor.user_id or 0, organisation_id=actor.organisation_id or 0).first()


def is_office(actor: Actor, proposal: BeamProposal) -> bool:
    return actor.may(Permission.FACILITY_MANAGE) and proposal.facility.owner_id == actor.organisation_id


def get_own(actor: Actor, number: str) -> BeamProposal:
    """Return a proposal of one of the person's teams. Raises NotFound, Forbidden."""
    actor.require(Permission.PROPOSAL_SUBMIT)
    found = get_proposal(actor, number)
    if not is_team(actor, found):
        raise Forbidden
    return found


def get_led(actor: Actor, number: str) -> BeamProposal:
    """Return a proposal of one of the person's teams, or one sent to her user office. Raises NotFound, Forbidden."""
    found = get_proposal(actor, number)
    return found if is_office(actor, found) else get_own(actor, number)


def get_checked(actor: Actor, number: str) -> BeamProposal:
    """Return a proposal that was sent to a facility of the actor's user office. Raises NotFound, Forbidden."""
    actor.require(Permission.FACILITY_MANAGE)
    found = served_proposals(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def published_calls() -> QuerySet[ProposalCall]:
    """Return every published call of a published facility: anybody may read them."""
    found = ProposalCall.objects.filter(is_published=True, facility__is_published=True)
    return found.select_related("facility", "cycle")


def managed_facilities(actor: Actor) -> QuerySet[Facility]:
    """Return the facilities whose user office the actor runs. Raises Forbidden."""
    actor.require(Permission.FACILITY_MANAGE)
    return Facility.objects.filter(owner_id=actor.acting_for)


def get_managed(actor: Actor, code: str) -> Facility:
    """Return a facility whose user office the actor runs. Raises NotFound, Forbidden."""
    found = managed_facilities(actor).filter(code=code).first()
    if found is None:
        raise NotFound
    return found


def get_facility(code: str) -> Facility:
    """Return a published facility. Raises NotFound."""
    found = Facility.objects.filter(code=code, is_published=True).first()
    if found is None:
        raise NotFound
    return found


def get_call(number: str) -> ProposalCall:
    """Return a published call. Raises NotFound."""
    found = published_calls().filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def get_call_to_manage(actor: Actor, number: str) -> ProposalCall:
    """Return a call of a facility whose user office the actor runs. Raises NotFound, Forbidden."""
    managed = managed_facilities(actor)
    found = ProposalCall.objects.filter(facility__in=managed, number=number).select_related("facility", "cycle").first()
    if found is None:
        raise NotFound
    return found


def readable_call(actor: Actor, number: str) -> ProposalCall:
    """Return a published call, or any of a facility whose user office the actor runs. Raises NotFound."""
    seen = Q(is_published=True, facility__is_published=True)
    if actor.may(Permission.FACILITY_MANAGE):
        seen |= Q(facility__owner_id=actor.organisation_id)
    found = ProposalCall.objects.filter(seen, number=number).select_related("facility", "cycle").first()
    if found is None:
        raise NotFound
    return found


def state_of(call: ProposalCall, *, now: datetime) -> str:
    """Return ``draft``, ``coming``, ``open`` or ``closed``."""
    if not call.is_published:
        return "draft"
    return "coming" if now < call.during.lower else "open" if now < call.during.upper else "closed"


def digest(secret: str) -> str:
    """Return what is stored of an invitation's link."""
    return hashlib.sha256(secret.encode()).hexdigest()


def by_link(secret: str) -> TeamMember:
    """Return the invitation a link leads to. Raises NotFound for one that is unknown or no more open."""
    found = (
        TeamMember.objects.filter(digest=digest(secret), state=rules.InvitationState.INVITED.value)
        .select_related("proposal__facility", "proposal__organisation")
        .first()
    )
    if not secret or found is None:
        raise NotFound
    return found


def with_shifts(found: QuerySet[BeamProposal]) -> QuerySet[BeamProposal]:
    """Return proposals with their requests, beamlines and leaders read along: two more queries, however many."""
    asked = BeamRequest.objects.select_related("beamline__resource", "cycle")
    leaders = TeamMember.objects.filter(is_leader=True).select_related("user")
    return found.prefetch_related(
        Prefetch("requests", queryset=asked), Prefetch("team", queryset=leaders, to_attr="leaders")
    )
