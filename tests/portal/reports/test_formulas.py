from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.reports import formulas
from portal.reports.formulas import Volumes


def percent(value):
    return round(float(value) * 100, 2)


def test_the_published_volumes_give_the_published_rates():
    jinyun = Volumes(issued=18182, used=17038, redeemed=16488)
    assert percent(jinyun.use_rate) == 93.71
    assert percent(jinyun.redemption_rate) == 90.68
    assert percent(jinyun.redemption_of_used) == 96.77
    assert percent(Volumes(issued=120000, redeemed=98491).redemption_rate) == 82.08
    assert percent(Volumes(used=395, redeemed=244).redemption_of_used) == 61.77


def test_leverage_is_the_inverse_of_an_uncapped_share():
    assert Volumes(redeemed=30, spent=100).leverage == Fraction(10, 3)


def test_nothing_has_no_rate():
    assert Volumes().use_rate is None
    assert formulas.concentration([]) is None
    assert formulas.hhi([]) is None
    assert formulas.median_days([]) is None


@given(st.lists(st.integers(1, 10**12), min_size=1, max_size=40))
def test_concentration_and_index_stay_within_their_bounds(amounts):
    assert 0 < formulas.concentration(amounts) <= 1
    assert 0 <= formulas.hhi(amounts) <= 10_000
    assert formulas.concentration(amounts[:10]) == 1


def test_a_monopoly_and_equal_shares():
    assert formulas.hhi([7]) == 10_000
    assert formulas.hhi([5] * 4) == 2_500


@pytest.mark.parametrize(
    ("seconds", "days"), [([86_400], 1), ([0, 172_800], 1), ([1, 2, 86_400 * 9], Fraction(2, 86_400))]
)
def test_the_median_is_in_days(seconds, days):
    assert formulas.median_days(seconds) == days
