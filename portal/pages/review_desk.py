"""One case on the review desk: evidence beside claim, rules, checklist, decision; recusal, redrawing and appeals."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.pages import casework
from portal.pages.acts import attempt_on
from portal.pages.fields import YuanField
from portal.pages.files import handed_out
from portal.pages.flags import may_read
from portal.pages.flags import said as flag_said
from portal.pages.reviews import mine
from portal.pages.shell import act_of, actor_of, needs, page
from portal.pages.templatetags.show import entered
from vouchers.evidence import access as evidence
from vouchers.evidence.models import EvidenceFile
from vouchers.evidence.rules import INLINE
from vouchers.flags import queries as flags
from vouchers.issuance import access, appeals, assigning, automatic, cases, conflicts, drafts, queries, reviewing
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.reviewing import Verdict
from vouchers.issuance.rules import ApplicationState
from vouchers.issuance.workflow import PERMISSION, RECHECK_STAGE, StageRole

__all__ = ["case", "case_file", "case_recuse"]

S = ApplicationState
RECHECKS = ("sound", "unsound")


class DecideForm(forms.Form):
    """What a decider says: the amount, points, the items ticked, and a note the applicant will read."""

    amount = YuanField(label=_("审定金额（元）"), required=False, help_text=_("可以调低，不能调高。"))
    score = forms.IntegerField(label=_("评分（0–100）"), required=False, min_value=0, max_value=100)
    checks = forms.MultipleChoiceField(label=_("核对清单"), required=False, widget=forms.CheckboxSelectMultiple)
    note = forms.CharField(
        label=_("意见"),
        required=False,
        max_length=300,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("退回或不予通过时必须写明原因，申请单位会看到。"),
    )

    def __init__(self, application: Application, data: Any = None, **more: Any) -> None:
        super().__init__(data, **more)
        asked = queries.evidence_asked(application.version, application.request)
        items = [f"{term.doc}：{term.check}" if term.check else term.doc for term in asked]
        field = self.fields["checks"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(item, entered(item)) for item in dict.fromkeys(items)]
        if not items:
            del self.fields["checks"]
        if application.role != StageRole.EXPERT.value:
            del self.fields["score"]


@needs(*access.DECIDERS)
def case(request: HttpRequest, number: str) -> HttpResponse:
    """Show a case as a split view and take the decision."""
    actor = actor_of(request)
    application = access.get_case(actor, number)
    if request.method != "POST":
        form = DecideForm(application, initial={"amount": Money(application.amount_fen)})
        return _case_page(request, application, form)
    form = DecideForm(application, request.POST)
    if not form.is_valid():
        return _case_page(request, application, form, status=422)
    done, error = _act(request, application, form)
    if error:
        return _case_page(request, access.get_case(actor, number), form, error=error, status=error.status)
    if request.POST["act"] in RECHECKS:
        messages.success(request, gettext("%(number)s 的复核结果已登记。") % {"number": number})
    else:
        messages.success(request, _said(done))
    following = mine(actor).exclude(pk=application.pk).first()
    return redirect("case", following.number) if following else redirect("review_queue")


def _act(request: HttpRequest, application: Application, form: DecideForm) -> tuple[Any, Explained | None]:
    """Do what was pressed; return the case as it is now, or what went wrong."""
    actor, now = actor_of(request), timezone.now()
    act = act_of(request, "pass", "return", "refuse", "admit", "ask", "dismiss", "reassign", *RECHECKS)
    values = form.cleaned_data
    verdict = Verdict(
        amount=values["amount"] if act == "pass" else None,
        note=values["note"],
        score=values.get("score") if act == "pass" else None,
        checks=tuple(values.get("checks") or ()),
        seen=request.POST.get("seen", ""),
    )
    judged = {"pass": reviewing.pass_stage, "return": reviewing.return_case, "refuse": reviewing.refuse}
    noted = {"admit": appeals.admit, "ask": appeals.ask, "dismiss": appeals.dismiss}

    def do() -> Application:
        if act in judged:
            return judged[act](actor=actor, application=application, verdict=verdict, now=now)
        if act in noted:
            return noted[act](actor=actor, application=application, note=verdict.note, now=now)
        if act in RECHECKS:
            return automatic.recheck(
                actor=actor, application=application, is_sound=act == "sound", note=verdict.note, now=now
            )
        return assigning.reassign(actor=actor, application=application, reason=verdict.note, now=now)

    return attempt_on("application", do)


def _said(application: Application) -> str:
    """Say where a case went."""
    voucher = getattr(application, "voucher", None)
    number = {"number": application.number}
    if voucher is not None:
        return gettext("%(number)s 已批准，券 %(voucher)s 已发放。") % {**number, "voucher": voucher.number}
    match ApplicationState(application.state):
        case S.SUPPLEMENT if application.appealed_at is not None:
            return gettext("%(number)s 已请申请单位补充，答复后申诉继续办理。") % number
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
    is_own = application.version.programme.department_id == actor.organisation_id
    is_here = cases.desk_of(application) == actor.organisation_id
    needed = PERMISSION[StageRole(application.role)] if in_review else None
    files = list(evidence.files_of(drafts.subject_of(application)))
    why = conflicts.found(application, [actor.person]).get(actor.person) if in_review else None
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
            "acts": _decisions(application),
            "form": form,
            "error": error,
            "stage": queries.stage_name(application),
            "seen": reviewing.seen_of(application),
            "may_decide": is_here and needed is not None and actor.may(needed),
            "why_not": gettext(conflicts.WHY[why]) if why else "",
            "is_appeal": is_own and application.state == S.APPEAL.value and actor.may(Permission.APPLICATION_APPROVE),
            "may_recheck": _may_recheck(actor, application),
            "may_reassign": is_here and in_review and actor.may(Permission.APPLICATION_APPROVE),
            "holders": [str(each.person) for each in assigning.holders(application)] if in_review else [],
            "files": files,
            "shown": _shown(request, files),
            "may_flags": may_read(actor_of(request)),
            "flags": [(flag, flag_said(flag)) for flag in flags.open_on(f"application:{application.number}")],
            "now": timezone.now(),
            **_neighbours(actor, application),
        },
        status=status,
    )


def _may_recheck(actor: Actor, application: Application) -> bool:
    """Say whether the case was drawn for a check afterwards that this person may make and nobody has made."""
    if not application.sampled or not actor.may(Permission.APPLICATION_REVIEW):
        return False
    if application.version.programme.department_id != actor.organisation_id:
        return False
    return not application.decisions.filter(stage=RECHECK_STAGE).exists()


def _decisions(application: Application) -> list[StageDecision]:
    return list(application.decisions.select_related("person").order_by("pk"))


def _shown(request: HttpRequest, files: list[EvidenceFile]) -> EvidenceFile | None:
    """Return the file to show beside the claim: the one asked for, else the first that can be shown."""
    asked = request.GET.get("file", "")
    chosen = [file for file in files if str(file.pk) == asked]
    return next(iter(chosen or [file for file in files if file.media_type in INLINE]), None)


def _neighbours(actor: Actor, application: Application) -> Mapping[str, str]:
    """Return the numbers of the cases before and after this one among those the person may decide."""
    numbers = list(mine(actor).values_list("number", flat=True)[:500])
    if application.number not in numbers:
        return {"before": "", "after": numbers[0] if numbers else ""}
    at = numbers.index(application.number)
    return {"before": numbers[at - 1] if at else "", "after": numbers[at + 1] if at + 1 < len(numbers) else ""}


@needs(*access.DECIDERS)
def case_file(request: HttpRequest, number: str, file_id: int) -> HttpResponse:
    """Hand a file of a case to those on the case."""
    application = access.get_case(actor_of(request), number)
    return handed_out(request, evidence.get_file(drafts.subject_of(application), file_id))


@needs(*access.DECIDERS)
def case_recuse(request: HttpRequest, number: str) -> HttpResponse:
    """Declare that one keeps away from a case; whoever holds it is drawn anew."""
    actor = actor_of(request)
    application = access.get_case(actor, number)
    if request.method != "POST":
        return redirect("case", number)
    reason = request.POST.get("reason", "")
    _made, error = attempt_on(
        "application",
        lambda: assigning.recuse(
            actor=actor, application=application, organisation=None, reason=reason, now=timezone.now()
        ),
    )
    if error:
        form = DecideForm(application, initial={"amount": Money(application.amount_fen)})
        return _case_page(request, application, form, error=error, status=error.status)
    messages.success(request, gettext("已登记回避，%(number)s 将由其他同事办理。") % {"number": number})
    return redirect("review_queue")
