"""Reach money that pays nothing yet: finance alone sees it as such; a payer sees how its own payments were paid."""

from __future__ import annotations

from typing import Any

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.payments.models import Payment
from vouchers.payments.unapplied import OPEN_PAYMENT, excess
from vouchers.payments.unapplied_models import UnappliedUse
from vouchers.payments.unapplied_rules import NotApplied, NotProposed, UseState

__all__ = ["READERS", "applied_to", "get_excess", "payable_by", "proposed_for", "visible_to", "waiting"]

READERS = (Permission.PAYMENT_CONFIRM, Permission.BANK_MATCH, Permission.BANK_APPROVE)


def visible_to(actor: Actor) -> QuerySet[Any]:
    """Return the arrivals of which a part pays nothing, with what became of it (`unapplied.excess`), for finance."""
    rows = excess().select_related("payment__payer")
    return rows if any(actor.may(each) for each in READERS) else rows.none()


def waiting(rows: QuerySet[Any]) -> QuerySet[Any]:
    """Return those of which something is still with us: free, to go back by bank, or on its way back over a gateway."""
    return rows.filter(Q(free_fen__gt=0) | Q(proposed_fen__gt=0) | Q(asked_fen__gt=0) | Q(on_rail_fen__gt=0))


def get_excess(actor: Actor, pk: int) -> Any:
    """Return one arrival of which a part pays nothing. Raises NotFound."""
    found = visible_to(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def applied_to(actor: Actor, pk: int, number: str) -> UnappliedUse:
    """Return the use of such an arrival for a payment, the last one. Raises NotFound, NotApplied."""
    rows = UnappliedUse.objects.select_related("arrival__payment", "payment__charge")
    rows = rows.filter(arrival_id=get_excess(actor, pk).pk, payment__number=number, state=UseState.DONE.value)
    found = rows.order_by("-pk").first()
    if found is None:
        raise NotApplied(field="payment")
    return found


def proposed_for(actor: Actor, pk: int, number: str) -> UnappliedUse:
    """Return the use of such an arrival for a payment that waits for a second person. Raises NotFound, NotProposed."""
    rows = UnappliedUse.objects.select_related("arrival__payment", "payment__charge")
    rows = rows.filter(arrival_id=get_excess(actor, pk).pk, payment__number=number, state=UseState.PROPOSED.value)
    found = rows.first()
    if found is None:
        raise NotProposed(field="payment")
    return found


def payable_by(actor: Actor, payer_id: int) -> QuerySet[Payment]:
    """Return what a payer still owes, oldest first, for finance."""
    rows = Payment.objects.filter(payer_id=payer_id, state__in=OPEN_PAYMENT).order_by("pk")
    return rows if any(actor.may(each) for each in READERS) else rows.none()
