"""Endpoints of computing granted to enterprises."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.errors import NotFound
from portal.organisations import access as people
from portal.wire import (
    ActorRequest,
    Cursor,
    IdempotencyKey,
    Line,
    Moment,
    Number,
    PageOut,
    PeriodIn,
    PeriodOut,
    StrictIn,
    Whole,
    key_from,
    paged,
    problems,
)
from scheduler.allocations import access, queries, services
from scheduler.allocations.models import Allocation
from scheduler.allocations.rules import MOST_CARDS, MOST_HOURS, Amounts, Standing
from scheduler.resources import access as resources

router = Router(tags=["jobs"])

CardHours = Annotated[Whole, Field(ge=0, le=MOST_HOURS)] | None
Cards = Annotated[Whole, Field(ge=0, le=MOST_CARDS)] | None


class AllocationAmountsIn(StrictIn):
    """Card-hours of the whole period and cards at once; null sets no bound, one of the two is needed."""

    card_hours: CardHours = None
    cards: Cards = None

    def amounts(self) -> Amounts:
        """Return the rules' value."""
        return Amounts(None if self.card_hours is None else self.card_hours * 3600, self.cards)


class AllocationIn(AllocationAmountsIn):
    """What an enterprise is granted. Without `cluster` and `partition`: on all of them; without `programme`: whoever pays."""

    name: Annotated[Line, Field(min_length=1, max_length=60)]
    credit_code: Annotated[Line, Field(min_length=1, max_length=30)]
    programme: Annotated[Line, Field(max_length=60)] = ""
    cluster: Number | None = None
    partition: Number | None = None
    period: PeriodIn


class AllocationChangeIn(AllocationAmountsIn):
    """What is granted from now on, and until when."""

    until: Moment


class ComputeAllocationOut(Schema):
    """A grant and where it stands: `held_card_s` is what jobs that have not ended may use at most.

    `left_card_s` and `cards_left` are null where there is no bound.
    """

    number: str
    name: str
    organisation: str
    programme: str
    cluster: str | None
    partition: str | None
    period: PeriodOut
    ended_at: datetime | None
    granted_by: str
    card_s: int | None
    used_card_s: int
    held_card_s: int
    left_card_s: int | None
    cards: int | None
    cards_running: int
    cards_waiting: int
    cards_left: int | None


def _shown(row: Allocation, found: Standing | None = None) -> dict[str, Any]:
    found = found or queries.standings([row])[row.pk]
    return {
        "number": row.number,
        "name": row.name,
        "organisation": row.organisation.name,
        "programme": row.programme_code,
        "cluster": row.partition.cluster.code if row.partition else None,
        "partition": row.partition.name if row.partition else None,
        "period": {"starts_at": row.during.lower, "ends_at": row.during.upper},
        "ended_at": row.ended_at,
        "granted_by": row.granted_by.name,
        "card_s": row.card_s,
        "used_card_s": found.used_s,
        "held_card_s": found.held_s,
        "left_card_s": found.left_s,
        "cards": row.cards,
        "cards_running": found.running,
        "cards_waiting": found.waiting,
        "cards_left": found.cards_left,
    }


@router.get("", response={200: PageOut[ComputeAllocationOut], **problems()})
def list_allocations(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what the caller granted, or was granted."""
    page = paged(access.visible_to(request.actor), wanted, lambda row: row)
    standings = queries.standings(page["items"])
    return {**page, "items": [_shown(row, standings[row.pk]) for row in page["items"]]}


@router.post("", response={201: ComputeAllocationOut, **problems(404, 409)})
def grant_allocation(request: ActorRequest, payload: AllocationIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Grant card-hours or cards to an enterprise."""
    partition = None
    if payload.cluster and payload.partition:
        partition = resources.get_partition(payload.cluster, payload.partition)
    elif payload.cluster or payload.partition:
        raise NotFound(field="partition")
    wanted = services.Wanted(
        name=payload.name,
        organisation=people.by_credit_code(payload.credit_code),
        amounts=payload.amounts(),
        period=payload.period.value(),
        programme_code=payload.programme,
        partition=partition,
    )
    row = services.grant(actor=request.actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, _shown(access.get_managed(request.actor, row.number)))


@router.get("/{number}", response={200: ComputeAllocationOut, **problems(404)})
def get_allocation(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one grant and where it stands."""
    return _shown(access.get_allocation(request.actor, number))


@router.put("/{number}", response={200: ComputeAllocationOut, **problems(404, 409)})
def change_allocation(request: ActorRequest, number: Number, payload: AllocationChangeIn) -> dict[str, Any]:
    """Change what is granted and until when; jobs already accepted stay."""
    services.change(
        actor=request.actor,
        allocation=access.get_managed(request.actor, number),
        amounts=payload.amounts(),
        until=payload.until,
        now=timezone.now(),
    )
    return _shown(access.get_managed(request.actor, number))


@router.post("/{number}/end", response={200: ComputeAllocationOut, **problems(404)})
def end_allocation(request: ActorRequest, number: Number) -> dict[str, Any]:
    """End a grant: it bounds nothing from now on."""
    services.end(actor=request.actor, allocation=access.get_managed(request.actor, number), now=timezone.now())
    return _shown(access.get_managed(request.actor, number))
