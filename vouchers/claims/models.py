"""Tables of claims, their lines and invoices, who pays which part, and payment runs."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from vouchers.claims import rules
from vouchers.programmes.terms import RedeemMode


class PaymentRun(models.Model):
    """One payment of a programme's accepted claims: those filed in the window, once it has closed."""

    number = models.CharField(max_length=24, unique=True)
    programme = models.ForeignKey("vouchers.Programme", on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    """The window; empty for a run that was called by hand."""
    opened_at = models.DateTimeField()
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )

    class Meta:
        db_table = "payment_run"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="payment_run_once", fields=["programme", "starts_at"], condition=Q(starts_at__isnull=False)
            ),
            models.CheckConstraint(
                name="payment_run_window",
                condition=Q(starts_at__isnull=True, ends_at__isnull=True) | Q(ends_at__gt=F("starts_at")),
            ),
        ]

    def __str__(self) -> str:
        return self.number


class RedemptionClaim(models.Model):
    """A claim for payment under one programme version. Its lines add up to `amount_fen`.

    `deduct`: lines are charges the claimant served, their voucher shares already taken. `reimburse`: `voucher` pays back
    what the claimant paid in full; the amount is held on it from filing. `award`: what `application` was granted, or a
    top-up of `base`, another claim's payment. `checked_fen` is what the checker (or the auditor) found, `approved_fen` what
    was approved, never more.
    """

    class State(models.TextChoices):
        PROPOSED = rules.ClaimState.PROPOSED.value, _("待确认")
        DRAFT = rules.ClaimState.DRAFT.value, _("草稿")
        SUPPLEMENT = rules.ClaimState.SUPPLEMENT.value, _("待补充")
        CHECKING = rules.ClaimState.CHECKING.value, pgettext_lazy("claim", "核查中")
        AUDIT = rules.ClaimState.AUDIT.value, _("抽样审计中")
        APPROVAL = rules.ClaimState.APPROVAL.value, _("待审批")
        PAYABLE = rules.ClaimState.PAYABLE.value, _("待付款")
        BATCHED = rules.ClaimState.BATCHED.value, _("付款办理中")
        SETTLED = rules.ClaimState.SETTLED.value, _("已付款")
        REFUSED = rules.ClaimState.REFUSED.value, _("未通过")
        WITHDRAWN = rules.ClaimState.WITHDRAWN.value, _("已撤回")

    class Mode(models.TextChoices):
        DEDUCT = RedeemMode.DEDUCT.value, _("券款直接抵扣")
        REIMBURSE = RedeemMode.REIMBURSE.value, _("先付后补")
        AWARD = RedeemMode.AWARD.value, _("奖补")

    number = models.CharField(max_length=24, unique=True)
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    mode = models.CharField(max_length=12, choices=Mode)
    version = models.ForeignKey("vouchers.ProgrammeVersion", on_delete=models.PROTECT, related_name="claims")
    fiscal_year = models.PositiveIntegerField()
    claimant = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    payee = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    voucher = models.ForeignKey(
        "vouchers.Voucher", null=True, blank=True, on_delete=models.PROTECT, related_name="claims"
    )
    application = models.ForeignKey(
        "vouchers.Application", null=True, blank=True, on_delete=models.PROTECT, related_name="claims"
    )
    base = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="topups")
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    amount_fen = models.BigIntegerField()
    checked_fen = models.BigIntegerField(null=True, blank=True)
    approved_fen = models.BigIntegerField(null=True, blank=True)
    turn = models.PositiveSmallIntegerField(default=0)
    """How often it was filed."""
    hold_id = models.BigIntegerField(null=True, blank=True)
    note = models.CharField(max_length=300, blank=True)
    """The last reason given to the claimant: for a return, a cut or a refusal."""
    sample_seed = models.CharField(max_length=64, blank=True)
    sampled = models.BooleanField(default=False)
    finding = models.CharField(max_length=600, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    filed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    checked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    audited_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    created_at = models.DateTimeField()
    filed_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    audited_at = models.DateTimeField(null=True, blank=True)
    approved_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    run = models.ForeignKey(PaymentRun, null=True, blank=True, on_delete=models.PROTECT, related_name="claims")
    eligible_at = models.DateTimeField(null=True, blank=True)
    """From when it may be put into a settlement batch; empty while it waits for its payment run."""

    class Meta:
        db_table = "redemption_claim"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="redemption_key_once", fields=["claimant", "key"]),
            models.UniqueConstraint(
                name="redemption_award_once",
                fields=["application"],
                condition=Q(mode=RedeemMode.AWARD.value, application__isnull=False)
                & ~Q(state__in=[rules.ClaimState.REFUSED.value, rules.ClaimState.WITHDRAWN.value]),
            ),
            models.UniqueConstraint(name="redemption_topup_once", fields=["base", "version"]),
            models.CheckConstraint(
                name="redemption_state_known", condition=Q(state__in=[s.value for s in rules.ClaimState])
            ),
            models.CheckConstraint(name="redemption_mode_known", condition=Q(mode__in=[m.value for m in RedeemMode])),
            models.CheckConstraint(
                name="redemption_amounts_only_down",
                condition=Q(amount_fen__gt=0)
                & (Q(checked_fen__isnull=True) | Q(checked_fen__gt=0, checked_fen__lte=F("amount_fen")))
                & (Q(approved_fen__isnull=True) | Q(approved_fen__gt=0, approved_fen__lte=F("amount_fen"))),
            ),
            models.CheckConstraint(
                name="redemption_four_eyes",
                condition=(Q(checked_by__isnull=True) | ~Q(checked_by=F("filed_by")) | Q(filed_by__isnull=True))
                & (Q(approved_by__isnull=True) | Q(checked_by__isnull=True) | ~Q(approved_by=F("checked_by")))
                & (Q(approved_by__isnull=True) | Q(filed_by__isnull=True) | ~Q(approved_by=F("filed_by")))
                & (Q(approved_by__isnull=True) | Q(audited_by__isnull=True) | ~Q(approved_by=F("audited_by"))),
            ),
        ]
        indexes = [
            models.Index(fields=["claimant", "-id"], name="redemption_of_claimant"),
            models.Index(fields=["state", "id"], name="redemption_queue"),
            models.Index(fields=["payee", "state"], name="redemption_of_payee"),
        ]

    def __str__(self) -> str:
        return self.number


