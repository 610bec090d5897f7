"""Staff's findings: what waits for which, the form for each, urgent ones evaluated afterwards; and time without a panel."""

from __future__ import annotations

from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.pages import shell
from portal.pages.beam import judging
from portal.pages.beam import judging_lists as lists
from portal.pages.beam_words import POOLS, SAFETY
from portal.pages.labels import label_of
from scheduler.beamtime import granting
from scheduler.facilities.models import FacilityCourse
from scheduler.facilities.shares import Pool
from scheduler.panels import access, assessing, deciding, pools, queries, rounds, rules
from scheduler.panels.models import Assessment
from scheduler.proposals.models import BeamProposal, BeamRequest

__all__ = ["assessment", "assessment_file", "assessments", "grant", "grants"]

P, K = Permission, rules.AssessmentKind
STAFF = (P.PROPOSAL_ASSESS, P.PROPOSAL_CLEAR, P.FACILITY_DECIDE, P.FACILITY_MANAGE)
SORTS = {"number": ["number"], "sent": ["sent_order"], "title": ["title"]}


class FindingForm(forms.Form):
    """What was found; the safety class and the number of shifts where they are asked for."""

    passed = forms.TypedChoiceField(
        label=_("结论"),
        choices=[("yes", _("通过")), ("no", _("不通过"))],
        coerce=lambda text: text == "yes",
        widget=forms.RadioSelect,
    )
    safety_class = forms.ChoiceField(label=_("安全等级"), choices=[("", "—"), *SAFETY.items()], required=False)
    shifts = forms.IntegerField(label=_("需要的班次"), min_value=1, max_value=999, required=False)
    note = forms.CharField(
        label=_("内部说明"), max_length=rounds.NOTE, required=False, widget=forms.Textarea(attrs={"rows": 3})
    )
    to_team = forms.CharField(
        label=_("给课题组的说明"),
        max_length=rounds.NOTE,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("不通过时必填；课题组会看到。"),
    )

    def __init__(self, *args: Any, kind: rules.AssessmentKind, **more: Any) -> None:
        super().__init__(*args, **more)
        self.kind = kind
        safety = self.fields["safety_class"]
        assert isinstance(safety, forms.ChoiceField)
        safety.choices = [("", "—"), *((code, gettext(text)) for code, text in SAFETY.items())]
        if kind is not K.SAFETY:
            del self.fields["safety_class"]
        if kind is not K.TECHNICAL:
            del self.fields["shifts"]

    def finding(self) -> assessing.Finding:
        said = self.cleaned_data
        return assessing.Finding(
            kind=self.kind,
            passed=said["passed"],
            safety_class=said.get("safety_class", ""),
            shifts=said.get("shifts"),
            note=said["note"],
            to_team=said["to_team"],
        )


def _kind(actor: Actor, asked: str) -> rules.AssessmentKind:
    """Return which findings are looked at: those asked for, else the first that are the actor's to make."""
    mine = queries.kinds_of(actor)
    return next((kind for kind in mine if kind.value == asked), mine[0])


@shell.needs(*STAFF)
def assessments(request: HttpRequest) -> HttpResponse:
    """List what waits for the findings that are one's own to make."""
    actor = shell.actor_of(request)
    kind = _kind(actor, request.GET.get("kind", ""))
    tabs = [
        {
            "key": one.value,
            "name": label_of("assessment", one.value)[1],
            "chosen": one is kind,
            "count": queries.waiting_for(actor, one).count(),
        }
        for one in queries.kinds_of(actor)
    ]
    names = ("number", "title", "organisation__name", "facility__name", "requests__beamline__code")
    filters = lists.ListFilter(
        request.GET,
        names=names,
        hint=gettext("编号、题目、单位或线站"),
        column="kind",
        choices=BeamProposal.Kind.choices,
        label=gettext("课题类型"),
    )
    waiting = BeamProposal.objects.filter(pk__in=filters.narrow(queries.waiting_for(actor, kind)).values("pk"))
    found = waiting.select_related("organisation").prefetch_related("requests__beamline__resource", "assessments")
    if wanted := lists.wanted(request):
        return lists.assessments_table(found, wanted)
    context = {
        "listing": shell.listing(request, found, sorts=SORTS, default="sent"),
        "tabs": tabs,
        "kind": kind.value,
        "filters": filters,
        "keeps": [(name, request.GET.get(name, "")) for name in ("sort", "kind")],
    }
    return shell.page(request, "beam/assessments.html", context)


def _wanted(actor: Actor, proposal: BeamProposal, done: list[Assessment]) -> list[rules.AssessmentKind]:
    """Return which findings the actor can make of the proposal now."""
    round_no = rounds.round_of(proposal)
    filed = {one.kind for one in done if one.round_no == round_no}
    if proposal.state == "admitted":
        kinds = list(assessing.needed(proposal.kind))
    else:
        kinds = [K.AFTERWARDS] if proposal.kind == "urgent" and assessing.had_beam(proposal) else []
    mine = queries.kinds_of(actor)
    return [kind for kind in kinds if kind in mine and kind.value not in filed]


@shell.needs(*STAFF)
def assessment(request: HttpRequest, number: str) -> HttpResponse:
    """Show a proposal with what was found so far, to the staff of its facility."""
    actor = shell.actor_of(request)
    found = access.get_proposal(actor, number)
    done = list(found.assessments.select_related("by"))
    context = {
        **judging.content_of(found, titles=True),
        "findings": done,
        "wanted": [(kind.value, label_of("assessment", kind.value)[1]) for kind in _wanted(actor, found, done)],
    }
    return shell.page(request, "beam/assessment.html", context)


