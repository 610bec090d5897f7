"""Payment references in what people type into a transfer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vouchers.banking import tracing
from vouchers.payments.rules import reference

SERIALS = st.integers(min_value=0, max_value=29**9 - 1)


@given(SERIALS, st.sampled_from(["{}", "附言码{}货款", "ref: {} .", "合同2026-11 {}", "（{}）"]))
def test_finds_a_reference_wherever_it_stands(serial, form):
    wanted = reference(serial)
    assert tracing.Trace(wanted, exact=True) in tracing.references(form.format(wanted))


@given(SERIALS, st.integers(1, 9), st.sampled_from([" ", "-", "\u3000", "  "]))
def test_finds_a_reference_cut_in_two(serial, at, gap):
    wanted = reference(serial)
    assert tracing.Trace(wanted, exact=True) in tracing.references(f"付 {wanted[:at]}{gap}{wanted[at:]} 谢谢")


@given(SERIALS)
def test_finds_a_reference_in_lower_case_and_full_width(serial):
    wanted = reference(serial)
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in wanted.lower())
    assert tracing.references(wide)[0] == tracing.Trace(wanted, exact=True)


@pytest.mark.parametrize(("meant", "typed"), [("Q", "0"), ("D", "O"), ("L", "1"), ("T", "I"), ("5", "S"), ("2", "Z")])
def test_reads_a_letter_the_alphabet_left_out_as_what_was_meant(meant, typed):
    wanted = next(code for code in map(reference, range(29**6, 29**6 + 5000)) if meant in code[:9])
    at = wanted.index(meant)
    found = tracing.references(wanted[:at] + typed + wanted[at + 1 :])
    assert tracing.Trace(wanted, exact=False) in found


def test_finds_several_and_the_numbers_of_records():
    first, second = reference(4711), reference(4712)
    assert [trace.reference for trace in tracing.references(f"{first}、{second}")] == [first, second]
    assert tracing.numbers("付 s2611-000042 及 P2611-000043 款") == ["S2611-000042", "P2611-000043"]


@given(st.text(max_size=60))
def test_never_fails(text):
    tracing.references(text)
    tracing.numbers(text)
