"""The review before an instrument is published: what is missing for its lab, the desk for the officer."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.pages import acts, shell, slots
from portal.pages.templatetags.show import bilingual
from scheduler.catalogue import access as catalogue
from scheduler.catalogue import admitting
from scheduler.catalogue.checklist import Finding
from scheduler.resources import access
from scheduler.resources import queries as rates
from scheduler.resources.models import Resource
from scheduler.resources.rules import PublishState

__all__ = ["MENDED", "admission", "admissions", "instrument_review"]

SORTS = {"number": ["number"], "owner": ["owner__name", "pk"], "value": ["instrument__original_value_fen", "pk"]}
MENDED = {
    "rate": "instrument_rate",
    "hours": "instrument_hours",
    "internal_no": "instrument_edit",
    "original_value_fen": "instrument_edit",
    "contact": "instrument_edit",
    "share_mode": "instrument_edit",
    "running_state": "instrument_edit",
}
"""Where the lab mends what a line of the checklist is about."""


def _line(finding: Finding) -> dict[str, Any]:
    told = explain_reason(finding.reason)
    return {
        "title": gettext(finding.title),
        "found": finding.found.value,
        "text": told["text"],
        "remedy": told["remedy"],
        "where": MENDED.get(finding.reason.field, ""),
    }


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_review(request: HttpRequest, number: str) -> HttpResponse:
    """Show what is missing for the review; propose the instrument, or take the proposal back."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    error: Explained | None = None
    if request.method == "POST":
        act = shell.act_of(request, "propose", "recall")
        done = admitting.propose if act == "propose" else admitting.recall
        _made, error = acts.attempt_on("resource", lambda: done(actor=actor, resource=resource, now=now))
        if error is None:
            said = (
                gettext("已提交平台审核；通过后即发布，结果见工作台。")
                if act == "propose"
                else gettext("已撤回，仪器转为草稿。")
            )
            messages.success(request, said)
            return redirect("instrument_review", number)
        resource = access.get_own_instrument(actor, number)
        error = slots.renamed(error, dict.fromkeys(MENDED, ""))
    lines = [_line(finding) for finding in admitting.findings(resource, now=now)]
    context = {
        "resource": resource,
        "lines": lines,
        "missing": sum(line["found"] == "missing" for line in lines),
        "history": catalogue.admissions_of(resource),
        "may_propose": resource.state in {PublishState.DRAFT.value, PublishState.RETURNED.value},
        "error": error,
    }
    return shell.page(request, "lab/review.html", context, status=error.status if error else 200)


@shell.needs(Permission.INSTRUMENT_ADMIT)
def admissions(request: HttpRequest) -> HttpResponse:
    """List what waits for review."""
    found = access.proposed_instruments(shell.actor_of(request))
    if shell.wants_csv(request):
        return _csv(list(found.order_by("pk")[: shell.EXPORT_LIMIT]))
    listing = shell.listing(request, found, sorts=SORTS, default="number")
    return shell.page(request, "lab/admissions.html", {"listing": listing})


def _csv(rows: list[Resource]) -> HttpResponse:
    head = (
        gettext("编号"),
        gettext("名称"),
        gettext("单位"),
        gettext("所在城市"),
        gettext("资产编号"),
        gettext("原值"),
    )
    return shell.csv_response(
        "instruments-to-review",
        head,
        (
            (
                row.number,
                bilingual(row),
                bilingual(row.owner),
                row.city,
                row.internal_no,
                f"{row.instrument.original_value_fen / 100:.2f}",
            )
            for row in rows
        ),
    )


class DecisionForm(forms.Form):
    """What the officer decides. Reasons are needed for a return."""

    reasons = forms.CharField(
        label=_("退回原因"),
        max_length=1000,
        required=False,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("退回时必填，提供单位会看到；通过时可作为备注。"),
    )


@shell.needs(Permission.INSTRUMENT_ADMIT)
def admission(request: HttpRequest, number: str) -> HttpResponse:
    """Show a proposed instrument with its checklist; admit it or give it back."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_proposed(actor, number)
    form = DecisionForm(request.POST if request.method == "POST" else None)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        act = shell.act_of(request, "admit", "return")
        said = form.cleaned_data["reasons"]
        _done, error = acts.attempt_on(
            "resource",
            lambda: (
                admitting.admit(actor=actor, resource=resource, note=said, now=now)
                if act == "admit"
                else admitting.give_back(actor=actor, resource=resource, reasons=said, now=now)
            ),
        )
        if error is None:
            done = {"admit": gettext("已通过，仪器已发布。"), "return": gettext("已退回，提供单位会看到原因。")}
            messages.success(request, done[act])
            return redirect("admissions")
        error = slots.put_back(form, slots.renamed(error, dict.fromkeys(MENDED, "")))
    context = {
        "resource": resource,
        "lines": [_line(finding) for finding in admitting.findings(resource, now=now)],
        "history": catalogue.admissions_of(resource),
        "prices": rates.prices_of_resource(resource.pk, at=now),
        "form": form,
        "error": error,
    }
    return shell.page(
        request, "lab/admission.html", context, status=error.status if error else 422 if form.errors else 200
    )
