"""Bank references said by hand (登记的流水号): what each was recorded for, and how two persons release a mistyped one."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Permission
from portal.pages import exports, shell
from portal.pages.actions import events
from portal.pages.acts import attempt_on
from vouchers.banking import access, releasing
from vouchers.banking.models import BankClaim, StatementLine

__all__ = ["bank_claim", "bank_claims"]

SORTS = {"day": ["claimed_at"], "reference": ["reference"], "subject": ["subject"]}
KINDS = {
    "in": (_("付款到账"), "payment"),
    "back": (_("退款付出"), "payment"),
    "batch": (_("兑付批次"), "settlement"),
    "order": (_("付款指令"), "payment_order"),
    "recovery": (_("追缴来款"), "recovery"),
}
TRAILS = {"in": "payment", "back": "payment", "batch": "settlement", "order": "payment_order", "recovery": "recovery"}


class ClaimFilters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), ("doubted", _("待复核撤销"))])
    q = forms.CharField(label=_("流水号，或付款、批次、指令号"), required=False, max_length=60)


def shown(claim: BankClaim) -> dict[str, Any]:
    """Return what a reference was recorded for in words, with its number and page."""
    kind, _colon, number = claim.subject.partition(":")
    words, name = KINDS[kind]
    state = "released" if claim.released_at else "doubted" if claim.doubter else "claimed"
    return {"row": claim, "kind": words, "number": number, "url": reverse(name, args=[number]), "state": state}


@shell.needs(*access.FINANCE)
def bank_claims(request: HttpRequest) -> HttpResponse:
    """List the references that finance typed in by hand."""
    filters = ClaimFilters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    actor = shell.actor_of(request)
    rows = access.claims_like(actor, values.get("q", ""), doubted=values.get("state") == "doubted")
    if (wanted := request.GET.get("format")) in exports.FORMATS:
        return _exported(str(wanted), list(rows.order_by("claimed_at", "pk")[: shell.EXPORT_LIMIT]))
    listing = shell.listing(request, rows, sorts=SORTS, default="-day")
    context = {
        "listing": listing,
        "rows": [shown(row) for row in listing.rows],
        "filters": filters,
        "filtered": any(values.values()),
    }
    return shell.page(request, "banking/claims.html", context)


def _exported(wanted: str, rows: list[BankClaim]) -> HttpResponse:
    head = (_("流水号"), _("登记为"), _("单号"), _("登记时间"), _("正确的流水号"), _("撤销原因"), _("撤销时间"))
    made = (
        (
            one["row"].reference,
            str(one["kind"]),
            one["number"],
            timezone.localtime(one["row"].claimed_at).isoformat(timespec="minutes"),
            one["row"].right,
            one["row"].doubt,
            timezone.localtime(one["row"].released_at).isoformat(timespec="minutes") if one["row"].released_at else "",
        )
        for one in map(shown, rows)
    )
    return exports.exported("bank-claims", wanted, head, made)


@shell.needs(*access.FINANCE)
def bank_claim(request: HttpRequest, pk: int) -> HttpResponse:
    """Show what a reference was recorded for; say that it is wrong, or release it as a second person."""
    claim = access.get_claim(shell.actor_of(request), pk)
    if request.method != "POST":
        return _page(request, claim)
    actor, now = shell.actor_of(request), timezone.now()
    act = shell.act_of(request, "doubt", "stand", "release")
    reason, right = request.POST.get("reason", ""), request.POST.get("right", "")[:60]
    acts: dict[str, Any] = {
        "doubt": lambda: releasing.doubt(actor=actor, claim=claim, reason=reason, right=right, now=now),
        "stand": lambda: releasing.stand(actor=actor, claim=claim, now=now),
        "release": lambda: releasing.release(actor=actor, claim=claim, now=now),
    }
    _done, error = attempt_on("bank_claim", acts[act])
    if error is not None:
        return _page(request, access.get_claim(actor, pk), error=error)
    said = {
        "doubt": gettext("已提出，由另一位同事复核。"),
        "stand": gettext("已维持登记。"),
        "release": gettext("已撤销登记：这条流水可以重新核销，已办理的付款不变。"),
    }
    messages.success(request, said[act])
    return redirect("bank_claim", pk=pk)


def _page(request: HttpRequest, claim: BankClaim, *, error: Explained | None = None) -> HttpResponse:
    actor = shell.actor_of(request)
    kind, _colon, number = claim.subject.partition(":")
    context = {
        **shown(claim),
        "line": StatementLine.objects.filter(reference=claim.reference).first(),
        "may_doubt": actor.may(Permission.BANK_MATCH),
        "is_mine": claim.doubted_by_id == actor.person,
        "reason": request.POST.get("reason", ""),
        "right": request.POST.get("right", ""),
        "events": events(audit.trail(f"{TRAILS[kind]}:{number}", actor=actor)),
        "error": error,
    }
    return shell.page(request, "banking/claim.html", context, status=error.status if error else 200)
