"""Hazard declarations and billing, without a database."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.samples import rules

KNOWN = [hazard.value for hazard in rules.Hazard]


def codes(hazards, note=""):
    return [reason.code for reason in rules.hazard_reasons(hazards, note=note, field="hazards")]


@pytest.mark.parametrize(
    ("hazards", "note", "expected"),
    [
        ([], "", ["sample.hazard"]),
        (["none"], "", []),
        (["none", "toxic"], "x", ["sample.hazard_both"]),
        (["corrosive"], " ", ["sample.hazard_note"]),
        (["corrosive"], "20% 硫酸，戴手套", []),
        (["unheard"], "x", ["sample.hazard"]),
    ],
)
def test_a_hazard_is_declared_consistent_and_explained(hazards, note, expected):
    assert codes(hazards, note) == expected


@given(st.lists(st.sampled_from(KNOWN), unique=True), st.text(max_size=5))
def test_a_declaration_passes_only_when_whole(hazards, note):
    whole = hazards == ["none"] or (bool(hazards) and "none" not in hazards and bool(note.strip()))
    assert (codes(hazards, note) == []) == whole


@given(st.integers(min_value=0, max_value=30 * 86400))
def test_the_lab_bills_after_a_week_of_silence_the_payer_at_once(seconds):
    issued = datetime(2026, 11, 25, tzinfo=UTC)
    now = issued + timedelta(seconds=seconds)
    assert rules.may_bill(issued_at=issued, by_payer=True, now=now)
    assert rules.may_bill(issued_at=issued, by_payer=False, now=now) == (seconds >= 7 * 86400)
