"""Where a proposal's reach ends: the organisation acted for, the call's cycle, waiting that was waited, other people's visits."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Forbidden, NotFound
from portal.organisations import access as people
from portal.organisations import rules as roles
from portal.organisations.models import Member, Organisation
from scheduler.beamtime.past import past_visits
from scheduler.facilities.models import RunCycle
from scheduler.messages.models import Message
from scheduler.proposals import access, continuing, outcomes, services, steps
from scheduler.proposals.models import BeamRequest
from scheduler.proposals.rules import RequestAction
from tests import beam, make

pytestmark = pytest.mark.django_db


@pytest.fixture
def s():
    return beam.site()


def elsewhere(who):
    """Return the same person acting for another organisation, which she belongs to now; she has left the first."""
    other = make.organisation(roles.Kind.ENTERPRISE)
    Member.objects.filter(user_id=who.user_id).update(left_at=make.NOW)
    member = Member.objects.create(user=make.user_of(who), organisation=other, roles=["researcher"])
    return people.actor_for(member)


def later(s, code: str, days: int) -> RunCycle:
    start = beam.CYCLE.end + timedelta(days=days)
    return beam.cycle(s.facility, code, type(beam.CYCLE)(start, start + timedelta(days=30)), None)


class TestOrganisation:
    def test_who_acts_for_another_organisation_is_not_of_the_team(self, s):
        ours = beam.proposal(s, kind="proprietary", call=None, is_confidential=True, state="submitted")
        assert access.get_proposal(s.leader, ours.number) == ours
        gone = elsewhere(s.leader)
        with pytest.raises(NotFound):
            access.get_proposal(gone, ours.number)
        assert not access.own_proposals(gone).exists()
        with pytest.raises(Forbidden):
            services.withdraw(actor=gone, proposal=ours, now=make.NOW)

    def test_news_of_a_team_goes_to_nobody_else_when_somebody_has_left(self, s):
        ours = beam.proposal(s, state="submitted")
        Organisation.objects.get(pk=s.leader.organisation_id)
        elsewhere(s.leader)
        Message.objects.all().delete()
        steps.tell(ours, [], key="returned", now=make.NOW)
        assert not Message.objects.exists()


class TestCycle:
    def test_a_call_gives_time_of_its_own_cycle_only(self, s):
        next_one = later(s, "2027-II", 10)
        draft = beam.proposal(s, state="draft")
        BeamRequest.objects.filter(proposal=draft).update(cycle=next_one)
        reasons, _told = services.wanting(proposal=draft, past=[], now=make.NOW)
        assert [(one.code, one.field) for one in reasons] == [("proposal.cycle", "requests.0.cycle")]

    def test_without_a_call_no_time_is_asked_of_a_cycle_that_is_over_or_closed(self, s):
        draft = beam.proposal(s, state="draft", kind="rapid", call=None)
        at = beam.CYCLE.end
        assert services.wanting(proposal=draft, past=[], now=at - timedelta(seconds=1))[0] == []
        assert [one.code for one in services.wanting(proposal=draft, past=[], now=at)[0]] == ["proposal.cycle"]
        RunCycle.objects.filter(pk=s.cycle.pk).update(closed_at=make.NOW)
        assert [one.code for one in services.wanting(proposal=draft, past=[], now=make.NOW)[0]] == ["proposal.cycle"]


class TestWaiting:
    def test_nobody_ages_by_asking_for_many_cycles_at_once(self, s):
        ours = beam.proposal(s, kind="long_term", state="graded", grade_c=300)
        with pytest.raises(continuing.NotDecided):
            continuing.carry_over(actor=s.leader, proposal=ours, cycle=later(s, "2027-II", 10), now=make.NOW)

    def test_what_gets_time_from_the_reserve_list_after_all_has_waited_for_nothing(self, s):
        ours = beam.proposal(s, kind="long_term", state="graded", grade_c=300)
        first = ours.requests.get()
        BeamRequest.objects.filter(pk=first.pk).update(state="reserve")
        [second] = continuing.carry_over(actor=s.leader, proposal=ours, cycle=later(s, "2027-II", 10), now=make.NOW)
        assert second.waited == 1
        first.refresh_from_db()
        outcomes.move_request(first, RequestAction.ALLOCATE)
        second.refresh_from_db()
        assert second.waited == 0


def test_reports_owed_are_of_this_facility_and_never_of_confidential_visits(s):
    theirs = beam.site()
    beam.visit(s, state="done", leader=s.leader)
    beam.visit(s, state="done", leader=s.leader, day=5, kind="proprietary", call=None, is_confidential=True)
    beam.visit(theirs, state="done", leader=s.leader)
    assert len(past_visits([s.leader.user_id], facility_id=s.facility.pk)) == 1
