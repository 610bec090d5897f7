"""Closing one beamline for a time, and the books of a cycle: what it takes is named before anything is changed."""

from datetime import timedelta

import pytest

from portal.audit.models import Record
from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from scheduler.availability.models import Closure
from scheduler.beamtime import closing, replanning
from scheduler.beamtime.models import Compensation, ScheduleDraft
from scheduler.facilities import cycles, queries
from scheduler.facilities.models import RunCycle
from tests import beam, make
from tests.calling import Caller, queries_of, zoned

pytestmark = pytest.mark.django_db
AFTER = beam.CYCLE.end + timedelta(days=1)


class TestLine:
    def body(self, span: Period, **more):
        return {
            "during": {"starts_at": zoned(span.start), "ends_at": zoned(span.end)},
            "reason": "更换单色器",
            **more,
        }

    def test_a_planner_is_told_what_closing_takes_and_only_what_she_accepts_goes(self):
        s = beam.site()
        visit, other = beam.visit(s, day=0), beam.visit(s, day=3)
        span, path = beam.during(0, 12), f"/facilities/{s.facility.code}/beamlines/BL01/closures"
        planner = Caller(s.planner)
        seen = planner.post(f"{path}/foresee", self.body(span)).body
        assert [one["number"] for one in seen] == [visit.number, other.number]
        refused = planner.post(path, self.body(span, accepts=[visit.number]), key="close-a-line-1")
        assert (refused.status, refused.code) == (409, "facility.plan_breaks")
        visit.refresh_from_db()
        assert (visit.state, Closure.objects.count()) == ("scheduled", 0)
        made = planner.post(path, self.body(span, accepts=[visit.number, other.number]), key="close-a-line-2")
        assert made.status == 201
        for one in (visit, other):
            one.refresh_from_db()
            assert (one.state, one.cancel_reason) == ("cancelled", "更换单色器")
        assert Compensation.objects.count() == 2
        assert [one["reason"] for one in planner.get(path).body] == ["更换单色器"]

    def test_other_beamlines_go_on(self):
        s = beam.site()
        visit = beam.visit(s, at=1)
        replanning.close_line(
            actor=s.planner, beamline=s.lines[0], period=beam.during(0, 3), reason="检修", now=make.NOW
        )
        visit.refresh_from_db()
        assert visit.state == "scheduled"

    def test_a_closed_beamline_has_fewer_shifts_until_it_is_opened_again(self):
        s = beam.site()
        line = s.lines[0]
        all_of_them = len(queries.user_shifts(s.cycle, [line])[line.pk])
        row = replanning.close_line(
            actor=s.planner, beamline=line, period=beam.during(0, 6), reason="检修", now=make.NOW
        )
        assert len(queries.user_shifts(s.cycle, [line])[line.pk]) == all_of_them - 6
        with pytest.raises(Forbidden):
            replanning.reopen_line(actor=s.office, beamline=line, closure_id=row.pk, now=make.NOW)
        path = f"/facilities/{s.facility.code}/beamlines/BL01/closures/{row.pk}"
        assert Caller(s.planner).delete(path).status == 204
        assert len(queries.user_shifts(s.cycle, [line])[line.pk]) == all_of_them
        assert Caller(s.planner).delete(path).status == 404


class TestCycle:
    def test_a_cycle_that_runs_is_not_closed(self):
        s = beam.site()
        with pytest.raises(cycles.CycleRuns):
            closing.close_books(actor=s.office, cycle=s.cycle, now=beam.CYCLE.end - timedelta(seconds=1))
        assert closing.close_books(actor=s.office, cycle=s.cycle, now=beam.CYCLE.end).closed_at == beam.CYCLE.end

    def test_everything_open_is_named_and_closes_only_once_each_was_seen(self):
        s = beam.site()
        running = beam.visit(s, day=0)
        ended = beam.visit(s, day=5, state="closed")
        Compensation.objects.create(visit=ended, is_cancelled=False, lost_min=120, listed_at=make.NOW)
        given = beam.granted(s, shifts=6)
        waiting = beam.on_reserve(s, place=1)
        draft = ScheduleDraft.objects.create(cycle=s.cycle, key="k", made_at=make.NOW)
        with pytest.raises(closing.CycleUnfinished) as refused:
            closing.close_books(actor=s.director, cycle=s.cycle, now=AFTER)
        assert refused.value.data["open"] == [
            {"kind": "visit", "number": running.number, "shifts": 0},
            {"kind": "compensation", "number": ended.number, "shifts": 0},
            {"kind": "shifts", "number": given.request.proposal.number, "shifts": 6},
            {"kind": "reserve", "number": waiting.proposal.number, "shifts": 0},
            {"kind": "draft", "number": str(draft.pk), "shifts": 0},
        ]
        accepts = [one.key for one in closing.still_open(s.cycle)]
        with pytest.raises(closing.CycleUnfinished):
            closing.close_books(actor=s.director, cycle=s.cycle, accepts=accepts[1:], now=AFTER)
        assert RunCycle.objects.get(pk=s.cycle.pk).closed_at is None
        closing.close_books(actor=s.director, cycle=s.cycle, accepts=accepts, now=AFTER)
        assert RunCycle.objects.get(pk=s.cycle.pk).closed_at == AFTER

    def test_closing_twice_is_once_on_the_record_and_the_plan_stays_as_it_was(self):
        s = beam.site()
        first = closing.close_books(actor=s.office, cycle=s.cycle, now=AFTER)
        again = closing.close_books(actor=s.director, cycle=s.cycle, now=AFTER + timedelta(days=1))
        assert first.closed_at == again.closed_at
        assert Record.objects.filter(action="facility.cycle_closed").count() == 1
        with pytest.raises(cycles.CycleClosed):
            replanning.change_plan(
                actor=s.planner, cycle=s.cycle, change=cycles.PlanChange((), 1), reason="", now=AFTER
            )

    def test_what_another_cycle_has_open_is_not_in_the_way(self):
        s = beam.site()
        later = beam.cycle(s.facility, "2027-II", Period(AFTER, AFTER + timedelta(days=30)), repairs=None)
        beam.granted(s, shifts=6)
        assert closing.still_open(later) == []

    def test_looking_costs_as_many_queries_with_six_open_as_with_two(self):
        s = beam.site()
        office = Caller(s.office)
        path = f"/facilities/{s.facility.code}/cycles/{s.cycle.code}/open"
        beam.granted(s)
        beam.on_reserve(s, place=1)
        few = queries_of(lambda: office.get(path))
        for place in range(2, 6):
            beam.granted(s)
            beam.on_reserve(s, place=place)
        assert queries_of(lambda: office.get(path)) == few
        assert len(office.get(path).body) == 10
