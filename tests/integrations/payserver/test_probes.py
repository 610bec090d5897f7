"""The calls the portal makes, each through real stripe-python over a real socket (the probes of issue 6 and more)."""

from __future__ import annotations

import json

import pytest
import stripe

from tests.integrations.payserver.orders import BACK, intent, session, wallet


@pytest.fixture
def c(payserver):
    return payserver.client


# customers and payment methods


def test_a_customer_is_made_read_changed_and_listed(c):
    made = [c.customers.create(params={"name": f"企业{n}", "email": f"{n}@x.example"}) for n in range(3)]
    assert c.customers.retrieve(made[0].id).name == "企业0"
    changed = c.customers.update(made[0].id, params={"name": "新名", "metadata": {"a": "1", "b": "2"}})
    assert (changed.name, changed.metadata.to_dict()) == ("新名", {"a": "1", "b": "2"})
    assert c.customers.update(made[0].id, params={"metadata": {"a": ""}}).metadata.to_dict() == {"b": "2"}
    assert [one.id for one in c.customers.list().data] == [one.id for one in reversed(made)]
    assert [one.id for one in c.customers.list(params={"email": "1@x.example"}).data] == [made[1].id]


def test_pages_of_a_list_are_complete_and_in_order(c):
    made = [c.customers.create(params={"name": str(n)}).id for n in range(7)]
    first = c.customers.list(params={"limit": 3})
    assert first.has_more
    assert [one.id for one in first.auto_paging_iter()] == made[::-1]
    second = c.customers.list(params={"limit": 3, "starting_after": first.data[-1].id})
    assert [one.id for one in second.data] == made[::-1][3:6]
    back = c.customers.list(params={"limit": 2, "ending_before": second.data[0].id})
    assert [one.id for one in back.data] == made[::-1][1:3]
    with pytest.raises(stripe.InvalidRequestError, match="Limit"):
        c.customers.list(params={"limit": 101})
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        c.customers.list(params={"starting_after": "cus_nobody"})


def test_lists_are_bounded_by_time(payserver, c):
    old = c.customers.create(params={"name": "old"})
    payserver.advance(100)
    new = c.customers.create(params={"name": "new"})
    assert [one.id for one in c.customers.list(params={"created": {"gte": old.created + 50}}).data] == [new.id]
    assert [one.id for one in c.customers.list(params={"created": {"lt": new.created}}).data] == [old.id]
    assert c.customers.list(params={"created": {"gt": old.created, "lt": new.created}}).data == []


def test_a_card_is_attached_and_detached(c):
    customer = c.customers.create(params={"name": "企业"})
    method = c.payment_methods.attach("pm_card_visa", params={"customer": customer.id})
    assert (method.card.last4, method.customer) == ("4242", customer.id)
    assert method.id != "pm_card_visa"
    assert [m.id for m in c.customers.payment_methods.list(customer.id).data] == [method.id]
    paid = intent(c, customer=customer.id, payment_method=method.id)
    assert paid.status == "succeeded"
    assert c.payment_methods.detach(method.id).customer is None
    assert c.customers.payment_methods.list(customer.id).data == []


def test_a_test_number_is_a_card_and_any_other_number_is_declined(c):
    card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2034, "cvc": "123"}
    assert c.payment_methods.create(params={"type": "card", "card": card}).card.brand == "visa"
    with pytest.raises(stripe.CardError) as caught:
        c.payment_methods.create(params={"type": "card", "card": {**card, "number": "4012888888881881"}})
    assert caught.value.error.decline_code == "test_mode_live_card"


# payments by card


def test_a_payment_in_yuan_is_made_then_confirmed(c):
    opened = intent(c, confirm=False, metadata={"attempt": "A1"}, description="预约")
    assert (opened.status, opened.currency, opened.amount, opened.livemode) == (
        "requires_confirmation",
        "cny",
        12_345,
        False,
    )
    paid = c.payment_intents.confirm(opened.id)
    assert (paid.status, paid.amount_received, paid.metadata["attempt"]) == ("succeeded", 12_345, "A1")
    assert isinstance(paid.latest_charge, str)
    assert c.payment_intents.retrieve(paid.id).status == "succeeded"


def test_a_payment_is_confirmed_in_the_call_that_opens_it(c):
    assert intent(c).status == "succeeded"


