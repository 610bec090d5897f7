import gzip
import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from django.conf import settings
from django.template import Context
from django.template.loader import get_template
from django.test import RequestFactory
from django.utils import translation
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period, subtract
from portal.pages import weekgrid
from portal.pages.weekgrid import Block, Kind, Row

SHANGHAI = ZoneInfo("Asia/Shanghai")
WEDNESDAY = date(2026, 11, 25)
NOON = datetime(2026, 11, 25, 12, 10, tzinfo=SHANGHAI)


def at(day, hour, minute=0, zone=SHANGHAI):
    return datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(hours=hour, minutes=minute)


def block(day, start, end, kind, label=""):
    return Block(Period(at(day, start), at(day, end)), kind, label)


def row(*blocks, zone="Asia/Shanghai", book_url="/book/?instrument=7"):
    return Row("高分辨质谱仪", "省食药检院", "/instruments/7/", zone, blocks, book_url)


def cell_of(*blocks, day=WEDNESDAY, **options):
    grid = weekgrid.shape([row(*blocks)], [day], now=NOON - timedelta(days=30), **options)
    return grid.rows[0].cells[0]


def css_of(cell):
    return [mark.css for mark in cell.marks]


def test_a_week_runs_from_monday_to_sunday():
    days = weekgrid.week_of(WEDNESDAY)
    assert (days[0], days[-1], len(days)) == (date(2026, 11, 23), date(2026, 11, 29), 7)


def test_a_block_is_placed_by_start_and_span_within_the_window():
    cell = cell_of(block(WEDNESDAY, 9, 11.5, Kind.BOOKED), window=(16, 44))
    assert css_of(cell) == ["b booked s2 w5"]


def test_the_window_spans_what_is_open_in_even_hours():
    grid = weekgrid.shape([row(block(WEDNESDAY, 9, 17.5, Kind.FREE))], [WEDNESDAY], now=NOON)
    assert (grid.first, grid.columns) == (16, 20)
    assert [tick.text for tick in grid.ticks] == ["8", "10", "12", "14", "16"]


def test_with_nothing_open_the_usual_day_is_shown():
    grid = weekgrid.shape([row()], [WEDNESDAY], now=NOON)
    assert (grid.first, grid.columns) == (16, 28)


def test_taken_time_is_rounded_outwards_and_free_time_inwards():
    cell = cell_of(block(WEDNESDAY, 8.25, 9.75, Kind.FREE), block(WEDNESDAY, 12.25, 12.75, Kind.HELD), window=(16, 44))
    assert css_of(cell) == ["b free s1 w2", "b held s8 w2"]


def test_a_block_over_midnight_is_cut_and_marked_on_both_days():
    over = Block(Period(at(WEDNESDAY, 20), at(WEDNESDAY, 34)), Kind.MAINTENANCE)
    grid = weekgrid.shape([row(over)], [WEDNESDAY, WEDNESDAY + timedelta(days=1)], now=NOON, window=(16, 44))
    first, second = grid.rows[0].cells
    assert [css for css in css_of(first) if "maintenance" in css] == ["b maintenance s24 w4 cr"]
    assert css_of(second) == ["b maintenance s0 w4 cl"]
    assert "20:00–24:00" in first.words
    assert "00:00–10:00" in second.words


def test_a_block_ending_at_midnight_does_not_reach_into_the_next_day():
    late = Block(Period(at(WEDNESDAY, 20), at(WEDNESDAY, 24)), Kind.BOOKED)
    grid = weekgrid.shape([row(late)], [WEDNESDAY, WEDNESDAY + timedelta(days=1)], now=NOON, window=(0, 48))
    first, second = grid.rows[0].cells
    assert [css for css in css_of(first) if "booked" in css] == ["b booked s40 w8"]
    assert css_of(second) == []


def test_a_block_outside_the_window_is_told_but_not_drawn():
    cell = cell_of(block(WEDNESDAY, 2, 4, Kind.EXTERNAL), window=(16, 44))
    assert css_of(cell) == []
    assert "02:00–04:00" in cell.words


def test_free_time_is_one_bar_under_the_taken_blocks_but_never_over_a_gap():
    cell = cell_of(
        block(WEDNESDAY, 8, 10, Kind.FREE),
        block(WEDNESDAY, 10, 12, Kind.BOOKED),
        block(WEDNESDAY, 12, 14, Kind.FREE),
        block(WEDNESDAY, 16, 18, Kind.FREE),
        window=(16, 44),
    )
    assert css_of(cell) == ["b free s0 w12", "b free s16 w4", "b booked s4 w4"]
    assert "可预约 08:00–10:00、12:00–14:00、16:00–18:00" in cell.words


def test_wall_time_is_the_resources_own():
    moment = Period(datetime(2026, 7, 1, 12, tzinfo=UTC), datetime(2026, 7, 1, 13, tzinfo=UTC))
    grid = weekgrid.shape(
        [row(Block(moment, Kind.BOOKED), zone="America/New_York")], [date(2026, 7, 1)], now=NOON, window=(0, 48)
    )
    assert css_of(grid.rows[0].cells[0]) == ["b booked s16 w2"]


@pytest.mark.parametrize(("day", "hours"), [(date(2026, 3, 29), 23), (date(2026, 10, 25), 25)])
def test_a_clock_change_moves_no_label(day, hours):
    zone = ZoneInfo("Europe/Berlin")
    start = datetime(day.year, day.month, day.day, tzinfo=zone)
    end = datetime(day.year, day.month, day.day, tzinfo=zone) + timedelta(days=1)
    whole = Period(start, end)
    assert whole.duration == timedelta(hours=hours)
    noon = Period(start.replace(hour=12), start.replace(hour=14))
    grid = weekgrid.shape(
        [row(Block(whole, Kind.MAINTENANCE), Block(noon, Kind.BOOKED), zone="Europe/Berlin")],
        [day],
        now=NOON,
        window=(0, 48),
    )
    assert css_of(grid.rows[0].cells[0]) == ["b maintenance s0 w48", "b booked s24 w4"]


