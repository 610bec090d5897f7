"""Free hours of each day of a month, in the instrument's own zone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period
from portal.pages import monthgrid
from portal.pages.weekgrid import Block, Kind, Row

NOW = datetime(2026, 11, 25, 2, 0, tzinfo=UTC)


def row(*blocks, zone="Asia/Shanghai", book_url="/book/"):
    return Row("质谱仪", "省食药检院", "/instruments/7/", zone, blocks, book_url)


def free(start, hours):
    return Block(Period(start, start + timedelta(hours=hours)), Kind.FREE)


@given(st.dates(date(2001, 1, 1), date(2099, 12, 31)))
def test_a_month_is_all_its_days(day):
    days = monthgrid.days_of(day)
    assert day in days
    assert (days[0].day, (days[-1] + timedelta(days=1)).day) == (1, 1)
    assert len({each.month for each in days}) == 1


def test_hours_fall_on_the_days_of_the_instruments_zone():
    found = monthgrid.shape([row(free(NOW + timedelta(hours=12), 5.5))], date(2026, 11, 3), now=NOW).rows[0].cells
    assert [(cell.text, cell.url) for cell in found[24:26]] == [
        ("2", "/book/?day=2026-11-25"),
        ("3.5", "/book/?day=2026-11-26"),
    ]
    assert {cell.text for cell in (*found[:24], *found[26:])} == {""}


@given(st.integers(0, 40 * 24), st.integers(1, 200), st.sampled_from(["Asia/Shanghai", "America/New_York"]))
def test_no_hour_is_lost(offset, hours, zone):
    minutes = monthgrid.free_minutes(row(free(NOW + timedelta(hours=offset), hours), zone=zone))
    assert sum(minutes.values()) == hours * 60


def test_what_is_taken_is_not_free():
    taken = Block(Period(NOW, NOW + timedelta(hours=2)), Kind.BOOKED)
    assert monthgrid.free_minutes(row(taken)) == {}


def test_days_that_are_past_are_marked_head_and_cells_alike():
    month = monthgrid.shape([row(free(NOW, 5))], date(2026, 11, 3), now=NOW)
    cells = month.rows[0].cells
    assert [head.number for head in month.heads if "past" in head.css] == list(range(1, 25))
    assert [number for number, cell in enumerate(cells, start=1) if "past" in cell.css] == list(range(1, 25))
    assert month.heads[24].css == "today"
    ahead = monthgrid.shape([row(free(NOW, 5))], date(2026, 12, 3), now=NOW)
    assert not any("past" in each.css for each in (*ahead.heads, *ahead.rows[0].cells))
