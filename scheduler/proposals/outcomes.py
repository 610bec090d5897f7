"""Move proposals and their requests by what staff, panel and director found: always under the proposal's lock."""

from __future__ import annotations

from collections.abc import Iterable

from portal.kernel.states import next_state
from scheduler.proposals import rules
from scheduler.proposals.models import BeamProposal, BeamRequest

__all__ = ["lock", "lock_requests", "move", "move_request"]


def lock(pks: Iterable[int]) -> list[BeamProposal]:
    """Lock proposals, in the order of their keys; with facility and call. Before their requests."""
    return list(
        BeamProposal.objects.select_for_update(no_key=True, of=("self",))
        .select_related("facility", "call", "organisation")
        .filter(pk__in=list(pks))
        .order_by("pk")
    )


def lock_requests(pks: Iterable[int]) -> list[BeamRequest]:
    """Lock requests, in the order of their keys; after their proposals."""
    return list(
        BeamRequest.objects.select_for_update(no_key=True, of=("self",))
        .select_related("beamline__resource", "cycle")
        .filter(pk__in=list(pks))
        .order_by("pk")
    )


def move(proposal: BeamProposal, action: rules.BeamProposalAction) -> None:
    """Move a locked proposal and raise its version; the caller saves. Raises InvalidTransition."""
    proposal.state = next_state(rules.TRANSITIONS, rules.BeamProposalState(proposal.state), action).value
    proposal.version += 1


def move_request(request: BeamRequest, action: rules.RequestAction) -> None:
    """Move a locked request; the caller saves. Raises InvalidTransition."""
    request.state = next_state(rules.REQUEST_TRANSITIONS, rules.RequestState(request.state), action).value
    if action is rules.RequestAction.ALLOCATE:
        # Given time after all, from the reserve list: what went on into the next cycle has waited for nothing (E3).
        BeamRequest.objects.filter(carried_from_id=request.pk).update(waited=0)
