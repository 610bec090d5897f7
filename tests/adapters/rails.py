"""What the contract suite of payment rails needs of the gateway behind each: to pay as a payer would, and its world's names."""

from __future__ import annotations

import itertools
import os
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import stripe

from integrations.stripe.configuring import STRIPE, Config
from integrations.stripe.rail import StripeRail
from integrations.stripe.reading import ATTEMPT
from integrations.stripe.wire import API_VERSION, Wire
from portal.kernel.money import Money
from vouchers.payments.ports import Method, Order, Rail

REAL_KEY = os.environ.get("GONGXIANG_STRIPE_TEST_KEY", "")
"""A test-mode key of an account of yours; with one, the suite runs against Stripe itself as well."""
SECRET = "whsec_sandbox000000000000000000"
COUNTER = itertools.count(1)


def soon(**more: float) -> datetime:
    return datetime.now(UTC) + timedelta(**(more or {"hours": 2}))


@dataclass
class RailBench:
    """A rail and its gateway. `client` is the vendor's own library, for what a payer or a stranger would do."""

    rail: Rail
    client: Any
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))
    world: str = field(default_factory=lambda: f"{time.time_ns():x}"[-9:])

    def number(self) -> str:
        """Return a number nobody had before, whoever else uses the account."""
        return f"A{self.world}-{next(COUNTER):04d}"

    def order(self, method: Method = Method.CHECKOUT, **more: Any) -> Order:
        usual: dict[str, Any] = {
            "number": self.number(),
            "payment": "P2026-000001",
            "amount": Money(12345),
            "method": method,
            "title": "自付款 P2026-000001",
            "return_url": "https://portal.example/payments/P2026-000001",
            "expires_at": soon(),
        }
        return Order(**usual | more)

    def charge(self, card: str = "pm_card_visa", *, amount: int = 12345, currency: str = "cny", **more: Any) -> str:
        """Pay with a test card directly, under a number of ours; return the payment's id, declined or not."""
        number = more.pop("number", None) or self.number()
        try:
            made = self.client.payment_intents.create(
                {
                    "amount": amount,
                    "currency": currency,
                    "allowed_payment_method_types": ["card"],
                    "payment_method": card,
                    "confirm": True,
                    "return_url": "https://portal.example/",
                    "metadata": {ATTEMPT: number},
                    **more,
                }
            )
        except stripe.CardError as error:
            assert error.json_body
            return error.json_body["error"]["payment_intent"]["id"]
        return made.id


def stripe_rail(key: str, base: str, *, read_s: float = 25, whole_s: float = 40, **more: Any) -> StripeRail:
    given: dict[str, Any] = {"methods": tuple(Method), "sandbox": True, "transfers": True}
    config = Config(key=key, webhook_secrets=(SECRET,), api_base=base, **given | more)
    wire = Wire(key, api_base=base, trust_env=base == STRIPE, read_s=read_s, whole_s=whole_s)
    return StripeRail(config, wire=wire)


def client_of(key: str, base: str) -> Any:
    return stripe.StripeClient(
        key, stripe_version=API_VERSION, base_addresses={"api": base}, max_network_retries=0
    ).v1  # fmt: skip
