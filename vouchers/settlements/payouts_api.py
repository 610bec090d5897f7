"""Endpoints of what is paid to payees' accounts with a payment gateway."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from ninja import Router, Schema

from portal.wire import ActorRequest, MoneyOut, Number, money, problems
from vouchers.settlements import access, paying_out
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.payout_models import RailPayout
from vouchers.settlements.payout_rules import RailPayoutState

router = Router(tags=["settlements"])


class RailPayoutOut(Schema):
    """One payment of a batch to the payee's account with a gateway; `failure` is the gateway's code."""

    number: str
    rail: str
    amount: MoneyOut
    state: RailPayoutState
    provider_id: str
    failure: str
    created_at: datetime
    ended_at: datetime | None


def _payouts(batch: SettlementBatch) -> list[dict[str, Any]]:
    return [
        {
            "number": row.number,
            "rail": row.rail,
            "amount": money(row.amount_fen),
            "state": row.state,
            "provider_id": row.provider_id,
            "failure": row.failure_code,
            "created_at": row.created_at,
            "ended_at": row.ended_at,
        }
        for row in RailPayout.objects.filter(batch=batch)
    ]


@router.get("/{number}/payouts", response={200: list[RailPayoutOut], **problems(404)})
def list_payouts(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """Return how a batch was paid over a gateway, the latest first."""
    return _payouts(access.get_batch(request.actor, number))


@router.post("/{number}/payouts", response={200: list[RailPayoutOut], **problems(404, 409)})
def pay_over_rail(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """Pay an approved batch to the payee's account with a gateway, once; an unknown outcome is looked for by schedule."""
    batch = access.get_batch(request.actor, number)
    paying_out.pay(actor=request.actor, batch=batch, now=timezone.now())
    return _payouts(access.get_batch(request.actor, number))
