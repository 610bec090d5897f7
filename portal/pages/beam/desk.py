"""The beamlines' day for those who run them: who comes today and next, what is missing, what was lost, who is made up for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from portal.pages.beam.visits import SORTS, Filter, visits_csv
from portal.pages.booking_requests import arrived
from portal.pages.templatetags.show import bilingual, zone_of
from scheduler.beamtime import compensating, losses, rules, visit_rules, visits
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamLoss, BeamVisit, Compensation
from scheduler.facilities.models import Beamline, Facility

__all__ = ["beam_compensations", "beam_desk", "beam_loss_new", "beam_loss_void", "beam_losses", "beam_visits"]

P, S = Permission, rules.VisitState
DAYS: Final = 4
"""Today and the next days."""
SHOWN: Final = (S.OFFERED, S.SCHEDULED, S.READY, S.RUNNING, S.DONE, S.CLOSED)


@dataclass(frozen=True, slots=True)
class Coming:
    """A visit of these days, with everything that still keeps it back."""

    visit: BeamVisit
    period: Period
    missing: Sequence[Any]


@dataclass(frozen=True, slots=True)
class LineDay:
    """A beamline and who has it today and next."""

    beamline: Beamline
    visits: Sequence[Coming]


def _facilities(request: HttpRequest) -> list[Facility]:
    actor = shell.actor_of(request)
    return list(Facility.objects.filter(owner_id=actor.organisation_id).order_by("name", "pk"))


def _window(facility: Facility, now: datetime) -> Period:
    zone = zone_of(facility.zone)
    today = now.astimezone(zone).date()
    return Period(datetime.combine(today, time(), zone), datetime.combine(today + timedelta(days=DAYS), time(), zone))


def _lines(facility: Facility, found: Sequence[BeamVisit], window: Period) -> list[LineDay]:
    made = []
    missing = visits.missing_of([one for one in found if one.state in {S.SCHEDULED.value, S.READY.value}])
    for line in facility.beamlines.select_related("resource", "facility").order_by("code"):
        rows = []
        for one in found:
            period = visits.period_of(one)
            if one.beamline_id == line.pk and period.overlaps(window):
                left = missing.get(one.pk, [])
                left = left if getattr(one, "is_told", False) else visit_rules.unnamed(left)
                rows.append(Coming(one, period, [explain_reason(reason) for reason in left]))
        made.append(LineDay(line, rows))
    return made


@shell.needs(*access.STAFF)
def beam_desk(request: HttpRequest) -> HttpResponse:
    """Show today and the next days of each beamline, what is missing, and what waits for the staff."""
    actor, now = shell.actor_of(request), timezone.now()
    theirs = access.of_staff(actor)
    shown = []
    for facility in _facilities(request):
        window = _window(facility, now)
        states = [state.value for state in SHOWN]
        found = theirs.filter(
            beamline__facility=facility, state__in=states, during__overlap=(window.start, window.end)
        ).order_by("during", "pk")
        late = theirs.filter(beamline__facility=facility, state=S.DONE.value, report_due__lte=now)
        shown.append(
            {
                "facility": facility,
                "lines": _lines(facility, list(found), window),
                "window": window,
                "overdue": late.count(),
                "listed": len(compensating.ordered(facility=facility)),
            }
        )
    context = {"facilities": shown, "runs": actor.may(P.BEAMTIME_RUN)}
    return shell.page(request, "beam/day.html", context)


@shell.needs(*access.STAFF)
def beam_visits(request: HttpRequest) -> HttpResponse:
    """List all visits at the organisation's facilities."""
    filters = Filter(request.GET)
    found = filters.narrow(access.of_staff(shell.actor_of(request)))
    if shell.wants_csv(request):
        return visits_csv(found)
    context = {"filters": filters, "listing": shell.listing(request, found, sorts=SORTS, default="-during")}
    return shell.page(request, "beam/desk_visits.html", context)


