"""The pure part: what a posting may be, what its fingerprint sees, how amounts are split."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import PortalError
from portal.kernel.idempotency import KeyReused
from portal.kernel.money import MAX_FEN, Money
from tests.vouchers.ledger.world import posting
from vouchers.ledger import rules
from vouchers.ledger.chart import ACCOUNT_KINDS, FLOWS, JOURNAL_KINDS, AccountKind, Bound, JournalKind, Scope, Side
from vouchers.ledger.rules import AccountKey, HoldOp, Outcome, Posting, ResolveOp, TransferOp, fingerprint

amounts = st.integers(1, MAX_FEN)
accounts = st.integers(1, 2**62)


@pytest.mark.parametrize("amount", [0, -1, MAX_FEN + 1, 1.0, "1", True, None])
def test_an_amount_is_a_whole_number_of_fen_within_bounds(amount: object) -> None:
    for build in (
        lambda a: TransferOp(1, 2, a),
        lambda a: HoldOp(1, 2, a),
        lambda a: ResolveOp(1, Outcome.CAPTURED, a),
    ):
        with pytest.raises(ValueError, match="steps"):
            build(amount)


@pytest.mark.parametrize("ttl", [0, -1, 1.5])
def test_a_hold_lasts_a_positive_whole_number_of_seconds(ttl: object) -> None:
    with pytest.raises(ValueError, match="ttl_s"):
        HoldOp(1, 2, 3, ttl)


def test_only_a_capture_carries_an_amount() -> None:
    with pytest.raises(ValueError, match="only a capture"):
        ResolveOp(1, Outcome.RELEASED, 5)


def test_programme_money_carries_programme_and_year_and_own_money_neither() -> None:
    assert AccountKey(AccountKind.VOUCHER, "voucher:1", "P", 2026)
    assert AccountKey(AccountKind.CASH_DUE, "charge:1")
    for values in (
        (AccountKind.VOUCHER, "voucher:1"),
        (AccountKind.VOUCHER, "voucher:1", "P"),
        (AccountKind.CASH_DUE, "charge:1", "P", 2026),
        (AccountKind.CASH_DUE, ""),
    ):
        with pytest.raises(ValueError):
            AccountKey(*values)


@pytest.mark.parametrize(
    ("kind", "operations", "more"),
    [
        (JournalKind.HOLD, (TransferOp(1, 2, 3),), {}),
        (JournalKind.RELEASE, (HoldOp(1, 2, 3),), {}),
        (JournalKind.REFUND, (ResolveOp(1, Outcome.RELEASED),), {}),
        (JournalKind.EXPIRE, (), {}),
        (JournalKind.EXPIRE, (TransferOp(1, 2, 3),) * (rules.MAX_OPERATIONS + 1), {}),
        (JournalKind.EXPIRE, (TransferOp(1, 2, 3),), {"reverses": 1}),
        (JournalKind.REVERSE, (), {}),
        (JournalKind.APPROPRIATE, (TransferOp(1, 2, 3),), {"approved_by": ""}),
        (JournalKind.APPROPRIATE, (TransferOp(1, 2, 3),), {"approved_by": "first"}),
        (JournalKind.EXPIRE, (TransferOp(1, 2, 3),), {"key": "k" * 201}),
        (JournalKind.EXPIRE, (TransferOp(1, 2, 3),), {"source_id": ""}),
    ],
)
def test_a_posting_that_makes_no_sense_cannot_be_built(kind: JournalKind, operations: tuple, more: dict) -> None:
    with pytest.raises(ValueError):
        posting(kind, *operations, **more)


@given(amounts, amounts, accounts, accounts)
def test_the_fingerprint_sees_every_part_of_what_moves(a: int, b: int, debit: int, credit: int) -> None:
    base = posting(JournalKind.EXPIRE, TransferOp(debit, credit, a))
    same = replace(base, actor="x", approved_by="y", reason="z", key="another", operations=list(base.operations))
    assert fingerprint(base) == fingerprint(same)
    others = [
        replace(base, operations=(TransferOp(debit, credit, b),)) if a != b else replace(base, source_id="2"),
        replace(base, operations=(TransferOp(credit, debit, a),))
        if debit != credit
        else replace(base, source_type="2"),
        replace(base, operations=(TransferOp(debit, credit, a, refunds_hold=1),)),
        replace(base, operations=(TransferOp(debit, credit, a),) * 2),
        replace(base, kind=JournalKind.CLAW_UNUSED, approved_by="second"),
        replace(base, source_id="2"),
        replace(base, source_type="2"),
        replace(base, effective_at=datetime(2026, 1, 1, tzinfo=UTC)),
    ]
    assert all(fingerprint(other) != fingerprint(base) for other in others)


def test_the_fingerprint_tells_operations_and_account_keys_apart() -> None:
    key, other = AccountKey(AccountKind.VOUCHER, "v", "P", 2026), AccountKey(AccountKind.VOUCHER, "v", "P", 2027)
    seen = {
        fingerprint(Posting(JournalKind.HOLD, "k", (op,), "a", "t", "1"))
        for op in (HoldOp(key, 2, 3), HoldOp(other, 2, 3), HoldOp(1, 2, 3), HoldOp(1, 2, 3, 60))
    }
    assert len(seen) == 4


def test_every_refusal_of_the_function_has_an_error_of_its_own() -> None:
    codes = set()
    for code in (*rules.ERRORS, "mismatch"):
        error = rules.error_for({"error": code, "available_fen": 1, "needed_fen": 250})
        assert isinstance(error, PortalError)
        assert str(error)
        codes.add(error.code)
    assert len(codes) == len(rules.ERRORS) + 1
    assert isinstance(rules.error_for({"error": "mismatch"}), KeyReused)
    short = rules.error_for({"error": "insufficient", "available_fen": 1, "needed_fen": 250, "account": 4})
    assert short.params == {
        "available": "¥0.01",
        "needed": "¥2.50",
        "available_fen": 1,
        "needed_fen": 250,
        "account": 4,
    }


def test_the_chart_is_whole() -> None:
    assert set(ACCOUNT_KINDS) == set(AccountKind)
    assert set(JOURNAL_KINDS) == set(JournalKind)
    used = {kind for _journal, debit, credit in FLOWS for kind in (debit, credit)}
    assert used == set(AccountKind), "an account kind that no flow touches"
    moving = {journal for journal, _debit, _credit in FLOWS}
    assert moving == set(JournalKind) - {JournalKind.RELEASE}
    for rule in ACCOUNT_KINDS.values():
        assert rule.bound is Bound.NONE or rule.bound.value == rule.normal.value
        assert rule.scope in Scope
        assert rule.normal in Side


def test_nothing_flows_out_of_what_was_paid_but_back() -> None:
    out = {(journal, credit) for journal, debit, credit in FLOWS if debit is AccountKind.SETTLED}
    assert out == {
        (JournalKind.REVERSE, AccountKind.SETTLEMENT_CLEARING),
        (JournalKind.REVERSE, AccountKind.RECEIVABLE_PROVIDER),
    }
    same = {(journal, credit) for journal, debit, credit in FLOWS if debit is credit}
    known_now = AccountKind.UNAPPLIED_CASH
    """The payer of money nobody could place has become known: what is too much of it is theirs from then on."""
    assert same == {(JournalKind.CASH_IN, known_now), (JournalKind.REVERSE, known_now)}


@given(
    st.integers(0, MAX_FEN), st.integers(1, 10**6), st.integers(0, 10**6), st.lists(st.integers(1, 10**9), max_size=6)
)
def test_refunds_in_parts_add_up_to_the_original_split(fen: int, den: int, num: int, parts: list[int]) -> None:
    """Cumulative apportioning: what the voucher gets back of each part telescopes to its share of the whole."""
    voucher = Money(fen).share(Fraction(min(num, den), den)).fen
    returned = given_back = 0
    for wanted in [*parts, fen]:
        part = min(wanted, fen - returned)
        returned += part
        due = returned * voucher // fen - given_back if fen else 0
        assert 0 <= due <= part
        given_back += due
    assert given_back == voucher


def test_the_document_lists_exactly_the_accounts_and_flows_there_are() -> None:
    text = (Path(__file__).parents[3] / "docs" / "ledger.md").read_text(encoding="utf-8")
    rows = [line.split("|")[1:-1] for line in text.splitlines() if line.startswith("| `")]
    kinds = {row[0].strip(" `"): row for row in rows if len(row) == 6}
    assert kinds.keys() == set(AccountKind)
    for kind, rule in ACCOUNT_KINDS.items():
        assert [cell.strip() for cell in kinds[kind][1:5]] == [rule.label, rule.normal, rule.bound, rule.scope]
    listed = {
        (row[0].strip(" `"), *flow.split(" → "))
        for row in rows
        if len(row) == 3
        for flow in row[1].strip().split("<br>")
        if " → " in flow
    }
    assert listed == {flow for flow in FLOWS if flow[0] is not JournalKind.REVERSE}
