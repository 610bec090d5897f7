"""Review of applications by the department: the queue, and one case with its facts beside the rules."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.db.models import Count
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import casework
from portal.pages.acts import attempt_on
from portal.pages.fields import YuanField
from portal.pages.shell import act_of, actor_of, listing, needs, page
from vouchers.issuance import access, services
from vouchers.issuance.models import Application
from vouchers.issuance.rules import ApplicationState

SORTS = {
    "number": ["pk"],
    "submitted": ["submitted_at"],
    "amount": ["amount_fen"],
    "organisation": ["organisation__name"],
}
TABS = {
    "submitted": (_("待初审"), [ApplicationState.SUBMITTED.value]),
    "reviewed": (_("待审批"), [ApplicationState.REVIEWED.value]),
    "returned": (_("待企业补充"), [ApplicationState.SUPPLEMENT.value]),
    "closed": (
        _("已办结"),
        [ApplicationState.ISSUED.value, ApplicationState.REFUSED.value, ApplicationState.WITHDRAWN.value],
    ),
}
DECIDERS = access.DECIDERS


@needs(*DECIDERS)
def queue(request: HttpRequest) -> HttpResponse:
    """List the department's cases by what they wait for; the longest waiting first."""
    actor = actor_of(request)
    default = "submitted" if actor.may(Permission.APPLICATION_REVIEW) else "reviewed"
    tab = request.GET.get("tab", default)
    if tab not in TABS:
        tab = default
    cases = access.cases(actor)
    counts = dict(cases.order_by().values_list("state").annotate(Count("pk")))
    found = listing(
        request,
        cases.filter(state__in=TABS[tab][1]),
        sorts=SORTS,
        default="submitted" if tab != "closed" else "-number",
    )
    return page(
        request,
        "applications/queue.html",
        {
            "listing": found,
            "tab": tab,
            "tabs": [
                (name, label, sum(counts.get(state, 0) for state in states)) for name, (label, states) in TABS.items()
            ],
            "actor": actor,
        },
    )


class DecideForm(forms.Form):
    """What a decider says: the amount, and a note the applicant will read."""

    amount = YuanField(label=_("审定金额（元）"), required=False, help_text=_("可以低于测算金额，不能高于它。"))
    note = forms.CharField(
        label=_("意见"),
        required=False,
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("退回或不予通过时必须写明原因，申请单位会看到。"),
    )


def _get_case(actor: Actor, number: str) -> Application:
    application = access.cases(actor).filter(number=number).first()
    if application is None:
        raise NotFound
    return application


@needs(*DECIDERS)
def case(request: HttpRequest, number: str) -> HttpResponse:
    """Show a case, facts beside rules, and take the decision."""
    actor = actor_of(request)
    application = _get_case(actor, number)
    form = DecideForm(initial={"amount": Money(application.amount_fen)})
    if request.method != "POST":
        return _case_page(request, application, form)
    form = DecideForm(request.POST)
    if not form.is_valid():
        return _case_page(request, application, form, status=422)
    done, error = _decide(request, application, form)
    if error:
        return _case_page(request, _get_case(actor, number), form, error=error, status=error.status)
    messages.success(request, done)
    return redirect("review_queue")


def _decide(request: HttpRequest, application: Application, form: DecideForm) -> tuple[str, Explained | None]:
    """Do what was pressed; return the sentence to say, or what went wrong."""
    actor, now = actor_of(request), timezone.now()
    act = act_of(request, "endorse", "approve", "return", "refuse")
    note = form.cleaned_data["note"]
    number = {"number": application.number}
    if act == "approve":
        voucher, error = attempt_on(
            "application", lambda: services.approve(actor=actor, application=application, now=now)
        )
        said = (
            ""
            if error
            else gettext("%(number)s 已批准，券 %(voucher)s 已发放。") % {**number, "voucher": voucher.number}
        )
        return said, error
    if act == "return":
        _case, error = attempt_on(
            "application",
            lambda: services.return_to_applicant(actor=actor, application=application, note=note, now=now),
        )
        return gettext("%(number)s 已退回企业补充，预留额度已释放。") % number, error
    if act == "refuse":
        _case, error = attempt_on(
            "application", lambda: services.refuse(actor=actor, application=application, note=note, now=now)
        )
        return gettext("%(number)s 不予通过，预留额度已释放。") % number, error
    _case, error = attempt_on(
        "application",
        lambda: services.endorse(
            actor=actor, application=application, amount=form.cleaned_data["amount"], note=note, now=now
        ),
    )
    return gettext("%(number)s 已通过初审，转另一位同事审批。") % number, error


def _case_page(
    request: HttpRequest,
    application: Application,
    form: DecideForm,
    *,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    state = application.state
    had_part = actor.user_id in {application.submitted_by_id, application.reviewed_by_id}
    return page(
        request,
        "applications/case.html",
        {
            "application": application,
            "told": casework.explained(casework.decision_of(application)),
            "groups": casework.facts_of(application.request),
            "purchases": casework.purchases_of(application.request),
            "history": casework.awards_of(application.request),
            "events": casework.timeline(application, actor),
            "form": form,
            "error": error,
            "may_review": state == ApplicationState.SUBMITTED.value and actor.may(Permission.APPLICATION_REVIEW),
            "may_approve": state == ApplicationState.REVIEWED.value and actor.may(Permission.APPLICATION_APPROVE),
            "had_part": had_part,
        },
        status=status,
    )