class LossForm(forms.Form):
    """When a beamline had no beam, in the facility's wall time, and why."""

    beamline = forms.ChoiceField(label=_("线站"))
    day = slots.DayField(label=_("开始日期"))
    start = slots.ClockField(label=_("开始时间"), widget=slots.time_input())
    end_day = slots.DayField(label=_("结束日期"))
    end = slots.ClockField(label=_("结束时间"), widget=slots.time_input())
    cause = forms.ChoiceField(label=_("原因"), choices=BeamLoss.Cause.choices)
    note = forms.CharField(label=_("说明"), max_length=300, required=False, widget=forms.Textarea(attrs={"rows": 2}))

    def __init__(self, *args: Any, lines: Sequence[Beamline], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.lines = {str(line.pk): line for line in lines}
        field = self.fields["beamline"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [(pk, f"{line.code} · {bilingual(line.resource)}") for pk, line in self.lines.items()]

    def lost(self) -> tuple[Beamline, losses.Lost]:
        """Return what is logged. Raises LocalTimeMissing, BadPeriod."""
        said = self.cleaned_data
        line = self.lines[said["beamline"]]
        when = slots.local_period(
            (said["day"], said["start"]),
            (said["end_day"], said["end"]),
            line.facility.zone,
            fields=("start", "end"),
        )
        return line, losses.Lost(when, rules.LossCause(said["cause"]), said["note"])


@shell.needs(*access.STAFF)
def beam_losses(request: HttpRequest) -> HttpResponse:
    """List what was logged at the organisation's beamlines, the newest first."""
    actor = shell.actor_of(request)
    found = BeamLoss.objects.filter(beamline__facility__owner_id=actor.organisation_id)
    found = found.select_related("beamline__facility", "beamline__resource", "by")
    sorts = {"during": ["during"], "beamline": ["beamline__code"], "cause": ["cause"]}
    listing = shell.listing(request, found, sorts=sorts, default="-during")
    rows = [{"loss": one, "period": Period(one.during.lower, one.during.upper)} for one in listing.rows]
    context = {"listing": listing, "rows": rows, "runs": actor.may(P.BEAMTIME_RUN)}
    return shell.page(request, "beam/losses.html", context)


@shell.needs(P.BEAMTIME_RUN)
def beam_loss_new(request: HttpRequest) -> HttpResponse:
    """Log a span without beam."""
    actor, now = shell.actor_of(request), timezone.now()
    lines = list(
        Beamline.objects.filter(facility__owner_id=actor.organisation_id)
        .select_related("facility", "resource")
        .order_by("facility", "code")
    )
    today = timezone.localdate(now)
    initial = {"beamline": request.GET.get("line", ""), "day": today, "end_day": today}
    form = LossForm(request.POST if request.method == "POST" else None, lines=lines, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():

        def log() -> BeamLoss:
            line, lost = form.lost()
            return losses.log(actor=actor, line=line, lost=lost, now=now)

        _made, error = acts.attempt_on("beam_loss", log)
        if error is None:
            messages.success(request, gettext("失束已登记，受影响的到访已重新计时。"))
            return arrived(request, reverse("beam_losses"))
        error = slots.put_back(form, error, {"starts_at": "start", "ends_at": "end"})
    status = error.status if error else 422 if form.errors else 200
    return shell.page(
        request, "beam/loss_new.html", {"form": form, "error": error, "path": request.path}, status=status
    )


@shell.needs(P.BEAMTIME_RUN)
def beam_loss_void(request: HttpRequest, loss_id: int) -> HttpResponse:
    """Take out what was logged in error, after asking."""
    actor = shell.actor_of(request)
    found = access.get_loss(actor, loss_id)
    error: Explained | None = None
    if request.method == "POST":
        _done, error = acts.attempt_on("beam_loss", lambda: losses.void(actor=actor, loss=found, now=timezone.now()))
        if error is None:
            messages.success(request, gettext("失束登记已撤销，受影响的到访已重新计时。"))
            return arrived(request, reverse("beam_losses"))
    elif found.void_at is not None:
        return redirect("beam_losses")
    context = {
        "loss": found,
        "period": Period(found.during.lower, found.during.upper),
        "error": error,
        "path": request.path,
    }
    return shell.page(request, "beam/loss_void.html", context, status=error.status if error else 200)


def _grade(row: Compensation) -> str:
    grade_c = row.visit.allocation.request.grade_c
    return "" if grade_c is None else f"{grade_c / 100:g}"


@shell.needs(*access.STAFF)
def beam_compensations(request: HttpRequest) -> HttpResponse:
    """List who lost beam and waits for a decision, in the order in which time is given back."""
    lists: list[dict[str, Any]] = [
        {"facility": one, "rows": [(row, _grade(row)) for row in compensating.ordered(facility=one)]}
        for one in _facilities(request)
    ]
    if shell.wants_csv(request):
        head = (
            *(gettext("名次"), gettext("装置"), gettext("到访号"), gettext("线站"), gettext("机时被取消")),
            *(gettext("失束（分钟）"), gettext("评分"), gettext("可寄样")),
        )
        rows = (
            (
                *(place, each["facility"].code, row.visit.number, row.visit.beamline.code),
                pgettext("yes", "是") if row.is_cancelled else "",
                row.lost_min,
                grade,
                pgettext("yes", "是") if row.visit.allocation.request.by_mail else "",
            )
            for each in lists
            for place, (row, grade) in enumerate(each["rows"], 1)
        )
        return shell.csv_response("compensation", head, rows)
    told = access.told_of(shell.actor_of(request), [row.visit_id for each in lists for row, _grade in each["rows"]])
    return shell.page(request, "beam/compensations.html", {"lists": lists, "told": told})
