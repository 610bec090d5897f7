"""Projects of technical service: one's own, asking for one, and one with its quotes, milestones, files and story."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import actions, acts, files, shell, slots
from portal.pages.booking_requests import arrived, signing_in_first
from portal.pages.fields import DayInput
from portal.pages.templatetags.show import bilingual, label
from scheduler.engagements import access, rules, services, steps
from scheduler.engagements.models import Engagement, EngagementQuote, Milestone
from scheduler.resources import access as resources
from vouchers.evidence.models import EvidenceFile

__all__ = [
    "PARTIES",
    "SORTS",
    "EngagementFilter",
    "can",
    "engagement",
    "engagement_new",
    "engagement_page",
    "engagements",
    "engagements_csv",
    "milestone",
    "milestone_file",
    "priced",
]

S, A, M = rules.EngagementState, rules.EngagementAction, rules.MilestoneState
SORTS = {
    "number": ["number"],
    "instrument": ["resource__name"],
    "state": ["state"],
    "wanted_by": ["wanted_by"],
    "changed": ["updated_at"],
}
PARTIES = (Permission.BOOKING_REQUEST, Permission.BOOKING_DECIDE)


class EngagementFilter(forms.Form):
    """What a list of projects may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    state = forms.ChoiceField(label=_("状态"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": gettext("项目号、名称、仪器或单位")})
        states = self.fields["state"]
        assert isinstance(states, forms.ChoiceField)
        states.choices = [("", gettext("全部")), *Engagement.State.choices]
        self.full_clean()

    def narrow(self, found: QuerySet[Engagement]) -> QuerySet[Engagement]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        if state := self.cleaned_data.get("state"):
            found = found.filter(state=state)
        names = ("number", "title", "resource__name", "resource__name_en", "organisation__name")
        for word in (self.cleaned_data.get("q") or "").split():
            either = Q()
            for name in names:
                either |= Q(**{f"{name}__icontains": word})
            found = found.filter(either)
        return found


class AskForm(forms.Form):
    """What is needed, what is to come of it, and by when."""

    title = forms.CharField(
        label=_("服务名称"), max_length=120, help_text=_("例如“隔膜涂覆中试放大”。仅贵单位和实验室可见。")
    )
    description = forms.CharField(
        label=_("需求说明"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("现有基础、要解决的问题、技术指标、保密要求。"),
    )
    wanted = forms.CharField(
        label=_("期望成果"),
        max_length=1000,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("例如样品、数据、工艺参数、验证报告。"),
    )
    wanted_by = forms.DateField(label=_("期望完成日期"), widget=DayInput)


@shell.needs(Permission.BOOKING_REQUEST)
def engagements(request: HttpRequest) -> HttpResponse:
    """List the organisation's projects of technical service."""
    filters = EngagementFilter(request.GET)
    found = filters.narrow(access.own_engagements(shell.actor_of(request)))
    if shell.wants_csv(request):
        return engagements_csv(found)
    listing = shell.listing(request, priced(found), sorts=SORTS, default="-changed")
    return shell.page(request, "engagements/list.html", {"filters": filters, "listing": listing})


def priced(found: QuerySet[Engagement]) -> QuerySet[Engagement]:
    """Return the projects with what their milestones come to, and how many are accepted."""
    return access.with_progress(found)


def engagements_csv(found: QuerySet[Engagement]) -> HttpResponse:
    """Return projects as a file for one of their parties."""
    head = (
        *(gettext("项目号"), gettext("服务名称"), gettext("仪器或服务"), gettext("委托单位"), gettext("实验室")),
        *(gettext("状态"), gettext("价款（元）"), gettext("已结算（元）"), gettext("里程碑"), gettext("最近变动")),
    )
    rows = priced(found).order_by("-pk")[: shell.EXPORT_LIMIT]
    return shell.csv_response("engagements", head, (_csv_row(row) for row in rows))


def _csv_row(row: Any) -> tuple[object, ...]:
    return (
        *(row.number, row.title, bilingual(row.resource), bilingual(row.organisation), bilingual(row.resource.owner)),
        label(row.state, "engagement"),
        "" if row.agreed_fen is None else Money(row.agreed_fen).yuan(),
        "" if row.billed_fen is None else Money(row.billed_fen).yuan(),
        f"{row.accepted_count}/{row.milestone_count}" if row.milestone_count else "",
        f"{timezone.localtime(row.updated_at):%Y-%m-%d %H:%M}",
    )


@signing_in_first
@shell.needs(Permission.BOOKING_REQUEST)
def engagement_new(request: HttpRequest, number: str) -> HttpResponse:
    """Ask a lab for a project of technical service. Nothing is held before its quote is accepted."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_instrument(actor, number)
    if not steps.is_offered(resource):
        raise NotFound
    form = AskForm(request.POST if request.method == "POST" else None)
    error = None
    if request.method == "POST" and form.is_valid():
        wanted = services.Wanted(resource=resource, **form.cleaned_data)
        made, error = acts.attempt_on(
            "engagement", lambda: services.request(actor=actor, wanted=wanted, now=now, key=shell.key_of(request))
        )
        if error is None:
            messages.success(request, gettext("已提交，等待实验室报价。"))
            return arrived(request, reverse("engagement", args=[made.number]))
        error = slots.put_back(form, error, {"instrument": ""})
    key = request.POST.get("idempotency_key", "") or shell.new_key()
    context = {"resource": resource, "form": form, "error": error, "key": key}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "engagements/new.html", context, status=status)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a project's way: ``done``, ``now``, ``bad`` or still to come."""

    css: str
    name: str
    note: str = ""


def _steps(found: Engagement, milestones: list[Milestone]) -> list[Step]:
    state, told = S(found.state), label(found.state, "engagement")
    first = Step("done", pgettext("engagement", "提出需求"))
    if state in {S.DECLINED, S.CANCELLED}:
        return [first, Step("bad", told)]
    counted = [row for row in milestones if row.state != M.DROPPED.value]
    accepted = sum(row.state == M.ACCEPTED.value for row in counted)
    progress = gettext("%(done)s / %(all)s 个里程碑已验收") % {"done": accepted, "all": len(counted)}
    at = {S.REQUESTED: 0, S.QUOTED: 0, S.RUNNING: 1, S.STOPPED: 2, S.COMPLETED: 2, S.CLOSED: 3}[state]
    names = ((gettext("报价与接受"), told), (gettext("交付与验收"), progress), (gettext("评价"), told))
    steps = [first]
    for place, (name, note) in enumerate(names):
        css = "done" if place < at else "now" if place == at else ""
        steps.append(Step(css, name, note if place == at or (place == 1 and at > 1) else ""))
    return steps


def can(actor: Actor, found: Engagement, *, waiting: EngagementQuote | None) -> set[str]:
    """Return which acts the project's state and the actor's part in it allow."""
    state = S(found.state)
    allowed: set[str] = set()
    if access.is_client(actor, found):
        allowed |= {act for act in ("accept", "refuse", "cancel", "stop") if (state, A(act)) in rules.TRANSITIONS}
        if waiting is None:
            allowed -= {"accept", "refuse"}
        if (state, A.CLOSE) in rules.TRANSITIONS:
            allowed.add("rate")
    if access.is_lab(actor, found):
        allowed |= {act for act in ("quote", "decline", "stop") if (state, A(act)) in rules.TRANSITIONS}
    return allowed


@dataclass(frozen=True, slots=True)
class Row:
    """One milestone with its files and what the reader may do with it."""

    milestone: Milestone
    files: list[EvidenceFile]
    can: set[str]


def _rows(actor: Actor, found: Engagement, milestones: list[Milestone]) -> list[Row]:
    kept = access.files_of_all(milestones)
    rows = []
    for one in milestones:
        allowed: set[str] = set()
        if found.state == S.RUNNING.value:
            if access.is_lab(actor, found) and one.state in {M.PLANNED.value, M.RETURNED.value}:
                allowed = {"deliver"}
            if access.is_client(actor, found) and one.state == M.DELIVERED.value:
                allowed = {"accept", "return"}
            if access.is_client(actor, found) and one.state == M.DISPUTED.value:
                allowed = {"accept"}
            if one.state == M.RETURNED.value:
                allowed.add("dispute")
        rows.append(Row(one, kept.get(one.subject, []), allowed))
    return rows


@shell.needs(*PARTIES)
def engagement(request: HttpRequest, number: str) -> HttpResponse:
    """Show one project to the enterprise that asked for it or the lab that serves it."""
    return engagement_page(request, access.get_engagement(shell.actor_of(request), number))


def engagement_page(request: HttpRequest, found: Engagement, *, error: Explained | None = None) -> HttpResponse:
    """Render a project's page, with what went wrong when an act on it was refused."""
    actor = shell.actor_of(request)
    milestones = access.milestones_of(found)
    quotes = list(found.quotes.prefetch_related("lines"))
    waiting = next((row for row in quotes if row.state == rules.QuoteState.OPEN.value), None)
    agreed = [row.charge for row in milestones if row.state != M.DROPPED.value]
    context = {
        "engagement": found,
        "rows": _rows(actor, found, milestones),
        "waiting": waiting,
        "waiting_fen": sum(line.price_fen for line in waiting.lines.all()) if waiting else 0,
        "ended": timezone.now() >= waiting.open_until if waiting else False,
        "earlier": [
            {"quote": row, "price_fen": sum(line.price_fen for line in row.lines.all())}
            for row in quotes
            if row is not waiting
        ],
        "agreed_fen": sum(charge.price_fen for charge in agreed),
        "billed_fen": sum(charge.actual_fen or 0 for charge in agreed),
        "steps": _steps(found, milestones),
        "can": can(actor, found, waiting=waiting),
        "lab": access.is_lab(actor, found),
        "rating": getattr(found, "rating", None),
        "trail": actions.events(audit.trail(found.subject, actor=actor)),
        "error": error,
    }
    return shell.page(request, "engagements/engagement.html", context, status=error.status if error else 200)


@shell.needs(*PARTIES)
def milestone(request: HttpRequest, number: str) -> HttpResponse:
    """Lead from a milestone's number, as a bill names it, to its project."""
    found = access.get_engagement(shell.actor_of(request), number.partition(".")[0])
    return redirect(reverse("engagement", args=[found.number]))


@shell.needs(*PARTIES, Permission.ORDER_RULE)
def milestone_file(request: HttpRequest, number: str, position: int, file_id: int) -> HttpResponse:
    """Hand out a delivered file to the parties and to the department that rules on it."""
    return files.handed_out(request, access.get_file(shell.actor_of(request), number, position, file_id))
