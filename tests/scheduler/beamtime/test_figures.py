"""What a facility reports of a cycle, to the minute and to the shift."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.kernel.period import Period
from scheduler.availability import claiming
from scheduler.availability.models import Claim
from scheduler.beamtime import adopting, compensating, ending, losses, rules
from scheduler.beamtime.figures import figures_of
from scheduler.beamtime.models import BeamVisit, Compensation
from scheduler.facilities.shares import Pool
from tests import beam, make

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)
END = beam.CYCLE.end


def test_beam_is_what_was_planned_less_what_the_facility_lost():
    s = beam.site()
    span = Period(beam.FIRST, beam.FIRST + 24 * HOUR)
    for line, cause, period in (
        (s.lines[0], "machine", span),
        # Twice lost is lost once; what users lost themselves is not the facility's, repairs were not promised.
        (s.lines[0], "beamline", Period(span.start + 12 * HOUR, span.end + 6 * HOUR)),
        (s.lines[1], "user", span),
        (s.lines[1], "machine", beam.REPAIRS),
    ):
        lost = losses.Lost(period, rules.LossCause(cause))
        losses.log(actor=s.scientist, line=line, lost=lost, now=END)
    found = figures_of(s.cycle, now=END)
    assert found.planned_min == 2 * 174 * 480
    assert found.planned_min - found.delivered_min == 30 * 60
    assert found.figures.availability == Fraction(2 * 174 * 8 - 30, 2 * 174 * 8)
    assert [(one.code, one.lost_min) for one in found.beams] == [("BL01", 1800), ("BL02", 0)]
    assert figures_of(s.cycle, now=beam.CYCLE.start).figures.availability is None
    assert figures_of(s.cycle, now=beam.CYCLE.start + 24 * HOUR).planned_min == 2 * 24 * 60


def test_an_outage_is_lost_beam_like_one_that_was_logged():
    s = beam.site()
    span = Period(beam.CYCLE.start, beam.CYCLE.start + 24 * HOUR)
    claiming.occupy([claiming.Ask(s.lines[0].resource, span, span)], state=Claim.State.OUTAGE)
    lost = losses.Lost(Period(span.start, span.start + 30 * HOUR), rules.LossCause.MACHINE)
    losses.log(actor=s.scientist, line=s.lines[0], lost=lost, now=END)
    found = figures_of(s.cycle, now=END)
    assert found.planned_min == 2 * 174 * 480
    assert found.planned_min - found.delivered_min == 30 * 60, "lost for two reasons is lost once"
    assert found.beams[0].by_cause == {rules.LossCause.MACHINE: 1800, rules.LossCause.BEAMLINE: 1440}


def test_beam_given_back_counts_in_the_cycle_it_is_had_in_and_a_closed_one_stays_as_it_was():
    s = beam.site()
    later = Period(END + 30 * 24 * HOUR, END + 90 * 24 * HOUR)
    following = beam.cycle(s.facility, "2027-II", later, None)
    lost = beam.visit(s, state="done")
    Compensation.objects.create(visit=lost, is_cancelled=False, lost_min=1440, listed_at=make.NOW)
    late = END + 24 * HOUR
    back = compensating.grant(actor=s.director, visit=lost, shifts=3, note="机器故障", now=late)

    def of(cycle):
        found = figures_of(cycle, now=later.end)
        pools = {one.pool: (one.allocated, one.delivered) for one in found.lines[0].pools}
        return pools[Pool.OPEN], found.used

    assert (of(s.cycle), of(following)) == (((3, 3), 3), ((0, 0), 0))
    span = Period(later.start, later.start + 24 * HOUR)
    visit = adopting.offer(plan=adopting.Plan(back, s.lines[0], span, 3), number="V-BACK", actor=s.planner, now=late)
    assert (of(s.cycle), of(following)) == (((3, 3), 3), ((3, 0), 0))
    BeamVisit.objects.filter(pk=visit.pk).update(state="done", had_min=1440, lost_min=0, own_lost_min=0)
    assert (of(s.cycle), of(following)) == (((3, 3), 3), ((3, 3), 3))


def test_shifts_asked_for_given_and_used_are_whole_and_made_up_ones_are_told_apart():
    s = beam.site()
    beam.visit(s, state="closed", shifts=3)
    beam.visit(s, state="done", shifts=6, day=3, kind="proprietary", pool="industry")
    beam.visit(s, state="scheduled", shifts=3, day=6)
    beam.proposal(s, state="refused", shifts=12)
    beam.proposal(s, state="draft", shifts=30)
    gone = beam.visit(s, state="ready", shifts=3, day=9)
    ending.cancel(actor=s.planner, visit=gone, reason="水冷故障", now=make.NOW)
    compensating.grant(actor=s.director, visit=gone, shifts=3, note="先补", now=make.NOW)
    found = figures_of(s.cycle, now=END)
    assert (found.requested, found.allocated, found.given_back) == (27, 15, 3)
    assert found.figures.oversubscription == Fraction(27, 15)
    assert (found.used, found.industrial, found.figures.industrial) == (9, 6, Fraction(6, 9))
    pools = {one.pool: (one.allocated, one.delivered) for one in found.lines[0].pools}
    assert pools[Pool.INDUSTRY] == (6, 6)
    assert pools[Pool.OPEN][1] == 3


def test_figures_take_the_same_queries_however_much_happened():
    s = beam.site()
    with CaptureQueriesContext(connection) as few:
        figures_of(s.cycle, now=END)
    for day in range(0, 12, 3):
        beam.visit(s, state="closed", day=day)
    with CaptureQueriesContext(connection) as many:
        figures_of(s.cycle, now=END)
    assert len(many) == len(few)
