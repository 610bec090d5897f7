"""Endpoints of the director's decisions: what is decided is allocated at once."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.wire import ActorRequest, Block, Number, StrictIn, Whole, problems
from scheduler.beamtime import granting
from scheduler.beamtime.models import BeamAllocation
from scheduler.facilities.shares import Pool
from scheduler.panels import access, deciding
from scheduler.panels.schemas import Id, RankingStepIn

rankings = Router(tags=["panels"])
router = Router(tags=["panels"])


class BeamGrantIn(StrictIn):
    """What a request gets that no panel grades; 0 shifts: refused. `pool` null: that of its kind. The team reads `to_team`."""

    beamline: Number
    shifts: Annotated[Whole, Field(ge=0, le=999)]
    to_team: Annotated[Block, Field(min_length=1, max_length=1000)]
    pool: Pool | None = None
    cycle: Number | None = None
    """The run cycle's code; needed where the proposal waits for several on the beamline."""


class BeamGrantOut(Schema):
    """Shifts given to a request from a pool."""

    proposal: str
    beamline: str
    pool: Pool
    shifts: int
    reason: str


class BeamGrantsOut(Schema):
    """What a decision gave; nothing where it refused."""

    given: list[BeamGrantOut]


def _shown(rows: list[BeamAllocation]) -> dict[str, Any]:
    found = BeamAllocation.objects.filter(pk__in=[row.pk for row in rows])
    return {
        "given": [
            {
                "proposal": row.request.proposal.number,
                "beamline": row.request.beamline.code,
                "pool": row.pool,
                "shifts": row.shifts,
                "reason": row.reason,
            }
            for row in found.select_related("request__proposal", "request__beamline")
        ]
    }


@rankings.post("/{number}/decide", response={200: BeamGrantsOut, **problems(404, 409)})
def decide_ranking(request: ActorRequest, number: Id, payload: RankingStepIn) -> dict[str, Any]:
    """Decide a proposed list as it is, as a director who did not propose it; allocations are given with it."""
    row = access.get_ranking(request.actor, number)
    return _shown(granting.decide_list(actor=request.actor, ranking=row, version=payload.version, now=timezone.now()))


@router.post("/{number}", response={201: BeamGrantsOut, **problems(404, 409)})
def grant(request: ActorRequest, number: Number, payload: BeamGrantIn) -> Status[dict[str, Any]]:
    """Decide a request of a kind that no panel grades: urgent, rapid, partner."""
    row = access.get_proposal(request.actor, number)
    choice = deciding.Direct(payload.beamline, payload.shifts, payload.to_team, payload.pool, payload.cycle or "")
    made = granting.decide_directly(actor=request.actor, proposal=row, choice=choice, now=timezone.now())
    return Status(201, _shown(made))
