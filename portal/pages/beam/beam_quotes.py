"""Quotes of paid beam time: the enterprise reads, accepts or declines them, the office withdraws its own."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, noop
from portal.kernel.money import Money
from portal.pages import exports, shell
from portal.pages.beam.quote_desk import NAMES, narrowed
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from scheduler.beamtime import correcting, quote_access, quoting
from scheduler.beamtime.models import BeamQuote
from vouchers.wallets import access as wallet
from vouchers.wallets.rules import VoucherState

__all__ = ["beam_quote", "beam_quotes"]

P = Permission
WHO = (P.BOOKING_REQUEST, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
SORTS = {
    "offered": ["offered_at"],
    "number": ["request__proposal__number"],
    "shifts": ["shifts"],
    "shift": ["shift_fen"],
    "until": ["valid_until"],
    "state": ["state"],
}


class BadPage(Invalid):
    code = "beam_quote.page"
    message = noop("页面已过期，请刷新后再试。")


class QuoteFilter(forms.Form):
    """What the list is narrowed to. Titles are nobody's to search."""

    q = forms.CharField(label=_("关键词"), max_length=60, required=False)
    state = forms.ChoiceField(label=_("状态"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": gettext("申请编号、单位、线站或周期")})
        field = self.fields["state"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", gettext("全部")), *BeamQuote.State.choices]
        self.full_clean()

    def narrow(self, found: QuerySet[BeamQuote]) -> QuerySet[BeamQuote]:
        said = getattr(self, "cleaned_data", {})
        if said.get("state"):
            found = found.filter(state=said["state"])
        names = tuple(f"request__{name}" for name in NAMES)
        narrow: QuerySet[BeamQuote] = narrowed(found, str(said.get("q") or "").split(), names)
        return narrow


@shell.needs(*WHO)
def beam_quotes(request: HttpRequest) -> HttpResponse:
    """List the quotes made to one's enterprise, or by one's facilities."""
    actor = shell.actor_of(request)
    filters = QuoteFilter(request.GET)
    found = filters.narrow(quote_access.visible_to(actor))
    if (wanted := request.GET.get("format", "")) in exports.FORMATS:
        return _exported(found, wanted)
    listing = shell.listing(request, found, sorts=SORTS, default="-offered")
    office = actor.may(P.FACILITY_MANAGE)
    return shell.page(request, "beam/quotes.html", {"listing": listing, "filters": filters, "office": office})


def _exported(found: QuerySet[BeamQuote], wanted: str) -> HttpResponse:
    head = (
        *(gettext("申请"), gettext("单位"), gettext("装置"), gettext("线站"), gettext("运行周期"), gettext("班次数")),
        *(gettext("每班（元）"), gettext("合计（元）"), gettext("所含税率（%）"), gettext("报价时间")),
        *(gettext("有效期至"), gettext("状态"), gettext("理由")),
    )
    return exports.exported("beam-quotes", wanted, head, map(_cells, found.order_by("-pk")[: shell.EXPORT_LIMIT]))


def _cells(row: BeamQuote) -> list[Any]:
    request = row.request
    proposal = request.proposal
    return [
        *(proposal.number, bilingual(proposal.organisation), bilingual(proposal.facility)),
        *(request.beamline.code, request.cycle.code, row.shifts, Money(row.shift_fen), quoting.price_of(row)),
        f"{row.tax_bp / 100:g}",
        timezone.localtime(row.offered_at).isoformat(timespec="minutes"),
        timezone.localtime(row.valid_until).isoformat(timespec="minutes"),
        *(label_of("beam_quote", row.state)[1], row.answer_note),
    ]


@shell.needs(*WHO)
def beam_quote(request: HttpRequest, number: int) -> HttpResponse:
    """Show one quote; accept, decline or withdraw it."""
    actor = shell.actor_of(request)
    row = quote_access.get_quote(actor, number)
    error = None
    if request.method == "POST":
        act = shell.act_of(request, "look", "accept", "decline", "withdraw")
        _done, error = shell.attempt(lambda: _do(act, actor, row, request))
        if error is None and act != "look":
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
    chosen = request.POST.getlist("vouchers")
    active = wallet.vouchers_of(actor).filter(state=VoucherState.ACTIVE.value) if is_mine and is_open else []
    context = {
        "quote": row,
        "proposal": row.request.proposal,
        "price": quoting.price_of(row),
        "shift": Money(row.shift_fen),
        "may_answer": is_mine and is_open,
        "is_office": not is_mine,
        "may_withdraw": row.state == "offered" and not is_mine and actor.may(P.FACILITY_MANAGE),
        "vouchers": list(active)[:50],
        "chosen": chosen,
        "plan": _plan(actor, row, chosen) if is_mine and is_open else None,
        "note": request.POST.get("note", ""),
        "bill": correcting.bill_of(row),
        "tax": f"{row.tax_bp / 100:g}",
        "error": error,
    }
    return shell.page(request, "beam/quote.html", context, status=error.status if error else 200)


def _plan(actor: Actor, row: BeamQuote, chosen: list[str]) -> dict[str, Any]:
    """Return who would pay which part with the vouchers chosen, and what speaks against them."""
    found, _error = shell.attempt(lambda: wallet.get_vouchers(actor, chosen))
    plan = quoting.look(quote=row, vouchers=found or [], now=timezone.now())
    return {"split": plan.split, "against": [explain_reason(one) for one in plan.reasons]}


def _do(act: str, actor: Actor, row: BeamQuote, request: HttpRequest) -> Any:
    now, note = timezone.now(), request.POST.get("note", "")
    if act == "look":
        return wallet.get_vouchers(actor, request.POST.getlist("vouchers"))
    if act == "decline":
        return quoting.decline(actor=actor, quote=row, note=note, now=now)
    if act == "withdraw":
        return quoting.withdraw(actor=actor, quote=row, note=note, now=now)
    said = [request.POST.get(name, "") for name in ("shifts", "shift_fen")]
    if not all(text.isascii() and text.isdigit() and len(text) < 13 for text in said):
        raise BadPage
    vouchers = wallet.get_vouchers(actor, request.POST.getlist("vouchers"))
    return quoting.accept(actor=actor, quote=row, seen=(int(said[0]), int(said[1])), vouchers=vouchers, now=now)
