"""The solver behind the planner's port: as good as trying everything, never at fault, true to what is fixed."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from integrations.cpsat.planner import CpSatPlanner
from scheduler.beamtime import drafting
from scheduler.beamtime.ports import Line, Problem, Request
from tests.scheduler.beamtime.problems import best_of_all, cycle

PLANNER = CpSatPlanner(workers=1)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), changeover=st.integers(0, 3), two=st.sampled_from([0.0, 0.6]))
def test_a_small_cycle_is_scheduled_as_well_as_can_be_and_proven(seed, changeover, two):
    problem = cycle(requests=5, lines=2, shifts=18, seed=seed, two_lines=two, changeover=changeover)
    draft = PLANNER.draft(problem, start=(), seconds=20)
    assert drafting.faults(problem, draft.placed) == []
    assert draft.value == draft.bound == best_of_all(problem)
    assert sorted([*draft.unplaced, *(one.number for one in draft.placed)]) == [one.number for one in problem.requests]


def test_a_beamline_of_forty_proposals_is_proven_within_five_per_cent():
    problem = cycle(requests=40, lines=1, shifts=180, seed=1)
    heard = []
    draft = CpSatPlanner().draft(
        problem, start=drafting.greedy(problem), seconds=40, told=lambda value, bound: heard.append((value, bound))
    )
    assert drafting.faults(problem, draft.placed) == []
    assert draft.gap <= 0.05
    assert [value for value, _ in heard] == sorted(value for value, _ in heard)
    assert heard[0][0] == drafting.value(problem, drafting.greedy(problem)) < draft.value


def test_solving_again_around_what_is_fixed_keeps_every_fixed_part():
    problem = cycle(requests=24, lines=2, shifts=84, seed=7, two_lines=0.3, changeover=1)
    first = PLANNER.draft(problem, start=(), seconds=10)
    kept = {one.number: (one.line, one.start) for one in first.placed[::2]}
    again = replace(
        problem,
        requests=tuple(replace(one, value=1 + one.value % 7, fixed=kept.get(one.number)) for one in problem.requests),
    )
    second = PLANNER.draft(again, start=(), seconds=10)
    assert drafting.faults(again, second.placed) == []
    assert kept.items() <= {one.number: (one.line, one.start) for one in second.placed}.items()


def test_fixed_parts_that_contradict_each_other_are_refused():
    line = Line("BL1", tuple(range(6)))
    requests = tuple(Request(name, ("BL1",), 3, 1, fixed=("BL1", 1)) for name in "AB")
    with pytest.raises(drafting.Infeasible):
        PLANNER.draft(Problem((line,), requests), start=(), seconds=5)


def test_nothing_asked_for_is_an_empty_schedule():
    draft = PLANNER.draft(Problem((Line("BL1", tuple(range(6))),), ()), start=(), seconds=5)
    assert (draft.placed, draft.unplaced, draft.value, draft.gap) == ((), (), 0, 0.0)
