"""The machine plan of a run cycle as rows to change: what a change breaks is shown before anything is saved."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained, explain
from portal.kernel.actors import Permission
from portal.kernel.errors import Conflict, Invalid, PortalError, Reason, Refused, noop
from portal.kernel.period import Period
from portal.pages import shell, slots
from scheduler.availability import rules as clocks
from scheduler.beamtime import replanning
from scheduler.facilities import access, cycles, queries
from scheduler.facilities.models import MachinePeriod, RunCycle
from scheduler.facilities.plan import MachineMode, ModePeriod

__all__ = ["machine_plan"]

_ = noop
MOST_ROWS, BLANK = 320, 3
"""More rows than these would be more fields than one form may have (a thousand): such a plan is changed by the API."""
WRITTEN, WITH_SECONDS = "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"


class BadRows(Refused):
    code = "facility.plan_rows"
    message = _("运行计划有误。")


class TooLong(Conflict):
    code = "facility.plan_too_long"
    message = _("这份运行计划超过 %(most)s 段，不能在页面上修改。请通过接口修改。")


class BadMoment(Invalid):
    code = "facility.plan_moment"
    message = _("请填写有效的日期。")


class BadVersion(Invalid):
    code = "facility.plan_version"
    message = _("页面已过期，请刷新后再试。")


@dataclass(frozen=True, slots=True)
class Row:
    """One row as it stands in the form: local wall times of the facility."""

    at: int
    mode: str
    start: str
    end: str


def _rows(cycle: RunCycle) -> list[Row]:
    zone = clocks.zone_named(cycle.facility.zone)
    return [
        Row(at, one.mode.value, *(_written(each.astimezone(zone)) for each in (one.period.start, one.period.end)))
        for at, one in enumerate(queries.plan_of(cycle))
    ]


def _written(wall: datetime) -> str:
    return f"{wall:{WITH_SECONDS if wall.second else WRITTEN}}"


def _posted(request: HttpRequest) -> list[Row]:
    said = request.POST
    found = [
        Row(at, *(said.get(f"{name}-{at}", "")[:20] for name in ("mode", "start", "end"))) for at in range(MOST_ROWS)
    ]
    return [row for row in found if row.mode and (row.start or row.end)]


def _moment(text: str, zone: str, field: str) -> datetime:
    said = WITH_SECONDS if text.count(":") > 1 else WRITTEN
    wall = datetime.strptime(text, said)  # noqa: DTZ007  wall time; the zone is the facility's
    if not slots.FIRST_DAY <= wall.date() < slots.LAST_DAY:
        raise BadMoment(field=field)
    return clocks.localise(wall.date(), wall.time(), zone, field=field)


def _spans(rows: list[Row], zone: str) -> tuple[ModePeriod, ...]:
    """Return the rows as spans. Raises BadRows naming every row that cannot be read."""
    found, wrong = [], []
    for place, row in enumerate(rows, 1):
        try:
            period = Period(_moment(row.start, zone, "start"), _moment(row.end, zone, "end"))
            found.append(ModePeriod(period, MachineMode(row.mode)))
        except (ValueError, OverflowError, PortalError) as error:
            said = explain(error).text if isinstance(error, PortalError) else gettext("请填写起止时间。")
            text = _("第 %(row)s 段：%(said)s")
            wrong.append(Reason("facility.plan_row", text, params={"row": place, "said": said}))
    if wrong:
        raise BadRows(wrong)
    return tuple(found)


@shell.needs(Permission.BEAMTIME_PLAN)
def machine_plan(request: HttpRequest, code: str, cycle: str) -> HttpResponse:
    """Change the machine plan. What it breaks is listed with a tick each; saved once each is ticked and a reason given."""
    actor = shell.actor_of(request)
    facility = access.get_own(actor, code, Permission.BEAMTIME_PLAN)
    row = access.get_cycle(facility, cycle)
    rows, error, version = _rows(row), None, str(row.version)
    if request.method == "POST":
        rows, version = _posted(request), request.POST.get("version", "")

        def save() -> None:
            if row.periods.count() > MOST_ROWS:
                raise TooLong(most=MOST_ROWS)
            if not version.isascii() or not version.isdigit() or len(version) > 9:
                raise BadVersion(field="version")
            change = cycles.PlanChange(
                _spans(rows, facility.zone), int(version), frozenset(request.POST.getlist("accepts"))
            )
            reason = request.POST.get("reason", "")
            replanning.change_plan(actor=actor, cycle=row, change=change, reason=reason, now=timezone.now())

        _done, error = shell.attempt(save)
        if error is None:
            messages.success(request, gettext("运行计划已保存，企业可预订的班次随之更新。"))
            return redirect("facility_board", code)
    context = {
        "facility": facility,
        "cycle": row,
        "period": queries.period_of_cycle(row),
        "rows": [*rows, *(Row(at, "", "", "") for at in range(len(rows), len(rows) + BLANK))],
        "modes": MachinePeriod.Mode.choices,
        "error": error,
        "broken": _broken(error),
        "accepts": request.POST.getlist("accepts"),
        "reason": request.POST.get("reason", ""),
        "version": version,
    }
    return shell.page(request, "beam/plan.html", context, status=error.status if error else 200)


def _broken(error: Explained | None) -> list[dict[str, Any]]:
    if error is None:
        return []
    return [
        {
            "number": one["number"],
            "period": Period(*(datetime.fromisoformat(one[at]) for at in ("starts_at", "ends_at"))),
        }
        for one in error.data.get("broken", ())
    ]
