"""Checkout sessions: the gateway's own page, on which the payer chooses how to pay."""

from __future__ import annotations

import json
from typing import Final

from integrations.local.payserver import intents, paying
from integrations.local.payserver.errors import Problem, bad_number, missing, refused
from integrations.local.payserver.money import LARGEST, shown
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act

__all__ = ["complete", "create", "expire", "lapse_due", "pay"]

CREATE: Final = (
    *(
        "cancel_url",
        "client_reference_id",
        "currency",
        "customer",
        "customer_email",
        "expires_at",
        "line_items",
        "locale",
    ),
    *(
        "allowed_payment_method_types",
        "metadata",
        "mode",
        "payment_intent_data",
        "payment_method_options",
        "submit_type",
    ),
    "success_url",
)
INTENT_DATA: Final = (
    *("capture_method", "description", "metadata", "receipt_email", "statement_descriptor", "transfer_group"),
    "statement_descriptor_suffix",
)
SHORTEST_S, LONGEST_S, USUAL_S = 30 * 60, 24 * 3600, 24 * 3600


def create(act: Act, params: Params) -> Object:
    """Open a session. As at the gateway there is no payment intent before the payer first tries to pay."""
    params.allow(CREATE)
    if not params.choice("mode", ("payment",)):
        raise missing("mode")
    named, types = params.words("allowed_payment_method_types"), intents.types_of(params)
    options = intents.options_of(params, types)
    if "wechat_pay" in named and not options["wechat_pay"]["client"]:
        raise missing("payment_method_options[wechat_pay][client]")
    options.get("wechat_pay", {})["client"] = "web"
    if customer := params.text("customer"):
        act.get("customer", customer, "customer")
    amount, currency, lines = _lines(act, params)
    success = _address(params, "success_url", required=True)
    made = act.fresh(
        "checkout.session",
        "cs_test",
        allowed_payment_method_types=named or None,
        amount_subtotal=amount,
        amount_total=amount,
        automatic_tax={"enabled": False, "liability": None, "provider": None, "status": None},
        cancel_url=_address(params, "cancel_url") or None,
        client_reference_id=params.text("client_reference_id", longest=200) or None,
        currency=currency,
        custom_fields=[],
        custom_text=dict.fromkeys(("after_submit", "shipping_address", "submit", "terms_of_service_acceptance")),
        customer=customer or None,
        customer_email=params.text("customer_email") or None,
        expires_at=_end(act, params),
        locale=params.text("locale", longest=20) or None,
        metadata=params.metadata(),
        mode="payment",
        payment_intent=None,
        payment_method_collection="if_required",
        payment_method_options=options,
        payment_method_types=types,
        payment_status="unpaid",
        shipping_options=[],
        status="open",
        submit_type=params.choice("submit_type", ("auto", "book", "donate", "pay")) or None,
        success_url=success,
        total_details={"amount_discount": 0, "amount_shipping": 0, "amount_tax": 0},
        ui_mode="hosted_page",
        url=None,
        _lines=lines,
        _intent=_intent_data(params, types),
    )
    made["url"] = f"{act.world.address}/c/pay/{made['id']}"
    return act.put(made)


def _intent_data(params: Params, types: list[str]) -> Object:
    data = params.sub("payment_intent_data", INTENT_DATA)
    capture = data.choice("capture_method", ("automatic", "automatic_async", "manual"))
    if capture == "manual" and types != ["card"]:
        raise Problem(
            400,
            "invalid_request_error",
            "Only card supports manual capture in this sandbox.",
            param="payment_intent_data[capture_method]",
        )
    kept = {name: data.text(name) for name in ("description", "receipt_email", "transfer_group")}
    return {"capture_method": capture, "metadata": data.metadata(), **kept}


def _address(params: Params, name: str, *, required: bool = False) -> str:
    text = params.text(name, required=required)
    if text and not text.startswith(("http://", "https://")):
        raise Problem(400, "invalid_request_error", "Not a valid URL", code="url_invalid", param=name)
    return text


