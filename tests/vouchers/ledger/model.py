"""A second opinion: what the ledger must answer, in plain Python dictionaries, written from the rules alone."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from vouchers.ledger.chart import ACCOUNT_KINDS, FLOWS, JOURNAL_KINDS, AccountKind, Bound, JournalKind
from vouchers.ledger.rules import HoldOp, Outcome, Posting, ResolveOp, TransferOp


@dataclass
class ModelAccount:
    kind: AccountKind
    programme: str
    dr: int = 0
    cr: int = 0
    held_dr: int = 0
    held_cr: int = 0
    closed: bool = False
    unit: str = "CNY"

    def overdrawn(self) -> bool:
        bound = ACCOUNT_KINDS[self.kind].bound
        if bound is Bound.CREDIT:
            return self.dr + self.held_dr > self.cr
        return bound is Bound.DEBIT and self.cr + self.held_cr > self.dr

    def left(self) -> int:
        """How much could leave the account."""
        return {Bound.CREDIT: self.cr - self.dr - self.held_dr, Bound.DEBIT: self.dr - self.cr - self.held_cr}.get(
            ACCOUNT_KINDS[self.kind].bound, 10**9
        )

    def sums(self) -> tuple[int, int, int, int]:
        return self.dr, self.cr, self.held_dr, self.held_cr


@dataclass
class ModelHold:
    debit: int
    credit: int
    amount: int
    deadline: datetime | None
    outcome: Outcome | None = None
    captured: int = 0
    refunded: int = 0


@dataclass
class ModelJournal:
    posting: Posting
    hold_ids: list[int]
    transfers: list[tuple[int, int, int]]
    reversed: bool = False


def same(first: Posting, second: Posting) -> bool:
    """Say whether two postings ask for the same, whoever asks."""
    return (first.kind, first.operations, first.reverses, first.source_id) == (
        second.kind,
        second.operations,
        second.reverses,
        second.source_id,
    )


class Refusal(Exception):
    pass


@dataclass
class Model:
    accounts: dict[int, ModelAccount] = field(default_factory=dict)
    holds: dict[int, ModelHold] = field(default_factory=dict)
    journals: dict[str, ModelJournal] = field(default_factory=dict)
    by_id: dict[int, ModelJournal] = field(default_factory=dict)
    refused: dict[str, tuple[Posting, str]] = field(default_factory=dict)

    def predict(self, posting: Posting, now: datetime) -> str:
        """Return "ok", "replayed" or the code of the refusal. Changes nothing."""
        if known := self.journals.get(posting.key):
            return "replayed" if same(known.posting, posting) else "idempotency.mismatch"
        if posting.key in self.refused:
            asked, answer = self.refused[posting.key]
            return answer if same(asked, posting) else "idempotency.mismatch"
        try:
            self._check(posting, now)
        except Refusal as refusal:
            return f"ledger.{refusal}"
        return "ok"

    def _legs(self, posting: Posting) -> list[tuple[int, int, int]]:
        if posting.kind is JournalKind.REVERSE:
            original = self.by_id.get(posting.reverses)
            if original is None or not JOURNAL_KINDS[original.posting.kind].reversible:
                return []
            return [(credit, debit, amount) for debit, credit, amount in original.transfers]
        legs = [(op.debit, op.credit, op.amount_fen) for op in posting.operations if isinstance(op, TransferOp)]
        for op in posting.operations:
            if isinstance(op, ResolveOp) and op.outcome is Outcome.CAPTURED:
                hold = self.holds[op.hold]
                legs.append((hold.debit, hold.credit, op.captured_fen))
        return legs

    def _check(self, posting: Posting, now: datetime) -> None:
        resolved = [op for op in posting.operations if isinstance(op, ResolveOp)]
        if any(op.hold not in self.holds for op in resolved):
            raise Refusal("bad_request")
        legs = self._legs(posting)
        if posting.kind is JournalKind.REVERSE:
            if not legs:
                raise Refusal("bad_request")
            if self.by_id[posting.reverses].reversed:
                raise Refusal("reversed")
        for op in resolved:
            self._check_resolution(op, now)
        held = [(op.debit, op.credit) for op in posting.operations if isinstance(op, HoldOp)]
        for debit, credit in [(debit, credit) for debit, credit, _ in legs] + held:
            self._check_leg(posting.kind, debit, credit)
        if posting.kind is JournalKind.REFUND:
            self._check_refunds(posting)
        after = {number: ModelAccount(**vars(account)) for number, account in self.accounts.items()}
        self._apply(after, posting, legs)
        if any(account.overdrawn() for account in after.values()):
            raise Refusal("insufficient")

    def _check_resolution(self, op: ResolveOp, now: datetime) -> None:
        hold = self.holds[op.hold]
        if hold.outcome is not None:
            raise Refusal("resolved")
        overdue = hold.deadline is not None and now >= hold.deadline
        if op.outcome is Outcome.CAPTURED and overdue:
            raise Refusal("expired")
        if op.outcome is Outcome.CAPTURED and op.captured_fen > hold.amount:
            raise Refusal("exceeds_hold")
        if op.outcome is Outcome.EXPIRED and not overdue:
            raise Refusal("bad_request")

    def _check_leg(self, kind: JournalKind, debit: int, credit: int) -> None:
        if debit not in self.accounts or credit not in self.accounts:
            raise Refusal("bad_request")
        a, b = self.accounts[debit], self.accounts[credit]
        if a.unit != b.unit:
            raise Refusal("bad_request")
        if a.closed or b.closed:
            raise Refusal("closed")
        if (kind, a.kind, b.kind) not in FLOWS or a.programme != b.programme:
            raise Refusal("flow_not_allowed")

    def _check_refunds(self, posting: Posting) -> None:
        for op in posting.operations:
            hold = self.holds.get(op.refunds_hold)
            claimant = hold and self.accounts[hold.credit].kind is AccountKind.CLAIMANT_PAYABLE
            debt = AccountKind.RECEIVABLE_ENTERPRISE if claimant else AccountKind.RECEIVABLE_PROVIDER
            if (
                hold is None
                or (op.credit != hold.debit and self.accounts[op.credit].kind is not AccountKind.EXPIRED)
                or (op.debit != hold.credit and self.accounts[op.debit].kind is not debt)
            ):
                raise Refusal("bad_request")
        for number in {op.refunds_hold for op in posting.operations}:
            asked = sum(op.amount_fen for op in posting.operations if op.refunds_hold == number)
            if self.holds[number].refunded + asked > self.holds[number].captured:
                raise Refusal("exceeds_capture")

    def _apply(self, accounts: dict[int, ModelAccount], posting: Posting, legs: list[tuple[int, int, int]]) -> None:
        for debit, credit, amount in legs:
            accounts[debit].dr += amount
            accounts[credit].cr += amount
        for op in posting.operations:
            if isinstance(op, HoldOp):
                accounts[op.debit].held_dr += op.amount_fen
                accounts[op.credit].held_cr += op.amount_fen
            if isinstance(op, ResolveOp):
                hold = self.holds[op.hold]
                accounts[hold.debit].held_dr -= hold.amount
                accounts[hold.credit].held_cr -= hold.amount

    def refuse(self, posting: Posting, answer: str) -> None:
        """Take over that a posting was refused: for good, unless the program was mistaken."""
        if answer not in {"ledger.bad_request", "ledger.flow_not_allowed", "idempotency.mismatch"}:
            self.refused.setdefault(posting.key, (posting, answer))

    def accept(self, posting: Posting, now: datetime, journal_id: int, hold_ids: tuple[int, ...]) -> None:
        """Take over what the ledger did for a posting predicted "ok"."""
        legs = self._legs(posting)
        self._apply(self.accounts, posting, legs)
        asked = [op for op in posting.operations if isinstance(op, HoldOp)]
        assert len(asked) == len(hold_ids)
        for op, hold_id in zip(asked, hold_ids, strict=True):
            deadline = now + timedelta(seconds=op.ttl_s) if op.ttl_s else None
            self.holds[hold_id] = ModelHold(op.debit, op.credit, op.amount_fen, deadline)
        for op in posting.operations:
            if isinstance(op, ResolveOp):
                self.holds[op.hold].outcome = op.outcome
                self.holds[op.hold].captured = op.captured_fen
            if isinstance(op, TransferOp) and op.refunds_hold is not None:
                self.holds[op.refunds_hold].refunded += op.amount_fen
        journal = ModelJournal(posting, list(hold_ids), legs)
        self.journals[posting.key] = self.by_id[journal_id] = journal
        if posting.reverses is not None:
            self.by_id[posting.reverses].reversed = True
