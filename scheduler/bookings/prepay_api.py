"""Endpoints of when the own share of an instrument's bookings is paid, and how an advance looks on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from portal.kernel.money import Money
from portal.wire import ActorRequest, MoneyOut, Number, StrictIn, Whole, money, problems
from scheduler.bookings import bundles, prepaid
from scheduler.bookings.models import Booking, BookingTerms
from scheduler.resources import access as resources
from vouchers.payments.rules import Collect

__all__ = ["AdvanceOut", "advance_out", "pay_out", "router"]

router = Router(tags=["instruments"])


class AdvanceOut(Schema):
    """What is paid in advance. `payment` is its number under ``/payments``; `owed_back` is to go back to the payer."""

    payment: str
    state: str
    amount: MoneyOut
    paid: MoneyOut
    owed_back: MoneyOut
    due_until: datetime | None


def advance_out(booking: Booking) -> dict[str, Any] | None:
    """Return what was asked for in advance. One query, none where nothing can have been."""
    found = prepaid.advance_of(booking)
    return found and {
        "payment": found.number,
        "state": found.state,
        "amount": money(Money(found.amount_fen)),
        "paid": money(Money(found.paid_fen)),
        "owed_back": money(Money(found.owed_back_fen)),
        "due_until": found.due_until,
    }


def pay_out(terms: BookingTerms | None, wanted: bundles.Wanted, *, own: Money, now: datetime) -> dict[str, Any]:
    """Return when the own share of what is wanted would be paid."""
    agreed = prepaid.agreed(terms, wanted, own=own, hold_until=None, now=now)
    return {"collect": agreed.collect, "pay_by": agreed.pay_by}


class PaymentTermsIn(StrictIn):
    """When the own share of a booking is paid: ``after`` measuring, or ``before``, while the booking is held.

    It waits `hold_minutes` for money paid online, or `transfer_hold_hours` for a bank transfer; 0 takes none in advance.
    """

    collect: Collect = Collect.AFTER
    hold_minutes: Annotated[Whole, Field(ge=5, le=120)] = 10
    transfer_hold_hours: Annotated[Whole, Field(ge=0, le=240)] = 0


class PaymentTermsOut(Schema):
    """What holds for new bookings."""

    collect: Collect
    hold_minutes: int
    transfer_hold_hours: int


def _paid(row: BookingTerms | None) -> dict[str, Any]:
    kept = prepaid.pay_terms(row)
    return {
        "collect": kept.collect,
        "hold_minutes": kept.hold_s // 60,
        "transfer_hold_hours": kept.transfer_hold_s // 3600,
    }


@router.get("/{number}/payment-terms", response={200: PaymentTermsOut, **problems(404)})
def get_payment_terms(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return when the own share of an instrument's bookings is paid."""
    return _paid(bundles.terms_of(resources.get_instrument(request.actor, number)))


@router.put("/{number}/payment-terms", response={200: PaymentTermsOut, **problems(404)})
def set_payment_terms(request: ActorRequest, number: Number, payload: PaymentTermsIn) -> dict[str, Any]:
    """Set it, as the lab, from now on; bookings already made keep what was agreed."""
    resource = resources.get_own_instrument(request.actor, number)
    wanted = prepaid.PayTerms(payload.collect, payload.hold_minutes * 60, payload.transfer_hold_hours * 3600)
    return _paid(prepaid.set_pay_terms(actor=request.actor, resource=resource, terms=wanted, now=timezone.now()))
