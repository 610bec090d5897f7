"""Endpoint of payments that came back: the payee's account was looked at, they are paid anew."""

from __future__ import annotations

from typing import Any

from django.utils import timezone
from ninja import Router

from portal.wire import ActorRequest, Number, problems
from vouchers.settlements import access, bouncing
from vouchers.settlements.api import BatchDetailOut, detail
from vouchers.settlements.orders_api import CaseTextIn

router = Router(tags=["settlements"])


@router.post("/{number}/release", response={200: BatchDetailOut, **problems(404, 409)})
def release(request: ActorRequest, number: Number, payload: CaseTextIn) -> dict[str, Any]:
    """Let a batch that the bank sent back be paid anew, after somebody has looked at the payee's account."""
    batch = access.get_batch(request.actor, number)
    bouncing.release(actor=request.actor, batch=batch, text=payload.text, now=timezone.now())
    return detail(request, number)
