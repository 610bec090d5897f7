"""Payment intents: opened, confirmed, captured, cancelled."""

from __future__ import annotations

from typing import Any, Final

from integrations.local.payserver import charging
from integrations.local.payserver.errors import Problem, bad_choice, bad_number, refused, unexpected_state
from integrations.local.payserver.methods import TYPES, method_from
from integrations.local.payserver.money import CURRENCIES, LARGEST, shown
from integrations.local.payserver.params import Params
from integrations.local.payserver.paying import choose, proceed
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act, public, token

__all__ = ["OPEN", "amount_of", "cancel", "currency_of", "options_of", "start", "types_of"]

OPTIONS: Final = ("alipay", "card", "wechat_pay")
CREATE: Final = (
    *(
        "allowed_payment_method_types",
        "amount",
        "automatic_payment_methods",
        "capture_method",
        "confirm",
        "currency",
        "customer",
        "description",
    ),
    *("metadata", "off_session", "payment_method", "payment_method_data", "payment_method_options"),
    *("receipt_email", "return_url", "statement_descriptor", "statement_descriptor_suffix"),
    "transfer_group",
)
CHANGE: Final = (
    "amount",
    "customer",
    "description",
    "metadata",
    "allowed_payment_method_types",
    "receipt_email",
    "transfer_group",
)
CONFIRM: Final = ("off_session", "payment_method", "payment_method_data", "payment_method_options", "return_url")
REASONS: Final = ("duplicate", "fraudulent", "requested_by_customer", "abandoned")
OPEN: Final = ("requires_payment_method", "requires_confirmation", "requires_action")


# reading what is asked


def amount_of(params: Params, act: Act, name: str = "amount") -> int:
    amount = params.whole(name, required=True, smallest=1) or 0
    if amount > LARGEST:
        raise bad_number(params.name(name), f"Amount must be no more than {shown(LARGEST, 'cny')}", "amount_too_large")
    if amount < (smallest := act.world.terms().smallest):
        raise bad_number(params.name(name), f"Amount must be at least {shown(smallest, 'cny')}", "amount_too_small")
    return amount


def currency_of(params: Params) -> str:
    currency = params.text("currency", required=True).lower()
    if currency not in CURRENCIES:
        raise Problem(
            400,
            "invalid_request_error",
            f"Invalid currency: {currency[:10]}. This sandbox knows {', '.join(CURRENCIES)}.",
            param=params.name("currency"),
        )
    return currency


def types_of(params: Params) -> list[str]:
    """Return the methods that may be used: those allowed, else all we know."""
    named = params.words("allowed_payment_method_types")
    for one in named:
        if one not in TYPES:
            raise bad_choice(params.name("allowed_payment_method_types"), one, TYPES)
    return list(dict.fromkeys(named)) or list(TYPES)


def automatic_of(params: Params) -> Object | None:
    """Return whether the gateway chooses the methods: so it is unless some are named."""
    given = params.sub("automatic_payment_methods", ("enabled", "allow_redirects"))
    redirects = given.choice("allow_redirects", ("always", "never"), "always")
    if "enabled" in given and not given.flag("enabled"):
        return None
    if "allowed_payment_method_types" in params:
        if "enabled" in given:
            raise Problem(
                400,
                "invalid_request_error",
                "You may only specify one of these parameters: automatic_payment_methods, allowed_payment_method_types.",
                param="allowed_payment_method_types",
            )
        return None
    return {"allow_redirects": redirects, "enabled": True}


def options_of(params: Params, types: list[str]) -> Object:
    """Return the options of each method; WeChat Pay must say that it is paid on a web page."""
    given = params.sub("payment_method_options", OPTIONS)
    options: Object = {}
    for one in types:
        below = given.sub(one, ("client", "app_id") if one == "wechat_pay" else ("request_three_d_secure",))
        options[one] = (
            {"request_three_d_secure": below.text("request_three_d_secure") or "automatic"} if one == "card" else {}
        )
        if one == "wechat_pay":
            options[one] = {"app_id": None, "client": below.choice("client", ("web", "android", "ios")) or None}
    return options


def start(act: Act, *, amount: int, currency: str, types: list[str], options: Object, **fields: Any) -> Object:
    """Open an intent; nothing is asked of the payer yet."""
    if fields.get("capture_method") == "manual" and types != ["card"]:
        wallet = next(one for one in types if one != "card")
        raise Problem(
            400,
            "invalid_request_error",
            f"The payment method type {wallet} does not support manual capture.",
            code="payment_intent_invalid_parameter",
            param="capture_method",
        )
    made = act.fresh(
        "payment_intent",
        "pi",
        allowed_payment_method_types=None,
        amount=amount,
        amount_capturable=0,
        amount_details={"tip": {}},
        amount_received=0,
        application=None,
        application_fee_amount=None,
        automatic_payment_methods=None,
        canceled_at=None,
        cancellation_reason=None,
        capture_method="automatic_async",
        client_secret="",
        confirmation_method="automatic",
        currency=currency,
        customer=None,
        customer_account=None,
        description=None,
        excluded_payment_method_types=None,
        last_payment_error=None,
        latest_charge=None,
        metadata={},
        next_action=None,
        on_behalf_of=None,
        payment_method=None,
        payment_method_options=options,
        payment_method_types=types,
        processing=None,
        receipt_email=None,
        review=None,
        setup_future_usage=None,
        shipping=None,
        statement_descriptor=None,
        statement_descriptor_suffix=None,
        status="requires_payment_method",
        transfer_data=None,
        transfer_group=None,
    ) | {name: value for name, value in fields.items() if value}
    made["client_secret"] = token(f"{made['id']}_secret_", 25)
    act.put(made)
    act.emit("payment_intent.created", made)
    return made


