"""How long an offer stands, and when in the week somebody can come."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period
from scheduler.waitlist import rules
from tests import make

HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("ahead", "stands"),
    [(24 * HOUR, 2 * HOUR), (4 * HOUR, HOUR), (HOUR / 2, HOUR / 4), (HOUR / 6, HOUR / 6)],
)
def test_an_offer_stands_a_quarter_of_the_time_left_within_bounds(ahead, stands):
    assert rules.stands_until(make.NOW + ahead, now=make.NOW) - make.NOW == stands


def test_parts_of_days_on_the_instruments_clock():
    week = Period(make.local(make.NOW.date(), "00:00"), make.local(make.NOW.date(), "00:00") + timedelta(days=7))
    mornings = rules.windows(week, zone="Asia/Shanghai", weekdays=[4], part=rules.PartOfDay.MORNING)
    assert mornings == [make.slot(1, "00:00", "12:00")]
    assert rules.windows(week, zone="Asia/Shanghai") == [week]


@given(
    st.sampled_from(rules.PartOfDay),
    st.sets(st.integers(1, 7)),
    st.sampled_from(["Asia/Shanghai", "Europe/Zurich", "America/New_York"]),
    st.integers(0, 400),
    st.integers(1, 30 * 24),
)
def test_windows_lie_in_the_whole_and_cover_each_moment_that_suits(part, weekdays, zone, start, hours):
    whole = Period(make.NOW + start * HOUR, make.NOW + (start + hours) * HOUR)
    found = rules.windows(whole, zone=zone, weekdays=weekdays, part=part)
    opens, closes = rules.CLOCKS[part]
    for quarter in range(min(4 * hours, 400)):
        moment = whole.start + quarter * HOUR / 4
        local = moment.astimezone(make.ZoneInfo(zone))
        suits = (not weekdays or local.isoweekday() in weekdays) and opens <= local.hour < closes
        assert any(moment in window for window in found) == suits
    assert all(whole.covers(window) for window in found)
