"""Customers and payment methods."""

from __future__ import annotations

from typing import Final

from integrations.local.payserver.cards import CARDS, Card, by_number
from integrations.local.payserver.errors import Problem, bad_choice, missing, no_such, refused
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act, token

__all__ = ["TYPES", "card_of", "method_from"]

TYPES: Final = ("card", "alipay", "wechat_pay")
CUSTOMER: Final = ("name", "email", "phone", "description", "metadata", "preferred_locales", "payment_method")
METHOD: Final = ("type", "card", "alipay", "wechat_pay", "billing_details", "metadata")


# customers


def create_customer(act: Act, params: Params) -> Object:
    params.allow(CUSTOMER)
    made = act.fresh(
        "customer",
        "cus",
        address=None,
        balance=0,
        currency=None,
        default_source=None,
        delinquent=False,
        description=params.text("description") or None,
        email=params.text("email") or None,
        invoice_settings={"default_payment_method": None},
        metadata=params.metadata(),
        name=params.text("name") or None,
        phone=params.text("phone") or None,
        preferred_locales=params.words("preferred_locales"),
        shipping=None,
    )
    act.put(made)
    if token_ := params.text("payment_method"):
        attach(act, token_, made["id"])
    act.emit("customer.created", made)
    return made


def change_customer(act: Act, params: Params, identifier: str) -> Object:
    params.allow(CUSTOMER)
    found = act.get("customer", identifier)
    before = dict(found)
    for name in ("name", "email", "phone", "description"):
        if name in params:
            found[name] = params.text(name) or None
    found["metadata"] = params.metadata(found["metadata"])
    act.put(found)
    act.emit("customer.updated", found, before)
    return found


# payment methods


def create_method(act: Act, params: Params) -> Object:
    params.allow(METHOD)
    return act.put(_new(act, params))


def attach_method(act: Act, params: Params, identifier: str) -> Object:
    params.allow(("customer",))
    return attach(act, identifier, params.text("customer", required=True))


def detach_method(act: Act, params: Params, identifier: str) -> Object:
    params.allow(())
    found = act.get("payment_method", identifier)
    if not found["customer"]:
        raise refused("The payment method you provided is not attached to a customer so detachment is impossible.")
    found["customer"] = None
    act.put(found)
    act.emit("payment_method.detached", found)
    return found


def attach(act: Act, identifier: str, customer: str) -> Object:
    act.get("customer", customer, "customer")
    found = named(act, identifier)
    if found["type"] != "card":
        raise refused(f"The payment method type {found['type']} is single use and cannot be attached.")
    found["customer"] = customer
    act.put(found)
    act.emit("payment_method.attached", found)
    return found


def named(act: Act, identifier: str) -> Object:
    """Return a payment method by id; the names of test cards make a new one each time."""
    if identifier in CARDS:
        return act.put(_card(act, CARDS[identifier]))
    return act.get("payment_method", identifier, "payment_method")


def method_from(act: Act, params: Params) -> Object | None:
    """Return the payment method a request names or describes; None where it does neither."""
    if identifier := params.text("payment_method"):
        return named(act, identifier)
    if "payment_method_data" in params:
        return act.put(_new(act, params.sub("payment_method_data", METHOD)))
    return None


def card_of(method: Object) -> Card | None:
    """Return what the card does; None for a wallet."""
    return by_number(method["_number"]) if method["type"] == "card" else None


def _new(act: Act, params: Params) -> Object:
    kind = params.choice("type", TYPES)
    if not kind:
        raise missing(params.name("type"))
    if kind != "card":
        return _made(act, kind, {kind: {}}, params.metadata())
    card = params.sub("card", ("number", "exp_month", "exp_year", "cvc", "token"))
    if name := card.text("token"):
        if not name.startswith("tok_") or f"pm_card_{name[4:]}" not in CARDS:
            raise no_such("token", name, card.name("token"))
        return _card(act, CARDS[f"pm_card_{name[4:]}"], params.metadata())
    number = card.text("number", required=True).replace(" ", "")
    found = by_number(number)
    if found is None:
        raise Problem(
            402,
            "card_error",
            "Your card was declined. This sandbox takes test cards only; never send it a real number.",
            code="card_declined",
            decline_code="test_mode_live_card",
            param=card.name("number"),
        )
    month, year = card.whole("exp_month", required=True), card.whole("exp_year", required=True)
    if month is None or not 1 <= month <= 12:
        raise bad_choice(card.name("exp_month"), month, tuple(map(str, range(1, 13))))
    return _card(act, found, params.metadata(), month=month, year=year or 0)


def _card(act: Act, card: Card, metadata: dict[str, str] | None = None, month: int = 12, year: int = 2034) -> Object:
    shape = {
        "brand": card.brand,
        "checks": {"address_line1_check": None, "address_postal_code_check": None, "cvc_check": "unchecked"},
        "country": "CN" if card.brand == "unionpay" else "US",
        "display_brand": card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": f"sandbox{card.number[-8:]}",
        "funding": "credit",
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }
    return _made(act, "card", {"card": shape, "_number": card.number}, metadata)


def _made(act: Act, kind: str, shape: Object, metadata: dict[str, str] | None = None) -> Object:
    nobody = {"address": None, "email": None, "name": None, "phone": None, "tax_id": None}
    return act.fresh(
        "payment_method",
        "pm",
        allow_redisplay="unspecified",
        billing_details=nobody,
        customer=None,
        metadata=metadata or {},
        type=kind,
        **shape,
    )


def mandate_free(kind: str) -> Object:
    """Return the details of a charge by wallet: who paid is not told."""
    if kind == "alipay":
        return {"buyer_id": token("2088", 12), "fingerprint": token("", 16), "transaction_id": token("", 28)}
    return {"fingerprint": token("", 16), "location": None, "reader": None, "transaction_id": token("", 28)}
