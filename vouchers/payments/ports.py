"""What the portal asks of a payment rail (card, wallet: a foreign gateway), and of whatever a payment pays for.

Adapters live in ``integrations`` and are named by ``settings.PAYMENT_RAILS``; what is paid for answers `Fulfilment`, named
by ``settings.PAYMENT_FULFILMENTS``. Amounts are `Money` (fen, CNY), times aware UTC. No adapter is called in a transaction.

An answer that was lost is `portal.kernel.errors.Unavailable`: the act may have happened or not, and the same call with the
same `key` within `Capabilities.key_hours` gives the first call's answer; afterwards `find`. A plain no is `Rejected`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, Protocol

from portal.kernel.errors import Invalid, Rejected, noop
from portal.kernel.money import Money
from portal.kernel.period import Period

__all__ = [
    "BadEvent",
    "BalanceKind",
    "BalanceLine",
    "Capabilities",
    "Event",
    "EventKind",
    "Failure",
    "Fulfilment",
    "Holder",
    "Method",
    "NextAction",
    "NextKind",
    "Order",
    "Rail",
    "RailRefused",
    "Seen",
    "SeenDispute",
    "SeenRefund",
    "SeenState",
    "SeenTransfer",
]

_ = noop

NOTHING: Final = Money(0)


class Method(StrEnum):
    """How a payer pays on a rail. `CHECKOUT` is the gateway's own page, where the payer chooses."""

    CHECKOUT = "checkout"
    CARD = "card"
    ALIPAY = "alipay"
    WECHAT_PAY = "wechat_pay"


class SeenState(StrEnum):
    """What a gateway says of a payment, a refund or a transfer, in our words."""

    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    REQUIRES_CAPTURE = "requires_capture"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class NextKind(StrEnum):
    REDIRECT = "redirect"
    QR = "qr"


class EventKind(StrEnum):
    """What an event is about. The event itself is a hint only: what is true is fetched."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    PAYOUT = "payout"
    TRANSFER = "transfer"
    """Money passed on to a provider's own account with the gateway."""
    OTHER = "other"


class BalanceKind(StrEnum):
    """What moved on the gateway's own account of us."""

    PAYMENT = "payment"
    REFUND = "refund"
    DISPUTE = "dispute"
    FEE = "fee"
    PAYOUT = "payout"
    TRANSFER = "transfer"
    OTHER = "other"


class BadEvent(Invalid):
    """The event's signature, age or account is wrong: it is not from the gateway, or not for us. Nothing is stored."""

    code = "payment.bad_event"
    message = _("通知的签名、时间或账户不符，未受理。")


class RailRefused(Rejected):
    """The gateway said no for good; `reason` is its own code, `text` what it says to the payer."""

    code = "payment.rail_refused"
    message = _("支付机构拒绝了这笔支付：%(text)s")


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a rail can do. `refund_days`: for how long after the payment a refund may be asked for."""

    methods: tuple[Method, ...]
    partial_refund: bool = True
    transfers: bool = False
    refund_days: int = 180
    key_hours: int = 23
    sandbox: bool = False


@dataclass(frozen=True, slots=True)
class NextAction:
    """What the payer has to do: follow `url`, or scan the code whose text is `url`."""

    kind: NextKind
    url: str
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """`code` of the gateway's catalogue (``card_declined``), `text` in its words."""

    code: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Order:
    """What is to be paid. `number` is our attempt's, kept by the gateway as metadata; `title` tells no business secret."""

    number: str
    payment: str
    amount: Money
    method: Method
    title: str
    return_url: str
    expires_at: datetime
    language: str = "zh"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the gateway says of one payment. `number` is our attempt's as it was given; `currency` ISO 4217, upper case.

    `method` is what was used where that is known; `session_id` the gateway's page's.
    """

    provider_id: str
    number: str
    state: SeenState
    amount: Money
    currency: str
    received: Money = NOTHING
    refunded: Money = NOTHING
    method: str = ""
    session_id: str = ""
    next_action: NextAction | None = None
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class SeenRefund:
    """What the gateway says of one refund. `number` is our refund's."""

    provider_id: str
    payment_id: str
    number: str
    state: SeenState
    amount: Money
    currency: str
    failure: Failure | None = None


