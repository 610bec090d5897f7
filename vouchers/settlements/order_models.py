"""Tables of payment orders, return files, discrepancies, file formats, and how often payees are settled."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.settlements import order_rules as rules


def _who(*, optional: bool = False) -> models.ForeignKey:  # type: ignore[type-arg]  # Django's class takes none when it runs
    return models.ForeignKey(
        settings.AUTH_USER_MODEL, null=optional, blank=optional, on_delete=models.PROTECT, related_name="+"
    )


class PaymentOrder(models.Model):
    """Approved batches of several payees in one file for the treasury or bank. `content` is the very file that was sent.

    `format` is the document it was written by, `manifest` says what it holds, its SHA-256 and the ledger's head.
    """

    class State(models.TextChoices):
        EXPORTED = rules.PaymentOrderState.EXPORTED.value, _("待回盘")
        ANSWERED = rules.PaymentOrderState.ANSWERED.value, _("已回盘")
        CANCELLED = rules.PaymentOrderState.CANCELLED.value, _("已撤销")

    number = models.CharField(max_length=24, unique=True)
    state = models.CharField(max_length=12, choices=State, default=State.EXPORTED)
    total_fen = models.BigIntegerField()
    format = models.JSONField()
    file_name = models.CharField(max_length=80)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    manifest = models.JSONField()
    created_by = _who()
    created_at = models.DateTimeField()
    ended_by = _who(optional=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    """Why it was cancelled."""

    class Meta:
        db_table = "payment_order"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="payment_order_state_known",
                condition=Q(state__in=[state.value for state in rules.PaymentOrderState]),
            ),
            models.CheckConstraint(name="payment_order_total", condition=Q(total_fen__gt=0)),
            models.CheckConstraint(
                name="payment_order_cancelled_by_another",
                condition=~Q(state=rules.PaymentOrderState.CANCELLED.value) | ~Q(ended_by=F("created_by")),
            ),
        ]

    def __str__(self) -> str:
        return self.number


class PaymentOrderLine(models.Model):
    """One payment of an order: one batch to one account, as both were when the file was made."""

    class State(models.TextChoices):
        OPEN = rules.OrderLineState.OPEN.value, _("待回盘")
        PAID = rules.OrderLineState.PAID.value, _("已付款")
        FAILED = rules.OrderLineState.FAILED.value, _("未付成")
        RETURNED = rules.OrderLineState.RETURNED.value, _("已退票")
        CANCELLED = rules.OrderLineState.CANCELLED.value, _("已撤销")
        PAID_LATE = rules.OrderLineState.PAID_LATE.value, _("后来查明已付款")

    order = models.ForeignKey(PaymentOrder, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveIntegerField()
    reference = models.CharField(max_length=40, unique=True)
    batch = models.ForeignKey("vouchers.SettlementBatch", on_delete=models.PROTECT, related_name="order_lines")
    account = models.ForeignKey("vouchers.PayeeAccount", on_delete=models.PROTECT, related_name="+")
    amount_fen = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    bank_reference = models.CharField(max_length=60, blank=True)
    reason = models.CharField(max_length=200, blank=True)
    """What the bank says of a payment that failed."""
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "payment_order_line"
        ordering = ["order_id", "position"]
        constraints = [
            models.UniqueConstraint(name="payment_order_position", fields=["order", "position"]),
            models.UniqueConstraint(
                name="payment_order_batch_once",
                fields=["batch"],
                condition=Q(state__in=[rules.OrderLineState.OPEN.value, rules.OrderLineState.PAID.value]),
            ),
            models.CheckConstraint(
                name="payment_order_line_state_known",
                condition=Q(state__in=[state.value for state in rules.OrderLineState]),
            ),
            models.CheckConstraint(name="payment_order_line_amount", condition=Q(amount_fen__gt=0)),
        ]

    def __str__(self) -> str:
        return self.reference


class ReturnFile(models.Model):
    """What a bank answered to an order, kept as it came. The same bytes count once."""

    order = models.ForeignKey(PaymentOrder, on_delete=models.PROTECT, related_name="answers")
    name = models.CharField(max_length=120)
    format = models.CharField(max_length=60)
    content = models.BinaryField()
    sha256 = models.CharField(max_length=64)
    rows = models.PositiveIntegerField()
    paid = models.PositiveIntegerField()
    failed = models.PositiveIntegerField()
    unchanged = models.PositiveIntegerField()
    """Rows that said what was known."""
    discrepancies = models.PositiveIntegerField()
    imported_by = _who()
    imported_at = models.DateTimeField()

    class Meta:
        db_table = "return_file"
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(name="return_file_once", fields=["order", "sha256"])]

    def __str__(self) -> str:
        return self.name


class Discrepancy(models.Model):
    """What a bank's answer and the portal disagree on: explained, or corrected, and closed by a second person.

    `said` is what the bank says; `correction` what a correction makes of the line once it is closed.
    """

    class State(models.TextChoices):
        OPEN = rules.DiscrepancyState.OPEN.value, _("待查明")
        EXPLAINED = rules.DiscrepancyState.EXPLAINED.value, _("已说明、待结案")
        CORRECTED = rules.DiscrepancyState.CORRECTED.value, _("已提出更正、待结案")
        CLOSED = rules.DiscrepancyState.CLOSED.value, _("已结案")

    class Kind(models.TextChoices):
        WRONG_AMOUNT = rules.DiscrepancyKind.WRONG_AMOUNT.value, _("金额不符")
        UNKNOWN_LINE = rules.DiscrepancyKind.UNKNOWN_LINE.value, _("指令中没有的明细")
        CONTRADICTS = rules.DiscrepancyKind.CONTRADICTS.value, _("与先前结果相反")
        BOUNCED = rules.DiscrepancyKind.BOUNCED.value, _("付款后退票")

    number = models.CharField(max_length=24, unique=True)
    kind = models.CharField(max_length=16, choices=Kind)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    order = models.ForeignKey(PaymentOrder, on_delete=models.PROTECT, related_name="discrepancies")
    line = models.ForeignKey(
        PaymentOrderLine, null=True, blank=True, on_delete=models.PROTECT, related_name="discrepancies"
    )
    reference = models.CharField(max_length=200)
    expected_fen = models.BigIntegerField(null=True, blank=True)
    found_fen = models.BigIntegerField()
    said = models.CharField(max_length=8)
    bank_reason = models.CharField(max_length=200, blank=True)
    bank_reference = models.CharField(max_length=60, blank=True)
    opened_at = models.DateTimeField()
    text = models.CharField(max_length=600, blank=True)
    correction = models.CharField(max_length=8, blank=True)
    answered_by = _who(optional=True)
    answered_at = models.DateTimeField(null=True, blank=True)
    closed_by = _who(optional=True)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "settlement_discrepancy"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="discrepancy_open_once",
                fields=["order", "kind", "reference", "found_fen", "said"],
                condition=~Q(state=rules.DiscrepancyState.CLOSED.value),
            ),
            models.CheckConstraint(
                name="discrepancy_state_known",
                condition=Q(state__in=[state.value for state in rules.DiscrepancyState]),
            ),
            models.CheckConstraint(
                name="discrepancy_closed_by_another",
                condition=Q(closed_by__isnull=True) | ~Q(closed_by=F("answered_by")),
            ),
        ]

    def __str__(self) -> str:
        return self.number


class BankFormat(models.Model):
    """A file format of a department's treasury or bank, as the document `formats.format_of` reads; a later row replaces it."""

    code = models.CharField(max_length=60)
    definition = models.JSONField()
    created_by = _who()
    created_at = models.DateTimeField()

    class Meta:
        db_table = "bank_format"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return self.code


