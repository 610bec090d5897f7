"""Reach charges: the payer and the provider see theirs, finance sees all."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.charges.models import Charge, ChargeProposal


def visible_to(actor: Actor) -> QuerySet[Charge]:
    """Return the charges the actor may see."""
    charges = Charge.objects.select_related("payer", "provider", "voucher")
    if actor.may(Permission.LEDGER_READ):
        return charges
    mine = Q(pk__in=[])
    if actor.may(Permission.VOUCHER_READ_OWN):
        mine |= Q(payer_id=actor.organisation_id)
    if actor.may(Permission.SETTLEMENT_READ_OWN) or actor.may(Permission.CHARGE_REFUND):
        mine |= Q(provider_id=actor.organisation_id)
    return charges.filter(mine)


def get_charge(actor: Actor, number: str) -> Charge:
    """Return a charge the actor may see. Raises NotFound."""
    charge = visible_to(actor).filter(number=number).first()
    if charge is None:
        raise NotFound
    return charge


def proposals_visible_to(actor: Actor) -> QuerySet[ChargeProposal]:
    """Return the refunds and write-offs asked for that the actor may see: finance all, a provider those of its charges."""
    rows = ChargeProposal.objects.select_related(
        "charge", "charge__payer", "charge__provider", "proposed_by", "proposed_for", "decided_by", "refund"
    )
    if actor.may(Permission.LEDGER_READ):
        return rows
    if actor.may(Permission.CHARGE_REFUND) or actor.may(Permission.SETTLEMENT_READ_OWN):
        return rows.filter(charge__provider_id=actor.organisation_id)
    return rows.none()


def get_proposal(actor: Actor, number: str) -> ChargeProposal:
    """Return one by number. Raises NotFound."""
    found = proposals_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found
