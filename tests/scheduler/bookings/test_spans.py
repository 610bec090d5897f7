"""Where a use may lie: equal to trying every minute."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import assume, given
from hypothesis import strategies as st

from portal.kernel.period import Period
from scheduler.bookings import spans

START = datetime(2026, 11, 25, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def period(pair: tuple[int, int]) -> Period:
    first, length = pair
    return Period(START + first * MINUTE, START + (first + length) * MINUTE)


periods = st.tuples(st.integers(0, 40), st.integers(1, 20)).map(period)
rooms = st.builds(
    lambda setup, cleanup, late: spans.Room(setup * MINUTE, cleanup * MINUTE, late),
    st.integers(0, 4),
    st.integers(0, 4),
    st.booleans(),
)


def inside(span: Period, found: list[Period]) -> bool:
    return not spans.subtract([span], found)


@given(st.lists(periods, max_size=4), st.lists(periods, max_size=4), rooms, periods)
def test_a_use_lies_where_its_room_is_open_and_meets_nothing(opened, taken, room, use):
    padded = use.padded(before=room.setup, after=room.cleanup)
    fits = inside(room.inside(use), opened) and not any(span.overlaps(padded) for span in taken)
    assert inside(use, spans.usable(opened, taken, room=room)) == fits


@given(
    st.lists(st.tuples(periods, st.integers(1, 3)), max_size=6),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(0, 60),
)
def test_places_are_full_when_too_few_are_left(held, capacity, units, minute):
    assume(units <= capacity)
    moment = START + minute * MINUTE
    used = sum(places for span, places in held if moment in span)
    found = spans.full([spans.Held(span, places) for span, places in held], capacity=capacity, units=units)
    assert any(moment in span for span in found) == (used + units > capacity)


@given(st.lists(periods, max_size=4), st.lists(periods, max_size=4), st.integers(0, 60))
def test_what_lies_in_both_lies_in_each(left, right, minute):
    moment = START + minute * MINUTE
    both = spans.intersect(left, right)
    assert any(moment in span for span in both) == (
        any(moment in span for span in left) and any(moment in span for span in right)
    )
