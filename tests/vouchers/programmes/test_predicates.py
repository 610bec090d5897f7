"""Conditions one by one: what each operator makes of each kind of fact."""

import pytest

from vouchers.programmes.parsing import Problems
from vouchers.programmes.predicates import Truth, judge, predicate

T, F, U = Truth.TRUE, Truth.FALSE, Truth.UNKNOWN


def truth(operator, value, *fact):
    problems = Problems()
    condition = predicate(["applicant.x", operator, value], "", problems)
    assert not problems
    return judge(condition, {"applicant": {"x": fact[0]} if fact else {}}).truth


@pytest.mark.parametrize("operator", ["=", "!=", "in", "has", "has_any", ">=", "<=", ">", "<", "exists"])
def test_a_fact_not_stated_is_unknown(operator):
    value = {"in": ["a"], "has_any": ["a"], "exists": True}.get(operator, 3)

    assert truth(operator, value) is U


@pytest.mark.parametrize(
    ("operator", "value", "fact", "expected"),
    [
        # null is known to be absent
        ("=", "a", None, F),
        ("!=", "a", None, T),
        ("in", ["a"], None, F),
        ("has", "a", None, F),
        ("has_any", ["a"], None, F),
        (">=", 3, None, F),
        ("<", 3, None, F),
        ("exists", True, None, F),
        ("exists", False, None, T),
        ("exists", True, "a", T),
        ("exists", False, "a", F),
        # like is compared with like; numbers also with decimal text
        ("=", "a", "a", T),
        ("=", "a", "A", F),
        ("=", 1, 1, T),
        ("=", 1, "1.0", T),
        ("=", "1.50", "1.5", F),
        ("=", 1, "one", U),
        ("=", 1, True, U),
        ("=", True, True, T),
        ("=", True, False, F),
        ("=", True, "yes", U),
        ("=", True, 1, U),
        ("=", "a", ["a"], U),
        ("!=", "a", "b", T),
        ("!=", "a", "a", F),
        ("!=", 1, "one", U),
        ("in", ["a", "b"], "b", T),
        ("in", ["a", "b"], "c", F),
        ("in", ["a", 1], "c", F),
        ("in", [1, 2], "c", U),
        ("has", "a", ["b", "a"], T),
        ("has", "a", ["b"], F),
        ("has", "a", [], F),
        ("has", "a", "a", T),
        ("has", "a", "ab", F),
        ("has", "a", 7, U),
        ("has_any", ["a", "b"], ["c", "b"], T),
        ("has_any", ["a", "b"], ["c"], F),
        # order, of numbers and of dates
        (">=", 3, 3, T),
        (">=", 3, "2.99", F),
        ("<=", 3, 3, T),
        ("<=", 3, "3.01", F),
        (">", 3, 3, F),
        (">", 3, 4, T),
        ("<", 3, 3, F),
        ("<", 3, 2, T),
        (">=", "2025-01-01", "2025-01-01", T),
        ("<", "2025-01-01", "2024-12-31", T),
        (">=", "2025-01-01", "soon", U),
        (">=", "2025-01-01", 3, U),
        (">=", 3, True, U),
    ],
)
def test_an_operator_on_a_fact(operator, value, fact, expected):
    assert truth(operator, value, fact) is expected


@pytest.mark.parametrize(
    ("facts", "every", "some"),
    [
        ({"a": 1, "b": 1}, T, T),
        ({"a": 1, "b": 0}, F, T),
        ({"a": 0, "b": 0}, F, F),
        ({"a": 1}, U, T),
        ({"a": 0}, F, U),
        ({}, U, U),
    ],
)
def test_all_any_and_not(facts, every, some):
    parts = [["applicant.a", "=", 1], ["applicant.b", "=", 1]]

    for word, expected in (("all", every), ("any", some)):
        condition = predicate({word: parts}, "", Problems())
        assert judge(condition, {"applicant": facts}).truth is expected
        negated = predicate({"not": {word: parts}}, "", Problems())
        assert judge(negated, {"applicant": facts}).truth == 2 - expected


def test_only_the_parts_that_matter_are_asked_for():
    parts = [["applicant.a", "=", 1], {"any": [["applicant.b", "=", 1], ["applicant.c", "=", 1]]}]
    condition = predicate({"all": parts}, "", Problems())

    assert judge(condition, {}).missing == ("applicant.a", "applicant.b", "applicant.c")
    assert judge(condition, {"applicant": {"b": 1}}).missing == ("applicant.a",)
    assert judge(condition, {"applicant": {"a": 0}}).missing == ()


def test_below_a_null_everything_is_known_to_be_absent():
    condition = predicate(["contract.use.kind", "exists", False], "", Problems())

    assert judge(condition, {"contract": {"use": None}}).truth is T
    assert judge(condition, {"contract": {"use": "x"}}).truth is U
    assert judge(condition, {"contract": {}}).truth is U


def test_exists_may_stand_alone():
    assert predicate(["applicant.x", "exists"], "", Problems()) == predicate(
        ["applicant.x", "exists", True], "", Problems()
    )


def test_what_stood_under_a_not_is_told_as_such():
    condition = predicate({"not": {"all": [["applicant.a", "=", 1], {"not": ["applicant.b", "=", 1]}]}}, "", Problems())
    verdict = judge(condition, {"applicant": {"a": 1, "b": 0}})

    assert verdict.truth is F
    assert [(seen.leaf.path, seen.actual, seen.negated) for seen in verdict.because] == [
        ("applicant.a", 1, True),
        ("applicant.b", 0, False),
    ]
