"""Tables of recoveries and of the money that came in for them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.recoveries import rules


class Recovery(models.Model):
    """A case of value that must come back: what was breached, the hearing, the decision of two, and the money.

    `receivable_fen` is spent value the debtor owes, `take_unused` says whether the voucher's rest is taken too. Published
    cases show the debtor, the breach and the bar, nothing else.
    """

    class State(models.TextChoices):
        PROPOSED = rules.RecoveryState.PROPOSED.value, _("待确认立案")
        OPEN = rules.RecoveryState.OPEN.value, _("已立案")
        HEARD = rules.RecoveryState.HEARD.value, _("已听取陈述")
        DECIDED = rules.RecoveryState.DECIDED.value, _("待第二人确认")
        RECOVERING = rules.RecoveryState.RECOVERING.value, _("追缴中")
        RECOVERED = rules.RecoveryState.RECOVERED.value, _("已追回")
        WRITTEN_OFF = rules.RecoveryState.WRITTEN_OFF.value, _("已核销")
        DROPPED = rules.RecoveryState.DROPPED.value, _("不予追究")

    class Party(models.TextChoices):
        APPLICANT = rules.Party.APPLICANT.value, _("申请单位")
        PROVIDER = rules.Party.PROVIDER.value, _("服务单位")
        AGENCY = rules.Party.AGENCY.value, _("代理机构")

    number = models.CharField(max_length=24, unique=True)
    version = models.ForeignKey("vouchers.ProgrammeVersion", on_delete=models.PROTECT, related_name="+")
    fiscal_year = models.PositiveIntegerField()
    debtor = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    party = models.CharField(max_length=12, choices=Party)
    voucher = models.ForeignKey(
        "vouchers.Voucher", null=True, blank=True, on_delete=models.PROTECT, related_name="recoveries"
    )
    claim = models.ForeignKey(
        "vouchers.RedemptionClaim", null=True, blank=True, on_delete=models.PROTECT, related_name="recoveries"
    )
    base = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="derived")
    state = models.CharField(max_length=12, choices=State)
    breach = models.CharField(max_length=300)
    facts = models.JSONField(default=dict, blank=True)
    """How a proposed amount came about, for the person who looks at it."""
    hearing = models.CharField(max_length=2000, blank=True)
    reason = models.CharField(max_length=600, blank=True)
    receivable_fen = models.BigIntegerField(default=0)
    received_fen = models.BigIntegerField(default=0)
    written_off_fen = models.BigIntegerField(default=0)
    take_unused = models.BooleanField(default=False)
    bar_years = models.PositiveSmallIntegerField(default=0)
    barred_until = models.DateField(null=True, blank=True)
    publish = models.BooleanField(default=False)
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    write_off_asked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    opened_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "recovery"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="recovery_state_known", condition=Q(state__in=[s.value for s in rules.RecoveryState])
            ),
            models.CheckConstraint(
                name="recovery_four_eyes", condition=Q(confirmed_by__isnull=True) | ~Q(confirmed_by=F("decided_by"))
            ),
            models.CheckConstraint(
                name="recovery_adds_up",
                condition=Q(receivable_fen__gte=0)
                & Q(received_fen__gte=0)
                & Q(written_off_fen__gte=0)
                & Q(receivable_fen__gte=F("received_fen") + F("written_off_fen")),
            ),
            models.UniqueConstraint(
                name="recovery_derived_once", fields=["base", "claim"], condition=Q(base__isnull=False)
            ),
        ]
        indexes = [models.Index(fields=["state", "id"], name="recovery_queue")]

    def __str__(self) -> str:
        return self.number

    @property
    def outstanding_fen(self) -> int:
        return self.receivable_fen - self.received_fen - self.written_off_fen


class RecoveryPayment(models.Model):
    """Money that came in for a recovery, by the bank's own reference, or was set off in a settlement batch: once."""

    recovery = models.ForeignKey(Recovery, on_delete=models.PROTECT, related_name="payments")
    amount_fen = models.BigIntegerField()
    bank_reference = models.CharField(max_length=60, unique=True)
    batch = models.CharField(max_length=24, blank=True)
    """The settlement batch that set the amount off; empty for money from the bank."""
    received_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    received_at = models.DateTimeField()

    class Meta:
        db_table = "recovery_payment"
        ordering = ["pk"]
        constraints = [models.CheckConstraint(name="recovery_payment_positive", condition=Q(amount_fen__gt=0))]
