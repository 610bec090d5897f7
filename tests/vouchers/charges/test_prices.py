"""Price items: the published cases, and what holds for every price list."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from vouchers.charges import prices
from vouchers.charges.prices import Line, PriceItem, PriceRounding, PriceUnit, Tier, Tiering

F = Fraction


def item(*tiers, unit=PriceUnit.HOUR, **more):
    """Tiers as (yuan, up to)."""
    made = tuple(Tier(F(yuan) * 100, None if top is None else F(top)) for yuan, top in tiers)
    return PriceItem(code="x", name="项目", unit=unit, tiers=made, **more)


HOSTED = item(("20.50", 300), ("17.50", 1000), ("15.00", 2500), ("13.50", None))


def yuan(priced):
    return priced.amount.yuan()


def test_c1_card_hours_to_the_second_in_both_roundings():
    cards = item(("3.75", None), unit=PriceUnit.CARD_HOUR)
    used = 8 * F(5415, 3600)
    assert yuan(prices.price(cards, used)) == "45.13"
    assert yuan(prices.price(replace(cards, rounding=PriceRounding.DOWN), used)) == "45.12"


def test_c2_a_part_of_a_day_is_a_day():
    node = item(("720", None), unit=PriceUnit.NODE_DAY, started=True)
    assert yuan(prices.price(node, F(26, 24))) == "1440.00"


def test_c3_a_day_of_eight_cards_is_the_price_of_a_node_day():
    assert yuan(prices.price(item(("3.75", None), unit=PriceUnit.CARD_HOUR), F(8 * 24))) == "720.00"


def test_c4_the_free_terabyte_goes_first_then_a_part_is_a_whole_one():
    storage = item(("0.50", None), unit=PriceUnit.TB_DAY, free=F(1), started=True)
    assert yuan(prices.price(storage, F("2.2"))) == "1.00"


def test_c5_whole_volume_and_marginal_tiers_differ():
    assert yuan(prices.price(HOSTED, F(500))) == "8750.00"
    assert yuan(prices.price(replace(HOSTED, tiering=Tiering.MARGINAL), F(500))) == "9650.00"


def test_c6_the_cheaper_extra_hour_stays():
    assert yuan(prices.price(HOSTED, F(300))) == "6150.00"
    assert yuan(prices.price(HOSTED, F(301))) == "5267.50"


def test_c7_only_what_exceeds_the_years_quota_is_billable():
    opc = item(("3", None), unit=PriceUnit.CARD_HOUR, free=F(2000))
    assert prices.price(opc, F(2100)).billable == 100
    assert prices.price(opc, F(600), used=F(1500)).billable == 100
    assert prices.price(opc, F(100), used=F(2000)).billable == 100


def test_the_minimum_is_charged_only_where_something_is():
    api = item(("0.01", None), unit=PriceUnit.CALL, free=F(10), minimum=Money(500))
    assert yuan(prices.price(api, F(10))) == "0.00"
    assert yuan(prices.price(api, F(11))) == "5.00"
    assert prices.price(api, F(11)).minimum
    assert not prices.price(api, F(600)).minimum


def test_a_unit_price_below_a_fen_is_exact():
    tokens = item(("0.000012", None), unit=PriceUnit.TOKEN)
    assert yuan(prices.price(tokens, F(1_234_567))) == "14.81"


def test_lines_of_one_item_are_priced_together():
    split = prices.price_all([HOSTED], [Line("x", F(300)), Line("x", F(1))])
    assert yuan(split) == "5267.50"
    with pytest.raises(prices.NoSuchItem):
        prices.price_all([HOSTED], [Line("y", F(1))])


def test_a_negative_quantity_is_no_quantity():
    with pytest.raises(ValueError, match="not negative"):
        prices.price(HOSTED, F(-1))


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        ([], "price.none"),
        ([HOSTED, HOSTED], "price.code_twice"),
        ([item()], "price.tiers"),
        ([item(("1", 10))], "price.open_end"),
        ([item(("1", 10), ("1", 10), ("1", None))], "price.order"),
        ([item(("1", None), ("1", None))], "price.order"),
        ([item(("0.0000001", None))], "price.amount"),
        ([item(("-1", None))], "price.amount"),
        ([item(("1", None), free=F(-1))], "price.negative"),
        ([replace(HOSTED, name=" ")], "price.name"),
    ],
)
def test_every_fault_of_a_list_is_named(bad, code):
    with pytest.raises(prices.BadPriceList) as caught:
        prices.check(bad)
    assert code in {reason.code for reason in caught.value.reasons}


quantities = st.fractions(min_value=0, max_value=100_000, max_denominator=3600)
unit_prices = st.integers(0, 10**9).map(lambda micro: F(micro, 10_000))


@st.composite
def items(draw):
    tops = sorted(draw(st.sets(st.integers(1, 5000), max_size=4)))
    tiers = [Tier(draw(unit_prices), F(top)) for top in tops] + [Tier(draw(unit_prices))]
    return PriceItem(
        code="x",
        name="项目",
        unit=draw(st.sampled_from(PriceUnit)),
        tiers=tuple(tiers),
        tiering=draw(st.sampled_from(Tiering)),
        free=F(draw(st.integers(0, 100))),
        minimum=Money(draw(st.integers(0, 1000))),
        rounding=draw(st.sampled_from(PriceRounding)),
        started=draw(st.booleans()),
    )


@given(items(), quantities)
def test_parts_add_up_to_what_is_billable_and_to_the_amount(one, quantity):
    priced = prices.price(one, quantity)
    assert sum((part.quantity for part in priced.parts), F(0)) == priced.billable
    exact = sum((part.quantity * part.price for part in priced.parts), F(0))
    if priced.minimum:
        assert priced.amount == one.minimum
    else:
        gap = priced.amount.fen - exact
        assert (-1 < gap <= 0) if one.rounding is PriceRounding.DOWN else (abs(gap) <= F(1, 2))


@given(items(), quantities, quantities)
def test_marginal_tiers_never_make_more_cost_less(one, some, more):
    one = replace(one, tiering=Tiering.MARGINAL)
    assert prices.price(one, some).amount <= prices.price(one, some + more).amount


@given(items(), st.integers(0, 100), st.integers(0, 200))
def test_a_quota_is_used_up_once(one, before, now):
    one = replace(one, started=False)
    first, second = prices.price(one, F(before)), prices.price(one, F(now), used=F(before))
    assert first.billable + second.billable == prices.price(one, F(before + now)).billable


@given(items())
def test_a_stored_item_comes_back_the_same(one):
    assert prices.from_json(one.as_json()) == one
    prices.check([one])


def test_a_share_of_a_value_is_priced_to_the_fen_with_its_minimum():
    """Three per cent of a contract of ¥12,345.67, at least ¥100."""
    commission = item(("0.03", None), unit=PriceUnit.VALUE, minimum=Money(10_000))
    assert prices.price(commission, Fraction("12345.67")).amount == Money(37_037)
    least = prices.price(commission, Fraction(50))
    assert (least.amount, least.minimum) == (Money(10_000), True)


def test_storage_is_priced_by_gigabytes_and_days():
    storage = item(("0.004", None), unit=PriceUnit.GB_DAY, free=Fraction(100))
    assert prices.price(storage, Fraction(500 * 30)).amount == Money(5_960)
