"""What the tests of the sandbox ask for, through real stripe-python."""

from __future__ import annotations

from typing import Any

CARD = {"allowed_payment_method_types": ["card"]}
BACK = "http://127.0.0.1:9/back"


def intent(client: Any, *, key: str | None = None, **more: Any) -> Any:
    """A card payment of ¥123.45, confirmed at once."""
    params = {"amount": 12_345, "currency": "cny", **CARD, "payment_method": "pm_card_visa", "confirm": True, **more}
    return client.payment_intents.create(params=params, options={"idempotency_key": key} if key else {})


def wallet(client: Any, kind: str, **more: Any) -> Any:
    """A payment by wallet, waiting for the payer."""
    options = {"payment_method_options": {"wechat_pay": {"client": "web"}}} if kind == "wechat_pay" else {}
    return client.payment_intents.create(
        params={
            "amount": 8_800,
            "currency": "cny",
            "allowed_payment_method_types": [kind],
            "payment_method_data": {"type": kind},
            "confirm": True,
            "return_url": BACK,
            **options,
            **more,
        }
    )


def session(client: Any, **more: Any) -> Any:
    """A checkout of ¥50.00 with all three methods."""
    return client.checkout.sessions.create(
        params={
            "mode": "payment",
            "allowed_payment_method_types": ["card", "alipay", "wechat_pay"],
            "payment_method_options": {"wechat_pay": {"client": "web"}},
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": "cny",
                        "unit_amount": 5_000,
                        "product_data": {"name": "预约 B2026-000001"},
                    },
                }
            ],
            "success_url": "http://127.0.0.1:9/ok?session={CHECKOUT_SESSION_ID}",
            "cancel_url": "http://127.0.0.1:9/no",
            "payment_intent_data": {"metadata": {"attempt": "A1"}, "description": "预约 B2026-000001"},
            "metadata": {"attempt": "A1"},
            **more,
        }
    )
