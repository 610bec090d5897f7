"""How a charge looks on the wire: shared by bookings and jobs."""

from __future__ import annotations

from typing import Any

from ninja import Schema

from portal.kernel.actors import Actor
from portal.wire import MoneyOut, money
from vouchers.charges.models import Charge, ChargePart
from vouchers.charges.rules import ChargeState

__all__ = ["ChargeOut", "charged"]


class PartOut(Schema):
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
    vouchers: list[PartOut]
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
