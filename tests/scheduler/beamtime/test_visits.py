"""Visits from preparation to report: what keeps one back, what it had and lost, who is made up for and who never is."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition, NotFound
from portal.kernel.period import Period
from portal.organisations import rules as roles
from scheduler.availability.models import Claim
from scheduler.beamtime import (
    answering,
    compensating,
    ending,
    losses,
    planning_access,
    reporting,
    rules,
    visit_access,
    visit_rules,
    visits,
)
from scheduler.beamtime.models import BeamAllocation, BeamLoss, BeamTraining, BeamVisit, Compensation
from scheduler.proposals.models import TeamMember
from scheduler.usage.models import UsageRecord
from tests import beam, make
from vouchers.evidence.rules import BadFile
from vouchers.evidence.services import Upload

HOUR, MIN = timedelta(hours=1), timedelta(minutes=1)
BEGIN = beam.FIRST
CAUSES = st.sampled_from(rules.LossCause)


@given(
    st.lists(st.tuples(st.integers(-600, 2000), st.integers(1, 900), CAUSES), max_size=8),
    st.integers(1, 1440),
)
def test_minutes_had_and_lost_are_always_the_minutes_given(spans, ended):
    whole = Period(BEGIN, BEGIN + 1440 * MIN)
    lost = [rules.Loss(Period(BEGIN + a * MIN, BEGIN + (a + n) * MIN), cause) for a, n, cause in spans]
    sums = visit_rules.counted(whole, lost, ended_at=BEGIN + ended * MIN)
    assert sums.had_min + sums.lost_min + sums.own_lost_min == sums.given_min == 1440
    assert min(sums.had_min, sums.lost_min, sums.own_lost_min) >= 0
    assert sums.had_min <= ended
    theirs = [one for one in lost if one.cause is not rules.LossCause.USER]
    # Who leaves early has lost nothing to the facility by it.
    assert sums.lost_min == rules.delivered(whole, theirs).lost_min


@given(st.datetimes(datetime(2026, 1, 1), datetime(2029, 1, 1), timezones=st.just(UTC)), st.integers(1, 1500))
def test_a_block_report_is_due_after_its_visit_and_within_its_months(since, days):
    ended = since + timedelta(days=days)
    due = visit_rules.report_due(ended_at=ended, weeks=12, months=6, since=since)
    assert ended < due <= ended + timedelta(days=184)
    assert visit_rules.report_due(ended_at=ended, weeks=12) == ended + timedelta(weeks=12)


@pytest.fixture
def s(db):
    return beam.site()


def test_everything_that_is_missing_is_told_at_once_and_then_it_is_ready(s):
    visit = beam.visit(s)
    with pytest.raises(visit_rules.NotPrepared) as refused:
        visits.make_ready(actor=s.scientist, visit=visit, now=make.NOW)
    assert [one.code for one in refused.value.reasons] == ["visit.sample", "visit.safety", "visit.participants"]
    visits.confirm(actor=s.leader, visit=visit, user_ids=[s.leader.user_id], now=make.NOW)
    assert [one.code for one in visits.not_ready(visit=visit)] == ["visit.sample", "visit.safety", "visit.training"]
    visits.approve(actor=s.scientist, visit=visit, form="sample", now=make.NOW)
    visits.approve(actor=s.safety, visit=visit, form="safety", now=make.NOW)
    leader = visit.allocation.request.proposal.team.get()
    last = beam.during().end.astimezone(make.BEIJING).date()
    visits.train(actor=s.safety, visit=visit, member=leader, until=last - timedelta(days=1), now=make.NOW)
    assert [one.code for one in visits.not_ready(visit=reread(visit))] == ["visit.training"]
    visits.train(actor=s.safety, visit=visit, member=leader, until=last, now=make.NOW)
    assert visits.make_ready(actor=s.scientist, visit=visit, now=make.NOW).state == "ready"
    assert BeamTraining.objects.count() == 1


def reread(visit):
    return BeamVisit.objects.select_related("beamline__facility", "allocation__request__proposal").get(pk=visit.pk)


def test_forms_count_fourteen_days_before_to_the_second_and_later_with_the_heads_reason(s):
    by = BEGIN - timedelta(days=14)
    visit = beam.visit(s)
    beam.prepare(s, visit)
    BeamVisit.objects.update(sample_approved_at=None, safety_approved_at=by)
    visits.approve(actor=s.scientist, visit=visit, form="sample", now=by + timedelta(seconds=1))
    again = visits.approve(actor=s.scientist, visit=visit, form="sample", now=by + HOUR)
    assert again.sample_approved_at == by + timedelta(seconds=1)
    assert [one.code for one in visits.not_ready(visit=reread(visit))] == ["visit.sample"]
    with pytest.raises(visit_rules.ReasonMissing):
        visits.accept_late(actor=s.scientist, visit=visit, reason=" ", now=by + HOUR)
    visits.accept_late(actor=s.scientist, visit=visit, reason="快递延误", now=by + HOUR)
    assert visits.make_ready(actor=s.scientist, visit=visit, now=by + HOUR).late_reason == "快递延误"


def test_no_late_reason_stands_for_a_form_that_was_never_approved(s):
    visit = beam.visit(s)
    beam.prepare(s, visit)
    BeamVisit.objects.update(safety_approved_at=None)
    with pytest.raises(visit_rules.NotLate):
        visits.accept_late(actor=s.scientist, visit=visit, reason="快递延误", now=make.NOW)
    BeamVisit.objects.update(late_reason="旧")
    assert [one.code for one in visits.not_ready(visit=reread(visit))] == ["visit.safety"]


def member(s, visit, name="成员"):
    someone = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER, name=name)
    TeamMember.objects.create(
        proposal=visit.allocation.request.proposal,
        name=name,
        email=f"{someone.user_id}@example.invalid",
        user_id=someone.user_id,
        organisation_id=someone.organisation_id,
        state="joined",
        invited_at=make.NOW,
    )
    return someone


def test_the_leader_confirms_all_others_only_themselves_and_a_ready_visit_is_judged_again(s):
    visit = beam.visit(s, state="ready")
    second, third = member(s, visit, "二"), member(s, visit, "三")
    with pytest.raises(visit_rules.NotInTeam):
        visits.confirm(
            actor=second, visit=visit, user_ids=[s.leader.user_id, second.user_id, third.user_id], now=make.NOW
        )
    with pytest.raises(visit_rules.NotInTeam):
        visits.confirm(actor=second, visit=visit, user_ids=[second.user_id], now=make.NOW)
    with pytest.raises(visit_rules.NotInTeam):
        visits.confirm(actor=s.leader, visit=visit, user_ids=[s.planner.user_id], now=make.NOW)
    both = [s.leader.user_id, second.user_id]
    found = visits.confirm(actor=second, visit=visit, user_ids=both, now=make.NOW)
    assert found.state == "scheduled"
    assert sorted(found.participants.values_list("user_id", flat=True)) == sorted(both)
    stranger = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER)
    with pytest.raises(Forbidden):
        visits.confirm(actor=stranger, visit=visit, user_ids=both, now=make.NOW)
    with pytest.raises(NotFound):
        visit_access.get_visit(stranger, visit.number)


def test_a_team_is_checked_in_starts_on_time_and_its_claims_follow(s):
    visit = beam.visit(s, state="ready")
    with pytest.raises(visit_rules.NotYetThere):
        visits.check_in(actor=s.scientist, visit=visit, now=BEGIN - 25 * HOUR)
    with pytest.raises(visit_rules.TeamNotThere):
        visits.start(actor=s.scientist, visit=visit, now=BEGIN)
    visits.check_in(actor=s.scientist, visit=visit, now=BEGIN - HOUR)
    with pytest.raises(visit_rules.NotYetThere):
        visits.start(actor=s.scientist, visit=visit, now=BEGIN - timedelta(seconds=1))
    assert visits.start(actor=s.scientist, visit=visit, now=BEGIN).state == "running"
    assert [one.state for one in Claim.objects.filter(visit=visit)] == ["in_use"]
    done = ending.finish(actor=s.scientist, visit=visit, now=BEGIN + 24 * HOUR)
    assert (done.state, done.had_min, done.lost_min, done.own_lost_min) == ("done", 1440, 0, 0)
    assert done.report_due == BEGIN + 24 * HOUR + timedelta(weeks=12)
    assert [one.state for one in Claim.objects.filter(visit=visit)] == ["done"]
    assert visit.allocation.request.__class__.objects.get().state == "served"
    assert not Compensation.objects.exists()
    with pytest.raises(InvalidTransition):
        ending.finish(actor=s.scientist, visit=visit, now=BEGIN + 25 * HOUR)


def lost(s, start_h, end_h, cause="machine", now=None):
    span = Period(BEGIN + start_h * HOUR, BEGIN + end_h * HOUR)
    what = losses.Lost(span, rules.LossCause(cause), "真空泄漏")
    return losses.log(actor=s.scientist, line=s.lines[0], lost=what, now=now or BEGIN + 24 * HOUR)


def test_six_hours_of_twenty_four_lost_enter_the_list_and_credit_nobody(s):
    """E8."""
    visit = beam.visit(s, state="running")
    lost(s, 10, 16)
    lost(s, 12, 15, "beamline")
    lost(s, 15, 17, "user")
    done = ending.finish(actor=s.scientist, visit=visit, now=BEGIN + 24 * HOUR)
    assert (done.had_min, done.lost_min, done.own_lost_min) == (1020, 360, 60)
    listed = Compensation.objects.get()
    assert (listed.state, listed.lost_min, listed.is_cancelled) == ("listed", 360, False)
    assert BeamAllocation.objects.count() == 1


def test_only_the_director_gives_time_back_once_and_from_the_same_pool(s):
    visit = beam.visit(s, state="running")
    lost(s, 0, 6)
    ending.finish(actor=s.scientist, visit=visit, now=BEGIN + 24 * HOUR)
    compensating.ask(actor=s.leader, visit=visit, note="还差一个温度点", now=BEGIN + 25 * HOUR)
    for someone in (s.scientist, s.planner, s.office, s.leader):
        with pytest.raises(Forbidden):
            compensating.grant(actor=someone, visit=visit, shifts=1, note="补", now=BEGIN + 26 * HOUR)
    with pytest.raises(visit_rules.BadBack):
        compensating.grant(actor=s.director, visit=visit, shifts=4, note="补", now=BEGIN + 26 * HOUR)
    with pytest.raises(visit_rules.ReasonMissing):
        compensating.grant(actor=s.director, visit=visit, shifts=1, note="", now=BEGIN + 26 * HOUR)
    made = compensating.grant(actor=s.director, visit=visit, shifts=1, note="机器故障", now=BEGIN + 26 * HOUR)
    assert (made.pool, made.shifts, made.made_up_for_id) == ("open", 1, visit.pk)
    with pytest.raises(InvalidTransition):
        compensating.decline(actor=s.director, visit=visit, note="不补", now=BEGIN + 27 * HOUR)
    assert BeamAllocation.objects.filter(made_up_for__isnull=False).count() == 1


def test_the_list_has_cancelled_beam_first_then_the_better_grade_then_what_can_be_mailed(s):
    numbers = {}
    for name, day, grade, more in (
        ("low", 0, 300, {}),
        ("high", 2, 500, {}),
        ("gone", 4, 100, {}),
        ("mail", 6, 300, {}),
    ):
        visit = beam.visit(s, state="running" if name != "gone" else "ready", day=day, grade_c=grade, **more)
        numbers[visit.number] = name
        if name == "mail":
            type(visit.allocation.request).objects.filter(pk=visit.allocation.request_id).update(by_mail=True)
        end = visit.during.upper
        if name == "gone":
            ending.cancel(actor=s.planner, visit=visit, reason="真空故障", now=make.NOW)
        else:
            lost(s, day * 24, day * 24 + 2, now=end)
            ending.finish(actor=s.scientist, visit=visit, now=end)
    found = compensating.ordered(facility=s.facility, cycle=s.cycle)
    assert [numbers[one.visit.number] for one in found] == ["gone", "high", "mail", "low"]


def test_a_loss_logged_late_or_voided_counts_the_visit_again_until_it_is_decided(s):
    visit = beam.visit(s, state="running")
    ending.finish(actor=s.scientist, visit=visit, ended_at=BEGIN + 20 * HOUR, now=BEGIN + 24 * HOUR)
    made = lost(s, 18, 22, now=BEGIN + 30 * HOUR)
    assert lost(s, 18, 22, now=BEGIN + 31 * HOUR).pk == made.pk
    visit.refresh_from_db()
    assert (visit.had_min, visit.lost_min, visit.own_lost_min) == (1080, 240, 120)
    losses.void(actor=s.scientist, loss=made, now=BEGIN + 32 * HOUR)
    visit.refresh_from_db()
    assert (visit.had_min, visit.lost_min, visit.own_lost_min) == (1200, 0, 240)
    assert compensating.ordered(facility=s.facility) == []
    assert BeamLoss.objects.count() == 1
    with pytest.raises(Forbidden):
        losses.void(actor=s.office, loss=made, now=BEGIN + 32 * HOUR)


@pytest.mark.parametrize(("start", "end"), [(0, 24 * 32), (24 * 6, 24 * 9), (-24 * 400, -24 * 399)])
def test_losses_too_long_too_far_ahead_or_outside_any_cycle_are_refused(s, start, end):
    with pytest.raises(visit_rules.BadLoss):
        lost(s, start, end, now=BEGIN + HOUR)
    s.cycle.closed_at = BEGIN
    s.cycle.save()
    with pytest.raises(visit_rules.CycleClosed):
        lost(s, 0, 2)


def test_cancelled_beam_is_listed_whole_its_time_is_free_and_an_offer_comes_back(s):
    visit, offer = beam.visit(s, state="ready"), beam.visit(s, state="offered", day=3)
    with pytest.raises(Forbidden):
        ending.cancel(actor=s.leader, visit=visit, reason="x", now=make.NOW)
    ending.cancel(actor=s.scientist, visit=visit, reason="水冷故障", now=make.NOW)
    ending.cancel(actor=s.planner, visit=offer, reason="改期", now=make.NOW)
    listed = Compensation.objects.get()
    assert (listed.visit_id, listed.lost_min, listed.is_cancelled) == (visit.pk, 1440, True)
    assert set(Claim.objects.values_list("state", flat=True)) == {"released"}
    visit.refresh_from_db()
    offer.refresh_from_db()
    assert (visit.allocation.ended_at, offer.allocation.ended_at) == (make.NOW, None)
    assert (visit.state, visit.cancel_reason) == ("cancelled", "水冷故障")


def test_the_clock_ends_what_nobody_ended_a_day_later(s):
    running, absent = beam.visit(s, state="running"), beam.visit(s, state="ready", day=1)
    assert ending.end_due(now=absent.during.upper + 23 * HOUR) == 1
    running.refresh_from_db()
    assert (running.state, running.ended_at, running.had_min) == ("done", running.during.upper, 1440)
    assert ending.end_due(now=absent.during.upper + 24 * HOUR) == 1
    assert ending.end_due(now=absent.during.upper + 48 * HOUR) == 0
    absent.refresh_from_db()
    assert absent.state == "missed"
    assert absent.allocation.ended_at is not None
    assert not Compensation.objects.exists()


def test_nobody_is_missed_before_the_end(s):
    visit = beam.visit(s, state="ready")
    with pytest.raises(visit_rules.NotOver):
        visits.miss(actor=s.scientist, visit=visit, now=BEGIN + 23 * HOUR)
    assert visits.miss(actor=s.scientist, visit=visit, now=BEGIN + 24 * HOUR).state == "missed"


GIVEN = reporting.ReportGiven("观察到相变。", "Nature 2027", make.REPORT)


def test_a_report_closes_the_visit_and_the_last_one_its_proposal(s):
    visit = beam.visit(s, state="running")
    ending.finish(actor=s.scientist, visit=visit, now=BEGIN + 24 * HOUR)
    due = BEGIN + 24 * HOUR + timedelta(weeks=12)
    assert list(reporting.overdue(now=due - MIN)) == []
    assert [one.number for one in reporting.overdue(now=due)] == [visit.number]
    with pytest.raises(Forbidden):
        reporting.hand_in(actor=s.scientist, visit=visit, given=GIVEN, now=due)
    with pytest.raises(visit_rules.ReportMissing):
        reporting.hand_in(actor=s.leader, visit=visit, given=reporting.ReportGiven(" "), now=due)
    bad = reporting.ReportGiven("有", upload=Upload("r.pdf", b"no pdf at all"))
    with pytest.raises(BadFile):
        reporting.hand_in(actor=s.leader, visit=visit, given=bad, now=due)
    visit.refresh_from_db()
    assert visit.state == "done"
    closed = reporting.hand_in(actor=s.leader, visit=visit, given=GIVEN, now=due)
    assert (closed.state, closed.report.name) == ("closed", make.REPORT.name)
    assert reporting.file_of(closed).sha256 == closed.report.sha256
    assert list(reporting.overdue(now=due)) == []
    proposal = visit.allocation.request.proposal
    proposal.refresh_from_db()
    assert proposal.state == "closed"
    with pytest.raises(InvalidTransition):
        reporting.hand_in(actor=s.leader, visit=visit, given=GIVEN, now=due)


def test_one_report_of_a_block_stands_for_its_visits_of_six_months_and_closes_no_proposal_early(s):
    proposal = beam.proposal(s, state="accepted", kind="block", decided_at=make.NOW)
    made = [beam.visit(s, state="running", of=proposal, day=day) for day in (0, 2)]
    for one in made:
        ending.finish(actor=s.scientist, visit=one, now=one.during.upper)
        one.refresh_from_db()
        assert one.report_due == visit_rules.months_on(make.NOW, 6)
    reporting.hand_in(actor=s.leader, visit=made[1], given=GIVEN, now=made[1].during.upper)
    assert {one.state for one in BeamVisit.objects.all()} == {"closed"}
    proposal.refresh_from_db()
    assert proposal.state == "accepted"


def test_paid_beam_is_recorded_as_use_in_the_minutes_it_had(s):
    visit = beam.visit(s, state="running", kind="proprietary", is_confidential=True, title="秘密配方", pool="industry")
    lost(s, 0, 6)
    ending.finish(actor=s.scientist, visit=visit, now=BEGIN + 24 * HOUR)
    use = UsageRecord.objects.get()
    assert (use.visit_id, use.duration_s) == (visit.pk, 18 * 3600)
    # Nothing that was put on record says what it was about.
    assert not any("秘密" in str(one.data) for one in Record.objects.all())


def test_staff_elsewhere_neither_see_a_visit_nor_act_on_it(s):
    other = beam.site()
    visit = beam.visit(s, state="ready")
    for someone in (other.scientist, other.planner, other.director):
        with pytest.raises(NotFound):
            visit_access.get_visit(someone, visit.number)
    with pytest.raises(Forbidden):
        visits.undo_ready(actor=other.scientist, visit=visit, reason="x", now=make.NOW)
    with pytest.raises(Forbidden):
        losses.log(
            actor=other.scientist,
            line=s.lines[0],
            lost=losses.Lost(Period(BEGIN, BEGIN + HOUR), rules.LossCause.MACHINE),
            now=BEGIN + HOUR,
        )


def test_who_acts_for_another_organisation_has_none_of_the_visits_of_the_first(s):
    """Who left an enterprise, or a token issued for another one: the beam, its files and its answers stay there."""
    visit = beam.visit(s, state="running", kind="proprietary", is_confidential=True)
    offer = beam.visit(s, state="offered", day=3)
    ending.finish(actor=s.scientist, visit=visit, now=BEGIN + 24 * HOUR)
    elsewhere = replace(s.leader, organisation_id=make.organisation(roles.Kind.ENTERPRISE).pk)
    for look in (visit_access.get_visit, planning_access.get_offer):
        assert look(s.leader, visit.number).pk == visit.pk
        with pytest.raises(NotFound):
            look(elsewhere, visit.number)
    assert not visit_access.of_team(elsewhere).exists()
    for act in (
        lambda who: reporting.hand_in(actor=who, visit=visit, given=GIVEN, now=BEGIN + 25 * HOUR),
        lambda who: answering.accept(actor=who, visit=offer, now=make.NOW),
        lambda who: visits.confirm(actor=who, visit=offer, user_ids=[s.leader.user_id], now=make.NOW),
        lambda who: answering.decline(actor=who, visit=offer, now=make.NOW),
    ):
        with pytest.raises(Forbidden):
            act(elsewhere)
        act(s.leader)
