"""What a price list may hold, and what a full price is made of."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from scheduler.resources import fees, rules
from scheduler.resources.profile import ServiceMode
from tests.make import NOW

YUAN = Money.from_yuan


def item(**changes) -> fees.PriceItem:
    said = {"mode": ServiceMode.SELF, "unit": rules.Unit.HOUR, "user_class": fees.UserClass.EXTERNAL, "since": NOW}
    return fees.PriceItem(**{**said, **changes})


VALUE = YUAN("200000")


def fields(line: fees.PriceItem, value: Money = VALUE) -> set[str]:
    return {reason.field for reason in fees.refusals(line, original_value=value, now=NOW)}


def test_a_full_price_is_built_up_from_its_costs():
    """Golden case I4: 400,000 a year over 800 h, three hours; consumption 120, service 300, other 80."""
    basis = fees.CostBasis(YUAN("400000"), 800, consumption=YUAN("120"), service=YUAN("300"), other=YUAN("80"))
    assert fees.full_price(basis, hours=Fraction(3)) == YUAN("2000")


def test_a_portable_instrument_costs_a_share_of_its_value_a_day():
    """Golden case I5: 200,000 yuan at 2 % a day for three days; 6 % is refused."""
    two = Fraction(2, 100)
    assert fees.value_price(original_value=YUAN("200000"), share=two, days=3) == YUAN("12000")
    assert fields(item(unit=rules.Unit.VALUE_DAY, share=two)) == set()
    assert fields(item(unit=rules.Unit.VALUE_DAY, share=Fraction(6, 100))) == {"share"}
    assert fields(item(unit=rules.Unit.VALUE_DAY, share=two), Money(0)) == {"unit"}
    with pytest.raises(ValueError, match="between 1 and 5"):
        fees.value_price(original_value=YUAN("200000"), share=Fraction(6, 100), days=3)


@given(st.fractions(0, Fraction(1, 10), max_denominator=10_000))
def test_shares_lie_between_one_and_five_percent(share):
    right = Fraction(1, 100) <= share <= Fraction(5, 100)
    assert (fields(item(unit=rules.Unit.VALUE_DAY, share=share)) == set()) == right


@given(st.integers(-(10**6), 10**6))
def test_amounts_are_not_negative(fen):
    assert (fields(item(amount=Money(fen))) == set()) == (fen >= 0)


@given(st.sampled_from(list(rules.Unit)), st.integers(-5, 5))
def test_a_line_has_a_unit_of_instruments_and_begins_now_or_later(unit, hours):
    share = Fraction(1, 50) if unit is rules.Unit.VALUE_DAY else Fraction(0)
    expected = ({"unit"} if unit not in fees.LISTED else set()) | ({"since"} if hours < 0 else set())
    assert fields(item(unit=unit, share=share, since=NOW + timedelta(hours=hours))) == expected


@given(st.integers(0, 10**6), st.integers(0, 1000))
def test_counted_things_cost_their_number(fen, number):
    assert fees.counted(Money(fen), number) == Money(fen * number)


@pytest.mark.parametrize("unit", [unit for unit in rules.Unit if unit not in rules.TIMED])
def test_only_what_the_clock_counts_is_priced_by_it(unit):
    with pytest.raises(ValueError, match="clock"):
        rules.price(unit=unit, unit_price=Money(1), duration_s=60)
