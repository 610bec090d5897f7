"""How a charge looks on the wire: shared by bookings and jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Actor, Permission
from portal.wire import (
    ActorRequest,
    Block,
    IdempotencyKey,
    Line,
    MoneyIn,
    MoneyOut,
    Number,
    StrictIn,
    key_from,
    money,
    problems,
)
from vouchers.charges import access, proposing, reasons, refunding
from vouchers.charges.models import Charge, ChargePart, ChargeProposal
from vouchers.charges.proposal_rules import ChargeProposalKind, ProposalState
from vouchers.charges.rules import ChargeState

__all__ = ["ChargeOut", "ChargeProposalOut", "charged", "proposed", "router"]

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
    """What is given back of a captured charge, and why; the payer reads it. `reason_code` is one of `reasons`."""

    amount: MoneyIn
    reason: Annotated[Block, Field(max_length=200)]
    reason_code: Annotated[Line, Field(max_length=24)] = reasons.OTHER


class RefundOut(Schema):
    """`voucher` + `own` = `amount`; `lapsed` of the vouchers' part went to programmes, since the voucher is over."""

    number: str
    charge: str
    amount: MoneyOut
    voucher: MoneyOut
    own: MoneyOut
    lapsed: MoneyOut
    reason: str


class WriteOffIn(StrictIn):
    """Why an own share will not come, and what shows it: a ruling's number, records of reminders, a deregistration."""

    reason_code: Annotated[Line, Field(max_length=24)]
    reason: Annotated[Block, Field(max_length=200)]
    evidence: Annotated[Block, Field(max_length=600)]


class ChargeProposalOut(Schema):
    """What needs a second person: a refund, or an own share to be given up. `refund` is what an approved refund made."""

    number: str
    kind: ChargeProposalKind
    state: ProposalState
    state_label: str
    charge: str
    subject: str
    payer: str
    provider: str
    amount: MoneyOut
    reason_code: str
    reason: str
    evidence: str
    proposed_by: str
    proposed_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    note: str
    refund: str | None


def proposed(proposal: ChargeProposal) -> dict[str, Any]:
    """Return a proposal as `ChargeProposalOut`."""
    charge = proposal.charge
    return {
        "number": proposal.number,
        "kind": proposal.kind,
        "state": proposal.state,
        "state_label": proposal.get_state_display(),
        "charge": charge.number,
        "subject": charge.subject,
        "payer": charge.payer.name,
        "provider": charge.provider.name,
        "amount": money(proposal.amount_fen),
        "reason_code": proposal.reason_code,
        "reason": proposal.reason,
        "evidence": proposal.evidence,
        "proposed_by": str(proposal.proposed_by),
        "proposed_at": proposal.proposed_at,
        "decided_by": str(proposal.decided_by) if proposal.decided_by else None,
        "decided_at": proposal.decided_at,
        "note": proposal.note,
        "refund": proposal.refund.number if proposal.refund else None,
    }


@router.post("/{number}/refund", response={201: RefundOut, 202: ChargeProposalOut, **problems(404, 409)})
def refund(request: ActorRequest, number: Number, payload: RefundIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Give part or all of a captured charge back to the vouchers and the payer it came from.

    Its provider does so at once (201) up to a limit a charge; above it, or for finance, a second person approves (202).
    """
    made = proposing.refund_or_propose(
        actor=request.actor,
        charge=access.get_charge(request.actor, number),
        amount=payload.amount.value(),
        grounds=refunding.Grounds(payload.reason, payload.reason_code),
        now=timezone.now(),
        key=key_from(key),
    )
    if isinstance(made, ChargeProposal):
        return Status(202, proposed(access.get_proposal(request.actor, made.number)))
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


@router.post("/{number}/write-off", response={201: ChargeProposalOut, **problems(404, 409)})
def write_off(
    request: ActorRequest, number: Number, payload: WriteOffIn, key: IdempotencyKey
) -> Status[dict[str, Any]]:
    """Ask, as finance, to give up an own share that will not come; another person approves."""
    request.actor.require(Permission.PAYMENT_CONFIRM)
    made = proposing.propose_write_off(
        actor=request.actor,
        charge=access.get_charge(request.actor, number),
        grounds=refunding.Grounds(payload.reason, payload.reason_code),
        evidence=payload.evidence,
        now=timezone.now(),
        key=key_from(key),
    )
    return Status(201, proposed(access.get_proposal(request.actor, made.number)))
