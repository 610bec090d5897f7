"""Open statistics month by month: what was awarded, redeemed and settled in the last twelve months."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, pgettext

from portal import charts
from portal.kernel.money import Money
from portal.pages.casework import language
from portal.pages.shell import csv_response, guarded, page, wants_csv
from portal.pages.statistics import LEAST_HOLDERS
from portal.reports import months as reports
from portal.reports.months import Cell, Month, Stage

__all__ = ["chart_of", "monthly", "told"]


@dataclass(frozen=True, slots=True)
class Row:
    """One month as published: fen of each stage; None where it is not told."""

    first: date
    fen: dict[Stage, int | None]

    @property
    def name(self) -> str:
        return f"{self.first:%Y-%m}"


def told(rows: Sequence[Month], *, least: int) -> list[Row]:
    """Return what may be published: a cell of fewer than `least` organisations is left out.

    Where that leaves out one month only of a stage, the month with the next fewest goes too: the total of the year and the
    other months would tell it.
    """
    hidden: set[tuple[date, Stage]] = set()
    for stage in Stage:
        cells = {row.first: row.cells[stage] for row in rows if row.cells[stage].organisations}
        small = [first for first, cell in cells.items() if len(cell.organisations) < least]
        others = sorted((first for first in cells if first not in small), key=lambda first: _size(cells[first]))
        hidden |= {(first, stage) for first in (*small, *(others[:1] if len(small) == 1 else ()))}
    return [
        Row(row.first, {stage: None if (row.first, stage) in hidden else row.cells[stage].fen for stage in Stage})
        for row in rows
    ]


def _size(cell: Cell) -> tuple[int, int]:
    return len(cell.organisations), cell.fen


def _words() -> dict[Stage, str]:
    return {
        Stage.AWARDED: gettext("核定"),
        Stage.REDEEMED: pgettext("statistics", "核销"),
        Stage.SETTLED: gettext("兑付"),
    }


TONES = {
    Stage.AWARDED: charts.Tone.QUIET,
    Stage.REDEEMED: charts.Tone.ACCENT,
    Stage.SETTLED: charts.Tone.OK,
}


def chart_of(rows: Sequence[Row]) -> charts.Chart | None:
    """Return the stages as lines over the months, in their order whatever is left out; None where nothing is told."""
    words = _words()
    points = tuple(
        charts.Point(label=row.name[2:], amount=fen / 100, text=str(Money(fen)), series=words[stage])
        for row in rows
        for stage in Stage
        if (fen := row.fen[stage]) is not None
    )
    if not any(point.amount for point in points):
        return None
    return charts.Chart(
        kind=charts.Kind.LINE,
        title=gettext("近 12 个月的核定、核销与兑付"),
        description=charts.text_of([point for point in points if point.amount]),
        points=points,
        amounts=gettext("元"),
        tones=tuple((words[stage], TONES[stage]) for stage in Stage),
        language=language(),
    )


@guarded
def monthly(request: HttpRequest) -> HttpResponse:
    """Publish the last twelve months of all programmes, a cell of few organisations left out; CSV of the same."""
    now = timezone.now()
    rows = told(reports.months(now=now, least=LEAST_HOLDERS), least=LEAST_HOLDERS)
    if wants_csv(request):
        header = [gettext("月份"), *(gettext("%(what)s（元）") % {"what": word} for word in _words().values())]
        return csv_response("statistics-monthly", header, ([row.name, *map(_yuan, row.fen.values())] for row in rows))
    return page(
        request,
        "statistics/monthly.html",
        {
            "rows": [(row, list(row.fen.values())) for row in reversed(rows)],
            "words": list(_words().values()),
            "chart": charts.cached(chart) if (chart := chart_of(rows)) else "",
            "at": now,
            "least": LEAST_HOLDERS,
            "is_empty": not any(fen or fen is None for row in rows for fen in row.fen.values()),
        },
    )


def _yuan(fen: int | None) -> Money | str:
    return "" if fen is None else Money(fen)
