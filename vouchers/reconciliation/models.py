"""Tables of what gateways report, how each check ended, and of closed months with their figures."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.payments import ports
from vouchers.reconciliation import rules


class GatewayLine(models.Model):
    """One movement as the gateway reports it, kept as it was first seen: once per rail and its id, never changed.

    `amount_fen` is signed, `net_fen` what it changed the account by; `source` the object that moved. Amounts are in the
    smallest step of `currency`.
    """

    class Kind(models.TextChoices):
        PAYMENT = ports.BalanceKind.PAYMENT.value, _("收款")
        REFUND = ports.BalanceKind.REFUND.value, _("退款")
        DISPUTE = ports.BalanceKind.DISPUTE.value, _("争议扣款")
        FEE = ports.BalanceKind.FEE.value, _("手续费")
        PAYOUT = ports.BalanceKind.PAYOUT.value, _("划款到银行")
        TRANSFER = ports.BalanceKind.TRANSFER.value, _("转给服务单位")
        OTHER = ports.BalanceKind.OTHER.value, _("其他")

    rail = models.CharField(max_length=24)
    provider_id = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=Kind)
    amount_fen = models.BigIntegerField()
    fee_fen = models.BigIntegerField()
    net_fen = models.BigIntegerField()
    currency = models.CharField(max_length=3)
    source = models.CharField(max_length=120, blank=True)
    occurred_at = models.DateTimeField()
    seen_at = models.DateTimeField()

    class Meta:
        db_table = "gateway_line"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="gateway_line_once", fields=["rail", "provider_id"]),
            models.CheckConstraint(
                name="gateway_line_kind_known", condition=Q(kind__in=[each.value for each in ports.BalanceKind])
            ),
            models.CheckConstraint(name="gateway_line_adds_up", condition=Q(net_fen=F("amount_fen") - F("fee_fen"))),
        ]
        indexes = [
            models.Index(fields=["rail", "occurred_at"], name="gateway_line_when"),
            models.Index(fields=["rail", "source"], name="gateway_line_source"),
            models.Index(fields=["rail", "seen_at"], name="gateway_line_seen"),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.rail} {self.provider_id}"


class GatewayCheck(models.Model):
    """How one pull ended: what the gateway holds for us, what its lines add up to, and what the ledger says.

    `explained_fen` is what the entries that are open make up of the ledger's difference to the lines: the rest,
    `unexplained_fen`, must be 0. `accounted_*` of those entries persons have explained. `missing_fen` is what the gateway
    holds beyond its own lines: a window never pulled. `open_days` (ISO, China) are those of the open entries: the next
    check looks at them again; NULL: it looks at everything.
    """

    rail = models.CharField(max_length=24)
    since = models.DateTimeField()
    until = models.DateTimeField()
    checked_at = models.DateTimeField()
    new_lines = models.IntegerField()
    booked = models.IntegerField()
    """How many fees and payouts were booked."""
    held_fen = models.BigIntegerField()
    lines_fen = models.BigIntegerField()
    ledger_fen = models.BigIntegerField()
    explained_fen = models.BigIntegerField()
    open_entries = models.IntegerField()
    open_days = models.JSONField(null=True, default=None)
    accounted_fen = models.BigIntegerField(default=0)
    accounted_entries = models.IntegerField(default=0)
    changed = models.JSONField(default=list)
    """Ids of lines that the gateway reports otherwise than before."""
    asked_by = models.CharField(max_length=160)

    class Meta:
        db_table = "gateway_check"
        ordering = ["-pk"]
        indexes = [models.Index(fields=["rail", "-id"], name="gateway_check_latest")]

    def __str__(self) -> str:
        return f"{self.rail} {self.checked_at:%Y-%m-%d %H:%M}"

    @property
    def missing_fen(self) -> int:
        return self.held_fen - self.lines_fen

    @property
    def difference_fen(self) -> int:
        return self.lines_fen - self.ledger_fen

    @property
    def unexplained_fen(self) -> int:
        return self.difference_fen - self.explained_fen

    @property
    def in_order(self) -> bool:
        return not (
            self.missing_fen
            or self.changed
            or self.difference_fen != self.accounted_fen
            or self.open_entries != self.accounted_entries
        )


class EntryExplanation(models.Model):
    """What a person says an entry is that does not match: it stays a difference, and is no longer an unexplained one.

    `entry` names it as `rules.Entry.key`; the word holds while the difference is `difference_fen` and no longer. One that is
    proposed or accepted an entry; above the threshold another person accepts it (`decided_by`).
    """

    class Kind(models.TextChoices):
        LATE = rules.ExplanationKind.LATE.value, _("支付机构出账晚")
        FEE = rules.ExplanationKind.FEE.value, _("支付机构的费用")
        MANUAL = rules.ExplanationKind.MANUAL.value, _("在支付机构后台人工办理")
        OTHER = rules.ExplanationKind.OTHER.value, _("其他")

    class State(models.TextChoices):
        PROPOSED = rules.ExplanationState.PROPOSED.value, _("说明待复核")
        ACCEPTED = rules.ExplanationState.ACCEPTED.value, _("已说明")
        RETURNED = rules.ExplanationState.RETURNED.value, _("说明被退回")
        UNDONE = rules.ExplanationState.UNDONE.value, _("说明已撤销")

    rail = models.CharField(max_length=24)
    entry = models.CharField(max_length=140)
    day = models.DateField()
    difference_fen = models.BigIntegerField()
    kind = models.CharField(max_length=8, choices=Kind)
    reason = models.CharField(max_length=300)
    state = models.CharField(max_length=12, choices=State, default=State.PROPOSED)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    signature = models.CharField(max_length=160)
    proposed_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    undone_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    undone_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)
    """Why it was sent back or undone."""

    class Meta:
        db_table = "gateway_explanation"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="gateway_explained_once", fields=["rail", "entry"], condition=Q(state__in=["proposed", "accepted"])
            ),
            models.CheckConstraint(
                name="gateway_explanation_known",
                condition=Q(state__in=[each.value for each in rules.ExplanationState])
                & Q(kind__in=[each.value for each in rules.ExplanationKind]),
            ),
            models.CheckConstraint(
                name="gateway_explained_two_persons",
                condition=Q(decided_by__isnull=True) | ~Q(state="accepted") | ~Q(decided_by=F("proposed_by")),
            ),
        ]
        indexes = [models.Index(fields=["state", "-id"], name="gateway_explanation_queue")]
        triggers = [
            pgtrigger.Protect(name="kept", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="as_it_was_said",
                fields=["rail", "entry", "day", "difference_fen", "kind", "reason", "proposed_by", "signature"],
            ),
        ]

    def __str__(self) -> str:
        return f"{self.rail} {self.entry}"


class MonthProposal(models.Model):
    """That a month be closed: asked for by one person of finance, ended by another's approval or a return.

    `open_items` is what stood open when it was asked for, `note` why it may; `reason` why it was sent back, empty where the
    month was closed.
    """

    month = models.DateField()
    """Its first day."""
    note = models.CharField(max_length=600, blank=True)
    open_items = models.JSONField(default=dict)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    signature = models.CharField(max_length=160)
    proposed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "month_proposal"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="month_proposed_once", fields=["month"], condition=Q(ended_at__isnull=True)),
            models.CheckConstraint(name="month_is_its_first_day", condition=Q(month__day=1)),
            models.CheckConstraint(
                name="month_closed_by_another",
                condition=Q(ended_by__isnull=True) | ~Q(reason="") | ~Q(ended_by=F("proposed_by")),
            ),
        ]

    def __str__(self) -> str:
        return f"close {self.month:%Y-%m}"


class MonthClose(models.Model):
    """A month that was closed by two persons. Its figures never change; `hash` covers them and the month before."""

    proposal = models.OneToOneField(MonthProposal, on_delete=models.PROTECT, related_name="closed")
    month = models.DateField(unique=True)
    closed_at = models.DateTimeField()
    proposed_by = models.CharField(max_length=160)
    approved_by = models.CharField(max_length=160)
    hash = models.CharField(max_length=64)

    class Meta:
        db_table = "month_close"
        ordering = ["-month"]
        constraints = [
            models.CheckConstraint(
                name="month_close_two_persons", condition=~Q(approved_by=F("proposed_by")) & ~Q(approved_by="")
            ),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"closed {self.month:%Y-%m}"


class MonthFigure(models.Model):
    """What the accounts of one kind, programme, year and unit had at a closed month's start and end, and what moved.

    By recorded time. `owner` is named for the operator's own money (bank, gateways, fees, what was given up) only.
    `opening` and `closing` are on the kind's normal side; amounts in smallest steps of `unit`.
    """

    close = models.ForeignKey(MonthClose, on_delete=models.PROTECT, related_name="figures")
    programme = models.CharField(max_length=60, blank=True)
    fiscal_year = models.PositiveSmallIntegerField(null=True, blank=True)
    unit = models.CharField(max_length=8)
    kind = models.CharField(max_length=24)
    owner = models.CharField(max_length=120, blank=True)
    opening = models.BigIntegerField()
    debit = models.BigIntegerField()
    credit = models.BigIntegerField()
    closing = models.BigIntegerField()

    class Meta:
        db_table = "month_figure"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                name="month_figure_once",
                fields=["close", "programme", "fiscal_year", "unit", "kind", "owner"],
                nulls_distinct=False,
            )
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.kind} {self.closing}"
