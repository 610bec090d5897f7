"""Reach purchases: an enterprise sees its own."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from vouchers.charges.models import Charge

__all__ = ["own_purchases"]


def own_purchases(actor: Actor) -> QuerySet[Charge]:
    """Return the charges the actor's organisation pays. Raises Forbidden without the permission."""
    actor.require(Permission.VOUCHER_READ_OWN)
    return Charge.objects.filter(payer_id=actor.acting_for).select_related("provider", "payment")