def _end(act: Act, params: Params) -> int:
    asked = params.whole("expires_at")
    if asked is None:
        return act.now + USUAL_S
    # A request takes its time: a minute of grace, so that whoever asks for exactly 30 minutes is not refused.
    if asked < act.now + SHORTEST_S - 60:
        raise bad_number(
            "expires_at", "The `expires_at` timestamp must be at least 30 minutes from Checkout Session creation.", ""
        )
    if asked > act.now + LONGEST_S + 60:
        raise bad_number(
            "expires_at", "The `expires_at` timestamp must be less than 24 hours from Checkout Session creation.", ""
        )
    return asked


def _lines(act: Act, params: Params) -> tuple[int, str, list[Object]]:
    lines: list[Object] = []
    currencies: set[str] = set()
    for item in params.items("line_items", ("price_data", "quantity")):
        price = item.sub("price_data", ("currency", "product_data", "unit_amount", "tax_behavior"))
        product = price.sub("product_data", ("name", "description", "metadata"))
        currencies.add(intents.currency_of(price))
        lines.append(
            {
                "name": product.text("name", required=True, longest=250),
                "description": product.text("description", longest=1000),
                "unit_amount": intents.amount_of(price, act, "unit_amount"),
                "quantity": item.whole("quantity", required=True, smallest=1),
            }
        )
    if not lines:
        raise missing("line_items")
    if len(currencies) > 1:
        raise Problem(400, "invalid_request_error", "All line items must use one currency.", param="line_items")
    total = sum(line["unit_amount"] * line["quantity"] for line in lines)
    if total > LARGEST:
        raise bad_number("line_items", f"The total must be no more than {shown(LARGEST, 'cny')}", "amount_too_large")
    return total, currencies.pop(), lines


def expire(act: Act, params: Params, identifier: str) -> Object:
    params.allow(())
    found = act.get("checkout.session", identifier)
    if found["status"] != "open":
        raise refused(
            'Only Checkout Sessions with a status in ["open"] can be expired. This Checkout Session has a status of '
            f"`{found['status']}`."
        )
    intent = act.look(found["payment_intent"])
    if intent and intent["status"] in {"processing", "succeeded", "requires_capture"}:
        raise refused("This Checkout Session is processing a payment and cannot be expired.")
    return _lapse(act, found)


def lapse_due(act: Act) -> int:
    """Expire what is over its time and not being paid; return how many."""
    rows = act.world.store.rows(
        "SELECT body FROM object WHERE kind = 'checkout.session' AND account = ?"
        " AND json_extract(body, '$.status') = 'open' AND json_extract(body, '$.expires_at') <= ? ORDER BY seq",
        act.account,
        act.now,
    )
    due = [json.loads(row[0]) for row in rows]
    for found in due:
        intent = act.look(found["payment_intent"])
        if intent is None or intent["status"] in intents.OPEN:
            _lapse(act, found)
    return len(due)


def _lapse(act: Act, found: Object) -> Object:
    intent = act.look(found["payment_intent"])
    if intent and intent["status"] in intents.OPEN:
        intents.cancel(act, intent, "expired")
    found |= {"status": "expired", "url": None}
    act.put(found)
    act.emit("checkout.session.expired", found)
    return found


# what the payer does on the page


def pay(act: Act, found: Object, method: Object) -> Object:
    """Try to pay with a method; return the intent. Raises Problem 402 for a decline: the session stays open."""
    if found["status"] != "open" or found["expires_at"] <= act.now:
        raise refused("This Checkout Session is no longer active.")
    intent = act.look(found["payment_intent"])
    if intent is None:
        intent = intents.start(
            act,
            amount=found["amount_total"],
            currency=found["currency"],
            types=found["payment_method_types"],
            options=found["payment_method_options"],
            customer=found["customer"],
            _session=found["id"],
            **found["_intent"],
        )
        found["payment_intent"] = intent["id"]
        act.put(found)
    if intent["status"] not in intents.OPEN:
        return intent
    paying.choose(act, intent, method)
    paying.proceed(act, intent, method, f"{act.world.address}/c/pay/{found['id']}")
    return complete(act, intent)


def complete(act: Act, intent: Object) -> Object:
    """Close the session of an intent that is paid."""
    found = act.look(intent.get("_session"))
    if found and found["status"] == "open" and intent["status"] in {"succeeded", "requires_capture"}:
        held = intent["status"] == "requires_capture"
        found |= {"payment_status": "unpaid" if held else "paid", "status": "complete", "url": None}
        act.put(found)
        act.emit("checkout.session.completed", found)
    return intent
