"""What a payer does with an intent: pays, is asked by bank or wallet, agrees, refuses."""

from __future__ import annotations

import base64
import io

import segno

from integrations.local.payserver import charging
from integrations.local.payserver.errors import Problem, declined, missing, refused
from integrations.local.payserver.methods import card_of
from integrations.local.payserver.store import Object
from integrations.local.payserver.world import Act, public

__all__ = ["choose", "fail", "finish", "proceed", "wait"]


def proceed(act: Act, found: Object, method: Object | None, return_url: str) -> Object:
    """Charge the method, or say what the payer has to do first. Raises Problem 402 for a decline, which is kept."""
    if method is None:
        raise refused(
            "You cannot confirm this PaymentIntent because it's missing a payment method.",
            code="payment_intent_unexpected_state",
        )
    automatic = found["automatic_payment_methods"]
    if automatic and automatic["allow_redirects"] == "always" and not return_url and not found.get("_session"):
        raise Problem(
            400,
            "invalid_request_error",
            "Because some of the payment methods of this PaymentIntent might redirect your customer off of your page, you "
            "must provide a `return_url`.",
            param="return_url",
        )
    card = card_of(method)
    if card is None:
        _ask_wallet(act, found, method, return_url)
    elif card.asks:
        _ask_bank(act, found, return_url)
    elif card.code:
        raise _decline(act, found, method, **charging.declined_by(card))
    else:
        _take(act, found, method)
    return found


def finish(act: Act, found: Object) -> Object:
    """The payer has done what was asked: take the money. For one that is through already, nothing happens."""
    method = act.look(found["payment_method"])
    if found["status"] in {"requires_action", "processing"} and method:
        _take(act, found, method)
    return found


def wait(act: Act, found: Object) -> Object:
    """The wallet has not decided yet."""
    if found["status"] == "requires_action":
        found |= {"status": "processing", "next_action": None}
        act.put(found)
        act.emit("payment_intent.processing", found)
    return found


def fail(act: Act, found: Object) -> Object:
    """The payer, or the payer's bank, says no: another attempt is possible."""
    method = act.look(found["payment_method"])
    if found["status"] not in {"requires_action", "processing"} or method is None:
        return found
    if method["type"] == "card":
        code = "payment_intent_authentication_failure"
        text = (
            "The provided PaymentMethod has failed authentication. You can provide payment_method_data or a new "
            "PaymentMethod to attempt to fulfill this PaymentIntent again."
        )
    else:
        code, text = "payment_method_customer_decline", "The customer did not approve the PaymentIntent."
    _give_up(
        act, found, {"type": "invalid_request_error", "code": code, "message": text, "payment_method": public(method)}
    )
    return found


def choose(act: Act, found: Object, method: Object) -> None:
    if method["type"] not in found["payment_method_types"]:
        raise Problem(
            400,
            "invalid_request_error",
            f"The PaymentMethod provided ({method['type']}) is not allowed for this PaymentIntent. "
            f"This PaymentIntent allows {', '.join(found['payment_method_types'])}.",
            param="payment_method",
        )
    found |= {"payment_method": method["id"], "status": "requires_confirmation"}
    act.put(found)


def _take(act: Act, found: Object, method: Object) -> None:
    charged = charging.charge(act, found, method)
    held = found["capture_method"] == "manual"
    found |= {
        "amount_capturable": found["amount"] if held else 0,
        "amount_received": 0 if held else found["amount"],
        "last_payment_error": None,
        "latest_charge": charged["id"],
        "next_action": None,
        "payment_method": method["id"],
        "status": "requires_capture" if held else "succeeded",
    }
    act.put(found)
    act.emit("payment_intent.amount_capturable_updated" if held else "payment_intent.succeeded", found)
    card = card_of(method)
    if card and card.later == "dispute":
        from integrations.local.payserver.disputes import open_dispute  # it needs refunds and charges first

        open_dispute(act, charged, reason="fraudulent")


def _decline(act: Act, found: Object, method: Object, *, code: str, decline_code: str, text: str) -> Problem:
    charged = charging.fail(act, found, method, code=code, decline_code=decline_code, text=text)
    found["latest_charge"] = charged["id"]
    said = {
        "charge": charged["id"],
        "code": code,
        "decline_code": decline_code,
        "message": text,
        "payment_method": public(method),
        "type": "card_error",
    }
    _give_up(act, found, said)
    return declined(
        code, decline_code, text, charge=charged["id"], payment_intent=public(found), payment_method=public(method)
    )


def _give_up(act: Act, found: Object, error: Object) -> None:
    found |= {
        "last_payment_error": error,
        "next_action": None,
        "payment_method": None,
        "status": "requires_payment_method",
    }
    act.put(found)
    act.emit("payment_intent.payment_failed", found)


def _ask_bank(act: Act, found: Object, return_url: str) -> None:
    address = f"{act.world.address}/redirect/{found['id']}?secret={found['client_secret']}"
    found["status"] = "requires_action"
    found["_return_url"] = return_url
    found["next_action"] = (
        {"type": "redirect_to_url", "redirect_to_url": {"return_url": return_url, "url": address}}
        if return_url
        else {"type": "use_stripe_sdk", "use_stripe_sdk": {"stripe_js": address, "type": "three_d_secure_redirect"}}
    )
    act.put(found)
    act.emit("payment_intent.requires_action", found)


def _ask_wallet(act: Act, found: Object, method: Object, return_url: str) -> None:
    kind = method["type"]
    secret = found["client_secret"]
    if kind == "alipay" and not return_url:
        raise missing("return_url")
    if kind == "wechat_pay" and not found["payment_method_options"].get("wechat_pay", {}).get("client"):
        raise missing("payment_method_options[wechat_pay][client]")
    page = f"{act.world.address}/{'redirect' if kind == 'alipay' else 'qr'}/{found['id']}?secret={secret}"
    found["status"], found["_return_url"] = "requires_action", return_url
    if kind == "alipay":
        redirect = {"native_data": None, "native_url": None, "return_url": return_url, "url": page}
        found["next_action"] = {"type": "alipay_handle_redirect", "alipay_handle_redirect": redirect}
    else:
        found["next_action"] = {"type": "wechat_pay_display_qr_code", "wechat_pay_display_qr_code": _code(page)}
    act.put(found)
    act.emit("payment_intent.requires_action", found)


def _code(page: str) -> Object:
    png, svg = io.BytesIO(), page.replace("?", ".svg?")
    segno.make(page, error="m").save(png, kind="png", scale=6, border=2)
    return {
        "data": page,
        "hosted_instructions_url": page,
        "image_data_url": f"data:image/png;base64,{base64.b64encode(png.getvalue()).decode()}",
        "image_url_png": page.replace("?", ".png?"),
        "image_url_svg": svg,
    }
