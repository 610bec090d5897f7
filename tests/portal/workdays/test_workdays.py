"""Working days: golden periods, the calendar's own laws, and the days a department fixes."""

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import Forbidden, NotFound
from portal.kernel.workdays import Workdays
from portal.workdays import queries, rules, services
from portal.workdays.models import CalendarDay
from tests import make

MONDAY_TO_FRIDAY = Workdays()
OFFICIAL = queries.official()
days = st.dates(date(2004, 1, 1), date(2030, 12, 31))


def test_a_notice_over_the_national_holiday_counts_the_make_up_saturday():
    """Golden case L1: published Mon 2025-09-29, five working days: 30 Sep, 9, 10, Sat 11, 13 Oct."""
    assert OFFICIAL.add_working_days(date(2025, 9, 29), 5) == date(2025, 10, 13)
    assert OFFICIAL.is_working_day(date(2025, 10, 11))
    assert not OFFICIAL.is_working_day(date(2025, 10, 8))
    assert MONDAY_TO_FRIDAY.add_working_days(date(2025, 9, 29), 5) == date(2025, 10, 6)


@pytest.mark.parametrize(
    ("published", "n", "last"),
    [
        # Spring Festival 15-23 February 2026, Saturday 14 is worked: 14, 24, 25, 26, 27 February.
        (date(2026, 2, 13), 5, date(2026, 2, 27)),
        (date(2026, 4, 30), 1, date(2026, 5, 6)),
        (date(2026, 11, 25), 0, date(2026, 11, 25)),
    ],
)
def test_periods_of_2026(published, n, last):
    assert OFFICIAL.add_working_days(published, n) == last


def test_a_year_nobody_has_fixed_is_estimated_and_says_so():
    assert OFFICIAL.is_estimated(date(2035, 10, 1))
    assert OFFICIAL.is_working_day(date(2035, 10, 1))
    assert not OFFICIAL.is_estimated(date(2025, 10, 1))
    assert OFFICIAL.estimated_within(date(2026, 12, 31), date(2027, 1, 4))
    fixed = Workdays(overrides={date(2035, 10, 1): False})
    assert not fixed.is_estimated(date(2035, 10, 1))
    assert not fixed.is_working_day(date(2035, 10, 1))


def test_nothing_is_counted_backwards():
    with pytest.raises(ValueError, match="forwards"):
        OFFICIAL.add_working_days(date(2026, 1, 1), -1)


@given(days, st.integers(0, 60))
def test_counting_is_the_inverse_of_adding(day, n):
    last = OFFICIAL.add_working_days(day, n)
    assert OFFICIAL.working_days_between(day, last) == n
    assert n == 0 or OFFICIAL.is_working_day(last)


@given(days, st.integers(0, 30), st.integers(0, 30))
def test_periods_add_up(day, first, second):
    once = OFFICIAL.add_working_days(day, first + second)
    assert OFFICIAL.add_working_days(OFFICIAL.add_working_days(day, first), second) == once


@given(days)
def test_the_next_working_day_is_the_first_from_the_day_itself(day):
    found = OFFICIAL.next_working_day(day)
    assert found >= day
    assert all(not OFFICIAL.is_working_day(day + timedelta(days=at)) for at in range((found - day).days))


def test_a_pasted_list_is_read_or_its_line_is_named():
    read = rules.read_days("2027-02-06,班,春节调休\n\n2027-01-01，休，元旦\n2027-01-01\trest\tNew Year")
    assert read == [rules.Day(date(2027, 1, 1), False, "New Year"), rules.Day(date(2027, 2, 6), True, "春节调休")]
    with pytest.raises(rules.BadCalendarLine) as wrong:
        rules.read_days("2027-01-01,休\n2027-13-01,休")
    assert wrong.value.params["line"] == 2
    with pytest.raises(rules.BadCalendarLine):
        rules.read_days("2027-01-01,也许")
    with pytest.raises(rules.NothingToImport):
        rules.read_days(" \n")


@pytest.mark.django_db
def test_a_fixed_day_wins_over_the_calendar_and_can_be_taken_back(w, django_assert_num_queries):
    day = date(2025, 10, 13)
    services.set_days(actor=w.publisher, days=[rules.Day(day, False, "停电")], source="测试通知", now=make.NOW)
    with django_assert_num_queries(1):
        calendar = queries.workdays()
    assert calendar.add_working_days(date(2025, 9, 29), 5) == date(2025, 10, 14)
    services.set_days(actor=w.publisher, days=[rules.Day(day, True, "来电")], source="测试通知", now=make.NOW)
    assert CalendarDay.objects.get().name == "来电"
    services.remove_day(actor=w.publisher, day=day, now=make.NOW)
    assert not CalendarDay.objects.exists()
    with pytest.raises(NotFound):
        services.remove_day(actor=w.publisher, day=day, now=make.NOW)


@pytest.mark.django_db
def test_only_a_publisher_fixes_days_and_only_with_a_source(w):
    with pytest.raises(Forbidden):
        services.set_days(actor=w.owner, days=[rules.Day(date(2027, 1, 1), False)], source="x", now=make.NOW)
    with pytest.raises(services.SourceMissing):
        services.set_days(actor=w.publisher, days=[rules.Day(date(2027, 1, 1), False)], source=" ", now=make.NOW)