class SettlementTerms(models.Model):
    """How often what is owed out of a programme's money is put into batches, and whether a checker looks at them first.

    An empty programme stands for own shares and for every programme without a row of its own.
    """

    class Cadence(models.TextChoices):
        ON_DEMAND = rules.SettlementCadence.ON_DEMAND.value, _("由财务按需编制")
        WEEKLY = rules.SettlementCadence.WEEKLY.value, _("每周")
        MONTHLY = rules.SettlementCadence.MONTHLY.value, _("每月")
        QUARTERLY = rules.SettlementCadence.QUARTERLY.value, _("每季度")

    programme_code = models.CharField(max_length=60, blank=True, unique=True)
    cadence = models.CharField(max_length=12, choices=Cadence, default=Cadence.ON_DEMAND)
    needs_check = models.BooleanField(default=False)
    changed_by = _who()
    changed_at = models.DateTimeField()

    class Meta:
        db_table = "settlement_terms"
        ordering = ["programme_code"]
        constraints = [
            models.CheckConstraint(
                name="settlement_cadence_known",
                condition=Q(cadence__in=[cadence.value for cadence in rules.SettlementCadence]),
            )
        ]

    def __str__(self) -> str:
        return f"{self.programme_code or '*'} {self.cadence}"


class DraftRun(models.Model):
    """That the clock has drafted what was due of a programme's money at the end of a week, month or quarter: once."""

    programme_code = models.CharField(max_length=60, blank=True)
    ends_at = models.DateTimeField()
    batches = models.PositiveIntegerField()
    ran_at = models.DateTimeField()

    class Meta:
        db_table = "settlement_draft_run"
        ordering = ["-pk"]
        constraints = [models.UniqueConstraint(name="settlement_drafted_once", fields=["programme_code", "ends_at"])]

    def __str__(self) -> str:
        return f"{self.programme_code or '*'} {self.ends_at:%Y-%m-%d}"
