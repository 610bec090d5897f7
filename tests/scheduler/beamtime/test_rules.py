"""What a visit needs, had, lost and is owed; what is released to enterprises: E8 and what must hold whatever was logged."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal as D
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.period import Period
from scheduler.beamtime import rules
from scheduler.beamtime.rules import Hit, Loss, LossCause, Preparation
from scheduler.facilities.grades import Direction
from scheduler.facilities.grid import ShiftGrid, shifts_in

START = datetime(2027, 3, 1, tzinfo=UTC)
VISIT = Period(START, START + timedelta(hours=24))
GRID = ShiftGrid("UTC", 0, 480, ("早班", "中班", "夜班"), 3)


def lost(first: float, last: float, cause: LossCause = LossCause.MACHINE) -> Loss:
    return Loss(Period(START + timedelta(hours=first), START + timedelta(hours=last)), cause)


class TestReady:
    def test_forms_count_when_approved_so_many_days_before(self):
        there = Preparation(START - timedelta(days=7), START - timedelta(days=7), ("王一",), {"王一": VISIT.end})
        assert rules.not_ready(there, visit=VISIT, days=7) == []
        assert [one.field for one in rules.not_ready(there, visit=VISIT, days=8)] == ["sample", "safety"]

    def test_everything_that_is_missing_is_named(self):
        there = Preparation(None, START, ("王一", "李二"), {"王一": VISIT.end - timedelta(seconds=1)})
        found = rules.not_ready(there, visit=VISIT, days=3)
        assert [(one.field, one.params.get("who")) for one in found] == [
            ("sample", None),
            ("safety", None),
            ("participants", "王一"),
            ("participants", "李二"),
        ]
        assert [one.code for one in rules.not_ready(Preparation(START, START, (), {}), visit=VISIT, days=0)] == [
            "visit.participants"
        ]


class TestDelivered:
    def test_six_hours_of_twenty_four(self):
        """E8: what was had is counted; nothing is credited by itself, the visit is on the list."""
        done = rules.delivered(VISIT, [lost(3, 9)])
        assert (done.given_min, done.had_min, done.lost_min, done.own_lost_min) == (1440, 1080, 360, 0)
        hit = Hit("V1", cancelled=False, lost_min=done.lost_min, grade=D(4))
        assert rules.compensation([hit], best=Direction.HIGH) == [hit]
        assert rules.compensation([Hit("V2", cancelled=False, lost_min=0, grade=D(5))], best=Direction.HIGH) == []

    def test_a_minute_lost_twice_is_lost_once_and_to_the_facility(self):
        done = rules.delivered(VISIT, [lost(0, 2, LossCause.USER), lost(1, 3), lost(2, 4, LossCause.BEAMLINE)])
        assert (done.lost_min, done.own_lost_min, done.had_min) == (180, 60, 1200)

    def test_what_lies_outside_the_visit_is_not_its_own(self):
        assert rules.delivered(VISIT, [lost(-5, 1), lost(23, 30)]).lost_min == 120

    @given(
        st.lists(st.tuples(st.integers(-300, 1700), st.integers(1, 600), st.sampled_from(list(LossCause))), max_size=8)
    )
    def test_the_parts_add_up_to_the_visit(self, spans):
        losses = [
            Loss(Period(START + timedelta(minutes=first), START + timedelta(minutes=first + length)), cause)
            for first, length, cause in spans
        ]
        done = rules.delivered(VISIT, losses)
        assert done.had_min + done.lost_min + done.own_lost_min == done.given_min == 1440
        assert min(done.had_min, done.lost_min, done.own_lost_min) >= 0


@pytest.mark.parametrize(("best", "first"), [(Direction.HIGH, "B"), (Direction.LOW, "A")])
def test_cancelled_beam_comes_first_then_the_grade_then_mail_in(best, first):
    hits = [
        Hit("A", cancelled=False, lost_min=60, grade=D(2)),
        Hit("B", cancelled=False, lost_min=60, grade=D(5)),
        Hit("C", cancelled=True, lost_min=480, grade=D(3)),
        Hit("D", cancelled=False, lost_min=60, grade=D(3)),
        Hit("E", cancelled=False, lost_min=10, grade=D(3), by_mail=True),
        Hit("F", cancelled=False, lost_min=600, grade=None),
    ]
    order = [one.number for one in rules.compensation(hits, best=best)]
    assert order == ["C", first, "E", "D", "A" if first == "B" else "B", "F"]


class TestRelease:
    def test_what_nobody_has_is_for_enterprises_fourteen_days_before(self):
        shifts = shifts_in(GRID, Period(START, START + timedelta(days=30)))
        taken = [Period(START + timedelta(days=2), START + timedelta(days=3))]
        now = START + timedelta(hours=1)
        found = rules.released(shifts, taken=taken, now=now)
        assert found[0].period.start == START + timedelta(hours=8)
        assert found[-1].period.start == START + timedelta(days=14)
        assert not any(one.period.overlaps(taken[0]) for one in found)
        assert len(found) == 2 + 13 * 3 + 1 - 3

    def test_a_shift_that_has_begun_is_over_for_them(self):
        shifts = shifts_in(GRID, VISIT)
        assert [one.turn for one in rules.released(shifts, taken=[], now=START)] == [1, 2]


def test_figures_say_nothing_where_nothing_was():
    assert rules.figures(planned_min=0, delivered_min=0, requested=4, allocated=0, industrial=0, used=0) == (
        rules.Figures(None, None, None)
    )
    found = rules.figures(planned_min=100, delivered_min=97, requested=40, allocated=10, industrial=2, used=9)
    assert found == rules.Figures(Fraction(97, 100), Fraction(4), Fraction(2, 9))
