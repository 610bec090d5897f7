"""When the uses of a series are: every rule that can be said, in zones that change their clocks and one that does not."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from dateutil import rrule
from hypothesis import assume, given
from hypothesis import strategies as st

from scheduler.availability.rules import LocalTimeMissing, is_ambiguous, localise
from scheduler.bookings import series_rules as rules
from scheduler.bookings.series_rules import Clock, Frequency, Pattern

ZONES = ("Asia/Shanghai", "Europe/Zurich", "America/New_York", "Australia/Lord_Howe")
HOUR = timedelta(hours=1)


@st.composite
def patterns(draw):
    frequency = draw(st.sampled_from(Frequency))
    weekdays = frozenset(draw(st.sets(st.integers(1, 7)))) if frequency is Frequency.WEEKLY else frozenset()
    first = draw(st.dates(date(2026, 1, 1), date(2028, 12, 31)))
    count = draw(st.none() | st.integers(2, rules.MAX_OCCURRENCES))
    return Pattern(
        first=first,
        clock=draw(st.times().map(lambda clock: clock.replace(second=0, microsecond=0))),
        duration=timedelta(minutes=draw(st.integers(15, 20 * 60))),
        zone=draw(st.sampled_from(ZONES)),
        frequency=frequency,
        interval=draw(st.integers(1, 5)),
        weekdays=weekdays,
        count=count,
        until=None if count else first + timedelta(days=draw(st.integers(0, 900))),
    )


def judged(pattern):
    """Return the days of a pattern as dateutil finds them, which shares no line with ours."""
    weekly = pattern.frequency is Frequency.WEEKLY
    rule = rrule.rrule(
        rrule.WEEKLY if weekly else rrule.DAILY,
        dtstart=datetime.combine(pattern.first, time.min),
        interval=pattern.interval,
        wkst=rrule.MO,
        byweekday=[day - 1 for day in pattern.weekdays or {pattern.first.isoweekday()}] if weekly else None,
        count=pattern.count,
        until=pattern.until and datetime.combine(pattern.until, time.min),
    )
    return [moment.date() for moment in rule]


@given(patterns())
def test_names_exactly_the_days_of_the_rule(pattern):
    try:
        found = [one.day for one in rules.expand(pattern)]
    except (rules.SeriesTooLong, rules.SeriesTooShort):
        assume(False)
    assert found == judged(pattern)


@given(patterns())
def test_keeps_the_clock_on_the_wall_and_says_where_it_cannot(pattern):
    try:
        found = rules.expand(pattern)
    except (rules.SeriesTooLong, rules.SeriesTooShort):
        assume(False)
    for one in found:
        assert one.period.duration == pattern.duration
        shown = one.period.start.astimezone(ZoneInfo(pattern.zone))
        if one.clock is Clock.MISSING:
            with pytest.raises(LocalTimeMissing):
                localise(one.day, pattern.clock, pattern.zone)
            assert (shown.date(), shown.time()) > (one.day, pattern.clock)
        else:
            assert (shown.date(), shown.time()) == (one.day, pattern.clock)
            assert (one.clock is Clock.DOUBLED) is is_ambiguous(one.day, pattern.clock, pattern.zone)
            assert shown.fold == 0


def weekly(**changes):
    values = {"first": date(2026, 10, 19), "clock": time(9), "duration": HOUR, "zone": "Europe/Zurich", "count": 4}
    return Pattern(**{**values, "frequency": Frequency.WEEKLY, **changes})


def test_nine_in_zurich_stays_nine_when_summer_ends():
    found = rules.expand(weekly())
    assert [one.period.start.hour for one in found] == [7, 8, 8, 8]


def test_half_past_two_in_new_york_moves_by_the_hour_the_night_leaves_out():
    found = rules.expand(
        weekly(first=date(2027, 3, 13), clock=time(2, 30), zone="America/New_York", frequency=Frequency.DAILY, count=3)
    )
    assert [one.period.start for one in found] == [
        datetime(2027, 3, 13, 7, 30, tzinfo=UTC),
        datetime(2027, 3, 14, 7, 30, tzinfo=UTC),
        datetime(2027, 3, 15, 6, 30, tzinfo=UTC),
    ]
    assert [one.clock for one in found] == ["", "missing", ""]
    assert found[1].period.duration == HOUR


def test_half_past_two_in_zurich_is_the_first_of_the_two():
    (_before, doubled) = rules.expand(
        weekly(first=date(2026, 10, 24), clock=time(2, 30), frequency=Frequency.DAILY, count=2)
    )
    assert (doubled.clock, doubled.period.start) == ("doubled", datetime(2026, 10, 25, 0, 30, tzinfo=UTC))


@pytest.mark.parametrize(
    ("changes", "error", "field"),
    [
        ({"count": 156}, rules.SeriesTooLong, "count"),
        ({"count": None, "until": date(2029, 10, 19)}, rules.SeriesTooLong, "until"),
        ({"count": None, "until": date(2026, 10, 25)}, rules.SeriesTooShort, "until"),
        ({"count": 1}, rules.SeriesTooShort, "count"),
        ({"count": None}, rules.SeriesBounds, "count"),
        ({"until": date(2027, 1, 1)}, rules.SeriesBounds, "count"),
        ({"interval": 0}, rules.PatternInvalid, "interval"),
        ({"weekdays": frozenset({8})}, rules.PatternInvalid, "weekdays"),
        ({"weekdays": frozenset({1}), "frequency": Frequency.DAILY}, rules.PatternInvalid, "weekdays"),
        ({"duration": 30 * HOUR, "frequency": Frequency.DAILY}, rules.SeriesOverlaps, "ends_at"),
    ],
)
def test_what_cannot_be_is_refused_at_its_field(changes, error, field):
    with pytest.raises(error) as refused:
        rules.expand(weekly(**changes))
    assert refused.value.field == field


def test_three_years_of_weeks_are_refused_with_the_last_day_that_fits():
    with pytest.raises(rules.SeriesTooLong) as refused:
        rules.expand(weekly(count=156))
    assert refused.value.params == {"limit": 104, "last": "2028-10-09"}
    assert len(rules.expand(weekly(count=104))) == 104
