"""A notice is believed when Stripe signed these very bytes, lately, about our account; else nothing of it is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import stripe
from django.core.exceptions import ImproperlyConfigured

from integrations.stripe.configuring import Config
from integrations.stripe.notices import TYPES
from integrations.stripe.rail import StripeRail
from vouchers.payments.ports import BadEvent, EventKind, Method

NOW = datetime(2026, 11, 27, 4, 0, tzinfo=UTC)
SECRET, OLD_SECRET = "whsec_" + "a" * 32, "whsec_" + "b" * 32
CONFIG = Config(
    key="sk_test_" + "k" * 24,
    webhook_secrets=(SECRET,),
    api_base="http://127.0.0.1:9",
    account="acct_ours",
    methods=tuple(Method),
    sandbox=True,
)


def notice(type_: str = "payment_intent.succeeded", thing: Any = None, **more: Any) -> dict[str, Any]:
    thing = thing if thing is not None else {"id": "pi_1", "object": "payment_intent"}
    event = {"id": "evt_1", "object": "event", "type": type_, "created": 1_795_752_000, "livemode": False}
    return {**event, "data": {"object": thing}, **more}


def signed(body: bytes, *, at: datetime = NOW, secret: str = SECRET) -> dict[str, str]:
    header = stripe.WebhookSignature.generate_signature_header(body.decode(), secret, int(at.timestamp()))
    return {"Stripe-Signature": header}


def read(event: Any, *, headers: dict[str, str] | None = None, config: Config = CONFIG, now: datetime = NOW) -> Any:
    body = event if isinstance(event, bytes) else json.dumps(event).encode()
    return StripeRail(config).read_event(body, signed(body) if headers is None else headers, now=now)


def test_a_signed_notice_says_which_object_changed():
    event = read(notice())
    assert (event.id, event.kind, event.object_id) == ("evt_1", EventKind.PAYMENT, "pi_1")
    assert event.created_at == datetime.fromtimestamp(1_795_752_000, UTC)


def test_headers_are_found_however_they_are_written():
    body = json.dumps(notice()).encode()
    header = signed(body)["Stripe-Signature"]
    assert read(body, headers={"stripe-signature": header}).id == "evt_1"


@pytest.mark.parametrize("apart", [timedelta(seconds=300), timedelta(seconds=-300)])
def test_five_minutes_either_way_are_the_clocks(apart):
    assert read(notice(), now=NOW + apart).id == "evt_1"


@pytest.mark.parametrize(
    "apart", [timedelta(seconds=301), timedelta(seconds=-301), timedelta(days=365), timedelta(days=-365)]
)
def test_older_or_from_the_future_is_refused(apart):
    with pytest.raises(BadEvent):
        read(notice(), now=NOW + apart)


def test_both_secrets_hold_while_one_is_replaced():
    body = json.dumps(notice()).encode()
    both = replace(CONFIG, webhook_secrets=(SECRET, OLD_SECRET))
    assert read(body, headers=signed(body, secret=OLD_SECRET), config=both).id == "evt_1"
    with pytest.raises(BadEvent):
        read(body, headers=signed(body, secret=OLD_SECRET))


def test_a_changed_body_is_refused():
    body = json.dumps(notice()).encode()
    with pytest.raises(BadEvent):
        read(body.replace(b"pi_1", b"pi_2"), headers=signed(body))


@pytest.mark.parametrize(
    "header",
    ["", "t=", "t=x,v1=00", "v1=00", "t=99999999999999999999,v1=00", f"t={int(NOW.timestamp())}",
     f"t={int(NOW.timestamp())},v0=00", f"t={int(NOW.timestamp())},v1=", f"t={int(NOW.timestamp())},v1=é", "\x00"],
)  # fmt: skip
def test_headers_that_sign_nothing_are_refused(header):
    with pytest.raises(BadEvent):
        read(notice(), headers={"Stripe-Signature": header})
    with pytest.raises(BadEvent):
        read(notice(), headers={})


def test_nobody_signs_with_an_empty_secret():
    """stripe-python before 16 took such a signature for good."""
    body = json.dumps(notice()).encode()
    with pytest.raises(BadEvent):
        read(body, headers=signed(body, secret=""))
    with pytest.raises(ImproperlyConfigured):
        StripeRail(replace(CONFIG, webhook_secrets=()))
    with pytest.raises(BadEvent):
        read(body, headers=signed(body, secret=" "), config=replace(CONFIG, webhook_secrets=(" ",)))


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"null", b"{}", b'{"object":"event"}', b"[" * 100_000, b'{"id": "evt_1"', b'"x"']
)
def test_signed_nonsense_is_refused(body):
    with pytest.raises(BadEvent):
        read(body)


def test_bytes_that_are_no_text_are_refused():
    with pytest.raises(BadEvent):
        read(b"\xff\xfe{}", headers=signed(b"{}"))


def test_other_accounts_and_the_other_world_are_refused():
    assert read(notice(account="acct_ours")).id == "evt_1"
    for wrong in ({"account": "acct_other"}, {"livemode": True}, {"livemode": None}, {"livemode": "false"}):
        with pytest.raises(BadEvent):
            read(notice(**wrong))
    with pytest.raises(BadEvent):
        read(notice(account="acct_ours"), config=replace(CONFIG, account=""))


@pytest.mark.parametrize(
    ("type_", "thing", "kind", "object_id"),
    [
        ("payment_intent.payment_failed", {"id": "pi_1"}, EventKind.PAYMENT, "pi_1"),
        ("checkout.session.expired", {"id": "cs_1"}, EventKind.PAYMENT, "cs_1"),
        ("charge.succeeded", {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}, EventKind.PAYMENT, "pi_1"),
        ("charge.refunded", {"id": "ch_1", "object": "charge", "payment_intent": {"id": "pi_1"}}, EventKind.PAYMENT, "pi_1"),
        ("charge.succeeded", {"id": "ch_1", "object": "charge", "payment_intent": None}, EventKind.OTHER, "ch_1"),
        ("charge.refund.updated", {"id": "re_1", "object": "refund"}, EventKind.REFUND, "re_1"),
        ("refund.failed", {"id": "re_1", "object": "refund"}, EventKind.REFUND, "re_1"),
        ("charge.dispute.created", {"id": "dp_1", "object": "dispute"}, EventKind.DISPUTE, "dp_1"),
        ("payout.paid", {"id": "po_1", "object": "payout"}, EventKind.PAYOUT, "po_1"),
        ("balance.available", {"object": "balance"}, EventKind.OTHER, ""),
        ("customer.created", {"id": "cus_1"}, EventKind.OTHER, "cus_1"),
    ],
)  # fmt: skip
def test_each_type_names_what_is_fetched(type_, thing, kind, object_id):
    event = read(notice(type_, thing))
    assert (event.kind, event.object_id, event.type) == (kind, object_id, type_)


def test_what_the_endpoint_is_set_to_is_what_is_fetched_and_written_down():
    """Stripe takes at most twenty types in one question; the operator copies the same ones from the manual."""
    assert len(TYPES) <= 20
    manual = (Path(__file__).resolve().parents[3] / "docs" / "adapters.md").read_text()
    for type_ in TYPES:
        assert f"`{type_}`" in manual or f"`.{type_.rpartition('.')[2]}`" in manual, type_
