"""Tables of the ledger.

Identity and balance are separate tables and foreign keys point at identity only: a row that every posting updates
must never be one that every posting's foreign keys lock. What was written stays written: journals, transfers, holds
and resolutions refuse UPDATE, DELETE and TRUNCATE in the database. Composite foreign keys ``(account, unit)``, the
allowed flows and the guards of inserted rows are in ``sql/schema.sql`` and ``sql/engine.sql``.
"""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import F, Q

from portal.kernel.money import MAX_FEN
from vouchers.ledger.chart import ACCOUNT_KINDS, CNY, JOURNAL_KINDS, Bound, JournalKind, Scope
from vouchers.ledger.rules import Outcome

__all__ = [
    "Account",
    "AuditRun",
    "Balance",
    "Hold",
    "HoldOpen",
    "HoldResolution",
    "Journal",
    "Period",
    "Refusal",
    "Seal",
    "Transfer",
]


class Xid8Field(models.BigIntegerField):  # type: ignore[type-arg]  # Django's class takes none when it runs
    """A 64-bit transaction id: rows below ``pg_snapshot_xmin`` are final, whatever order their ids have."""

    def db_type(self, connection: object) -> str:  # noqa: ARG002  Django names the argument
        return "xid8"

    def from_db_value(self, value: str | None, _expression: object, _connection: object) -> int | None:
        return None if value is None else int(value)


def append_only() -> list[pgtrigger.Trigger]:
    return [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]


def kinds_in(scope: Scope) -> Q:
    return Q(kind__in=[kind.value for kind, rule in ACCOUNT_KINDS.items() if rule.scope is scope])


class Account(models.Model):
    """Who and what an account is for. Never changes, except that an empty one may be closed, once.

    `kind` is listed in `chart.ACCOUNT_KINDS`; `owner` is text such as ``voucher:V2026-000123``.
    """

    kind = models.CharField(max_length=24)
    unit = models.CharField(max_length=8, default=CNY)
    owner = models.CharField(max_length=120)
    programme = models.CharField(max_length=60, blank=True)
    fiscal_year = models.PositiveSmallIntegerField(null=True, blank=True)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "ledger_account"
        constraints = [
            models.UniqueConstraint(
                name="ledger_account_identity",
                fields=["kind", "unit", "owner", "programme", "fiscal_year"],
                nulls_distinct=False,
            ),
            models.UniqueConstraint(name="ledger_account_unit", fields=["id", "unit"]),
            models.CheckConstraint(
                name="ledger_account_programme_and_year",
                condition=Q(programme="", fiscal_year__isnull=True) | (~Q(programme="") & Q(fiscal_year__isnull=False)),
            ),
            models.CheckConstraint(
                name="ledger_account_scope",
                condition=kinds_in(Scope.EITHER)
                | (kinds_in(Scope.PROGRAMME) & ~Q(programme=""))
                | (kinds_in(Scope.CASH) & Q(programme="")),
            ),
            models.CheckConstraint(name="ledger_account_has_owner", condition=~Q(owner="")),
        ]
        indexes = [models.Index(fields=["programme", "fiscal_year", "kind"], name="ledger_account_programme")]

    def __str__(self) -> str:
        return f"{self.kind} {self.owner}"


class Balance(models.Model):
    """The running sums of one account: what was posted on each side and what is held. No foreign key points here.

    `bound` says which side may never be overdrawn; holds count as spent. `hot` balances are locked after all others.
    """

    account = models.OneToOneField(Account, on_delete=models.PROTECT, primary_key=True, related_name="balance")
    posted_dr = models.BigIntegerField(default=0)
    posted_cr = models.BigIntegerField(default=0)
    held_dr = models.BigIntegerField(default=0)
    held_cr = models.BigIntegerField(default=0)
    bound = models.CharField(max_length=8)
    hot = models.BooleanField(default=False)

    class Meta:
        db_table = "ledger_balance"
        constraints = [
            models.CheckConstraint(
                name="ledger_balance_not_negative",
                condition=Q(posted_dr__gte=0, posted_cr__gte=0, held_dr__gte=0, held_cr__gte=0),
            ),
            models.CheckConstraint(
                name="ledger_balance_no_overdraft",
                condition=Q(bound=Bound.NONE.value)
                | Q(bound=Bound.CREDIT.value, posted_cr__gte=F("posted_dr") + F("held_dr"))
                | Q(bound=Bound.DEBIT.value, posted_dr__gte=F("posted_cr") + F("held_cr")),
            ),
        ]

    def __str__(self) -> str:
        return f"balance of account {self.pk}"


