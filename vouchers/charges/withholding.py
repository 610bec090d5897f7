"""Hold a captured charge back from settlements and claims while what it was taken for is disputed."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.organisations.models import Organisation
from vouchers.charges import rules, services
from vouchers.charges.models import Charge

__all__ = ["let_go", "withhold"]


def _lock(charge_id: int) -> Charge:
    """Lock a charge after its provider, as a settlement does: a batch being drafted has it or does not."""
    provider_id = Charge.objects.values_list("provider_id", flat=True).get(pk=charge_id)
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=provider_id)
    return services.lock(charge_id)


@transaction.atomic
def withhold(*, charge_id: int, reason: str, actor: Actor, now: datetime) -> Charge:
    """Hold a captured charge back: no settlement batch and no claim takes it up from now on; idempotent.

    What a batch or a claim holds already is not taken out of it: a correction of that is owed by the provider. Raises
    NotRefundable for a charge not captured.
    """
    charge = _lock(charge_id)
    if charge.state != rules.ChargeState.CAPTURED.value:
        raise rules.NotRefundable
    if charge.withheld_at is None:
        charge.withheld_at = now
        charge.save(update_fields=["withheld_at"])
        _record(charge, action="charge.withheld", actor=actor, now=now, reason=reason)
    return charge


@transaction.atomic
def let_go(*, charge_id: int, actor: Actor, now: datetime) -> Charge:
    """Let a charge be settled and claimed again; idempotent."""
    charge = _lock(charge_id)
    if charge.withheld_at is not None:
        charge.withheld_at = None
        charge.save(update_fields=["withheld_at"])
        _record(charge, action="charge.let_go", actor=actor, now=now)
    return charge


def _record(charge: Charge, *, action: str, actor: Actor, now: datetime, reason: str = "") -> None:
    audit.record(
        action=action,
        subject=charge.subject,
        actor=actor,
        now=now,
        organisations=[charge.payer_id, charge.provider_id],
        data={"charge": charge.number, **({"reason": reason} if reason else {})},
    )
