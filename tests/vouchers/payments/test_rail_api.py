"""Payments over rails by the API: the payer pays and sees its own, finance sees and decides."""

from __future__ import annotations

import pytest

from portal.kernel.money import Money
from tests import make
from tests.calling import Caller, queries_of
from tests.vouchers.payments import scripted
from tests.vouchers.payments.scripted import notice
from vouchers.charges import refunding as charges
from vouchers.payments import failures, inbox, refunding
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent, RefundAttempt

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]

CARD = {"rail": scripted.CODE, "method": "card"}


@pytest.fixture
def payer(w, rail) -> Caller:
    return Caller(w.owner)


def start(payer, owed, body=CARD, *, key="attempt-key-1"):
    return payer.post(f"/payments/{owed.number}/attempts", body, key=key)


def test_starts_once_a_key_and_gives_up(w, owed, payer):
    made = start(payer, owed)
    assert (made.status, made.body["state"], made.body["next_kind"]) == (201, "requires_action", "redirect")
    assert start(payer, owed).body["number"] == made.body["number"]
    assert start(payer, owed, {**CARD, "method": "wechat_pay"}).code == "idempotency.mismatch"
    listed = payer.get(f"/payments/{owed.number}/attempts").body["items"]
    assert [row["number"] for row in listed] == [made.body["number"]]
    path = f"/payments/{owed.number}/attempts/{made.body['number']}/cancel"
    assert Caller(w.researcher).post(path).status == 403
    assert payer.post(path).body["state"] == "cancelled"


def test_only_who_pays_for_the_payer_may_start(w, owed, rail):
    for role in ("researcher", "finance", "finance_approver"):
        assert start(Caller(getattr(w, role)), owed).status == 403, role
    for role in ("keeper", "lab_owner", "operator", "seller", "officer", "reviewer", "auditor"):
        assert start(Caller(getattr(w, role)), owed).status == 404, role
    assert not PaymentAttempt.objects.exists()


def test_says_what_went_wrong_and_how_to_go_on(owed, payer, rail):
    rail.will("start", "no:insufficient_funds")
    failure = start(payer, owed).body["failure"]
    assert (failure["text"], failure["remedy"]) == ("余额不足。", "请充值后重试，或换一种支付方式。")
    assert (
        failures.explained("card_declined", "insufficient_funds: declined").code == "payment.failed.insufficient_funds"
    )
    rail.will("start", "no:strange_code")
    failure = start(payer, owed, key="attempt-key-2").body["failure"]
    assert "strange_code" in failure["text"]


@pytest.mark.parametrize(
    ("body", "status", "code", "field"),
    [
        ({"rail": "nowhere", "method": "card"}, 422, "payment.no_such_rail", "rail"),
        ({"rail": scripted.CODE, "method": "alipay"}, 422, "payment.no_such_rail", "method"),
        ({"rail": scripted.CODE, "method": "cash"}, 422, "invalid.payload", "method"),
        ({"rail": scripted.CODE, "method": "card", "amount": 1}, 422, "invalid.payload", "amount"),
    ],
)
def test_names_what_is_wrong_with_the_request(owed, payer, body, status, code, field):
    answer = start(payer, owed, body)
    assert (answer.status, answer.code) == (status, code)
    assert field in str(answer.body["fields"])


def test_a_stranger_sees_nothing(w, owed, payer):
    number = start(payer, owed).body["number"]
    rival = Caller(make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER))
    assert rival.get(f"/payments/{owed.number}/attempts").status == 404
    assert rival.post(f"/payments/{owed.number}/attempts/{number}/cancel").status == 404
    assert rival.get("/payment-rails/refunds").body["items"] == []
    for path in ("notices", "disputes"):
        assert payer.get(f"/payment-rails/{path}").body["items"] == []
    assert payer.get("/payment-rails/rails").body == [
        {"rail": "scripted", "methods": ["card", "wechat_pay", "checkout"], "sandbox": True}
    ]


def test_finance_decides_on_notices_and_refunds(w, owed, payer, rail):
    finance = Caller(w.finance)
    number = start(payer, owed).body["number"]
    rail.pay(number, currency="USD")
    inbox.store(rail=scripted.CODE, event=notice("evt_1", "pi_1"), body=b"", now=make.NOW)
    kept = PaymentEvent.objects.get()
    inbox.process(event_id=kept.pk, now=make.NOW)
    assert finance.get("/payment-rails/notices", state="quarantined").body["items"][0]["id"] == kept.pk
    assert payer.post(f"/payment-rails/notices/{kept.pk}/release").status == 404
    rail.pay(number, currency="CNY")
    assert finance.post(f"/payment-rails/notices/{kept.pk}/release").body["state"] == "stored"
    inbox.process(event_id=kept.pk, now=make.NOW)
    rail.will("refund", "no:processing_error")
    charges.refund(
        actor=w.keeper, charge=owed.charge, amount=Money(100), reason="没测成", now=make.NOW, key="refund-key-1"
    )
    failed = refunding.send(refund=RefundAttempt.objects.get(), now=make.NOW)
    assert payer.post(f"/payment-rails/refunds/{failed.number}/retry").status == 403
    assert payer.get(f"/payments/{owed.number}/refunds").body["items"][0]["state"] == "failed"
    again = finance.post(f"/payment-rails/refunds/{failed.number}/retry").body
    assert (again["state"], again["number"] != failed.number) == ("created", True)
    path = f"/payment-rails/refunds/{failed.number}/pay-by-bank"
    assert finance.post(path, {"bank_reference": "ICBC-1"}).status == 409


def test_takes_as_many_queries_for_one_as_for_many(w, owed, payer):
    finance = Caller(w.finance)
    for path in ("notices", "disputes", "refunds"):
        assert queries_of(lambda path=path: finance.get(f"/payment-rails/{path}")) < 12
    inbox.store(rail=scripted.CODE, event=notice("evt_0", "pi_0"), body=b"", now=make.NOW)
    one = queries_of(lambda: finance.get("/payment-rails/notices"))
    for at in range(5):
        inbox.store(rail=scripted.CODE, event=notice(f"evt_1{at}", "pi_0"), body=b"", now=make.NOW)
    assert queries_of(lambda: finance.get("/payment-rails/notices")) == one
