"""Our objects have the fields that stripe-python's own types say, and calls take the parameters that its types know.

The types are generated from the gateway's API description: the nearest there is to it without a network.
"""

from __future__ import annotations

import json
import typing

import pytest
import stripe
from stripe import params
from stripe.params import checkout as checkout_params

from integrations.local.payserver import disputes, intents, methods, refunds, sessions
from tests.integrations.payserver.orders import BACK, intent, session, wallet

CLASSES = {
    "account": stripe.Account,
    "balance_transaction": stripe.BalanceTransaction,
    "charge": stripe.Charge,
    "checkout.session": stripe.checkout.Session,
    "customer": stripe.Customer,
    "dispute": stripe.Dispute,
    "event": stripe.Event,
    "payment_intent": stripe.PaymentIntent,
    "payment_method": stripe.PaymentMethod,
    "payout": stripe.Payout,
    "refund": stripe.Refund,
    "transfer": stripe.Transfer,
    "transfer_reversal": stripe.TransferReversal,
}


@pytest.fixture
def everything(payserver):
    """One of everything, in all its states."""
    c = payserver.client
    account = c.accounts.create(params={"type": "express"})
    customer = c.customers.create(params={"name": "企业"})
    c.payment_methods.attach("pm_card_visa", params={"customer": customer.id})
    paid = intent(c, customer=customer.id, amount=100_000)
    intent(c, payment_method="pm_card_authenticationRequired", return_url=BACK)
    intent(c, capture_method="manual")
    intent(c, payment_method="pm_card_createDispute")
    with pytest.raises(stripe.CardError):
        intent(c, payment_method="pm_card_chargeDeclined")
    for kind in ("alipay", "wechat_pay"):
        wallet(c, kind)
        payserver.pay(wallet(c, kind).id)
    c.refunds.create(params={"payment_intent": paid.id, "amount": 1})
    c.refunds.create(params={"payment_intent": intent(c, payment_method="pm_card_refundFail").id})
    c.checkout.sessions.expire(session(c).id)
    payserver.pay(session(c).id)
    payout = c.payouts.create(params={"amount": 1, "currency": "cny"})
    payserver.order(f"payouts/{payout.id}", {"outcome": "failed"})
    transfer = c.transfers.create(params={"amount": 10, "currency": "cny", "destination": account.id})
    c.transfers.reversals.create(transfer.id)
    return payserver


def fields(kind):
    annotations = typing.cast("type", CLASSES[kind]).__annotations__.items()
    return {name: str(said) for name, said in annotations if name != "OBJECT_NAME"}


@pytest.mark.parametrize("kind", CLASSES)
def test_every_field_is_known_to_the_sdk_and_none_it_promises_is_missing(everything, kind):
    known = fields(kind)
    promised = {name for name, said in known.items() if "Optional[" not in said and "NoneType" not in said}
    found = everything.objects(kind)
    assert found
    for one in found:
        assert set(one) - set(known) == set(), one["id"]
        assert promised - set(one) - {"deleted"} == set(), one["id"]


NEXT = stripe.PaymentIntent.NextAction
NESTED = {
    "alipay_handle_redirect": NEXT.AlipayHandleRedirect,
    "redirect_to_url": NEXT.RedirectToUrl,
    "wechat_pay_display_qr_code": NEXT.WechatPayDisplayQrCode,
}


def test_what_the_payer_has_to_do_is_shaped_as_the_sdk_says(everything):
    seen = {}
    for one in everything.objects("payment_intent"):
        if one["next_action"]:
            seen[one["next_action"]["type"]] = one["next_action"]
    assert set(seen) == set(NESTED)
    for kind, action in seen.items():
        assert set(action) == {"type", kind}
        assert set(action[kind]) == set(NESTED[kind].__annotations__)


def test_words_of_states_and_types_are_the_gateways(everything):
    """Literals of the SDK's types hold every word we say."""
    told = {
        ("payment_intent", "status"),
        ("payment_intent", "cancellation_reason"),
        ("charge", "status"),
        ("refund", "status"),
        ("refund", "failure_reason"),
        ("checkout.session", "status"),
        ("checkout.session", "payment_status"),
        ("checkout.session", "ui_mode"),
        ("dispute", "status"),
        ("dispute", "reason"),
        ("balance_transaction", "type"),
        ("balance_transaction", "status"),
        ("payout", "type"),
        ("event", "type"),
    }
    for kind, field in sorted(told):
        said = fields(kind)[field]
        for one in everything.objects(kind):
            if one.get(field) and "Literal" in said:
                assert f"'{one[field]}'" in said.replace('"', "'"), (kind, field, one[field])


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (intents.CREATE, params.PaymentIntentCreateParams),
        (intents.CHANGE, params.PaymentIntentModifyParams),
        (intents.CONFIRM, params.PaymentIntentConfirmParams),
        (refunds.CREATE, params.RefundCreateParams),
        (sessions.CREATE, checkout_params.SessionCreateParams),
        (sessions.INTENT_DATA, checkout_params.SessionCreateParamsPaymentIntentData),
        (methods.METHOD, params.PaymentMethodCreateParams),
        (methods.CUSTOMER, params.CustomerCreateParams),
        (disputes.REASONS, None),
    ],
)
def test_every_parameter_is_the_gateways(ours, theirs):
    if theirs is None:
        said = str(stripe.Dispute.__annotations__["reason"])
        assert "Literal" not in said or all(word in said for word in ours)
    else:
        assert set(ours) - set(theirs.__annotations__) == set()


def test_errors_have_the_gateways_fields_and_codes(payserver):
    said = str(stripe.PaymentIntent.LastPaymentError.__annotations__["code"])
    assert "Literal" in said
    c, codes = payserver.client, set()
    held = intent(c, capture_method="manual")
    for call in (
        lambda: intent(c, amount=0),
        lambda: intent(c, amount=10**8),
        lambda: intent(c, nonsense=1),
        lambda: c.payment_intents.retrieve("pi_x"),
        lambda: c.payment_intents.capture(held.id, params={"amount_to_capture": 10**6}),
        lambda: c.payment_intents.confirm(held.id),
        lambda: intent(c, payment_method="pm_card_chargeDeclined"),
        lambda: c.payouts.create(params={"amount": 1, "currency": "cny"}),
        lambda: c.payment_intents.create(params={"currency": "cny"}),
        lambda: wallet(c, "alipay", capture_method="manual"),
    ):
        with pytest.raises(stripe.StripeError) as caught:
            call()
        error = json.loads(caught.value.http_body)["error"]
        assert set(error) <= set(stripe.ErrorObject.__annotations__) | {"decline_code", "type"}
        if error.get("code"):
            codes.add(error["code"])
    assert len(codes) >= 8
    assert {code for code in codes if f"'{code}'" not in said} == set()
