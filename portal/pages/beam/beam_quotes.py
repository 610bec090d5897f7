"""Quotes of paid beam time: the enterprise reads and accepts them by click, the office withdraws its own."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, noop
from portal.kernel.money import Money
from portal.pages import shell
from scheduler.beamtime import quote_access, quoting
from scheduler.beamtime.models import BeamQuote
from vouchers.wallets import access as wallet
from vouchers.wallets.rules import VoucherState

__all__ = ["beam_quote", "beam_quotes"]

_ = noop
P = Permission
WHO = (P.BOOKING_REQUEST, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
SORTS = {"offered": ["offered_at", "pk"], "until": ["valid_until"], "state": ["state"]}


class BadPage(Invalid):
    code = "beam_quote.page"
    message = _("页面已过期，请刷新后再试。")


@shell.needs(*WHO)
def beam_quotes(request: HttpRequest) -> HttpResponse:
    """List the quotes made to one's enterprise, or by one's facilities."""
    found = quote_access.visible_to(shell.actor_of(request))
    return shell.page(
        request, "beam/quotes.html", {"listing": shell.listing(request, found, sorts=SORTS, default="-offered")}
    )


@shell.needs(*WHO)
def beam_quote(request: HttpRequest, number: int) -> HttpResponse:
    """Show one quote; accept, decline or withdraw it."""
    actor = shell.actor_of(request)
    row = quote_access.get_quote(actor, number)
    error = None
    if request.method == "POST":
        act = shell.act_of(request, "accept", "decline", "withdraw")
        _done, error = shell.attempt(lambda: _do(act, actor, row, request))
        if error is None:
            done = {
                "accept": gettext("合同已成立，班次已分配，费用已保留。"),
                "decline": gettext("已谢绝报价。"),
                "withdraw": gettext("已撤回报价。"),
            }
            messages.success(request, done[act])
            return redirect("beam_quote", number)
        row = quote_access.get_quote(actor, number)
    is_mine = actor.may(P.BOOKING_REQUEST) and row.request.proposal.organisation_id == actor.organisation_id
    is_open = row.state == "offered" and timezone.now() < row.valid_until
    active = wallet.vouchers_of(actor).filter(state=VoucherState.ACTIVE.value) if is_mine and is_open else []
    context = {
        "quote": row,
        "proposal": row.request.proposal,
        "price": quoting.price_of(row),
        "shift": Money(row.shift_fen),
        "may_answer": is_mine and is_open,
        "may_withdraw": row.state == "offered" and not is_mine and actor.may(P.FACILITY_MANAGE),
        "vouchers": list(active)[:50],
        "chosen": request.POST.getlist("vouchers"),
        "error": error,
    }
    return shell.page(request, "beam/quote.html", context, status=error.status if error else 200)


def _do(act: str, actor: Actor, row: BeamQuote, request: HttpRequest) -> Any:
    now = timezone.now()
    if act == "decline":
        return quoting.decline(actor=actor, quote=row, now=now)
    if act == "withdraw":
        return quoting.withdraw(actor=actor, quote=row, now=now)
    said = [request.POST.get(name, "") for name in ("shifts", "shift_fen")]
    if not all(text.isascii() and text.isdigit() and len(text) < 13 for text in said):
        raise BadPage
    vouchers = wallet.get_vouchers(actor, request.POST.getlist("vouchers"))
    return quoting.accept(actor=actor, quote=row, seen=(int(said[0]), int(said[1])), vouchers=vouchers, now=now)
