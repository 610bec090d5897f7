"""Proposals for beam time: one's own and the organisation's, and one with its team, samples, requests and story."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.pages import actions, acts, files, shell
from portal.pages.beam_words import HAZARDS
from portal.pages.exports import FORMATS, exported
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from scheduler.beamtime import past, trails, visit_access
from scheduler.facilities.grid import offered
from scheduler.panels import access as judging
from scheduler.proposals import access, continuing, queries, rules, services, steps, team
from scheduler.proposals import files as answers
from scheduler.proposals.models import BeamProposal, TeamMember

__all__ = [
    "SORTS",
    "ProposalFilter",
    "exported_proposals",
    "proposal",
    "proposal_act",
    "proposal_file",
    "proposal_page",
    "proposals",
    "team_invitation",
]

S = rules.BeamProposalState
SORTS = {
    "number": ["number"],
    "title": ["title"],
    "kind": ["kind"],
    "state": ["state"],
    "sent": ["sent_at"],
    "facility": ["facility__name"],
    "organisation": ["organisation__name"],
    "order": ["sent_order"],
}


class ProposalFilter(forms.Form):
    """What a list of proposals may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    state = forms.ChoiceField(label=_("状态"), required=False)
    kind = forms.ChoiceField(label=_("课题类别"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": gettext("编号、题目、单位或装置")})
        for name, choices in (("state", BeamProposal.State.choices), ("kind", BeamProposal.Kind.choices)):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [("", gettext("全部")), *choices]
        self.full_clean()

    def narrow(self, found: QuerySet[BeamProposal]) -> QuerySet[BeamProposal]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        for name in ("state", "kind"):
            if value := self.cleaned_data.get(name):
                found = found.filter(**{name: value})
        names = ("number", "title", "organisation__name", "facility__name", "facility__name_en", "call__number")
        for word in (self.cleaned_data.get("q") or "").split():
            either = Q()
            for name in names:
                either |= Q(**{f"{name}__icontains": word})
            found = found.filter(either)
        return found


@shell.needs(Permission.PROPOSAL_SUBMIT)
def proposals(request: HttpRequest) -> HttpResponse:
    """List the proposals of one's teams and of the organisation."""
    filters = ProposalFilter(request.GET)
    found = filters.narrow(access.own_proposals(shell.actor_of(request)))
    if request.GET.get("format") in FORMATS:
        return exported_proposals(found, request.GET["format"])
    listing = shell.listing(request, access.with_shifts(found), sorts=SORTS, default="-number")
    return shell.page(request, "beam/proposals/list.html", {"filters": filters, "listing": listing})


def exported_proposals(found: QuerySet[BeamProposal], wanted: str) -> HttpResponse:
    """Return proposals as a file for those who may see them."""
    head = (
        *(gettext("编号"), gettext("顺序"), gettext("题目"), gettext("课题类别"), gettext("状态"), gettext("单位")),
        *(gettext("负责人"), gettext("装置"), gettext("征集"), gettext("线站"), gettext("班次"), gettext("提交时间")),
    )
    rows = access.with_shifts(found).order_by("-pk")[: shell.EXPORT_LIMIT]
    return exported("proposals", wanted, head, (_row(row) for row in rows))


def _row(row: Any) -> tuple[object, ...]:
    asked = list(row.requests.all())
    return (
        *(row.number, row.sent_order or "", row.title, label_of("beam_kind", row.kind)[1]),
        *(label_of("beam_proposal", row.state)[1], bilingual(row.organisation)),
        row.leaders[0].name if row.leaders else "",
        *(bilingual(row.facility), row.call.number if row.call else ""),
        "; ".join(one.beamline.code for one in asked),
        sum(one.shifts for one in asked),
        f"{timezone.localtime(row.sent_at):%Y-%m-%d %H:%M:%S}" if row.sent_at else "",
    )


@shell.needs()
def proposal(request: HttpRequest, number: str) -> HttpResponse:
    """Show one proposal to its team, its organisation or the staff who serve it."""
    return proposal_page(request, access.get_proposal(shell.actor_of(request), number))


def _can(actor: Actor, found: BeamProposal, *, leads: bool) -> set[str]:
    state, allowed = S(found.state), set()
    if access.is_team(actor, found) and actor.may(Permission.PROPOSAL_SUBMIT):
        if found.state in steps.EDITABLE:
            allowed.add("edit")
        if leads and (state, rules.BeamProposalAction.WITHDRAW) in rules.TRANSITIONS:
            allowed.add("withdraw")
        if leads and found.state not in team.ENDED:
            allowed |= {"team", "lead"}
        if leads and found.kind in {"long_term", "block"} and found.state in continuing.GOING_ON:
            allowed.add("continue")
    theirs = access.is_team(actor, found) or access.is_office(actor, found)
    if theirs and found.state not in team.ENDED and team.orphaned(found):
        allowed.add("lead")
    if access.is_office(actor, found) and found.state == S.SUBMITTED.value:
        allowed |= {"admit", "return"}
    return allowed


def _papers(actor: Actor, found: BeamProposal, *, now: datetime) -> dict[str, Any]:
    """Return a team's earlier visits beside its proposal: what each was about only to who may read it there.

    Whoever judges the proposal at its facility reads them all.
    """
    rows = past.papers(found, now=now)
    pks = [one.visit.pk for one in rows]
    judges = judging.proposals_of(actor).filter(pk=found.pk).exists()
    seen = visit_access.visible_to(actor).filter(pk__in=pks)
    told = set(pks) if judges else {one.pk for one in seen if getattr(one, "is_told", False)}
    shown = [
        {
            "paper": one,
            "title": one.visit.allocation.request.proposal.title if one.visit.pk in told else "",
            "is_told": one.visit.pk in told,
        }
        for one in rows
    ]
    return {"papers": shown, "paper_view": "judged_paper" if judges else "visit_report"}


def _has_answer(actor: Actor, found: BeamProposal) -> bool:
    """Say whether the person's own team has something to read: findings, comments, places, an appeal."""
    if found.state in {S.DRAFT.value, S.WITHDRAWN.value}:
        return False
    return judging.teams_of(actor).filter(pk=found.pk).exists()


def proposal_page(
    request: HttpRequest, found: BeamProposal, *, error: Explained | None = None, typed: Any = None
) -> HttpResponse:
    """Render a proposal's page, with what went wrong when an act on it was refused."""
    actor, now = shell.actor_of(request), timezone.now()
    present = list(found.team.exclude(state="removed").select_related("organisation", "user"))
    leads = any(one.is_leader and one.user_id == actor.user_id for one in present)
    asked = found.requests.select_related("beamline__resource", "cycle").prefetch_related("devices__resource")
    multiple = found.facility.multiple
    can = _can(actor, found, leads=leads)
    context = {
        "proposal": found,
        "can": can,
        "team": present,
        "ours": access.is_team(actor, found),
        "leads": leads,
        "desk": found.facility.owner_id == actor.organisation_id and any(actor.may(one) for one in access.STAFF),
        "requests": [
            {
                "row": one,
                "offers": [n for n in offered(max(one.shifts, 1), multiple=multiple) if one.shifts not in {0, n}],
            }
            for one in asked
        ],
        "samples": [
            {"row": one, "hazards": [gettext(HAZARDS[code]) for code in one.hazards]} for one in found.samples.all()
        ],
        "answers": list(found.answers.select_related("form")),
        "cycles": list(queries.coming_cycles(found.facility, now=now)) if "continue" in can else [],
        "trail": actions.events(
            trails.readable(audit.trail(found.subject, actor=actor), actor).exclude(action="beam_proposal.saved")
        ),
        **_papers(actor, found, now=now),
        "has_answer": _has_answer(actor, found),
        "error": error,
        "typed": typed or {},
    }
    return shell.page(request, "beam/proposals/proposal.html", context, status=error.status if error else 200)


@shell.needs()
def proposal_file(request: HttpRequest, number: str, form: str) -> HttpResponse:
    """Hand out a file of a proposal to who may see it."""
    return files.handed_out(request, answers.stored(access.get_proposal(shell.actor_of(request), number), form))


def _member_id(request: HttpRequest) -> int:
    said = request.POST.get("member", "")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 19 else 0


def _do(request: HttpRequest, act: str, found: BeamProposal) -> tuple[Callable[..., Any], dict[str, Any], str]:
    """Return what an act of a page's form does, with what it takes, and what is said when it is done."""
    note = {"note": request.POST.get("note", "")}
    person = {"name": request.POST.get("name", ""), "email": request.POST.get("email", "")}
    member = {"member_id": _member_id(request)}
    if act == "continue":
        cycle = queries.get_cycle(found.facility, request.POST.get("cycle", ""))
        return continuing.carry_over, {"cycle": cycle}, gettext("已申请该运行周期的机时。")
    if act == "remove_file":
        return answers.remove, {"code": request.POST.get("form", "")}, gettext("已移除文件。")
    done: dict[str, tuple[Callable[..., Any], dict[str, Any], str]] = {
        "withdraw": (services.withdraw, note, gettext("申请已撤回。")),
        "admit": (services.admit, {}, gettext("已通过形式审查。")),
        "return": (services.send_back, note, gettext("已退回课题组修改。")),
        "invite": (team.invite, person, gettext("已发出邀请邮件。")),
        "again": (team.invite_again, member, gettext("已重新发出邀请，原链接失效。")),
        "remove": (team.remove, member, gettext("已移出课题组。")),
        "lead": (team.lead, member, gettext("已更换课题负责人。")),
    }
    return done[act]


ACTS = ("withdraw", "admit", "return", "invite", "again", "remove", "lead", "continue", "remove_file")


@shell.needs()
def proposal_act(request: HttpRequest, number: str) -> HttpResponse:
    """Do one act on a proposal; what was typed stays where it was refused."""
    actor = shell.actor_of(request)
    found = access.get_proposal(actor, number)
    if request.method != "POST":
        return redirect(reverse("proposal", args=[number]))
    act = shell.act_of(request, *ACTS)
    do, takes, done = _do(request, act, found)
    _made, error = acts.attempt_on(
        "beam_proposal", lambda: do(actor=actor, proposal=found, now=timezone.now(), **takes)
    )
    if error is None:
        messages.success(request, done)
        return redirect(reverse("proposal", args=[number]))
    return proposal_page(request, access.get_proposal(actor, number), error=error, typed=request.POST)


@shell.needs()
def team_invitation(request: HttpRequest, secret: str) -> HttpResponse:
    """Show an invitation into a team to who holds its link, and take the answer."""
    actor, now = shell.actor_of(request), timezone.now()
    member: TeamMember = access.by_link(secret)
    error = None
    if request.method == "POST":
        act = shell.act_of(request, "join", "decline")
        do = team.join if act == "join" else team.decline
        _made, error = acts.attempt_on("team_member", lambda: do(actor=actor, secret=secret, now=now))
        if error is None and act == "join":
            messages.success(request, gettext("您已加入课题组。"))
            return redirect(reverse("proposal", args=[member.proposal.number]))
        if error is None:
            messages.success(request, gettext("您已谢绝邀请。"))
            return redirect(reverse("dashboard"))
    context = {"member": member, "proposal": member.proposal, "error": error}
    status = error.status if error else 200
    return shell.page(request, "beam/proposals/invitation.html", context, status=status)
