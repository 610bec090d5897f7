"""The catalogue of refusals, in the gateway's JSON shape."""

from __future__ import annotations

from typing import Any

from integrations.local.payserver.money import shown

__all__ = [
    "Problem",
    "bad_choice",
    "bad_number",
    "declined",
    "key_in_use",
    "key_reused",
    "missing",
    "no_such",
    "rate_limited",
    "refund_too_large",
    "refused",
    "server_fault",
    "unauthorised",
    "unexpected_state",
    "unknown",
]


class Problem(Exception):
    """A refusal: HTTP `status` and the fields of the error object.

    `keeps`: what was written stays (a declined card leaves a failed charge). `stored`: the answer is replayed under its
    idempotency key; what never reached the act (parameters, keys, limits) is not, as the gateway documents.
    """

    def __init__(self, status: int, kind: str, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.status = status
        self.keeps = bool(fields.pop("keeps", False))
        self.stored = bool(fields.pop("stored", False))
        self.error = {"type": kind, "message": message, **{name: value for name, value in fields.items() if value}}

    @property
    def body(self) -> dict[str, Any]:
        return {"error": self.error}


def _invalid(message: str, *, status: int = 400, **fields: Any) -> Problem:
    return Problem(status, "invalid_request_error", message, **fields)


def missing(param: str) -> Problem:
    return _invalid(f"Missing required param: {param}.", code="parameter_missing", param=param)


def unknown(param: str) -> Problem:
    return _invalid(f"Received unknown parameter: {param}", code="parameter_unknown", param=param)


def bad_choice(param: str, value: object, choices: tuple[str, ...]) -> Problem:
    return _invalid(f"Invalid {param}: {value!s:.60} must be one of {', '.join(choices)}", param=param)


def bad_number(param: str, message: str, code: str = "parameter_invalid_integer") -> Problem:
    return _invalid(message, code=code, param=param)


def refused(message: str, param: str = "", code: str = "", **fields: Any) -> Problem:
    """Refuse an act that was begun: such answers are kept under the key."""
    return _invalid(message, param=param, code=code, stored=True, **fields)


def no_such(kind: str, identifier: str, param: str = "id") -> Problem:
    words = kind.replace(".", " ").replace("_", " ") if kind != "payment_method" else "PaymentMethod"
    return _invalid(
        f"No such {words.replace(' ', '_') if kind == 'payment_intent' else words}: '{identifier:.80}'",
        status=404,
        code="resource_missing",
        param=param,
    )


def unexpected_state(message: str, intent: dict[str, Any]) -> Problem:
    return refused(message, code="payment_intent_unexpected_state", payment_intent=intent)


def refund_too_large(asked: int, left: int, currency: str) -> Problem:
    return refused(
        f"Refund amount ({shown(asked, currency)}) is greater than unrefunded amount on charge ({shown(left, currency)})",
        param="amount",
    )


def declined(code: str, decline_code: str, message: str, **found: Any) -> Problem:
    return Problem(402, "card_error", message, code=code, decline_code=decline_code, keeps=True, stored=True, **found)


def unauthorised(message: str) -> Problem:
    return _invalid(message, status=401)


def key_reused(key: str) -> Problem:
    return Problem(
        400,
        "idempotency_error",
        "Keys for idempotent requests can only be used with the same parameters they were first used with. Try using a "
        f"key other than '{key}' if you meant to execute a different request.",
    )


def key_in_use(key: str) -> Problem:
    return Problem(
        409,
        "idempotency_error",
        "There is currently another in-progress request using this idempotency key (that probably means you submitted "
        f"twice, and the other request is still going through): {key}. Please try again later.",
        code="idempotency_key_in_use",
    )


def rate_limited() -> Problem:
    return _invalid("Request rate limit exceeded.", status=429, code="rate_limit")


def server_fault(status: int = 500) -> Problem:
    return Problem(status, "api_error", "An unknown error occurred")
