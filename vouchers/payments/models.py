"""The payment table."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.payments import rules


class Payment(models.Model):
    """One amount an enterprise owes for its own share of a charge, paid by bank transfer (对公转账)."""

    class State(models.TextChoices):
        DUE = rules.PaymentState.DUE.value, _("待付款")
        DECLARED = rules.PaymentState.DECLARED.value, _("待确认到账")
        CONFIRMED = rules.PaymentState.CONFIRMED.value, _("已到账")
        CANCELLED = rules.PaymentState.CANCELLED.value, _("已取消")

    number = models.CharField(max_length=24, unique=True)
    charge = models.OneToOneField("vouchers.Charge", on_delete=models.PROTECT, related_name="payment")
    payer = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    amount_fen = models.BigIntegerField()
    refunded_fen = models.BigIntegerField(default=0)
    """What of money already paid is owed back to the payer; `paid_back_fen` of it has been, last by `paid_back_reference`."""
    paid_back_fen = models.BigIntegerField(default=0)
    paid_back_reference = models.CharField(max_length=60, blank=True)
    reference = models.CharField(max_length=10, unique=True)
    state = models.CharField(max_length=12, choices=State, default=State.DUE)
    bank_reference = models.CharField(_("银行流水号"), max_length=60, blank=True)
    note = models.CharField(max_length=200, blank=True)
    created_at = models.DateTimeField()
    declared_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        db_table = "payment"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="payment_state_known", condition=Q(state__in=[s.value for s in rules.PaymentState])
            ),
            models.CheckConstraint(name="payment_amount_positive", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="payment_refund_within",
                condition=Q(refunded_fen__gte=F("paid_back_fen"))
                & Q(paid_back_fen__gte=0)
                & Q(refunded_fen__lte=F("amount_fen")),
            ),
            models.UniqueConstraint(
                name="payment_bank_reference_once",
                fields=["bank_reference"],
                condition=Q(state="confirmed") & ~Q(bank_reference=""),
            ),
        ]
        indexes = [
            models.Index(fields=["payer", "-id"], name="payment_of_payer"),
            models.Index(fields=["state", "id"], name="payment_queue"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def owed_back_fen(self) -> int:
        """What the payer has paid and is to get back now; 0 while its money has not arrived."""
        return self.refunded_fen - self.paid_back_fen if self.state == rules.PaymentState.CONFIRMED.value else 0
