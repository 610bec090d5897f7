"""Who ages for waiting and who does not; and nobody decides as staff of the beam of the own team."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.period import Period
from scheduler.beamtime import answering, compensating, ending, visits
from scheduler.beamtime.models import BeamAllocation, BeamTraining, BeamVisit, Compensation
from scheduler.panels import rounds
from scheduler.proposals import continuing
from scheduler.proposals.models import TeamMember
from tests import beam, make

DAY = timedelta(days=1)


@pytest.fixture
def s(db):
    return beam.site()


@pytest.fixture
def later(s):
    return beam.cycle(s.facility, "2027-II", Period(beam.CYCLE.end + 30 * DAY, beam.CYCLE.end + 90 * DAY), None)


def carried(s, proposal, cycle):
    [made] = continuing.carry_over(actor=s.leader, proposal=proposal, cycle=cycle, now=make.NOW)
    return made


def test_who_moves_up_from_the_reserve_list_has_waited_for_nothing(s, later):
    waiting = beam.on_reserve(s, place=1, shifts=3, kind="long_term", grade_c=300)
    following = carried(s, waiting.proposal, later)
    assert following.waited == 1
    answering.decline(actor=s.leader, visit=beam.visit(s), now=make.NOW)
    waiting.refresh_from_db()
    following.refresh_from_db()
    assert (waiting.state, following.waited) == ("allocated", 0)


def test_who_is_given_time_back_for_a_cancelled_visit_has_waited_for_nothing(s, later):
    visit = beam.visit(s, state="ready", kind="long_term")
    ending.cancel(actor=s.planner, visit=visit, reason="水冷故障", now=make.NOW)
    following = carried(s, visit.allocation.request.proposal, later)
    assert following.waited == 1
    compensating.grant(actor=s.director, visit=visit, shifts=3, note="整段取消", now=make.NOW)
    following.refresh_from_db()
    assert following.waited == 0


@pytest.mark.parametrize("waited", [0, 1])
def test_who_gives_offered_beam_back_does_not_age_for_it(s, later, waited):
    visit = beam.visit(s, kind="long_term", waited=waited)
    answering.decline(actor=s.leader, visit=visit, now=make.NOW)
    assert carried(s, visit.allocation.request.proposal, later).waited == waited


def joins(visit: BeamVisit, actor) -> TeamMember:
    of = visit.allocation.request.proposal
    user, said = make.user_of(actor), {"state": "joined", "invited_at": make.NOW, "answered_at": make.NOW}
    organisation_id = actor.organisation_id
    return TeamMember.objects.create(
        proposal=of,
        name=str(user),
        email=f"{user.pk}@example.invalid",
        user=user,
        organisation_id=organisation_id,
        **said,
    )


def test_nobody_of_the_team_approves_its_forms_or_its_training_as_staff(s):
    visit = beam.visit(s, state="scheduled")
    safety, _scientist = joins(visit, s.safety), joins(visit, s.scientist)
    for act in (
        lambda: visits.approve(actor=s.safety, visit=visit, form="safety", now=make.NOW),
        lambda: visits.approve(actor=s.scientist, visit=visit, form="sample", now=make.NOW),
        lambda: visits.accept_late(actor=s.scientist, visit=visit, reason="来得及", now=make.NOW),
        lambda: visits.train(
            actor=s.safety, visit=visit, member=safety, until=make.NOW.date() + 30 * DAY, now=make.NOW
        ),
    ):
        with pytest.raises(rounds.OwnProposal):
            act()
    visit.refresh_from_db()
    assert (visit.safety_approved_at, visit.sample_approved_at, visit.late_reason) == (None, None, "")
    assert not BeamTraining.objects.exists()


def test_a_director_gives_nothing_back_to_the_own_team(s):
    visit = beam.visit(s, state="done")
    Compensation.objects.create(visit=visit, is_cancelled=False, lost_min=1, listed_at=make.NOW)
    joins(visit, s.director)
    for act in (
        lambda: compensating.grant(actor=s.director, visit=visit, shifts=3, note="补", now=make.NOW),
        lambda: compensating.decline(actor=s.director, visit=visit, note="不补", now=make.NOW),
    ):
        with pytest.raises(rounds.OwnProposal):
            act()
    assert Compensation.objects.get().state == "listed"
    assert not BeamAllocation.objects.filter(made_up_for=visit).exists()
