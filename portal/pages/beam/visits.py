"""Visits for those who come and those who run the beamline: lists with what is to be done until when, and one visit whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.audit import queries as audit
from portal.http import explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.period import Period
from portal.pages import actions, files, shell
from portal.pages.templatetags.show import label, zone_of
from scheduler.beamtime import reporting, rules, visit_rules, visits
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamLoss, BeamVisit

__all__ = [
    "READERS",
    "Filter",
    "Task",
    "can",
    "tasks",
    "visit",
    "visit_report",
    "visits_csv",
    "visits_list",
]

S, P = rules.VisitState, Permission
READERS: Final = (P.PROPOSAL_SUBMIT, *access.STAFF)
SORTS: Final = {
    "number": ["number"],
    "beamline": ["beamline__code"],
    "during": ["during"],
    "state": ["state"],
    "report": ["report_due"],
}


class Filter(forms.Form):
    """What a list of visits may be narrowed to."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    state = forms.ChoiceField(label=_("状态"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": gettext("到访号、申请号或线站")})
        states = self.fields["state"]
        assert isinstance(states, forms.ChoiceField)
        states.choices = [("", gettext("全部")), *BeamVisit.State.choices]
        self.full_clean()

    def narrow(self, found: QuerySet[BeamVisit]) -> QuerySet[BeamVisit]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        if state := self.cleaned_data.get("state"):
            found = found.filter(state=state)
        names = ("number", "allocation__request__proposal__number", "beamline__code")
        for word in (self.cleaned_data.get("q") or "").split():
            either = Q()
            for name in names:
                either |= Q(**{f"{name}__icontains": word})
            found = found.filter(either)
        return found


@dataclass(frozen=True, slots=True)
class Task:
    """Something a team has to do for a visit: until when, and whether that has passed."""

    visit: BeamVisit
    text: str
    until: datetime
    late: bool


def tasks(found: Iterable[BeamVisit], *, now: datetime) -> list[Task]:
    """Return what teams have to do for these visits, the most urgent first."""
    made = []
    for one in found:
        state = S(one.state)
        if state is S.OFFERED:
            made.append((one, gettext("答复安排的机时"), one.answer_by))
        elif state is S.DONE and one.report_due is not None:
            made.append((one, gettext("提交实验报告"), one.report_due))
        elif state is S.SCHEDULED and one.during.upper > now:
            by_mail = one.allocation.request.by_mail
            by = one.during.lower - timedelta(days=one.beamline.facility.forms_days)
            forms_there = one.sample_approved_at is not None and one.safety_approved_at is not None
            text = gettext("确认到访人员与培训") if forms_there else gettext("样品单与安全审查获批")
            if not (forms_there and by_mail):
                made.append((one, text, one.during.lower if forms_there else by))
    return [Task(one, text, until, until <= now) for one, text, until in sorted(made, key=lambda each: each[2])]


@shell.needs(P.PROPOSAL_SUBMIT)
def visits_list(request: HttpRequest) -> HttpResponse:
    """List the visits of one's teams, with what is to be done until when."""
    mine, filters = access.of_team(shell.actor_of(request)), Filter(request.GET)
    found = filters.narrow(mine)
    if shell.wants_csv(request):
        return visits_csv(found)
    waiting = mine.filter(state__in=[S.OFFERED.value, S.SCHEDULED.value, S.DONE.value]).order_by("during")[:50]
    context = {
        "filters": filters,
        "listing": shell.listing(request, found, sorts=SORTS, default="-during"),
        "tasks": tasks(waiting, now=timezone.now()),
    }
    return shell.page(request, "beam/visits.html", context)


def visits_csv(found: QuerySet[BeamVisit]) -> HttpResponse:
    """Return visits as a file for their team or their facility. Titles are not in it."""
    head: Sequence[str] = (
        *(gettext("到访号"), gettext("申请号"), gettext("装置"), gettext("线站"), gettext("周期")),
        *(gettext("开始"), gettext("结束"), gettext("时区"), gettext("班次"), gettext("状态")),
        *(gettext("供束（分钟）"), gettext("失束（分钟）"), gettext("自身原因未用（分钟）"), gettext("报告期限")),
    )
    rows = found.order_by("-pk")[: shell.EXPORT_LIMIT]
    return shell.csv_response("visits", head, (_cells(one) for one in rows))


def _cells(one: BeamVisit) -> tuple[object, ...]:
    facility, request = one.beamline.facility, one.allocation.request
    zone = zone_of(facility.zone)
    due = one.report_due
    return (
        *(one.number, request.proposal.number, facility.code, one.beamline.code, request.cycle.code),
        *(f"{at.astimezone(zone):%Y-%m-%d %H:%M}" for at in (one.during.lower, one.during.upper)),
        *(facility.zone, one.shifts, label(one.state, "visit")),
        *("" if minutes is None else minutes for minutes in (one.had_min, one.lost_min, one.own_lost_min)),
        "" if due is None else f"{due.astimezone(zone):%Y-%m-%d}",
    )


