"""Amounts in every unit: shown exactly, read exactly, metered without drift, and never mixed."""

from __future__ import annotations

from decimal import Decimal
from itertools import pairwise

import pytest
from django.db import IntegrityError, connection, transaction
from hypothesis import given
from hypothesis import strategies as st

from tests.vouchers.ledger.world import open_account, post
from vouchers.ledger import queries, rules, services, verification
from vouchers.ledger.chart import UNITS, AccountKind, JournalKind, Unit
from vouchers.ledger.rules import AccountKey, HoldOp, Outcome, ResolveOp, TransferOp
from vouchers.ledger.units import BadQuantity, mch_between, mch_total, show, steps

WHOLE = st.integers(min_value=0, max_value=10**15)


@pytest.mark.parametrize(
    ("unit", "amount", "said"),
    [
        ("CNY", 123_450, "¥1,234.50"),
        ("CNY", -1, "-¥0.01"),
        ("MCH", 12_082, "12.082"),
        ("MCH", 12_500, "12.5"),
        ("MCH", 20_000_000, "20,000"),
        ("MCH", -1, "-0.001"),
        ("IMIN", 157, "2:37"),
        ("IMIN", 60_005, "1,000:05"),
        ("TOK", 999, "999"),
        ("TOK", 1_500_000, "1.5M"),
        ("TOK", 12_345, "12.345k"),
        ("TOK", 1_234_567, "1,234.567k"),
        ("TOK", 2 * 10**9, "2G"),
        ("REC", 1_234_567, "1,234,567"),
        ("MB", 0, "0"),
    ],
)
def test_amounts_are_shown_in_their_unit(unit: str, amount: int, said: str) -> None:
    assert show(unit, amount) == said
    assert rules.show is show


@given(st.sampled_from(Unit), WHOLE, WHOLE)
def test_two_amounts_never_look_the_same(unit: Unit, a: int, b: int) -> None:
    assert (show(unit, a) == show(unit, b)) is (a == b)


@given(st.sampled_from(Unit), WHOLE)
def test_a_quantity_is_read_exactly(unit: Unit, amount: int) -> None:
    if unit is Unit.IMIN:
        amount -= amount % 6  # a tenth of an hour: other parts of an hour have no end as decimals
    assert steps(unit, Decimal(amount) / UNITS[unit].scale) == amount


@pytest.mark.parametrize(
    ("unit", "value"),
    [
        ("MCH", "0.0001"),
        ("TOK", "1.5"),
        ("CNY", "1.234"),
        ("MCH", "-1"),
        ("MCH", "much"),
        ("MCH", "nan"),
        ("TOK", "1e16"),
    ],
)
def test_what_is_no_quantity_is_refused(unit: str, value: str) -> None:
    with pytest.raises(BadQuantity):
        steps(unit, value)


def test_a_float_is_no_quantity() -> None:
    with pytest.raises(TypeError):
        steps("MCH", 1.5)  # type: ignore[arg-type]


@given(st.lists(st.integers(min_value=0, max_value=10**9), max_size=30))
def test_segments_add_up_to_the_whole(lengths: list[int]) -> None:
    ends = [sum(lengths[:n]) for n in range(len(lengths) + 1)]
    assert sum(mch_between(a, b) for a, b in pairwise(ends)) == mch_total(ends[-1])
    assert all(mch_between(a, b) >= 0 for a, b in pairwise(ends))


def test_an_account_counts_a_unit_there_is_and_own_money_is_money() -> None:
    AccountKey(AccountKind.VOUCHER, "v", "P", 2026, "MCH")
    with pytest.raises(ValueError, match="cannot count"):
        AccountKey(AccountKind.VOUCHER, "v", "P", 2026, "USD")
    with pytest.raises(ValueError, match="cannot count"):
        AccountKey(AccountKind.CASH_DUE, "c", unit="MCH")


