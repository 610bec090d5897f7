"""What a grant leaves, and what is refused: arithmetic without a database."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.allocations import rules
from scheduler.allocations.rules import Amounts, Demand, OpenJob, Standing


def test_an_array_asks_for_all_its_tasks_and_as_many_cards_as_run_at_once():
    assert rules.demand(cards=2, time_limit_s=3600, array="0-9%3") == Demand(card_s=72_000, cards=6)


def test_open_jobs_hold_their_whole_limit_and_every_ground_is_named():
    found = rules.standing(
        "四季度",
        Amounts(card_s=10 * 3600, cards=4),
        used_s=3 * 3600,
        jobs=[OpenJob(2, 3600, "", is_running=True), OpenJob(1, 7200, "", is_running=False, counts_hours=False)],
    )
    assert (found.left_s, found.held_s, found.running, found.waiting, found.cards_left) == (18_000, 7200, 2, 1, 1)
    assert rules.refusals([found], Demand(card_s=18_000, cards=1)) == []
    assert [reason.code for reason in rules.refusals([found], Demand(18_001, 2))] == [
        "allocation.card_hours",
        "allocation.cards",
    ]
    assert rules.refusals([found], Demand(0, 0)) == []


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 10**9))
def test_what_is_accepted_never_exceeds_what_was_granted(granted, used, asked):
    found = Standing("x", Amounts(card_s=granted, cards=None), used_s=used)
    if not rules.refusals([found], Demand(card_s=asked, cards=1)) and asked:
        assert used + asked <= granted


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0"), (3600, "1"), (5400, "1.5"), (3601, "1"), (36_000_000, "10000")]
)
def test_card_hours_as_they_are_written(seconds, text):
    assert rules.hours_text(seconds) == text


@pytest.mark.parametrize("amounts", [Amounts(None, None), Amounts(-1, None), Amounts(None, -1), Amounts(None, 10**6)])
def test_a_grant_of_nothing_or_of_nonsense_is_refused(amounts):
    with pytest.raises(rules.BadAllocation):
        amounts.check()
