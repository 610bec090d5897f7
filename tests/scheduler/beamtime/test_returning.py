"""Shifts that were given and never placed: given back by planner or office, ended with their cycle, lost to nobody."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.test import Client
from django.urls import reverse

from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from scheduler.beamtime import ending, gathering, returning, shares, visit_rules
from scheduler.beamtime.models import BeamAllocation, DraftPlace
from scheduler.facilities.models import RunCycle
from scheduler.facilities.shares import Pool
from scheduler.messages.models import Message
from scheduler.panels import pools
from scheduler.proposals import continuing
from scheduler.proposals import services as proposals
from tests import beam, make
from tests.beam_writes.drafting import draft
from tests.portal.pages.reading import enter

DAY = timedelta(days=1)
LATE = beam.CYCLE.end + DAY


@pytest.fixture
def s(db):
    return beam.site()


def following(s):
    return beam.cycle(s.facility, "2027-II", Period(beam.CYCLE.end + 30 * DAY, beam.CYCLE.end + 90 * DAY), None)


@pytest.mark.parametrize("who", ["planner", "office"])
def test_what_cannot_be_placed_is_given_back_and_its_team_waits_with_its_place(s, who):
    row = beam.granted(s, shifts=6)
    made = draft(s, key="draft-with-a-place")
    assert DraftPlace.objects.filter(draft=made, allocation=row).exists()
    before = pools.left(s.lines[0], s.cycle, Pool.OPEN)
    with pytest.raises(visit_rules.ReasonMissing):
        returning.give_back(actor=getattr(s, who), allocation=row, reason=" ", now=make.NOW)
    for _again in range(2):
        returning.give_back(actor=getattr(s, who), allocation=row, reason="束线已满", now=make.NOW)
    row.request.refresh_from_db()
    assert row.request.state == "reserve"
    assert pools.left(s.lines[0], s.cycle, Pool.OPEN) == before + 6
    assert not gathering.to_place(s.cycle).exists()
    assert not DraftPlace.objects.exists(), "nothing is offered of it"
    assert "束线已满" in str(Message.objects.get().reasons)
    proposal = row.request.proposal
    assert proposals.withdraw(actor=s.leader, proposal=proposal, now=make.NOW).state == "withdrawn"


def test_what_has_a_visit_is_cancelled_not_given_back_and_nobody_else_gives_back(s):
    visit = beam.visit(s)
    with pytest.raises(returning.AlreadyPlaced) as refused:
        returning.give_back(actor=s.planner, allocation=visit.allocation, reason="满", now=make.NOW)
    assert visit.number in str(refused.value)
    waiting = beam.granted(s)
    for who in (s.scientist, s.director, s.leader, beam.site().planner):
        with pytest.raises(Forbidden):
            returning.give_back(actor=who, allocation=waiting, reason="满", now=make.NOW)
    assert BeamAllocation.objects.get(pk=waiting.pk).ended_at is None


def test_an_offer_that_was_called_off_can_be_given_back_and_beam_made_up_for_leaves_the_request_served(s):
    visit = beam.visit(s, state="offered")
    ending.cancel(actor=s.planner, visit=visit, reason="停机", now=make.NOW)
    returning.give_back(actor=s.planner, allocation=visit.allocation, reason="停机", now=make.NOW)
    had = beam.visit(s, state="done", at=1)
    request = had.allocation.request
    back = BeamAllocation.objects.create(request=request, pool="open", shifts=1, made_up_for=had, given_at=make.NOW)
    returning.give_back(actor=s.office, allocation=back, reason="课题组不再需要", now=make.NOW)
    request.refresh_from_db()
    assert request.state == "served"


def test_what_a_closed_cycle_never_placed_waits_one_cycle_more_or_lapses_with_its_kind(s):
    long, once, served = beam.granted(s, kind="long_term"), beam.granted(s), beam.visit(s, state="closed", at=1)
    nxt = following(s)
    assert returning.lapse_due(now=LATE) == 0, "the cycle is not closed yet"
    RunCycle.objects.filter(pk=s.cycle.pk).update(closed_at=LATE)
    assert (returning.lapse_due(now=LATE), returning.lapse_due(now=LATE)) == (2, 0)
    for row in (long, once):
        row.request.refresh_from_db()
        row.request.proposal.refresh_from_db()
    assert (long.request.state, once.request.state) == ("reserve", "lapsed")
    assert (long.request.proposal.state, once.request.proposal.state) == ("accepted", "closed")
    [carried] = continuing.carry_over(actor=s.leader, proposal=long.request.proposal, cycle=nxt, now=LATE)
    assert carried.waited == 1, "it had no time"
    served.allocation.refresh_from_db()
    assert served.allocation.ended_at is None
    assert shares.allocated_of(s.cycle)[s.lines[0].pk].get(Pool.OPEN, 0) == 0


def test_the_board_lets_the_office_give_back_with_a_reason_and_keeps_what_is_refused(s):
    row = beam.granted(s)
    address = reverse("schedule", args=[s.facility.code, s.cycle.code])
    office, hall = enter(Client(), s.office), enter(Client(), s.scientist)
    assert "退回机时" in office.get(f"{address}?pick=A{row.pk}").content.decode()
    assert "退回机时" not in hall.get(f"{address}?pick=A{row.pk}").content.decode()
    said = {"act": "give_back", "number": f"A{row.pk}"}
    assert office.post(address, said).status_code == 422
    assert hall.post(address, {**said, "reason": "排不下"}).status_code == 403
    assert office.post(address, {**said, "reason": "排不下"}).status_code == 302
    row.refresh_from_db()
    assert row.ended_at is not None