@dataclass(frozen=True, slots=True)
class SeenDispute:
    """What the gateway says of a payer's objection. `state` is its own word: ``needs_response``, ``won``, ``lost`` …

    `withdrawn` says that the money is gone from our account now, `is_over` that it is decided.
    """

    provider_id: str
    payment_id: str
    amount: Money
    currency: str
    state: str
    reason: str
    withdrawn: bool
    is_over: bool
    answer_by: datetime | None = None


@dataclass(frozen=True, slots=True)
class SeenTransfer:
    """What the gateway says of money passed on to a provider's own account with it."""

    provider_id: str
    number: str
    destination: str
    amount: Money
    currency: str
    reversed: Money = NOTHING


@dataclass(frozen=True, slots=True)
class Event:
    """A verified notice: which object of the gateway changed. `id` is the gateway's, unique for ever."""

    id: str
    kind: EventKind
    type: str
    object_id: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class BalanceLine:
    """One movement on the gateway's account of us; `amount` signed, `net` = `amount` - `fee`. `source` is the object moved."""

    provider_id: str
    kind: BalanceKind
    amount: Money
    fee: Money
    net: Money
    currency: str
    source: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Holder:
    """Whose account the key opens. `is_expected`: the one the operator named, or none was named."""

    account: str
    country: str = ""
    may_charge: bool = True
    is_expected: bool = True


class Rail(Protocol):
    """One payment gateway. Every call raises Unavailable for no answer and RailRefused for a no."""

    code: str

    @property
    def capabilities(self) -> Capabilities: ...

    def start(self, order: Order, *, key: str) -> Seen:
        """Open a payment once per `key`; the answer holds what the payer has to do."""

    def fetch(self, provider_id: str) -> Seen:
        """Return a payment as it is now; `provider_id` may be a session's where no payment exists yet."""

    def find(self, number: str, *, since: datetime) -> Seen | None:
        """Return the payment opened for our attempt `number` at or after `since`; None proves that there is none."""

    def capture(self, provider_id: str, *, amount: Money | None = None, key: str) -> Seen:
        """Take what was authorised, in whole or the part `amount`; the rest is let go.

        No flow of the portal authorises first: the contract suite proves it of every adapter, for operators who will.
        """

    def cancel(self, provider_id: str, *, key: str) -> Seen:
        """Give a payment up that has not succeeded; one that has is returned as it is."""

    def refund(self, provider_id: str, *, number: str, amount: Money, reason: str, key: str) -> SeenRefund:
        """Pay back part or all of a payment once per `key`. `number` is our refund's."""

    def fetch_refund(self, provider_id: str) -> SeenRefund: ...

    def find_refund(self, number: str, *, payment_id: str) -> SeenRefund | None: ...

    def fetch_dispute(self, provider_id: str) -> SeenDispute: ...

    def transfer(self, *, number: str, destination: str, amount: Money, key: str) -> SeenTransfer:
        """Pass money on to a provider's own account with the gateway, where `capabilities.transfers`."""

    def find_transfer(self, number: str, *, since: datetime) -> SeenTransfer | None:
        """Return what was passed on under our `number` at or after `since`; None proves that nothing was."""

    def read_event(self, body: bytes, headers: Mapping[str, str], *, now: datetime) -> Event:
        """Verify and read a notice. Raises BadEvent."""

    def events(self, *, during: Period) -> Sequence[Event]:
        """Return the notices of a time the gateway remembers, oldest first: for those that never arrived."""

    def balance(self, *, during: Period) -> Sequence[BalanceLine]:
        """Return what moved on our account with the gateway, oldest first, all pages."""

    def balance_now(self) -> Money:
        """Return what the gateway holds for us, available and pending."""

    def holder(self) -> Holder:
        """Return whose account this is: for the operator, who has to know before money comes."""


class Fulfilment(Protocol):
    """What is paid for in advance. `subject` is a charge's, such as ``booking:B2026-000123``."""

    def __call__(self, subject: str, *, charge_id: int, paid_at: datetime, now: datetime) -> int | None:
        """The money of an advance came at `paid_at`, in time or late: let the service go on, or have it again.

        Return the charge the money pays: the same, another one where the service was had again after its hold had ended,
        or None: it is gone, and the money goes back. Idempotent; called in the transaction that books the money, before
        the payment is locked; raises nothing for a service that is gone, Unavailable where it cannot be told now.
        """
