"""Open statistics: what the vouchers of every programme came to, for everybody to read and take away."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, pgettext

from portal import charts
from portal.kernel.money import Money
from portal.pages.casework import language
from portal.pages.shell import csv_response, guarded, page, wants_csv
from portal.pages.templatetags.show import bilingual
from portal.reports import formulas
from portal.reports import queries as reports
from portal.reports.formulas import Volumes
from portal.reports.queries import Figures
from vouchers.programmes.access import PUBLIC
from vouchers.programmes.models import ProgrammeVersion

__all__ = ["statistics"]

MOST_CHARTED = 8
LEAST_HOLDERS = 3
"""What is used of a programme with fewer holders would tell one enterprise's business: only what was issued is told."""


@dataclass(frozen=True, slots=True)
class Row:
    """One programme and year as published."""

    name: str
    code: str
    figures: Figures
    is_told: bool

    @property
    def volumes(self) -> Volumes:
        return self.figures.volumes

    @property
    def concentration(self) -> Fraction | None:
        return formulas.concentration(self.figures.receivers.values()) if self.is_told else None

    @property
    def hhi(self) -> int | None:
        return formulas.hhi(list(self.figures.receivers.values())) if self.is_told else None

    @property
    def days(self) -> Fraction | None:
        return formulas.median_days(self.figures.waits) if self.is_told else None

    @property
    def days_shown(self) -> str:
        return "" if self.days is None else f"{float(self.days):.1f}"

    @property
    def leverage_shown(self) -> str:
        return "" if not self.is_told or self.volumes.leverage is None else f"{float(self.volumes.leverage):.2f}"


def _rows() -> list[Row]:
    names: dict[str, ProgrammeVersion] = {}
    versions = ProgrammeVersion.objects.filter(state__in=PUBLIC).select_related("programme")
    for version in versions.order_by("number"):
        names[version.programme.code] = version
    return [
        Row(bilingual(names[one.programme]), one.programme, one, one.holders >= LEAST_HOLDERS)
        for one in reports.figures(until=timezone.now())
        if one.programme in names
    ]


def _chart(rows: list[Row]) -> charts.Chart | None:
    """Return issued, used, redeemed and returned by programme, the largest first; None where nothing was issued."""
    shown = sorted((row for row in rows if row.volumes.issued and row.is_told), key=lambda row: -row.volumes.issued)[
        :MOST_CHARTED
    ]
    if not shown:
        return None
    series = (
        (gettext("发放"), "issued", charts.Tone.QUIET),
        (gettext("使用"), "used", charts.Tone.WARN),
        (pgettext("statistics", "核销"), "redeemed", charts.Tone.ACCENT),
        (gettext("收回"), "returned", charts.Tone.BAD),
    )
    points = tuple(
        charts.Point(
            label=f"{row.name} {row.figures.fiscal_year}",
            amount=getattr(row.volumes, name) / 100,
            text=str(Money(getattr(row.volumes, name))),
            series=word,
        )
        for row in shown
        for word, name, _tone in series
    )
    return charts.Chart(
        kind=charts.Kind.GROUPED,
        title=gettext("各项目的发放、使用、核销与收回"),
        description=charts.text_of([point for point in points if point.series == series[0][0]]),
        points=points,
        amounts=gettext("元"),
        tones=tuple((word, tone) for word, _name, tone in series),
        language=language(),
    )


def _total(rows: Iterable[Row]) -> Volumes:
    """Add up what is told: with the others in it, the sum would tell them by what is missing."""
    sums = dict.fromkeys(("issued", "used", "redeemed", "paid", "returned", "spent"), 0)
    for row in rows:
        for name in sums if row.is_told else ():
            sums[name] += getattr(row.volumes, name)
    return Volumes(**sums)


@guarded
def statistics(request: HttpRequest) -> HttpResponse:
    """Publish volumes and rates of every programme and year. A fixed number of queries; CSV and JSON."""
    rows = _rows()
    if wants_csv(request):
        return _csv(rows)
    if request.GET.get("format") == "json":
        return _json(rows)
    return page(
        request,
        "statistics/statistics.html",
        {
            "rows": rows,
            "total": _total(rows),
            "issued_fen": sum(row.volumes.issued for row in rows),
            "chart": charts.cached(chart) if (chart := _chart(rows)) else "",
            "vouchers": sum(row.figures.vouchers for row in rows),
            "at": timezone.now(),
            "least": LEAST_HOLDERS,
        },
    )


def _percent(value: Fraction | None) -> str:
    return "" if value is None else f"{float(value) * 100:.2f}"


def _facts(row: Row) -> dict[str, Any]:
    volumes = row.volumes

    def yuan(fen: int) -> str:
        return Money(fen).yuan() if row.is_told else ""

    def percent(value: Fraction | None) -> str:
        return _percent(value) if row.is_told else ""

    return {
        "programme": row.code,
        "fiscal_year": row.figures.fiscal_year,
        "vouchers": row.figures.vouchers,
        "issued_yuan": Money(volumes.issued).yuan(),
        "used_yuan": yuan(volumes.used),
        "redeemed_yuan": yuan(volumes.redeemed),
        "paid_yuan": yuan(volumes.paid),
        "returned_yuan": yuan(volumes.returned),
        "use_rate_percent": percent(volumes.use_rate),
        "redemption_rate_percent": percent(volumes.redemption_rate),
        "return_rate_percent": percent(volumes.return_rate),
        "leverage": row.leverage_shown,
        "median_days": row.days_shown,
        "top10_percent": _percent(row.concentration),
        "hhi": "" if row.hhi is None else row.hhi,
    }


def _csv(rows: list[Row]) -> HttpResponse:
    words = {
        "programme": gettext("项目代码"),
        "fiscal_year": gettext("年度"),
        "vouchers": gettext("发券张数"),
        "issued_yuan": gettext("发放（元）"),
        "used_yuan": gettext("使用（元）"),
        "redeemed_yuan": gettext("核销（元）"),
        "paid_yuan": gettext("兑付（元）"),
        "returned_yuan": gettext("收回（元）"),
        "use_rate_percent": gettext("使用率（%）"),
        "redemption_rate_percent": gettext("核销率（%）"),
        "return_rate_percent": gettext("收回率（%）"),
        "leverage": gettext("撬动倍数"),
        "median_days": gettext("办理天数（中位数）"),
        "top10_percent": gettext("前十家占比（%）"),
        "hhi": gettext("集中度指数"),
    }
    return csv_response("statistics", list(words.values()), (list(_facts(row).values()) for row in rows))


def _json(rows: list[Row]) -> HttpResponse:
    text = json.dumps([_facts(row) for row in rows], ensure_ascii=False, indent=1)
    return HttpResponse(text + "\n", content_type="application/json; charset=utf-8")
