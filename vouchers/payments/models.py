"""The payment table."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.payments import rules


class Payment(models.Model):
    """One amount an enterprise owes for its own share of a charge: by bank transfer (对公转账) or through a payment rail.

    `collect` says when: `after` the service was measured, or `before` it may begin (an advance, of the held price: what is
    not used of it is owed back). `paid_fen` is what has arrived of it, `arrivals` say how; it never exceeds `amount_fen`:
    what comes above waits as unapplied cash. `due_until` is when an advance's hold ends, exclusive.
    """

    class Collect(models.TextChoices):
        AFTER = rules.Collect.AFTER.value, _("服务后付款")
        BEFORE = rules.Collect.BEFORE.value, _("预付")

    class State(models.TextChoices):
        DUE = rules.PaymentState.DUE.value, _("待付款")
        DECLARED = rules.PaymentState.DECLARED.value, _("待确认到账")
        CONFIRMED = rules.PaymentState.CONFIRMED.value, _("已到账")
        CANCELLED = rules.PaymentState.CANCELLED.value, _("已取消")
        WRITTEN_OFF = rules.PaymentState.WRITTEN_OFF.value, _("已核销，不再收取")

    number = models.CharField(max_length=24, unique=True)
    charge = models.OneToOneField("vouchers.Charge", on_delete=models.PROTECT, related_name="payment")
    payer = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    collect = models.CharField(max_length=8, choices=Collect, default=Collect.AFTER)
    due_until = models.DateTimeField(null=True, blank=True)
    amount_fen = models.BigIntegerField()
    paid_fen = models.BigIntegerField(default=0)
    refunded_fen = models.BigIntegerField(default=0)
    """What of money already paid is owed back to the payer; `paid_back_fen` of it has been, last by `paid_back_reference`."""
    paid_back_fen = models.BigIntegerField(default=0)
    paid_back_reference = models.CharField(max_length=60, blank=True)
    written_off_fen = models.BigIntegerField(default=0)
    """What was given up of it: all of it, or what lacked of one paid in part, which `amount_fen` was lowered by."""
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
                name="payment_collect_known", condition=Q(collect__in=[each.value for each in rules.Collect])
            ),
            models.CheckConstraint(
                name="payment_paid_within",
                condition=Q(paid_fen__gte=0)
                & Q(paid_fen__lte=F("amount_fen"))
                & (~Q(state="confirmed") | Q(paid_fen=F("amount_fen"))),
            ),
            models.CheckConstraint(
                name="payment_refund_within",
                condition=Q(refunded_fen__gte=F("paid_back_fen"))
                & Q(paid_back_fen__gte=0)
                & Q(refunded_fen__lte=F("amount_fen")),
            ),
            models.CheckConstraint(
                name="payment_written_off",
                condition=Q(written_off_fen__gte=0)
                & (~Q(state="written_off") | Q(paid_fen=0, written_off_fen=F("amount_fen"))),
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
            models.Index(
                fields=["paid_back_reference"], name="payment_paid_back_as", condition=~Q(paid_back_reference="")
            ),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def left_fen(self) -> int:
        """What is still to arrive of it."""
        return self.amount_fen - self.paid_fen

    @property
    def owed_back_fen(self) -> int:
        """What the payer has paid and is to get back now; 0 while its money has not arrived."""
        return self.refunded_fen - self.paid_back_fen if self.state == rules.PaymentState.CONFIRMED.value else 0


class Arrival(models.Model):
    """Money that reached us for a payment: once per `source`, never changed.

    `source` names what proves it: ``attempt:A20261127-0001`` of a rail, ``line:123`` of a bank statement, ``manual:REF`` by
    the word of finance. `applied_fen` of `amount_fen` pays the payment, the rest is unapplied cash of the payer.
    """

    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="arrivals")
    source = models.CharField(max_length=80, unique=True)
    rail = models.CharField(max_length=24)
    """``bank`` or a rail's code."""
    account = models.CharField(max_length=60)
    """The owner of the ledger account it lies on: ``bank:main``, ``rail:stripe``."""
    amount_fen = models.BigIntegerField()
    applied_fen = models.BigIntegerField()
    arrived_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=160)

    class Meta:
        db_table = "payment_arrival"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                name="payment_arrival_applied_within",
                condition=Q(amount_fen__gt=0) & Q(applied_fen__gte=0) & Q(applied_fen__lte=F("amount_fen")),
            )
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.source


class ArrivalReversal(models.Model):
    """That an arrival was booked for the wrong payment and has been taken back, by two persons. Never changed."""

    arrival = models.OneToOneField(Arrival, on_delete=models.PROTECT, related_name="reversal")
    reason = models.CharField(max_length=200)
    asked_by = models.CharField(max_length=160)
    approved_by = models.CharField(max_length=160)
    reversed_at = models.DateTimeField()

    class Meta:
        db_table = "payment_arrival_reversal"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(name="payment_arrival_reversed_by_two", condition=~Q(asked_by=F("approved_by")))
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.arrival_id}"
