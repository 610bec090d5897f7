"""Tables of the operator's bank accounts, their statements, and what each line is."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.banking import rules


class BankAccount(models.Model):
    """A bank account of the operator. Its money lies on the ledger's account ``bank:<code>``; the main one is ``main``."""

    code = models.CharField(max_length=20, unique=True)
    holder = models.CharField(max_length=200)
    bank = models.CharField(max_length=200)
    number = models.CharField(max_length=60)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "bank_account"
        ordering = ["pk"]

    def __str__(self) -> str:
        return self.code

    @property
    def owner(self) -> str:
        """The owner of the ledger account its money lies on."""
        return f"bank:{self.code}"


class StatementImport(models.Model):
    """One statement that was taken: what it said, who brought it, and how far its lines have been looked through.

    `lines_new` + `lines_known` + `lines_faulty` are all rows that are lines. `faults` keeps every faulty row as it stood:
    ``[{row, cells, reasons: [{code, text, remedy}]}]``. The row is the outbox of the matching.
    """

    account = models.ForeignKey(BankAccount, on_delete=models.PROTECT, related_name="imports")
    name = models.CharField(max_length=120)
    sha256 = models.CharField(max_length=64)
    size = models.BigIntegerField()
    layout = models.CharField(max_length=20)
    encoding = models.CharField(max_length=12)
    starts_on = models.DateField(null=True, blank=True)
    ends_on = models.DateField(null=True, blank=True)
    opening_fen = models.BigIntegerField(null=True, blank=True)
    closing_fen = models.BigIntegerField(null=True, blank=True)
    lines_new = models.PositiveIntegerField(default=0)
    lines_known = models.PositiveIntegerField(default=0)
    lines_faulty = models.PositiveIntegerField(default=0)
    gaps = models.PositiveIntegerField(default=0)
    faults = models.JSONField(default=list, blank=True)
    imported_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    imported_at = models.DateTimeField()
    looked = models.PositiveIntegerField(default=0)
    """How many of its new lines automatic matching has looked at."""
    matched = models.PositiveIntegerField(default=0)
    """How many of them it matched or proposed."""
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "bank_statement_import"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="bank_import_once", fields=["account", "sha256"]),
            models.CheckConstraint(
                name="bank_import_looked_within",
                condition=Q(looked__lte=F("lines_new")) & Q(matched__lte=F("looked")),
            ),
        ]
        indexes = [
            models.Index(fields=["account", "-id"], name="bank_import_of"),
            models.Index(fields=["id"], name="bank_import_unfinished", condition=Q(finished_at__isnull=True)),
        ]
        triggers = [pgtrigger.Protect(name="kept", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.account_id}/{self.pk}"


class StatementLine(models.Model):
    """One line of the bank's statement, as the bank wrote it: never changed, only what became of it is.

    `amount_fen` is positive for money that came in. `hint` is the best suggestion when it was last looked at, empty for none.
    """

    class State(models.TextChoices):
        OPEN = rules.LineState.OPEN.value, _("待核销")
        PROPOSED = rules.LineState.PROPOSED.value, _("待复核")
        MATCHED = rules.LineState.MATCHED.value, _("已核销")
        PARKED = rules.LineState.PARKED.value, _("暂挂来款")
        RETURNED = rules.LineState.RETURNED.value, _("已退回")

    account = models.ForeignKey(BankAccount, on_delete=models.PROTECT, related_name="lines")
    upload = models.ForeignKey(StatementImport, on_delete=models.PROTECT, related_name="lines")
    row = models.PositiveIntegerField()
    reference = models.CharField(max_length=80)
    booked_on = models.DateField()
    value_on = models.DateField(null=True, blank=True)
    amount_fen = models.BigIntegerField()
    name = models.CharField(max_length=200, blank=True)
    name_key = models.CharField(max_length=120, blank=True)
    counter_account = models.CharField(max_length=60, blank=True)
    counter_bank = models.CharField(max_length=200, blank=True)
    memo = models.CharField(max_length=500, blank=True)
    balance_fen = models.BigIntegerField(null=True, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    hint = models.CharField(max_length=20, blank=True)
    looked_at = models.DateTimeField(null=True, blank=True)
    parked_at = models.DateTimeField(null=True, blank=True)
    """When its money was booked as unapplied cash of the line; it lies there unless the line is matched or returned."""

    class Meta:
        db_table = "bank_statement_line"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="bank_line_once", fields=["account", "reference"]),
            models.CheckConstraint(name="bank_line_of_money", condition=~Q(amount_fen=0)),
            models.CheckConstraint(
                name="bank_line_state_known", condition=Q(state__in=[each.value for each in rules.LineState])
            ),
            models.CheckConstraint(
                name="bank_line_parked_came_in",
                condition=(~Q(state__in=["parked", "returned"]) & Q(parked_at__isnull=True))
                | Q(parked_at__isnull=False, amount_fen__gt=0),
            ),
        ]
        indexes = [
            models.Index(fields=["state", "-id"], name="bank_line_queue"),
            models.Index(fields=["account", "-booked_on", "-id"], name="bank_line_by_day"),
            models.Index(fields=["-booked_on", "-id"], name="bank_line_days"),
            models.Index(fields=["amount_fen", "id"], name="bank_line_amounts"),
            models.Index(fields=["upload", "id"], name="bank_line_of_import"),
            models.Index(fields=["reference"], name="bank_line_reference"),
            models.Index(fields=["name_key"], name="bank_line_payer"),
            models.Index(fields=["upload", "id"], name="bank_line_unlooked", condition=Q(looked_at__isnull=True)),
        ]
        triggers = [
            pgtrigger.Protect(name="kept", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(
                name="as_the_bank_wrote",
                fields=["account", "upload", "row", "reference", "booked_on", "value_on", "amount_fen", "name", "memo"],
            ),
        ]

    def __str__(self) -> str:
        return self.reference

    @property
    def owner(self) -> str:
        """The owner of its unapplied cash, and the source by which money is booked for it."""
        return f"line:{self.pk}"


class BankMatch(models.Model):
    """What a line is, by a rule or by a person; its parts add up to the line. One that is active a line.

    `reasons` say why: ``["reference", "payer", "amount"]``. Above the limit a second person books it (`decided_by`); a wrong
    one is reversed by two persons (`doubted_by`, `reversed_by`) and stays on record.
    """

    class State(models.TextChoices):
        PROPOSED = rules.MatchState.PROPOSED.value, _("待复核")
        BOOKED = rules.MatchState.BOOKED.value, _("已入账")
        REFUSED = rules.MatchState.REFUSED.value, _("未通过")
        REVERSING = rules.MatchState.REVERSING.value, _("待冲正")
        REVERSED = rules.MatchState.REVERSED.value, _("已冲正")

    line = models.ForeignKey(StatementLine, on_delete=models.PROTECT, related_name="matches")
    nth = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=12, choices=State, default=State.PROPOSED)
    reasons = models.JSONField(default=list, blank=True)
    from_parked = models.BooleanField(default=False)
    note = models.CharField(max_length=200, blank=True)
    proposed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """Empty: automatic matching."""
    proposer = models.CharField(max_length=160)
    proposed_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    doubted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    doubter = models.CharField(max_length=160, blank=True)
    doubt = models.CharField(max_length=200, blank=True)
    doubted_at = models.DateTimeField(null=True, blank=True)
    reversed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reversed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "bank_match"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="bank_match_active_once",
                fields=["line"],
                condition=Q(state__in=sorted(state.value for state in rules.ACTIVE)),
            ),
            models.UniqueConstraint(name="bank_match_nth", fields=["line", "nth"]),
            models.CheckConstraint(
                name="bank_match_state_known", condition=Q(state__in=[each.value for each in rules.MatchState])
            ),
            models.CheckConstraint(
                name="bank_match_two_persons",
                condition=(Q(decided_by__isnull=True) | Q(proposed_by__isnull=True) | ~Q(decided_by=F("proposed_by")))
                & (Q(reversed_by__isnull=True) | ~Q(reversed_by=F("doubted_by"))),
            ),
        ]
        indexes = [models.Index(fields=["state", "-id"], name="bank_match_queue")]
        triggers = [pgtrigger.Protect(name="kept", operation=pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"line:{self.line_id}/{self.nth}"


class MatchPart(models.Model):
    """A part of a match: so much of the line is this. `amount_fen` is positive in either direction."""

    class Kind(models.TextChoices):
        PAYMENT = rules.PartKind.PAYMENT.value, _("企业付款")
        MANUAL = rules.PartKind.MANUAL.value, _("已人工确认的付款")
        PAYOUT = rules.PartKind.PAYOUT.value, _("支付机构划款")
        REFUND = rules.PartKind.REFUND.value, _("退款")
        PAID_BACK = rules.PartKind.PAID_BACK.value, _("已登记的退款")
        SETTLEMENT = rules.PartKind.SETTLEMENT.value, _("兑付批次")
        FEE = rules.PartKind.FEE.value, _("银行手续费")
        RETURN = rules.PartKind.RETURN.value, _("退回来款")
        EXCESS = rules.PartKind.EXCESS.value, _("退回挂账资金")
        BOUNCE = rules.PartKind.BOUNCE.value, _("付款退票")
        REPAYMENT = rules.PartKind.REPAYMENT.value, _("收款单位还款")
        RECOVERED = rules.PartKind.RECOVERED.value, _("已登记的追缴款")

    match = models.ForeignKey(BankMatch, on_delete=models.PROTECT, related_name="parts")
    nth = models.PositiveSmallIntegerField()
    kind = models.CharField(max_length=12, choices=Kind)
    amount_fen = models.BigIntegerField()
    payment = models.ForeignKey(
        "vouchers.Payment", null=True, blank=True, on_delete=models.PROTECT, related_name="bank_parts"
    )
    batch = models.ForeignKey(
        "vouchers.SettlementBatch", null=True, blank=True, on_delete=models.PROTECT, related_name="bank_parts"
    )
    order_line = models.ForeignKey(
        "vouchers.PaymentOrderLine", null=True, blank=True, on_delete=models.PROTECT, related_name="bank_parts"
    )
    """Of a settlement: the line of a payment order that the bank paid late, beside what its batch was paid otherwise."""
    returned = models.ForeignKey(
        StatementLine, null=True, blank=True, on_delete=models.PROTECT, related_name="return_parts"
    )
    payer = models.ForeignKey("portal.Organisation", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    """Whose unapplied money goes back; of a repayment, which payee pays back."""
    recovery = models.ForeignKey(
        "vouchers.Recovery", null=True, blank=True, on_delete=models.PROTECT, related_name="bank_parts"
    )
    rail = models.CharField(max_length=24, blank=True)
    arrival = models.ForeignKey(
        "vouchers.Arrival", null=True, blank=True, on_delete=models.PROTECT, related_name="bank_parts"
    )
    """What was booked for it, or had been booked by hand."""

    class Meta:
        db_table = "bank_match_part"
        ordering = ["match", "nth"]
        constraints = [
            models.UniqueConstraint(name="bank_part_nth", fields=["match", "nth"]),
            models.CheckConstraint(name="bank_part_positive", condition=Q(amount_fen__gt=0)),
            models.CheckConstraint(
                name="bank_part_kind_known", condition=Q(kind__in=[each.value for each in rules.PartKind])
            ),
            models.CheckConstraint(
                name="bank_part_is_one_thing",
                condition=Q(
                    kind__in=["payment", "manual", "refund", "paid_back"], payment__isnull=False, batch__isnull=True
                )
                | Q(kind__in=["settlement", "bounce"], batch__isnull=False, payment__isnull=True)
                | Q(kind="return", returned__isnull=False, payment__isnull=True, batch__isnull=True)
                | Q(kind__in=["excess", "repayment"], payer__isnull=False, payment__isnull=True, batch__isnull=True)
                | Q(kind="payout", payment__isnull=True, batch__isnull=True) & ~Q(rail="")
                | Q(kind="recovered", recovery__isnull=False, payment__isnull=True, batch__isnull=True)
                | Q(kind="fee", payment__isnull=True, batch__isnull=True),
            ),
        ]
        triggers = [pgtrigger.Protect(name="kept", operation=pgtrigger.Delete)]


class BankClaim(models.Model):
    """That a person has said by hand what a bank reference is for, before or without its statement line. Once a reference.

    `subject`: ``in:P2611-000001`` money for a payment, ``back:P2611-000001`` a refund of it, ``batch:S2611-000001`` or
    ``order:PO2611-000001`` what was paid out, ``recovery:RC2611-000001`` money of a recovery. A line of that reference is matched with that and nothing else.

    A mistyped one is released by two persons (`doubted_by`, `released_by`) and stays on record; `right` is what it should
    have been, where that is known. `key` is the reference under which the bookings know it, empty for its own.
    """

    reference = models.CharField(max_length=80)
    subject = models.CharField(max_length=60)
    key = models.CharField(max_length=80, blank=True)
    claimed_at = models.DateTimeField()
    doubt = models.CharField(max_length=200, blank=True)
    right = models.CharField(max_length=80, blank=True)
    doubter = models.CharField(max_length=160, blank=True)
    doubted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    doubted_at = models.DateTimeField(null=True, blank=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    released_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "bank_claim"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                name="bank_claim_once", fields=["reference"], condition=Q(released_at__isnull=True)
            ),
            models.CheckConstraint(
                name="bank_claim_released_by_two",
                condition=Q(released_at__isnull=True, released_by__isnull=True)
                | Q(released_at__isnull=False, released_by__isnull=False, doubted_by__isnull=False)
                & ~Q(doubt="")
                & ~Q(released_by=F("doubted_by")),
            ),
        ]
        indexes = [
            models.Index(fields=["reference"], name="bank_claim_reference"),
            models.Index(fields=["subject"], name="bank_claim_subject"),
        ]
        triggers = [
            pgtrigger.Protect(name="kept", operation=pgtrigger.Delete),
            pgtrigger.ReadOnly(name="as_it_was_said", fields=["reference", "subject", "key", "claimed_at"]),
        ]

    def __str__(self) -> str:
        return f"{self.reference} {self.subject}"

    @property
    def booked_as(self) -> str:
        """The reference under which the bookings know what it is for."""
        return self.key or self.reference
