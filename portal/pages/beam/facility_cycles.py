"""The pages on which run cycles are opened and closed, and one beamline is closed for a time: what it takes comes first."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_POST

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import shell
from portal.pages.beam import setup
from portal.pages.beam.setup_forms import instant
from portal.pages.beam.thing_forms import CycleForm, LineClosingForm
from scheduler.availability.queries import period_of
from scheduler.beamtime import closing, replanning
from scheduler.facilities import access, cycles, queries
from scheduler.facilities.models import Facility

__all__ = ["beamline_closings", "beamline_reopen", "cycle_close", "cycle_new"]

P = Permission
TIMES = {"starts_at": "starts", "ends_at": "ends"}


def _period(said: dict[str, Any], facility: Facility) -> Period:
    return Period(*(instant(said[name], facility.zone, name) for name in ("starts", "ends")))


def _zone_said(facility: Facility) -> str:
    return gettext("时间为 %(zone)s 当地时间。") % {"zone": facility.zone}


@shell.needs(P.FACILITY_MANAGE, P.BEAMTIME_PLAN)
def cycle_new(request: HttpRequest, code: str) -> HttpResponse:
    """Open a run cycle; users have no beam before it has a machine plan."""
    actor = shell.actor_of(request)
    row = access.get_own(actor, code, P.FACILITY_MANAGE, P.BEAMTIME_PLAN)
    about: dict[str, Any] = {"facility": row, "heading": gettext("新建运行周期"), "intro": _zone_said(row)}
    form = CycleForm(request.POST if request.method == "POST" else None)
    if request.method != "POST" or not form.is_valid():
        return setup.setup_page(request, form, **about)
    said = form.cleaned_data
    made, error = setup.save(
        form,
        lambda: cycles.create_cycle(
            actor=actor, facility=row, code=said["code"], during=_period(said, row), now=timezone.now()
        ),
        TIMES,
    )
    if error is not None:
        return setup.setup_page(request, form, error=error, **about)
    messages.success(request, gettext("运行周期已建立。排定运行计划之前，用户没有束流。"))
    if actor.may(P.BEAMTIME_PLAN):
        return redirect("machine_plan", code, made.code)
    return redirect("facility_board", code)


@shell.needs(P.FACILITY_MANAGE, P.FACILITY_DECIDE)
def cycle_close(request: HttpRequest, code: str, cycle: str) -> HttpResponse:
    """Close the books of a cycle that is over: what it has open is listed with a tick each."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_own(actor, code, P.FACILITY_MANAGE, P.FACILITY_DECIDE)
    found = access.get_cycle(row, cycle)
    accepts, error = request.POST.getlist("accepts")[:5000], None
    if request.method == "POST":
        _done, error = shell.attempt(lambda: closing.close_books(actor=actor, cycle=found, accepts=accepts, now=now))
        if error is None:
            messages.success(request, gettext("周期 %(code)s 已结账。") % {"code": found.code})
            return redirect("facility_board", code)
    still = [] if found.closed_at else closing.still_open(found)
    context = {
        "facility": row,
        "cycle": found,
        "period": queries.period_of_cycle(found),
        "is_over": queries.period_of_cycle(found).end <= now,
        "open": [
            {"key": one.key, "kind": one.kind, "said": explain_reason(one.reason()), "number": one.number}
            for one in still
        ],
        "accepts": accepts,
        "error": _in_short(error),
    }
    return shell.page(request, "beam/cycle_close.html", context, status=error.status if error else 200)


def _in_short(error: Explained | None) -> Explained | None:
    """Return the error without the list of what is open: it stands below, with ticks."""
    if error is None or error.code != closing.CycleUnfinished.code:
        return error
    return Explained(error.status, error.code, error.text, ())


@shell.needs(P.BEAMTIME_PLAN)
def beamline_closings(request: HttpRequest, code: str, line: str) -> HttpResponse:
    """Close one beamline for a time. What it takes is listed with a tick each; done once each is ticked."""
    actor, now = shell.actor_of(request), timezone.now()
    row = access.get_own(actor, code, P.BEAMTIME_PLAN)
    found = access.get_beamline(row, line)
    form = LineClosingForm(request.POST if request.method == "POST" else None)
    accepts, error = request.POST.getlist("accepts")[:2000], None
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        _made, error = setup.save(
            form,
            lambda: replanning.close_line(
                actor=actor,
                beamline=found,
                period=_period(said, row),
                reason=said["reason"],
                accepts=accepts,
                now=now,
            ),
            TIMES,
        )
        if error is None:
            messages.success(request, gettext("线站 %(code)s 的这段时间已关闭。") % {"code": found.code})
            return redirect("facility_closings", code, line)
    context = {
        "facility": row,
        "line": found,
        "form": form,
        "error": error,
        "broken": _broken(error),
        "accepts": accepts,
        "closures": [{"row": one, "period": period_of(one.during)} for one in access.closures_of(found, since=now)],
        "zone_said": _zone_said(row),
    }
    status = error.status if error else 422 if form.is_bound and form.errors else 200
    return shell.page(request, "beam/closings.html", context, status=status)


def _broken(error: Explained | None) -> list[dict[str, Any]]:
    rows = error.data.get("broken", ()) if error else ()
    times = ("starts_at", "ends_at")
    return [
        {"number": one["number"], "period": Period(*(datetime.fromisoformat(one[at]) for at in times))} for one in rows
    ]


@require_POST
@shell.needs(P.BEAMTIME_PLAN)
def beamline_reopen(request: HttpRequest, code: str, line: str, closure_id: int) -> HttpResponse:
    """Take a closure of a beamline back."""
    actor = shell.actor_of(request)
    found = access.get_beamline(access.get_own(actor, code, P.BEAMTIME_PLAN), line)
    replanning.reopen_line(actor=actor, beamline=found, closure_id=closure_id, now=timezone.now())
    messages.success(request, gettext("这段时间已重新开放。"))
    return redirect("facility_closings", code, line)
