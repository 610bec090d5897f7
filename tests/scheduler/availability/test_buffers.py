"""Changeover between uses (booking scenario S4, and in general)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period
from scheduler.availability.buffers import Use, blocked

DAY = datetime(2026, 11, 26, tzinfo=UTC)
QUARTER = timedelta(minutes=15)


def use(start: str, end: str, together: str = "") -> Use:
    clock = [DAY + timedelta(hours=int(text[:2]), minutes=int(text[3:])) for text in (start, end)]
    return Use(Period(*clock), QUARTER, 2 * QUARTER, together)


def shown(uses: list[Use]) -> list[str]:
    return [f"{period.start:%H:%M}-{period.end:%H:%M}" for period in blocked(uses)]


def test_a_use_blocks_its_set_up_and_its_clean_up():
    assert shown([use("09:00", "11:00")]) == ["08:45-11:30"]


def test_strangers_need_the_whole_changeover_between_them():
    assert shown([use("09:00", "11:00", "li/a"), use("11:45", "12:00", "wang/a")]) == ["08:45-11:30", "11:30-12:30"]
    tight = blocked([use("09:00", "11:00", "li/a"), use("11:30", "12:00", "wang/a")])
    assert tight[0].overlaps(tight[1])


def test_one_configuration_of_one_organisation_needs_none():
    assert shown([use("09:00", "11:00", "li/a"), use("11:00", "12:00", "li/a")]) == ["08:45-11:00", "11:00-12:30"]
    assert shown([use("09:00", "11:00", "li/a"), use("11:15", "12:00", "li/a")]) == ["08:45-11:15", "11:15-12:30"]


def test_where_there_is_time_to_change_over_it_stays_free():
    assert shown([use("09:00", "11:00", "li/a"), use("12:00", "13:00", "li/a")]) == ["08:45-11:30", "11:45-13:30"]


def test_uses_without_a_configuration_never_go_together():
    tight = blocked([use("09:00", "11:00"), use("11:00", "12:00")])
    assert tight[0].overlaps(tight[1])


@given(st.lists(st.tuples(st.integers(0, 8), st.integers(1, 12), st.sampled_from(["", "a", "b"])), max_size=8))
def test_blocked_holds_the_use_and_neighbours_that_go_together_never_overlap(steps):
    uses, at = [], DAY
    for gap, length, together in steps:
        start = at + gap * QUARTER
        at = start + length * QUARTER
        uses.append(Use(Period(start, at), QUARTER, 2 * QUARTER, together))
    spans = blocked(uses)
    assert all(span.covers(each.during) for span, each in zip(spans, uses, strict=True))
    for (earlier, first), (later, second) in pairwise(zip(uses, spans, strict=True)):
        roomy = later.during.start - earlier.during.end >= 3 * QUARTER
        assert first.overlaps(second) is not (roomy or earlier.joins(later))
