"""The table of what is paid to providers' accounts with a payment gateway."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from vouchers.settlements import payout_rules as rules


class RailPayout(models.Model):
    """One batch paid to one account with a gateway. `number` is the key under which the gateway does it, once.

    `destination` and `amount_fen` are as they were when it was ordered; `provider_id` is the gateway's transfer.
    """

    class State(models.TextChoices):
        OPEN = rules.RailPayoutState.OPEN.value, _("已发出、待结果")
        PAID = rules.RailPayoutState.PAID.value, _("已付款")
        FAILED = rules.RailPayoutState.FAILED.value, _("未付成")
        REVERSED = rules.RailPayoutState.REVERSED.value, _("已被支付机构撤回")

    number = models.CharField(max_length=24, unique=True)
    batch = models.ForeignKey("vouchers.SettlementBatch", on_delete=models.PROTECT, related_name="rail_payouts")
    account = models.ForeignKey("vouchers.PayeeAccount", on_delete=models.PROTECT, related_name="+")
    rail = models.CharField(max_length=24)
    destination = models.CharField(max_length=40)
    amount_fen = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    provider_id = models.CharField(max_length=120, blank=True)
    failure_code = models.CharField(max_length=60, blank=True)
    failure_text = models.CharField(max_length=300, blank=True)
    looks = models.PositiveIntegerField(default=0)
    next_look_at = models.DateTimeField(null=True, blank=True)
    """When it is asked for next; empty where it has ended, or where only a person can tell."""
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    reversed_at = models.DateTimeField(null=True, blank=True)
    """When the gateway took it back, as we learnt it."""

    class Meta:
        db_table = "rail_payout"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="rail_payout_state_known", condition=Q(state__in=[state.value for state in rules.RailPayoutState])
            ),
            models.CheckConstraint(name="rail_payout_amount", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="rail_payout_paid_by_something",
                condition=~Q(state__in=["paid", "reversed"]) | ~Q(provider_id=""),
            ),
            models.UniqueConstraint(
                name="rail_payout_batch_once",
                fields=["batch"],
                condition=~Q(state__in=rules.ENDED),
            ),
            models.UniqueConstraint(
                name="rail_payout_transfer_once", fields=["rail", "provider_id"], condition=~Q(provider_id="")
            ),
        ]
        indexes = [models.Index(fields=["state", "next_look_at"], name="rail_payout_due")]

    def __str__(self) -> str:
        return self.number
