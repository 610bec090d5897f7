"""The weekly opening hours of an instrument: rows that need no script; with one, a week to paint (``js/hours.js``)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain
from portal.kernel.actors import Permission
from portal.kernel.errors import PortalError
from portal.kernel.period import Period, merge
from portal.pages import shell, slots, weeks
from portal.pages.templatetags.show import bilingual, zone_of
from scheduler.availability import impacts, opening, patterns, queries, rules, services
from scheduler.availability.models import OpeningHours
from scheduler.resources import access
from scheduler.resources.models import Resource

__all__ = ["AUDIENCES", "accepted", "affected", "edit_hours", "instrument_hours", "weekly_s"]

MAX_ROWS = 50
WEEK = datetime(2024, 1, 1, tzinfo=UTC)
"""Any Monday."""
DAY_MIN = 24 * 60
WEEKDAYS = [
    (1, _("周一")),
    (2, _("周二")),
    (3, _("周三")),
    (4, _("周四")),
    (5, _("周五")),
    (6, _("周六")),
    (7, _("周日")),
]


AUDIENCES = [
    (rules.Audience.EVERYBODY.value, _("本单位和企业")),
    (rules.Audience.ENTERPRISES.value, _("仅企业")),
    (rules.Audience.OWN.value, _("仅本单位人员")),
]


class RowForm(forms.Form):
    """One weekly rule. A row without days and times says nothing and is left out."""

    weekdays = forms.TypedMultipleChoiceField(
        label=_("星期"), choices=WEEKDAYS, coerce=int, required=False, widget=forms.CheckboxSelectMultiple
    )
    opens = slots.ClockField(label=_("开放"), required=False, widget=slots.time_input())
    closes = slots.ClockField(label=_("关闭"), required=False, widget=slots.time_input())
    valid_from = slots.DayField(label=_("起始日期"), required=False)
    valid_until = slots.DayField(label=_("截止日期"), required=False)
    audience = forms.ChoiceField(label=_("对谁开放"), choices=AUDIENCES, required=False)
    is_automatic = forms.BooleanField(label=_("这段时间的预约自动确认，不用审批"), required=False)

    def is_empty(self) -> bool:
        """Say whether nothing was filled in."""
        return not any(self[name].value() for name in ("weekdays", "opens", "closes"))

    def rule(self) -> rules.WeeklyHours:
        """Return the rule. Closing at or before opening is the next day. Raises BadHours."""
        said = self.cleaned_data
        opens, closes = said.get("opens"), said.get("closes")
        if opens is None or closes is None:
            raise rules.NoClock(field="opens" if opens is None else "closes")
        if opens == DAY_MIN:
            raise rules.BadHours(field="opens")
        return rules.WeeklyHours(
            frozenset(said["weekdays"]),
            opens,
            closes if closes > opens else closes + DAY_MIN,
            said.get("valid_from"),
            said.get("valid_until"),
            rules.Audience(said.get("audience") or rules.Audience.EVERYBODY.value),
            said.get("is_automatic", False),
        )


def _initial(row: rules.WeeklyHours) -> dict[str, Any]:
    return {
        "weekdays": sorted(row.weekdays),
        "opens": row.opens,
        "closes": row.closes % DAY_MIN,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
        "audience": row.audience.value,
        "is_automatic": row.is_automatic,
    }


def _stored(hours: Sequence[rules.WeeklyHours], extra: int) -> list[RowForm]:
    forms_ = [RowForm(prefix=f"row{place}", initial=_initial(row)) for place, row in enumerate(hours)]
    return forms_ + [RowForm(prefix=f"row{len(forms_) + place}") for place in range(extra)]


def _posted(request: HttpRequest, extra: int) -> list[RowForm]:
    text = request.POST.get("rows", "0")
    count = min(int(text), MAX_ROWS) if text.isascii() and text.isdigit() else 0
    rows = [RowForm(request.POST, prefix=f"row{place}") for place in range(count)]
    return rows + [RowForm(prefix=f"row{len(rows) + place}") for place in range(extra) if len(rows) + place < MAX_ROWS]


def _read(rows: Sequence[RowForm]) -> tuple[list[rules.WeeklyHours], Explained | None]:
    """Return the rules of all rows, or what is wrong, said at every row that is wrong."""
    hours: list[rules.WeeklyHours] = []
    problem: Explained | None = None
    for row in rows:
        if row.is_empty():
            continue
        if not row.is_valid():
            continue
        try:
            hours.append(row.rule())
        except PortalError as error:
            problem = slots.put_back(row, explain(error))
    return hours, problem


def _moved(resource: Resource, rows: Sequence[RowForm]) -> list[dict[str, Any]]:
    """Return the stored hours of the coming year that the clock does not show once, in local words."""
    if not rows or rows[0].is_bound:
        return []
    hours = [queries.weekly_hours(row) for row in OpeningHours.objects.filter(resource=resource)]
    now = timezone.now()
    found = patterns.moved(hours, zone=resource.zone, window=Period(now, now + opening.AHEAD))
    return [
        {
            "wall": f"{edge.wall:%Y-%m-%d %H:%M}",
            "shown": f"{edge.instant.astimezone(zone_of(resource.zone)):%H:%M}",
            "is_missing": edge.is_missing,
        }
        for edge in found
    ]


def accepted(request: HttpRequest) -> list[str]:
    """Return the numbers of the bookings the person has seen and lets fall outside open time."""
    return request.POST.get("accepts", "").split()[:500]


def affected(error: Explained | None) -> dict[str, Any]:
    """Return what ``parts/affected.html`` asks about, if `error` says that bookings would be broken."""
    rows = error.data.get("bookings", []) if error is not None else []
    return _asked(
        [
            {
                **row,
                "period": Period(datetime.fromisoformat(row["starts_at"]), datetime.fromisoformat(row["ends_at"])),
            }
            for row in rows
        ]
    )


def _asked(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    return {"affected": rows, "accepts": " ".join(row["number"] for row in rows)}


def _foreseen(rows: Sequence[impacts.Affected]) -> dict[str, Any]:
    return _asked(
        [
            {"number": row.number, "organisation": row.organisation, "period": row.period, "zone": row.zone}
            for row in rows
        ]
    )


def _named(error: Explained | None, hours: Sequence[rules.WeeklyHours]) -> Explained | None:
    """Say which two rows overlap by what they say: days, times and whom they are for."""
    if error is None or error.code != services.HoursOverlap.code:
        return error
    text = gettext("“%(one)s”与“%(two)s”重叠：同一类用户的开放时间不能重复。请改动其中一段，或合并为一段。")
    reasons = tuple(
        {**reason, "text": text % {"one": _words(hours[one]), "two": _words(hours[two])}, "remedy": ""}
        for reason, (one, two) in zip(error.reasons, error.data["pairs"], strict=True)
    )
    return replace(error, reasons=reasons)


def _words(row: rules.WeeklyHours) -> str:
    whom = str(dict(AUDIENCES)[row.audience.value])
    return f"{weeks.days_in_words(row.weekdays)} {weeks.clock_in_words(row.opens, row.closes)} {whom}"


def weekly_s(hours: Sequence[rules.WeeklyHours]) -> int:
    """Return how many seconds a week these rows open, time open for several audiences once."""
    spans = [
        Period(start, start + timedelta(minutes=row.closes - row.opens))
        for row in hours
        for day in row.weekdays
        for start in [WEEK + timedelta(days=day - 1, minutes=row.opens)]
    ]
    return sum(int(span.duration.total_seconds()) for span in merge(spans))


def _others(request: HttpRequest, resource: Resource) -> list[Resource]:
    """Return the lab's other instruments that have hours to copy."""
    own = access.own_instruments(shell.actor_of(request)).exclude(pk=resource.pk)
    return list(own.filter(opening_hours__isnull=False).distinct().order_by("name", "pk")[:200])


