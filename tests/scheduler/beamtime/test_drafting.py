"""A schedule of beam time: what is wrong with one is found whole, a greedy one has no fault, nothing exceeds the bound."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.beamtime import drafting
from scheduler.beamtime.ports import Fault, Line, Placed, Problem, Request
from tests.scheduler.beamtime.problems import best_of_all, cycle

LINE = Line("BL1", (*range(9), *range(12, 21)), changeover=1)
OTHER = Line("BL2", tuple(range(21)))
A = Request("A", ("BL1",), 3, 300, bonus=30, good=frozenset(range(3, 9)), needs=frozenset({"oven"}), setup="x")
B = Request("B", ("BL1",), 3, 200, setup="y")
C = Request("C", ("BL2",), 6, 100, bad=frozenset({0, 1}), needs=frozenset({"oven"}))
PROBLEM = Problem((LINE, OTHER), (A, B, C), {"oven": frozenset({20})})


def at(line: str, start: int, request: Request) -> Placed:
    return Placed(line, start, request.number, request.shifts)


class TestFaults:
    def test_a_schedule_that_can_be_has_none(self):
        assert drafting.faults(PROBLEM, [at("BL1", 0, A), at("BL1", 4, B), at("BL2", 12, C)]) == []

    @pytest.mark.parametrize(
        ("placed", "found"),
        [
            ([at("BL1", 7, A)], [Fault("A", "closed")]),
            ([at("BL1", 18, A)], [Fault("A", "busy", "oven")]),
            ([at("BL2", 0, A)], [Fault("A", "line", "BL2")]),
            ([at("BL2", 1, C)], [Fault("C", "bad_dates")]),
            ([at("BL1", 0, A), at("BL1", 2, B)], [Fault("A", "overlap", "B"), Fault("B", "overlap", "A")]),
            ([at("BL1", 0, A), at("BL1", 3, B)], [Fault("A", "changeover", "B"), Fault("B", "changeover", "A")]),
            ([at("BL1", 3, A), at("BL2", 2, C)], [Fault("A", "shared", "C"), Fault("C", "shared", "A")]),
            ([at("BL1", 0, A), at("BL1", 4, A)], [Fault("A", "twice")]),
            ([Placed("BL1", 0, "A", 6)], [Fault("A", "length")]),
        ],
    )
    def test_each_fault_is_named_with_what_it_meets(self, placed, found):
        assert drafting.faults(PROBLEM, placed) == found

    def test_what_is_fixed_may_not_be_elsewhere(self):
        problem = replace(PROBLEM, requests=(replace(A, fixed=("BL1", 4)), B, C))
        assert drafting.faults(problem, [at("BL1", 0, A)]) == [Fault("A", "moved")]
        assert drafting.starts(problem, problem.requests[0], LINE) == [4]

    def test_a_visit_within_a_longer_one_is_an_overlap(self):
        long = Request("L", ("BL2",), 12, 1)
        short, late = Request("S", ("BL2",), 1, 1), Request("T", ("BL2",), 1, 1)
        problem = Problem((OTHER,), (long, short, late))
        found = drafting.faults(problem, [at("BL2", 0, long), at("BL2", 2, short), at("BL2", 8, late)])
        assert {(one.number, one.other) for one in found} == {("L", "S"), ("S", "L"), ("L", "T"), ("T", "L")}


class TestGreedy:
    @settings(max_examples=40)
    @given(
        seed=st.integers(0, 10**6),
        requests=st.integers(0, 30),
        lines=st.integers(1, 4),
        changeover=st.integers(0, 3),
    )
    def test_has_no_fault_and_stays_below_the_bound(self, seed, requests, lines, changeover):
        problem = cycle(requests=requests, lines=lines, shifts=63, seed=seed, two_lines=0.3, changeover=changeover)
        placed = drafting.greedy(problem)
        assert drafting.faults(problem, placed) == []
        assert drafting.value(problem, placed) <= drafting.bound(problem)

    @settings(max_examples=25, deadline=None)
    @given(seed=st.integers(0, 10**6), changeover=st.integers(0, 2))
    def test_the_bound_holds_for_the_best_of_all(self, seed, changeover):
        problem = cycle(requests=4, lines=2, shifts=18, seed=seed, two_lines=0.5, changeover=changeover)
        assert drafting.value(problem, drafting.greedy(problem)) <= best_of_all(problem) <= drafting.bound(problem)

    def test_what_is_fixed_stays_and_others_go_around(self):
        problem = replace(PROBLEM, requests=(replace(B, fixed=("BL1", 3)), A, C))
        placed = drafting.greedy(problem)
        assert at("BL1", 3, B) in placed
        assert drafting.faults(problem, placed) == []

    def test_fixed_parts_that_contradict_each_other_are_refused(self):
        problem = replace(PROBLEM, requests=(replace(A, fixed=("BL1", 0)), replace(B, fixed=("BL1", 2)), C))
        with pytest.raises(drafting.Infeasible):
            drafting.greedy(problem)


def attended(*lines: tuple[str, dict[str, range]]) -> Problem:
    """Return a problem of lines that somebody has to run: who is there in which shifts."""
    rows = [
        Line(code, tuple(range(20)), people=tuple((who, frozenset(there)) for who, there in people.items()))
        for code, people in lines
    ]
    return Problem(tuple(rows), (replace(A, number="A", needs=frozenset()), replace(B, lines=("BL2",))))


class TestStaff:
    """Who runs what: everybody has somebody where that can be, and who stands keeps theirs."""

    def test_who_is_taken_changes_places(self):
        """X alone can run A's later part; greedy by start would give X to B first."""
        problem = attended(("BL1", {"X": range(20)}), ("BL2", {"X": range(20), "Y": range(20)}))
        placed = [Placed("BL2", 0, "B", 3), Placed("BL1", 1, "A", 3)]
        assert drafting.staff(problem, placed, preferred={"B": "X"}) == {"B": "Y", "A": "X"}
        assert drafting.faults(problem, placed, preferred={"B": "X"}) == []

    def test_who_was_chosen_stays_though_somebody_else_has_nobody_then(self):
        problem = attended(("BL1", {"X": range(20)}), ("BL2", {"X": range(20), "Y": range(20)}))
        placed = [Placed("BL2", 0, "B", 3), Placed("BL1", 1, "A", 3)]
        assert drafting.staff(problem, placed, chosen={"B": "X"}) == {"B": "X"}
        assert drafting.faults(problem, placed, chosen={"B": "X"}) == [Fault("A", "nobody")]

    def test_who_was_chosen_and_is_not_there_any_more_is_replaced(self):
        problem = attended(("BL1", {"X": range(20)}), ("BL2", {"X": range(2), "Y": range(20)}))
        assert drafting.staff(problem, [Placed("BL2", 0, "B", 3)], chosen={"B": "X"}) == {"B": "Y"}

    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from(["BL1", "BL2", "BL3"]), st.integers(0, 17), st.integers(1, 3), st.integers(0, 3)),
            max_size=14,
        ),
        st.lists(st.tuples(st.integers(0, 3), st.integers(0, 19), st.integers(0, 20)), min_size=4, max_size=8),
    )
    def test_nobody_is_at_two_places_or_where_they_cannot_be(self, wanted, there):
        people: dict[str, set[int]] = {}
        for who, first, end in there:
            people.setdefault(f"P{who}", set()).update(range(first, end))
        known = tuple((who, frozenset(shifts)) for who, shifts in sorted(people.items()))
        lines = tuple(Line(code, tuple(range(20)), people=known) for code in ("BL1", "BL2", "BL3"))
        placed = [Placed(code, start, f"N{at}", shifts) for at, (code, start, shifts, _who) in enumerate(wanted)]
        chosen = {one.number: f"P{who}" for one, (_code, _start, _shifts, who) in zip(placed, wanted, strict=True)}
        found = drafting.staff(Problem(lines, ()), placed, preferred=chosen)
        taken: set[tuple[str, int]] = set()
        for one in placed:
            if (who := found.get(one.number)) is not None:
                spots = {(who, shift) for shift in range(one.start, one.end)}
                assert set(range(one.start, one.end)) <= people[who]
                assert not spots & taken
                taken |= spots