def test_a_cell_links_to_the_form_of_its_day_only_where_time_is_free():
    free, full = cell_of(block(WEDNESDAY, 8, 10, Kind.FREE)), cell_of(block(WEDNESDAY, 8, 10, Kind.BOOKED))
    assert free.url == "/book/?instrument=7&day=2026-11-25"
    assert full.url == ""
    assert "无可预约时段" in full.words


def test_a_label_is_shown_only_where_it_has_room():
    wide, narrow = cell_of(block(WEDNESDAY, 8, 12, Kind.BOOKED)), cell_of(block(WEDNESDAY, 8, 9, Kind.BOOKED))
    own = cell_of(block(WEDNESDAY, 8, 12, Kind.MINE, "课题组"), window=(16, 44))
    assert [mark.text for mark in wide.marks] == ["已预约"]
    assert [mark.text for mark in narrow.marks] == [""]
    assert [mark.text for mark in own.marks] == ["课题组"]


def test_the_present_is_a_line_in_todays_column_only():
    days = weekgrid.week_of(WEDNESDAY)
    grid = weekgrid.shape([row()], days, now=NOON, window=(16, 44))
    assert [css_of(cell) for cell in grid.rows[0].cells] == [[], [], ["now s8"], [], [], [], []]
    assert [head.today for head in grid.heads].index(True) == 2


def test_the_phone_shows_the_chosen_day_or_today_or_the_first():
    days = weekgrid.week_of(WEDNESDAY)

    def shown(**options):
        grid = weekgrid.shape([row()], days, **{"now": NOON, **options})
        return [head.iso for head in grid.heads if head.chosen]

    assert shown(chosen=date(2026, 11, 27)) == ["2026-11-27"]
    assert shown() == ["2026-11-25"]
    assert shown(now=NOON - timedelta(days=30)) == ["2026-11-23"]


def test_english_readers_get_english_dates():
    with translation.override("en"):
        grid = weekgrid.shape([row(block(WEDNESDAY, 8, 10, Kind.FREE))], weekgrid.week_of(WEDNESDAY), now=NOON)
    assert grid.title == "23–29 Nov 2026"
    assert grid.heads[2].words == "Wed 25 Nov 2026"


slots = st.integers(0, 47)
kinds = st.sampled_from([kind for kind in Kind if kind is not Kind.FREE])


@given(
    opening=st.lists(st.tuples(slots, st.integers(1, 20)), max_size=3),
    taken=st.lists(st.tuples(st.integers(0, 95), st.integers(1, 40), kinds), max_size=5),
)
def test_nothing_taken_or_closed_is_ever_drawn_free(opening, taken):
    """Paint the marks in their order: a free column must be free in every quarter of an hour."""
    start = at(WEDNESDAY, 0)

    def span(quarter, length):
        return Period(
            start + timedelta(minutes=15 * quarter), start + timedelta(minutes=15 * min(96, quarter + length))
        )

    busy = [(span(quarter, length), kind) for quarter, length, kind in taken]
    free = subtract([span(2 * slot, 2 * length) for slot, length in opening], [period for period, _ in busy])
    blocks = [Block(period, Kind.FREE) for period in free] + [Block(period, kind) for period, kind in busy]
    painted = [""] * 48
    for css in css_of(cell_of(*blocks, window=(0, 48))):
        kind, first, width = re.match(r"b (\w+) s(\d+) w(\d+)", css).groups()
        painted[int(first) : int(first) + int(width)] = [kind] * int(width)
    for slot, kind in enumerate(painted):
        half = Period(start + timedelta(minutes=30 * slot), start + timedelta(minutes=30 * slot + 30))
        assert (kind == "free") == any(period.covers(half) for period in free)


def test_every_position_has_its_class():
    sheet = (Path(settings.BASE_DIR) / "portal/static/css/weekgrid.css").read_text()
    for slot in range(48):
        assert f".s{slot}{{grid-column-start:{slot + 1}}}" in sheet
        assert f".w{slot + 1}{{grid-column-end:span {slot + 1}}}" in sheet
        assert f".n{slot + 1}{{--n:{slot + 1}}}" in sheet
    assert all(f".{kind} " in sheet for kind in Kind)


def test_twenty_instruments_and_seven_days_stay_in_budget():
    days = weekgrid.week_of(WEDNESDAY)
    rows = []
    for n in range(20):
        blocks = []
        for day in days:
            hour = 8 + n % 3
            blocks += [
                block(day, hour, 12, Kind.FREE),
                block(day, 12, 14, Kind.BOOKED),
                block(day, 14, 15 + n % 4, Kind.MINE),
                block(day, 15 + n % 4, 22, Kind.FREE),
            ]
        rows.append(
            Row(f"仪器 {n}", "省计量院 · ¥1,600/时", f"/instruments/{n}/", "Asia/Shanghai", blocks, f"/b/?i={n}")
        )
    grid = weekgrid.shape(rows, days, now=NOON)
    request = RequestFactory().get("/instruments/?day=2026-11-25")
    context = Context({"grid": grid})
    context.request = request  # the shell's own context needs every page's URL; this part needs only the query
    html = get_template("parts/weekgrid.html").template.render(context)
    assert len(gzip.compress(html.encode(), 9)) <= 12 * 1024
    assert len(re.findall(r"<\w", html)) <= 1300
    assert html.count('<a class="track') == 140
    assert "style=" not in html
