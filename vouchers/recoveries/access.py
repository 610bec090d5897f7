"""Reach recoveries: the department works on its own, the debtor sees what was decided, everybody what is published."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.recoveries.models import Recovery
from vouchers.recoveries.rules import RecoveryState

OFFICERS = (Permission.RECOVERY_PROPOSE, Permission.RECOVERY_DECIDE)
FINANCE = (Permission.PAYMENT_CONFIRM, Permission.SETTLEMENT_APPROVE)
CONFIRMED = (RecoveryState.RECOVERING.value, RecoveryState.RECOVERED.value, RecoveryState.WRITTEN_OFF.value)
RELATED = (
    "version",
    "version__programme",
    "debtor",
    "voucher",
    "claim",
    "base",
    "opened_by",
    "decided_by",
    "confirmed_by",
)


def visible_to(actor: Actor) -> QuerySet[Recovery]:
    """Return the recoveries the actor may see."""
    seen = Q(pk__in=[])
    if any(actor.may(permission) for permission in OFFICERS):
        seen |= Q(version__programme__department_id=actor.organisation_id)
    if any(actor.may(permission) for permission in FINANCE):
        seen |= Q(state__in=CONFIRMED)
    if actor.may(Permission.CLAIM_FILE):
        seen |= Q(debtor_id=actor.organisation_id) & ~Q(
            state__in=[RecoveryState.PROPOSED.value, RecoveryState.DROPPED.value]
        )
    return Recovery.objects.filter(seen).select_related(*RELATED)


def get_recovery(actor: Actor, number: str) -> Recovery:
    """Return one recovery. Raises NotFound."""
    found = visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def published() -> QuerySet[Recovery]:
    """Return what everybody may read: confirmed cases whose programme publishes sanctions, the newest first."""
    return (
        Recovery.objects.filter(publish=True, state__in=CONFIRMED)
        .select_related("version", "debtor")
        .order_by("-confirmed_at")
    )
