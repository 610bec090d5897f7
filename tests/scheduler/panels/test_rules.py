"""Grades, ageing, conflicts and ranks: the worked cases E3 and E7, and what must hold whatever the grades."""

from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.facilities import grades
from scheduler.facilities.grades import Ageing, Direction, Scale
from scheduler.panels import rules
from scheduler.panels.rules import Bonds, Candidate, Party, TieBreak

ESRF = Scale(D(0), D("5.5"), D("0.1"), Direction.HIGH)
APS = Scale(D(1), D(5), D("0.1"), Direction.LOW)
APS_AGEING = Ageing(D("0.2"), 2)


class TestGrades:
    @pytest.mark.parametrize("grade", ["5.5", "0", "3.3"])
    def test_a_grade_on_the_scale_is_taken(self, grade):
        """E7."""
        assert rules.check_grade(D(grade), ESRF) == D(grade)

    @pytest.mark.parametrize("grade", ["5.6", "-0.1", "3.33", "NaN", "Infinity"])
    def test_another_is_refused_and_told_the_scale(self, grade):
        with pytest.raises(rules.BadGrade) as refused:
            rules.check_grade(D(grade), ESRF)
        assert refused.value.params == {"lowest": "0", "highest": "5.5", "step": "0.1"}

    def test_a_scale_that_cannot_be_is_refused_whole(self):
        with pytest.raises(grades.BadScale) as refused:
            Scale(D(5), D(1), D(0), Direction.HIGH)
        assert [reason.field for reason in refused.value.reasons] == ["lowest", "step"]

    def test_the_mean_is_rounded_to_hundredths_half_to_even(self):
        assert rules.mean([D("3.0"), D("3.1"), D("3.1")]) == D("3.07")
        assert rules.mean([D("1.00"), D("1.01")]) == D("1.00")
        assert rules.mean([D("1.01"), D("1.02")]) == D("1.02")

    def test_a_request_without_time_improves_twice_and_no_more(self):
        """E3."""
        assert [rules.aged(D("2.5"), waited=cycles, ageing=APS_AGEING, scale=APS) for cycles in (1, 2, 3)] == [
            D("2.3"),
            D("2.1"),
            D("2.1"),
        ]
        assert rules.aged(D("2.5"), waited=0, ageing=APS_AGEING, scale=APS) == D("2.5")

    def test_ageing_never_leaves_the_scale(self):
        assert rules.aged(D("1.1"), waited=2, ageing=APS_AGEING, scale=APS) == D(1)
        assert rules.aged(D("5.4"), waited=2, ageing=APS_AGEING, scale=ESRF) == D("5.5")


class TestConflicts:
    def test_every_bond_is_found_and_says_with_whom(self):
        reviewer = Bonds(1, frozenset({10}), frozenset({3}))
        team = [Bonds(2, frozenset({10, 11})), Bonds(3), Bonds(4, frozenset(), frozenset({1}))]
        found = rules.conflicts(reviewer, team, declared=True, is_staff_of=True)
        assert [(one.party, set(one.with_whom)) for one in found] == [
            (Party.DECLARED, set()),
            (Party.INSTITUTE, {2}),
            (Party.STAFF, set()),
            (Party.TOGETHER, {3, 4}),
        ]
        assert all(one.words for one in found)

    def test_a_member_of_the_team_is_one(self):
        assert [one.party for one in rules.conflicts(Bonds(1), [Bonds(1)])] == [Party.TEAM]

    def test_a_stranger_has_none(self):
        assert rules.conflicts(Bonds(1, frozenset({10})), [Bonds(2, frozenset({11}))]) == []


def numbers(ranked):
    return [one.candidate.number for one in ranked]


