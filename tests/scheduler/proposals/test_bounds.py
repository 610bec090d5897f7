"""Where a proposal's reach ends: the organisation acted for, the call's cycle, waiting that was waited, other people's visits."""

from __future__ import annotations

from datetime import date, timedelta

import pytest

from portal.kernel.errors import Forbidden, NotFound
from portal.kernel.idempotency import KeyReused
from portal.organisations import access as people
from portal.organisations import rules as roles
from portal.organisations.models import Member, User
from scheduler.beamtime.past import past_visits
from scheduler.facilities.courses import ProposalKind
from scheduler.facilities.models import Partner, RunCycle
from scheduler.messages.models import Message
from scheduler.panels import access as judging
from scheduler.proposals import access, calls, continuing, drafting, outcomes, services, steps, team
from scheduler.proposals.models import BeamRequest
from scheduler.proposals.rules import FormKind, RequestAction
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


def began(s, who=None, *, title="正极材料", key="begin-key-1"):
    wanted = drafting.Begun(s.facility, ProposalKind.STANDARD, title, s.call)
    return drafting.begin(actor=who or s.leader, wanted=wanted, now=make.NOW, key=key)


class TestKey:
    def test_the_same_key_with_another_wish_or_person_is_told_so(self, s):
        first = began(s)
        assert began(s) == first
        with pytest.raises(KeyReused):
            began(s, title="另一题目")
        with pytest.raises(KeyReused):
            began(s, make.actor(first.organisation, roles.Role.RESEARCHER))

    def test_a_person_with_a_very_long_address_can_begin(self, s):
        User.objects.filter(pk=s.leader.user_id).update(email=f"{'a' * 60}@{'b' * 60}.{'c' * 60}.{'d' * 50}.cn")
        assert began(s).team.get().email.startswith("aaa")


class TestMail:
    def test_an_address_gets_one_mail_an_hour_however_it_is_asked(self, s):
        draft = began(s)
        member = team.invite(actor=s.leader, proposal=draft, name="李", email="li@example.invalid", now=make.NOW)
        soon, later_ = make.NOW + timedelta(minutes=59), make.NOW + timedelta(minutes=60)
        with pytest.raises(team.TooSoon):
            team.invite_again(actor=s.leader, proposal=draft, member_id=member.pk, now=soon)
        team.remove(actor=s.leader, proposal=draft, member_id=member.pk, now=soon)
        with pytest.raises(team.TooSoon):
            team.invite(actor=s.leader, proposal=draft, name="李", email="LI@example.invalid", now=soon)
        assert team.invite(actor=s.leader, proposal=draft, name="李", email="li@example.invalid", now=later_)


class TestCallInUse:
    def wanted(self, s, **changes):
        values = {
            "name": s.call.name,
            "during": type(beam.CYCLE)(s.call.during.lower, s.call.during.upper),
            "kinds": [ProposalKind(kind) for kind in s.call.kinds],
            "most_shifts": 30,
            "forms": (calls.FormWanted("method", "方法", FormKind.PDF),),
        }
        return calls.CallWanted(**{**values, **changes})

    @pytest.mark.parametrize(
        "changes",
        [
            {"most_shifts": 20},
            {"least_shifts": 2},
            {"forms": (calls.FormWanted("method", "方法", FormKind.PDF, size=1_000_000),)},
            {"forms": ()},
            {
                "forms": (
                    calls.FormWanted("method", "方法", FormKind.PDF),
                    calls.FormWanted("new", "新表", FormKind.PDF),
                )
            },
        ],
    )
    def test_what_was_complete_stays_so(self, s, changes):
        s.call.forms.create(code="method", name="方法", kind="pdf")
        began(s)
        with pytest.raises(calls.InUse):
            calls.change(actor=s.office, call=s.call, wanted=self.wanted(s, **changes), now=make.NOW)
        assert calls.change(actor=s.office, call=s.call, wanted=self.wanted(s, most_shifts=0), now=make.NOW)


def test_a_visit_for_lost_beam_stands_until_it_is_cancelled(s):
    visit = beam.visit(s, state="scheduled")
    ours = visit.allocation.request.proposal
    BeamRequest.objects.filter(proposal=ours).update(state="served")
    with pytest.raises(services.HasTime):
        services.withdraw(actor=s.leader, proposal=ours, now=make.NOW)


def test_a_partner_whose_agreement_is_over_sends_nothing(s):
    firm = s.leader.organisation_id
    valid = (date(2026, 1, 1), date(2026, 11, 25))
    partner = Partner.objects.create(beamline=s.lines[0], organisation_id=firm, num=1, den=3, valid=valid)
    partner.refresh_from_db()
    draft = beam.proposal(s, state="draft", kind="partner", call=None, partner=partner)
    codes = [one.code for one in services.wanting(proposal=draft, past=[], now=make.NOW)[0]]
    assert codes == ["proposal.no_partner"]


def test_who_only_plans_or_decides_does_not_read_what_confidential_work_is_about(s):
    ours = beam.proposal(s, kind="proprietary", call=None, is_confidential=True, state="admitted")
    for who in (s.office, s.scientist, s.safety):
        assert access.get_proposal(who, ours.number) == ours
        assert access.served_proposals(who).count() == 1
    for who in (s.planner, s.director):
        with pytest.raises(NotFound):
            access.get_proposal(who, ours.number)
        assert not access.served_proposals(who).exists()
    assert judging.get_proposal(s.scientist, ours.number) == ours
    with pytest.raises(NotFound):
        judging.get_proposal(s.director, ours.number)
