"""Endpoints of partitions for the operator of their cluster: limits, open or closed, prices."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.wire import ActorRequest, Moment, MoneyIn, MoneyOut, Number, StrictIn, Whole, money, problems
from scheduler.resources import access, partitions
from scheduler.resources.models import Partition, Rate
from scheduler.resources.rules import Unit

router = Router(tags=["clusters"])

Limit = Annotated[Whole, Field(ge=0, le=10**9)]


class PartitionTermsIn(StrictIn):
    """What one job may ask at most, and whether jobs are taken. `max_time_s` is whole minutes."""

    max_cards: Limit
    max_cpus: Limit
    max_memory_mb: Limit
    max_time_s: Limit
    is_open: bool


class PartitionTermsOut(Schema):
    name: str
    max_cards: int
    max_cpus: int
    max_memory_mb: int
    max_time_s: int
    is_open: bool


class PartitionPriceIn(StrictIn):
    """The price of a card-hour (core-hour without cards) from `since` on; left out: from now on."""

    amount: MoneyIn
    since: Moment | None = None


class PartitionPriceOut(Schema):
    """A version of the price. Quotes and charges keep the one they were made under."""

    id: int
    amount: MoneyOut
    unit: Unit
    since: datetime
    until: datetime | None


def _price(rate: Rate) -> dict[str, Any]:
    return {
        "id": rate.pk,
        "amount": money(rate.amount_fen),
        "unit": rate.unit,
        "since": rate.valid.lower,
        "until": rate.valid.upper,
    }


def _own(request: ActorRequest, code: str, name: str) -> Partition:
    access.get_managed_cluster(request.actor, code)
    return access.get_partition(code, name)


@router.put("/{code}/partitions/{name}", response={200: PartitionTermsOut, **problems(404, 409)})
def change(request: ActorRequest, code: Number, name: Number, payload: PartitionTermsIn) -> dict[str, Any]:
    """Set what new jobs may ask for; jobs already submitted stay."""
    terms = partitions.PartitionTerms(**payload.dict())
    row = partitions.change_partition(
        actor=request.actor, partition=_own(request, code, name), terms=terms, now=timezone.now()
    )
    return {field: getattr(row, field) for field in PartitionTermsOut.model_fields}


@router.get("/{code}/partitions/{name}/prices", response={200: list[PartitionPriceOut], **problems(404)})
def list_prices(request: ActorRequest, code: Number, name: Number) -> list[dict[str, Any]]:  # noqa: ARG001  public
    """List every price of a partition, the latest first."""
    rows = Rate.objects.filter(partition=access.get_partition(code, name)).order_by("-valid")[:200]
    return [_price(rate) for rate in rows]


@router.post("/{code}/partitions/{name}/prices", response={201: PartitionPriceOut, **problems(404, 409)})
def set_price(request: ActorRequest, code: Number, name: Number, payload: PartitionPriceIn) -> Status[dict[str, Any]]:
    """Announce a price from now or later on; nothing is priced backwards."""
    made = partitions.set_partition_price(
        actor=request.actor,
        partition=_own(request, code, name),
        amount=payload.amount.value(),
        since=payload.since,
        now=timezone.now(),
    )
    return Status(201, _price(made))


@router.delete("/{code}/partitions/{name}/prices/{rate_id}", response={204: None, **problems(404)})
def withdraw_price(request: ActorRequest, code: Number, name: Number, rate_id: int) -> Status[None]:
    """Take back a price that has not begun; the one before it goes on."""
    partitions.withdraw_partition_price(
        actor=request.actor, partition=_own(request, code, name), rate_id=rate_id, now=timezone.now()
    )
    return Status(204, None)
