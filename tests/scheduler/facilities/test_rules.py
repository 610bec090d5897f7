"""Shifts, machine plan and shares: the worked cases E1, E5, E6, and what must hold whatever the numbers."""

import itertools
from datetime import UTC, date, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period
from scheduler.facilities import grid, plan, shares
from scheduler.facilities.courses import COURSES, Course, ProposalKind, refusals
from scheduler.facilities.plan import MachineMode, ModePeriod
from scheduler.facilities.shares import Pool

THREE = ("早班", "中班", "夜班")
SHANGHAI = grid.ShiftGrid("Asia/Shanghai", 8 * 60 - 480, 480, THREE, 3)
GRENOBLE = grid.ShiftGrid("Europe/Paris", 0, 480, THREE, 3)


def span(start: str, end: str) -> Period:
    return Period(datetime.fromisoformat(start), datetime.fromisoformat(end))


class TestGrid:
    def test_a_day_of_three_shifts(self):
        found = grid.shifts_in(SHANGHAI, span("2027-03-01T00:00+08:00", "2027-03-03T00:00+08:00"))
        assert [(one.day, one.turn) for one in found] == [
            (date(2027, 3, day), turn) for day in (1, 2) for turn in range(3)
        ]
        assert found[0].period.start == datetime(2027, 2, 28, 16, tzinfo=UTC)

    def test_the_night_shift_belongs_to_the_day_it_starts_on(self):
        late = grid.ShiftGrid("Asia/Shanghai", 7 * 60, 480, THREE, 3)
        found = grid.shifts_in(late, span("2027-03-01T07:00+08:00", "2027-03-02T07:00+08:00"))
        assert [(one.day, one.turn) for one in found] == [(date(2027, 3, 1), turn) for turn in range(3)]
        assert found[2].period == span("2027-03-01T23:00+08:00", "2027-03-02T07:00+08:00")

    def test_part_of_a_shift_is_none(self):
        assert grid.shifts_in(SHANGHAI, span("2027-03-01T00:01+08:00", "2027-03-01T15:59+08:00")) == ()

    @pytest.mark.parametrize(("day", "hours"), [("2027-03-28", [7, 8, 8]), ("2027-10-31", [9, 8, 8])])
    def test_where_clocks_change_a_shift_is_an_hour_shorter_or_longer(self, day, hours):
        start = datetime.fromisoformat(f"{day}T00:00").replace(tzinfo=grid._zone("Europe/Paris"))
        found = grid.shifts_in(GRENOBLE, Period(start, start + timedelta(days=1)))
        assert [one.period.duration / timedelta(hours=1) for one in found] == hours
        assert all(one.period.end == two.period.start for one, two in itertools.pairwise(found))

    @given(first=st.integers(0, 59), length=st.sampled_from([120, 240, 360, 480, 720, 1440]), days=st.integers(1, 40))
    def test_shifts_fill_whole_days_without_gap_or_overlap(self, first, length, days):
        it = grid.ShiftGrid("Europe/Paris", first, length, ("班",) * (1440 // length))
        start = datetime(2027, 3, 20, tzinfo=grid._zone("Europe/Paris")).replace(minute=first)
        found = grid.shifts_in(it, Period(start, start + timedelta(days=days)))
        assert len(found) == days * it.per_day
        assert all(one.period.end == two.period.start for one, two in itertools.pairwise(found))

    def test_everything_wrong_with_a_grid_is_said_at_once(self):
        with pytest.raises(grid.BadGrid) as refused:
            grid.ShiftGrid("Mars/Base", 1500, 500, THREE, 0)
        assert [reason.field for reason in refused.value.reasons] == ["zone", "length_min", "first_min", "multiple"]
        with pytest.raises(grid.BadGrid) as refused:
            grid.ShiftGrid("Asia/Shanghai", 0, 480, ("早班", ""), 3)
        assert [reason.field for reason in refused.value.reasons] == ["names"]

    @pytest.mark.parametrize("zone", ["Asia", "America/Argentina", "../etc", ""])
    def test_a_zone_that_is_none_is_refused_at_its_field(self, zone):
        with pytest.raises(grid.BadGrid) as refused:
            grid.ShiftGrid(zone, 0, 480, THREE, 3)
        assert [reason.field for reason in refused.value.reasons] == ["zone"]

    def test_seven_shifts_in_threes_are_six_or_nine(self):
        """E1."""
        assert grid.offered(7, multiple=3) == (6, 9)
        assert grid.offered(6, multiple=3) == (6,)
        assert grid.offered(2, multiple=3) == (3,)
        assert grid.offered(7, multiple=1) == (7,)
        with pytest.raises(grid.NoShifts):
            grid.offered(0, multiple=3)


CYCLE = span("2027-03-01T00:00+08:00", "2027-03-15T00:00+08:00")


def mode(kind: MachineMode, first: int, last: int) -> ModePeriod:
    day = datetime(2027, 3, 1, tzinfo=grid._zone("Asia/Shanghai"))
    return ModePeriod(Period(day + timedelta(days=first - 1), day + timedelta(days=last)), kind)


class TestPlan:
    def test_only_user_beam_that_the_line_itself_has_is_given_away(self):
        spans = [mode(MachineMode.USER, 1, 5), mode(MachineMode.STUDY, 6, 6), mode(MachineMode.USER, 7, 9)]
        closed = [span("2027-03-02T10:00+08:00", "2027-03-02T11:00+08:00")]
        found = plan.user_shifts(SHANGHAI, spans, closed=closed)
        assert len(found) == 8 * 3 - 1
        assert not any(one.period.overlaps(closed[0]) for one in found)

    def test_what_the_plan_says_nothing_of_is_not_user_beam(self):
        assert plan.user_shifts(SHANGHAI, [mode(MachineMode.SHUTDOWN, 1, 14)]) == ()

    def test_spans_outside_the_cycle_and_overlaps_are_all_named(self):
        spans = [mode(MachineMode.USER, 1, 5), mode(MachineMode.STUDY, 5, 6), mode(MachineMode.USER, 10, 20)]
        with pytest.raises(plan.BadPlan) as refused:
            plan.check_plan(CYCLE, spans)
        assert [(one.code, one.field) for one in refused.value.reasons] == [
            ("facility.outside_cycle", "plan.2"),
            ("facility.plan_overlap", "plan.1"),
        ]
        plan.check_plan(CYCLE, [spans[0]])

    def test_a_shutdown_moved_over_scheduled_shifts_names_them(self):
        held = [
            plan.Occupied("V2", span("2027-03-06T00:00+08:00", "2027-03-06T08:00+08:00")),
            plan.Occupied("V1", span("2027-03-05T16:00+08:00", "2027-03-06T08:00+08:00")),
            plan.Occupied("V0", span("2027-03-04T00:00+08:00", "2027-03-05T00:00+08:00")),
        ]
        beam = plan.user_beam([mode(MachineMode.USER, 1, 5), mode(MachineMode.SHUTDOWN, 6, 14)])
        assert [one.number for one in plan.broken(held, beam=beam)] == ["V1", "V2"]


THIRDS = {Pool.OPEN: Fraction(1, 3), Pool.PARTNER: Fraction(1, 3), Pool.INDUSTRY: Fraction(1, 3)}


class TestShares:
    def test_a_partner_line_keeps_thirty_five_per_cent(self):
        """E6."""
        assert shares.most_own(4_000, share=Fraction(35, 100)) == 1_400

    def test_equal_shares_of_seven_shifts_favour_the_first_pool(self):
        assert shares.apportioned(7, THIRDS) == {Pool.OPEN: 3, Pool.PARTNER: 2, Pool.INDUSTRY: 2}

    @given(shifts=st.integers(0, 2_000), weights=st.lists(st.integers(0, 50), min_size=5, max_size=5))
    def test_parts_add_up_and_none_is_off_by_a_shift(self, shifts, weights):
        total = sum(weights)
        if not total:
            return
        given_ = {pool: Fraction(weight, total) for pool, weight in zip(Pool, weights, strict=True)}
        parts = shares.apportioned(shifts, given_)
        assert sum(parts.values()) == shifts
        assert all(abs(parts[pool] - shifts * share) < 1 for pool, share in given_.items())

    def test_shares_that_are_not_the_whole_are_refused(self):
        with pytest.raises(shares.BadShares) as refused:
            shares.apportioned(10, {Pool.OPEN: Fraction(1, 2), Pool.INDUSTRY: Fraction(1, 4)})
        assert refused.value.reasons[0].params["total"] == "75%"
        with pytest.raises(shares.BadShares):
            shares.check_shares({Pool.OPEN: Fraction(3, 2), Pool.INDUSTRY: Fraction(-1, 2)})

    def test_compliance_is_reported_to_the_shift(self):
        found = shares.compliance(THIRDS, shifts=9, allocated={Pool.OPEN: 4, Pool.URGENT: 1}, delivered={Pool.OPEN: 2})
        assert [(one.pool, one.given, one.allocated, one.delivered, one.left) for one in found] == [
            (Pool.OPEN, 3, 4, 2, -1),
            (Pool.PARTNER, 3, 0, 0, 3),
            (Pool.INDUSTRY, 3, 0, 0, 3),
            (Pool.URGENT, 0, 1, 0, -1),
        ]


@pytest.mark.parametrize(
    ("course", "refused"),
    [
        (Course(Pool.OPEN, confidential=True), "facility.course_secret"),
        (Course(Pool.DIRECTOR), "facility.course_pool"),
    ],
)
def test_no_kind_goes_to_a_panel_that_may_not_read_it_or_cannot_give_it_time(course, refused):
    assert [one.code for one in refusals({ProposalKind.STANDARD: course})] == [refused]
    assert not refusals(COURSES), "what facilities start from is fit"
