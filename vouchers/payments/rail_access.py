"""Reach what goes over rails: a payer its own attempts and refunds, finance all of them, and notices and disputes."""

from __future__ import annotations

from django.db.models import Q, QuerySet, Sum

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from vouchers.payments import access
from vouchers.payments.models import Payment
from vouchers.payments.rail_models import PaymentAttempt, PaymentDispute, PaymentEvent, RefundAttempt

__all__ = [
    "attempts_of",
    "attempts_visible_to",
    "disputes_visible_to",
    "get_attempt",
    "get_notice",
    "get_refund",
    "notices_visible_to",
    "refunds_of",
    "refunds_visible_to",
    "taken_back_fen",
]


def attempts_visible_to(actor: Actor) -> QuerySet[PaymentAttempt]:
    """Return the attempts of the payments the actor may see."""
    rows = PaymentAttempt.objects.select_related("payment", "payment__payer")
    return rows if actor.may(Permission.PAYMENT_CONFIRM) else rows.filter(payment__in=access.visible_to(actor))


def attempts_of(payment: Payment) -> QuerySet[PaymentAttempt]:
    """Return the attempts of a payment that was reached through `access.get_payment`, the newest first."""
    return PaymentAttempt.objects.filter(payment=payment).select_related("payment", "payment__payer")


def get_attempt(actor: Actor, number: str) -> PaymentAttempt:
    """Return one attempt by number. Raises NotFound."""
    found = attempts_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def refunds_visible_to(actor: Actor) -> QuerySet[RefundAttempt]:
    """Return the refunds over rails of the payments the actor may see."""
    rows = RefundAttempt.objects.select_related("attempt", "payment", "payment__payer")
    return rows if actor.may(Permission.PAYMENT_CONFIRM) else rows.filter(payment__in=access.visible_to(actor))


def refunds_of(payment: Payment) -> QuerySet[RefundAttempt]:
    """Return the refunds of a payment that was reached through `access.get_payment`, the newest first."""
    return RefundAttempt.objects.filter(payment=payment).select_related("attempt", "payment", "payment__payer")


def get_refund(actor: Actor, number: str) -> RefundAttempt:
    """Return one refund by number. Raises NotFound."""
    found = refunds_visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def notices_visible_to(actor: Actor) -> QuerySet[PaymentEvent]:
    """Return the notices of gateways: all of them for finance, none for others. Bodies are left out."""
    rows = PaymentEvent.objects.defer("body")
    return rows if actor.may(Permission.PAYMENT_CONFIRM) else rows.filter(Q(pk__in=[]))


def get_notice(actor: Actor, pk: int) -> PaymentEvent:
    """Return one notice. Raises NotFound."""
    found = notices_visible_to(actor).filter(pk=pk).first()
    if found is None:
        raise NotFound
    return found


def disputes_visible_to(actor: Actor) -> QuerySet[PaymentDispute]:
    """Return the payers' objections: all of them for finance, none for others."""
    rows = PaymentDispute.objects.select_related("attempt__payment__payer")
    return rows if actor.may(Permission.PAYMENT_CONFIRM) else rows.filter(Q(pk__in=[]))


def taken_back_fen(payment: Payment) -> int:
    """Return what disputes hold of the money of a payment that was reached through `access.get_payment`, in fen."""
    rows = PaymentDispute.objects.filter(attempt__payment=payment)
    return rows.aggregate(total=Sum("taken_fen"))["total"] or 0