class Journal(models.Model):
    """One act: why value moved, who asked, who approved. Its transfers all happened or none did.

    `key` makes it idempotent, `fingerprint` is the SHA-256 of what was asked. `effective_at` is when it counts,
    `recorded_at` the instant by which deadlines were judged.
    """

    kind = models.CharField(max_length=24)
    key = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32)
    actor = models.CharField(max_length=160)
    approved_by = models.CharField(max_length=160, blank=True)
    reason = models.CharField(max_length=300, blank=True)
    source_type = models.CharField(max_length=40)
    source_id = models.CharField(max_length=80)
    effective_at = models.DateTimeField()
    recorded_at = models.DateTimeField()
    reverses = models.ForeignKey(
        "self", null=True, blank=True, on_delete=models.PROTECT, related_name="reversals", db_index=False
    )
    txid = Xid8Field(db_default=models.Func(function="pg_current_xact_id"), editable=False)

    class Meta:
        db_table = "ledger_journal"
        constraints = [
            models.UniqueConstraint(name="ledger_journal_key", fields=["key"]),
            models.UniqueConstraint(
                name="ledger_journal_reversed_once", fields=["reverses"], condition=Q(reverses__isnull=False)
            ),
            models.CheckConstraint(
                name="ledger_journal_two_persons",
                condition=~Q(kind__in=sorted(kind.value for kind, rule in JOURNAL_KINDS.items() if rule.two_person))
                | (~Q(approved_by="") & ~Q(approved_by=F("actor"))),
            ),
            models.CheckConstraint(
                name="ledger_journal_reversal",
                condition=Q(kind=JournalKind.REVERSE.value, reverses__isnull=False)
                | (~Q(kind=JournalKind.REVERSE.value) & Q(reverses__isnull=True)),
            ),
        ]
        indexes = [
            models.Index(fields=["source_type", "source_id"], name="ledger_journal_source"),
            models.Index(fields=["txid", "id"], name="ledger_journal_txid"),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.kind} {self.key}"


class Refusal(models.Model):
    """A key the ledger refused for good: what it answered, so that the key is answered the same for ever.

    Written in the transaction that asked; when that is undone, the key was never sent.
    """

    key = models.CharField(max_length=200)
    fingerprint = models.BinaryField(max_length=32)
    answer = models.JSONField()
    refused_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_refusal"
        constraints = [models.UniqueConstraint(name="ledger_refusal_key", fields=["key"])]
        triggers = append_only()

    def __str__(self) -> str:
        return f"refused {self.key}"


