"""The same contract is the same however it is typed; another one is another."""

from datetime import date
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from tests import make
from vouchers.issuance import drawing, queries
from vouchers.issuance.fingerprints import Party, contract_print

BUYER, SELLER = Party("杭州星河（智能）公司", "91330100MA27XYZ12A"), Party("之江 测试中心")


def printed(**changes):
    values = {"parties": (BUYER, SELLER), "number": "HT-2026-001", "amount": Money(100), "signed": date(2026, 11, 1)}
    return contract_print(**{**values, **changes})


def test_spelling_and_sides_do_not_matter():
    assert printed(parties=(SELLER, BUYER)) == printed()
    assert printed(parties=(Party("别名", BUYER.credit_code.lower()), Party("之江测试中心"))) == printed()
    assert printed(number="ｈｔ 2026/001") == printed()


def test_every_part_matters():
    others = [
        printed(number="HT-2026-002"),
        printed(amount=Money(101)),
        printed(signed=date(2026, 11, 2)),
        printed(parties=(BUYER, Party("另一中心"))),
        printed(parties=(Party(BUYER.name), SELLER)),
    ]
    assert len({printed(), *others}) == 6


@given(st.lists(st.integers(1, 10_000), unique=True, min_size=1), st.integers(1, 5), st.text(max_size=20))
def test_a_lot_draws_as_many_as_wanted_whatever_the_order(persons, count, seed):
    drawn = drawing.draw(seed=seed, eligible=persons, count=count)
    assert drawn == drawing.draw(seed=seed, eligible=reversed(persons), count=count)
    assert len(drawn) == min(count, len(persons))
    assert set(drawn) <= set(persons)


def test_a_sample_is_about_its_share():
    drawn = sum(drawing.is_sampled(f"A2611-{at:06d}", rate=Fraction(1, 10)) for at in range(2000))
    assert 140 < drawn < 260


def test_one_contract_is_not_supported_twice_under_two_spellings_or_by_two_parties(w):
    make.application(w, make.programme(w))
    other = make.programme(w, code="test-other", level="city", double_subsidy="forbidden")
    request = queries.request_for(
        organisation_id=w.enterprise.pk,
        version=other,
        contract=make.contract("ht 2026 001"),
        stated={},
        now=make.NOW,
    )
    assert [award["contract"] for award in request["history"]] == ["ht 2026 001"]
    assert queries.decide(other, request).rule == "R10"
