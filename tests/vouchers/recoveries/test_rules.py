from datetime import date
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from vouchers.recoveries import rules


@pytest.mark.parametrize(
    ("decided", "years", "last"),
    [
        (date(2026, 11, 25), 3, date(2029, 11, 25)),
        (date(2024, 2, 29), 1, date(2025, 2, 28)),
        (date(2026, 11, 25), 0, None),
    ],
)
def test_a_bar_ends_on_the_corresponding_day(decided, years, last):
    assert rules.barred_until(decided, years=years) == last


@given(st.integers(0, 10**12), st.integers(0, 10**12), st.integers(0, 100))
def test_a_derived_award_never_owes_more_than_its_share_or_than_it_was_paid(base, paid, percent):
    owed = rules.follows(Money(base), rate=Fraction(percent, 100), paid=Money(paid))
    assert owed.fen <= min(paid, base * percent // 100)
    assert owed.fen == min(paid, base * percent // 100)
