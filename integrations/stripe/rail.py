"""Stripe as a payment rail: answers `vouchers.payments.ports.Rail`.

A page of Stripe's (Checkout) for card numbers, which never come near us; payment intents directly for the wallets, whose
payer only follows an address (Alipay) or scans a code (WeChat Pay). All in CNY. Every write carries the caller's key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from integrations.stripe import notices, reading
from integrations.stripe.configuring import Config, config_from, is_loopback, problems
from integrations.stripe.reading import ATTEMPT, PAYMENT, REFUND, TRANSFER, VIA
from integrations.stripe.wire import API_VERSION, KeySpent, Wire, sdk_version
from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.payments.ports import (
    BadEvent,
    BalanceLine,
    Capabilities,
    Event,
    Holder,
    Method,
    Order,
    RailRefused,
    Seen,
    SeenDispute,
    SeenRefund,
    SeenState,
    SeenTransfer,
)

__all__ = ["StripeRail", "from_settings"]

CURRENCY: Final = "cny"
CODE: Final = "stripe"
SLACK: Final = timedelta(hours=1)
"""How far the two clocks may be apart when we look for what was opened since a time."""
PAGE_LEAST, PAGE_STEP, PAGE_MOST = timedelta(minutes=31), timedelta(minutes=30), timedelta(hours=23, minutes=55)
"""Stripe keeps a page open for half an hour to a day."""
WALLETS: Final = (Method.ALIPAY, Method.WECHAT_PAY)
ON_PAGE: Final = (Method.CARD, *WALLETS)
INTENT: Final = ["latest_charge"]
PAGE: Final = ["payment_intent", "payment_intent.latest_charge"]
BEST: Final = (SeenState.SUCCEEDED, SeenState.REQUIRES_CAPTURE, SeenState.PROCESSING, SeenState.REQUIRES_ACTION)


def from_settings() -> StripeRail:
    """Return the rail of ``settings.STRIPE``. Raises ImproperlyConfigured, naming every fault and no secret."""
    config = config_from(settings.STRIPE)
    wrong = problems(config, rehearsing=settings.DEBUG or settings.DEMO, api_version=(API_VERSION, sdk_version()))
    if faults := [f"{one.id}: {one.text} {one.hint}" for one in wrong if one.grave]:
        raise ImproperlyConfigured(" ".join(faults))
    return StripeRail(config)


class StripeRail:
    """One account with Stripe."""

    code = CODE

    def __init__(self, config: Config, *, wire: Wire | None = None) -> None:
        if not config.webhook_secrets:
            raise ImproperlyConfigured("A rail without a webhook secret would believe anybody.")
        self.config = config
        self._wire = wire or Wire(config.key, api_base=config.api_base, trust_env=not is_loopback(config.api_base))
        self._v1 = self._wire.v1

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            methods=self.config.methods,
            transfers=self.config.transfers,
            sandbox=self.config.sandbox or not self.config.live,
        )

    def start(self, order: Order, *, key: str) -> Seen:
        """Open a page or a wallet payment once per `key`; a key that is spent leads to what it opened."""
        if order.method not in self.config.methods:
            raise RailRefused(reason="method_not_offered", text=order.method.value)
        try:
            if order.method in WALLETS:
                return self._open_wallet(order, key)
            return self._open_page(order, key)
        except KeySpent:
            known = self.find(order.number, since=datetime.now(UTC) - timedelta(days=2))
            if known is None:
                raise
            return known

    def _open_wallet(self, order: Order, key: str) -> Seen:
        kind = order.method.value
        options = {"payment_method_options": {"wechat_pay": {"client": "web"}}} if kind == "wechat_pay" else {}
        intent = self._wire.write(
            self._v1.payment_intents.create,
            key=key,
            amount=order.amount.fen,
            currency=CURRENCY,
            allowed_payment_method_types=[kind],
            payment_method_data={"type": kind},
            **options,
            confirm=True,
            return_url=order.return_url,
            description=order.title,
            metadata=_marks(order),
            expand=INTENT,
        )
        return reading.of_intent(intent)

    def _open_page(self, order: Order, key: str) -> Seen:
        """Open a page with the methods we offer, or for cards alone: nobody but Stripe sees a card's number."""
        kinds = [method.value for method in self.config.methods if method is not Method.CHECKOUT]
        kinds = [Method.CARD.value] if order.method is Method.CARD else kinds or [each.value for each in ON_PAGE]
        wechat = {"payment_method_options": {"wechat_pay": {"client": "web"}}} if "wechat_pay" in kinds else {}
        session = self._wire.write(
            self._v1.checkout.sessions.create,
            key=key,
            mode="payment",
            allowed_payment_method_types=kinds,
            **wechat,
            line_items=[
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": CURRENCY,
                        "unit_amount": order.amount.fen,
                        "product_data": {"name": order.title},
                    },
                }
            ],
            client_reference_id=order.number,
            metadata=_marks(order),
            payment_intent_data={"description": order.title, "metadata": {**_marks(order), VIA: "checkout"}},
            success_url=order.return_url,
            cancel_url=order.return_url,
            expires_at=int(page_end(order.expires_at, now=datetime.now(UTC)).timestamp()),
            locale="zh" if order.language.startswith("zh") else "en",
            expand=PAGE,
        )
        return reading.of_session(session)

    def fetch(self, provider_id: str) -> Seen:
        """Return a payment, or a page, as it is now."""
        if provider_id.startswith("cs_"):
            session = self._wire.read(self._v1.checkout.sessions.retrieve, provider_id, expand=PAGE)
            return reading.of_session(session)
        return self._whole(self._wire.read(self._v1.payment_intents.retrieve, provider_id, expand=INTENT))

    def _whole(self, intent: dict[str, Any]) -> Seen:
        """Return a payment with the page it stands behind: what failed there may be tried again there."""
        seen = reading.of_intent(intent)
        if reading.number_in(intent, VIA) != "checkout" or seen.state in {SeenState.SUCCEEDED, SeenState.PROCESSING}:
            return seen
        for session in self._wire.pages(self._v1.checkout.sessions.list, payment_intent=seen.provider_id):
            return reading.of_session({**session, "payment_intent": intent})
        return seen

    def find(self, number: str, *, since: datetime) -> Seen | None:
        """Look through all pages and payments opened since; the search index lags behind and proves nothing.

        Where a key was pruned and asked for twice, the one that went furthest is returned.
        """
        created = {"created": {"gte": int((since - SLACK).timestamp())}}
        rows = [
            row
            for call in (self._v1.checkout.sessions.list, self._v1.payment_intents.list)
            for row in self._wire.pages(call, **created)
            if reading.number_in(row, ATTEMPT) == number
        ]
        found = [self.fetch(reading.text_of(row, "id")) for row in rows]
        found.sort(key=lambda seen: (BEST.index(seen.state) if seen.state in BEST else len(BEST), not seen.session_id))
        return found[0] if found else None

    def capture(self, provider_id: str, *, amount: Money | None = None, key: str) -> Seen:
        part = {} if amount is None else {"amount_to_capture": amount.fen}
        intents = self._v1.payment_intents
        return reading.of_intent(self._wire.write(intents.capture, provider_id, key=key, **part, expand=INTENT))

    def cancel(self, provider_id: str, *, key: str) -> Seen:
        """Close the page or give the payment up; where Stripe says no, what has become of it is the answer."""
        seen = self.fetch(provider_id)
        if seen.state in {SeenState.SUCCEEDED, SeenState.CANCELLED}:
            return seen
        try:
            if seen.session_id:
                self._wire.write(self._v1.checkout.sessions.expire, seen.session_id, key=key)
                return self.fetch(seen.session_id)
            cancelled = self._wire.write(self._v1.payment_intents.cancel, seen.provider_id, key=key, expand=INTENT)
            return reading.of_intent(cancelled)
        except RailRefused:
            now = self.fetch(provider_id)
            if now.state is seen.state:
                raise
            return now

    def refund(self, provider_id: str, *, number: str, amount: Money, reason: str, key: str) -> SeenRefund:
        """Pay back. Our words for the reason stay here; of its own Stripe is told ``duplicate`` where that is it."""
        if provider_id.startswith("cs_"):
            provider_id = self.fetch(provider_id).provider_id
        said = self._wire.write(
            self._v1.refunds.create,
            key=key,
            payment_intent=provider_id,
            amount=amount.fen,
            **({"reason": reason} if reason == "duplicate" else {}),
            metadata={REFUND: number},
        )
        return reading.refund_of(said)

    def fetch_refund(self, provider_id: str) -> SeenRefund:
        return reading.refund_of(self._wire.read(self._v1.refunds.retrieve, provider_id))

    def find_refund(self, number: str, *, payment_id: str) -> SeenRefund | None:
        """Return our refund among all of a payment's; of several under one number the one that was not refused."""
        rows = self._wire.pages(self._v1.refunds.list, payment_intent=payment_id)
        found = [reading.refund_of(row) for row in rows if reading.number_in(row, REFUND) == number]
        found.sort(key=lambda seen: seen.state is SeenState.FAILED)
        return found[0] if found else None

    def fetch_dispute(self, provider_id: str) -> SeenDispute:
        return reading.dispute_of(self._wire.read(self._v1.disputes.retrieve, provider_id))

    def transfer(self, *, number: str, destination: str, amount: Money, key: str) -> SeenTransfer:
        """Pass money on to a connected account, where the operator has Connect."""
        if not self.config.transfers:
            raise RailRefused(reason="transfers_not_offered", text="Connect")
        said = self._wire.write(
            self._v1.transfers.create,
            key=key,
            amount=amount.fen,
            currency=CURRENCY,
            destination=destination,
            transfer_group=number,
            metadata={TRANSFER: number},
        )
        return reading.transfer_of(said)

    def find_transfer(self, number: str, *, since: datetime) -> SeenTransfer | None:
        """Return our transfer among those of its group, which is its number: a list that is never behind."""
        created = {"gte": int((since - SLACK).timestamp())}
        rows = self._wire.pages(self._v1.transfers.list, transfer_group=number, created=created)
        for row in rows:
            if reading.number_in(row, TRANSFER) == number:
                return reading.transfer_of(row)
        return None

    def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Event:
        """Verify a notice: signature, age (300 s either way), our account, our world. Raises BadEvent."""
        said = notices.verified(body, headers, secrets=self.config.webhook_secrets, now=now)
        if not notices.is_ours(said, account=self.config.account, live=self.config.live):
            raise BadEvent
        try:
            return notices.event_of(said)
        except reading.Malformed as error:
            raise BadEvent from error

    def events(self, *, during: Period) -> Sequence[Event]:
        """Return what Stripe's endpoint is set to tell, up to thirty days back, oldest first."""
        rows = list(self._wire.pages(self._v1.events.list, created=_created(during), types=list(notices.TYPES)))
        ours = [row for row in rows if notices.is_ours(row, account=self.config.account, live=self.config.live)]
        return sorted((notices.event_of(row) for row in reversed(ours)), key=lambda event: event.created_at)

    def balance(self, *, during: Period) -> Sequence[BalanceLine]:
        calls = self._v1.balance_transactions
        rows = list(self._wire.pages(calls.list, created=_created(during), expand=["data.source"]))
        return sorted((reading.balance_line(row) for row in reversed(rows)), key=lambda line: line.created_at)

    def balance_now(self) -> Money:
        said = self._wire.read(self._v1.balance.retrieve)
        parts = [part for name in ("available", "pending") for part in said.get(name) or ()]
        ours = [reading.fen_of(part, "amount").fen for part in parts if part.get("currency") == CURRENCY]
        return Money(sum(ours))

    def holder(self) -> Holder:
        said = self._wire.read(self._v1.accounts.retrieve_current)
        account = reading.text_of(said, "id")
        return Holder(
            account=account,
            country=str(said.get("country") or ""),
            may_charge=said.get("charges_enabled") is not False,
            is_expected=not self.config.account or self.config.account == account,
        )


def page_end(wanted: datetime, *, now: datetime) -> datetime:
    """Return until when a page stays open: as wanted, or by half hours later where Stripe would not have it so soon.

    In steps, so that asking again a moment later asks for the same and the key gives the first answer.
    """
    least = now + PAGE_LEAST
    if wanted < least:
        wanted += PAGE_STEP * -(-(least - wanted) // PAGE_STEP)
    return min(wanted, now + PAGE_MOST)


def _marks(order: Order) -> dict[str, str]:
    return {ATTEMPT: order.number, PAYMENT: order.payment}


def _created(during: Period) -> dict[str, int]:
    """Whole seconds, as Stripe counts: a moment lies in the period when its second does."""
    return {"gte": _second(during.start), "lt": _second(during.end)}


def _second(moment: datetime) -> int:
    return int(-(-moment.timestamp() // 1))
