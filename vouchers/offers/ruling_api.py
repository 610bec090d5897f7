"""Endpoints of disputes: object to a delivery, and the department's ruling."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils import timezone
from ninja import Router
from pydantic import Field

from portal.wire import ActorRequest, Number, problems
from vouchers.offers import access, disputes
from vouchers.offers.api import OrderLineIn
from vouchers.offers.order_api import OrderNoteIn, OrderOut, shown_again

router = Router(tags=["orders"])


class CountedIn(OrderNoteIn):
    """Why, and how much of the delivery is accepted or counts; without `quantities`, nothing is said or all counts."""

    quantities: Annotated[list[OrderLineIn], Field(max_length=50)] | None = None


@router.post("/{number}/dispute", response={200: OrderOut, **problems(404, 409)})
def dispute(request: ActorRequest, number: Number, payload: CountedIn) -> dict[str, Any]:
    """Object to a delivery, with a reason: no deadline runs until the provider answers or the department rules."""
    stated = None if payload.quantities is None else [line.value() for line in payload.quantities]
    order = access.get_own(request.actor, number)
    disputes.dispute(actor=request.actor, order=order, note=payload.note, quantities=stated, now=timezone.now())
    return shown_again(request, number)


@router.post("/{number}/ruling", response={200: OrderOut, **problems(404, 409)})
def rule(request: ActorRequest, number: Number, payload: CountedIn) -> dict[str, Any]:
    """Rule on a disputed order as the department whose voucher pays it; quantities of zero end it and free the money."""
    stated = None if payload.quantities is None else [line.value() for line in payload.quantities]
    order = access.get_order(request.actor, number)
    disputes.rule(actor=request.actor, order=order, note=payload.note, quantities=stated, now=timezone.now())
    return shown_again(request, number)
