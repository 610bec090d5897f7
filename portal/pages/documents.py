"""Documents of what was paid: the list of settled charges, one charge's documents and tax invoice, files, and checking."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal import links
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import exports, shell
from portal.pages.actions import subject_link
from portal.pages.casework import language
from portal.pages.labels import label_of
from portal.throttling import within
from vouchers.charges.models import Charge
from vouchers.invoices import access, contents, documents, papers, rules, services

__all__ = ["READERS", "as_file", "charge", "settled", "verify"]

READERS = (
    Permission.VOUCHER_READ_OWN,
    Permission.INVOICE_ISSUE,
    Permission.SETTLEMENT_READ_OWN,
    Permission.CHARGE_REFUND,
    Permission.LEDGER_READ,
)
SORTS = {"number": ["pk"], "amount": ["actual_fen"], "settled": ["resolved_at"], "own": ["own_captured_fen"]}
TYPES = {"pdf": "application/pdf", "json": "application/json; charset=utf-8", "xml": "application/xml; charset=utf-8"}
CHECKS_PER_MINUTE = 30


class Filters(forms.Form):
    """What the list may be narrowed to."""

    q = forms.CharField(label=_("费用单号、业务单号或单位"), required=False, max_length=60)


def _narrowed(rows: QuerySet[Charge], text: str) -> QuerySet[Charge]:
    if not text:
        return rows
    return rows.filter(
        Q(number__icontains=text)
        | Q(subject__icontains=text)
        | Q(payer__name__icontains=text)
        | Q(provider__name__icontains=text)
    )


def _latest(charge: Charge) -> Any:
    """Return the blue tax invoice that stands for a charge, or the last one asked for."""
    blues = [one for one in charge.fapiaos.all() if one.colour == rules.Colour.BLUE.value]
    return blues[0] if blues else None


@shell.needs(*READERS)
def settled(request: HttpRequest) -> HttpResponse:
    """List settled charges with their tax invoices: the reader's purchases or sales; for finance, all."""
    actor = shell.actor_of(request)
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    rows = _narrowed(access.taken_visible_to(actor), values.get("q", "")).prefetch_related("fapiaos")
    if (wanted := request.GET.get("format", "")) in exports.FORMATS:
        return _exported(rows.order_by("-pk")[: shell.EXPORT_LIMIT], wanted)
    found = shell.listing(request, rows, sorts=SORTS, default="-settled")
    return shell.page(
        request,
        "documents/list.html",
        {
            "listing": found,
            "filters": filters,
            "filtered": any(values.values()),
            "rows": [(row, subject_link(row.subject)[0], _latest(row)) for row in found.rows],
            "actor": actor,
        },
    )


def _exported(rows: QuerySet[Charge], wanted: str) -> HttpResponse:
    head = (
        *(_("费用单号"), _("业务单号"), _("付款单位"), _("服务单位"), _("结算时间"), _("金额（元）")),
        *(_("券抵扣（元）"), _("企业自付（元）"), _("已退款（元）"), _("发票状态"), _("发票号码")),
    )
    return exports.exported("documents", wanted, head, (_row(row) for row in rows))


def _row(row: Charge) -> list[Any]:
    fapiao = _latest(row)
    return [
        *(row.number, row.subject.partition(":")[2], row.payer.name, row.provider.name),
        timezone.localtime(row.resolved_at).isoformat(timespec="minutes") if row.resolved_at else "",
        *(Money(row.actual_fen or 0), Money(row.voucher_captured_fen), Money(row.own_captured_fen)),
        Money(row.refunded_fen),
        label_of("fapiao", fapiao.state)[1] if fapiao else "",
        fapiao.printed_number if fapiao else "",
    ]


def may_ask(actor: Actor, charge: Charge) -> bool:
    """Say whether the reader may ask for a tax invoice over what of a charge stays paid in money."""
    latest = _latest(charge)
    is_free = latest is None or latest.state in {"declined", "withdrawn"} or latest.red_issued_fen == latest.amount_fen
    return (
        is_free
        and actor.may(Permission.INVOICE_REQUEST)
        and actor.organisation_id == charge.payer_id
        and services.covered_fen(charge=charge, covers=services.covers_of(charge=charge)) > 0
    )


@shell.needs(*READERS)
def charge(request: HttpRequest, number: str) -> HttpResponse:
    """Show every document of a charge, with who pays what and its tax invoices; a post makes at once what is being made."""
    actor = shell.actor_of(request)
    found = access.get_taken(actor, number)
    if request.method == "POST":
        documents.all_for(actor=actor, charge=found, now=timezone.now())
        return redirect("charge_documents", number=number)
    made = documents.documents_of(found)
    about, url = subject_link(found.subject)
    return shell.page(
        request,
        "documents/charge.html",
        {
            "charge": found,
            "about": about,
            "about_url": url if actor.organisation_id == found.payer_id else "",
            "documents": made,
            "missing": documents.missing_of(found),
            "invoice": made[0].content if made else contents.invoice_of(found, now=timezone.now()),
            "english": language() == "en",
            "fapiaos": list(found.fapiaos.select_related("original", "replaces").order_by("pk")),
            "may_ask": may_ask(actor, found),
            "unpaid": bool(found.own_captured_fen) and not documents.is_paid(found),
        },
    )


@shell.needs(*READERS)
def as_file(request: HttpRequest, number: str, kind: str) -> HttpResponse:
    """Hand out a document as PDF/A in the language of the page, or its data as JSON or XML."""
    found = access.get_document(shell.actor_of(request), number)
    if kind == "pdf":
        url = links.absolute(request, reverse("document_verify", args=[documents.token_of(found)]))
        content = papers.pdf(document=found, url=url, lang=language())
    elif kind == "xml":
        content = papers.xml(found)
    elif kind == "json":
        said = documents.structured(found)
        content = json.dumps(said, ensure_ascii=False, indent=2, sort_keys=True).encode()
    else:
        raise NotFound
    response = HttpResponse(content, content_type=TYPES[kind])
    response["Content-Disposition"] = f'attachment; filename="{number}.{kind}"'
    response["Cache-Control"] = "private, no-store"
    return response


@shell.guarded
def verify(request: HttpRequest, token: str) -> HttpResponse:
    """Tell anybody whether a document is genuine, what its sum and digest are, and what has corrected it since."""
    if not within(f"document:{request.META.get('REMOTE_ADDR', '')}", most=CHECKS_PER_MINUTE):
        response = shell.page(request, "documents/verify.html", {"too_many": True}, status=429)
        response["Retry-After"] = "60"
        return response
    try:
        found = documents.genuine(token=token)
    except NotFound:
        return shell.page(request, "documents/verify.html", {"found": None}, status=404)
    context = {"found": found, "content": found.document.content, "english": language() == "en"}
    response = shell.page(request, "documents/verify.html", context)
    response["Cache-Control"] = "no-store"
    response["X-Robots-Tag"] = "noindex"
    return response
