"""Times in forms: local wall time of an instrument in, periods out; the choices a booking form offers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from django import forms
from django.urls import reverse
from django.utils.translation import gettext, ngettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.period import Period
from portal.pages.purses import MoreVouchers, PayWith, Purse, offer_all
from scheduler.availability import rules as availability
from scheduler.availability.models import OpeningHours
from scheduler.bookings.bundles import ANYBODY
from scheduler.resources.models import Resource
from scheduler.resources.rules import Counting

__all__ = [
    "BookingForm",
    "ClockField",
    "DayField",
    "Slot",
    "book_link",
    "day_of",
    "instant",
    "local_period",
    "options_of",
    "propose",
    "put_back",
    "renamed",
    "slot_of",
]

DAY_MIN = 24 * 60
CLOCK = re.compile(r"([01]?\d|2[0-4]):([0-5]\d)")
FIRST_DAY, LAST_DAY = date(2000, 1, 1), date(2100, 1, 1)
"""What a date field takes: wide enough for any use, narrow enough that no sum of dates overflows."""
MAX_NIGHTS = 31


class DayField(forms.DateField):
    """A native date input: ISO dates between 2000 and 2100."""

    default_error_messages = {"invalid": _("请填写有效的日期。")}

    def __init__(self, **options: Any) -> None:
        super().__init__(
            widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}), input_formats=["%Y-%m-%d"], **options
        )

    def clean(self, value: Any) -> date | None:
        day = super().clean(value)
        if day is not None and not FIRST_DAY <= day < LAST_DAY:
            raise forms.ValidationError(_("日期超出范围，请检查年份。"), code="range")
        return day  # type: ignore[no-any-return]


class ClockField(forms.Field):
    """A wall time ``HH:MM`` up to ``24:00``; cleans to minutes after midnight. Rendered as a time input or a select.

    Any well-formed time passes, listed or not: whether it suits is the domain's to say, with its reasons.
    """

    default_error_messages = {"invalid": _("请填写形如 14:30 的时间。")}

    def to_python(self, value: Any) -> int | None:
        if value in self.empty_values:
            return None
        match = CLOCK.fullmatch(str(value).strip())
        minutes = int(match[1]) * 60 + int(match[2]) if match else DAY_MIN + 1
        if minutes > DAY_MIN:
            raise forms.ValidationError(self.error_messages["invalid"], code="invalid")
        return minutes

    def prepare_value(self, value: Any) -> Any:
        return _wall(value) if isinstance(value, int) else value


def _wall(minutes: int) -> str:
    return f"{minutes // 60:02d}:{minutes % 60:02d}"


def time_input(**attributes: str) -> forms.TimeInput:
    """Return the browser's own time input."""
    return forms.TimeInput(attrs={"type": "time", **attributes})


