"""How a charge looks on the wire: shared by bookings and jobs."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Actor
from portal.wire import (
    ActorRequest,
    Block,
    IdempotencyKey,
    MoneyIn,
    MoneyOut,
    Number,
    StrictIn,
    key_from,
    money,
    problems,
)
from vouchers.charges import access, refunding
from vouchers.charges.models import Charge, ChargePart
from vouchers.charges.rules import ChargeState

__all__ = ["ChargeOut", "charged", "router"]

router = Router(tags=["charges"])


class ChargePartOut(Schema):
    """What one voucher pays, in the order they burn."""

    voucher: str
    held: MoneyOut
    captured: MoneyOut
    refunded: MoneyOut


class ChargeOut(Schema):
    """One price and who pays which part of it.

    `voucher_held` + `own_held` = `price`; once captured, `voucher_captured` + `own_captured` = `actual`. `waived` is
    measured use above the held price: never charged. `voucher` (the first) and `vouchers` are told to the payer only.
    `refunded_*` was given back after the capture.
    """

    number: str
    state: ChargeState
    state_label: str
    unit: str
    unit_price: MoneyOut
    price: MoneyOut
    voucher: str | None
    vouchers: list[ChargePartOut]
    voucher_held: MoneyOut
    own_held: MoneyOut
    actual: MoneyOut | None
    voucher_captured: MoneyOut
    own_captured: MoneyOut
    waived: MoneyOut
    voucher_refunded: MoneyOut
    own_refunded: MoneyOut


def charged(charge: Charge | None, *, actor: Actor) -> dict[str, Any] | None:
    """Return a charge as `actor` may see it."""
    if charge is None:
        return None
    own = charge.payer_id == actor.organisation_id
    return {
        "number": charge.number,
        "state": charge.state,
        "state_label": charge.get_state_display(),
        "unit": charge.quote["unit"],
        "unit_price": money(charge.quote["unit_price_fen"]),
        "price": money(charge.price_fen),
        "voucher": charge.voucher.number if charge.voucher and own else None,
        "vouchers": [_part(part) for part in charge.parts.all()] if own else [],
        "voucher_held": money(charge.voucher_held_fen),
        "own_held": money(charge.own_held_fen),
        "actual": None if charge.actual_fen is None else money(charge.actual_fen),
        "voucher_captured": money(charge.voucher_captured_fen),
        "own_captured": money(charge.own_captured_fen),
        "waived": money(charge.waived_fen),
        "voucher_refunded": money(charge.voucher_refunded_fen),
        "own_refunded": money(charge.own_refunded_fen),
    }


def _part(part: ChargePart) -> dict[str, Any]:
    return {
        "voucher": part.voucher.number,
        "held": money(part.held_fen),
        "captured": money(part.captured_fen),
        "refunded": money(part.refunded_fen),
    }


class RefundIn(StrictIn):
    """What is given back of a captured charge, and why; the payer reads it."""

    amount: MoneyIn
    reason: Annotated[Block, Field(max_length=200)]


class RefundOut(Schema):
    """`voucher` + `own` = `amount`; `lapsed` of the vouchers' part went to programmes, since the voucher is over."""

    number: str
    charge: str
    amount: MoneyOut
    voucher: MoneyOut
    own: MoneyOut
    lapsed: MoneyOut
    reason: str


@router.post("/{number}/refund", response={201: RefundOut, **problems(404, 409)})
def refund(request: ActorRequest, number: Number, payload: RefundIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Give part or all of a captured charge back, as its provider: to the vouchers and the payer it came from."""
    made = refunding.refund(
        actor=request.actor,
        charge=access.get_charge(request.actor, number),
        amount=payload.amount.value(),
        reason=payload.reason,
        now=timezone.now(),
        key=key_from(key),
    )
    return Status(
        201,
        {
            "number": made.number,
            "charge": made.charge.number,
            "amount": money(made.amount_fen),
            "voucher": money(made.voucher_fen),
            "own": money(made.own_fen),
            "lapsed": money(made.lapsed_fen),
            "reason": made.reason,
        },
    )
