"""Formats of values: as Python reads them where both can, and never slow."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.templates import patterns, rules
from tests.scheduler.templates.catalogue import document

SIGNS = st.sampled_from(["a", "b", ".", "[ab]", "[^a]", "[a-c_-]", r"\d", r"\w", r"\.", "1", "é"])
TIMES = st.sampled_from(["", "?", "*", "+", "{2}", "{0,2}", "{1,}"])
PATTERNS = st.lists(st.lists(st.tuples(SIGNS, TIMES).map("".join), max_size=5).map("".join), min_size=1, max_size=3)


@given(PATTERNS.map("|".join), st.text("abc_-1.é", max_size=12))
def test_says_what_pythons_own_engine_says(pattern, text):
    assert patterns.fits(pattern, text) == bool(re.fullmatch(pattern, text))


@pytest.mark.parametrize(
    "pattern", ["(a+)+b", "(a|a)*b", "a(?=b)", r"(a)\1", r"\bword", "a**", "a{2,1}", "[", "[z-a]", "[[a]]", "a^b", "x" * 201]
)  # fmt: skip
def test_takes_no_groups_and_nothing_malformed(pattern):
    with pytest.raises(patterns.BadPattern):
        patterns.parsed(pattern)


def test_a_pattern_made_to_be_slow_is_not():
    began = time.monotonic()
    assert not patterns.fits("a*" * 100, "a" * 500 + "b")
    assert not patterns.fits(".{0,999}" * 25, "a" * 500 + "\n")
    assert time.monotonic() - began < 2


def test_a_template_cannot_keep_whoever_imports_it_busy():
    parameter = {"name": "X", "kind": "text", "label": {"zh": "x"}, "pattern": "(a+)+b", "default": "a" * 40}
    with pytest.raises(rules.BadDocument):
        rules.read(document(parameters=[parameter]))


def test_a_script_of_blank_lines_is_read_at_once():
    began = time.process_time()
    rules.read(document(script="#!/bin/bash\n" + " \n" * 90_000))
    with pytest.raises(rules.BadDocument):
        rules.read(document(script="#!/bin/bash\n \n\t#SBATCH -n 2\n"))
    assert time.process_time() - began < 1
