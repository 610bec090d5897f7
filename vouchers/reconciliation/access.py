"""Reach reconciliation: who reads the ledger reads it."""

from __future__ import annotations

from collections.abc import Iterable

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.reconciliation.models import GatewayCheck

__all__ = ["get_rail", "rails_visible_to"]


def rails_visible_to(actor: Actor, *, configured: Iterable[str]) -> list[str]:
    """Return the gateways that are configured or that anything was ever seen of, by name. Raises Forbidden."""
    actor.require(Permission.LEDGER_READ)
    seen = GatewayCheck.objects.order_by().values_list("rail", flat=True).distinct()
    return sorted({*configured, *seen})


def get_rail(actor: Actor, code: str, *, configured: Iterable[str]) -> str:
    """Return a gateway's code. Raises NotFound, Forbidden."""
    if code not in rails_visible_to(actor, configured=configured):
        raise NotFound
    return code
