"""When a notice ends, and what it may print."""

from datetime import UTC, date, datetime

from hypothesis import given
from hypothesis import strategies as st

from portal.workdays import queries as calendar
from vouchers.notices import rules
from vouchers.programmes.terms import NOTICE_FIELDS

fields = st.lists(st.sampled_from(NOTICE_FIELDS), unique=True)


def test_five_working_days_over_the_national_holiday():
    """Golden case L1: published Mon 2025-09-29 at any hour, the period ends with Mon 2025-10-13."""
    for hour in (0, 15):
        published = datetime(2025, 9, 29, hour, 30, tzinfo=UTC)
        last, over = rules.end_of(published, working_days=5, calendar=calendar.official())
        assert last == date(2025, 10, 13)
        assert over == datetime(2025, 10, 13, 16, tzinfo=UTC)


def test_the_day_is_the_one_in_beijing():
    late = datetime(2025, 9, 28, 16, 30, tzinfo=UTC)
    assert rules.end_of(late, working_days=5, calendar=calendar.official())[0] == date(2025, 10, 13)


def test_without_fields_the_least_is_printed():
    assert rules.may_print((), ()) == rules.MINIMAL
    assert "project" not in rules.MINIMAL


@given(fields, fields)
def test_a_confidential_field_is_never_printed(wanted, confidential):
    shown = rules.may_print(wanted, confidential)
    assert not (set(shown) - {"number"}) & set(confidential)
    assert shown[0] == "number"
    assert len(set(shown)) == len(shown)


def test_a_field_is_confidential_by_the_fact_it_shows_too():
    assert rules.may_print(("applicant", "project", "amount"), ("contract.project",)) == (
        "number",
        "applicant",
        "amount",
    )
    values = {"number": "A1", "applicant": "某公司", "amount": "1.00", "project": "机密", "provider": ""}
    assert rules.printed(("number", "applicant", "provider"), values) == {"number": "A1", "applicant": "某公司"}