def instant(day: date, minutes: int, zone: str, *, field: str) -> datetime:
    """Return the instant of a wall time; 24:00 is midnight of the next day. Raises LocalTimeMissing at `field`."""
    day += timedelta(days=minutes // DAY_MIN)
    return availability.localise(day, time(minutes % DAY_MIN // 60, minutes % 60), zone, field=field)


def local_period(start: tuple[date, int], end: tuple[date, int], zone: str, *, fields: tuple[str, str]) -> Period:
    """Return the period between two wall times. Raises LocalTimeMissing, BadPeriod (always at ``ends_at``)."""
    return Period(instant(*start, zone, field=fields[0]), instant(*end, zone, field=fields[1]))


@dataclass(frozen=True, slots=True)
class Slot:
    """A period as people say it: a local day, wall times in minutes, and how many days later it ends."""

    day: date
    start: int
    end: int
    ends_on: int = 0


def slot_of(period: Period, zone: str) -> Slot:
    """Return a period in wall time; an end at midnight is 24:00 of the day before."""
    tz = ZoneInfo(zone)
    start, end = period.start.astimezone(tz), period.end.astimezone(tz)
    last, minutes = end.date(), end.hour * 60 + end.minute
    if minutes == 0 and last > start.date():
        last, minutes = last - timedelta(days=1), DAY_MIN
    return Slot(start.date(), start.hour * 60 + start.minute, minutes, (last - start.date()).days)


def book_link(
    resource: Resource,
    period: Period,
    *,
    voucher: str | None = None,
    more: Sequence[str] = (),
    needs: Mapping[str, str | int] | None = None,
) -> str:
    """Return the address of the booking form, filled in for `period`. `voucher` "" means: pay all yourself.

    `needs` are other fields of the form.
    """
    slot = slot_of(period, resource.zone)
    query: dict[str, str | int | Sequence[str]] = {
        **(needs or {}),
        "day": slot.day.isoformat(),
        "start": _wall(slot.start),
        "end": _wall(slot.end),
    }
    if slot.ends_on:
        query["ends_on"] = slot.ends_on
    if voucher is not None:
        query["voucher"] = voucher
    if more:
        query["more"] = more
    return f"{reverse('instrument_book', args=[resource.number])}?{urlencode(query, doseq=True)}"


@dataclass(frozen=True, slots=True)
class Options:
    """What a booking form offers: start and end times of the opening hours' grid, and nights if any are open."""

    starts: Sequence[int]
    ends: Sequence[int]
    nights: int


def options_of(resource: Resource, hours: Iterable[OpeningHours]) -> Options:
    """Return the wall times on the resource's grid inside its weekly hours, whatever the weekday."""
    step = max(resource.granularity_s // 60, 1)
    starts: set[int] = set()
    ends: set[int] = set()
    overnight = False
    for row in hours:
        grid = range(-(-row.opens_min // step) * step, row.closes_min + 1, step)
        starts.update(minute % DAY_MIN for minute in grid if minute < row.closes_min)
        ends.update((minute - 1) % DAY_MIN + 1 for minute in grid if minute > row.opens_min)
        overnight = overnight or row.closes_min >= DAY_MIN
    if not starts:
        starts, ends = set(range(0, DAY_MIN, step)), set(range(step, DAY_MIN + 1, step))
    nights = min(-(-resource.max_duration_s // 86400), MAX_NIGHTS) if overnight else 0
    return Options(sorted(starts), sorted(ends), nights)


def _night_label(nights: int) -> str:
    if nights == 0:
        return gettext("当天")
    if nights == 1:
        return gettext("次日")
    return ngettext("%(days)d 天后", "%(days)d 天后", nights) % {"days": nights}


class BookingForm(forms.Form):
    """What an enterprise fills in to book. Times are the instrument's wall time."""

    title = forms.CharField(
        label=_("用途"),
        max_length=120,
        help_text=_("例如“电池极片截面观察”。仅贵单位和实验室可见。"),
        error_messages={
            "required": _("请填写用途（120 字以内），仅贵单位和实验室可见。"),
            "max_length": _("请填写用途（120 字以内），仅贵单位和实验室可见。"),
        },
    )
    day = DayField(label=_("日期"))
    start = ClockField(label=_("开始"), widget=forms.Select)
    ends_on = forms.IntegerField(label=_("结束日"), required=False, min_value=0, max_value=MAX_NIGHTS)
    end = ClockField(label=_("结束"), widget=forms.Select)
    units = forms.IntegerField(label=_("名额"), initial=1, min_value=1, max_value=1000, required=False)
    operator = forms.CharField(label=_("操作人员"), required=False, max_length=24, widget=forms.Select)
    configuration = forms.CharField(
        label=_("配置代号"),
        required=False,
        max_length=40,
        help_text=_("实验室约定的代号，可不填。同一单位以同一配置连续使用，中间不留清理时间。"),
    )
    by_transfer = forms.BooleanField(
        label=_("预付款用对公转账"),
        required=False,
        help_text=_("转账到账较慢，时段为此保留更久；不勾选则在线支付。"),
    )
    voucher = PayWith()
    more = MoreVouchers()

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        resource: Resource,
        options: Options,
        purses: Sequence[Purse],
        operators: Sequence[Resource] = (),
        transfers: bool = False,
        **more: Any,
    ) -> None:
        super().__init__(data, **more)
        self.resource = resource
        if not transfers:
            del self.fields["by_transfer"]
        self.nights = options.nights
        self._ask_for(resource, operators)
        for name, minutes in (("start", options.starts), ("end", options.ends)):
            self._offer(name, minutes)
        if options.nights:
            self.fields["ends_on"].widget = forms.Select(
                choices=[(night, _night_label(night)) for night in range(options.nights + 1)]
            )
        else:
            self.fields["ends_on"].widget = forms.HiddenInput()
        offer_all(self, purses)

    def _ask_for(self, resource: Resource, operators: Sequence[Resource]) -> None:
        """Keep the fields that mean something for this resource."""
        if resource.counting != Counting.FUNGIBLE.value:
            del self.fields["units"]
        if not resource.setup_s and not resource.cleanup_s:
            del self.fields["configuration"]
        if operators:
            widget = self.fields["operator"].widget
            assert isinstance(widget, forms.Select)
            widget.choices = [
                ("", gettext("自行操作")),
                (ANYBODY, gettext("由实验室安排人员操作")),
                *((person.number, person.name) for person in operators),
            ]
        else:
            del self.fields["operator"]

    @property
    def needed(self) -> list[forms.BoundField]:
        """Return the fields of what may be asked for besides time and payment."""
        return [self[name] for name in NEEDS if name in self.fields]

    @property
    def needs(self) -> dict[str, str | int]:
        """Return what is asked for besides time and payment, as the form's fields."""
        return {name: value for name in NEEDS if (value := self.cleaned_data.get(name))}

    def _offer(self, name: str, minutes: Sequence[int]) -> None:
        """Offer the grid's times, and the one already chosen even where the grid does not have it."""
        choices = [_wall(minute) for minute in minutes]
        raw = self[name].value()
        if isinstance(raw, str) and CLOCK.fullmatch(raw.strip()) and raw.strip() not in choices:
            choices = sorted([*choices, raw.strip()])
        widget = self.fields[name].widget
        assert isinstance(widget, forms.Select)
        widget.choices = [(choice, choice) for choice in choices]

    @property
    def timed(self) -> bool:
        """Say whether day and times can be read, whatever else is wrong."""
        return self.is_bound and not {"day", "start", "end", "ends_on"} & self.errors.keys()

    def period(self) -> Period:
        """Return the period meant. Raises LocalTimeMissing, BadPeriod with the form's own field names."""
        values = self.cleaned_data
        last = values["day"] + timedelta(days=values.get("ends_on") or 0)
        return local_period(
            (values["day"], values["start"]), (last, values["end"]), self.resource.zone, fields=("start", "end")
        )


NEEDS = ("units", "operator", "configuration", "by_transfer")
NAMES = {"starts_at": "start", "ends_at": "end", "instrument": ""}
"""What the domain calls an input, and what the booking form calls it."""


def day_of(text: str) -> date | None:
    """Read an ISO date from an address; None for anything else."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if FIRST_DAY <= day < LAST_DAY else None


def propose(
    query: Mapping[str, str], *, resource: Resource, free: Callable[[date | None], Sequence[Period]]
) -> dict[str, Any]:
    """Return what the form starts with: what the address asks for, fitted to the grid and the shortest use.

    Without a start, the first of `free` (asked for the bookable spans around a day, sorted) on that day, or at all. A
    proposal, not a choice: what a person then chooses is never changed silently.
    """
    shortest = timedelta(seconds=max(resource.min_duration_s, min(3600, resource.max_duration_s)))
    day = day_of(query.get("day", ""))
    asked = _asked(query, day, resource)
    if asked is None:
        asked = _first(free(day), day, shortest, resource)
    if asked is None:
        return {"day": day}
    slot = slot_of(asked, resource.zone)
    return {"day": slot.day, "start": _wall(slot.start), "end": _wall(slot.end), "ends_on": slot.ends_on}


def _asked(query: Mapping[str, str], day: date | None, resource: Resource) -> Period | None:
    start = CLOCK.fullmatch(query.get("start", ""))
    if day is None or start is None:
        return None
    end = CLOCK.fullmatch(query.get("end", ""))
    nights = int(query["ends_on"]) if query.get("ends_on", "").isascii() and query.get("ends_on", "").isdigit() else 0
    grid, offset = timedelta(seconds=resource.granularity_s), timedelta(seconds=resource.grid_from_s)
    shortest = timedelta(seconds=resource.min_duration_s)
    try:
        begin = instant(day, int(start[1]) * 60 + int(start[2]), resource.zone, field="start")
        begin = availability.next_on_grid(begin, granularity=grid, zone=resource.zone, offset=offset)
        finish = begin + shortest
        if end is not None and nights <= MAX_NIGHTS:
            last = instant(day + timedelta(days=nights), int(end[1]) * 60 + int(end[2]), resource.zone, field="end")
            finish = max(finish, availability.next_on_grid(last, granularity=grid, zone=resource.zone, offset=offset))
    except availability.LocalTimeMissing:
        return None
    return Period(begin, finish)


def _first(free: Sequence[Period], day: date | None, wanted: timedelta, resource: Resource) -> Period | None:
    tz = ZoneInfo(resource.zone)
    spans = [span for span in free if day is None or span.start.astimezone(tz).date() <= day]
    if day is not None:
        midnight = datetime.combine(day, time.min, tz)
        spans = [replace(span, start=max(span.start, midnight)) for span in spans if span.end > midnight]
    for span in spans:
        start = availability.next_on_grid(
            span.start,
            granularity=timedelta(seconds=resource.granularity_s),
            zone=resource.zone,
            offset=timedelta(seconds=resource.grid_from_s),
        )
        if start + wanted <= span.end:
            return Period(start, start + wanted)
    return None


def renamed(problem: Explained, names: Mapping[str, str]) -> Explained:
    """Return the problem with the domain's field names replaced by the form's; "" blames the whole form."""
    reasons = tuple({**reason, "field": names.get(reason["field"], reason["field"])} for reason in problem.reasons)
    fields = {names.get(name, name): text for name, text in problem.fields.items()}
    fields.pop("", None)
    return replace(problem, reasons=reasons, fields=fields)


def put_back(form: forms.Form, problem: Explained, names: Mapping[str, str] | None = None) -> Explained:
    """Say at each field what is wrong with it, keeping what was typed; return the problem in the form's names."""
    problem = renamed(problem, names or {})
    known = {name: text for name, text in problem.fields.items() if name in form.fields}
    for name, text in known.items():
        form.add_error(name, text)
    reasons = tuple(
        {**reason, "field": reason["field"] if reason["field"] in form.fields else ""} for reason in problem.reasons
    )
    return replace(problem, reasons=reasons)
