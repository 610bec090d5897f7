"""A provider gives money back; finance pays back what the enterprise had transferred."""

from datetime import timedelta

import pytest
from django.urls import reverse
from django.utils import timezone

from tests import make
from tests.portal.pages.reading import LONG, enter, raw_codes, text_of
from vouchers.charges.models import Charge, Refund
from vouchers.ledger import queries as ledger
from vouchers.payments import services as payments
from vouchers.payments.models import Payment


@pytest.fixture
def charge(w):
    now = timezone.now() - timedelta(days=3)
    voucher = make.voucher(w, make.programme(w, in_force=LONG), now=now)
    booked = make.booking(w, make.instrument(w, now=now), period=make.slot(now=now), pay_with=voucher, now=now)
    return Charge.objects.get(pk=make.measured(w, booked).charge_id)


def form(client, charge, **values):
    key = client.get(reverse("charge_refund", args=[charge.number])).context["key"]
    return {"amount": "100.01", "reason_code": "other", "reason": "设备故障", "idempotency_key": key, **values}


def test_a_lab_refunds_part_of_a_session_once_however_often_the_form_is_sent(w, client, charge):
    enter(client, w.keeper)
    number = charge.subject.partition(":")[2]
    assert "退款" in text_of(client.get(reverse("booking", args=[number])))
    page = text_of(client.get(reverse("charge_refund", args=[charge.number])))
    assert "还可退 ¥960.00" in page
    assert raw_codes(page) == []
    sent = form(client, charge)
    for _ in range(2):
        assert client.post(reverse("charge_refund", args=[charge.number]), sent).status_code == 302
    made = Refund.objects.get()
    assert (made.voucher_fen, made.own_fen) == (5_000, 5_001)
    assert Payment.objects.get().amount_fen == 48_000 - 5_001
    told = text_of(enter(client, w.owner).get(reverse("booking", args=[number])))
    assert "服务退款" in told
    assert ledger.unaccounted_fen() == 0


def test_more_than_is_left_or_without_a_reason_is_refused_at_the_field(w, client, charge):
    enter(client, w.keeper)
    address = reverse("charge_refund", args=[charge.number])
    answer = client.post(address, form(client, charge, amount="960.01"))
    assert (answer.status_code, "不超过尚未退回的 ¥960.00" in text_of(answer)) == (422, True)
    assert client.post(address, form(client, charge, reason="")).status_code == 422
    assert not Refund.objects.exists()


def test_only_the_provider_refunds(w, client, charge):
    other = make.actor(make.organisation(make.roles.Kind.PROVIDER), make.roles.Role.OWNER)
    address = reverse("charge_refund", args=[charge.number])
    assert enter(client, other).get(address).status_code == 404
    assert enter(client, w.owner).get(address).status_code == 403


def test_finance_pays_back_what_had_been_transferred(w, client, charge):
    bill = Payment.objects.get()
    payments.confirm(actor=w.finance, payment=bill, bank_reference="BK-1", now=timezone.now())
    enter(client, w.keeper)
    client.post(reverse("charge_refund", args=[charge.number]), form(client, charge, amount="960.00"))
    bill.refresh_from_db()
    assert (bill.state, bill.amount_fen, bill.owed_back_fen) == ("confirmed", 48_000, 48_000)
    address = reverse("payment", args=[bill.number])
    enter(client, w.finance)
    assert "退还 ¥480.00 给付款单位" in text_of(client.get(address))
    assert client.post(address, {"act": "pay_back", "bank_reference": ""}).status_code == 422
    assert client.post(address, {"act": "pay_back", "bank_reference": "BK-2"}).status_code == 302
    assert client.post(address, {"act": "pay_back", "bank_reference": "BK-3"}).status_code == 409
    bill.refresh_from_db()
    assert (bill.owed_back_fen, bill.paid_back_reference) == (0, "BK-2")
    sums = {line.kind: line.balance_fen for line in ledger.trial_balance(programme="")}
    assert (sums["cash_due"], sums["bank_clearing"]) == (0, 0)
    assert "已退还 BK-2" in text_of(enter(client, w.owner).get(address))


def test_a_bill_refunded_in_full_before_it_was_paid_is_cancelled(w, client, charge):
    enter(client, w.keeper)
    client.post(reverse("charge_refund", args=[charge.number]), form(client, charge, amount="960.00"))
    bill = Payment.objects.get()
    assert bill.state == "cancelled"
    page = text_of(enter(client, w.owner).get(reverse("payment", args=[bill.number])))
    assert "收款户名" not in page
    assert "登记已付款" not in page
