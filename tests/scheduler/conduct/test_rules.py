"""What violations weigh, when they expire, and what follows from how many points."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.conduct import rules
from scheduler.conduct.rules import Counted, Level, Thresholds

START = datetime(2026, 11, 26, 1, 0, tzinfo=UTC)
DAY = timedelta(days=1)
RULE = Thresholds()


def test_sixty_minutes_late_is_void_and_a_minute_less_is_not():
    """The CAAS rule: a slot from 09:00, log-in at 09:59 is fine, at 10:00 it is void."""
    assert START + timedelta(minutes=59) < RULE.void_at(START) == START + timedelta(minutes=60)


@pytest.mark.parametrize(
    ("used", "percent", "wasted"),
    [(110, 200, True), (120, 200, True), (121, 200, False), (120, 201, False), (0, 200, True)],
)
def test_booked_four_hours(used, percent, wasted):
    """Booked 4 h, used 1 h 50 min exceeds by 118 %; exactly 100 % counts, unless the lab asks for more."""
    rule = Thresholds(ratio_percent=percent)
    assert rule.wastes(booked=timedelta(hours=4), used=timedelta(minutes=used)) is wasted


def test_more_than_three_suspend_for_a_month_and_not_for_ever():
    counted = [Counted(START + DAY * day, 1) for day in range(4)]
    levels = [RULE.standing(counted[:number], at=START + DAY * 4).level for number in range(5)]
    assert levels == [Level.GOOD, Level.GOOD, Level.WARNED, Level.WATCHED, Level.SUSPENDED]
    until = START + DAY * 33
    assert RULE.standing(counted, at=until - timedelta(seconds=1)) == rules.Standing(Level.SUSPENDED, 4, until)
    assert RULE.standing(counted, at=until) == rules.Standing(Level.WATCHED, 4)
    assert RULE.standing(counted, at=START + DAY * 368) == rules.Standing(Level.GOOD, 0)


MOMENTS = st.lists(
    st.builds(Counted, st.integers(0, 800).map(lambda day: START + DAY * day), st.integers(0, 5)), max_size=8
)


@given(MOMENTS, st.integers(0, 900), st.randoms(use_true_random=False))
def test_a_violation_less_never_makes_it_worse_and_their_order_does_not_matter(counted, day, random):
    at = START + DAY * day
    found = RULE.standing(counted, at=at)
    order = list(Level)
    assert RULE.standing(random.sample(counted, len(counted)), at=at) == found
    for left in range(len(counted)):
        fewer = RULE.standing(counted[:left] + counted[left + 1 :], at=at)
        assert order.index(fewer.level) <= order.index(found.level)
        assert fewer.points <= found.points


@pytest.mark.parametrize(
    "wrong",
    [
        {"grace_min": 4},
        {"ratio_percent": 100},
        {"warn_at": 5},
        {"suspend_at": 2},
        {"warn_at": 0},
        {"window_days": 0},
        {"suspend_days": 1001},
        {"points": {rules.ViolationKind.OTHER: 101}},
    ],
)
def test_thresholds_that_make_no_sense_are_refused(wrong):
    with pytest.raises(rules.BadThresholds):
        Thresholds(**wrong)
