"""Own shares: declared by the payer, confirmed or sent back by finance."""

import pytest
from django.urls import reverse

from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.payments.models import Payment


@pytest.fixture
def due(w):
    """Return a payment due for half of a booking of 960 yuan."""
    voucher = make.voucher(w, make.programme(w, in_force=LONG))
    made = make.booking(w, make.instrument(w), pay_with=voucher)
    make.measured(w, made)
    return Payment.objects.get()


def act(client, payment, act, **values):
    return client.post(reverse("payment", args=[payment.number]), {"act": act, **values})


def test_the_payer_sees_where_to_pay_and_what_to_quote(w, client, due, settings):
    text = text_of(enter(client, w.owner).get(reverse("payment", args=[due.number])))
    assert due.reference in text
    assert settings.BANK_ACCOUNT["number"] in text
    assert "¥480.00" in text
    assert raw_codes(text) == []
    assert due.number in text_of(client.get(reverse("payments")))


def test_declared_then_confirmed(w, client, due):
    assert act(enter(client, w.owner), due, "declare", bank_reference="ICBC-1").status_code == 302
    again = act(client, due, "declare", bank_reference="ICBC-1")
    assert again.status_code == 409
    assert "该记录现在是“待确认到账”" in text_of(again)
    assert act(enter(client, w.finance), due, "confirm", bank_reference="").status_code == 302
    due.refresh_from_db()
    assert (due.state, due.bank_reference) == ("confirmed", "ICBC-1")
    assert act(client, due, "confirm").status_code == 409


def test_a_declared_payment_goes_back_with_the_reason(w, client, due):
    act(enter(client, w.owner), due, "declare", bank_reference="ICBC-1")
    enter(client, w.finance)
    unexplained = act(client, due, "return", note=" ")
    assert unexplained.status_code == 422
    due.refresh_from_db()
    assert due.state == "declared"
    assert act(client, due, "return", note="没有查到这笔流水。").status_code == 302
    assert "没有查到这笔流水。" in text_of(enter(client, w.owner).get(reverse("payment", args=[due.number])))


@pytest.mark.parametrize(
    ("who", "act_", "values", "status", "message"),
    [
        ("owner", "declare", {"bank_reference": " "}, 422, "请填写银行流水号，便于财务核对。"),
        ("finance", "confirm", {"bank_reference": ""}, 422, "请填写银行流水号，便于财务核对。"),
        ("owner", "confirm", {"bank_reference": "X"}, 403, "您的角色不能执行此操作。"),
        ("finance", "declare", {"bank_reference": "X"}, 403, "您的角色不能执行此操作。"),
        ("researcher", "declare", {"bank_reference": "X"}, 403, "您的角色不能执行此操作。"),
    ],
)
def test_what_is_not_to_be_done_changes_nothing(w, client, due, who, act_, values, status, message):
    response = act(enter(client, getattr(w, who)), due, act_, **values)
    assert response.status_code == status
    assert message in text_of(response)
    due.refresh_from_db()
    assert due.state == "due"


def test_one_line_of_the_statement_confirms_one_payment(w, client, due):
    make.measured(w, make.booking(w, make.instrument(w), period=make.slot(3)))
    other = Payment.objects.exclude(pk=due.pk).get()
    enter(client, w.finance)
    act(client, due, "confirm", bank_reference="ICBC-1")
    response = act(client, other, "confirm", bank_reference="ICBC-1")
    assert response.status_code == 409
    assert "银行流水号 ICBC-1 已人工登记为" in text_of(response)


def test_others_payments_do_not_exist(w, client, due):
    stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    assert act(enter(client, stranger), due, "declare", bank_reference="X").status_code == 404
    assert enter(client, w.auditor).get(reverse("payments")).status_code == 403


def test_finance_finds_a_payment_by_its_reference(w, client, due):
    enter(client, w.finance)
    found = client.get(reverse("payments"), {"q": due.reference.lower()})
    assert found.context["listing"].total == 1
    assert client.get(reverse("payments"), {"q": "nothing"}).context["listing"].total == 0
    file = client.get(reverse("payments"), {"format": "csv"}).content.decode()
    assert f"{due.number},杭州星河智能科技有限公司" in file


def test_the_number_of_queries_does_not_grow(w, client, due, django_assert_num_queries):
    enter(client, w.finance)
    with django_assert_num_queries(7):
        client.get(reverse("payments"))
    resource = make.instrument(w)
    for day in range(3, 8):
        make.measured(w, make.booking(w, resource, period=make.slot(day)))
    with django_assert_num_queries(7):
        assert client.get(reverse("payments")).context["listing"].total == 6
