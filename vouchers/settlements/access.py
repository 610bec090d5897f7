"""Reach settlement batches: finance sees all, a payee sees its own once approved."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.settlements import rules
from vouchers.settlements.models import SettlementBatch

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
