"""What a limit allows and when it frees, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period
from scheduler.quotas import rules
from scheduler.quotas.rules import Effect, Limit, Measure, Peak, Span, Use

ZONE = "Asia/Shanghai"
MONDAY = datetime(2026, 11, 22, 16, tzinfo=UTC)
"""Monday 23 November 2026, midnight in Shanghai."""
HOUR = timedelta(hours=1)
WEEKLY = Limit("每周", Measure.HOURS, 10 * 3600)


def use(start_h: float, hours: float, units: int = 1) -> Use:
    start = MONDAY + start_h * HOUR
    return Use(Period(start, start + hours * HOUR), units)


def judge(limit: Limit, wanted: Use, *uses: Use, opened: tuple[Use, ...] = ()) -> list[rules.Standing]:
    return rules.judge(limit, wanted=wanted, uses=uses, opened=opened, zone=ZONE, now=MONDAY)


def test_hours_fit_to_the_last_second_and_no_further():
    [full] = judge(WEEKLY, use(30, 4), use(9, 6))
    assert (full.fits, full.used, full.asked, full.left) == (True, 6 * 3600, 4 * 3600, 4 * 3600)
    [over] = judge(WEEKLY, use(30, 4 + 1 / 3600), use(9, 6))
    assert not over.fits
    assert over.frees_at == MONDAY + 7 * 24 * HOUR
    [reason] = rules.refusals([over])
    assert (reason.code, reason.params["left"], reason.params["frees"]) == ("quota.hours", "4", "2026-11-30 00:00")


def test_a_use_over_midnight_of_sunday_counts_in_both_weeks():
    standings = judge(WEEKLY, use(7 * 24 - 2, 5))
    assert [standing.asked for standing in standings] == [2 * 3600, 3 * 3600]


def test_a_week_that_is_full_already_is_passed_over():
    [over] = judge(WEEKLY, use(30, 4), use(9, 10), use(7 * 24 + 9, 7))
    assert over.frees_at == MONDAY + 14 * 24 * HOUR


def test_what_never_fits_says_so():
    [over] = judge(WEEKLY, use(30, 11))
    assert over.frees_at is None
    assert "联系实验室" in rules.refusals([over])[0].remedy


def test_places_count_each():
    [two] = judge(WEEKLY, use(30, 4, units=2))
    assert two.asked == 8 * 3600


def test_bookings_ahead_free_when_enough_have_begun():
    limit = Limit("两次", Measure.BOOKINGS, 2)
    [over] = judge(limit, use(90, 1), use(50, 1), use(10, 1), use(30, 1))
    assert (over.used, over.fits, over.frees_at) == (3, False, MONDAY + 30 * HOUR)
    assert judge(limit, use(90, 1), use(10, 1))[0].fits


def test_a_share_is_of_the_open_peak_hours_and_off_peak_is_free():
    limit = Limit("高峰", Measure.PEAK_SHARE, 25, peak=Peak(frozenset({1, 2}), 9 * 60, 13 * 60))
    opened = (use(8, 10), use(32, 10))
    [over] = judge(limit, use(34, 2), use(9, 1), opened=opened)
    assert (over.allowed, over.used, over.asked, over.fits) == (2 * 3600, 3600, 2 * 3600, False)
    assert judge(limit, use(14, 4), use(9, 4), opened=opened) == []


def test_only_what_refuses_is_a_reason():
    soft = Limit("每周", Measure.HOURS, 3600, effect=Effect.APPROVAL)
    standings = judge(soft, use(30, 4))
    assert rules.needs_approval(standings)
    assert rules.refusals(standings) == []


@given(st.datetimes(datetime(2020, 1, 1), datetime(2030, 1, 1)), st.sampled_from(Span), st.integers(1, 90 * 24))
def test_windows_follow_each_other_and_cover(start, span, hours):
    period = Period(start.replace(tzinfo=UTC), start.replace(tzinfo=UTC) + hours * HOUR)
    windows = rules.windows_of(period, span, "Europe/Zurich")
    assert windows[0].start <= period.start
    assert windows[-1].start < period.end <= windows[-1].end
    assert all(one.end == two.start for one, two in pairwise(windows))


@given(st.lists(st.tuples(st.integers(0, 400), st.integers(1, 12)), max_size=12), st.integers(0, 160))
def test_where_it_frees_the_same_request_fits(spans, start):
    uses = [use(at, hours) for at, hours in spans]
    for standing in rules.judge(WEEKLY, wanted=use(start, 6), uses=uses, opened=[], zone=ZONE, now=MONDAY):
        if not standing.fits and standing.frees_at is not None:
            later = Use(Period(standing.frees_at, standing.frees_at + 6 * HOUR))
            assert all(
                each.fits for each in rules.judge(WEEKLY, wanted=later, uses=uses, opened=[], zone=ZONE, now=MONDAY)
            )


@pytest.mark.parametrize(
    "wrong",
    [
        Limit("", Measure.HOURS, 3600),
        Limit("x", Measure.HOURS, 60),
        Limit("x", Measure.BOOKINGS, 0),
        Limit("x", Measure.PEAK_SHARE, 100, peak=Peak(frozenset({1}), 0, 60)),
        Limit("x", Measure.PEAK_SHARE, 20),
        Limit("x", Measure.PEAK_SHARE, 20, peak=Peak(frozenset({1}), 60, 60)),
    ],
)
def test_limits_that_say_nothing_are_refused(wrong):
    with pytest.raises(rules.BadQuota):
        wrong.check()