def test_what_is_expanded_is_there_and_what_cannot_be_is_refused(c):
    paid = intent(c, expand=["latest_charge.balance_transaction", "payment_method"])
    charge = paid.latest_charge
    assert (charge.paid, charge.captured, charge.payment_intent) == (True, True, paid.id)
    assert (charge.balance_transaction.amount, charge.balance_transaction.net) == (12_345, 12_345 - 420)
    assert paid.payment_method.card.last4 == "4242"
    listed = c.payment_intents.list(params={"expand": ["data.latest_charge"]})
    assert listed.data[0].latest_charge.id == charge.id
    with pytest.raises(stripe.InvalidRequestError, match="cannot be expanded"):
        c.payment_intents.retrieve(paid.id, params={"expand": ["amount"]})


@pytest.mark.parametrize(
    ("card", "code", "decline_code"),
    [
        ("pm_card_chargeDeclined", "card_declined", "generic_decline"),
        ("pm_card_visa_chargeDeclinedInsufficientFunds", "card_declined", "insufficient_funds"),
        ("pm_card_visa_chargeDeclinedLostCard", "card_declined", "lost_card"),
        ("pm_card_chargeDeclinedExpiredCard", "expired_card", "expired_card"),
        ("pm_card_chargeDeclinedProcessingError", "processing_error", "processing_error"),
    ],
)
def test_a_decline_is_a_card_error_and_leaves_the_payment_open(c, card, code, decline_code):
    with pytest.raises(stripe.CardError) as caught:
        intent(c, payment_method=card)
    error = caught.value
    assert (error.http_status, error.code, error.error.decline_code) == (402, code, decline_code)
    kept = c.payment_intents.retrieve(error.error.payment_intent.id)
    assert (kept.status, kept.payment_method, kept.last_payment_error.code) == ("requires_payment_method", None, code)
    assert c.charges.retrieve(kept.latest_charge).status == "failed"
    again = c.payment_intents.confirm(kept.id, params={"payment_method": "pm_card_visa"})
    assert (again.status, again.last_payment_error) == ("succeeded", None)
    assert [one.status for one in c.charges.list(params={"payment_intent": kept.id}).data] == ["succeeded", "failed"]


def test_a_card_may_be_attached_and_decline_later(c):
    customer = c.customers.create(params={"name": "企业"})
    method = c.payment_methods.attach("pm_card_chargeCustomerFail", params={"customer": customer.id})
    with pytest.raises(stripe.CardError):
        intent(c, customer=customer.id, payment_method=method.id)


def test_three_d_secure_asks_the_payer_first(payserver, c):
    asked = intent(c, payment_method="pm_card_authenticationRequired", return_url=BACK)
    assert (asked.status, asked.next_action.type) == ("requires_action", "redirect_to_url")
    assert asked.next_action.redirect_to_url.url.startswith(payserver.address)
    assert payserver.pay(asked.id)["status"] == "succeeded"
    refused = intent(c, payment_method="pm_card_threeDSecure2Required", return_url=BACK)
    payserver.pay(refused.id, outcome="failed")
    seen = c.payment_intents.retrieve(refused.id)
    assert seen.status == "requires_payment_method"
    assert seen.last_payment_error.code == "payment_intent_authentication_failure"


def test_a_held_payment_is_captured_in_part_and_the_rest_let_go(c):
    held = intent(c, capture_method="manual")
    assert (held.status, held.amount_capturable, held.amount_received) == ("requires_capture", 12_345, 0)
    assert c.balance_transactions.list().data == []
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.payment_intents.capture(held.id, params={"amount_to_capture": 12_346})
    assert caught.value.code == "amount_too_large"
    taken = c.payment_intents.capture(held.id, params={"amount_to_capture": 10_000})
    assert (taken.status, taken.amount_capturable, taken.amount_received) == ("succeeded", 0, 10_000)
    assert c.balance_transactions.list().data[0].amount == 10_000
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.refunds.create(params={"payment_intent": held.id, "amount": 10_001})
    assert caught.value.param == "amount"


