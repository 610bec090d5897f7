"""What a plan must say, and that no way leads around an acceptance."""

from __future__ import annotations

from datetime import date, timedelta

from hypothesis import given
from hypothesis import strategies as st

from scheduler.engagements import rules

TODAY = date(2026, 11, 26)
M = rules.MilestoneState


def line(**changes) -> rules.Line:
    return rules.Line(**{"name": "小试", "deliverable": "报告", "due_on": TODAY, "price_fen": 1, **changes})


def codes(*lines, days=15) -> list[str]:
    return [reason.code for reason in rules.plan_reasons(lines, acceptance_days=days, today=TODAY)]


def test_a_plan_names_everything_that_is_wrong_at_once():
    bad = line(name=" ", deliverable="", due_on=TODAY - timedelta(days=1), price_fen=-1)
    assert codes(bad, days=0) == [
        "engagement.acceptance_days",
        "engagement.price_none",
        "engagement.name",
        "engagement.deliverable",
        "engagement.due",
        "engagement.price",
    ]
    assert codes() == ["engagement.milestones"]
    assert codes(line(), line()) == ["engagement.name_twice"]
    assert codes(line()) == []
    assert codes(line(due_on=TODAY + rules.LONGEST + timedelta(days=1))) == ["engagement.due"]


@given(
    st.lists(st.integers(0, 10**9), min_size=1, max_size=rules.MOST_MILESTONES),
    st.integers(1, rules.MOST_ACCEPTANCE_DAYS),
)
def test_every_plan_within_bounds_passes_unless_it_is_free(prices, days):
    lines = [line(name=f"阶段{no}", price_fen=price) for no, price in enumerate(prices)]
    assert codes(*lines, days=days) == ([] if sum(prices) else ["engagement.price_none"])


@given(st.lists(st.sampled_from(list(rules.MilestoneAction)), max_size=12))
def test_nothing_is_billed_undelivered_and_nothing_ended_moves(actions):
    state, last = M.PLANNED, None
    for action in actions:
        target = rules.MILESTONE_TRANSITIONS.get((state, action))
        if target is None:
            continue
        assert state not in {M.ACCEPTED, M.DROPPED}
        if target is M.ACCEPTED:
            assert last is rules.MilestoneAction.DELIVER
        if target is M.DROPPED:
            assert state is not M.DELIVERED
        state, last = target, action
