"""What can be wrong with what a lab says of a thing it shares."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from scheduler.resources import entries, profile
from tests import make

TODAY = date(2026, 11, 25)


def fields(**changes) -> set[str]:
    return {reason.field for reason in entries.refusals(make.instrument_values(**changes), today=TODAY)}


def profiled(**changes) -> set[str]:
    return fields(profile=profile.Profile(**changes))


def test_says_everything_that_is_wrong_at_once():
    wrong = {"kind": "operator", "modes": (), "capacity": 0, "counting": "some", "setup_s": -1}
    assert fields(**wrong, profile=profile.Profile(source="found", specs="字" * 1501)) == {
        *("kind", "modes", "capacity", "counting", "setup_s", "source", "specs"),
    }
    assert fields() == set()


@given(st.sampled_from(sorted(profile.LENGTHS)), st.integers(0, 3))
def test_texts_keep_to_the_platforms_lengths(name, beyond):
    most = profile.LENGTHS[name]
    text = "1" * (most + beyond)
    assert (name in profiled(**{name: text})) == (beyond > 0) or name.startswith("customs")


@given(st.text(max_size=8))
def test_a_class_code_is_two_four_or_six_digits(code):
    right = code == "" or (code.isascii() and code.isdigit() and len(code) in {2, 4, 6})
    assert ("class_code" not in profiled(class_code=code)) == right


def test_a_customs_record_is_whole_or_empty():
    whole = {"customs_no": "220120261012345678", "customs_on": date(2020, 5, 1), "customs_name": "扫描电子显微镜"}
    assert profiled(**whole) == profiled() == set()
    for name in whole:
        assert profiled(**{key: value for key, value in whole.items() if key != name}) == {name}


@given(st.integers(0, 9000), st.integers(0, 9000))
def test_nobody_serves_longer_than_it_ran(ran, served):
    wrong = profiled(yearly_hours=ran, yearly_service_hours=served)
    assert ("yearly_service_hours" in wrong) == (served > min(ran, 8784))


def test_nothing_came_into_service_tomorrow():
    assert profiled(in_service_on=TODAY) == set()
    assert profiled(in_service_on=date(2026, 11, 26)) == profiled(in_service_on=date(1949, 12, 31)) == {"in_service_on"}
