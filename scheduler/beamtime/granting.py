"""Decide and allocate in one transaction: nothing is decided without its allocation, nothing allocated undecided."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from scheduler.beamtime.models import BeamAllocation
from scheduler.panels import deciding
from scheduler.panels.models import Ranking
from scheduler.proposals.models import BeamProposal

__all__ = ["decide_directly", "decide_list"]


@transaction.atomic
def decide_list(*, actor: Actor, ranking: Ranking, version: int, now: datetime) -> list[BeamAllocation]:
    """Decide a panel's list, as the director, and allocate what it gives. Raises what `panels.deciding.decide` does."""
    given = deciding.decide(actor=actor, ranking_=ranking, version=version, now=now)
    return _allocate(given, actor=actor, now=now)


@transaction.atomic
def decide_directly(
    *, actor: Actor, proposal: BeamProposal, choice: deciding.Direct, now: datetime
) -> list[BeamAllocation]:
    """Decide a request that no panel grades, as the director, and allocate. Raises what `decide_direct` does."""
    given = deciding.decide_direct(actor=actor, proposal=proposal, choice=choice, now=now)
    return _allocate(given, actor=actor, now=now)


def _allocate(given: Iterable[deciding.Given], *, actor: Actor, now: datetime) -> list[BeamAllocation]:
    return [
        BeamAllocation.objects.create(
            request_id=one.request_id,
            pool=one.pool.value,
            shifts=one.shifts,
            reason=one.reason[:500],
            given_by_id=actor.user_id,
            given_at=now,
        )
        for one in given
    ]
