"""Tables of settlement batches."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.settlements import rules


class SettlementBatch(models.Model):
    """What one payee, a provider or an enterprise, is paid in one go. Its total equals the sum of its lines and the ledger's clearing account."""

    class State(models.TextChoices):
        DRAFT = rules.BatchState.DRAFT.value, _("待审批")
        CHECKED = rules.BatchState.CHECKED.value, _("已核对、待审批")
        APPROVED = rules.BatchState.APPROVED.value, _("待付款")
        EXPORTED = rules.BatchState.EXPORTED.value, _("已导出、待回盘")
        PAID = rules.BatchState.PAID.value, _("已付款")
        RECONCILED = rules.BatchState.RECONCILED.value, _("已对账")
        RETURNED = rules.BatchState.RETURNED.value, _("已退票、待核实账户")
        DISCARDED = rules.BatchState.DISCARDED.value, _("已作废")

    number = models.CharField(max_length=24, unique=True)
    payee = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    total_fen = models.BigIntegerField()
    account = models.ForeignKey(
        "vouchers.PayeeAccount", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """Where it is paid, as it was in force when the batch was approved: a later change does not touch it."""
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """Empty where the clock drafted it; a person checks it then before another approves."""
    checked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    set_off_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """Who took debts of recoveries off the draft: has changed what is paid, and neither checks nor approves it."""
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    paid_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reconciled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    bank_reference = models.CharField(_("付款凭证号"), max_length=60, blank=True)
    bank_line = models.CharField(max_length=80, blank=True)
    """The line of the bank's statement that shows the payment."""
    returns = models.PositiveSmallIntegerField(default=0)
    """How often the payee's bank sent it back after it was paid: part of the journals' keys."""
    returned_line = models.CharField(max_length=80, blank=True)
    """The line of the bank's statement by which it came back last."""
    returned_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()
    checked_at = models.DateTimeField(null=True, blank=True)
    exported_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    paid_at = models.DateTimeField(null=True, blank=True)
    reconciled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "settlement_batch"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="batch_state_known", condition=Q(state__in=[s.value for s in rules.BatchState])
            ),
            models.CheckConstraint(
                name="batch_four_eyes",
                condition=Q(approved_by__isnull=True) | Q(created_by__isnull=True) | ~Q(approved_by=F("created_by")),
            ),
            models.CheckConstraint(
                name="batch_checked_by_another",
                condition=Q(checked_by__isnull=True)
                | (
                    (Q(created_by__isnull=True) | ~Q(checked_by=F("created_by")))
                    & (Q(approved_by__isnull=True) | ~Q(checked_by=F("approved_by")))
                ),
            ),
            models.CheckConstraint(
                name="batch_set_off_by_another",
                condition=Q(set_off_by__isnull=True)
                | (
                    (Q(checked_by__isnull=True) | ~Q(checked_by=F("set_off_by")))
                    & (Q(approved_by__isnull=True) | ~Q(approved_by=F("set_off_by")))
                ),
            ),
            models.CheckConstraint(
                name="batch_drafted_or_checked_by_a_person",
                condition=Q(approved_by__isnull=True) | Q(created_by__isnull=False) | Q(checked_by__isnull=False),
            ),
            models.CheckConstraint(
                name="batch_total_not_negative",
                condition=Q(total_fen__gte=0),
            ),
        ]

    def __str__(self) -> str:
        return self.number


class SettlementLine(models.Model):
    """One voucher's part of a charge, its own share, an approved claim, or a debt set off, in one batch.

    While active, no other batch can hold it.
    """

    batch = models.ForeignKey(SettlementBatch, on_delete=models.PROTECT, related_name="lines")
    charge = models.ForeignKey(
        "vouchers.Charge", null=True, blank=True, on_delete=models.PROTECT, related_name="settlement_lines"
    )
    claim = models.ForeignKey(
        "vouchers.RedemptionClaim", null=True, blank=True, on_delete=models.PROTECT, related_name="settlement_lines"
    )
    voucher = models.ForeignKey("vouchers.Voucher", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    """Whose part of the charge it is; empty for the own share."""
    recovery = models.ForeignKey(
        "vouchers.Recovery", null=True, blank=True, on_delete=models.PROTECT, related_name="set_offs"
    )
    """The case whose debt is set off; empty for refunds the payee made after a batch held them."""
    leg = models.CharField(max_length=8)
    amount_fen = models.BigIntegerField()
    programme_code = models.CharField(max_length=60, blank=True)
    fiscal_year = models.PositiveIntegerField(null=True, blank=True)
    """Of an offset: what the payee owes back to this programme and year, taken from what it is owed.

    Empty for the own shares it owes back, which are no programme's money.
    """
    payable = models.CharField(max_length=24, blank=True)
    """Of an offset: the kind of the ledger account it is taken from."""
    active = models.BooleanField(default=True)
    given_up = models.BooleanField(default=False)
    """The whole batch ended unpaid with the line in it; False where the line alone was sent back."""
    reason = models.CharField(max_length=200, blank=True)
    """Why finance sent the line back."""

    class Meta:
        db_table = "settlement_line"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                name="settlement_leg_once",
                fields=["charge", "leg", "voucher"],
                condition=Q(active=True, charge__isnull=False),
                nulls_distinct=False,
            ),
            models.UniqueConstraint(
                name="settlement_claim_once", fields=["claim"], condition=Q(active=True, claim__isnull=False)
            ),
            models.CheckConstraint(
                name="settlement_line_positive",
                condition=Q(amount_fen__gt=0) | Q(leg=rules.Leg.OFFSET.value, amount_fen__lt=0),
            ),
            models.CheckConstraint(name="settlement_leg_known", condition=Q(leg__in=[x.value for x in rules.Leg])),
            models.CheckConstraint(
                name="settlement_line_settles_one_thing",
                condition=Q(leg=rules.Leg.CLAIM.value, claim__isnull=False, charge__isnull=True)
                | Q(leg=rules.Leg.OFFSET.value, claim__isnull=True, charge__isnull=True) & ~Q(payable="")
                | Q(leg=rules.Leg.VOUCHER.value, claim__isnull=True, charge__isnull=False, voucher__isnull=False)
                | Q(leg=rules.Leg.OWN.value, claim__isnull=True, charge__isnull=False, voucher__isnull=True),
            ),
        ]


class YearProposal(models.Model):
    """That a fiscal year be closed: asked for by one person of finance, ended by another's approval or a return.

    `signature` is the asker as the ledger signs; `reason` says why it was sent back, empty where the year was closed.
    """

    fiscal_year = models.PositiveSmallIntegerField()
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    signature = models.CharField(max_length=160)
    proposed_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    ended_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "year_proposal"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                name="year_proposed_once", fields=["fiscal_year"], condition=Q(ended_at__isnull=True)
            ),
            models.CheckConstraint(
                name="year_closed_by_another",
                condition=Q(ended_by__isnull=True) | ~Q(reason="") | ~Q(ended_by=F("proposed_by")),
            ),
        ]

    def __str__(self) -> str:
        return f"close {self.fiscal_year}"
