"""``manage.py payment_rails`` tells the operator what is true of each rail, and fails where a person is needed."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.core.management import call_command

from vouchers.payments import rails
from vouchers.payments.ports import EventKind
from vouchers.payments.rail_models import PaymentEvent


@pytest.fixture
def connected(db: None, settings: Any, payserver: Any) -> Iterator[Callable[..., None]]:
    """Connect the portal to the sandbox as an operator would, with what is given changed."""

    def connect(**more: Any) -> None:
        usual = {"key": payserver.key, "webhook_secret": payserver.secret, "api_base": payserver.address, "account": ""}
        more = {"methods": "checkout,card,alipay,wechat_pay", "sandbox": True, "transfers": False} | more
        settings.STRIPE = usual | more
        settings.PAYMENT_RAILS = {"stripe": "integrations.stripe.rail.from_settings"}
        rails._made.cache_clear()

    yield connect
    rails._made.cache_clear()


def said(status: int, **options: Any) -> str:
    out = io.StringIO()
    try:
        call_command("payment_rails", stdout=out, **options)
    except SystemExit as error:
        assert error.code == status
    else:
        assert status == 0
    return out.getvalue()


def event(*, age: timedelta, state: str) -> None:
    PaymentEvent.objects.create(
        rail="stripe",
        provider_event_id=f"evt_{state}_{age}",
        kind=EventKind.PAYMENT.value,
        type="payment_intent.succeeded",
        object_id="pi_1",
        body=b"{}",
        state=state,
        occurred_at=datetime.now(UTC) - age,
        received_at=datetime.now(UTC) - age,
    )


def test_without_a_gateway_there_is_bank_transfer(db, settings):
    settings.PAYMENT_RAILS = {}
    assert "对公转账" in said(0)


def test_account_world_balance_and_last_notice(connected, payserver):
    connected()
    event(age=timedelta(hours=1), state="done")
    text = said(0, lang="en")
    assert "stripe  sandbox, no real money moves  checkout, card, alipay, wechat_pay" in text
    assert "account acct_SandboxPlatform HK, balance ¥0.00" in text
    assert "last notice payment_intent.succeeded" in text
    assert payserver.key not in text


def test_a_key_of_another_account_is_named(connected):
    connected(account="acct_Ours")
    assert "密钥属于另一个账户" in said(1)


def test_a_key_that_is_refused_is_named(connected):
    connected(key="rk_test_" + "x" * 24)
    assert "不认可本平台的密钥" in said(1)


def test_a_gateway_that_does_not_answer_is_trouble(connected, payserver):
    connected()
    payserver.fault("drop_before", times=0)
    assert "✗" in said(1)
    payserver.order("faults", method="DELETE")


def test_what_is_set_wrong_is_named_without_the_secret(connected):
    connected(webhook_secret="short")
    text = said(1)
    assert "portal.E021" in text
    assert "short" not in text.replace("too short", "")


def test_notices_that_lie_about_are_trouble(connected):
    connected()
    event(age=timedelta(hours=1), state="stored")
    event(age=timedelta(hours=2), state="quarantined")
    text = said(1)
    assert "1 条通知未处理" in text
    assert "1 条通知待人工核对" in text