def _copied(request: HttpRequest, resource: Resource, *, now: datetime) -> tuple[list[rules.WeeklyHours] | None, str]:
    """Return the hours the address asks to start from, and what to say of them: last week, or another instrument."""
    asked = request.GET.get("copy", "")
    if asked == "week":
        return opening.last_week(resource, now=now), gettext("已填入上周的实际开放时间")
    if asked:
        other = access.get_own_instrument(shell.actor_of(request), asked)
        found = [queries.weekly_hours(row) for row in OpeningHours.objects.filter(resource=other)]
        return found, gettext("已填入“%(name)s”的开放时间") % {"name": bilingual(other)}
    return None, ""


def _check(
    request: HttpRequest,
    resource: Resource,
    hours: Sequence[rules.WeeklyHours],
    problem: Explained | None,
    *,
    follows: bool,
    now: datetime,
) -> HttpResponse:
    """Say what saving these hours would come to: what is wrong with them, or which bookings they would break."""
    context: dict[str, Any] = {"error": problem, "weekly_s": weekly_s(hours), "checked": True}
    if problem is None:
        _none, problem = shell.attempt(lambda: services.refuse_overlap(hours=hours))
        context["error"] = _named(problem, hours)
    if problem is None:
        found = opening.foresee(resource, hours=hours, follows_holidays=follows, now=now)
        context |= _foreseen(found)
    return shell.page(request, "lab/hours_impact.html", context)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_hours(request: HttpRequest, number: str) -> HttpResponse:
    """Edit an instrument's weekly hours."""
    return edit_hours(request, access.get_own_instrument(shell.actor_of(request), number), back="instrument")