def accounts(unit: str) -> tuple[int, int, int]:
    kinds = (AccountKind.APPROPRIATION, AccountKind.BUDGET, AccountKind.VOUCHER)
    return tuple(services.account(kind=kind, owner="u", programme="U", fiscal_year=2026, unit=unit) for kind in kinds)  # type: ignore[return-value]


@pytest.mark.django_db
class TestMixing:
    def test_card_hours_run_on_the_same_engine(self) -> None:
        source, pool, voucher = accounts("MCH")
        post(JournalKind.APPROPRIATE, TransferOp(source, pool, 20_000))
        post(JournalKind.ISSUE, TransferOp(pool, voucher, 20_000))
        payable = services.account(
            kind=AccountKind.PROVIDER_PAYABLE, owner="p", programme="U", fiscal_year=2026, unit="MCH"
        )
        hold = post(JournalKind.HOLD, HoldOp(voucher, payable, 15_000)).hold_ids[0]
        with pytest.raises(rules.InsufficientFunds) as refused:
            post(JournalKind.HOLD, HoldOp(voucher, payable, 5_500))
        assert (refused.value.params["available"], refused.value.params["needed"]) == ("5", "5.5")
        with pytest.raises(rules.CaptureExceedsHold) as exceeded:
            post(JournalKind.CAPTURE, ResolveOp(hold, Outcome.CAPTURED, 15_001))
        assert exceeded.value.params["needed"] == "15.001"
        assert {line.unit for line in queries.trial_balance(programme="U")} == {"MCH"}

    def test_a_posting_that_mixes_units_is_refused(self) -> None:
        source, pool, _voucher = accounts("MCH")
        *_others, money = accounts("CNY")
        post(JournalKind.APPROPRIATE, TransferOp(source, pool, 5))
        with pytest.raises(rules.BadPosting):
            post(JournalKind.ISSUE, TransferOp(pool, money, 1))

    @pytest.mark.parametrize("unit", ["MCH", "CNY"])
    def test_the_database_refuses_a_mixed_row_by_itself(self, unit: str) -> None:
        _source, pool, _voucher = accounts("MCH")
        *_others, money = accounts("CNY")
        journal = post(JournalKind.QUOTA_GRANT, TransferOp(quota("grant"), quota("pool"), 1)).journal_id
        with (
            pytest.raises(IntegrityError, match="_unit"),
            transaction.atomic(),
            connection.cursor() as cursor,
        ):
            cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
            cursor.execute("ALTER TABLE ledger_transfer DISABLE TRIGGER ledger_flow_guard")
            cursor.execute(
                "INSERT INTO ledger_transfer (journal_id, line_no, unit, debit_account_id, credit_account_id, amount)"
                " VALUES (%s, 99, %s, %s, %s, 1)",
                [journal, unit, pool, money],
            )

    def test_the_database_knows_no_other_unit(self) -> None:
        with pytest.raises(IntegrityError, match="ledger_account_unit_known"), transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SELECT ledger_open('voucher', 'USD', 'x', 'P', 2026)")
            connection.check_constraints()

    def test_a_quota_is_held_used_and_given_back(self) -> None:
        source, pool, used = quota("grant"), quota("pool"), quota("used")
        post(JournalKind.QUOTA_GRANT, TransferOp(source, pool, 600))
        hold = post(JournalKind.HOLD, HoldOp(pool, used, 120)).hold_ids[0]
        post(JournalKind.CAPTURE, ResolveOp(hold, Outcome.CAPTURED, 90))
        post(JournalKind.REFUND, TransferOp(used, pool, 30, refunds_hold=hold))
        post(JournalKind.QUOTA_LAPSE, TransferOp(pool, source, 540))
        found = queries.balances(account_ids=[pool, used])
        assert (found[pool].available_fen, found[used].posted_fen) == (0, 60)
        assert verification.verify() == []


def quota(name: str) -> int:
    return services.account(kind=AccountKind(f"quota_{name}"), owner="project:1/xrd", unit="IMIN")


@pytest.mark.django_db
def test_a_kind_that_needs_no_programme_opens_without_one() -> None:
    assert open_account(AccountKind.CASH_DUE, "mine") > 0
