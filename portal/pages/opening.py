"""The weekly opening hours of an instrument: an editor of rows that needs no script."""

from __future__ import annotations

from collections.abc import Sequence
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
from portal.kernel.period import Period
from portal.pages import shell, slots
from portal.pages.templatetags.show import zone_of
from scheduler.availability import opening, patterns, queries, rules, services
from scheduler.availability.models import OpeningHours
from scheduler.resources import access
from scheduler.resources.models import Resource

__all__ = ["AUDIENCES", "accepted", "affected", "instrument_hours"]

MAX_ROWS = 28
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
            raise rules.BadHours(field="opens" if opens is None else "closes")
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


def _initial(row: OpeningHours) -> dict[str, Any]:
    return {
        "weekdays": row.weekdays,
        "opens": row.opens_min,
        "closes": row.closes_min % DAY_MIN,
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
        "audience": row.audience,
        "is_automatic": row.is_automatic,
    }


def _stored(hours: Sequence[OpeningHours], extra: int) -> list[RowForm]:
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
    return {"affected": rows, "accepts": " ".join(row["number"] for row in rows)}


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_hours(request: HttpRequest, number: str) -> HttpResponse:
    """Edit the weekly hours as rows; ``act=add`` gives a further row and saves nothing."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    if request.method != "POST":
        rows = _stored(list(OpeningHours.objects.filter(resource=resource)), extra=1)
        return _show(request, resource, rows, follows=resource.follows_holidays)
    follows = "follows_holidays" in request.POST
    if request.POST.get("act") == "add":
        return _show(request, resource, _posted(request, extra=1), follows=follows, judged=False)
    rows = _posted(request, extra=0)
    hours, problem = _read(rows)
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
        return _show(request, resource, rows, follows=follows, error=error, status=error.status)
    messages.success(request, gettext("开放时间已保存，对新预约生效；已有预约不受影响。"))
    return redirect("instrument", number)


def _show(
    request: HttpRequest,
    resource: Resource,
    rows: Sequence[RowForm],
    *,
    follows: bool,
    error: Explained | None = None,
    judged: bool = True,
    status: int = 200,
) -> HttpResponse:
    wrong = [row for row in rows if judged and row.is_bound and not row.is_empty() and row.errors]
    context = {"resource": resource, "rows": rows, "count": len(rows), "error": error, "wrong": wrong}
    context |= {"follows_holidays": follows, "moved": _moved(resource, rows if judged else []), **affected(error)}
    return shell.page(request, "lab/hours.html", context, status=status)