class TestRank:
    def test_the_direction_of_the_scale_decides(self):
        made = [Candidate("A", D("5.5"), 3, sent_order=1), Candidate("B", D(0), 3, sent_order=2)]
        assert numbers(rules.rank(made, scale=ESRF)) == ["A", "B"]
        low = [Candidate("A", D(3), 3, sent_order=1), Candidate("B", D(1), 3, sent_order=2)]
        assert numbers(rules.rank(low, scale=APS)) == ["B", "A"]

    def test_equals_are_told_apart_by_balance_and_then_by_arrival(self):
        made = [
            Candidate("A", D(4), 6, "浙江", 1),
            Candidate("B", D(4), 6, "浙江", 2),
            Candidate("C", D(4), 6, "上海", 3),
        ]
        found = rules.rank(made, scale=ESRF, target={"浙江": Fraction(1, 2), "上海": Fraction(1, 2)})
        assert [(one.candidate.number, one.by) for one in found] == [
            ("A", TieBreak.ORDER),
            ("C", TieBreak.BALANCE),
            ("B", TieBreak.BALANCE),
        ]

    def test_balance_counts_what_groups_had_and_not_how_much_one_asks_for(self):
        """Of one group the first to come is first, however little it asks; and nobody is put first for asking more."""
        halves = {"浙江": Fraction(1, 2), "上海": Fraction(1, 2)}
        same = [Candidate("little", D(4), 3, "浙江", 1), Candidate("much", D(4), 9, "浙江", 2)]
        found = rules.rank(same, scale=ESRF, target=halves)
        assert [(one.candidate.number, one.by) for one in found] == [
            ("little", TieBreak.ORDER),
            ("much", TieBreak.ORDER),
        ]
        made = [
            Candidate("before", D(5), 4, "浙江", 1),
            Candidate("much of who had", D(4), 12, "浙江", 2),
            Candidate("little of who had none", D(4), 3, "上海", 3),
        ]
        found = rules.rank(made, scale=ESRF, target=halves)
        assert numbers(found) == ["before", "little of who had none", "much of who had"]
        assert (found[1].by, found[1].has_had) == (TieBreak.BALANCE, 0)

    def test_without_targets_arrival_decides_and_is_said(self):
        made = [Candidate("A", D(4), 6, sent_order=2), Candidate("B", D(4), 6, sent_order=1), Candidate("C", D(3), 3)]
        found = rules.rank(made, scale=ESRF)
        assert [(one.place, one.candidate.number, one.by) for one in found] == [
            (1, "B", TieBreak.ORDER),
            (2, "A", TieBreak.ORDER),
            (3, "C", TieBreak.GRADE),
        ]

    @given(
        st.lists(
            st.tuples(st.integers(0, 55), st.integers(1, 18), st.sampled_from(["", "浙江", "上海"])),
            min_size=1,
            max_size=30,
        )
    )
    def test_a_better_grade_is_never_behind_and_nobody_is_lost(self, drawn):
        made = [
            Candidate(f"P{at}", D(grade) / 10, shifts, group, at) for at, (grade, shifts, group) in enumerate(drawn)
        ]
        found = rules.rank(made, scale=ESRF, target={"浙江": Fraction(1, 2), "上海": Fraction(1, 2)})
        grades = [one.candidate.grade for one in found]
        assert grades == sorted(grades, reverse=True)
        assert sorted(numbers(found)) == sorted(one.number for one in made)
        assert [one.place for one in found] == list(range(1, len(made) + 1))

    @given(st.lists(st.integers(1, 18), max_size=30), st.integers(0, 200), st.sampled_from([1, 3]))
    def test_no_more_is_awarded_than_there_is(self, wanted, shifts, multiple):
        made = [Candidate(f"P{at}", D(5), number, sent_order=at) for at, number in enumerate(wanted)]
        found = rules.awards(rules.rank(made, scale=ESRF), shifts=shifts, multiple=multiple)
        assert sum(one.shifts for one in found) <= shifts
        assert all(one.shifts == one.ranked.candidate.shifts or one.shifts % multiple == 0 for one in found)

    def test_the_one_that_fits_in_part_gets_whole_multiples(self):
        made = [Candidate(f"P{at}", D(5), 6, sent_order=at) for at in range(3)]
        found = rules.awards(rules.rank(made, scale=ESRF), shifts=10, multiple=3)
        assert [(one.shifts, one.cut) for one in found] == [(6, False), (3, True), (0, False)]
