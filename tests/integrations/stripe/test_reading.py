"""What Stripe's objects mean to us; an object that lacks what it must have means nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from integrations.stripe import reading
from integrations.stripe.rail import page_end
from portal.kernel.money import Money
from vouchers.payments.ports import BalanceKind, NextKind, SeenState

S = SeenState


def intent(status: str = "succeeded", **more: Any) -> dict[str, Any]:
    return {
        "id": "pi_1", "object": "payment_intent", "status": status, "amount": 12345, "currency": "cny",
        "amount_received": 0, "latest_charge": None, "metadata": {"gongxiang_attempt": "A1"}, **more,
    }  # fmt: skip


def page(status: str = "open", **more: Any) -> dict[str, Any]:
    return {
        "id": "cs_1", "object": "checkout.session", "status": status, "payment_status": "unpaid", "amount_total": 12345,
        "currency": "cny", "payment_intent": None, "url": "https://checkout.stripe.com/x", "expires_at": 1_795_752_000,
        "client_reference_id": "A1", "metadata": {"gongxiang_attempt": "A1"}, **more,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("requires_payment_method", S.FAILED), ("requires_confirmation", S.REQUIRES_ACTION),
        ("requires_action", S.REQUIRES_ACTION), ("processing", S.PROCESSING),
        ("requires_capture", S.REQUIRES_CAPTURE), ("succeeded", S.SUCCEEDED), ("canceled", S.CANCELLED),
    ],
)  # fmt: skip
def test_a_payments_states(status, state):
    assert reading.of_intent(intent(status)).state is state


def test_amount_currency_and_number_are_told_as_they_are():
    seen = reading.of_intent(
        intent(amount=12344, currency="usd", metadata={"gongxiang_attempt": "A9"}, amount_received=5)
    )
    assert (seen.amount, seen.currency, seen.number, seen.received) == (Money(12344), "USD", "A9", Money(5))
    assert reading.of_intent(intent(metadata={})).number == ""


def test_what_the_payer_used_and_got_back_is_in_the_charge():
    charge = {"id": "ch_1", "amount_refunded": 45, "payment_method_details": {"type": "alipay"}}
    seen = reading.of_intent(intent(latest_charge=charge, amount_received=12345))
    assert (seen.refunded, seen.method) == (Money(45), "alipay")
    assert reading.of_intent(intent(payment_method_types=["wechat_pay"])).method == "wechat_pay"
    assert reading.of_intent(intent(payment_method_types=["card", "alipay"])).method == ""


def test_next_actions():
    code = {"type": "wechat_pay_display_qr_code", "wechat_pay_display_qr_code": {"data": "weixin://wxpay/x"}}
    seen = reading.of_intent(intent("requires_action", next_action=code))
    assert seen.next_action is not None
    assert (seen.next_action.kind, seen.next_action.url) == (NextKind.QR, "weixin://wxpay/x")
    for kind in ("alipay_handle_redirect", "redirect_to_url"):
        action = {"type": kind, kind: {"url": "https://pay", "return_url": "https://us"}}
        seen = reading.of_intent(intent("requires_action", next_action=action))
        assert seen.next_action is not None
        assert (seen.next_action.kind, seen.next_action.url) == (NextKind.REDIRECT, "https://pay")
    assert reading.of_intent(intent("requires_action", next_action={"type": "use_stripe_sdk"})).next_action is None


def test_why_a_card_was_declined_is_kept_until_it_no_longer_matters():
    error = {
        "code": "card_declined",
        "decline_code": "insufficient_funds",
        "message": "Your card has insufficient funds.",
    }
    seen = reading.of_intent(intent("requires_payment_method", last_payment_error=error))
    assert seen.failure is not None
    assert seen.failure.code == "card_declined"
    assert "insufficient_funds" in seen.failure.text
    assert reading.of_intent(intent(last_payment_error=error)).failure is None


@pytest.mark.parametrize(
    ("status", "more", "state"),
    [
        ("open", {}, S.REQUIRES_ACTION),
        ("open", {"payment_intent": intent("requires_payment_method")}, S.REQUIRES_ACTION),
        ("open", {"payment_intent": intent("processing")}, S.PROCESSING),
        ("complete", {"payment_status": "paid", "payment_intent": intent()}, S.SUCCEEDED),
        ("complete", {"payment_status": "paid", "payment_intent": "pi_1"}, S.SUCCEEDED),
        ("complete", {"payment_intent": intent("processing")}, S.PROCESSING),
        ("complete", {"payment_intent": intent("requires_payment_method")}, S.FAILED),
        ("expired", {}, S.CANCELLED),
        ("expired", {"payment_intent": intent("canceled")}, S.CANCELLED),
        ("expired", {"payment_intent": intent("succeeded")}, S.SUCCEEDED),
    ],
)
def test_a_pages_states(status, more, state):
    assert reading.of_session(page(status, **more)).state is state


def test_an_open_page_is_followed_until_it_closes():
    seen = reading.of_session(page())
    assert (seen.provider_id, seen.session_id, seen.number, seen.amount) == ("cs_1", "cs_1", "A1", Money(12345))
    assert seen.next_action is not None
    assert seen.next_action.url == "https://checkout.stripe.com/x"
    assert seen.next_action.expires_at == datetime.fromtimestamp(1_795_752_000, UTC)
    paid = reading.of_session(page("complete", payment_status="paid", payment_intent=intent(amount_received=12345)))
    assert (paid.provider_id, paid.session_id, paid.received, paid.next_action) == ("pi_1", "cs_1", Money(12345), None)


@pytest.mark.parametrize(
    ("said", "state", "code"),
    [
        ({"status": "pending"}, S.PROCESSING, None), ({"status": "requires_action"}, S.PROCESSING, None),
        ({"status": "succeeded"}, S.SUCCEEDED, None), ({"status": "canceled"}, S.FAILED, "canceled"),
        ({"status": "failed", "failure_reason": "expired_or_canceled_card"}, S.FAILED, "expired_or_canceled_card"),
    ],
)  # fmt: skip
def test_refunds(said, state, code):
    row = {
        "id": "re_1",
        "amount": 5,
        "currency": "cny",
        "payment_intent": "pi_1",
        "metadata": {"gongxiang_refund": "R1"},
    }
    seen = reading.refund_of({**row, **said})
    assert (seen.state, seen.failure.code if seen.failure else None) == (state, code)
    assert (seen.provider_id, seen.payment_id, seen.number, seen.amount) == ("re_1", "pi_1", "R1", Money(5))


@pytest.mark.parametrize(
    ("status", "moved", "withdrawn", "is_over"),
    [
        ("needs_response", [-100], True, False), ("needs_response", [], False, False), ("won", [-100, 100], False, True),
        ("lost", [-100], True, True), ("warning_needs_response", [], False, False), ("warning_closed", [], False, True),
        ("needs_response", None, True, False), ("won", None, False, True), ("prevented", [], False, True),
        ("appeal_under_review", [-100], True, False),
    ],
)  # fmt: skip
def test_disputes_say_whether_the_money_is_gone(status, moved, withdrawn, is_over):
    row = {
        "id": "dp_1",
        "status": status,
        "amount": 100,
        "currency": "cny",
        "payment_intent": "pi_1",
        "reason": "fraudulent",
    }
    lines = {} if moved is None else {"balance_transactions": [{"amount": fen} for fen in moved]}
    seen = reading.dispute_of({**row, **lines, "evidence_details": {"due_by": 1_795_752_000}})
    assert (seen.withdrawn, seen.is_over, seen.state) == (withdrawn, is_over, status)
    assert seen.answer_by == datetime.fromtimestamp(1_795_752_000, UTC)
    assert reading.dispute_of({**row, "evidence_details": {"due_by": 0}}).answer_by is None


@pytest.mark.parametrize(
    ("type_", "category", "kind"),
    [
        ("charge", "charge", BalanceKind.PAYMENT), ("payment", "charge", BalanceKind.PAYMENT),
        ("refund", "refund", BalanceKind.REFUND), ("payment_refund", "refund", BalanceKind.REFUND),
        ("refund_failure", "refund_failure", BalanceKind.REFUND), ("adjustment", "dispute", BalanceKind.DISPUTE),
        ("adjustment", "dispute_reversal", BalanceKind.DISPUTE), ("adjustment", "other_adjustment", BalanceKind.OTHER),
        ("stripe_fee", "fee", BalanceKind.FEE), ("payout", "payout", BalanceKind.PAYOUT),
        ("payout_failure", "payout_reversal", BalanceKind.PAYOUT), ("transfer", "transfer", BalanceKind.TRANSFER),
        ("topup", "topup", BalanceKind.OTHER),
    ],
)  # fmt: skip
def test_balance_lines_have_a_kind(type_, category, kind):
    row = {"id": "txn_1", "type": type_, "reporting_category": category, "amount": 100, "fee": 3, "net": 97,
           "currency": "cny", "source": "ch_1", "created": 1_795_752_000}  # fmt: skip
    line = reading.balance_line(row)
    assert (line.kind, line.amount, line.fee, line.net, line.source) == (kind, Money(100), Money(3), Money(97), "ch_1")


def test_a_payments_line_names_what_attempts_are_known_by():
    row = {"id": "txn_1", "type": "charge", "amount": 1, "fee": 0, "net": 1, "currency": "cny", "created": 1}
    assert (
        reading.balance_line({**row, "source": {"id": "ch_1", "object": "charge", "payment_intent": "pi_1"}}).source
        == "pi_1"
    )
    assert (
        reading.balance_line({**row, "source": {"id": "re_1", "object": "refund", "payment_intent": "pi_1"}}).source
        == "re_1"
    )
    assert reading.balance_line({**row, "source": None}).source == ""


@pytest.mark.parametrize(
    "broken",
    [{"id": None}, {"status": "new_word"}, {"amount": "12345"}, {"amount": True}, {"amount": 1.5}, {"currency": None}],
)
def test_an_answer_that_lacks_what_it_must_have_proves_nothing(broken):
    with pytest.raises(reading.Malformed):
        reading.of_intent({**intent(), **broken})


def test_a_page_closes_as_wanted_or_as_soon_as_stripe_lets_it():
    now = datetime(2026, 11, 27, 4, 0, 3, tzinfo=UTC)
    assert page_end(now + timedelta(hours=2), now=now) == now + timedelta(hours=2)
    soon = now + timedelta(minutes=15)
    assert page_end(soon, now=now) == soon + timedelta(minutes=30)
    assert page_end(soon, now=now + timedelta(seconds=20)) == page_end(soon, now=now)
    assert page_end(now - timedelta(hours=3), now=now) >= now + timedelta(minutes=31)
    assert page_end(now + timedelta(days=3), now=now) < now + timedelta(hours=24)