def test_a_payment_is_cancelled_once_and_no_more_used(c):
    opened = intent(c, confirm=False)
    gone = c.payment_intents.cancel(opened.id, params={"cancellation_reason": "abandoned"})
    assert (gone.status, gone.cancellation_reason) == ("canceled", "abandoned")
    for call in (c.payment_intents.cancel, c.payment_intents.confirm, c.payment_intents.capture):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call(opened.id)
        assert caught.value.code == "payment_intent_unexpected_state"
    held = intent(c, capture_method="manual")
    assert c.payment_intents.cancel(held.id).amount_capturable == 0
    assert c.charges.retrieve(held.latest_charge).refunded
    with pytest.raises(stripe.InvalidRequestError):
        c.payment_intents.cancel(intent(c).id)


def test_an_open_payment_may_be_changed(c):
    opened = intent(c, confirm=False)
    changed = c.payment_intents.update(opened.id, params={"amount": 100, "metadata": {"a": "1"}})
    assert (changed.amount, changed.metadata["a"]) == (100, "1")


# wallets


def test_alipay_leads_the_payer_to_a_page(payserver, c):
    asked = wallet(c, "alipay")
    assert (asked.status, asked.next_action.type) == ("requires_action", "alipay_handle_redirect")
    assert asked.next_action.alipay_handle_redirect.return_url == BACK
    assert payserver.pay(asked.id)["status"] == "succeeded"
    seen = c.payment_intents.retrieve(asked.id, params={"expand": ["latest_charge"]})
    assert seen.latest_charge.id.startswith("py_")
    assert seen.latest_charge.payment_method_details.type == "alipay"
    assert c.balance_transactions.list().data[0].type == "payment"


def test_wechat_pay_shows_a_code(payserver, c):
    asked = wallet(c, "wechat_pay")
    code = asked.next_action.wechat_pay_display_qr_code
    assert (asked.status, asked.next_action.type) == ("requires_action", "wechat_pay_display_qr_code")
    assert code.data.startswith(payserver.address)
    assert code.image_data_url.startswith("data:image/png;base64,")
    assert payserver.pay(asked.id, outcome="processing")["status"] == "processing"
    assert payserver.pay(asked.id)["status"] == "succeeded"


def test_wallets_say_what_they_lack_and_cannot_hold(c):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        wallet(c, "alipay", return_url="")
    assert caught.value.param == "return_url"
    with pytest.raises(stripe.InvalidRequestError, match=r"wechat_pay\]\[client"):
        wallet(c, "wechat_pay", payment_method_options={})
    with pytest.raises(stripe.InvalidRequestError, match="manual capture"):
        wallet(c, "alipay", capture_method="manual")
    method = c.payment_methods.create(params={"type": "alipay"})
    customer = c.customers.create(params={"name": "企业"})
    with pytest.raises(stripe.InvalidRequestError, match="single use"):
        c.payment_methods.attach(method.id, params={"customer": customer.id})


def test_a_wallet_that_refuses_leaves_the_payment_open(payserver, c):
    asked = wallet(c, "alipay")
    payserver.pay(asked.id, outcome="left")
    assert c.payment_intents.retrieve(asked.id).status == "requires_action"
    payserver.pay(asked.id, outcome="failed")
    seen = c.payment_intents.retrieve(asked.id)
    assert (seen.status, seen.last_payment_error.code) == ("requires_payment_method", "payment_method_customer_decline")


def test_methods_the_gateway_chooses_need_a_way_back(c):
    params = {"amount": 100, "currency": "cny", "payment_method": "pm_card_visa", "confirm": True}
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.payment_intents.create(params=params)
    assert caught.value.param == "return_url"
    never = {"automatic_payment_methods": {"enabled": True, "allow_redirects": "never"}}
    assert c.payment_intents.create(params={**params, **never}).status == "succeeded"
    opened = c.payment_intents.create(params={"amount": 100, "currency": "cny"})
    assert opened.payment_method_types == ["card", "alipay", "wechat_pay"]


# refunds


def test_refunds_in_part_until_nothing_is_left(c):
    paid = intent(c, amount=10_000)
    parts = [
        c.refunds.create(params={"payment_intent": paid.id, "amount": n, "metadata": {"n": str(n)}}) for n in (1, 4_999)
    ]
    assert [one.status for one in parts] == ["succeeded", "succeeded"]
    charge = c.charges.retrieve(paid.latest_charge)
    assert (charge.amount_refunded, charge.refunded) == (5_000, False)
    rest = c.refunds.create(params={"payment_intent": paid.id})
    assert rest.amount == 5_000
    assert c.charges.retrieve(paid.latest_charge).refunded
    found = c.refunds.list(params={"payment_intent": paid.id}).data
    assert [one.id for one in found] == [rest.id, parts[1].id, parts[0].id]
    assert c.refunds.retrieve(parts[1].id).metadata["n"] == "4999"


