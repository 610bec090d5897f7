"""Two libraries as judges of what we read from real files, and a fuzzer."""

import warnings
from datetime import UTC, date, datetime, time, timedelta
from importlib.resources import files
from zoneinfo import ZoneInfo

import icalendar
import pytest
import recurring_ical_events
import x_wr_timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from integrations.ics.reader import first_day, read
from portal.kernel.period import Period
from scheduler.calendars.ports import CalendarRefused
from tests.integrations.ics.text import HORIZON, SHANGHAI, days_from

SHIPPED = sorted(
    path
    for package in ("icalendar.tests.calendars", "recurring_ical_events.test.calendars")
    for path in files(package.rpartition(".")[0]).joinpath(package.rpartition(".")[2]).iterdir()
    if path.name.endswith(".ics")
)
"""Real and deliberately broken exports of Google, Outlook, Thunderbird, Lotus …, as the two libraries ship them."""

JUDGED_OTHERWISE = {
    "issue_156_RDATE_with_PERIOD_TZID_khal.ics": "a change without its series lists dates of its own; they drop them",
    "issue_156_RDATE_with_PERIOD_TZID_khal_2.ics": "the same",
    "issue_1633_rdate_with_dates.ics": "a period of dates is days of the resource; they read UTC",
    "issue_1633_rdate_with_dates_and_tzid.ics": "the same",
    "issue_75_range_parameter.ics": "UNTIL given as a date includes that day; they stop at its midnight",
    "one_day_event_repeat_every_day.ics": "a day reaches into the horizon by the resource's clock; they compare dates",
}


def by_libraries(raw, horizon):
    """Expand with icalendar, x-wr-timezone and recurring-ical-events; None when they give up on the file."""
    spans = set()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for each in icalendar.Calendar.from_ical(raw, multiple=True):
                found = recurring_ical_events.of(x_wr_timezone.to_standard(each)).between(horizon.start, horizon.end)
                spans |= {span for span in map(_span, found) if span and span.overlaps(horizon)}
    except (KeyError, ValueError, TypeError, AttributeError):
        return None
    return spans


def _span(component):
    if component.get("STATUS") == "CANCELLED" or component.get("TRANSP") == "TRANSPARENT":
        return None
    start, end = (_instant(component[name].dt) for name in ("DTSTART", "DTEND"))
    return Period(start, end) if start < end else None


def _instant(value):
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(SHANGHAI))).astimezone(UTC)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_agrees_with_the_libraries_on_real_files(path):
    """Where both read a file, both find the same time; where we refuse, we say why."""
    raw = path.read_bytes()
    try:
        horizon = days_from((first_day(raw) or datetime(2026, 1, 1, tzinfo=UTC)) - timedelta(days=1), 900)
        report = read(raw, zone=SHANGHAI, horizon=horizon)
    except CalendarRefused as error:
        assert error.params["reason"] in {"not_calendar", "broken", "unknown_zone"}
        assert str(error.params["detail"])
        return
    theirs = by_libraries(raw, horizon)
    if theirs is None or b"BEGIN:VFREEBUSY" in raw:
        return
    ours = {span.period for span in report.busy}
    if path.name in JUDGED_OTHERWISE:
        assert ours != theirs, "the libraries have come round: strike the file off the list"
        assert len(ours) >= len(theirs)
    else:
        assert ours == theirs


def test_most_shipped_files_are_compared_and_not_refused():
    outcomes = []
    for path in SHIPPED:
        try:
            read(path.read_bytes(), zone=SHANGHAI, horizon=HORIZON)
            outcomes.append(path)
        except CalendarRefused as error:
            assert error.params["reason"] != "too_frequent"
    assert len(outcomes) > 150


SEEDS = [path.read_bytes() for path in SHIPPED if path.stat().st_size < 4000]
PIECES = [
    *(b"BEGIN:VEVENT", b"END:VEVENT", b"BEGIN:VTIMEZONE", b"RRULE:FREQ=SECONDLY", b"RRULE:FREQ=YEARLY;BYWEEKNO=-53"),
    *(
        b"DTSTART:99991231T235959Z",
        b"DTSTART:16010101",
        b"DTEND:80001231T235959Z",
        b"DURATION:P9999W",
        b"\x00",
        b"\r",
        b"\n ",
    ),
    *(
        b"RECURRENCE-ID;RANGE=THISANDFUTURE:16010101T000000Z",
        b"RECURRENCE-ID:80000101",
        b"TZOFFSETFROM:+2359",
        b'"',
        b";",
    ),
    *(
        b"EXDATE:",
        b"RDATE;VALUE=PERIOD:20260101T000000Z/-P99999D",
        b"COUNT=999999999",
        b"\xff\xfe",
        b"UNTIL=16010101",
        b":",
    ),
    *(
        b"TZID:../../etc/passwd",
        b"X-WR-TIMEZONE:/",
        b"RRULE:FREQ=HOURLY;INTERVAL=9999",
        b"SEQUENCE:\xc2\xb2",
        b"METHOD:CANCEL",
    ),
]


@st.composite
def mutants(draw):
    raw = bytearray(draw(st.sampled_from(SEEDS)))
    for _turn in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(raw)))
        end = min(len(raw), place + draw(st.integers(0, 30)))
        piece = draw(st.one_of(st.sampled_from(PIECES), st.binary(max_size=6)))
        if draw(st.booleans()):
            raw[place:end] = piece
        else:
            line = raw.find(b"\n", place) + 1
            raw[line:line] = piece + b"\r\n"
    return bytes(raw)


@settings(max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.one_of(mutants(), mutants(), st.binary(max_size=200)))
def test_raises_nothing_but_its_refusal(raw):
    horizon = HORIZON if len(raw) % 2 else days_from(datetime.combine(date(2010, 1, 1), time(), tzinfo=UTC), 800)
    try:
        report = read(raw, zone=SHANGHAI, horizon=horizon)
    except CalendarRefused as error:
        assert str(error.params["detail"])
    else:
        assert all(span.period.overlaps(horizon) for span in report.busy)
        assert list(report.busy) == sorted(report.busy, key=lambda span: (span.period, span.uid))
        assert report == read(raw, zone=SHANGHAI, horizon=horizon)
