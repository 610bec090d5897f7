"""Tables of what goes over payment rails: attempts to pay, refunds, notices of the gateway, disputes."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from vouchers.payments import ports, rail_rules
from vouchers.payments.models import Payment

RAIL = 24


class PaymentAttempt(models.Model):
    """One try to pay a payment over a rail. At most one open a payment; the row is the outbox of the call.

    `provider_id` is the gateway's payment, `session_id` its page. `next_look_at` is when it is looked for again, NULL: no
    more; `looks` how often it was.
    """

    class State(models.TextChoices):
        CREATED = rail_rules.AttemptState.CREATED.value, _("正在发起")
        REQUIRES_ACTION = rail_rules.AttemptState.REQUIRES_ACTION.value, _("等待付款")
        PROCESSING = rail_rules.AttemptState.PROCESSING.value, _("支付处理中")
        UNKNOWN = rail_rules.AttemptState.UNKNOWN.value, _("结果待核实")
        SUCCEEDED = rail_rules.AttemptState.SUCCEEDED.value, _("支付成功")
        FAILED = rail_rules.AttemptState.FAILED.value, _("支付失败")
        CANCELLED = rail_rules.AttemptState.CANCELLED.value, _("已放弃")

    number = models.CharField(max_length=24, unique=True)
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="attempts")
    rail = models.CharField(max_length=RAIL)
    method = models.CharField(max_length=16)
    state = models.CharField(max_length=16, choices=State, default=State.CREATED)
    amount_fen = models.BigIntegerField()
    refunded_fen = models.BigIntegerField(default=0)
    """What of it refunds ask for that have not failed."""
    language = models.CharField(max_length=8, default="zh")
    return_url = models.CharField(max_length=400)
    provider_id = models.CharField(max_length=120, blank=True)
    session_id = models.CharField(max_length=120, blank=True)
    next_kind = models.CharField(max_length=12, blank=True)
    next_url = models.TextField(blank=True)
    failure_code = models.CharField(max_length=60, blank=True)
    failure_text = models.CharField(max_length=300, blank=True)
    key = models.CharField(max_length=80, blank=True)
    """The caller's: the same one again gives this attempt."""
    asked_by = models.CharField(max_length=160)
    created_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    next_look_at = models.DateTimeField(null=True, blank=True)
    looks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "payment_attempt"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="payment_attempt_open_once",
                fields=["payment"],
                condition=Q(state__in=sorted(state.value for state in rail_rules.OPEN)),
            ),
            models.UniqueConstraint(
                name="payment_attempt_provider_once", fields=["rail", "provider_id"], condition=~Q(provider_id="")
            ),
            models.UniqueConstraint(name="payment_attempt_key_once", fields=["payment", "key"], condition=~Q(key="")),
            models.CheckConstraint(
                name="payment_attempt_state_known",
                condition=Q(state__in=[each.value for each in rail_rules.AttemptState]),
            ),
            models.CheckConstraint(
                name="payment_attempt_method_known", condition=Q(method__in=[each.value for each in ports.Method])
            ),
            models.CheckConstraint(
                name="payment_attempt_refunds_within",
                condition=Q(amount_fen__gt=0) & Q(refunded_fen__gte=0) & Q(refunded_fen__lte=models.F("amount_fen")),
            ),
        ]
        indexes = [
            models.Index(fields=["payment", "-id"], name="payment_attempt_of"),
            models.Index(fields=["rail", "ended_at"], name="payment_attempt_ended"),
            models.Index(
                fields=["next_look_at"], name="payment_attempt_looks", condition=Q(next_look_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return self.number


class RefundAttempt(models.Model):
    """Money going back over the rail it came by. The row is the outbox of the call; `key` makes asking twice one."""

    class State(models.TextChoices):
        CREATED = rail_rules.RefundState.CREATED.value, _("正在退款")
        PROCESSING = rail_rules.RefundState.PROCESSING.value, _("退款处理中")
        UNKNOWN = rail_rules.RefundState.UNKNOWN.value, _("结果待核实")
        SUCCEEDED = rail_rules.RefundState.SUCCEEDED.value, _("已退款")
        FAILED = rail_rules.RefundState.FAILED.value, _("退款失败，待对公退还")

    number = models.CharField(max_length=24, unique=True)
    attempt = models.ForeignKey(PaymentAttempt, on_delete=models.PROTECT, related_name="refunds")
    payment = models.ForeignKey(Payment, on_delete=models.PROTECT, related_name="refunds")
    """Which owes it: the attempt's, or that of a service which was had again with its money."""
    state = models.CharField(max_length=16, choices=State, default=State.CREATED)
    amount_fen = models.BigIntegerField()
    provider_id = models.CharField(max_length=120, blank=True)
    reason = models.CharField(max_length=200)
    key = models.CharField(max_length=80, unique=True)
    taken_from = models.CharField(max_length=12)
    """Which of the payer's accounts it leaves when it succeeds, see `rail_rules.Purse`."""
    failure_code = models.CharField(max_length=60, blank=True)
    failure_text = models.CharField(max_length=300, blank=True)
    settled_as = models.CharField(max_length=120, blank=True)
    """What was done about one that failed: ``bank:REF`` or ``refund:NUMBER``; empty: a person has to decide."""
    asked_by = models.CharField(max_length=160)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    next_look_at = models.DateTimeField(null=True, blank=True)
    looks = models.PositiveSmallIntegerField(default=0)

    class Meta:
        db_table = "payment_refund"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="payment_refund_state_known",
                condition=Q(state__in=[each.value for each in rail_rules.RefundState]),
            ),
            models.CheckConstraint(name="payment_refund_positive", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="payment_refund_purse_known", condition=Q(taken_from__in=[each.value for each in rail_rules.Purse])
            ),
        ]
        indexes = [
            models.Index(fields=["attempt", "-id"], name="payment_refund_of"),
            models.Index(fields=["ended_at"], name="payment_refund_ended"),
            models.Index(fields=["next_look_at"], name="payment_refund_looks", condition=Q(next_look_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.number


class PaymentEvent(models.Model):
    """A verified notice of a gateway, kept as it came before anything is done about it; once per rail and id."""

    class State(models.TextChoices):
        STORED = rail_rules.EventState.STORED.value, _("待处理")
        DONE = rail_rules.EventState.DONE.value, _("已处理")
        IGNORED = rail_rules.EventState.IGNORED.value, _("与本平台无关")
        QUARANTINED = rail_rules.EventState.QUARANTINED.value, _("待人工核对")

    rail = models.CharField(max_length=RAIL)
    provider_event_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=12)
    type = models.CharField(max_length=80)
    object_id = models.CharField(max_length=120)
    body = models.BinaryField()
    state = models.CharField(max_length=12, choices=State, default=State.STORED)
    note = models.CharField(max_length=300, blank=True)
    occurred_at = models.DateTimeField()
    received_at = models.DateTimeField()
    processed_at = models.DateTimeField(null=True, blank=True)
    deliveries = models.PositiveIntegerField(default=1)
    """How often the gateway delivered it; 0: it never came, it was fetched."""
    tries = models.PositiveSmallIntegerField(default=0)
    next_look_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payment_event"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="payment_event_once", fields=["rail", "provider_event_id"]),
            models.CheckConstraint(
                name="payment_event_state_known", condition=Q(state__in=[each.value for each in rail_rules.EventState])
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="payment_event_queue"),
            models.Index(fields=["next_look_at"], name="payment_event_looks", condition=Q(next_look_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return f"{self.rail} {self.provider_event_id}"


class PaymentDispute(models.Model):
    """A payer's objection with the gateway (chargeback). `taken_fen` is what the gateway has taken back of our money now."""

    rail = models.CharField(max_length=RAIL)
    provider_id = models.CharField(max_length=120)
    attempt = models.ForeignKey(PaymentAttempt, on_delete=models.PROTECT, related_name="disputes")
    amount_fen = models.BigIntegerField()
    taken_fen = models.BigIntegerField(default=0)
    state = models.CharField(max_length=40)
    """The gateway's word."""
    reason = models.CharField(max_length=60)
    is_over = models.BooleanField(default=False)
    answer_by = models.DateTimeField(null=True, blank=True)
    moves = models.PositiveSmallIntegerField(default=0)
    """How often money was taken or given back: part of the journals' keys."""
    opened_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "payment_dispute"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="payment_dispute_once", fields=["rail", "provider_id"]),
            models.CheckConstraint(
                name="payment_dispute_taken_within",
                condition=Q(amount_fen__gt=0) & Q(taken_fen__gte=0) & Q(taken_fen__lte=models.F("amount_fen")),
            ),
        ]
        triggers = [pgtrigger.Protect(name="kept", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return self.provider_id
