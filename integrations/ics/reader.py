"""Read a lab's calendar file: which spans of time it takes, which events it does not count, or why it is refused.

Answers ``scheduler.calendars.ports.CalendarReader``. The principle: a file never frees time by being unclear. An
event that takes time we cannot determine refuses the whole file, and the refusal names it.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, time

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from icalendar import Component

from integrations.ics import syntax
from integrations.ics.events import Event, current, spans
from integrations.ics.recurrence import BadRule, Budget, TooFrequent
from integrations.ics.refusals import refused
from integrations.ics.syntax import every, moment_of, parameter, text_of, value
from integrations.ics.values import Reading, UnknownTzid, Unreadable
from portal.kernel.period import Period
from scheduler.calendars.ports import BusySpan, CalendarRefused, CalendarReport, Skipped

__all__ = ["MAX_INSTANCES", "first_day", "read"]

MAX_INSTANCES = 2000
FREE = "FREE"
OTHERS = {"VTODO", "VJOURNAL", "VAVAILABILITY"}


def read(raw: bytes, *, zone: str, horizon: Period) -> CalendarReport:
    """Read an iCalendar file (RFC 5545); see ``CalendarReader``.

    Reads VEVENT and VFREEBUSY; other components are listed as skipped. STATUS:TENTATIVE blocks. Bounded: 5 MiB,
    5,000 components, 2,000 spans within `horizon`, and a budget for the recurrence rules of the whole file.
    Raises CalendarRefused with params `reason` and `detail`, and nothing else whatever `raw` holds.
    """
    budget = Budget()
    busy: list[BusySpan] = []
    skipped: list[Skipped] = []
    events: list[Event] = []
    for calendar in syntax.parse(raw, budget):
        reading = Reading(calendar, zone=zone, horizon=horizon, budget=budget)
        method, owner = value(calendar, "METHOD").upper(), text_of(value(calendar, "X-WR-CALNAME"))
        events += [Event(each, reading, method=method, owner=owner) for each in calendar.walk("VEVENT")]
        for published in calendar.walk("VFREEBUSY"):
            _add_published(published, reading, horizon, busy, skipped)
        skipped += [
            Skipped(text_of(value(other, "UID")), text_of(value(other, "SUMMARY")), "not_event")
            for other in calendar.walk(select=lambda each: each.name in OTHERS)
        ]
    by_uid: dict[str, list[Event]] = {}
    for index, event in enumerate(events):
        by_uid.setdefault(event.uid or f"\n{index}", []).append(event)
    for group in by_uid.values():
        _add_events(group, horizon, busy, skipped)
    return CalendarReport(events=len(events), busy=sorted(busy, key=_order), skipped=skipped)


def first_day(raw: bytes) -> datetime | None:
    """Return the earliest readable start in the file, as UTC midnight of that day, or None. Raises CalendarRefused."""
    starts: list[date] = []
    for calendar in syntax.parse(raw, Budget()):
        values = [value(event, "DTSTART") for event in calendar.walk("VEVENT")]
        for published in calendar.walk("VFREEBUSY"):
            values += [prop.partition("/")[0] for prop in every(published, "FREEBUSY")]
        starts += [date(found.year, found.month, found.day) for found in map(moment_of, values) if found]
    return datetime.combine(min(starts), time(), UTC) if starts else None


def _add_events(group: list[Event], horizon: Period, busy: list[BusySpan], skipped: list[Skipped]) -> None:
    """Add what the events of one UID take. Raises CalendarRefused, naming the event."""
    event = group[0]
    try:
        kept = current(group)
        for each in kept:
            event = each
            if each.skipped:
                skipped.append(Skipped(each.uid, each.summary, each.skipped))
        for event, period in spans(kept, horizon):
            _add(BusySpan(period, event.uid, event.summary, event.start.all_day), busy)
    except UnknownTzid as unknown:
        raise refused("unknown_zone", event=_name(event), zone=text_of(str(unknown))) from None
    except TooFrequent:
        raise refused("too_frequent", event=_name(event), rule=event.rule_text or "RDATE") from None
    except Unreadable as unreadable:
        name, value = unreadable.args
        raise _broken(event, name, value) from None
    except (BadRule, OverflowError):
        raise _broken(event, "RRULE", event.rule_text) from None


def _add_published(
    published: Component, reading: Reading, horizon: Period, busy: list[BusySpan], skipped: list[Skipped]
) -> None:
    """Add the busy periods of a VFREEBUSY; an FBTYPE we do not know is busy (RFC 5545 §3.2.9)."""
    uid, summary = text_of(value(published, "UID")), text_of(value(published, "SUMMARY"))
    blocks = [prop for prop in every(published, "FREEBUSY") if parameter(prop, "FBTYPE").upper() != FREE]
    if not blocks:
        skipped.append(Skipped(uid, summary, "transparent" if every(published, "FREEBUSY") else "no_time"))
    for prop in blocks:
        try:
            for start, length in reading.stamps("FREEBUSY", prop):
                if length is None:
                    raise Unreadable("FREEBUSY", str(prop))
                begin, end = start.instant, length.after(start)
                if begin < end and begin < horizon.end and horizon.start < end:
                    _add(BusySpan(Period(begin, end), uid, summary), busy)
        except TooFrequent:
            raise refused("too_frequent", event=summary or uid or published.name, rule="FREEBUSY") from None
        except (Unreadable, UnknownTzid, OverflowError):
            what = format_lazy(_("忙闲信息中的时段无法识别：{value}"), value=text_of(prop)[:60])
            raise refused("broken", what=what) from None


def _add(span: BusySpan, busy: list[BusySpan]) -> None:
    if len(busy) >= MAX_INSTANCES:
        raise refused("too_many_instances", limit=MAX_INSTANCES)
    busy.append(span)


def _order(span: BusySpan) -> tuple[Period, str]:
    return span.period, span.uid


def _broken(event: Event, name: str, value: str) -> CalendarRefused:
    template = _("日程“{event}”的 {name} 无法识别（{value}）")
    return refused("broken", what=format_lazy(template, event=_name(event), name=name, value=text_of(value)[:60]))


def _name(event: Event) -> str:
    return event.summary or event.uid or value(event.component, "DTSTART") or "?"
