"""Visits are ready as long as they are: people who leave, training cut short, samples sent in, days moved, calendars."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import InvalidTransition
from portal.organisations import rules as roles
from portal.organisations.models import Organisation
from scheduler.beamtime import ending, moving, visit_rules, visits
from scheduler.beamtime.models import BeamTraining, BeamVisit, Compensation, VisitParticipant
from scheduler.messages.models import Message
from scheduler.proposals import team
from scheduler.proposals.models import TeamMember
from tests import beam, make

BEGIN, HOUR, DAY = beam.FIRST, timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def s(db):
    return beam.site()


def test_beam_a_team_had_accepted_is_made_up_for_though_it_was_moved_before_it_was_cancelled(s):
    visit, only = beam.visit(s), beam.visit(s, state="offered", at=1)
    for day, one in ((3, visit), (6, visit), (3, only)):
        one.refresh_from_db()
        starts_at = BEGIN + day * DAY
        moving.move(actor=s.planner, visit=one, starts_at=starts_at, seen=one.version, reason="检修", now=make.NOW)
    for one in (visit, only):
        ending.cancel(actor=s.planner, visit=one, reason="停机", now=make.NOW)
    listed = Compensation.objects.get()
    assert (listed.visit, listed.is_cancelled, listed.lost_min) == (visit, True, 1440)
    assert "已列入补偿名单" in str(
        list(Message.objects.filter(key__contains=f"{visit.number}:").values_list("reasons"))
    )
    visit.allocation.refresh_from_db()
    only.allocation.refresh_from_db()
    assert (visit.allocation.ended_at is None, only.allocation.ended_at) == (False, None)


@pytest.mark.parametrize("end", ["cancelled", "missed", "done"])
def test_whoever_reads_or_waits_for_a_beamlines_calendar_is_told_that_a_visit_left_it(s, end):
    visit = beam.visit(s, state="running" if end == "done" else "ready")
    line = s.lines[0].resource
    line.refresh_from_db()
    before = line.calendar_version
    if end == "cancelled":
        ending.cancel(actor=s.planner, visit=visit, reason="停机", now=make.NOW)
    elif end == "missed":
        visits.miss(actor=s.scientist, visit=visit, now=visit.during.upper)
    else:
        ending.finish(actor=s.scientist, visit=visit, now=visit.during.lower + HOUR)
    line.refresh_from_db()
    assert line.calendar_version > before


def second_member(s, visit):
    someone = make.actor(Organisation.objects.get(pk=s.leader.organisation_id), roles.Role.RESEARCHER)
    joined = TeamMember.objects.create(
        proposal=visit.allocation.request.proposal,
        name="乙",
        email="second@example.invalid",
        user_id=someone.user_id,
        organisation_id=someone.organisation_id,
        state="joined",
        invited_at=make.NOW,
    )
    visit.participants.all().delete()
    VisitParticipant.objects.create(visit=visit, user_id=someone.user_id, confirmed_at=make.NOW)
    until = BEGIN.date() + timedelta(days=90)
    BeamTraining.objects.create(facility=s.facility, user_id=someone.user_id, until=until, at=make.NOW)
    return joined


def test_no_beam_is_given_to_a_ready_visit_whose_only_person_has_left_the_team(s):
    visit, later = beam.visit(s, state="ready"), beam.visit(s, state="ready", day=3)
    member = second_member(s, visit)
    team.remove(actor=s.leader, proposal=visit.allocation.request.proposal, member_id=member.pk, now=make.NOW)
    with pytest.raises(InvalidTransition):
        visits.check_in(actor=s.scientist, visit=visit, now=BEGIN)
    # Whoever changed teams by another way is seen at the door, too.
    BeamVisit.objects.filter(pk=visit.pk).update(state="ready")
    with pytest.raises(visit_rules.NotPrepared) as refused:
        visits.check_in(actor=s.scientist, visit=visit, now=BEGIN)
    assert [one.code for one in refused.value.reasons] == ["visit.participants"]
    visits.check_in(actor=s.scientist, visit=later, now=BEGIN + 3 * DAY)
    later.participants.all().delete()
    with pytest.raises(visit_rules.NotPrepared):
        visits.start(actor=s.scientist, visit=later, now=BEGIN + 3 * DAY)


def test_training_cut_short_on_one_visit_is_seen_on_the_persons_other_visits(s):
    visit, other = beam.visit(s, state="ready"), beam.visit(s, day=5)
    member = other.allocation.request.proposal.team.get()
    until = make.NOW.date() + timedelta(days=3)
    visits.train(actor=s.safety, visit=other, member=member, until=until, now=make.NOW)
    visit.refresh_from_db()
    assert (visit.state, [one.code for one in visits.not_ready(visit=visits.lock(visit))]) == (
        "scheduled",
        ["visit.training"],
    )


def test_samples_sent_in_are_measured_without_anybody_there(s):
    proposal = beam.proposal(s, state="accepted", shifts=3)
    proposal.requests.update(by_mail=True)
    visit = beam.visit(s, of=proposal)
    BeamVisit.objects.update(sample_approved_at=make.NOW, safety_approved_at=make.NOW)
    assert visits.make_ready(actor=s.scientist, visit=visit, now=make.NOW).state == "ready"
    assert visits.start(actor=s.scientist, visit=visit, now=BEGIN).state == "running"


def test_who_comes_with_samples_that_could_be_sent_has_to_be_trained_and_checked_in(s):
    proposal = beam.proposal(s, state="accepted", shifts=3)
    proposal.requests.update(by_mail=True)
    visit = beam.visit(s, of=proposal, state="ready")
    with pytest.raises(visit_rules.TeamNotThere):
        visits.start(actor=s.scientist, visit=visit, now=BEGIN)
    BeamTraining.objects.all().delete()
    assert [one.code for one in visits.not_ready(visit=visits.lock(visit))] == ["visit.training"]
