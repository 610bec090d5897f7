"""Like is compared with like: prices of things of one kind, model family and unit; every paying department is told."""

from datetime import timedelta

import pytest

from portal.controls import pricing, spending
from portal.controls import services as controls
from portal.organisations.models import Member
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from tests.vouchers.offers import goods
from vouchers.flags import access, services
from vouchers.flags.models import Flag
from vouchers.flags.rules import FlagAction
from vouchers.programmes.models import Programme

LATER = make.NOW + timedelta(days=3)


@pytest.mark.parametrize(
    ("model", "told"),
    [
        ("JEM-2100F", "JEM2100"),
        ("jem 2100 Plus", "JEM2100"),
        ("ＳＵ８６００", "SU8600"),
        ("Dimension Icon", "DIMENSIONICON"),
        ("", ""),
        ("—", ""),
    ],
)
def test_a_family_is_the_model_to_its_first_number(model, told):
    assert pricing.family(model) == told


def others(w, *, rate="480", count=5, **changes):
    for _ in range(count):
        make.booking(w, make.instrument(w, rate=rate, **changes))


def flagged():
    return list(Flag.objects.filter(pattern="price_above_list").order_by("pk"))


def dear(w, rate, *, pay_with=None, **changes):
    voucher = pay_with or make.voucher(w, make.programme(w, in_force=LONG))
    made = make.booking(w, make.instrument(w, rate=rate, **changes), pay_with=voucher)
    return make.measured(w, made)


def test_a_dear_hour_is_compared_with_the_same_kind_and_model(w):
    voucher = make.voucher(w, make.programme(w, in_force=LONG))
    others(w)
    cheap = dear(w, "528", pay_with=voucher)
    controls.sweep(now=LATER)
    assert flagged() == []
    made = dear(w, "581", pay_with=voucher, model="SU8600 Plus")
    controls.sweep(now=LATER)
    assert [flag.subject for flag in flagged()] == [f"booking:{made.number}"]
    assert cheap.number != made.number


@pytest.mark.parametrize("unlike", [{"category": "medical"}, {"model": "SU3500"}, {"model": ""}])
def test_a_dear_hour_of_another_kind_or_model_is_no_finding(w, unlike):
    others(w, rate="100")
    dear(w, "3200", **unlike)
    controls.sweep(now=LATER)
    assert flagged() == []


def test_ones_own_earlier_price_is_no_other_thing(w):
    others(w, count=4)
    dear(w, "900")
    controls.sweep(now=LATER)
    assert flagged() == []


def test_orders_are_compared_by_the_price_of_their_unit_not_by_their_sum(w):
    small, large = goods.offer(w), goods.offer(w)
    goods.order(w, small, quantity="1000")
    goods.order(w, large, quantity="9000")
    found = pricing.market(since=make.NOW - timedelta(days=1))
    (one,), (two,) = (found.of[pk] for pk in sorted(found.of))
    assert (one.kind, one.unit, one.price) == (two.kind, two.unit, two.price)
    assert found.alike(one).prices == (two.price,)


def test_the_market_is_read_in_three_queries(w, django_assert_num_queries):
    others(w, count=2)
    with django_assert_num_queries(3):
        pricing.market(since=make.NOW - timedelta(days=1))


@pytest.fixture
def two(w):
    """Return two vouchers of programmes of two departments, and the other department's world."""
    other = make.world()
    first = make.voucher(w, make.programme(w, in_force=LONG))
    second = make.voucher(w, make.programme(w, code="test-second", in_force=LONG))
    Programme.objects.filter(pk=second.application.version.programme_id).update(department=other.department)
    return other, [first, second]


def test_each_paying_department_has_its_flag_and_decides_it_by_itself(w, two, client):
    other, vouchers = two
    others(w)
    made = make.booking(w, make.instrument(w, rate="900"), pay_with=vouchers)
    make.measured(w, made)
    controls.sweep(now=LATER)
    controls.sweep(now=LATER)
    assert {flag.department for flag in flagged()} == {w.department, other.department}
    assert len(flagged()) == 2
    (mine,), (theirs,) = (access.visible_to(each.reviewer).filter(pattern="price_above_list") for each in (w, other))
    services.decide(actor=w.reviewer, flag=mine, action=FlagAction.CLEAR, reason="已核对报价", now=LATER)
    theirs.refresh_from_db()
    assert theirs.state == "open"
    enter(client, other.reviewer)
    text = text_of(client.get(f"/flags/{theirs.pk}/"))
    assert "与另外 5 个同类对象（分析仪器，每小时）相比" in text
    assert "同类价格第 90 百分位 SU8600" in text
    assert raw_codes(text) == []


def test_an_account_lent_is_told_to_every_department_whose_vouchers_it_spent(w, two):
    other, vouchers = two
    make.booking(w, make.instrument(w), pay_with=vouchers)
    Member.objects.filter(user_id=w.researcher.user_id).delete()
    told = [each.department_id for each in spending.holders(since=make.NOW - timedelta(days=1))]
    assert told == [w.department.pk, other.department.pk]