def can(actor: Actor, found: BeamVisit, *, now: datetime) -> set[str]:
    """Return which acts the visit's state and the actor's part in it allow."""
    state, allowed = S(found.state), set()
    pending = state in {S.SCHEDULED, S.READY}
    listed = getattr(found, "compensation", None)
    open_list = listed is not None and listed.state == rules.CompensationState.LISTED.value and listed.lost_min
    if actor.may(P.PROPOSAL_SUBMIT) and access.is_team(actor, found):
        allowed |= {"confirm"} if pending else set()
        allowed |= {"answer"} if state is S.OFFERED else set()
        allowed |= {"report"} if state is S.DONE else set()
        allowed |= {"ask"} if open_list else set()
    if found.beamline.facility.owner_id != actor.organisation_id:
        return allowed
    if actor.may(P.FACILITY_DECIDE) and open_list:
        allowed |= {"compensate"}
    if pending and actor.may(P.PROPOSAL_CLEAR):
        allowed |= {"train"} | ({"safety"} if found.safety_approved_at is None else set())
    if (pending or state is S.OFFERED) and (actor.may(P.BEAMTIME_RUN) or actor.may(P.BEAMTIME_PLAN)):
        allowed |= {"cancel"}
    return allowed | (_running(found, state, now=now) if actor.may(P.BEAMTIME_RUN) else set())


def _running(found: BeamVisit, state: rules.VisitState, *, now: datetime) -> set[str]:
    by = found.during.lower - timedelta(days=found.beamline.facility.forms_days)
    late = any(at is not None and at > by for at in (found.sample_approved_at, found.safety_approved_at))
    allowed: set[str] = set()
    if state in {S.SCHEDULED, S.READY}:
        allowed |= {"train"} | ({"sample"} if found.sample_approved_at is None else set())
        allowed |= {"late"} if late and not found.late_reason else set()
        allowed |= {"miss"} if now >= found.during.upper else set()
    if state is S.SCHEDULED:
        allowed |= {"ready"}
    elif state is S.READY:
        allowed |= {"not-ready"} | ({"check-in"} if found.checked_in_at is None else {"start"})
        allowed |= {"start"} if access.by_mail(found) else set()
    elif state is S.RUNNING:
        allowed |= {"finish"}
    return allowed


@shell.needs(*READERS)
def visit(request: HttpRequest, number: str) -> HttpResponse:
    """Show one visit to its team or to the staff who serve it."""
    return _page(request, access.get_visit(shell.actor_of(request), number))


def _people(found: BeamVisit) -> list[dict[str, Any]]:
    team = list(access.team_of(found))
    coming = set(found.participants.values_list("user_id", flat=True))
    known = access.trainings_of(found.beamline.facility, [one.user_id for one in team if one.user_id])
    rows = []
    for one in team:
        training = known.get(one.user_id) if one.user_id else None
        covers = training is not None and not _ends_before(found, training.until)
        rows.append({"member": one, "comes": one.user_id in coming, "training": training, "covers": covers})
    return rows


def _ends_before(found: BeamVisit, until: Any) -> bool:
    last = (found.during.upper - timedelta(microseconds=1)).astimezone(zone_of(found.beamline.facility.zone)).date()
    return bool(until <= last)


def _trail(found: BeamVisit, actor: Actor, *, told: bool) -> list[actions.Event]:
    """Return what was done to a visit; who of its team did it only where the reader may know who is in it."""
    records = list(audit.trail(f"beam_visit:{found.number}", actor=actor))
    events, own = actions.events(records), {None, found.beamline.facility.owner_id}
    return [
        event if told or record.actor_organisation_id in own else replace(event, who=gettext("课题组"))
        for record, event in zip(records, events, strict=True)
    ]


def _page(request: HttpRequest, found: BeamVisit) -> HttpResponse:
    """Render a visit's page."""
    actor, now = shell.actor_of(request), timezone.now()
    pending = found.state in {S.SCHEDULED.value, S.READY.value}
    told, missing = bool(getattr(found, "is_told", False)), visits.not_ready(visit=found) if pending else []
    losses = BeamLoss.objects.filter(beamline_id=found.beamline_id, during__overlap=found.during, void_at__isnull=True)
    context = {
        "visit": found,
        "proposal": found.allocation.request.proposal,
        "facility": found.beamline.facility,
        "period": visits.period_of(found),
        "people": _people(found) if told else [],
        "missing": [explain_reason(one) for one in (missing if told else visit_rules.unnamed(missing))],
        "pending": pending,
        "forms_by": found.during.lower - timedelta(days=found.beamline.facility.forms_days),
        "losses": [{"loss": one, "period": Period(one.during.lower, one.during.upper)} for one in losses],
        "compensation": getattr(found, "compensation", None),
        "given_back": found.made_up_by.first(),
        "report": getattr(found, "report", None) if told else None,
        "overdue": found.state == S.DONE.value and found.report_due is not None and found.report_due <= now,
        "staff": found.beamline.facility.owner_id == actor.organisation_id and access.serves(actor),
        "can": can(actor, found, now=now),
        "trail": _trail(found, actor, told=told),
    }
    return shell.page(request, "beam/visit.html", context)


@shell.needs(*READERS)
def visit_report(request: HttpRequest, number: str) -> HttpResponse:
    """Hand out the report of a visit to its team or to the staff."""
    return files.handed_out(request, reporting.file_of(access.get_confided(shell.actor_of(request), number)))
