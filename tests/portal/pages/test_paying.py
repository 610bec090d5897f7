"""Pay from a payment's page, watch it, come back from the gateway; finance's desk for what needs a person."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal.kernel.money import Money
from scheduler.messages.models import Message
from tests import make
from tests.vouchers.payments import scripted
from tests.vouchers.payments.conftest import owed, rail  # noqa: F401 - fixtures
from tests.vouchers.payments.scripted import notice
from vouchers.charges import refunding as charges
from vouchers.payments import inbox, looking, refunding
from vouchers.payments.rail_models import PaymentAttempt, PaymentEvent, RefundAttempt

pytestmark = pytest.mark.django_db


def signed_in(someone: Any) -> Client:
    client = Client()
    client.force_login(make.user_of(someone))
    return client


def said(client: Client, path: str, **form: str) -> tuple[int, str]:
    response = client.post(path, form, follow=True) if form else client.get(path, follow=True)
    return response.status_code, response.content.decode()


def pay(client: Client, path: str, way: str) -> tuple[int, str]:
    _status, html = said(client, path)
    found = re.search(r'name="idempotency_key" value="(\w+)"', html)
    assert found
    return said(client, path, act="pay", way=way, idempotency_key=found[1])


def test_the_payer_pays_by_code_and_sees_that_it_is_paid(w, owed, rail):  # noqa: F811
    payer, path = signed_in(w.owner), f"/payments/{owed.number}/"
    status, html = said(payer, path)
    assert (status, "沙箱环境" in html, "微信支付" in html) == (200, True, True)
    status, html = pay(payer, path, "scripted/wechat_pay")
    assert (status, "data:image/svg" in html, "请用微信扫描二维码付款" in html) == (200, True, True)
    live = re.search(r'hx-get="([^"]+)"', html)
    assert live
    assert payer.get(live[1]).status_code == 200
    rail.pay(PaymentAttempt.objects.get().number)
    status, html = said(payer, f"{path}back/")
    assert (status, "支付成功" in html, "在线支付到账" in html) == (200, True, True)
    moved = payer.get(live[1])
    assert (moved.status_code, moved["HX-Refresh"]) == (204, "true")


def test_in_a_sandbox_where_no_phone_can_scan_the_code_is_a_link_too(w, owed, rail):  # noqa: F811
    payer, path = signed_in(w.owner), f"/payments/{owed.number}/"
    pay(payer, path, "scripted/wechat_pay")
    address = PaymentAttempt.objects.get().next_url
    assert address.startswith("weixin:")
    assert f'href="{address}"' not in said(payer, path)[1]
    PaymentAttempt.objects.update(next_url="http://127.0.0.1:8001/qr/pi_1?secret=s")
    assert 'href="http://127.0.0.1:8001/qr/pi_1?secret=s"' in said(payer, path)[1]


def test_a_card_is_paid_on_the_gateways_page_by_a_link_and_may_be_given_up(w, owed, rail):  # noqa: F811
    payer, path = signed_in(w.owner), f"/payments/{owed.number}/"
    _status, html = pay(payer, path, "scripted/card")
    assert 'href="https://pay.example/pi_1"' in html
    _status, html = said(payer, path, act="give_up")
    assert "已放弃" in html
    assert "在线支付 ¥960.00" in html


def test_a_refusal_says_why_and_how_to_go_on(w, owed, rail):  # noqa: F811
    rail.will("start", "no:insufficient_funds")
    _status, html = pay(signed_in(w.owner), f"/payments/{owed.number}/", "scripted/card")
    assert "余额不足。" in html
    assert "请充值后重试，或换一种支付方式。" in html


@pytest.mark.parametrize("way", ["", "scripted", "scripted/cash", "nowhere/card", "scripted/alipay"])
def test_a_way_that_is_not_offered_is_refused(w, owed, rail, way):  # noqa: F811
    status, html = pay(signed_in(w.owner), f"/payments/{owed.number}/", way or "/")
    assert (status, "没有开通这种支付方式" in html) == (422, True)


def test_who_may_only_read_has_no_button_and_strangers_see_nothing(w, owed, rail):  # noqa: F811
    path = f"/payments/{owed.number}/"
    for reader in (w.researcher, w.finance):
        status, html = said(signed_in(reader), path)
        assert (status, 'name="way"' in html) == (200, False)
    rival = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    for end in ("", "live/", "back/"):
        assert said(signed_in(rival), path + end)[0] == 404


def test_finance_decides_at_its_desk(w, owed, rail):  # noqa: F811
    payer, finance = signed_in(w.owner), signed_in(w.finance)
    assert said(payer, "/rails/")[0] == 403
    assert "没有原路退款" in said(finance, "/rails/")[1]
    pay(payer, f"/payments/{owed.number}/", "scripted/card")
    attempt, now = PaymentAttempt.objects.get(), timezone.now()
    rail.pay(attempt.number, currency="USD")
    inbox.store(rail=scripted.CODE, event=notice("evt_1", "pi_1", at=now), body=b"", now=now)
    kept = PaymentEvent.objects.get()
    inbox.process(event_id=kept.pk, now=now)
    told = Message.objects.get(user_id=w.finance.user_id)
    assert told.kind == "payment_alarm"
    _status, html = said(finance, "/rails/")
    assert "currency USD != CNY" in html
    assert said(finance, "/rails/", act="ignore", number=str(kept.pk), reason=" ")[0] == 422
    rail.pay(attempt.number, currency="CNY")
    assert "已重新处理这条通知。" in said(finance, "/rails/", act="release", number=str(kept.pk))[1]
    looking.look_at_due(now=now + timedelta(minutes=1))
    rail.will("refund", "no:charge_disputed")
    charges.refund(actor=w.keeper, charge=owed.charge, amount=Money(100), reason="没测成", now=now, key="refund-key-1")
    failed = refunding.send(refund=RefundAttempt.objects.get(), now=now)
    assert "charge_disputed" in said(finance, "/rails/")[1]
    assert said(finance, "/rails/", act="bank", number=failed.number, bank_reference="")[0] == 422
    assert "已记录退还。" in said(finance, "/rails/", act="bank", number=failed.number, bank_reference="B-1")[1]
    assert said(finance, "/rails/", act="retry", number=failed.number)[0] == 409
    csv = finance.get("/rails/?format=csv").content.decode()
    assert failed.number in csv
    assert "bank:B-1" in csv


@pytest.mark.parametrize("number", ["", "x", "9" * 30, "-1"])
def test_a_notice_that_is_none_is_not_found(w, rail, number):  # noqa: F811
    assert said(signed_in(w.finance), "/rails/", act="release", number=number)[0] == 404
