"""VAVAILABILITY as a reader evaluates it: the layers by priority, the weekly rules expanded by a library not ours."""

from datetime import UTC, date, datetime, time, timedelta

import pytest
import recurring_ical_events
from hypothesis import given, settings
from hypothesis import strategies as st
from icalendar import Calendar, Event

from integrations.ics.availability import availability
from portal.kernel.period import Period, merge, subtract
from scheduler.availability.rules import Closure, WeeklyHours, open_periods

WINDOW = Period(datetime(2026, 11, 26, tzinfo=UTC), datetime(2027, 12, 31, tzinfo=UTC))
"""400 days, with four changes of the clock in Zurich and New York."""
WEEK = WeeklyHours(frozenset({1, 2, 3, 4, 5}), 480, 1200)


def written(hours, opened, zone="Asia/Shanghai", window=WINDOW):
    return availability(hours, opened, zone=zone, window=window, identity="R-1")


def expanded(calendar, layer, span):
    """Yield the AVAILABLE time of a layer, expanded by recurring-ical-events, which only knows VEVENT."""
    events = Calendar()
    for zone in calendar.walk("VTIMEZONE"):
        events.add_component(zone)
    for part in layer.walk("AVAILABLE"):
        event = Event()
        for name, value in part.property_items(recursive=False):
            if name not in {"BEGIN", "END"}:
                event[name] = value
        events.add_component(event)
    for found in recurring_ical_events.of(events).between(span.start - timedelta(days=2), span.end):
        start, end = found["DTSTART"].dt.astimezone(UTC), found["DTEND"].dt.astimezone(UTC)
        start, end = max(start, span.start), min(end, span.end)
        if start < end:
            yield Period(start, end)


def evaluated(body):
    """Return the open time: the lowest priority first, each higher one overwrites its own span (RFC 7953 §4)."""
    calendar = Calendar.from_ical(body)
    layers = sorted(calendar.walk("VAVAILABILITY"), key=lambda layer: -(int(layer["PRIORITY"]) or 10))
    opened = []
    for layer in layers:
        span = Period(layer["DTSTART"].dt.astimezone(UTC), layer["DTEND"].dt.astimezone(UTC))
        opened = [*subtract(opened, [span]), *expanded(calendar, layer, span)]
    return list(merge(opened))


rows = st.builds(
    lambda days, opens, length, since, lasts: WeeklyHours(
        frozenset(days),
        opens * 30,
        opens * 30 + length * 30,
        since,
        (since and lasts is not None and since + timedelta(days=lasts)) or None,
    ),
    st.sets(st.integers(1, 7), min_size=1),
    st.integers(0, 47),
    st.integers(1, 48),
    st.none() | st.dates(date(2026, 10, 1), date(2027, 12, 1)),
    st.none() | st.integers(0, 200),
)
closures = st.builds(
    lambda start, hours: Closure(Period(WINDOW.start + start, WINDOW.start + start + timedelta(hours=hours))),
    st.timedeltas(timedelta(0), timedelta(days=399)),
    st.integers(1, 500),
)


@settings(max_examples=15)
@given(
    st.lists(rows, max_size=3),
    st.lists(closures, max_size=3),
    st.sampled_from(["Asia/Shanghai", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe"]),
)
def test_what_readers_find_is_what_is_open_for_400_days(hours, closed, zone):
    closed = [
        Closure(Period(c.period.start.replace(microsecond=0), c.period.end.replace(microsecond=0))) for c in closed
    ]
    opened = open_periods(hours, zone=zone, window=WINDOW, closures=closed)
    assert evaluated(written(hours, opened, zone)) == list(merge(opened))


def test_a_plain_week_is_one_rule_with_one_zone():
    body = written([WEEK], open_periods([WEEK], zone="Asia/Shanghai", window=WINDOW))
    text = body.decode()
    assert text.count("BEGIN:VAVAILABILITY") == text.count("BEGIN:AVAILABLE") == text.count("BEGIN:VTIMEZONE") == 1
    assert text.index("BEGIN:VTIMEZONE") < text.index("BEGIN:VAVAILABILITY")
    assert "RRULE:FREQ=WEEKLY;BYDAY=MO,TU,WE,TH,FR" in text
    assert "DTSTART;TZID=Asia/Shanghai:20261125T080000" in text
    assert "BUSYTYPE:BUSY-UNAVAILABLE" in text
    assert "TZOFFSETTO:+0800" in text
    assert "METHOD" not in text


def test_a_closed_holiday_and_a_worked_saturday_stand_above_the_week():
    opened = open_periods([WEEK], zone="Asia/Shanghai", window=WINDOW)
    holiday = Period(datetime(2026, 12, 31, 16, tzinfo=UTC), datetime(2027, 1, 1, 16, tzinfo=UTC))
    worked = Period(datetime(2027, 1, 2, 0, tzinfo=UTC), datetime(2027, 1, 2, 12, tzinfo=UTC))
    opened = [*subtract(opened, [holiday]), worked]
    body = written([WEEK], opened)
    assert evaluated(body) == list(merge(opened))
    layers = [(int(x["PRIORITY"]), len(x.subcomponents)) for x in Calendar.from_ical(body).walk("VAVAILABILITY")]
    assert layers == [(9, 1), (1, 1)], "two days side by side are one layer"


def test_nothing_open_is_told_as_never_open():
    body = written([], [])
    assert evaluated(body) == []
    assert body.count(b"BEGIN:VAVAILABILITY") == 1
    assert b"VTIMEZONE" not in body


@pytest.mark.parametrize(
    ("zone", "moment", "utc"),
    [
        ("Europe/Zurich", datetime(2027, 3, 29, 9), time(7)),
        ("Europe/Zurich", datetime(2027, 3, 27, 9), time(8)),
        ("America/New_York", datetime(2027, 3, 13, 2, 30), time(7, 30)),
        ("America/New_York", datetime(2027, 3, 15, 2, 30), time(6, 30)),
        ("Asia/Shanghai", datetime(2027, 7, 1, 9), time(1)),
    ],
)
def test_our_vtimezone_tells_the_clock(zone, moment, utc):
    from integrations.ics.timezones import timezone

    component = timezone(zone, WINDOW)
    local = moment.replace(tzinfo=component.to_tz(lookup_tzid=False))
    assert local.astimezone(UTC).time() == utc
    assert all(b"," not in line for line in component.to_ical().splitlines() if line.startswith(b"RDATE"))
