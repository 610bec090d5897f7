"""Pools: which row is in force when, and what may still be awarded under it."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.money import Money
from vouchers.programmes import pools
from vouchers.programmes.documents import BadProgramme, load
from vouchers.programmes.schemes import Pool
from vouchers.programmes.terms import BEIJING, IntakeWindow

INSTANTS = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
SPANS = ("quarter", "month", "2026-Q1", "2026-12", "2026-01-15/2026-11-30")


def at(written: str) -> datetime:
    return datetime.fromisoformat(written).replace(tzinfo=BEIJING)


def scheme(*rows):
    return load({"code": "x", "lines": [{"id": "1", "rate": "1"}], "pool": list(rows)})


@given(moment=INSTANTS, period=st.sampled_from(SPANS))
def test_a_span_holds_the_instant_it_was_asked_for_and_is_whole_days_in_beijing(moment, period):
    span = pools.span(Pool(Money(1), period), at=moment)
    if span is None:
        assert period not in ("quarter", "month")
        return
    assert moment in span
    for edge in (span.start, span.end):
        local = edge.astimezone(BEIJING)
        assert (local.hour, local.minute, local.second) == (0, 0, 0)
    if period == "quarter":
        assert span.start.astimezone(BEIJING).month in (1, 4, 7, 10)
        assert 90 <= (span.end - span.start) / timedelta(days=1) <= 92


@pytest.mark.parametrize(
    ("period", "moment", "is_in_force"),
    [
        ("2026-Q1", "2026-03-31T23:59:59", True),
        ("2026-Q1", "2026-04-01T00:00", False),
        ("2026-12", "2026-12-31T23:59", True),
        ("2026-12", "2027-01-01T00:00", False),
        ("2026-01-15/2026-11-30", "2026-11-30T23:59", True),
        ("2026-01-15/2026-11-30", "2026-12-01T00:00", False),
        ("2026", "2026-06-01", True),
        ("2025", "2026-06-01", False),
        ("total", "2030-06-01", True),
        ("", "2030-06-01", True),
        ("year", "2026-06-01", True),
    ],
)
def test_a_row_is_in_force_within_its_period(period, moment, is_in_force):
    assert pools.in_force(Pool(Money(1), period), at=at(moment), year=2026) is is_in_force


def test_a_pool_of_each_round_is_in_force_in_the_intake_windows():
    windows = (IntakeWindow(at("2026-03-01"), at("2026-04-01")), IntakeWindow(at("2026-09-01")))
    row = Pool(Money(1), "round")
    found = [pools.in_force(row, at=at(day), year=2026, windows=windows) for day in ("2026-03-05", "2026-05-01")]
    assert found == [True, False]
    assert pools.span(row, at=at("2030-01-01"), windows=windows) is not None


def test_administration_inside_the_pool_leaves_less_to_award():
    [row] = scheme({"amount": "1000000.01", "admin_cost_in": True, "admin_share": "0.03"}).pool
    assert row.admin_share == Fraction(3, 100)
    assert pools.awardable(row) == Money(97000000)  # rounded down
    [outside] = scheme({"amount": 1000000, "admin_cost_in": False}).pool
    assert pools.awardable(outside) == Money(100000000)


@pytest.mark.parametrize(
    ("rows", "path"),
    [
        ([{"amount": 1, "period": "2026 年度"}], "pool[0].period"),
        ([{"amount": 1, "period": "2026-13"}], "pool[0].period"),
        ([{"amount": 1, "period": "2026-02-30/2026-03-01"}], "pool[0].period"),
        ([{"amount": 1, "period": "2026-03-02/2026-03-01"}], "pool[0].period"),
        ([{"amount": 1, "period": "year"}, {"amount": 2, "period": "year"}], "pool[1].period"),
        ([{"amount": 1, "admin_share": "0.1"}], "pool[0].admin_share"),
        ([{"amount": 1, "admin_cost_in": False, "admin_share": "0.1"}], "pool[0].admin_share"),
    ],
)
def test_a_pool_nobody_could_carry_out_is_no_pool(rows, path):
    with pytest.raises(BadProgramme) as caught:
        scheme(*rows)
    assert path in [problem.path for problem in caught.value.problems]


def test_the_year_an_award_is_drawn_from():
    every, named = (Pool(Money(5), "year"),), (Pool(Money(5), "2025"), Pool(Money(7), "2026"))
    asked = {"own": 2025, "opened": {2025}}
    assert pools.budget_year((), at=at("2026-01-01"), **asked) == 2025
    assert pools.budget_year(every, at=at("2025-12-31"), **asked) == 2025
    assert pools.budget_year(every, at=at("2026-01-01"), **asked) == 2026
    assert pools.budget_year(named, at=at("2026-01-01"), **asked) == 2026
    assert pools.budget_year(named, at=at("2027-01-01"), **asked) == 2025  # no money named: nothing is opened
    assert pools.budget_year(every, at=at("2024-12-31"), own=2025, opened={2025}) == 2025
    assert pools.budget_year(every, at=at("2024-12-31"), own=2025, opened={2024, 2025}) == 2024


def test_the_money_of_a_year():
    quarters = [Pool(Money(1), "2026-Q1"), Pool(Money(2), "2026-Q2"), Pool(Money(4), "2027-Q1")]
    assert pools.money_of(quarters, 2026) == Money(3)
    assert pools.money_of([Pool(Money(9), "year"), Pool(Money(8), "2026"), *quarters], 2026) == Money(8)
    assert pools.money_of([Pool(Money(9), "year"), *quarters], 2026) == Money(9)
    assert pools.money_of([Pool(Money(1), "2026-11-01/2027-01-31")], 2026) is None
    assert pools.money_of([Pool(Money(9), "total")], 2026) is None


@given(
    rows=st.lists(st.tuples(st.integers(1, 1000), st.integers(0, 2000)), min_size=1, max_size=4),
    held=st.integers(0, 1000),
)
def test_no_award_passes_the_books_or_a_pool(rows, held):
    found = [pools.Room(Pool(Money(amount), "year"), Money(drawn)) for amount, drawn in rows]
    left = pools.room([one.row for one in found], found, held=Money(held))
    assert 0 <= left.fen <= held
    assert all(left.fen <= max(0, amount - drawn) for amount, drawn in rows)
    assert left.fen == held or any(left.fen == max(0, amount - drawn) for amount, drawn in rows)


def test_where_no_row_is_in_force_there_is_nothing_to_award():
    rows = [Pool(Money(5), "2025")]
    assert pools.room(rows, (), held=Money(9)) == Money(0)
    assert pools.room((), (), held=Money(9)) == Money(9)


def test_what_one_division_is_planned_to_give():
    rows = [Pool(Money(5), "year"), Pool(Money(3), "round"), Pool(Money(1), "2025")]
    assert pools.planned(rows, at=at("2026-06-01")) == Money(3)
    assert pools.planned((), at=at("2026-06-01")) is None


@given(day=st.dates(date(2020, 1, 1), date(2099, 12, 31)))
def test_a_period_is_told_in_both_languages(day):
    for written in ("total", "year", "round", f"{day.year}", f"{day:%Y-%m}", f"{day}/{day}", f"{day.year}-Q2"):
        words = pools.period_words(written)
        assert words.zh
        assert words.en
