"""The pages on which a person pays, refuses or walks away: the checkout, a wallet's or bank's page, the code to scan."""

from __future__ import annotations

import html
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from typing import Final
from urllib.parse import parse_qs, urlencode

import segno

from integrations.local.payserver import layout, paying, sessions
from integrations.local.payserver.answering import Asked
from integrations.local.payserver.errors import Problem
from integrations.local.payserver.methods import create_method, named
from integrations.local.payserver.money import shown
from integrations.local.payserver.params import Params
from integrations.local.payserver.store import Object
from integrations.local.payserver.words import language_of, say, why
from integrations.local.payserver.world import Act, World

__all__ = ["Shown", "answer"]

BEIJING: Final = timezone(timedelta(hours=8), "UTC+8")
CARDS: Final = {
    "pm_card_visa": "card_pays",
    "pm_card_visa_chargeDeclinedInsufficientFunds": "card_poor",
    "pm_card_chargeDeclined": "card_no",
    "pm_card_chargeDeclinedExpiredCard": "card_expired",
    "pm_card_authenticationRequired": "card_asks",
    "pm_card_createDispute": "card_dispute",
}
"""The test cards the page offers; nowhere can a number be typed."""
POLICY: Final = "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; frame-ancestors 'none'"
REFRESH_S: Final = 3


