"""Reach payments: the payer sees its own, finance and whoever approves what it matched see all."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.payments.models import Payment


def visible_to(actor: Actor) -> QuerySet[Payment]:
    """Return the payments the actor may see."""
    payments = Payment.objects.select_related("charge", "charge__provider", "payer")
    if actor.may(Permission.PAYMENT_CONFIRM) or actor.may(Permission.BANK_APPROVE):
        return payments
    if actor.may(Permission.VOUCHER_READ_OWN):
        return payments.filter(payer_id=actor.organisation_id)
    return payments.filter(Q(pk__in=[]))


def get_payment(actor: Actor, number: str) -> Payment:
    """Return one payment by number. Raises NotFound."""
    payment = visible_to(actor).filter(number=number).first()
    if payment is None:
        raise NotFound
    return payment
