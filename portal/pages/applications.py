"""An enterprise's own applications: the list, one in full, what it still lacks, withdrawing it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.pages import casework
from portal.pages.acts import attempt_on
from portal.pages.labels import label_of
from portal.pages.shell import EXPORT_LIMIT, actor_of, csv_response, listing, needs, page, wants_csv
from portal.pages.standing import holding, standing
from portal.pages.templatetags.show import bilingual
from vouchers.evidence import access as evidence
from vouchers.issuance import access, appeals, drafts, queries, services
from vouchers.issuance.models import Application
from vouchers.issuance.rules import TRANSITIONS, ApplicationAction, ApplicationState

SORTS = {"number": ["pk"], "submitted": ["submitted_at"], "amount": ["amount_fen"], "state": ["state"]}
READERS = (Permission.APPLICATION_SUBMIT, Permission.VOUCHER_READ_OWN)


class Filters(forms.Form):
    """What the list may be narrowed to."""

    state = forms.ChoiceField(label=_("状态"), required=False, choices=[("", _("全部")), *Application.State.choices])
    q = forms.CharField(label=_("申请号或合同编号"), required=False, max_length=60)


@needs(*READERS)
def own(request: HttpRequest) -> HttpResponse:
    """List the organisation's applications."""
    actor = actor_of(request)
    rows = access.own_applications(actor)
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    if values.get("state"):
        rows = rows.filter(state=values["state"])
    if values.get("q"):
        rows = rows.filter(number__icontains=values["q"]) | rows.filter(contract_number__icontains=values["q"])
    if wants_csv(request):
        return _csv(rows.order_by("-pk")[:EXPORT_LIMIT])
    found = listing(request, rows, sorts=SORTS, default="-submitted")
    return page(
        request,
        "applications/list.html",
        {
            "listing": found,
            "filters": filters,
            "filtered": any(values.values()),
            "may_apply": actor.may(Permission.APPLICATION_SUBMIT),
        },
    )


def _csv(rows: Any) -> HttpResponse:
    header = (_("申请号"), _("政策项目"), _("合同编号"), _("状态"), _("金额（元）"), _("提交时间"), _("券号"))
    return csv_response(
        "applications",
        header,
        (
            [
                row.number,
                bilingual(row.version),
                row.contract_number,
                label_of("application", row.state)[1],
                Money(row.amount_fen).yuan(),
                timezone.localtime(row.submitted_at).isoformat(timespec="minutes") if row.submitted_at else "",
                row.voucher.number if hasattr(row, "voucher") else "",
            ]
            for row in rows
        ),
    )


@require_POST
@needs(Permission.APPLICATION_SUBMIT)
def appeal(request: HttpRequest, number: str) -> HttpResponse:
    """Appeal against a refusal or a noticed result, with the grounds."""
    actor = actor_of(request)
    application = access.get_application(actor, number)
    note = request.POST.get("note", "")
    _done, error = attempt_on(
        "application",
        lambda: appeals.appeal(actor=actor, application=application, note=note, now=timezone.now()),
    )
    if error:
        return _shown(request, access.get_application(actor, number), error=error, status=error.status)
    messages.success(request, gettext("申诉已提交，由未办理过本申请的人员处理。"))
    return redirect("application", number=number)


def allows(application: Application, action: ApplicationAction) -> bool:
    """Say whether the application's state allows `action`."""
    return (ApplicationState(application.state), action) in TRANSITIONS


def _shown(
    request: HttpRequest, application: Application, *, error: Explained | None = None, status: int = 200
) -> HttpResponse:
    actor = actor_of(request)
    is_own = application.organisation_id == actor.organisation_id and actor.may(Permission.APPLICATION_SUBMIT)
    return page(
        request,
        "applications/detail.html",
        {
            "application": application,
            "told": casework.explained(casework.decision_of(application)),
            "groups": casework.facts_of(application.request),
            "purchases": casework.purchases_of(application.request),
            "events": casework.timeline(application, actor),
            "voucher": getattr(application, "voucher", None),
            "steps": _steps(application),
            "receipt": request.GET.get("receipt") == "1",
            "files": list(evidence.files_of(drafts.subject_of(application))),
            "holding": holding(application, now=timezone.now()),
            "standing": standing(application),
            "may_appeal": is_own and _may_appeal(application, timezone.now()),
            "appeal_until": appeals.appeal_until(application),
            "may_complete": is_own and allows(application, ApplicationAction.COMPLETE),
            "may_withdraw": is_own and allows(application, ApplicationAction.WITHDRAW),
            "error": error,
        },
        status=status,
    )


def _may_appeal(application: Application, now: datetime) -> bool:
    if application.appealed_at is not None or not allows(application, ApplicationAction.APPEAL):
        return False
    until = appeals.appeal_until(application)
    return until is None or now < until


def _steps(application: Application) -> list[tuple[str, str]]:
    """Return the stages of an application with the class each is drawn in."""
    stages = [gettext(stage.stage) for stage in queries.stages(application.version)]
    names = [gettext("提交"), *stages, pgettext("stage", "发放")]
    state = ApplicationState(application.state)
    ended = state in {ApplicationState.REFUSED, ApplicationState.WITHDRAWN}
    if state in {ApplicationState.DRAFT, ApplicationState.SUPPLEMENT}:
        reached = 0
    elif state in {ApplicationState.ISSUED, ApplicationState.PAID}:
        reached = len(names)
    elif state is ApplicationState.REVIEW or ended or state is ApplicationState.APPEAL:
        reached = 1 + (application.stage if application.stage < len(stages) else 0)
    else:
        reached = len(names) - 1
    marks = [
        "done" if at < reached else ("bad" if ended else "now") if at == reached else "" for at in range(len(names))
    ]
    return list(zip(names, marks, strict=True))


@needs(*READERS)
def detail(request: HttpRequest, number: str) -> HttpResponse:
    """Show one application: the decision explained, what was done, and what can be done."""
    application = access.get_application(actor_of(request), number)
    if application.state == ApplicationState.DRAFT.value:
        return redirect("application_tasks", number)
    return _shown(request, application)


@require_POST
@needs(Permission.APPLICATION_SUBMIT)
def withdraw(request: HttpRequest, number: str) -> HttpResponse:
    """Withdraw an undecided application; what was reserved for it goes back to the pool."""
    actor = actor_of(request)
    application = access.get_application(actor, number)
    _done, error = attempt_on(
        "application", lambda: services.withdraw(actor=actor, application=application, now=timezone.now())
    )
    if error:
        return _shown(request, access.get_application(actor, number), error=error, status=error.status)
    messages.success(request, gettext("申请已撤回，预留的额度已退回资金池。"))
    return redirect("application", number=number)