def test_more_than_was_paid_is_not_refunded(c):
    paid = intent(c, amount=10_000)
    c.refunds.create(params={"payment_intent": paid.id, "amount": 9_999})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.refunds.create(params={"payment_intent": paid.id, "amount": 2})
    assert (caught.value.http_status, caught.value.param) == (400, "amount")
    assert "is greater than unrefunded amount on charge (CN¥0.01)" in str(caught.value)
    c.refunds.create(params={"payment_intent": paid.id, "amount": 1})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.refunds.create(params={"payment_intent": paid.id})
    assert caught.value.code == "charge_already_refunded"
    assert len(c.refunds.list(params={"payment_intent": paid.id}).data) == 2


def test_what_was_not_paid_is_not_refunded(c):
    with pytest.raises(stripe.InvalidRequestError, match="successful charge"):
        c.refunds.create(params={"payment_intent": intent(c, confirm=False).id})
    with pytest.raises(stripe.InvalidRequestError, match="captured"):
        c.refunds.create(params={"payment_intent": intent(c, capture_method="manual").id})
    with pytest.raises(stripe.InvalidRequestError, match="No such"):
        c.refunds.create(params={"payment_intent": "pi_nothing"})


def test_a_refund_may_wait_and_may_fail(payserver, c):
    paid = intent(c, amount=10_000, payment_method="pm_card_pendingRefund")
    waits = c.refunds.create(params={"payment_intent": paid.id, "amount": 4_000})
    assert waits.status == "pending"
    assert payserver.order(f"refunds/{waits.id}", {"outcome": "succeeded"})["status"] == "succeeded"
    fails = c.refunds.create(params={"payment_intent": paid.id, "amount": 6_000})
    payserver.order(f"refunds/{fails.id}", {"outcome": "failed"})
    assert c.refunds.retrieve(fails.id).failure_reason
    assert c.charges.retrieve(paid.latest_charge).amount_refunded == 4_000
    at_once = intent(c, amount=500, payment_method="pm_card_refundFail")
    assert c.refunds.create(params={"payment_intent": at_once.id}).status == "failed"
    payserver.order("refunds", {"mode": "pending"})
    later = intent(c)
    assert c.refunds.create(params={"payment_intent": later.id}).status == "pending"


# checkout


def test_a_checkout_is_opened_paid_and_read(payserver, c):
    opened = session(c)
    assert opened.id.startswith("cs_test_")
    assert (opened.status, opened.payment_status, opened.payment_intent) == ("open", "unpaid", None)
    assert opened.amount_total == 5_000
    assert opened.url.startswith(payserver.address)
    payserver.pay(opened.id, method="alipay")
    seen = c.checkout.sessions.retrieve(opened.id, params={"expand": ["payment_intent.latest_charge", "line_items"]})
    assert (seen.status, seen.payment_status, seen.url) == ("complete", "paid", None)
    assert (seen.payment_intent.status, seen.payment_intent.metadata["attempt"]) == ("succeeded", "A1")
    assert seen.payment_intent.latest_charge.amount == 5_000
    assert seen.line_items.data[0].description == "预约 B2026-000001"
    found = c.checkout.sessions.list(params={"payment_intent": seen.payment_intent.id}).data
    assert [one.id for one in found] == [opened.id]


def test_a_declined_checkout_stays_open_with_one_intent(payserver, c):
    opened = session(c)
    first = payserver.pay(opened.id, card="pm_card_chargeDeclined")
    assert (first["status"], first["last_payment_error"]["decline_code"]) == (
        "requires_payment_method",
        "generic_decline",
    )
    second = payserver.pay(opened.id, card="pm_card_visa")
    assert (second["id"], second["status"]) == (first["id"], "succeeded")


