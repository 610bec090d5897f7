"""Book a series: the form, every use with what stands against it, the choice; a series as it is; cancelling from one on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, time, timedelta, tzinfo
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from integrations.ics import feed
from portal import links
from portal.http import Explained, explain, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.errors import Conflict, NotFound, noop
from portal.kernel.money import Money
from portal.kernel.period import BadPeriod, Period
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import Desk, arrived, signing_in_first
from portal.pages.bookings import ics_event
from portal.pages.templatetags.show import bilingual, period_text, zone_of
from scheduler.bookings import access, fees, series, series_preview
from scheduler.bookings.models import Booking, BookingSeries
from scheduler.bookings.series_preview import Preview, Row, SeriesWanted
from scheduler.bookings.series_rules import MAX_OCCURRENCES, Frequency, Pattern, expand

__all__ = ["instrument_series", "series_cancel", "series_ics", "series_page"]

WEEKDAYS = {
    1: _("周一"),
    2: _("周二"),
    3: _("周三"),
    4: _("周四"),
    5: _("周五"),
    6: _("周六"),
    7: _("周日"),
}
NAMES = {**slots.NAMES, "dropped": "", "moved": ""}


class Changed(Conflict):
    """Between looking and booking somebody took time, or a price changed."""

    code = "series.changed"
    message = noop("空闲情况或价格刚刚有变，下面是最新的。请核对后再次提交；什么都没有预约。")


class SeriesForm(slots.BookingForm):
    """What an enterprise fills in to book a series: a booking's form, and how it repeats."""

    frequency = forms.ChoiceField(
        label=_("重复方式"),
        choices=[(Frequency.WEEKLY.value, _("按周")), (Frequency.DAILY.value, _("按天"))],
    )
    interval = forms.IntegerField(label=_("每几周（天）一次"), min_value=1, max_value=52)
    weekdays = forms.MultipleChoiceField(
        label=_("星期"),
        required=False,
        widget=forms.CheckboxSelectMultiple,
        choices=list(WEEKDAYS.items()),
        help_text=_("按周重复时选择；都不选即首次那天的星期。"),
    )
    count = forms.IntegerField(label=_("共几次"), required=False, min_value=1, max_value=100_000)
    until = slots.DayField(label=_("或截止日期（含）"), required=False)

    def pattern(self) -> Pattern:
        """Return the rule meant. Raises BadPeriod with the form's own field name."""
        values = self.cleaned_data
        weekly = values["frequency"] == Frequency.WEEKLY.value
        minutes = values["end"] - values["start"] + (values.get("ends_on") or 0) * slots.DAY_MIN
        if minutes <= 0:
            raise BadPeriod(field="end")
        start = values["start"] % slots.DAY_MIN
        return Pattern(
            first=values["day"] + timedelta(days=values["start"] // slots.DAY_MIN),
            clock=time(start // 60, start % 60),
            duration=timedelta(minutes=minutes),
            zone=self.resource.zone,
            frequency=Frequency(values["frequency"]),
            interval=values["interval"],
            weekdays=frozenset(map(int, values["weekdays"])) if weekly else frozenset(),
            count=values["count"],
            until=values["until"],
        )

    def period(self) -> Period:
        """Return when the first use is; without a rule yet, the time asked for. Raises what the pattern is refused for."""
        if not {"frequency", "interval", "count", "until"} <= self.cleaned_data.keys():
            return super().period()
        return expand(self.pattern())[0].period


class SeriesDesk(Desk):
    """One visit to an instrument's form for series."""

    FORM = SeriesForm

    def start(self) -> slots.BookingForm:
        """Return the form as the address asks, weekly four times; nothing is judged yet."""
        form, query = self.proposal(), self.request.GET
        values = {name: form[name].value() for name in form.fields}
        values |= {"frequency": Frequency.WEEKLY.value, "interval": 1, "count": 4, "until": None}
        values |= {name: query[name] for name in ("frequency", "interval", "count", "until") if name in query}
        values["weekdays"] = query.getlist("weekdays")
        return self.form(None, initial=values)

    def series(self, form: SeriesForm) -> SeriesWanted:
        """Return what a valid form asks for, every use by the rule. Raises what the pattern is refused for, NotFound."""
        return SeriesWanted(like=self.wanted(form), pattern=form.pattern())

    def look(self, wanted: SeriesWanted) -> Preview:
        """Look at every use."""
        return series_preview.preview(
            wanted, organisation_id=self.actor.organisation_id, user_id=self.actor.user_id, now=self.now
        )

    def show_series(
        self, form: slots.BookingForm, found: Preview | None = None, *, error: Explained | None = None
    ) -> HttpResponse:
        """Render the form, with every use below it once it was asked for."""
        context = {
            "resource": self.resource,
            "form": form,
            "found": found,
            "lines": [_line(row, zone_of(self.resource.zone), self.request.POST) for row in found.rows]
            if found
            else [],
            "error": error,
            "key": self.request.POST.get("idempotency_key") or shell.new_key(),
            "most": MAX_OCCURRENCES,
            "path": reverse("instrument_series", args=[self.resource.number]),
        }
        status = error.status if error else 422 if form.errors else 200
        return shell.page(self.request, "instruments/series.html", context, status=status)


def _field(day: date) -> str:
    return f"use-{day.isoformat()}"


def _told(period: Period) -> str:
    return f"{period.start.isoformat()}/{period.end.isoformat()}"


def _line(row: Row, zone: tzinfo, sent: Mapping[str, str]) -> dict[str, Any]:
    """Return a use as the table shows it: its choices, and which one is set."""
    name = _field(row.occurrence.day)
    choices = [("keep", gettext("预约"))] if row.verdict is series_preview.UseVerdict.FREE else []
    choices.append(("drop", gettext("不约这次")))
    if row.alternative is not None:
        elsewhere = gettext("改到 %(when)s") % {"when": period_text(row.alternative, zone)}
        choices.append((_told(row.alternative), elsewhere))
    asked = sent.get(name, choices[0][0])
    return {
        "row": row,
        "when": period_text(row.period, zone),
        "name": name,
        "choices": choices,
        "chosen": asked if asked in dict(choices) else choices[0][0],
        "reasons": [explain_reason(reason) for reason in row.reasons],
    }


def _with_choices(wanted: SeriesWanted, found: Preview, sent: Mapping[str, str]) -> SeriesWanted:
    """Return the series with what was chosen for each use: kept, dropped, or moved to the time it was offered."""
    dropped, moved = set(), {}
    for row in found.rows:
        line = _line(row, zone_of(wanted.pattern.zone), sent)
        if line["chosen"] == "drop":
            dropped.add(row.occurrence.day)
        elif line["chosen"] != "keep" and row.alternative is not None:
            moved[row.occurrence.day] = row.alternative
    return replace(wanted, dropped=frozenset(dropped), moved=moved)


@signing_in_first
@shell.needs(Permission.BOOKING_REQUEST)
def instrument_series(request: HttpRequest, number: str) -> HttpResponse:
    """Ask for the rule; show every use; then book those that were chosen, all of them or none."""
    desk = SeriesDesk(request, number)
    if request.method != "POST":
        return desk.show_series(desk.start())
    act = shell.act_of(request, "look", "free", "book")
    form = desk.form(request.POST)
    assert isinstance(form, SeriesForm)
    if not form.is_valid():
        return desk.show_series(form)
    wanted, error = shell.attempt(lambda: desk.series(form))
    if error is None:
        found, error = shell.attempt(lambda: desk.look(wanted))
    if error is not None:
        return desk.show_series(form, error=slots.put_back(form, error, NAMES))
    if act == "look":
        return desk.show_series(form, found)
    if before := _made_before(desk):
        messages.info(request, gettext("这张表单已提交过，下面是那次提交的系列。如需另约，请从仪器页面重新开始。"))
        return arrived(request, reverse("series", args=[before.number]))
    if request.POST.get("seen") != found.seen:
        return desk.show_series(form, found, error=explain(Changed()))
    return _book(desk, form, _with_choices(wanted, found, request.POST if act == "book" else {}))


def _made_before(desk: SeriesDesk) -> BookingSeries | None:
    return access.own_series(desk.actor).filter(key=desk.request.POST.get("idempotency_key", "")).first()


def _book(desk: SeriesDesk, form: SeriesForm, wanted: SeriesWanted) -> HttpResponse:
    request = desk.request
    made, error = acts.attempt_on(
        "booking",
        lambda: series.book(actor=desk.actor, wanted=wanted, now=desk.now, key=shell.key_of(request)),
    )
    if error is not None:
        found = desk.look(replace(wanted, dropped=frozenset(), moved={}))
        return desk.show_series(form, found, error=slots.put_back(form, error, NAMES))
    uses = made.bookings.count()
    text = ngettext("已提交 %(count)d 次预约。", "已提交 %(count)d 次预约。", uses)
    messages.success(request, text % {"count": uses})
    return arrived(request, reverse("series", args=[made.number]))


def _lines(uses: Sequence[Booking], now: datetime) -> list[dict[str, Any]]:
    lines = []
    for use in uses:
        assert use.planned_at is not None
        lines.append(
            {
                "booking": use,
                "period": Period(use.starts_at, use.ends_at),
                "is_moved": use.starts_at != use.planned_at,
                "planned_at": use.planned_at,
                "open": use.state in series.OPEN and use.starts_at > now,
            }
        )
    return lines


@shell.needs(Permission.BOOKING_REQUEST)
def series_page(request: HttpRequest, number: str) -> HttpResponse:
    """Show a series: its rule, and what became of every use."""
    return _series_page(request, access.get_series(shell.actor_of(request), number))


def _series_page(request: HttpRequest, made: BookingSeries, *, error: Explained | None = None) -> HttpResponse:
    uses = list(access.bookings_of(made))
    context = {
        "series": made,
        "resource": made.resource,
        "clock": f"{made.clock:%H:%M}",
        "weekdays": [WEEKDAYS[day] for day in made.weekdays or [made.first_day.isoweekday()]],
        "lines": _lines(uses, timezone.now()),
        "error": error,
    }
    return shell.page(request, "bookings/series.html", context, status=error.status if error else 200)


@shell.needs(Permission.BOOKING_REQUEST)
def series_cancel(request: HttpRequest, number: str, first: str) -> HttpResponse:
    """Ask, naming how many and what it costs; then cancel one use and all later ones. A fee nobody has seen is shown first."""
    actor = shell.actor_of(request)
    made, use = access.get_series(actor, number), access.get_own(actor, first)
    if use.series_id != made.pk:
        raise NotFound
    now = timezone.now()
    left = series.still_open(use, now=now)
    fee = sum((fees.due(one, now=now) for one in left), Money(0))
    seen = f"{len(left)}/{fee.fen}"
    if request.method != "POST" or (left and request.POST.get("seen") != seen):
        context = {
            "booking": use,
            "period": Period(use.starts_at, use.ends_at),
            "series": made,
            "left": left,
            "held": sum(one.charge.price_fen for one in left if one.charge is not None),
            "fee": fee,
            "seen": seen,
            "path": request.path,
        }
        return shell.page(request, "bookings/series_cancel.html", context)
    gone, error = acts.attempt_on("booking", lambda: series.cancel_from(actor=actor, booking=use, now=now))
    if error is not None:
        return _series_page(request, made, error=error)
    messages.success(request, gettext("已取消 %(count)s 次预约。") % {"count": len(gone)})
    return arrived(request, reverse("series", args=[made.number]))


@shell.needs(Permission.BOOKING_REQUEST)
def series_ics(request: HttpRequest, number: str) -> HttpResponse:
    """Give the organisation a series as a calendar file: one event for each use (see `scheduler.bookings.series`)."""
    made = access.get_series(shell.actor_of(request), number)
    events = [
        ics_event(use, url=links.absolute(request, reverse("booking", args=[use.number])))
        for use in access.bookings_of(made)
    ]
    body = feed.events(events, name=bilingual(made.resource), zone=made.zone, privacy=feed.Privacy.FULL)
    response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="{made.number}.ics"'
    return response
