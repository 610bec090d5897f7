"""Reach batches, payment orders and discrepancies: finance sees all, a payee its own batches once approved."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.settlements import rules
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrder, SettlementTerms

__all__ = [
    "FINANCE",
    "ORDERS",
    "cases_visible_to",
    "get_batch",
    "get_case",
    "get_order",
    "orders_visible_to",
    "terms_visible_to",
    "visible_to",
]

ORDERS = (Permission.SETTLEMENT_PAY, Permission.SETTLEMENT_APPROVE)
"""Who reads payment orders: they hold account numbers."""
FINANCE = (Permission.SETTLEMENT_DRAFT, Permission.SETTLEMENT_APPROVE, Permission.SETTLEMENT_PAY)


def visible_to(actor: Actor) -> QuerySet[SettlementBatch]:
    """Return the batches the actor may see."""
    batches = SettlementBatch.objects.select_related(
        "payee", "account", "created_by", "checked_by", "approved_by", "paid_by", "reconciled_by"
    )
    if any(actor.may(permission) for permission in FINANCE):
        return batches
    if actor.may(Permission.SETTLEMENT_READ_OWN) or actor.may(Permission.CLAIM_FILE):
        return batches.filter(
            payee_id=actor.organisation_id,
            state__in=rules.SHOWN_TO_PAYEE,
        )
    return batches.none()


def get_batch(actor: Actor, number: str) -> SettlementBatch:
    """Return one batch by number. Raises NotFound."""
    batch = visible_to(actor).filter(number=number).first()
    if batch is None:
        raise NotFound
    return batch


def orders_visible_to(actor: Actor) -> QuerySet[PaymentOrder]:
    """Return the payment orders the actor may see: who pays or approves sees all, others none."""
    rows = PaymentOrder.objects.select_related("created_by", "ended_by")
    return rows if any(actor.may(each) for each in ORDERS) else rows.none()


def get_order(actor: Actor, number: str) -> PaymentOrder:
    """Return one payment order. Raises NotFound."""
    order = orders_visible_to(actor).filter(number=number).first()
    if order is None:
        raise NotFound
    return order


def cases_visible_to(actor: Actor) -> QuerySet[Discrepancy]:
    """Return the discrepancies the actor may see: finance all, others none."""
    rows = Discrepancy.objects.select_related("order", "line", "line__batch__payee", "answered_by", "closed_by")
    return rows if any(actor.may(each) for each in FINANCE) else rows.none()


def get_case(actor: Actor, number: str) -> Discrepancy:
    """Return one discrepancy. Raises NotFound."""
    found = cases_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def terms_visible_to(actor: Actor) -> QuerySet[SettlementTerms]:
    """Return how often payees are settled, for who pays or approves; for others none."""
    rows = SettlementTerms.objects.select_related("changed_by")
    return rows if any(actor.may(each) for each in ORDERS) else rows.none()
