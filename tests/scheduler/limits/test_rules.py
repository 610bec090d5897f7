"""What an account should be held to: arithmetic without a database or a cluster."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs.capabilities import AccountLimits
from scheduler.limits import rules
from scheduler.limits.rules import Bounds, Difference, OpenJob, Purse


def test_a_purse_pays_its_share_of_as_many_minutes_as_it_can():
    half = Purse(available_fen=1500, share=Fraction(1, 2))
    assert rules.still_payable([half], unit_price_fen=900) == 200
    assert rules.still_payable([half, Purse(899, Fraction(1))], unit_price_fen=900) == 259
    assert rules.still_payable([half], unit_price_fen=900, owed_fen=1500) == 100
    assert rules.still_payable([half], unit_price_fen=900, owed_fen=9999) == 0
    assert rules.still_payable([half], unit_price_fen=0) is None
    assert rules.still_payable([], unit_price_fen=900) == 0


@given(st.integers(0, 10**12), st.integers(1, 10**6), st.integers(1, 100))
def test_what_can_be_paid_for_never_costs_more_than_there_is(fen, price, percent):
    share = Fraction(percent, 100)
    minutes = rules.still_payable([Purse(fen, share)], unit_price_fen=price)
    assert minutes is not None
    assert Fraction(price * minutes, 60) * share <= fen


def test_running_jobs_free_what_they_used_in_steps_of_five_minutes():
    waiting = OpenJob(cards=8, cpus=8, time_limit_s=3600)
    running = OpenJob(cards=2, cpus=4, time_limit_s=3600, ran_s=659)
    array = OpenJob(cards=1, cpus=1, time_limit_s=600, tasks=5, ran_s=599)
    assert rules.planned_minutes([waiting, running, array], "cards") == 480 + 100 + 50
    assert rules.planned_minutes([running], "cpus") == 200
    assert rules.planned_minutes([OpenJob(1, 1, 60, ran_s=9999)], "cards") == 0


def test_at_the_end_of_the_money_only_the_portals_own_jobs_stay():
    job = OpenJob(cards=1, cpus=1, time_limit_s=600, tasks=3)
    assert rules.covered(card_minutes=0, cpu_minutes=None, jobs=[]) == Bounds(running_card_minutes=0, submitted=0)
    assert rules.covered(card_minutes=0, cpu_minutes=None, jobs=[job]) == Bounds(30, submitted=3)
    assert rules.covered(card_minutes=5, cpu_minutes=None, jobs=[job]) == Bounds(35)
    assert rules.covered(card_minutes=None, cpu_minutes=None, jobs=[]) == Bounds(), "what is free is not bounded"


def test_the_tightest_bound_wins_and_no_bound_bounds_nothing():
    granted = rules.quota(left_minutes=100, cards=4, jobs=[])
    payable = rules.covered(card_minutes=60, cpu_minutes=None, jobs=[])
    assert rules.bounds_from(granted, payable) == Bounds(running_card_minutes=60, cards=4)
    assert rules.quota(left_minutes=None, cards=None, jobs=[]) == Bounds()
    assert rules.quota(left_minutes=0, cards=None, jobs=[]) == Bounds(running_card_minutes=0, submitted=0)


def test_differences_name_every_bound_a_missing_user_and_a_missing_account():
    wanted = AccountLimits("e-1", ("a", "b"), running_card_minutes=10, submitted=0)
    found = AccountLimits("e-1", ("b", "c"), running_card_minutes=99)
    assert rules.differences(wanted, found) == [
        Difference("running_card_minutes", 10, 99),
        Difference("submitted", 0, None),
        Difference("users", 2, 1),
    ]
    assert rules.differences(wanted, None) == [Difference("account", 1, 0)]
    assert rules.differences(wanted, wanted) == []


@pytest.mark.parametrize(
    ("wanted", "found", "tight"),
    [(10, 5, True), (None, 5, True), (5, 10, False), (5, None, False), (5, 5, False)],
)
def test_only_what_would_stop_a_paid_job_is_too_tight(wanted, found, tight):
    one = AccountLimits("e-1", running_card_minutes=wanted)
    other = AccountLimits("e-1", running_card_minutes=found)
    assert rules.is_too_tight(rules.differences(one, other)) is tight


def test_what_is_kept_comes_back_as_it_was():
    limits = AccountLimits("e-1", ("a",), running_card_minutes=10, cards=2, submitted=0)
    assert rules.from_json("e-1", rules.as_json(limits)) == limits
