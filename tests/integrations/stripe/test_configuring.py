"""What the operator may get wrong is named, all of it at once, and never with a secret in it."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from integrations.stripe.configuring import config_from, is_loopback, problems
from integrations.stripe.rail import from_settings
from portal.checks import stripe_account

SECRET = "whsec_" + "s" * 32
TEST_KEY, LIVE_KEY = "sk_test_" + "k" * 24, "sk_live_" + "k" * 24
GOOD: dict[str, Any] = {
    "key": TEST_KEY,
    "webhook_secret": SECRET,
    "api_base": "",
    "account": "",
    "methods": "checkout,card,alipay,wechat_pay",
    "sandbox": False,
    "transfers": False,
}
VERSION = "2026-10-28.endive"


def told(*, rehearsing: bool = False, sdk: str = VERSION, **more: Any) -> set[str]:
    config = config_from({**GOOD, **more})
    found = problems(config, rehearsing=rehearsing, api_version=(VERSION, sdk))
    for one in found:
        assert "kkkk" not in one.text + one.hint
    assert "kkkk" not in repr(config)
    assert "ssss" not in repr(config)
    assert ("portal.W030" in {one.id for one in found}) == (bool(more.get("sandbox")) and not rehearsing)
    return {one.id.removeprefix("portal.") for one in found} - {"W030"}


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"key": LIVE_KEY}, set()),
        ({"key": LIVE_KEY, "webhook_secret": f"{SECRET}, {SECRET}x"}, set()),
        ({"sandbox": True}, set()),
        ({"sandbox": True, "api_base": "http://127.0.0.1:12111"}, set()),
        ({"sandbox": True, "api_base": "http://[::1]:12111/"}, set()),
        ({}, {"W029"}),
        ({"key": "pk_live_abcdefgh", "sandbox": True}, {"E020"}),
        ({"key": LIVE_KEY, "webhook_secret": ""}, {"E021"}),
        ({"key": LIVE_KEY, "webhook_secret": " , "}, {"E021"}),
        ({"key": LIVE_KEY, "webhook_secret": "whsec_1"}, {"E021"}),
        ({"sandbox": True, "api_base": "https://api.stripe.com.example.org"}, {"E022"}),
        ({"sandbox": True, "api_base": "http://api.stripe.com"}, {"E022"}),
        ({"sandbox": True, "api_base": "https://api.stripe.com@example.org"}, {"E022"}),
        ({"sandbox": True, "api_base": "https://192.168.1.5"}, {"E022"}),
        ({"key": LIVE_KEY, "api_base": "https://127.0.0.1"}, {"E023", "E024"}),
        ({"key": LIVE_KEY, "sandbox": True}, {"E024"}),
        ({"key": LIVE_KEY, "rehearsing": True}, {"E025"}),
        ({"key": LIVE_KEY, "methods": "checkout,paypal"}, {"E026"}),
        ({"key": LIVE_KEY, "methods": ""}, {"E026"}),
        ({"key": LIVE_KEY, "account": "ours"}, {"E027"}),
        ({"key": LIVE_KEY, "sdk": "2027-01-01.next"}, {"E028"}),
    ],
)
def test_each_fault_has_its_number(more, found):
    assert told(**more) == found


def test_loopback_is_this_machine_and_nothing_else():
    assert is_loopback("http://localhost:1")
    assert is_loopback("http://127.9.9.9")
    for base in (
        "http://127.0.0.1.example.org",
        "http://10.0.0.1",
        "http://127.0.0.1/path",
        "http://127.0.0.1:99999",
        "ftp://127.0.0.1",
    ):
        assert not is_loopback(base), base


def test_the_rail_does_not_start_with_a_fault_and_says_each(settings):
    settings.STRIPE = {**GOOD, "webhook_secret": "", "key": LIVE_KEY, "sandbox": True}
    with pytest.raises(ImproperlyConfigured) as caught:
        from_settings()
    assert "portal.E021" in str(caught.value)
    assert "portal.E024" in str(caught.value)
    assert "kkkk" not in str(caught.value)


def test_the_checks_speak_only_where_there_is_such_a_rail(settings):
    settings.STRIPE = {**GOOD, "webhook_secret": ""}
    assert stripe_account() == []
    settings.PAYMENT_RAILS = {"stripe": "integrations.stripe.rail.from_settings"}
    assert {one.id for one in stripe_account()} == {"portal.E021", "portal.W029"}


def test_a_test_key_or_the_flag_make_a_sandbox(settings):
    settings.STRIPE = {**GOOD}
    assert from_settings().capabilities.sandbox
    settings.STRIPE = {**GOOD, "key": LIVE_KEY}
    settings.DEBUG = False
    rail = from_settings()
    assert not rail.capabilities.sandbox
    assert not rail.capabilities.transfers
    assert "kkkk" not in repr(rail.config)
