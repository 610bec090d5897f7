"""Vouchers as others than their holders meet them: the department's register, a provider's counter, a stranger's check."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from portal.pages.casework import capital, language
from portal.pages.labels import label_of
from portal.pages.shell import (
    EXPORT_LIMIT,
    act_of,
    actor_of,
    attempt,
    csv_response,
    guarded,
    listing,
    needs,
    page,
    wants_csv,
)
from portal.pages.templatetags.show import bilingual
from portal.pages.wallet import Purse, purses_of
from portal.throttling import within
from scheduler.resources.rules import ServiceClass
from vouchers.programmes import names
from vouchers.wallets import access, certificates, redeeming, services
from vouchers.wallets.models import Voucher

SORTS = {
    "number": ["pk"],
    "holder": ["holder__name"],
    "programme": ["programme_code"],
    "face": ["face_fen"],
    "until": ["valid_until"],
}
CHECKS_PER_MINUTE = 30
"""How often one address may open certificates in a minute: enough for a desk, too slow to search."""


class Filters(forms.Form):
    """What the register may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *Voucher.State.choices])
    q = forms.CharField(label=_("券号、单位或政策代码"), required=False, max_length=60)


class ReasonForm(forms.Form):
    """Why a voucher is stopped or let go."""

    reason = forms.CharField(
        label=_("原因"),
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("持券单位会看到，并进入审计记录。"),
    )


class CodeForm(forms.Form):
    """A code as it is read out, and what it is to pay for."""

    code = forms.CharField(
        label=_("券码"),
        max_length=60,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "autocapitalize": "characters"}),
        help_text=_("20 位字母和数字，由持券单位出示；空格和连字符可有可无。"),
    )
    service = forms.ChoiceField(label=_("用于"))

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        said = language()
        kinds = dict.fromkeys([each.value for each in ServiceClass] + list(names.KINDS))
        self.fields["service"] = forms.ChoiceField(
            label=_("用于"), choices=[(kind, capital(names.kind(kind).say(said))) for kind in kinds]
        )


def _used(rows: QuerySet[Voucher]) -> QuerySet[Voucher]:
    return rows.annotate(used_fen=Coalesce(Sum(F("parts__captured_fen") - F("parts__refunded_fen")), 0))


@needs(Permission.VOUCHER_REGISTER)
def register(request: HttpRequest) -> HttpResponse:
    """List the vouchers of the department's programmes with what is left of each."""
    filters = Filters(request.GET)
    values = filters.cleaned_data if filters.is_valid() else {}
    rows = access.register(actor_of(request))
    if state := values.get("state"):
        rows = rows.filter(state=state)
    if q := (values.get("q") or "").strip():
        named = Q(holder__name__icontains=q) | Q(holder__name_en__icontains=q)
        rows = rows.filter(Q(number__icontains=q) | Q(programme_code__icontains=q) | named)
    now = timezone.now()
    if wants_csv(request):
        return _csv(purses_of(_used(rows).order_by("-pk")[:EXPORT_LIMIT], now=now))
    found = listing(request, _used(rows), sorts=SORTS, default="-number")
    context = {"filters": filters, "listing": found, "purses": purses_of(found.rows, now=now)}
    return page(request, "vouchers/register.html", context)


def _csv(purses: Iterable[Purse]) -> HttpResponse:
    header = (
        *(_("券号"), _("持券单位"), _("统一社会信用代码"), _("政策项目"), _("年度"), _("状态")),
        *(_("面额（元）"), _("已用（元）"), _("已冻结（元）"), _("可用（元）"), _("最后有效日"), _("原因")),
    )
    return csv_response(
        "voucher-register",
        header,
        (
            [
                purse.voucher.number,
                bilingual(purse.voucher.holder),
                purse.voucher.holder.credit_code,
                bilingual(purse.voucher.application.version),
                purse.voucher.fiscal_year,
                label_of("voucher", purse.state)[1],
                Money(purse.voucher.face_fen).yuan(),
                Money(purse.used_fen).yuan(),
                Money(purse.held_fen).yuan(),
                Money(0 if purse.is_ended else purse.left_fen).yuan(),
                timezone.localtime(purse.last_moment).date().isoformat(),
                purse.voucher.note,
            ]
            for purse in purses
        ),
    )


@needs(Permission.VOUCHER_REGISTER)
def registered(request: HttpRequest, number: str) -> HttpResponse:
    """Show one voucher to its department, and let an authorised officer stop it or let it go."""
    actor = actor_of(request)
    found = access.get_registered(actor, number)
    form = ReasonForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        act = {"freeze": services.freeze, "unfreeze": services.unfreeze}[act_of(request, "freeze", "unfreeze")]
        reason = form.cleaned_data["reason"]
        done, error = attempt_on("voucher", lambda: act(actor=actor, voucher=found, reason=reason, now=timezone.now()))
        if error is None:
            messages.success(request, gettext("券 %(number)s 的状态已更新。") % {"number": done.number})
            return redirect("registered_voucher", number=number)
        found = access.get_registered(actor, number)
    [purse] = purses_of(_used(access.register(actor)).filter(pk=found.pk), now=timezone.now())
    context = {
        "purse": purse,
        "voucher": found,
        "form": form,
        "error": error,
        "may_act": actor.may(Permission.VOUCHER_FREEZE) and found.state in {"active", "frozen"},
        "events": events(audit.trail(f"voucher:{number}", actor=actor)),
    }
    status = error.status if error else 422 if form.errors else 200
    return page(request, "vouchers/registered.html", context, status=status)


@needs(Permission.VOUCHER_CHECK)
def counter(request: HttpRequest) -> HttpResponse:
    """Let a provider's counter try a code: what it is good for, and nothing else."""
    form = CodeForm(request.POST if request.method == "POST" else None)
    shown = error = None
    if request.method == "POST" and form.is_valid():
        values = form.cleaned_data
        shown, error = attempt(
            lambda: redeeming.look_up(
                actor=actor_of(request), text=values["code"], service=values["service"], now=timezone.now()
            )
        )
    context = {
        "form": form,
        "shown": shown,
        "what": capital(names.kind(shown.service).say(language())) if shown else "",
        "is_whole": shown is not None and shown.share == Fraction(1),
        "error": error,
    }
    response = page(request, "vouchers/counter.html", context, status=error.status if error else 200)
    response["Cache-Control"] = "no-store"
    return response


@guarded
def verify(request: HttpRequest, token: str) -> HttpResponse:
    """Tell anybody whether a certificate is genuine, and show what is printed on it and how the voucher stands."""
    if not within(f"verify:{request.META.get('REMOTE_ADDR', '')}", most=CHECKS_PER_MINUTE):
        response = page(request, "vouchers/verify.html", {"too_many": True}, status=429)
        response["Retry-After"] = "60"
        return response
    try:
        found = certificates.genuine(token=token, now=timezone.now())
    except NotFound:
        return page(request, "vouchers/verify.html", {"found": None}, status=404)
    printed = {name: words[language()] for name, words in found.printed.items()}
    response = page(request, "vouchers/verify.html", {"found": found, "printed": printed})
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex"
    return response
