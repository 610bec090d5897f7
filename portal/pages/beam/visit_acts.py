"""Every act on a visit: what it is called, what follows, and what it asks for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor
from portal.kernel.errors import NotFound
from portal.pages import acts, files, shell, slots
from portal.pages.beam.visits import READERS, can
from portal.pages.booking_requests import arrived
from portal.pages.fields import DayInput
from portal.pages.templatetags.show import zone_of
from scheduler.beamtime import compensating, ending, reporting, visits
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamVisit

__all__ = ["visit_act"]

LINES = forms.Textarea(attrs={"rows": 3})


class VisitForm(forms.Form):
    """Nothing but the button; others ask for more. `visit` and `actor` say whose it is."""

    def __init__(self, *args: Any, visit: BeamVisit, actor: Actor, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.visit, self.actor = visit, actor
        self.fit()

    def fit(self) -> None:
        """Fill in what depends on the visit."""

    def said(self) -> dict[str, Any]:
        """Return what the service is told."""
        return dict(self.cleaned_data)


class WhyForm(VisitForm):
    reason = forms.CharField(label=_("理由"), max_length=500, widget=LINES)


class LateForm(VisitForm):
    reason = forms.CharField(label=_("理由"), max_length=300, widget=LINES)


class AskForm(VisitForm):
    note = forms.CharField(label=_("还缺什么"), max_length=500, widget=LINES)


class CompensateForm(VisitForm):
    """How many shifts are given back, 0 for none, and why."""

    shifts = forms.IntegerField(label=_("补偿班次"), min_value=0, max_value=999, help_text=_("0 表示不予补偿。"))
    note = forms.CharField(label=_("理由"), max_length=500, widget=LINES)


class ComeForm(VisitForm):
    """Who comes. Whoever does not lead the team finds only herself to tick."""

    participants = forms.MultipleChoiceField(label=_("到访人员"), required=False, widget=forms.CheckboxSelectMultiple)

    def fit(self) -> None:
        team = list(access.team_of(self.visit))
        leads = any(one.is_leader and one.user_id == self.actor.user_id for one in team)
        self.coming = set(self.visit.participants.values_list("user_id", flat=True))
        self.mine = {one.user_id for one in team if leads or one.user_id == self.actor.user_id}
        field = self.fields["participants"]
        assert isinstance(field, forms.MultipleChoiceField)
        field.choices = [(str(one.user_id), one.name) for one in team if one.user_id in self.mine]
        self.initial["participants"] = [str(pk) for pk in self.coming]

    def said(self) -> dict[str, Any]:
        chosen = {int(pk) for pk in self.cleaned_data["participants"]}
        return {"user_ids": sorted((self.coming - self.mine) | chosen)}


class TrainForm(VisitForm):
    """Whose training counts until when."""

    member = forms.ChoiceField(label=_("成员"))
    until = forms.DateField(label=_("有效期至（不含当日）"), widget=DayInput)

    def fit(self) -> None:
        self.team = {str(one.pk): one for one in access.team_of(self.visit)}
        field = self.fields["member"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(pk, one.name) for pk, one in self.team.items()]

    def said(self) -> dict[str, Any]:
        return {"member": self.team[self.cleaned_data["member"]], "until": self.cleaned_data["until"]}


class EndForm(VisitForm):
    """When the beam ended; empty: now."""

    ended_at = forms.DateTimeField(
        label=_("结束时间"),
        required=False,
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}),
        help_text=_("装置所在地时间；不填表示现在。提前结束的，余下时间计为课题组自身原因未用。"),
    )

    def said(self) -> dict[str, Any]:
        at: datetime | None = self.cleaned_data["ended_at"]
        return {"ended_at": at and at.replace(tzinfo=zone_of(self.visit.beamline.facility.zone))}


class ReportForm(VisitForm):
    """What came of it."""

    summary = forms.CharField(label=_("实验报告摘要"), max_length=3000, widget=forms.Textarea(attrs={"rows": 8}))
    publications = forms.CharField(label=_("论文与成果"), max_length=1000, required=False, widget=LINES)
    file = forms.FileField(label=_("报告文件"), required=False, help_text=_("PDF，至多 20 MB。"))


@dataclass(frozen=True, slots=True)
class Act:
    """One act: its words, what follows, what it asks for."""

    do: Callable[..., Any]
    name: str
    done: str
    form: type[VisitForm] = VisitForm
    follows: str = ""


def _approve(form: str) -> Callable[..., Any]:
    return lambda **said: visits.approve(form=form, **said)


def _compensate(*, shifts: int, **said: Any) -> Any:
    return compensating.grant(shifts=shifts, **said) if shifts else compensating.decline(**said)


def _report(*, summary: str, publications: str, file: Any, **said: Any) -> Any:
    return reporting.hand_in(given=reporting.ReportGiven(summary, publications, file), **said)


def _acts() -> Mapping[str, Act]:
    return {**_of_team(), **_before(), **_during()}


def _of_team() -> Mapping[str, Act]:
    return {
        "confirm": Act(
            visits.confirm,
            gettext("确认到访人员"),
            gettext("已确认到访人员。"),
            ComeForm,
            gettext("准备就绪后改动人员的，须重新核对培训。"),
        ),
        "report": Act(
            _report,
            gettext("提交实验报告"),
            gettext("实验报告已提交。"),
            ReportForm,
            gettext("报告只有课题组和装置工作人员可以看到；提交后不能修改。"),
        ),
        "ask": Act(
            compensating.ask,
            gettext("说明失束的影响"),
            gettext("已记录，装置决定补偿时会看到。"),
            AskForm,
            gettext("失束不会自动补偿，由装置主任决定。"),
        ),
    }


def _before() -> Mapping[str, Act]:
    return {
        "sample": Act(_approve("sample"), gettext("批准样品单"), gettext("样品单已批准。")),
        "safety": Act(_approve("safety"), gettext("通过安全审查"), gettext("安全审查已通过。")),
        "late": Act(
            visits.accept_late,
            gettext("同意逾期的表单"),
            gettext("已同意。"),
            LateForm,
            gettext("课题组会看到理由。"),
        ),
        "train": Act(visits.train, gettext("登记安全培训"), gettext("培训已登记。"), TrainForm),
        "ready": Act(visits.make_ready, gettext("确认准备就绪"), gettext("已准备就绪。")),
        "not-ready": Act(visits.undo_ready, gettext("撤销准备就绪"), gettext("已撤销。"), WhyForm),
    }


def _during() -> Mapping[str, Act]:
    return {
        "check-in": Act(visits.check_in, gettext("签到"), gettext("课题组已签到。")),
        "start": Act(visits.start, gettext("开始供束"), gettext("已开始供束。")),
        "finish": Act(
            ending.finish,
            gettext("结束机时"),
            gettext("机时已结束并计时，失束的到访已列入补偿名单。"),
            EndForm,
        ),
        "miss": Act(
            visits.miss, gettext("登记未到场"), gettext("已登记未到场。"), follows=gettext("机时不再安排，也不补偿。")
        ),
        "cancel": Act(
            ending.cancel,
            gettext("取消机时"),
            gettext("已取消，课题组会看到理由。"),
            WhyForm,
            gettext("已排定的机时列入补偿名单首位；尚待答复的可重新排班。"),
        ),
        "compensate": Act(
            _compensate,
            gettext("决定补偿"),
            gettext("补偿已决定。"),
            CompensateForm,
            gettext("补偿的班次来自原来的机时份额，由排班员安排。"),
        ),
    }


@shell.needs(*READERS)
def visit_act(request: HttpRequest, number: str, act: str) -> HttpResponse:
    """Do one act on a visit; each asks first, saying what follows."""
    actor, now = shell.actor_of(request), timezone.now()
    one = _acts().get(act)
    if one is None:
        raise NotFound
    found = access.get_visit(actor, number)
    sent = (request.POST, request.FILES) if request.method == "POST" else (None, None)
    form = one.form(*sent, visit=found, actor=actor)
    if request.method != "POST":
        if act not in can(actor, found, now=now):
            return arrived(request, reverse("visit", args=[number]))
        return _page(request, found, one, form)
    if not form.is_valid():
        return _page(request, found, one, form)
    said = form.said()
    if act == "report":
        said["file"] = files.upload_of(request)
    _done, error = acts.attempt_on("visit", lambda: one.do(actor=actor, visit=found, now=now, **said))
    if error is None:
        messages.success(request, one.done)
        return arrived(request, reverse("visit", args=[number]))
    return _page(request, access.get_visit(actor, number), one, form, error=slots.put_back(form, error))


def _page(
    request: HttpRequest, found: BeamVisit, act: Act, form: VisitForm, *, error: Explained | None = None
) -> HttpResponse:
    context = {
        "visit": found,
        "proposal": found.allocation.request.proposal,
        "period": visits.period_of(found),
        "act": act,
        "form": form,
        "error": error,
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "beam/visit_act.html", context, status=status)
