"""How an order's advance looks on the wire."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ninja import Schema

from portal.wire import MoneyOut, money
from vouchers.offers import queries
from vouchers.offers.models import Order
from vouchers.payments.rules import PaymentState

__all__ = ["OrderAdvanceOut", "advance_out"]


class OrderAdvanceOut(Schema):
    """What is paid before delivery begins. `payment` is its number under ``/payments``; `owed_back` is to go back."""

    payment: str
    state: PaymentState
    amount: MoneyOut
    paid: MoneyOut
    owed_back: MoneyOut
    due_until: datetime | None


def advance_out(order: Order) -> dict[str, Any] | None:
    """Return what was asked for in advance of an order; no query where `access` reached it."""
    found = queries.advance(order)
    return (
        None
        if found is None
        else {
            "payment": found.number,
            "state": found.state,
            "amount": money(found.amount_fen),
            "paid": money(found.paid_fen),
            "owed_back": money(found.owed_back_fen),
            "due_until": found.due_until,
        }
    )