# calls


def create(act: Act, params: Params) -> Object:
    params.allow(CREATE)
    types = types_of(params)
    if customer := params.text("customer"):
        act.get("customer", customer, "customer")
    made = start(
        act,
        amount=amount_of(params, act),
        currency=currency_of(params),
        types=types,
        options=options_of(params, types),
        automatic_payment_methods=automatic_of(params),
        allowed_payment_method_types=params.words("allowed_payment_method_types"),
        capture_method=params.choice("capture_method", ("automatic", "automatic_async", "manual")),
        customer=customer,
        description=params.text("description"),
        metadata=params.metadata(),
        receipt_email=params.text("receipt_email"),
        statement_descriptor=params.text("statement_descriptor", longest=22),
        statement_descriptor_suffix=params.text("statement_descriptor_suffix", longest=22),
        transfer_group=params.text("transfer_group"),
    )
    method = method_from(act, params)
    if method:
        choose(act, made, method)
    if params.flag("confirm"):
        return proceed(act, made, method, params.text("return_url"))
    if params.text("return_url"):
        raise Problem(
            400,
            "invalid_request_error",
            "You can only provide `return_url` when confirming a PaymentIntent.",
            param="return_url",
        )
    return made


def change(act: Act, params: Params, identifier: str) -> Object:
    params.allow(CHANGE)
    found = act.get("payment_intent", identifier)
    before = dict(found)
    if "amount" in params:
        if found["status"] not in OPEN:
            raise _wrong_state(found, "updated")
        found["amount"] = amount_of(params, act)
    for name in ("description", "receipt_email", "transfer_group"):
        if name in params:
            found[name] = params.text(name) or None
    if "allowed_payment_method_types" in params:
        found["allowed_payment_method_types"] = found["payment_method_types"] = types_of(params)
    found["metadata"] = params.metadata(found["metadata"])
    act.put(found)
    act.emit("payment_intent.updated", found, before)
    return found


def confirm(act: Act, params: Params, identifier: str) -> Object:
    params.allow(CONFIRM)
    found = act.get("payment_intent", identifier)
    if found["status"] not in OPEN:
        raise _wrong_state(found, "confirmed")
    if "payment_method_options" in params:
        found["payment_method_options"] |= options_of(params, found["payment_method_types"])
    method = method_from(act, params)
    if method:
        choose(act, found, method)
    return proceed(act, found, method or act.look(found["payment_method"]), params.text("return_url"))


def capture(act: Act, params: Params, identifier: str) -> Object:
    params.allow(("amount_to_capture", "metadata", "statement_descriptor", "statement_descriptor_suffix"))
    found = act.get("payment_intent", identifier)
    if found["status"] != "requires_capture":
        raise _wrong_state(found, "captured", "requires_capture")
    asked = params.whole("amount_to_capture", smallest=1)
    amount = found["amount_capturable"] if asked is None else asked
    if amount > found["amount_capturable"]:
        raise refused(
            f"The remaining amount you can capture is {shown(found['amount_capturable'], found['currency'])}, "
            f"but you are attempting to capture {shown(amount, found['currency'])}.",
            param="amount_to_capture",
            code="amount_too_large",
        )
    charging.capture(act, act.get("charge", found["latest_charge"]), amount)
    found |= {"amount_capturable": 0, "amount_received": amount, "status": "succeeded"}
    found["metadata"] = params.metadata(found["metadata"])
    act.put(found)
    act.emit("payment_intent.succeeded", found)
    return found


def cancel_call(act: Act, params: Params, identifier: str) -> Object:
    params.allow(("cancellation_reason",))
    reason = params.choice("cancellation_reason", REASONS)
    found = act.get("payment_intent", identifier)
    if found.get("_session") and found["status"] in OPEN:
        raise refused(
            "You cannot cancel this PaymentIntent because it was created by a Checkout Session. To cancel it, expire "
            "the Checkout Session.",
            code="payment_intent_unexpected_state",
        )
    return cancel(act, found, reason)


def cancel(act: Act, found: Object, reason: str) -> Object:
    """Give an intent up. Raises Problem for one that has succeeded."""
    if found["status"] not in (*OPEN, "requires_capture", "processing"):
        raise _wrong_state(found, "canceled")
    if found["status"] == "requires_capture":
        charging.release(act, act.get("charge", found["latest_charge"]))
    found |= {
        "amount_capturable": 0,
        "canceled_at": act.now,
        "cancellation_reason": reason or None,
        "next_action": None,
        "status": "canceled",
    }
    act.put(found)
    act.emit("payment_intent.canceled", found)
    return found


def _wrong_state(found: Object, verb: str, needed: str = "") -> Problem:
    possible = needed or "requires_payment_method, requires_confirmation, requires_action"
    return unexpected_state(
        f"This PaymentIntent's status is {found['status']}, so it could not be {verb}. Only a PaymentIntent with one of "
        f"the following statuses may be {verb}: {possible}.",
        public(found),
    )
