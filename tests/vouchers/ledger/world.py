"""Accounts to play with, and short words for postings."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime

from django.db import connection

from vouchers.ledger import services
from vouchers.ledger.chart import JOURNAL_KINDS, AccountKind, JournalKind
from vouchers.ledger.rules import HoldOp, Operation, Outcome, Posting, ResolveOp, TransferOp

CASH = {AccountKind.CASH_DUE, AccountKind.CASH_PROVIDER_PAYABLE, AccountKind.UNAPPLIED_CASH, AccountKind.BANK_CLEARING}
fresh = itertools.count(1)


def open_account(kind: AccountKind, owner: str, programme: str = "P", fiscal_year: int = 2026) -> int:
    if kind in CASH:
        return services.account(kind=kind, owner=owner)
    return services.account(kind=kind, owner=owner, programme=programme, fiscal_year=fiscal_year)


def posting(kind: JournalKind, *operations: Operation, key: str = "", **more: object) -> Posting:
    """Return a posting signed by two persons where the kind wants two."""
    approved_by = "second" if JOURNAL_KINDS[kind].two_person else ""
    values = {"source_type": "test", "source_id": "1", "approved_by": approved_by} | more
    return Posting(kind, key or f"key-{next(fresh)}", operations, "first", **values)


def post(
    kind: JournalKind, *operations: Operation, key: str = "", now: datetime | None = None, **more: object
) -> services.PostingResult:
    return services.post(posting=posting(kind, *operations, key=key, **more), now=now)


def sums(account_ids: list[int]) -> dict[int, tuple[int, int, int, int]]:
    """Return posted_dr, posted_cr, held_dr, held_cr of each account."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT account_id, posted_dr, posted_cr, held_dr, held_cr FROM ledger_balance WHERE account_id = ANY (%s)",
            [account_ids],
        )
        return {row[0]: tuple(row[1:]) for row in cursor.fetchall()}


@dataclass
class Programme:
    """One programme with a funded pool, vouchers and a provider, and the provider's cash side."""

    budget_fen: int = 100_000_000
    code: str = "P"
    vouchers: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.appropriation = open_account(AccountKind.APPROPRIATION, self.code, self.code)
        self.budget = open_account(AccountKind.BUDGET, self.code, self.code)
        self.payable = open_account(AccountKind.PROVIDER_PAYABLE, "organisation:7", self.code)
        self.claimant = open_account(AccountKind.CLAIMANT_PAYABLE, "organisation:8", self.code)
        self.expired = open_account(AccountKind.EXPIRED, self.code, self.code)
        self.clawed_back = open_account(AccountKind.CLAWED_BACK, self.code, self.code)
        self.clearing = open_account(AccountKind.SETTLEMENT_CLEARING, "batch:1", self.code)
        self.settled = open_account(AccountKind.SETTLED, self.code, self.code)
        self.receivable = open_account(AccountKind.RECEIVABLE_PROVIDER, "organisation:7", self.code)
        self.receivable_enterprise = open_account(AccountKind.RECEIVABLE_ENTERPRISE, "organisation:8", self.code)
        self.cash_due = open_account(AccountKind.CASH_DUE, f"{self.code}/order:1")
        self.cash_payable = open_account(AccountKind.CASH_PROVIDER_PAYABLE, f"{self.code}/organisation:7")
        self.bank = open_account(AccountKind.BANK_CLEARING, f"{self.code}/bank")
        post(JournalKind.APPROPRIATE, TransferOp(self.appropriation, self.budget, self.budget_fen))

    def issue(self, face_fen: int) -> int:
        """Return the account of a new voucher of that face."""
        voucher = open_account(AccountKind.VOUCHER, f"voucher:{next(fresh)}", self.code)
        post(JournalKind.ISSUE, TransferOp(self.budget, voucher, face_fen))
        self.vouchers.append(voucher)
        return voucher

    def hold(self, voucher: int, amount_fen: int, ttl_s: int | None = None, now: datetime | None = None) -> int:
        return post(JournalKind.HOLD, HoldOp(voucher, self.payable, amount_fen, ttl_s), now=now).hold_ids[0]

    def capture(self, hold: int, amount_fen: int, now: datetime | None = None) -> services.PostingResult:
        return post(JournalKind.CAPTURE, ResolveOp(hold, Outcome.CAPTURED, amount_fen), now=now)
