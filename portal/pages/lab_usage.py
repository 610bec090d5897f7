"""A lab's log of use and its income: sessions, machine hours and money by instrument and month, to see and to take away."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from django import forms
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import charts
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages import shell
from portal.pages.casework import language
from portal.pages.exports import xlsx_table
from portal.pages.templatetags.show import bilingual, label, zone_of
from portal.reports import labs
from portal.reports.labs import Work
from scheduler.resources import access
from scheduler.resources.models import Resource

__all__ = ["lab_income", "lab_usage"]

XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
MOST_MONTHS = 36
SHOWN_MONTHS = 6
SORTS = {
    "start": ["started_at"],
    "instrument": ["booking__resource__name"],
    "organisation": ["booking__organisation__name"],
    "hours": ["duration_s"],
}


class MonthField(forms.DateField):
    """The browser's own month input: ``2026-11``, cleaned to its first day."""

    def __init__(self, **options: Any) -> None:
        widget = forms.DateInput(format="%Y-%m", attrs={"type": "month"})
        super().__init__(widget=widget, input_formats=["%Y-%m"], **options)


class UsageFilter(forms.Form):
    """Which instrument, and from which month to which."""

    instrument = forms.ChoiceField(label=_("仪器"))
    first = MonthField(label=_("从"))
    last = MonthField(label=_("到"))

    def __init__(self, data: Any, *, resources: Sequence[Resource], now: datetime) -> None:
        super().__init__(data, auto_id="filter_%s")
        for bound in self.fields.values():
            bound.required = False
        chosen = self.fields["instrument"]
        assert isinstance(chosen, forms.ChoiceField)
        chosen.choices = [("", gettext("全部")), *((one.number, bilingual(one)) for one in resources)]
        self.resources = resources
        self.today = timezone.localtime(now).date()
        self.full_clean()
        shown = {"first": f"{self.months[0]:%Y-%m}", "last": f"{self.months[-1]:%Y-%m}"}
        self.data = {**shown, "instrument": self.cleaned_data.get("instrument", "")}

    @property
    def months(self) -> list[date]:
        """Return the months asked for, the last six by default, never more than three years."""
        last = min(self.cleaned_data.get("last") or self.today, self.today.replace(day=28))
        earliest = self.cleaned_data.get("first")
        back = last.year * 12 + last.month - 1 - (SHOWN_MONTHS - 1)
        first = earliest or date(back // 12, back % 12 + 1, 1)
        return labs.months_of(min(first, last), last)[-MOST_MONTHS:]

    @property
    def chosen(self) -> list[Resource]:
        """Return the instruments asked for."""
        number = self.cleaned_data.get("instrument")
        return [one for one in self.resources if not number or one.number == number]


@dataclass(frozen=True, slots=True)
class Seen:
    """What a page shows: the filter, and the work of the chosen instruments in the chosen months."""

    filters: UsageFilter
    work: Mapping[tuple[int, date], Work]

    @property
    def window(self) -> Period:
        return labs.window_of(self.filters.months)

    @property
    def by_instrument(self) -> list[tuple[Resource, Work]]:
        sums = labs.totals(self.work)
        return [(one, sums[one.pk]) for one in self.filters.chosen]

    @property
    def by_month(self) -> list[tuple[date, Work]]:
        sums = labs.totals(self.work, by_month=True)
        return [(month, sums[month]) for month in self.filters.months]

    @property
    def total(self) -> Work:
        found = Work()
        for _month, one in self.by_month:
            found.add(one)
        return found


def _seen(request: HttpRequest) -> Seen:
    actor, now = shell.actor_of(request), timezone.now()
    resources = list(access.own_instruments(actor).select_related("instrument").order_by("name", "pk"))
    filters = UsageFilter(request.GET, resources=resources, now=now)
    return Seen(filters, labs.work(filters.chosen, months=filters.months, now=now))


@shell.needs(Permission.INSTRUMENT_MANAGE)
def lab_usage(request: HttpRequest) -> HttpResponse:
    """Show every session with machine hours by month and how far each instrument was used; give out both as files."""
    seen = _seen(request)
    found = labs.sessions(seen.filters.chosen, window=seen.window)
    if shell.wants_csv(request):
        return shell.csv_response(
            "usage-log", _log_head(), (_log_row(row) for row in found.order_by("started_at")[: shell.EXPORT_LIMIT])
        )
    if request.GET.get("format") == "xlsx":
        return _reported(seen)
    listing = shell.listing(request, found, sorts=SORTS, default="-start")
    context = {
        "filters": seen.filters,
        "listing": listing,
        "lines": [{"row": row, "period": Period(row.started_at, row.ended_at)} for row in listing.rows],
        "instruments": seen.by_instrument,
        "total": seen.total,
        "chart": _hours_chart(seen) if seen.total.used_s else "",
    }
    return shell.page(request, "lab/usage.html", context)


def _log_head() -> tuple[str, ...]:
    return (
        gettext("预约号"),
        gettext("仪器编号"),
        gettext("仪器"),
        gettext("使用单位"),
        gettext("开始"),
        gettext("结束"),
        gettext("机时（小时）"),
        gettext("计时来源"),
        gettext("费用（元）"),
        gettext("其中券抵扣（元）"),
    )


def _log_row(row: Any) -> tuple[object, ...]:
    booking = row.booking
    zone, charge = zone_of(booking.resource.zone), booking.charge
    return (
        booking.number,
        booking.resource.number,
        bilingual(booking.resource),
        bilingual(booking.organisation),
        f"{row.started_at.astimezone(zone):%Y-%m-%d %H:%M}",
        f"{row.ended_at.astimezone(zone):%Y-%m-%d %H:%M}",
        _hours(row.duration_s),
        label(row.source, "clock_source"),
        Money((charge.actual_fen or 0) - charge.refunded_fen).yuan(),
        Money(charge.voucher_captured_fen - charge.voucher_refunded_fen).yuan(),
    )


def _hours(seconds: int | None) -> float | str:
    return "" if seconds is None else round(seconds / 3600, 2)


def _reported(seen: Seen) -> HttpResponse:
    """Return the columns the yearly evaluation asks for, an instrument a row."""
    head = (
        gettext("仪器编号"),
        gettext("名称"),
        gettext("起始月"),
        gettext("截止月"),
        gettext("开放机时（小时）"),
        gettext("有效工作机时（小时）"),
        gettext("对外服务机时（小时）"),
        gettext("测样数"),
        gettext("服务次数"),
        gettext("服务收入（元）"),
        gettext("其中创新券（元）"),
    )
    months = seen.filters.months
    rows = [
        (
            one.number,
            bilingual(one),
            f"{months[0]:%Y-%m}",
            f"{months[-1]:%Y-%m}",
            _hours(done.open_s),
            _hours(done.used_s),
            _hours(done.external_s),
            done.samples,
            done.uses,
            done.income,
            Money(done.voucher_fen),
        )
        for one, done in seen.by_instrument
    ]
    return _workbook("machine-hours", head, rows)


def _workbook(name: str, head: Sequence[str], rows: Sequence[Sequence[Any]]) -> HttpResponse:
    response = HttpResponse(xlsx_table(name, head, rows), content_type=XLSX)
    response["Content-Disposition"] = f'attachment; filename="{name}.xlsx"'
    return response


def _hours_chart(seen: Seen) -> str:
    points = tuple(
        charts.Point(f"{month:%y-%m}", done.used_s / 3600, text=f"{done.used_s / 3600:.1f}")
        for month, done in seen.by_month
    )
    return charts.cached(
        charts.Chart(
            kind=charts.Kind.BAR,
            title=gettext("每月有效机时"),
            description=charts.text_of(points),
            points=points,
            amounts=gettext("小时"),
            language=language(),
        )
    )


@shell.needs(Permission.INSTRUMENT_MANAGE)
def lab_income(request: HttpRequest) -> HttpResponse:
    """Show what the lab's instruments earned, by voucher and by enterprises' own money; give it out as a file."""
    seen = _seen(request)
    if request.GET.get("format") == "xlsx":
        return _earned(seen)
    context = {
        "filters": seen.filters,
        "instruments": [row for row in seen.by_instrument if row[1].income],
        "months": seen.by_month,
        "total": seen.total,
        "chart": _income_chart(seen) if seen.total.income else "",
    }
    return shell.page(request, "lab/income.html", context)


def _earned(seen: Seen) -> HttpResponse:
    head = (
        gettext("仪器编号"),
        gettext("名称"),
        gettext("月份"),
        gettext("券抵扣（元）"),
        gettext("企业自付（元）"),
        gettext("合计（元）"),
    )
    rows = [
        (one.number, bilingual(one), f"{month:%Y-%m}", Money(done.voucher_fen), Money(done.own_fen), done.income)
        for one in seen.filters.chosen
        for month in seen.filters.months
        if (done := seen.work[one.pk, month]).income
    ]
    return _workbook("income", head, rows)


def _income_chart(seen: Seen) -> str:
    words = (
        (gettext("券抵扣"), "voucher_fen", charts.Tone.ACCENT),
        (gettext("企业自付"), "own_fen", charts.Tone.QUIET),
    )
    points = tuple(
        charts.Point(f"{month:%y-%m}", getattr(done, name) / 100, str(Money(getattr(done, name))), word)
        for month, done in seen.by_month
        for word, name, _tone in words
    )
    return charts.cached(
        charts.Chart(
            kind=charts.Kind.GROUPED,
            title=gettext("每月收入"),
            description=charts.text_of(points),
            points=points,
            amounts=gettext("元"),
            tones=tuple((word, tone) for word, _name, tone in words),
            language=language(),
        )
    )
