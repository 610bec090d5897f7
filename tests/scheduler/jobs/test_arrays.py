"""Array text in one form, and one state for many tasks."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.jobs import arrays
from scheduler.jobs.ports import FINAL, ClusterState

NUMBERS = st.sets(st.integers(0, 1000), min_size=1, max_size=40)


class TestText:
    @pytest.mark.parametrize(
        ("typed", "form"),
        [
            ("", ""),
            ("  ", ""),
            ("0-9", "0-9"),
            ("7,1,3", "1,3,7"),
            ("1,2,3", "1-3"),
            ("0-9%2", "0-9%2"),
            ("0-9%10", "0-9"),
            ("0-9 % 99", "0-9"),
            ("0-8:4", "0,4,8"),
            ("5-5", "5"),
            ("3,1-4", "1-4"),
            ("007", "7"),
        ],
    )
    def test_one_form(self, typed: str, form: str) -> None:
        assert arrays.canonical(typed) == form

    @pytest.mark.parametrize(
        "typed",
        ["a", "1-", "-1", "5-1", "1,,2", "0-9%0", "0-9%", "0-9%x", "1001", "0-1001", "1;2", "1-3:0", "٣", "0-9%2%3"],
    )
    def test_anything_else_is_refused(self, typed: str) -> None:
        with pytest.raises(arrays.BadArray):
            arrays.canonical(typed)

    def test_the_clusters_own_bound_counts(self) -> None:
        assert arrays.canonical("0-9", max_size=10) == "0-9"
        with pytest.raises(arrays.BadArray):
            arrays.canonical("0-10", max_size=10)

    @given(NUMBERS)
    def test_writing_and_reading_are_inverse(self, numbers: set[int]) -> None:
        text = arrays.written(numbers)
        assert arrays.tasks(text) == sorted(numbers)
        assert arrays.canonical(text) == text

    def test_how_many_at_once(self) -> None:
        assert [arrays.at_once(text) for text in ("", "0-9", "0-9%2", "4")] == [1, 10, 2, 1]


class TestState:
    @pytest.mark.parametrize(
        ("tasks", "whole"),
        [
            ("queued", "queued"),
            ("queued succeeded", "queued"),
            ("queued running", "running"),
            ("failed running", "running"),
            ("finishing queued", "finishing"),
            ("succeeded succeeded", "succeeded"),
            ("succeeded failed", "failed"),
            ("succeeded cancelled", "cancelled"),
            ("timed_out failed", "failed"),
            ("interrupted succeeded", "interrupted"),
            ("unknown succeeded", "unknown"),
            ("unknown running", "running"),
            ("", "unknown"),
        ],
    )
    def test_of_all_tasks(self, tasks: str, whole: str) -> None:
        assert arrays.aggregate([ClusterState(one) for one in tasks.split()]) == whole

    @given(st.lists(st.sampled_from(ClusterState), min_size=1))
    def test_it_has_ended_only_when_every_task_has(self, states: list[ClusterState]) -> None:
        assert (arrays.aggregate(states) in FINAL) is all(state in FINAL for state in states)


def test_reads_any_array_without_repetitions_and_stops_at_one_that_repeats_itself_for_ever():
    gaps = ",".join(str(number) for number in range(0, 1001, 2))
    assert arrays.canonical(gaps) == gaps
    with pytest.raises(arrays.BadArray):
        arrays.canonical("0-1000," * 100_000 + "1")
