"""What calendars block and what a new reading changes, held against time cut into hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period, merge
from scheduler.calendars import rules

ZERO = datetime(2026, 11, 25, tzinfo=UTC)
HOURS = 24


def span(start: int, length: int) -> Period:
    return Period(ZERO + timedelta(hours=start), ZERO + timedelta(hours=start + length))


spans = st.builds(span, st.integers(0, HOURS - 4), st.integers(1, 4))
several = st.lists(spans, max_size=5)


def hours(periods) -> set[int]:
    spans = list(periods)
    return {hour for hour in range(HOURS) for period in spans if ZERO + timedelta(hours=hour) in period}


def disjoint(periods) -> list[Period]:
    return merge(periods)


@given(before=several, after=several, others=several)
def test_a_change_parts_time_into_anew_freed_and_kept(before, after, others):
    found = rules.change(before=before, after=after, others=others, since=span(4, 16))
    seen = set(range(4, 20))
    assert hours(found.anew) == (hours(after) - hours(before)) & seen
    assert hours(found.kept) == hours(after) & hours(before) & seen
    assert hours(found.freed) == (hours(before) - hours(after) - hours(others)) & seen


@given(busy=several)
def test_the_same_again_changes_nothing(busy):
    found = rules.change(before=busy, after=list(reversed(busy)), others=[], since=span(0, HOURS))
    assert (list(found.anew), list(found.freed)) == ([], [])


@given(first=several, second=several, taken=st.dictionaries(st.integers(1, 3), several.map(disjoint), min_size=1))
def test_every_unit_is_blocked_once_and_only_where_it_is_free(first, second, taken):
    blocks = rules.blocks_of_units([(7, first), (9, second)], taken)
    for unit, occupied in taken.items():
        mine = [block for block in blocks if block.unit_no == unit]
        assert hours(block.period for block in mine) == (hours(first) | hours(second)) - hours(occupied)
        assert hours(block.period for block in mine if block.calendar_id == 9).isdisjoint(hours(first))
        assert not any(a.period.overlaps(b.period) for index, a in enumerate(mine) for b in mine[index + 1 :]), (
            "the exclusion constraint would refuse them"
        )


@given(first=several, second=several, taken=st.lists(st.tuples(spans, st.integers(1, 3)), max_size=4))
def test_counted_places_are_filled_up_and_never_oversold(first, second, taken):
    blocks = rules.blocks_of_places([(7, first), (9, second)], taken, capacity=4)
    for hour in range(HOURS):
        used = sum(places for period, places in taken if hour in hours([period]))
        added = sum(block.units for block in blocks if hour in hours([block.period]))
        busy = hour in hours(first) | hours(second)
        assert added == (max(0, 4 - used) if busy else 0)


def test_blocks_name_their_events_each_once():
    events = [
        rules.Busy(span(1, 3), "a", "换灯丝"),
        rules.Busy(span(2, 3), "b", "组会"),
        rules.Busy(span(3, 1), "c", "组会"),
        rules.Busy(span(9, 2), "d", ""),
    ]
    assert rules.titles([span(1, 1), span(2, 2), span(4, 1), span(9, 1)], events) == [
        "换灯丝",
        "换灯丝; 组会",
        "组会",
        "",
    ]