def test_a_checkout_expires_by_call_and_by_time(payserver, c):
    first = session(c)
    assert c.checkout.sessions.expire(first.id).status == "expired"
    with pytest.raises(stripe.InvalidRequestError, match="open"):
        c.checkout.sessions.expire(first.id)
    second = session(c, expires_at=first.created + 1_900)
    tried = payserver.pay(second.id, method="wechat_pay", outcome="left")
    payserver.advance(1_890)
    assert c.checkout.sessions.retrieve(second.id).status == "open"
    payserver.advance(20)
    assert c.checkout.sessions.retrieve(second.id).status == "expired"
    gone = c.payment_intents.retrieve(tried["id"])
    assert (gone.status, gone.cancellation_reason) == ("canceled", "expired")
    paid = session(c)
    payserver.pay(paid.id)
    with pytest.raises(stripe.InvalidRequestError, match="open"):
        c.checkout.sessions.expire(paid.id)


def test_a_checkouts_end_lies_between_half_an_hour_and_a_day(c):
    now = session(c).created
    for seconds in (600, 25 * 3600):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            session(c, expires_at=now + seconds)
        assert caught.value.param == "expires_at"


def test_a_checkouts_intent_is_given_up_by_its_session_only(payserver, c):
    opened = session(c)
    tried = payserver.pay(opened.id, method="alipay", outcome="left")
    with pytest.raises(stripe.InvalidRequestError, match="Checkout Session"):
        c.payment_intents.cancel(tried["id"])
    c.checkout.sessions.expire(opened.id)
    assert c.payment_intents.retrieve(tried["id"]).status == "canceled"


def test_a_checkout_may_hold_a_card(payserver, c):
    data = {"capture_method": "manual", "metadata": {"attempt": "A1"}}
    opened = session(c, allowed_payment_method_types=["card"], payment_method_options={}, payment_intent_data=data)
    held = payserver.pay(opened.id)
    assert held["status"] == "requires_capture"
    assert c.payment_intents.capture(held["id"]).status == "succeeded"


# the gateway's account of us


def test_the_balance_is_the_sum_of_its_movements(payserver, c):
    payserver.order("terms", {"card_rate": 300, "card_fixed": 30, "wallet_rate": 100, "dispute_fee": 1_500})
    paid = intent(c, amount=10_000)
    asked = wallet(c, "alipay", amount=20_000)
    payserver.pay(asked.id)
    c.refunds.create(params={"payment_intent": paid.id, "amount": 2_500})
    payserver.order("fees", {"amount": 99, "text": "Radar"})
    payout = c.payouts.create(params={"amount": 5_000, "currency": "cny"})
    lines = list(c.balance_transactions.list(params={"limit": 2}).auto_paging_iter())
    told = [(line.type, line.amount, line.fee, line.net) for line in reversed(lines)]
    assert told == [
        ("charge", 10_000, 330, 9_670),
        ("payment", 20_000, 200, 19_800),
        ("refund", -2_500, 0, -2_500),
        ("stripe_fee", -99, 0, -99),
        ("payout", -5_000, 0, -5_000),
    ]
    assert c.balance.retrieve().available[0].amount == sum(line.net for line in lines)
    assert c.balance_transactions.retrieve(payout.balance_transaction).source == payout.id
    assert c.balance_transactions.list(params={"type": "payment"}).data[0].source.startswith("py_")
    assert lines[-1].fee_details[0].type == "stripe_fee"


def test_money_is_pending_before_it_is_available(payserver, c):
    payserver.order("terms", {"card_rate": 0, "settle_s": 7 * 86_400})
    paid = intent(c, expand=["latest_charge.balance_transaction"])
    assert paid.latest_charge.balance_transaction.status == "pending"
    balance = c.balance.retrieve()
    assert (balance.available[0].amount, balance.pending[0].amount) == (0, 12_345)
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.payouts.create(params={"amount": 1, "currency": "cny"})
    assert caught.value.code == "balance_insufficient"
    payserver.advance(7 * 86_400)
    assert c.balance.retrieve().available[0].amount == 12_345


