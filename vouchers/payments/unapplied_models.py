"""The table of what is done with money that pays nothing."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.payments import unapplied_rules as rules


class UnappliedUse(models.Model):
    """So much of what of an arrival pays nothing is used: for another payment of its payer, or to go back by bank.

    `source` names what proves it: the arrival it became, or ``line:12/1.1``, the part of a statement line; empty while the
    line is awaited.
    """

    class Kind(models.TextChoices):
        APPLIED = rules.UseKind.APPLIED.value, _("用于付款")
        RETURNED = rules.UseKind.RETURNED.value, _("银行退回")

    class State(models.TextChoices):
        PROPOSED = rules.UseState.PROPOSED.value, _("待复核")
        ASKED = rules.UseState.ASKED.value, _("待转账退回")
        DONE = rules.UseState.DONE.value, _("已办理")
        UNDONE = rules.UseState.UNDONE.value, _("已撤销")

    arrival = models.ForeignKey("vouchers.Arrival", on_delete=models.PROTECT, related_name="uses")
    kind = models.CharField(max_length=10, choices=Kind)
    state = models.CharField(max_length=8, choices=State)
    amount_fen = models.BigIntegerField()
    payment = models.ForeignKey(
        "vouchers.Payment", null=True, blank=True, on_delete=models.PROTECT, related_name="unapplied_uses"
    )
    """What it pays."""
    source = models.CharField(max_length=80, blank=True)
    recorded_by = models.CharField(max_length=160)
    recorded_at = models.DateTimeField()
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """The second person, of what took two."""
    ended_at = models.DateTimeField(null=True, blank=True)
    doubt = models.CharField(max_length=200, blank=True)
    """Why it was used for the wrong payment, by the word of `doubter`; a second person reverses it."""
    doubter = models.CharField(max_length=160, blank=True)
    doubted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        db_table = "payment_unapplied_use"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(name="payment_unapplied_positive", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="payment_unapplied_state_known", condition=Q(state__in=[each.value for each in rules.UseState])
            ),
            models.CheckConstraint(
                name="payment_unapplied_kind_known",
                condition=Q(kind="applied", payment__isnull=False) | Q(kind="returned", payment__isnull=True),
            ),
            models.CheckConstraint(name="payment_unapplied_proved", condition=~Q(state="done") | ~Q(source="")),
            models.UniqueConstraint(
                name="payment_unapplied_once", fields=["arrival", "source"], condition=~Q(source="")
            ),
            models.CheckConstraint(
                name="payment_unapplied_two_persons",
                condition=Q(confirmed_by__isnull=True)
                | Q(proposed_by__isnull=False) & ~Q(confirmed_by=F("proposed_by")),
            ),
            models.UniqueConstraint(
                name="payment_unapplied_proposed_once", fields=["arrival", "payment"], condition=Q(state="proposed")
            ),
            models.UniqueConstraint(
                name="payment_unapplied_asked_once", fields=["arrival"], condition=Q(state="asked")
            ),
        ]
        triggers = [pgtrigger.Protect(name="kept", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.arrival_id} {self.kind} {self.amount_fen}"
