"""Notices of Stripe: is one really from it and for us, and which object is it about.

A notice is a hint. Nothing of its body is believed but its id, its type and the object's id; what is true is fetched.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import stripe

from integrations.stripe.reading import Malformed, held, text_of, time_of
from vouchers.payments.ports import BadEvent, Event, EventKind

__all__ = ["HEADER", "TOLERANCE", "TYPES", "event_of", "is_ours", "signed_at", "verified"]

HEADER: Final = "Stripe-Signature"
TOLERANCE: Final = timedelta(seconds=300)
"""How old a signature may be, and how far ahead of our clock: stripe-python looks at the past only."""
TYPES: Final = (
    *(f"payment_intent.{what}" for what in ("succeeded", "payment_failed", "processing", "canceled")),
    "payment_intent.amount_capturable_updated",
    *(
        f"checkout.session.{what}"
        for what in ("completed", "expired", "async_payment_succeeded", "async_payment_failed")
    ),
    *(f"refund.{what}" for what in ("created", "updated", "failed")),
    *(f"charge.dispute.{what}" for what in ("created", "updated", "closed", "funds_withdrawn", "funds_reinstated")),
    *("payout.paid", "payout.failed"),
)
"""What the operator's endpoint is set to send, and what is fetched where it did not come: the same, at most twenty.

Were it more, every notice the endpoint was never asked to send would look like one that was lost.
"""

Json = Mapping[str, Any]


def verified(body: bytes, headers: Mapping[str, str], *, secrets: Sequence[str], now: datetime) -> dict[str, Any]:
    """Return the notice once its signature over the raw body holds for one of `secrets`. Raises BadEvent."""
    header = next((value for name, value in headers.items() if name.lower() == HEADER.lower()), "")
    when = signed_at(header)
    if when is None or abs(now - when) > TOLERANCE:
        raise BadEvent
    try:
        text = body.decode("utf-8")
        if not any(_holds(text, header, secret) for secret in secrets if secret.strip()):
            raise BadEvent
        said = json.loads(text)
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise BadEvent from error
    if not isinstance(said, dict) or said.get("object") != "event":
        raise BadEvent
    return said


def _holds(text: str, header: str, secret: str) -> bool:
    try:
        return bool(stripe.WebhookSignature.verify_header(text, header, secret))
    except (stripe.SignatureVerificationError, UnicodeEncodeError, TypeError):  # signatures not ASCII: TypeError
        return False


def signed_at(header: str) -> datetime | None:
    """Return the moment a signature was made, the first ``t=`` as stripe-python reads it; None where there is none."""
    for part in header.split(","):
        name, _is, value = part.partition("=")
        if name == "t":
            try:
                return datetime.fromtimestamp(int(value), UTC)
            except (ValueError, OverflowError, OSError):
                return None
    return None


def is_ours(event: Json, *, account: str, live: bool) -> bool:
    """Say whether an event is of our account and of the world, real or rehearsed, our key is of."""
    of = event.get("account")
    return (not of or of == account) and event.get("livemode") is live


def event_of(event: Json) -> Event:
    """Return what an event is about. Raises Malformed.

    Of a charge's events we name the payment intent; a charge without one is nothing of ours.
    """
    kind_word = text_of(event, "type")
    data = event.get("data")
    thing = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(thing, Mapping):
        raise Malformed
    object_id, kind = held(thing), _kind(kind_word)
    if kind is EventKind.PAYMENT and thing.get("object") == "charge":
        object_id = held(thing.get("payment_intent"))
        kind = kind if object_id else EventKind.OTHER
    return Event(
        id=text_of(event, "id"),
        kind=kind if object_id else EventKind.OTHER,
        type=kind_word[:80],
        object_id=(object_id or held(thing))[:120],
        created_at=time_of(event, "created"),
    )


def _kind(word: str) -> EventKind:
    for beginning, kind in (
        ("payment_intent.", EventKind.PAYMENT),
        ("checkout.session.", EventKind.PAYMENT),
        ("charge.dispute.", EventKind.DISPUTE),
        ("charge.refund.", EventKind.REFUND),
        ("charge.", EventKind.PAYMENT),
        ("refund.", EventKind.REFUND),
        ("payout.", EventKind.PAYOUT),
        ("transfer.", EventKind.TRANSFER),
    ):
        if word.startswith(beginning):
            return kind
    return EventKind.OTHER