def edit_hours(request: HttpRequest, resource: Resource, *, back: str) -> HttpResponse:
    """Edit the weekly hours of anything the lab owns, as rows; `back` names the page of the thing itself.

    ``act=add`` gives a further row, ``act=check`` says what would follow: neither saves.
    """
    actor, now = shell.actor_of(request), timezone.now()
    if request.method != "POST":
        copied, whence = _copied(request, resource, now=now)
        hours = [queries.weekly_hours(row) for row in OpeningHours.objects.filter(resource=resource)]
        rows = _stored(hours if copied is None else copied, extra=1)
        seen = _foreseen(
            opening.foresee(resource, hours=copied, follows_holidays=resource.follows_holidays, now=now)
            if copied is not None
            else []
        )
        return _show(request, resource, rows, follows=resource.follows_holidays, whence=whence, foreseen=seen)
    follows = "follows_holidays" in request.POST
    if request.POST.get("act") == "add":
        return _show(request, resource, _posted(request, extra=1), follows=follows, judged=False)
    rows = _posted(request, extra=0)
    hours, problem = _read(rows)
    if request.POST.get("act") == "check":
        return _check(request, resource, hours, problem, follows=follows, now=now)
    if any(row.errors for row in rows if not row.is_empty()):
        return _show(request, resource, rows, follows=follows, error=problem, status=422)
    _done, error = shell.attempt(
        lambda: services.set_opening_hours(
            actor=actor,
            resource=resource,
            hours=hours,
            follows_holidays=follows,
            accepts=accepted(request),
            now=now,
        )
    )
    if error is not None:
        return _show(request, resource, rows, follows=follows, error=_named(error, hours), status=error.status)
    messages.success(request, gettext("开放时间已保存，对新预约生效；已有预约不受影响。"))
    return redirect(back, resource.number)


def _show(
    request: HttpRequest,
    resource: Resource,
    rows: Sequence[RowForm],
    *,
    follows: bool,
    error: Explained | None = None,
    judged: bool = True,
    whence: str = "",
    foreseen: dict[str, Any] | None = None,
    status: int = 200,
) -> HttpResponse:
    wrong = [row for row in rows if judged and row.is_bound and not row.is_empty() and row.errors]
    context = {"resource": resource, "rows": rows, "count": len(rows), "error": error, "wrong": wrong}
    context |= {
        "audiences": AUDIENCES,
        "weekdays": WEEKDAYS,
        "ticks": range(0, 24, 4),
        "whence": whence,
        "others": _others(request, resource),
    }
    context |= {
        "follows_holidays": follows,
        "moved": _moved(resource, rows if judged else []),
        **(foreseen or affected(error)),
    }
    context["is_person"] = resource.kind == Resource.Kind.OPERATOR.value
    return shell.page(request, "lab/hours.html", context, status=status)
