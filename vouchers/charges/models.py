"""The charge table: one price, who pays which part of it, and what became of the money."""

from __future__ import annotations

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.charges import rules


class Charge(models.Model):
    """The money side of one booking or job. Held parts always add up to the held price, captured ones to the actual.

    `subject` is ``booking:<number>`` or ``job:<number>``; `service` a service class such as ``compute``.
    """

    class State(models.TextChoices):
        HELD = rules.ChargeState.HELD.value, _("已冻结")
        CAPTURED = rules.ChargeState.CAPTURED.value, _("已结算")
        RELEASED = rules.ChargeState.RELEASED.value, _("已释放")

    number = models.CharField(max_length=24, unique=True)
    subject = models.CharField(max_length=60, unique=True)
    service = models.CharField(max_length=24)
    payer = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    provider = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    voucher = models.ForeignKey(
        "vouchers.Voucher", null=True, blank=True, on_delete=models.PROTECT, related_name="charges"
    )
    state = models.CharField(max_length=12, choices=State, default=State.HELD)
    price_fen = models.BigIntegerField()
    voucher_held_fen = models.BigIntegerField()
    own_held_fen = models.BigIntegerField()
    actual_fen = models.BigIntegerField(null=True, blank=True)
    voucher_captured_fen = models.BigIntegerField(default=0)
    own_captured_fen = models.BigIntegerField(default=0)
    waived_fen = models.BigIntegerField(default=0)
    """Measured use above the held price: never charged, shown to the provider."""
    voucher_hold_id = models.BigIntegerField(null=True, blank=True)
    own_hold_id = models.BigIntegerField(null=True, blank=True)
    quote = models.JSONField(default=dict)
    """The frozen price: unit, unit price, quantity, share, rate id."""
    measured = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "charge"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="charge_state_known", condition=Q(state__in=[s.value for s in rules.ChargeState])
            ),
            models.CheckConstraint(
                name="charge_held_adds_up",
                condition=Q(voucher_held_fen__gte=0)
                & Q(own_held_fen__gte=0)
                & Q(price_fen=F("voucher_held_fen") + F("own_held_fen")),
            ),
            models.CheckConstraint(
                name="charge_captured_adds_up",
                condition=Q(state="captured", actual_fen=F("voucher_captured_fen") + F("own_captured_fen"))
                | (~Q(state="captured") & Q(actual_fen__isnull=True, voucher_captured_fen=0, own_captured_fen=0)),
            ),
            models.CheckConstraint(
                name="charge_captures_within_hold",
                condition=Q(voucher_captured_fen__lte=F("voucher_held_fen"))
                & Q(own_captured_fen__lte=F("own_held_fen"))
                & Q(voucher_captured_fen__gte=0)
                & Q(own_captured_fen__gte=0),
            ),
        ]
        indexes = [
            models.Index(fields=["payer", "-id"], name="charge_of_payer"),
            models.Index(fields=["provider", "state", "id"], name="charge_of_provider"),
            models.Index(fields=["voucher", "-id"], name="charge_of_voucher"),
        ]

    def __str__(self) -> str:
        return self.number
