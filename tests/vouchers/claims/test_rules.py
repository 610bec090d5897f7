from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from vouchers.claims import rules
from vouchers.claims.rules import Item, Support

NOW = datetime(2026, 11, 25, 2, tzinfo=UTC)
fen = st.integers(1, 10**11)


def item(amount, base=None, invoice="", day=date(2026, 11, 1), payable=None):
    return Item(Money(amount), Money(base or amount), invoice, day, payable)


def codes(total, items, support=None, missing=()):
    support = support or Support()
    found = rules.filing_reasons(total=Money(total), items=items, support=support, missing=missing, now=NOW)
    return [reason.code for reason in found]


@given(st.lists(fen, min_size=1, max_size=20), st.integers(-100, 100))
def test_only_lines_that_add_up_to_the_claim_can_be_filed(amounts, gap):
    found = codes(sum(amounts) + gap, [item(amount) for amount in amounts])
    assert found == ([] if gap == 0 else ["claim.sum"])


def test_every_fault_is_told_at_once():
    support = Support(share=Fraction(1, 2), available=Money(10), starts=NOW, ends=NOW, needs_invoice=True)
    items = [item(100, 90, day=date(2027, 1, 1)), item(0)]
    assert codes(5000, items, support, ["发票"]) == [
        "claim.line_base",
        "claim.line_day",
        "claim.line_invoice",
        "claim.line_amount",
        "claim.line_invoice",
        "claim.sum",
        "claim.share",
        "claim.available",
        "claim.expired",
        "claim.document",
    ]


def test_a_claim_without_lines_says_so():
    assert codes(100, []) == ["claim.no_lines"]


@pytest.mark.parametrize(
    ("typed", "key"),
    [
        ("No. 1234-5678", "NO12345678"),
        ("１２３４５６７８", "12345678"),
        (" 12 34\u00a056 78 ", "12345678"),
        ("2544a", "2544A"),
        ("——", ""),
    ],
)
def test_an_invoice_is_known_however_it_is_typed(typed, key):
    assert rules.invoice_key(typed) == key


@given(st.text(max_size=30))
def test_normalising_an_invoice_twice_changes_nothing(typed):
    once = rules.invoice_key(typed)
    assert rules.invoice_key(once) == once


@given(
    st.datetimes(datetime(2000, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC)),
    st.sampled_from(["month", "quarter", "year"]),
)
def test_windows_cover_every_moment_without_gap(at, cadence):
    period = rules.window(at, cadence)
    assert at in period
    following = rules.window(period.end, cadence)
    assert following.start == period.end
    assert rules.window(period.end - timedelta(microseconds=1), cadence) == period


def test_a_quarter_ends_at_midnight_in_beijing():
    period = rules.window(datetime(2026, 1, 2, 4, tzinfo=UTC), "quarter")
    assert period.end == datetime(2026, 3, 31, 16, tzinfo=UTC)
    assert rules.window(NOW, "on_claim") is None
    assert rules.window(NOW, "batch") is None


@given(st.text(max_size=20), st.text(max_size=20))
def test_nobody_is_drawn_at_nought_and_all_at_one(seed, number):
    assert not rules.drawn(seed, number, Fraction(0))
    assert rules.drawn(seed, number, Fraction(1))


def test_the_draw_can_be_recomputed_and_hits_its_rate():
    drawn = [rules.drawn("seed", f"K2611-{at:06d}", Fraction(1, 5)) for at in range(2000)]
    assert drawn == [int(rules.lot("seed", f"K2611-{at:06d}"), 16) / 2**256 < 0.2 for at in range(2000)]
    assert 340 < sum(drawn) < 460
