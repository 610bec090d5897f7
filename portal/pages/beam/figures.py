"""What a facility reports of its run cycles (F16–F19), for its own staff and for the department, with charts and export."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Final

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal import charts
from portal.pages import shell
from portal.pages.casework import language
from portal.pages.labels import label_of
from scheduler.beamtime import rules
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.figures import CycleFigures, figures_of
from scheduler.facilities import standing
from scheduler.facilities.models import Facility

__all__ = ["facility_figures"]

CYCLES: Final = 8
"""How many cycles are shown, the latest."""


@shell.needs(*access.DEPARTMENT, *access.STAFF)
def facility_figures(request: HttpRequest, code: str) -> HttpResponse:
    """Show the figures of a facility's latest cycles, and one of them whole."""
    facility, now = access.get_reported(shell.actor_of(request), code), timezone.now()
    cycles = list(facility.cycles.select_related("facility").order_by("-during")[:CYCLES])
    found = [figures_of(one, now=now) for one in cycles]
    if shell.wants_csv(request):
        return _csv(facility, found)
    begun = next((one for one in found if one.planned_min), found[0] if found else None)
    asked = request.GET.get("cycle", "")
    chosen = next((one for one in found if one.cycle.code == asked), begun)
    context = {
        "facility": facility,
        "found": found,
        "chosen": chosen,
        "totals": standing.totals(chosen.lines) if chosen else [],
        "chart": _chart(list(reversed(found))) if any(one.planned_min for one in found) else "",
        "share_chart": _shares(chosen) if chosen else "",
        "causes": _causes(chosen) if chosen else [],
    }
    return shell.page(request, "beam/figures.html", context)


def _percent(value: Fraction | None) -> str:
    return "" if value is None else f"{float(value) * 100:.1f}%"


def _chart(found: Sequence[CycleFigures]) -> str:
    words = (
        (gettext("可用率"), charts.Tone.OK, "availability"),
        (gettext("产业机时占比"), charts.Tone.ACCENT, "industrial"),
    )
    points = tuple(
        charts.Point(one.cycle.code, round(float(value) * 100, 1), _percent(value), name)
        for one in found
        for name, _tone, figure in words
        if (value := getattr(one.figures, figure)) is not None
    )
    chart = charts.Chart(
        kind=charts.Kind.GROUPED,
        title=gettext("各周期可用率与产业机时占比"),
        description=charts.text_of(list(points)),
        points=points,
        amounts=gettext("百分比"),
        tones=tuple((name, tone) for name, tone, _figure in words),
        language=language(),
    )
    return charts.cached(chart)


def _shares(chosen: CycleFigures) -> str:
    words = (
        (gettext("应得"), charts.Tone.QUIET, "given"),
        (gettext("已分配"), charts.Tone.ACCENT, "allocated"),
        (gettext("已完成"), charts.Tone.OK, "delivered"),
    )
    points = tuple(
        charts.Point(label_of("pool", one.pool.value)[1], getattr(one, field), str(getattr(one, field)), name)
        for one in standing.totals(chosen.lines)
        for name, _tone, field in words
    )
    if not points:
        return ""
    chart = charts.Chart(
        kind=charts.Kind.GROUPED,
        title=gettext("各类机时：应得、已分配与已完成"),
        description=charts.text_of(list(points)),
        points=points,
        amounts=gettext("班次"),
        tones=tuple((name, tone) for name, tone, _field in words),
        language=language(),
    )
    return charts.cached(chart)


def _causes(chosen: CycleFigures) -> list[tuple[str, int]]:
    sums = [
        (label_of("beam_loss", cause.value)[1], sum(beam.by_cause.get(cause, 0) for beam in chosen.beams))
        for cause in rules.LossCause
    ]
    return [(name, minutes) for name, minutes in sums if minutes]


def _csv(facility: Facility, found: Sequence[CycleFigures]) -> HttpResponse:
    head = (
        *(gettext("装置"), gettext("周期"), gettext("线站"), gettext("类别"), gettext("计划用户束流（分钟）")),
        *(
            gettext("供束（分钟）"),
            gettext("可用率"),
            gettext("申请班次"),
            gettext("分配班次"),
            gettext("超额申请倍数"),
        ),
        *(gettext("应得班次"), gettext("已分配班次"), gettext("已完成班次"), gettext("产业机时占比")),
    )
    rows: list[tuple[object, ...]] = []
    for one in found:
        said = one.figures
        over = said.oversubscription
        rows.append(
            (
                *(facility.code, one.cycle.code, "", "", one.planned_min, one.delivered_min),
                *(_percent(said.availability), one.requested, one.allocated),
                "" if over is None else f"{float(over):.2f}",
                *("", one.allocated, one.used, _percent(said.industrial)),
            )
        )
        for beam in one.beams:
            had = beam.planned_min - beam.lost_min
            rows.append((facility.code, one.cycle.code, beam.code, "", beam.planned_min, had, *("",) * 8))
        for line in one.lines:
            for pool in line.pools:
                name = label_of("pool", pool.pool.value)[1]
                shown = (facility.code, one.cycle.code, line.beamline.code, name, *("",) * 6)
                rows.append((*shown, pool.given, pool.allocated, pool.delivered, ""))
    return shell.csv_response(f"figures-{facility.code}", head, rows)
