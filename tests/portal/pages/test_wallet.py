"""The wallet: what is left, what may be bought with it, and where every fen went."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from portal.kernel.money import Money
from portal.pages.wallet import purses_of
from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from tests.vouchers.claims import making as claims
from vouchers.wallets import expiry
from vouchers.wallets.models import Voucher


@pytest.fixture
def now():
    return timezone.now()


@pytest.fixture
def voucher(w, now):
    return make.voucher(w, make.programme(w, in_force=LONG), now=now)


def small(number):
    return {"number": number, "items": {"compute": Money.from_yuan("1000")}}


def test_it_says_what_a_voucher_may_buy_and_how_much_of_a_bill_it_pays(w, client, voucher):
    text = text_of(enter(client, w.owner).get(reverse("wallet")))
    assert voucher.number in text
    assert "算力、仪器机时" in text
    assert "每笔账单最多由券支付 50%，其余自付。" in text
    assert "¥100,000.00" in text
    assert raw_codes(text) == []


def test_used_held_and_left_add_up_to_what_was_granted(w, client, voucher, now):
    resource = make.instrument(w, now=now)
    made = make.booking(w, resource, period=make.slot(start="09:00", end="11:00", now=now), pay_with=voucher, now=now)
    make.measured(w, made)
    make.booking(w, resource, period=make.slot(2, now=now), pay_with=voucher, now=now)
    response = enter(client, w.researcher).get(reverse("wallet"))
    [purse] = response.context["purses"]
    assert (purse.used_fen, purse.held_fen, purse.left_fen, purse.gone_fen) == (48_000, 48_000, 9_904_000, 0)
    assert "已用 ¥480.00，已冻结 ¥480.00，可用 ¥99,040.00" in response.content.decode()


def test_the_statement_leads_to_what_was_paid_and_shows_what_is_still_held(w, client, voucher, now):
    resource = make.instrument(w, now=now)
    made = make.booking(w, resource, period=make.slot(start="09:00", end="11:00", now=now), pay_with=voucher, now=now)
    make.measured(w, made)
    held = make.booking(w, resource, period=make.slot(2, now=now), pay_with=voucher, now=now)
    response = enter(client, w.owner).get(reverse("voucher", args=[voucher.number]))
    movements = response.context["movements"]
    assert [(line.what, line.amount_fen, line.balance_fen) for line in movements] == [
        ("冻结", 0, 9_952_000),
        ("核销", -48_000, 9_952_000),
        ("冻结", 0, 10_000_000),
        ("发放", 10_000_000, 10_000_000),
    ]
    assert [(line.held_fen, line.available_fen) for line in movements] == [
        (48_000, 9_904_000),
        (-48_000, 9_952_000),
        (48_000, 9_952_000),
        (0, 10_000_000),
    ]
    assert movements[1].url.endswith(f"/{made.number}/")
    text = text_of(response)
    assert f"预约 {made.number}" in text
    assert f"预约 {held.number}" in text
    assert raw_codes(text) == []
    file = client.get(reverse("voucher", args=[voucher.number]), {"format": "csv"}).content.decode()
    assert f"核销,预约 {made.number},-480.00,-480.00,99520.00,99520.00" in file


def test_a_voucher_past_its_end_is_told_as_ended_before_and_after_the_books_say_so(w, client, voucher):
    after = voucher.valid_until + timedelta(hours=1)
    [purse] = purses_of([voucher], now=after)
    assert (purse.state, purse.unused_fen) == ("expired", 10_000_000)
    expiry.expire_overdue(now=after)
    response = enter(client, w.owner).get(reverse("wallet"))
    assert response.context["purses"] == []
    [ended] = response.context["ended"]
    assert (ended.left_fen, ended.gone_fen, ended.unused_fen) == (0, 10_000_000, 10_000_000)
    assert "已过期 ¥100,000.00" in client.get(reverse("voucher", args=[voucher.number])).content.decode()


def test_a_voucher_that_ends_soon_is_pointed_out(w, client, now):
    version = make.programme(w, in_force=LONG, validity={"length": 1, "from": "issue"})
    voucher = make.voucher(w, version, now=now)
    text = text_of(enter(client, w.owner).get(reverse("wallet")))
    assert f"券 {voucher.number} 最后有效日为" in text
    assert "券即将到期" in text_of(client.get(reverse("dashboard")))


def test_the_number_of_queries_is_the_same_for_2_and_20_vouchers(w, client, now, django_assert_num_queries):
    version = make.programme(w, in_force=LONG)
    for number in range(2):
        make.voucher(w, version, now=now, **small(f"HT-{number}"))
    enter(client, w.owner)
    with django_assert_num_queries(5):
        client.get(reverse("wallet"))
    for number in range(2, 20):
        make.voucher(w, version, now=now, **small(f"HT-{number}"))
    with django_assert_num_queries(5):
        assert len(client.get(reverse("wallet")).context["purses"]) == 20


def test_others_vouchers_do_not_exist(w, client, voucher):
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    enter(client, stranger)
    assert client.get(reverse("voucher", args=[voucher.number])).status_code == 404
    assert "没有可用的券" in text_of(client.get(reverse("wallet")))
    assert enter(client, w.reviewer).get(reverse("wallet")).status_code == 403
    client.logout()
    assert client.get(reverse("wallet")).status_code == 302
    assert Voucher.objects.count() == 1


def test_a_crooked_cursor_shows_the_first_page(w, client, voucher):
    enter(client, w.owner)
    for before in ("x", "-1", "9" * 40):
        response = client.get(reverse("voucher", args=[voucher.number]), {"before": before})
        assert len(response.context["movements"]) == 1


def test_a_researcher_sees_what_was_claimed_without_a_door_they_may_not_open(w, client):
    voucher = make.voucher(w, claims.reimbursing(w))
    claim = claims.filed(w, voucher)
    address = reverse("claim", args=[claim.number])
    assert f'href="{address}"' in enter(client, w.owner).get(reverse("voucher", args=[voucher.number])).content.decode()
    page = enter(client, w.researcher).get(reverse("voucher", args=[voucher.number])).content.decode()
    assert claim.number in page
    assert f'href="{address}"' not in page
