"""Checks of jobs: the nightly audit of three books, and runs that cannot be priced, for two operators to rule."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.pages import shell
from portal.pages.acts import attempt_on
from scheduler.messages import access as told
from scheduler.metering import access, quarantining, rules
from scheduler.metering.models import QuarantinedRun

__all__ = ["audit", "audits", "quarantine", "quarantined"]

AUDIT_SORTS = {"number": ["pk"], "jobs": ["jobs"], "fen": ["ledger_fen"]}
SORTS = {"opened": ["opened_at"], "state": ["state"], "doubt": ["doubt"]}
WATCHERS = (Permission.CLUSTER_READ, *access.OVERSEERS)


class Filters(forms.Form):
    """What the list of runs without a price may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *QuarantinedRun.State.choices])


class RulingForm(forms.Form):
    """What a run counts as, and why."""

    count = forms.IntegerField(
        label=_("计费的卡数或核数"), min_value=1, max_value=1_000_000, required=False, help_text=_("不填表示不计费。")
    )
    reason = forms.CharField(label=_("理由"), max_length=300, widget=forms.Textarea(attrs={"rows": 3}))


@shell.needs(*access.OVERSEERS)
def audits(request: HttpRequest) -> HttpResponse:
    """List the nightly audits."""
    found = access.audits(shell.actor_of(request))
    listing = shell.listing(request, found, sorts=AUDIT_SORTS, default="-number")
    return shell.page(request, "jobs/audits.html", {"listing": listing, "unseen": _unseen(request)})


def _unseen(request: HttpRequest) -> int:
    actor = shell.actor_of(request)
    return told.unseen(actor) if actor.user_id is not None else 0


@shell.needs(*access.OVERSEERS)
def audit(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one audit: three sums, and every difference by name; CSV of the differences."""
    found = access.audits(shell.actor_of(request)).filter(pk=pk).first()
    if found is None:
        raise NotFound
    if shell.wants_csv(request):
        head = (gettext("作业号"), gettext("差异"), gettext("平台"), gettext("对方"))
        rows = ([one["subject"], one["kind"], one["portal"], one["other"]] for one in found.differences)
        return shell.csv_response(f"job-audit-{pk}", head, rows)
    return shell.page(request, "jobs/audit.html", {"audit": found})


@shell.needs(*WATCHERS)
def quarantine(request: HttpRequest) -> HttpResponse:
    """List runs that cannot be priced."""
    rows = access.quarantined(shell.actor_of(request))
    filters = Filters(request.GET)
    if filters.is_valid() and (state := filters.cleaned_data["state"]):
        rows = rows.filter(state=state)
    listing = shell.listing(request, rows, sorts=SORTS, default="-opened")
    return shell.page(request, "jobs/quarantine.html", {"listing": listing, "filters": filters})


@shell.needs(Permission.CLUSTER_READ)
def quarantined(request: HttpRequest, pk: int) -> HttpResponse:
    """Show one run without a price; one operator proposes what it counts as, another approves or sends it back."""
    actor, now = shell.actor_of(request), timezone.now()
    found = access.get_quarantined(actor, pk)
    form, error = RulingForm(request.POST if request.POST.get("act") == "propose" else None), None
    if request.method == "POST":
        act = shell.act_of(request, "propose", "approve", "reject")
        if act == "propose" and form.is_valid():
            ruling = rules.Ruling(form.cleaned_data["count"], form.cleaned_data["reason"])
            _done, error = attempt_on(
                "quarantine",
                lambda: quarantining.propose(actor=actor, quarantined=found, ruling=ruling, now=now),
            )
        elif act != "propose":
            verb = quarantining.approve if act == "approve" else quarantining.reject
            _done, error = attempt_on("quarantine", lambda: verb(actor=actor, quarantined=found, now=now))
        if error is None and not form.errors:
            messages.success(request, gettext("已记录。"))
            return redirect("quarantined_run", pk=pk)
        found = access.get_quarantined(actor, pk)
    context = {
        "found": found,
        "thing": found.run or found.unmanaged,
        "form": form,
        "error": error,
        "may_rule": found.state == rules.QuarantineState.OPEN.value,
        "may_decide": found.state == rules.QuarantineState.PROPOSED.value and found.proposed_by_id != actor.user_id,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "jobs/quarantined.html", context, status=status)
