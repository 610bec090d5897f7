"""Reach limits: a lab its own, nobody else's."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.quotas.models import QuotaRule

__all__ = ["get_rule", "own_rules"]


def own_rules(actor: Actor) -> QuerySet[QuotaRule]:
    """Return the lab's limits in force, oldest first. Raises Forbidden without the permission."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    return (
        QuotaRule.objects.filter(owner_id=actor.organisation_id, ended_at__isnull=True)
        .prefetch_related("resources")
        .order_by("pk")
    )


def get_rule(actor: Actor, rule_id: int) -> QuotaRule:
    """Return one of the lab's limits in force. Raises NotFound, Forbidden."""
    rule = own_rules(actor).filter(pk=rule_id).first()
    if rule is None:
        raise NotFound
    return rule