class Hold(models.Model):
    """Value set aside on the debit account for the credit account, until `expires_at` (never, when null)."""

    journal = models.ForeignKey(Journal, on_delete=models.PROTECT, related_name="holds", db_index=False)
    line_no = models.IntegerField()
    unit = models.CharField(max_length=8)
    debit_account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    credit_account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    amount = models.BigIntegerField()
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "ledger_hold"
        constraints = [
            models.UniqueConstraint(name="ledger_hold_line", fields=["journal", "line_no"]),
            models.CheckConstraint(name="ledger_hold_amount", condition=Q(amount__gte=1, amount__lte=MAX_FEN)),
            models.CheckConstraint(name="ledger_hold_two_accounts", condition=~Q(debit_account=F("credit_account"))),
        ]
        indexes = [
            models.Index(fields=["debit_account", "id"], name="ledger_hold_debit"),
            models.Index(fields=["credit_account", "id"], name="ledger_hold_credit"),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"hold {self.pk}"


class Transfer(models.Model):
    """`amount` moved from the debit to the credit account. `hold` is what it captured, or what a refund gives back."""

    journal = models.ForeignKey(Journal, on_delete=models.PROTECT, related_name="transfers", db_index=False)
    line_no = models.IntegerField()
    unit = models.CharField(max_length=8)
    debit_account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    credit_account = models.ForeignKey(
        Account, on_delete=models.PROTECT, related_name="+", db_constraint=False, db_index=False
    )
    amount = models.BigIntegerField()
    hold = models.ForeignKey(
        Hold, null=True, blank=True, on_delete=models.PROTECT, related_name="transfers", db_index=False
    )
    txid = Xid8Field(db_default=models.Func(function="pg_current_xact_id"), editable=False)

    class Meta:
        db_table = "ledger_transfer"
        constraints = [
            models.UniqueConstraint(name="ledger_transfer_line", fields=["journal", "line_no"]),
            models.CheckConstraint(name="ledger_transfer_amount", condition=Q(amount__gte=1, amount__lte=MAX_FEN)),
            models.CheckConstraint(
                name="ledger_transfer_two_accounts", condition=~Q(debit_account=F("credit_account"))
            ),
        ]
        indexes = [
            models.Index(fields=["debit_account", "id"], name="ledger_transfer_debit"),
            models.Index(fields=["credit_account", "id"], name="ledger_transfer_credit"),
            models.Index(fields=["hold"], name="ledger_transfer_hold", condition=Q(hold__isnull=False)),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"transfer {self.pk}"


class HoldResolution(models.Model):
    """How a hold ended. The primary key is the hold: it ends at most once."""

    hold = models.OneToOneField(Hold, on_delete=models.PROTECT, primary_key=True, related_name="resolution")
    journal = models.ForeignKey(Journal, on_delete=models.PROTECT, related_name="resolutions")
    outcome = models.CharField(max_length=8)
    captured_amount = models.BigIntegerField(default=0)

    class Meta:
        db_table = "ledger_hold_resolution"
        constraints = [
            models.CheckConstraint(
                name="ledger_resolution_outcome_known", condition=Q(outcome__in=[outcome.value for outcome in Outcome])
            ),
            models.CheckConstraint(
                name="ledger_resolution_amount",
                condition=Q(outcome=Outcome.CAPTURED.value, captured_amount__gt=0)
                | (~Q(outcome=Outcome.CAPTURED.value) & Q(captured_amount=0)),
            ),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"{self.outcome} hold {self.pk}"


class HoldOpen(models.Model):
    """The work queue of holds that have not ended: written with the hold, removed with its resolution."""

    hold = models.OneToOneField(Hold, on_delete=models.PROTECT, primary_key=True, related_name="open")
    expires_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "ledger_hold_open"
        indexes = [models.Index(fields=["expires_at"], name="ledger_hold_due", condition=Q(expires_at__isnull=False))]

    def __str__(self) -> str:
        return f"open hold {self.pk}"


class Seal(models.Model):
    """One block of the hash chain over journals with ``from_txid <= txid < upto_txid`` and all that belongs to them.

    `hash` is made by `rules.seal_hash`; `leaves` holds the first eight bytes of each row's own hash, in order, so that
    a broken block can name its row. `n` counts from 1 without gaps.
    """

    n = models.BigIntegerField(primary_key=True)
    from_txid = Xid8Field()
    upto_txid = Xid8Field()
    journals = models.IntegerField()
    rows = models.IntegerField()
    prev_hash = models.BinaryField(max_length=32)
    hash = models.BinaryField(max_length=32)
    leaves = models.BinaryField()
    sealed_at = models.DateTimeField()

    class Meta:
        db_table = "ledger_seal"
        constraints = [
            models.UniqueConstraint(name="ledger_seal_follows_once", fields=["prev_hash"]),
            models.CheckConstraint(name="ledger_seal_counts", condition=Q(n__gte=1, journals__gte=1, rows__gte=1)),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"seal {self.n}"


class Period(models.Model):
    """A fiscal year that was closed, by two persons: nothing is dated before `ends_at` (exclusive) any more."""

    fiscal_year = models.PositiveSmallIntegerField(primary_key=True)
    ends_at = models.DateTimeField()
    closed_at = models.DateTimeField()
    proposed_by = models.CharField(max_length=160)
    approved_by = models.CharField(max_length=160)

    class Meta:
        db_table = "ledger_period"
        constraints = [
            models.CheckConstraint(
                name="ledger_period_two_persons",
                condition=~Q(proposed_by="") & ~Q(approved_by="") & ~Q(approved_by=F("proposed_by")),
            ),
            models.CheckConstraint(name="ledger_period_is_over", condition=Q(closed_at__gte=F("ends_at"))),
        ]
        triggers = append_only()

    def __str__(self) -> str:
        return f"closed year {self.fiscal_year}"


class AuditRun(models.Model):
    """What one audit found: the figures the cockpit shows, and at most a hundred findings in `report`.

    `unaccounted` is in smallest steps of each unit, added up; `seal_n` 0 and `seal_hash` empty before the first seal.
    """

    started_at = models.DateTimeField()
    finished_at = models.DateTimeField()
    journals = models.BigIntegerField()
    transfers = models.BigIntegerField()
    violations = models.IntegerField()
    unaccounted = models.BigIntegerField()
    seal_n = models.BigIntegerField(default=0)
    seal_hash = models.CharField(max_length=64, blank=True)
    unsealed = models.IntegerField(default=0)
    report = models.JSONField(default=dict)

    class Meta:
        db_table = "ledger_audit_run"
        indexes = [models.Index(fields=["-started_at"], name="ledger_audit_run_latest")]

    def __str__(self) -> str:
        return f"audit of {self.started_at:%Y-%m-%d %H:%M}"

    @property
    def in_order(self) -> bool:
        return self.violations == 0 and self.unaccounted == 0
