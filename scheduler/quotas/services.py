"""Set and end the limits of a lab, and lock them for who books under them."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from datetime import datetime

from django.db import connection, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from scheduler.quotas import queries
from scheduler.quotas.models import QuotaRule
from scheduler.quotas.rules import Limit
from scheduler.resources.models import Resource

__all__ = ["add_rule", "end_rule", "lock"]

LOCK_SPACE = 72
"""First key of the advisory locks on limits; the second tells rule and organisation."""


@transaction.atomic
def add_rule(*, actor: Actor, limit: Limit, instruments: Sequence[Resource], now: datetime) -> QuotaRule:
    """Set a limit over these instruments together, or over all the lab has; bookings already made stay, and count.

    Raises BadQuota, Forbidden.
    """
    actor.require(Permission.INSTRUMENT_MANAGE)
    if any(resource.owner_id != actor.organisation_id for resource in instruments):
        raise Forbidden
    limit.check()
    rule = QuotaRule.objects.create(
        owner_id=actor.acting_for,
        name=limit.name,
        measure=limit.measure.value,
        span=limit.span.value,
        per=limit.per.value,
        effect=limit.effect.value,
        amount=limit.amount,
        peak_days=sorted(limit.peak.weekdays),
        peak_from_min=limit.peak.opens,
        peak_until_min=limit.peak.closes,
        created_at=now,
    )
    rule.resources.set(instruments)
    _record(rule, action="quota.set", actor=actor, now=now)
    return rule


@transaction.atomic
def end_rule(*, actor: Actor, rule: QuotaRule, now: datetime) -> None:
    """End a limit. Idempotent. Raises Forbidden."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    if rule.owner_id != actor.organisation_id:
        raise Forbidden
    if QuotaRule.objects.filter(pk=rule.pk, ended_at__isnull=True).update(ended_at=now):
        _record(rule, action="quota.ended", actor=actor, now=now)


def _record(rule: QuotaRule, *, action: str, actor: Actor, now: datetime) -> None:
    numbers = list(rule.resources.order_by("pk").values_list("number", flat=True))
    data = {
        "name": rule.name,
        "measure": rule.measure,
        "amount": rule.amount,
        "span": rule.span,
        "per": rule.per,
        "effect": rule.effect,
        "instruments": numbers,
    }
    audit.record(action=action, subject=f"quota:{rule.pk}", actor=actor, now=now, data=data)


def lock(*, resource: Resource, organisation_id: int) -> None:
    """Take the transaction's locks on what an organisation has used of every limit over a resource.

    After the locks on resources, in ascending order: two bookings of one organisation on two instruments under one limit
    are judged one after the other.
    """
    keys = {zlib.crc32(f"{rule.pk}:{organisation_id}".encode()) - 2**31 for rule, _ids in queries.rules_over(resource)}
    with connection.cursor() as cursor:
        for key in sorted(keys):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, key])