def test_a_payout_is_paid_or_comes_back(payserver, c):
    intent(c, amount=100_000)
    paid, back = (c.payouts.create(params={"amount": n, "currency": "cny"}) for n in (1_000, 2_000))
    before = c.balance.retrieve().available[0].amount
    payserver.order(f"payouts/{paid.id}", {"outcome": "paid"})
    payserver.order(f"payouts/{back.id}", {"outcome": "failed"})
    assert [c.payouts.retrieve(one.id).status for one in (paid, back)] == ["paid", "failed"]
    assert c.balance.retrieve().available[0].amount == before + 2_000
    assert [one.id for one in c.payouts.list(params={"status": "paid"}).data] == [paid.id]


@pytest.mark.parametrize("won", [True, False])
def test_a_dispute_takes_the_money_and_gives_it_back_when_won(payserver, c, won):
    payserver.order("terms", {"card_rate": 0, "dispute_fee": 1_500})
    paid = intent(c, amount=10_000)
    dispute = payserver.order("disputes", {"payment_intent": paid.id, "reason": "product_not_received"})
    seen = c.disputes.retrieve(dispute["id"])
    assert (seen.status, seen.amount, seen.payment_intent) == ("needs_response", 10_000, paid.id)
    assert c.balance.retrieve().available[0].amount == -1_500
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.refunds.create(params={"payment_intent": paid.id})
    assert caught.value.code == "charge_disputed"
    c.disputes.update(seen.id, params={"evidence": {"uncategorized_text": "签收单"}, "submit": True})
    assert c.disputes.retrieve(seen.id).status == "under_review"
    payserver.order(f"disputes/{seen.id}", {"outcome": "won" if won else "lost"})
    assert c.disputes.retrieve(seen.id).status == ("won" if won else "lost")
    assert c.balance.retrieve().available[0].amount == (8_500 if won else -1_500)
    types = [json.loads(one["body"])["type"] for one in payserver.letters("charge.dispute")]
    assert types[:2] == ["charge.dispute.created", "charge.dispute.funds_withdrawn"]
    assert ("charge.dispute.funds_reinstated" in types) is won


def test_a_card_may_dispute_by_itself(c):
    paid = intent(c, payment_method="pm_card_createDispute")
    assert c.disputes.list(params={"payment_intent": paid.id}).data[0].reason == "fraudulent"


def test_transfers_go_to_a_connected_account_and_come_back(c):
    account = c.accounts.create(params={"type": "express", "country": "HK"})
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.transfers.create(params={"amount": 100, "currency": "cny", "destination": account.id})
    assert caught.value.code == "balance_insufficient"
    intent(c, amount=50_000)
    made = c.transfers.create(
        params={"amount": 30_000, "currency": "cny", "destination": account.id, "transfer_group": "T1"}
    )
    assert c.balance.retrieve(options={"stripe_account": account.id}).available[0].amount == 30_000
    c.transfers.reversals.create(made.id, params={"amount": 10_000})
    seen = c.transfers.retrieve(made.id)
    assert (seen.amount_reversed, seen.reversed) == (10_000, False)
    with pytest.raises(stripe.InvalidRequestError, match="greater than the unreversed"):
        c.transfers.reversals.create(made.id, params={"amount": 20_001})
    c.transfers.reversals.create(made.id)
    assert c.transfers.retrieve(made.id).reversed
    assert [one.amount for one in c.transfers.reversals.list(made.id).data] == [20_000, 10_000]
    assert [one.id for one in c.transfers.list(params={"destination": account.id}).data] == [made.id]
    with pytest.raises(stripe.InvalidRequestError, match="No such destination"):
        c.transfers.create(params={"amount": 100, "currency": "cny", "destination": "acct_nobody"})


# events


def test_events_are_listed_read_and_filtered(payserver, c):
    paid = intent(c)
    c.refunds.create(params={"payment_intent": paid.id})
    types = [one.type for one in c.events.list().data]
    assert types[::-1] == [
        *("payment_intent.created", "charge.succeeded", "payment_intent.succeeded"),
        *("refund.created", "charge.refunded"),
    ]
    found = c.events.list(params={"type": "payment_intent.succeeded"}).data
    assert [one.data.object.id for one in found] == [paid.id]
    assert len(c.events.list(params={"types": ["refund.created", "charge.refunded"]}).data) == 2
    read = c.events.retrieve(found[0].id)
    assert (read.api_version, read.livemode, read.data.object.amount) == ("2026-10-28.endive", False, 12_345)


