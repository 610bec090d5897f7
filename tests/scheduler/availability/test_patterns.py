"""Weekly hours, holidays, special openings and closures put together; overlaps; clocks that change."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period, merge
from portal.kernel.workdays import Workdays
from portal.workdays import queries as calendar
from scheduler.availability import patterns, rules
from scheduler.availability.patterns import Pattern, Special, expand, open_to
from scheduler.availability.rules import Audience, Closure, WeeklyHours

BEIJING = "Asia/Shanghai"
MONDAY_TO_FRIDAY = frozenset({1, 2, 3, 4, 5})


def day(year: int, month: int, at: int, zone: str = BEIJING) -> Period:
    return rules.closed_days(date(year, month, at), date(year, month, at), zone)


def hours_open(pattern: Pattern, window: Period) -> float:
    spans = open_to(expand(pattern, window=window), Audience.ENTERPRISES)
    return sum(span.duration.total_seconds() for span in spans) / 3600


class TestHolidays:
    """S6: Monday to Friday 08-20, 1-7 October closed, Saturday 10 October works as a Thursday."""

    thursday_late = (
        WeeklyHours(frozenset({1, 2, 3, 5}), 8 * 60, 17 * 60),
        WeeklyHours(frozenset({4}), 8 * 60, 20 * 60),
    )

    def test_the_golden_week_is_closed_and_the_make_up_saturday_is_open(self):
        days = Workdays(
            overrides={
                **{date(2026, 10, at): False for at in range(1, 8)},
                date(2026, 10, 10): True,
            },
            works_as={date(2026, 10, 10): 4},
        )
        pattern = Pattern(BEIJING, self.thursday_late, weekday_of=days.weekday_of)
        found = {at: hours_open(pattern, day(2026, 10, at)) for at in range(1, 13)}
        assert found == {**dict.fromkeys(range(1, 8), 0), 8: 12, 9: 9, 10: 12, 11: 0, 12: 9}

    def test_who_does_not_follow_holidays_is_open_on_them(self):
        assert hours_open(Pattern(BEIJING, self.thursday_late), day(2026, 10, 5)) == 9
        assert hours_open(Pattern(BEIJING, self.thursday_late), day(2026, 10, 10)) == 0

    def test_the_state_councils_make_up_days_keep_the_hours_of_the_days_they_replace(self):
        official = calendar.official()
        assert official.weekday_of(date(2026, 10, 10)) == 3, "for Wednesday 7 October"
        assert official.weekday_of(date(2026, 9, 20)) == 2, "for Tuesday 6 October"
        assert official.weekday_of(date(2026, 2, 14)) == 5, "for Friday 20 February"
        assert official.weekday_of(date(2026, 10, 3)) is None, "a Saturday inside the holiday"
        assert official.weekday_of(date(2026, 10, 17)) == 6, "a Saturday like any other"
        assert official.weekday_of(date(2026, 10, 12)) == 1

    def test_a_make_up_day_nobody_paired_keeps_the_hours_of_the_working_day_beside_it(self):
        days = Workdays(overrides={date(2030, 2, 2): True, date(2030, 2, 3): True})
        assert [days.weekday_of(date(2030, 2, at)) for at in (2, 3)] == [5, 1]

    def test_the_night_before_a_holiday_ends_in_its_morning(self):
        days = Workdays(overrides={date(2026, 10, 1): False})
        night = WeeklyHours(frozenset({3, 4}), 22 * 60, 30 * 60)
        pattern = Pattern(BEIJING, [night], weekday_of=days.weekday_of)
        assert hours_open(pattern, day(2026, 10, 1)) == 6


class TestPrecedence:
    weekly = WeeklyHours(MONDAY_TO_FRIDAY, 8 * 60, 20 * 60)

    def test_a_special_opening_opens_a_holiday_and_a_closure_closes_anything(self):
        holiday = Workdays(overrides={date(2026, 10, 5): False})
        noon = day(2026, 10, 5).start + timedelta(hours=12)
        special = Special(Period(noon - timedelta(hours=2), noon + timedelta(hours=2)))
        pattern = Pattern(BEIJING, [self.weekly], [special], weekday_of=holiday.weekday_of)
        assert hours_open(pattern, day(2026, 10, 5)) == 4
        closed = Pattern(BEIJING, [self.weekly], [special], [Closure(Period(noon, noon + timedelta(days=9)))])
        assert hours_open(closed, day(2026, 10, 5)) == 4, "08:00-12:00 of the week; the special one is closed after"
        assert hours_open(closed, day(2026, 10, 6)) == 0

    def test_enterprises_do_not_see_what_is_open_to_own_staff_only(self):
        own = WeeklyHours(frozenset({6}), 8 * 60, 12 * 60, audience=Audience.OWN)
        found = expand(Pattern(BEIJING, [self.weekly, own]), window=day(2026, 10, 17))
        assert open_to(found, Audience.ENTERPRISES) == []
        assert len(open_to(found, Audience.OWN)) == 1

    def test_what_is_automatic_stays_apart(self):
        auto = WeeklyHours(MONDAY_TO_FRIDAY, 20 * 60, 22 * 60, is_automatic=True)
        found = expand(Pattern(BEIJING, [self.weekly, auto]), window=day(2026, 10, 15))
        assert [opening.is_automatic for opening in found] == [False, True]
        assert len(open_to(found, Audience.ENTERPRISES)) == 1, "one span to book in"


@st.composite
def rows(draw):
    opens = draw(st.integers(0, 23)) * 60
    closes = opens + draw(st.integers(1, 24)) * 60
    first = draw(st.none() | st.dates(date(2026, 3, 1), date(2026, 3, 20)))
    last = draw(st.none() | st.integers(0, 12))
    until = None if last is None else (first or date(2026, 3, 10)) + timedelta(days=last)
    weekdays = frozenset(draw(st.sets(st.integers(1, 7), min_size=1, max_size=3)))
    return WeeklyHours(weekdays, opens, closes, first, until, draw(st.sampled_from(list(Audience)[:2])))


class TestOverlapping:
    @given(rows(), rows())
    def test_is_what_expanding_both_day_by_day_finds(self, one, two):
        # Wide enough that any overlap that recurs, or lies in both validities, happens inside.
        window = Period(datetime(2026, 2, 15, tzinfo=UTC), datetime(2026, 5, 1, tzinfo=UTC))
        mine, other = (rules.open_periods([row], zone="UTC", window=window) for row in (one, two))
        meet = any(a.overlaps(b) for a in mine for b in other) and one.audience is two.audience
        assert (patterns.overlapping([one, two]) == [(0, 1)]) == meet

    def test_names_every_pair(self):
        row = WeeklyHours(frozenset({1}), 480, 1200)
        night = WeeklyHours(frozenset({7}), 1320, 1320 + 720)
        assert patterns.overlapping([row, row, night]) == [(0, 1), (0, 2), (1, 2)]


class TestClocks:
    """S7: what a change of clocks does to weekly hours."""

    def test_a_missing_opening_moves_forward_and_is_flagged(self):
        early = WeeklyHours(frozenset(range(1, 8)), 2 * 60 + 30, 3 * 60 + 30)
        window = Period(datetime(2027, 3, 13, tzinfo=UTC), datetime(2027, 3, 16, tzinfo=UTC))
        found = rules.open_periods([early], zone="America/New_York", window=window)
        assert [span.start for span in found] == [
            datetime(2027, 3, 13, 7, 30, tzinfo=UTC),
            datetime(2027, 3, 15, 6, 30, tzinfo=UTC),
        ], "02:30 does not exist on the 14th, and 03:30 is when it closes: nothing is left of that day"
        (edge,) = patterns.moved([early], zone="America/New_York", window=window)
        assert (edge.wall, edge.instant, edge.is_missing) == (
            datetime(2027, 3, 14, 2, 30),
            datetime(2027, 3, 14, 7, 30, tzinfo=UTC),
            True,
        )

    def test_a_doubled_opening_is_the_first_and_is_flagged(self):
        early = WeeklyHours(frozenset({7}), 2 * 60 + 30, 12 * 60)
        window = day(2026, 10, 25, "Europe/Zurich")
        (edge,) = patterns.moved([early], zone="Europe/Zurich", window=window)
        assert (edge.instant, edge.is_missing) == (datetime(2026, 10, 25, 0, 30, tzinfo=UTC), False)
        (span,) = rules.open_periods([early], zone="Europe/Zurich", window=window)
        assert span.start == edge.instant

    def test_nothing_is_flagged_where_clocks_do_not_change(self):
        whole_year = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
        assert patterns.moved([WeeklyHours(frozenset({7}), 150, 180)], zone=BEIJING, window=whole_year) == []

    @given(
        st.sampled_from(["Europe/Zurich", "America/New_York", "Australia/Lord_Howe", BEIJING]),
        st.integers(0, 95),
        st.integers(1, 40),
        st.dates(date(2026, 1, 1), date(2027, 12, 1)),
    )
    def test_every_edge_that_is_not_flagged_shows_on_the_clock(self, zone, opens, length, first):
        row = WeeklyHours(frozenset(range(1, 8)), opens * 15, (opens + length) * 15)
        tz = ZoneInfo(zone)
        start = datetime(first.year, first.month, first.day, tzinfo=tz)
        window = Period(start, start + timedelta(days=20))
        flagged = {edge.instant for edge in patterns.moved([row], zone=zone, window=window)}
        spans = rules.open_periods([row], zone=zone, window=window)
        edges = {span.start for span in spans} | {span.end for span in spans}
        for edge in edges - {window.start, window.end} - flagged:
            local = edge.astimezone(tz)
            minutes = local.hour * 60 + local.minute
            assert minutes in {row.opens % 1440, row.closes % 1440}
            assert local.fold == 0


@given(st.lists(rows(), max_size=4), st.data())
def test_expanding_twice_over_two_halves_is_expanding_the_whole(hours, data):
    whole = Period(datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 3, 15, tzinfo=UTC))
    middle = whole.start + timedelta(minutes=data.draw(st.integers(1, 14 * 1440 - 1)))
    pattern = Pattern(BEIJING, hours)
    halves = [
        *expand(pattern, window=Period(whole.start, middle)),
        *expand(pattern, window=Period(middle, whole.end)),
    ]
    assert open_to(expand(pattern, window=whole), Audience.OWN) == merge(open_to(halves, Audience.OWN))