@shell.needs(*STAFF)
def assessment_file(request: HttpRequest, number: str, kind: str) -> HttpResponse:
    """File a finding."""
    actor = shell.actor_of(request)
    found = access.get_proposal(actor, number)
    if kind not in [one.value for one in queries.kinds_of(actor)]:
        raise NotFound
    name = label_of("assessment", kind)[1]
    form = FindingForm(request.POST if request.method == "POST" else None, kind=K(kind))
    page = judging.Act(
        heading=f"{name} · {found.number}",
        press=gettext("提交结论"),
        back=reverse("assessment", args=[number]),
        done=gettext("结论已归档。"),
        follows=gettext("结论不能修改；任何一项不通过，申请即为不可行，课题组会收到理由并可申诉。")
        if kind != K.AFTERWARDS.value
        else gettext("评价归档，不改变已分配的机时。"),
        kind="beam_proposal",
        facts=[(gettext("题目"), found.title)],
    )
    return judging.perform(
        request,
        page,
        form,
        lambda _said: assessing.assess(actor=actor, proposal=found, finding=form.finding(), now=timezone.now()),
    )


class GrantForm(forms.Form):
    """What a request gets that no panel grades."""

    shifts = forms.IntegerField(label=_("分配班次"), min_value=0, max_value=999, help_text=_("填 0 表示不分配。"))
    pool = forms.ChoiceField(label=_("机时来源"))
    cycle = forms.CharField(max_length=16, required=False, widget=forms.HiddenInput)
    to_team = forms.CharField(
        label=_("给课题组的答复"), max_length=rounds.NOTE, widget=forms.Textarea(attrs={"rows": 4})
    )

    def __init__(self, *args: Any, wish: BeamRequest, pool: Pool, **more: Any) -> None:
        super().__init__(*args, **more)
        had, gone = pools.parts(wish.beamline, wish.cycle), pools.given(wish.beamline, wish.cycle)
        choice = self.fields["pool"]
        assert isinstance(choice, forms.ChoiceField)
        choice.choices = [
            (
                one.value,
                gettext("%(pool)s，剩余 %(left)s 个班次")
                % {"pool": gettext(POOLS[one.value]), "left": max(0, had.get(one, 0) - gone.get(one, 0))},
            )
            for one in dict.fromkeys([pool, Pool.DIRECTOR])
        ]


def _direct(actor: Actor) -> Any:
    """Return requests that wait for the director alone: feasible, of kinds without panel or contract."""
    courses = FacilityCourse.objects.filter(facility__owner_id=actor.organisation_id, peer_review=False, paid=False)
    kinds = {(row.facility_id, row.kind) for row in courses}
    rows = (
        BeamRequest.objects.filter(proposal__facility__owner_id=actor.organisation_id, state="open")
        .filter(proposal__state__in=["feasible", "accepted"], proposal__kind__in={kind for _facility, kind in kinds})
        .select_related("proposal__facility", "proposal__organisation", "beamline__resource", "cycle")
        .order_by("proposal__sent_order", "pk")
    )
    return [row for row in rows if (row.proposal.facility_id, row.proposal.kind) in kinds]


@shell.needs(P.FACILITY_DECIDE)
def grants(request: HttpRequest) -> HttpResponse:
    """List the requests that are decided without a panel."""
    return shell.page(request, "beam/grants.html", {"rows": _direct(shell.actor_of(request))})


@shell.needs(P.FACILITY_DECIDE)
def grant(request: HttpRequest, number: str, beamline: str) -> HttpResponse:
    """Decide one of them."""
    actor = shell.actor_of(request)
    found = access.get_proposal(actor, number)
    cycle = (request.POST if request.method == "POST" else request.GET).get("cycle", "")[:16]
    wishes = found.requests.select_related("beamline__resource", "cycle", "proposal__facility")
    asked = [one for one in wishes.filter(beamline__code=beamline) if cycle in {"", one.cycle.code}]
    wish = min(asked, key=lambda one: one.state != "open", default=None)
    course = FacilityCourse.objects.filter(facility=found.facility, kind=found.kind).first()
    if wish is None or course is None:
        raise NotFound
    data = request.POST if request.method == "POST" else None
    form = GrantForm(data, wish=wish, pool=Pool(course.pool), initial={"shifts": wish.shifts, "cycle": wish.cycle.code})
    page = judging.Act(
        heading=gettext("决定 %(number)s") % {"number": number},
        press=gettext("决定并分配"),
        back=reverse("grants"),
        done=gettext("已决定，课题组可以看到答复。"),
        kind="beam_proposal",
        facts=[
            (gettext("题目"), found.title),
            (gettext("线站"), wish.beamline.code),
            (gettext("运行周期"), wish.cycle.code),
            (gettext("申请班次"), str(wish.shifts)),
        ],
    )

    def verb(said: dict[str, Any]) -> object:
        choice = deciding.Direct(beamline, said["shifts"], said["to_team"], Pool(said["pool"]), said["cycle"])
        return granting.decide_directly(actor=actor, proposal=found, choice=choice, now=timezone.now())

    return judging.perform(request, page, form, verb)
