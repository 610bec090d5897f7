"""Review of applications by the department: the queue, and one case with its facts beside the rules."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, Exists, OuterRef, Q
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
from vouchers.issuance import access, conflicts, queries, reviewing
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.reviewing import Verdict
from vouchers.issuance.rules import CLOSED, ApplicationState
from vouchers.issuance.workflow import PERMISSION, StageRole

SORTS = {
    "number": ["pk"],
    "submitted": ["submitted_at"],
    "amount": ["amount_fen"],
    "organisation": ["organisation__name"],
}
S = ApplicationState
TABS: dict[str, tuple[Any, Q]] = {
    "review": (
        _("待审核"),
        Q(state=S.REVIEW.value, role__in=[StageRole.REVIEWER.value, StageRole.EXPERT.value]),
    ),
    "approval": (
        _("待审批"),
        Q(state=S.REVIEW.value, role__in=[StageRole.APPROVER.value, StageRole.COLLECTIVE.value]),
    ),
    "returned": (_("待企业补充"), Q(state=S.SUPPLEMENT.value)),
    "decided": (
        _("待发放"),
        Q(state__in=[S.WAITING.value, S.DECIDED.value, S.NOTICED.value, S.OBJECTION.value, S.GRANTED.value]),
    ),
    "closed": (_("已办结"), Q(state__in=[state.value for state in CLOSED])),
}
DECIDERS = access.DECIDERS


@needs(*DECIDERS)
def queue(request: HttpRequest) -> HttpResponse:
    """List the department's cases by what they wait for; the longest waiting first."""
    actor = actor_of(request)
    default = "review" if actor.may(Permission.APPLICATION_REVIEW) else "approval"
    tab = request.GET.get("tab", default)
    if tab not in TABS:
        tab = default
    cases = access.cases(actor)
    counts = cases.order_by().aggregate(**{name: Count("pk", filter=which) for name, (_label, which) in TABS.items()})
    decided = StageDecision.objects.filter(application=OuterRef("pk"), person_id=actor.user_id)
    found = listing(
        request,
        cases.filter(TABS[tab][1]).annotate(had_part=Exists(decided)),
        sorts=SORTS,
        default="submitted" if tab != "closed" else "-number",
    )
    return page(
        request,
        "applications/queue.html",
        {
            "listing": found,
            "tab": tab,
            "tabs": [(name, label, counts[name]) for name, (label, _which) in TABS.items()],
            "actor": actor,
        },
    )


class DecideForm(forms.Form):
    """What a decider says: the amount, and a note the applicant will read."""

    amount = YuanField(label=_("审定金额（元）"), required=False, help_text=_("可以调低，不能调高。"))
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
    act = act_of(request, "pass", "return", "refuse")
    verdict = Verdict(
        amount=form.cleaned_data["amount"] if act == "pass" else None,
        note=form.cleaned_data["note"],
        seen=request.POST.get("seen", ""),
    )
    verbs = {"pass": reviewing.pass_stage, "return": reviewing.return_case, "refuse": reviewing.refuse}
    done, error = attempt_on(
        "application", lambda: verbs[act](actor=actor, application=application, verdict=verdict, now=now)
    )
    return ("" if error else _said(done)), error


def _said(application: Application) -> str:
    """Say where a case went."""
    voucher = getattr(application, "voucher", None)
    number = {"number": application.number}
    if voucher is not None:
        return gettext("%(number)s 已批准，券 %(voucher)s 已发放。") % {**number, "voucher": voucher.number}
    match ApplicationState(application.state):
        case S.SUPPLEMENT:
            return gettext("%(number)s 已退回企业补充，预留额度已释放。") % number
        case S.REFUSED:
            return gettext("%(number)s 不予通过，预留额度已释放。") % number
        case S.REVIEW:
            return gettext("%(number)s 已办理，下一环节：%(stage)s。") % {
                **number,
                "stage": queries.stage_name(application),
            }
        case _other:
            return gettext("%(number)s 已审定，等待后续公示或发放。") % number


def _case_page(
    request: HttpRequest,
    application: Application,
    form: DecideForm,
    *,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    actor = actor_of(request)
    in_review = application.state == S.REVIEW.value
    needed = PERMISSION[StageRole(application.role)] if in_review else None
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
            "stage": queries.stage_name(application),
            "seen": reviewing.seen_of(application),
            "may_decide": needed is not None and actor.may(needed),
            "had_part": in_review and actor.person in conflicts.found(application, [actor.person]),
        },
        status=status,
    )