class ClaimLine(models.Model):
    """One row of a claim. `base_fen` was invoiced, `amount_fen` is claimed of it. `active` while the claim is filed."""

    claim = models.ForeignKey(RedemptionClaim, on_delete=models.CASCADE, related_name="lines")
    position = models.PositiveSmallIntegerField()
    what = models.CharField(max_length=120)
    day = models.DateField(null=True, blank=True)
    invoice = models.CharField(max_length=40, blank=True)
    reference = models.CharField(max_length=80, blank=True)
    """Of the usage log, order or delivery it rests on."""
    base_fen = models.BigIntegerField()
    amount_fen = models.BigIntegerField()
    charge = models.ForeignKey(
        "vouchers.Charge", null=True, blank=True, on_delete=models.PROTECT, related_name="redemption_lines"
    )
    voucher = models.ForeignKey("vouchers.Voucher", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    active = models.BooleanField(default=False)

    class Meta:
        db_table = "redemption_claim_line"
        ordering = ["claim", "position"]
        constraints = [
            models.UniqueConstraint(name="redemption_line_position", fields=["claim", "position"]),
            models.UniqueConstraint(
                name="redemption_charge_once",
                fields=["charge", "voucher"],
                condition=Q(active=True, charge__isnull=False),
            ),
        ]


class ClaimInvoice(models.Model):
    """An invoice in use. While `active`, no other claim of any organisation or programme can carry its number."""

    claim = models.ForeignKey(RedemptionClaim, on_delete=models.CASCADE, related_name="invoices")
    key = models.CharField(max_length=rules.MAX_INVOICE)
    active = models.BooleanField(default=True)

    class Meta:
        db_table = "redemption_claim_invoice"
        constraints = [
            models.UniqueConstraint(name="redemption_invoice_once", fields=["key"], condition=Q(active=True))
        ]


class ClaimPart(models.Model):
    """What one payer bears of an approved claim. The last payer of the programme takes the remainder."""

    claim = models.ForeignKey(RedemptionClaim, on_delete=models.PROTECT, related_name="parts")
    position = models.PositiveSmallIntegerField()
    payer = models.CharField(max_length=120)
    amount_fen = models.BigIntegerField()

    class Meta:
        db_table = "redemption_claim_part"
        ordering = ["claim", "position"]
        constraints = [
            models.UniqueConstraint(name="redemption_part_position", fields=["claim", "position"]),
            models.CheckConstraint(name="redemption_part_positive", condition=Q(amount_fen__gte=0)),
        ]