def test_an_event_keeps_the_object_as_it_was(c):
    opened = intent(c, confirm=False)
    c.payment_intents.confirm(opened.id)
    created = c.events.list(params={"type": "payment_intent.created"}).data[0]
    assert created.data.object.status == "requires_payment_method"


def test_events_of_another_account_name_it(c):
    account = c.accounts.create(params={"type": "express"})
    there = {"stripe_account": account.id}
    c.customers.create(params={"name": "别家"}, options=there)
    assert c.customers.list().data == []
    event = c.events.list(options=there).data[0]
    assert (event.account, event.type) == (account.id, "customer.created")
    assert c.events.list(params={"type": "customer.created"}).data == []
    with pytest.raises(stripe.PermissionError):
        c.customers.list(options={"stripe_account": "acct_nobody"})


# what is refused


def test_no_key_and_a_wrong_key_are_401(payserver):
    for key in ("sk_live_realrealrealreal", "whatever"):
        client = stripe.StripeClient(key, base_addresses={"api": payserver.address}, max_network_retries=0).v1
        with pytest.raises(stripe.AuthenticationError) as caught:
            client.balance.retrieve()
        assert caught.value.http_status == 401
        assert "realreal" not in str(caught.value)


def test_what_is_not_there_is_404_and_names_itself(c):
    for call, kind in ((c.payment_intents, "payment_intent"), (c.refunds, "refund"), (c.checkout.sessions, "checkout")):
        with pytest.raises(stripe.InvalidRequestError) as caught:
            call.retrieve("xx_nothing")
        assert (caught.value.http_status, caught.value.code) == (404, "resource_missing")
        assert kind in str(caught.value)


@pytest.mark.parametrize(
    ("wrong", "param", "code"),
    [
        ({"amount": 0}, "amount", "parameter_invalid_integer"),
        ({"amount": -5}, "amount", "parameter_invalid_integer"),
        ({"amount": "12.5"}, "amount", "parameter_invalid_integer"),
        ({"amount": 100_000_000}, "amount", "amount_too_large"),
        ({"currency": "xyz"}, "currency", None),
        ({"nonsense": 1}, "nonsense", "parameter_unknown"),
        ({"payment_method_types": ["card"]}, "payment_method_types", "parameter_unknown"),
        ({"allowed_payment_method_types": ["gold"]}, "allowed_payment_method_types", None),
        ({"customer": "cus_nobody"}, "customer", "resource_missing"),
        ({"metadata": {"k" * 41: "v"}}, f"metadata[{'k' * 41}]", None),
        ({"metadata": {"k": "v" * 501}}, "metadata[k]", None),
        ({"capture_method": "sometimes"}, "capture_method", None),
    ],
)
def test_bad_parameters_name_themselves_and_do_nothing(payserver, c, wrong, param, code):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        intent(c, **wrong)
    assert (caught.value.param, caught.value.code) == (param, code)
    assert payserver.objects("payment_intent") == []


def test_what_is_missing_is_named(c):
    with pytest.raises(stripe.InvalidRequestError) as caught:
        c.payment_intents.create(params={"currency": "cny"})
    assert (caught.value.code, caught.value.param) == ("parameter_missing", "amount")
    with pytest.raises(stripe.InvalidRequestError) as caught:
        session(c, line_items=[])
    assert caught.value.param == "line_items"


def test_another_version_is_refused(payserver):
    client = stripe.StripeClient(
        payserver.key, base_addresses={"api": payserver.address}, stripe_version="2024-06-20", max_network_retries=0
    ).v1
    with pytest.raises(stripe.InvalidRequestError, match="Invalid Stripe API version"):
        client.balance.retrieve()


def test_an_answer_names_its_request(payserver, c):
    made = c.customers.create(params={"name": "企业"}, options={"idempotency_key": "k-1"})
    headers = made.last_response.headers
    assert headers["Request-Id"].startswith("req_")
    assert (headers["Idempotency-Key"], headers["Stripe-Version"]) == ("k-1", "2026-10-28.endive")
    event = payserver.objects("event")[0]
    assert event["request"] == {"id": headers["Request-Id"], "idempotency_key": "k-1"}


def test_an_address_nobody_knows_is_404(c, payserver):
    with pytest.raises(stripe.InvalidRequestError, match="Unrecognized request URL"):
        c.invoices.list()
    assert payserver.look("health")["ok"]