@dataclass(frozen=True, slots=True)
class Shown:
    """A page, a picture or a way to go on."""

    body: bytes = b""
    status: int = 200
    kind: str = "text/html; charset=utf-8"
    headers: dict[str, str] = field(default_factory=lambda: {"Content-Security-Policy": POLICY})


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a page, or one press of a button on it."""

    act: Act
    method: str
    path: str
    given: dict[str, str]
    language: str

    def say(self, key: str) -> str:
        return say(key, self.language)


def answer(world: World, asked: Asked) -> Shown:
    """Show a page or take what was pressed on it. Nothing here needs a key: who has the link may pay, as at the gateway."""
    if asked.path == "/style.css":
        return Shown(layout.STYLE.encode(), kind="text/css; charset=utf-8", headers={})
    given = {name: values[-1] for name, values in parse_qs(f"{asked.query}&{asked.body}").items()}
    parts = asked.path.strip("/").split("/")
    with world.store.transaction():
        act = Act(world)
        sessions.lapse_due(act)
        found, view = _found(act, parts, given)
        wanted = str(found.get("locale") or "") if found else ""
        language = language_of(given.get("lang", ""), wanted, asked.header("Accept-Language"))
        visit = Visit(act, asked.method, asked.path, given, language)
        if found is None or view is None:
            return _nothing(visit, home=asked.path == "/")
        return view(visit, found)


def _found(act: Act, parts: list[str], given: dict[str, str]) -> tuple[Object | None, Callable[..., Shown] | None]:
    """Return the object a path names and who shows it."""
    match parts:
        case ["c", "pay", identifier]:
            found = act.look(identifier)
            return (found, checkout) if found and found["object"] == "checkout.session" else (None, None)
        case ["redirect" | "qr" as place, name]:
            identifier, _dot, kind = name.partition(".")
            found = act.look(identifier)
            if found is None or found["object"] != "payment_intent" or given.get("secret") != found["client_secret"]:
                return None, None
            if kind in {"png", "svg"}:
                return found, _picture
            return found, wallet if place == "qr" or kind == "" else None
    return None, None


def _nothing(visit: Visit, *, home: bool) -> Shown:
    title, more = ("home", "home_more") if home else ("not_found", "not_found_more")
    inner = f"<h1>{visit.say(title)}</h1><p>{visit.say(more)}</p>"
    return Shown(layout.page(visit.say(title), inner, language=visit.language, switch=visit.path), 200 if home else 404)


def _to(address: str) -> Shown:
    return Shown(status=303, headers={"Location": address})


def _picture(visit: Visit, found: Object) -> Shown:
    kind = visit.path.rpartition(".")[2]
    made = io.BytesIO()
    page = f"{visit.act.world.address}/qr/{found['id']}?secret={found['client_secret']}"
    segno.make(page, error="m").save(made, kind=kind, scale=6, border=2)
    return Shown(made.getvalue(), kind={"png": "image/png", "svg": "image/svg+xml"}[kind], headers={})


# the checkout


def checkout(visit: Visit, found: Object) -> Shown:
    intent = visit.act.look(found["payment_intent"])
    if found["status"] == "complete":
        return _done(visit, found, intent)
    if found["status"] == "expired" or found["expires_at"] <= visit.act.now:
        return _over(visit, found)
    if intent and intent["status"] == "processing":
        return _slow(visit, found)
    if visit.method == "POST":
        return _try(visit, found)
    error = (intent or {}).get("last_payment_error")
    return Shown(_form(visit, found, error))


def _try(visit: Visit, found: Object) -> Shown:
    kind = visit.given.get("method", "")
    if kind not in found["payment_method_types"]:
        return Shown(_form(visit, found, None), 400)
    if kind == "card":
        name = visit.given.get("card", "")
        if name not in CARDS:
            return Shown(_form(visit, found, None), 400)
        method = named(visit.act, name)
    else:
        method = create_method(visit.act, Params({"type": kind}))
    try:
        intent = sessions.pay(visit.act, found, method)
    except Problem as problem:
        return Shown(_form(visit, found, problem.error), 402 if problem.keeps else 400)
    if intent["status"] == "requires_action":
        place = "qr" if kind == "wechat_pay" else "redirect"
        return _to(f"/{place}/{intent['id']}?{urlencode({'secret': intent['client_secret'], 'lang': visit.language})}")
    return _to(_success(visit.act.get("checkout.session", found["id"])))


def _form(visit: Visit, found: Object, error: Object | None) -> bytes:
    until = datetime.fromtimestamp(found["expires_at"], UTC).astimezone(BEIJING).strftime("%Y-%m-%d %H:%M (UTC+8)")
    inner = ""
    if error:
        code = str(error.get("decline_code") or error.get("code") or "")
        inner += layout.notice(
            visit.say("declined"), f"{why(code, str(error['message']), visit.language)} {visit.say('again')}"
        )
    inner += layout.card(visit.say("checkout"), _names(found), _amount(found), visit.language, until)
    ways = ""
    chosen = visit.given.get("method") or found["payment_method_types"][0]
    for kind in found["payment_method_types"]:
        ways += layout.radio(kind, visit.say(kind), chosen=kind == chosen, more=_cards(visit) if kind == "card" else "")
    inner += (
        f'<form method="post" action="/c/pay/{found["id"]}?lang={visit.language}">'
        f"<fieldset><legend>{visit.say('choose')}</legend>{ways}</fieldset>"
        f"{layout.button(visit.say('pay') + ' ' + _amount(found), first=True)}</form>"
    )
    if found["cancel_url"]:
        inner += f'<a class="button" href="{html.escape(found["cancel_url"])}">{visit.say("back")}</a>'
    return layout.page(visit.say("checkout"), inner, language=visit.language, switch=visit.path)


def _cards(visit: Visit) -> str:
    options = "".join(
        f'<option value="{name}"{" selected" if visit.given.get("card") == name else ""}>{visit.say(words)}</option>'
        for name, words in CARDS.items()
    )
    return f'<label class="small">{visit.say("test_card")}<select name="card">{options}</select></label>'


def _done(visit: Visit, found: Object, intent: Object | None) -> Shown:
    held = intent is not None and intent["status"] == "requires_capture"
    inner = layout.notice(visit.say("authorised" if held else "paid"), good=True)
    inner += layout.card(visit.say("checkout"), _names(found), _amount(found), visit.language)
    inner += f'<a class="button first" href="{html.escape(_success(found))}">{visit.say("continue")}</a>'
    return Shown(layout.page(visit.say("paid"), inner, language=visit.language, switch=visit.path))


def _over(visit: Visit, found: Object) -> Shown:
    inner = layout.notice(visit.say("expired"), visit.say("expired_more"))
    if found["cancel_url"]:
        inner += f'<a class="button first" href="{html.escape(found["cancel_url"])}">{visit.say("continue")}</a>'
    return Shown(layout.page(visit.say("expired"), inner, language=visit.language, switch=visit.path), 410)


def _slow(visit: Visit, found: Object) -> Shown:
    inner = layout.card(visit.say("checkout"), _names(found), _amount(found), visit.language)
    inner += layout.notice(visit.say("waiting"), good=True)
    inner += f'<a class="button first" href="{html.escape(_success(found))}">{visit.say("continue")}</a>'
    return Shown(layout.page(visit.say("waiting"), inner, language=visit.language, refresh_s=REFRESH_S))


def _names(found: Object) -> str:
    return "、".join(
        line["name"] + (f" × {line['quantity']}" if line["quantity"] > 1 else "") for line in found["_lines"]
    )


def _amount(found: Object) -> str:
    amount = found.get("amount_total")
    return shown(found["amount"] if amount is None else amount, found["currency"]).replace("CN¥", "¥")


def _success(found: Object) -> str:
    return str(found["success_url"]).replace("{CHECKOUT_SESSION_ID}", found["id"])


# a wallet's or a bank's page


def wallet(visit: Visit, found: Object) -> Shown:
    """Ask the payer of an intent: agree, refuse, leave the wallet to it, or walk away."""
    outcome = visit.given.get("outcome", "") if visit.method == "POST" else ""
    method = visit.act.look(found["payment_method"])
    if outcome == "leave":
        return _back(visit, found)
    if outcome in {"succeeded", "failed", "processing"} and found["status"] in {"requires_action", "processing"}:
        {"succeeded": paying.finish, "failed": paying.fail, "processing": paying.wait}[outcome](visit.act, found)
        sessions.complete(visit.act, found)
        return _back(visit, found)
    if found["status"] not in {"requires_action", "processing"} or method is None:
        return _ended(visit, found)
    kind = method["type"]
    title = visit.say({"alipay": "alipay_title", "wechat_pay": "wechat_title", "card": "bank_title"}[kind])
    here = f"{visit.path}?secret={found['client_secret']}"
    inner = layout.card(title, found["description"] or found["id"], _amount(found), visit.language)
    if found["status"] == "processing":
        inner += layout.notice(visit.say("waiting"), good=True)
    if kind == "wechat_pay":
        picture = f"{visit.path}.svg?secret={found['client_secret']}"
        inner += f'<img class="code" src="{picture}" alt="{visit.say("wechat_title")}"><p>{visit.say("scan")}</p>'
    yes, no = ("confirm_bank", "fail_bank") if kind == "card" else ("agree", "refuse")
    inner += f'<form method="post" action="{html.escape(here)}&amp;lang={visit.language}">'
    inner += layout.button(visit.say(yes), value="succeeded", first=True)
    inner += layout.button(visit.say(no), value="failed")
    if kind != "card" and found["status"] == "requires_action":
        inner += layout.button(visit.say("slow"), value="processing")
    inner += layout.button(visit.say("leave"), value="leave") + "</form>"
    return Shown(layout.page(title, inner, language=visit.language, switch=here))


def _back(visit: Visit, found: Object) -> Shown:
    """Lead on: to the merchant when it is paid, to the checkout when it is not, or say that the page may be closed."""
    session = visit.act.look(found.get("_session"))
    if session:
        done = session["status"] == "complete"
        return _to(_success(session) if done else f"/c/pay/{session['id']}?lang={visit.language}")
    if not found.get("_return_url"):
        return _ended(visit, found)
    paid = found["status"] in {"succeeded", "requires_capture"}
    state = "succeeded" if paid else "failed" if found["status"] == "requires_payment_method" else "pending"
    address = str(found["_return_url"])
    told = {
        "payment_intent": found["id"],
        "payment_intent_client_secret": found["client_secret"],
        "redirect_status": state,
    }
    return _to(f"{address}{'&' if '?' in address else '?'}{urlencode(told)}")


def _ended(visit: Visit, found: Object) -> Shown:
    match found["status"]:
        case "succeeded" | "requires_capture":
            inner = layout.notice(visit.say("paid"), visit.say("may_close"), good=True)
        case "canceled":
            inner = layout.notice(visit.say("cancelled"), visit.say("may_close"))
        case "requires_action" | "processing":
            inner = layout.notice(visit.say("waiting"), visit.say("may_close"), good=True)
        case _:
            inner = layout.notice(visit.say("declined"), visit.say("may_close"))
    inner += layout.card(visit.say("order"), found["description"] or found["id"], _amount(found), visit.language)
    here = f"{visit.path}?secret={found['client_secret']}"
    session = visit.act.look(found.get("_session"))
    if session:
        address = (
            _success(session) if session["status"] == "complete" else f"/c/pay/{session['id']}?lang={visit.language}"
        )
        inner += f'<a class="button first" href="{html.escape(address)}">{visit.say("continue")}</a>'
    return Shown(layout.page(visit.say("order"), inner, language=visit.language, switch=here))
