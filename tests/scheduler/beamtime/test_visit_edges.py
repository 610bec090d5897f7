"""Visits at their edges: what becomes of requests whose time is gone, beam given back later, two at once, people who left."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from django.db import connections, transaction
from django.test import Client
from django.urls import reverse

from portal.audit.models import Record
from portal.kernel.period import Period
from portal.organisations import rules as roles
from scheduler.beamtime import (
    adopting,
    answering,
    compensating,
    drafts,
    ending,
    gathering,
    losses,
    moving,
    reporting,
    rules,
    solving,
    visit_rules,
    visits,
)
from scheduler.beamtime.models import BeamAllocation, BeamVisit, Compensation, ScheduleDraft
from scheduler.proposals import services as proposals
from scheduler.proposals import team
from scheduler.proposals.models import BeamRequest, TeamMember
from scheduler.usage import services as usage
from scheduler.usage.models import UsageRecord
from tests import beam, make
from tests.calling import Caller
from tests.portal.pages.reading import enter

BEGIN, HOUR, DAY = beam.FIRST, timedelta(hours=1), timedelta(days=1)


@pytest.fixture
def s(db):
    return beam.site()


def request(visit: BeamVisit) -> BeamRequest:
    return BeamRequest.objects.get(allocations__visits=visit)


def next_cycle(s):
    return beam.cycle(s.facility, "2027-II", Period(beam.CYCLE.end, beam.CYCLE.end + 30 * DAY), None)


def test_a_no_show_is_served_and_a_cancelled_one_waits_in_reserve_so_its_team_can_withdraw(s):
    absent, gone = beam.visit(s, state="scheduled"), beam.visit(s, state="ready", day=3)
    visits.miss(actor=s.scientist, visit=absent, now=absent.during.upper)
    ending.cancel(actor=s.planner, visit=gone, reason="水冷故障", now=make.NOW)
    assert (request(absent).state, request(gone).state) == ("served", "reserve")
    proposals.withdraw(actor=s.leader, proposal=gone.allocation.request.proposal, now=make.NOW)
    assert request(gone).state == "withdrawn"


def test_beam_given_back_is_had_in_a_later_cycle_and_served_then(s):
    visit = beam.visit(s, state="ready")
    ending.cancel(actor=s.planner, visit=visit, reason="水冷故障", now=make.NOW)
    back = compensating.grant(actor=s.director, visit=visit, shifts=3, note="整段取消", now=make.NOW)
    assert request(visit).state == "allocated", "it has time again: nobody moves it up besides"
    later = next_cycle(s)
    assert list(gathering.to_place(s.cycle)) == list(gathering.to_place(later)) == [back]
    draft = drafts.order(actor=s.planner, cycle=later, seconds=2, wake=print, key="draft-key-1", now=make.NOW)
    solving.solve(draft_id=draft.pk, now=make.NOW)
    draft.refresh_from_db()
    [made] = adopting.adopt(actor=s.planner, draft=draft, version=draft.version, now=make.NOW)
    assert made.during.lower >= beam.CYCLE.end
    assert not gathering.to_place(s.cycle).exists()
    BeamVisit.objects.filter(pk=made.pk).update(state="running")
    ending.finish(actor=s.scientist, visit=made, now=made.during.upper)
    assert request(visit).state == "served"


def test_beam_given_back_that_is_declined_is_free_for_the_reserve_of_its_own_cycle(s):
    first = beam.visit(s, state="ready")
    ending.cancel(actor=s.planner, visit=first, reason="水冷故障", now=make.NOW)
    back = compensating.grant(actor=s.director, visit=first, shifts=3, note="整段取消", now=make.NOW)
    later = next_cycle(s)
    span = Period(later.during.lower, later.during.lower + DAY)
    plan = adopting.Plan(back, s.lines[0], span, 3)
    offered = adopting.offer(plan=plan, number="V-LATER", actor=s.planner, now=make.NOW)
    waiting = beam.on_reserve(s, place=1, shifts=3)
    BeamRequest.objects.filter(pk=waiting.pk).update(cycle=later)
    answering.decline(actor=s.leader, visit=offered, now=make.NOW)
    made = BeamVisit.objects.get(state="offered")
    assert (made.allocation.request_id, made.during) == (waiting.pk, offered.during)
    assert request(first).state == "reserve"


def test_a_proposal_with_time_to_come_is_not_closed_by_a_report(s):
    visit = beam.visit(s, state="done")
    BeamRequest.objects.update(state="served")
    back = BeamAllocation.objects.create(
        request=visit.allocation.request, pool="open", shifts=1, made_up_for=visit, given_at=make.NOW
    )
    offer = beam.visit(s, state="cancelled", day=3)
    BeamVisit.objects.filter(pk=offer.pk).update(allocation=back)
    given = reporting.ReportGiven("观察到相变。")
    reporting.hand_in(actor=s.leader, visit=visit, given=given, now=BEGIN + 2 * DAY)
    visit.allocation.request.proposal.refresh_from_db()
    assert visit.allocation.request.proposal.state == "accepted"


def test_a_moved_visit_is_checked_in_anew_and_what_was_taken_late_is_not(s):
    visit = beam.visit(s, state="ready")
    visits.check_in(actor=s.scientist, visit=visit, now=BEGIN - HOUR)
    BeamVisit.objects.update(late_reason="快递延误")
    to = BEGIN + 21 * DAY
    moved = moving.move(
        actor=s.planner, visit=visit, starts_at=to + 3 * DAY, seen=visit.version, reason="检修", now=BEGIN - HOUR
    )
    assert (moved.checked_in_at, moved.late_reason) == (None, "")


def test_who_was_removed_from_the_team_does_not_come_and_keeps_nobody_from_confirming(s):
    visit = beam.visit(s, state="ready")
    people = []
    for name in ("二", "三"):
        who = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER, name=name)
        about = {"user_id": who.user_id, "organisation_id": who.organisation_id}
        proposal = visit.allocation.request.proposal
        mail = f"{who.user_id}@example.invalid"
        TeamMember.objects.create(
            proposal=proposal, name=name, email=mail, state="joined", invited_at=make.NOW, **about
        )
        people.append(who)
    left, stays = people
    visits.confirm(actor=s.leader, visit=visit, user_ids=[s.leader.user_id, left.user_id], now=make.NOW)
    assert [one.code for one in visits.not_ready(visit=visit)] == ["visit.training"]
    TeamMember.objects.filter(user_id=left.user_id).update(state="removed")
    assert visits.not_ready(visit=visit) == []
    found = visits.confirm(
        actor=stays, visit=visit, user_ids=[s.leader.user_id, stays.user_id], now=make.NOW
    ).participants
    assert set(found.values_list("user_id", flat=True)) == {s.leader.user_id, stays.user_id}


def test_who_is_removed_is_off_the_visits_to_come_and_on_those_that_were(s):
    proposal = beam.proposal(s, state="accepted", shifts=3)
    past = beam.visit(s, of=proposal, state="done")
    ready = beam.visit(s, of=proposal, state="ready", day=3)
    who = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER, name="二")
    about = {"user_id": who.user_id, "organisation_id": who.organisation_id, "state": "joined"}
    member = TeamMember.objects.create(
        proposal=proposal, name="二", email="two@example.invalid", invited_at=make.NOW, **about
    )
    for visit in (past, ready):
        visit.participants.all().delete()
        visit.participants.create(user_id=who.user_id, confirmed_at=make.NOW)
    with pytest.raises(proposals.NotLeader):
        team.remove(actor=who, proposal=proposal, member_id=member.pk, now=make.NOW)
    assert ready.participants.exists(), "refused, nobody is off anything"
    team.remove(actor=s.leader, proposal=proposal, member_id=member.pk, now=make.NOW)
    team.remove(actor=s.leader, proposal=proposal, member_id=member.pk, now=make.NOW)
    ready.refresh_from_db()
    assert (past.participants.count(), ready.participants.count()) == (1, 0)
    assert ready.state == "scheduled", "nobody comes: it is not ready"
    assert Record.objects.filter(action="visit.participant_left").count() == 1


def test_what_was_taken_late_covers_no_form_approved_afterwards(s):
    by = BEGIN - 14 * DAY
    visit = beam.visit(s)
    beam.prepare(s, visit)
    BeamVisit.objects.update(sample_approved_at=by + HOUR, safety_approved_at=None)
    visit.refresh_from_db()
    visits.accept_late(actor=s.scientist, visit=visit, reason="快递延误", now=by + 2 * HOUR)
    visits.approve(actor=s.safety, visit=visit, form="safety", now=BEGIN - DAY)
    visit.refresh_from_db()
    with pytest.raises(visit_rules.NotPrepared):
        visits.make_ready(actor=s.scientist, visit=visit, now=BEGIN - DAY)
    visits.accept_late(actor=s.scientist, visit=visit, reason="两张表都已看过", now=BEGIN - DAY)
    assert visits.make_ready(actor=s.scientist, visit=visit, now=BEGIN - DAY).state == "ready"


def test_one_visit_that_cannot_be_ended_keeps_no_other_from_it(s):
    bad = beam.visit(s, state="running", kind="proprietary", is_confidential=True, pool="industry")
    usage.record_visit(visit_id=bad.pk, span=(BEGIN, BEGIN + DAY), duration_s=1, actor=s.scientist, now=BEGIN)
    good = beam.visit(s, state="running", at=1)
    assert ending.end_due(now=BEGIN + 3 * DAY) == 1
    bad.refresh_from_db()
    good.refresh_from_db()
    assert (bad.state, good.state) == ("running", "done")


def test_a_second_message_does_not_throw_a_running_computation_away(s):
    beam.granted(s)
    draft = drafts.order(actor=s.planner, cycle=s.cycle, seconds=2, wake=print, key="draft-key-1", now=make.NOW)
    ScheduleDraft.objects.update(state="solving", started_at=make.NOW)
    solving.solve(draft_id=draft.pk, now=make.NOW + timedelta(seconds=60))
    draft.refresh_from_db()
    assert (draft.state, draft.started_at) == ("solving", make.NOW)
    solving.solve(draft_id=draft.pk, now=make.NOW + timedelta(minutes=5))
    draft.refresh_from_db()
    assert draft.state == "drafted"


def second_while_first_is_open(first, second, then=lambda: None) -> None:
    """Do `first`, and `second` before the transaction of `first` ends with `then`, as far as it gets."""
    done, errors = threading.Event(), []

    def run() -> None:
        done.wait(10)
        try:
            second()
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    other = threading.Thread(target=run)
    other.start()
    with transaction.atomic():
        first()
        done.set()
        other.join(1)
        then()
    other.join(30)
    assert errors == []


@pytest.mark.django_db(transaction=True)
def test_a_proposal_withdrawn_at_the_same_moment_is_not_moved_up():
    s = beam.site()
    visit = beam.visit(s, state="scheduled", shifts=6)
    waiting = beam.on_reserve(s, place=1)
    following = beam.on_reserve(s, place=2)
    second_while_first_is_open(
        lambda: proposals.withdraw(actor=s.leader, proposal=waiting.proposal, now=make.NOW),
        lambda: answering.decline(actor=s.leader, visit=visit, now=make.NOW),
    )
    waiting.refresh_from_db()
    waiting.proposal.refresh_from_db()
    assert (waiting.state, waiting.proposal.state) == ("withdrawn", "withdrawn")
    assert BeamVisit.objects.get(state="offered").allocation.request_id == following.pk
    assert not BeamAllocation.objects.filter(request=waiting).exists()


@pytest.mark.django_db(transaction=True)
def test_a_loss_logged_while_the_visit_is_ended_is_counted():
    s = beam.site()
    visit = beam.visit(s, state="running")
    lost = losses.Lost(Period(BEGIN, BEGIN + 6 * HOUR), rules.LossCause.MACHINE)
    second_while_first_is_open(
        lambda: losses.log(actor=s.scientist, line=s.lines[0], lost=lost, now=BEGIN + DAY),
        lambda: ending.finish(actor=s.scientist, visit=visit, now=BEGIN + DAY),
    )
    assert Compensation.objects.get().lost_min == 360


def test_paid_beam_counted_again_is_put_right_in_a_further_row(s):
    visit = beam.visit(s, state="running", kind="proprietary", is_confidential=True, pool="industry")
    ending.finish(actor=s.scientist, visit=visit, now=BEGIN + DAY)
    lost = losses.Lost(Period(BEGIN, BEGIN + 6 * HOUR), rules.LossCause.MACHINE)
    made = losses.log(actor=s.scientist, line=s.lines[0], lost=lost, now=BEGIN + DAY + HOUR)
    again = losses.Lost(lost.period, rules.LossCause.FACILITY)
    losses.log(actor=s.scientist, line=s.lines[0], lost=again, now=BEGIN + DAY + HOUR)
    rows = UsageRecord.objects.filter(visit=visit).order_by("run_no")
    assert [(one.run_no, one.duration_s) for one in rows] == [(1, 24 * 3600), (2, 18 * 3600)]
    losses.void(actor=s.scientist, loss=made, now=BEGIN + DAY + 2 * HOUR)
    assert rows.count() == 2, "nothing changed: the other loss covers it"


def test_what_a_confidential_visit_is_about_is_for_its_team_and_who_serves_it(s):
    visit = beam.visit(s, state="done", kind="proprietary", is_confidential=True, title="秘密配方")
    plain = beam.visit(s, state="done", day=3, title="公开课题")
    given = reporting.ReportGiven("秘密结果。", "秘密论文", make.REPORT)
    reporting.hand_in(actor=s.leader, visit=visit, given=given, now=BEGIN + 5 * DAY)
    path = f"/visits/{visit.number}"
    for who in (s.planner, s.director):
        told = Caller(who)
        assert "秘密" not in str(told.get(path).body) + str(told.get("/visits").body)
        assert told.get(f"{path}/report/file").status == 404
        assert told.get(f"/visits/{plain.number}").body["title"] == "公开课题"
        client = enter(Client(), who)
        page = client.get(reverse("visit", args=[visit.number])).content.decode()
        assert visit.number in page
        assert "秘密" not in page + client.get(reverse("beam_visits")).content.decode()
        assert client.get(reverse("visit_report", args=[visit.number])).status_code == 404
    for who in (s.leader, s.scientist, s.safety, s.office):
        found = Caller(who).get(path).body
        assert (found["title"], found["report"]) == ("秘密配方", "秘密结果。")
        assert "秘密结果。" in enter(Client(), who).get(reverse("visit", args=[visit.number])).content.decode()


def test_whose_a_confidential_visit_is_and_who_comes_is_told_to_no_other_staff(s, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: BEGIN - HOUR)
    visit = beam.visit(s, kind="proprietary", is_confidential=True, title="秘密配方")
    visits.confirm(actor=s.leader, visit=visit, user_ids=[s.leader.user_id], now=make.NOW)
    Compensation.objects.create(visit=visit, is_cancelled=False, lost_min=60, listed_at=make.NOW)
    proposal = visit.allocation.request.proposal
    mail, firm, path = proposal.team.get().email, proposal.organisation.name, f"/visits/{visit.number}"
    for who in (s.planner, s.director):
        told, client = Caller(who), enter(Client(), who)
        assert told.get(path).body["team"] == []
        seen = str(told.get(path).body) + str(told.get("/visits").body)
        pages = [client.get(reverse("visit", args=[visit.number]))]
        pages += [client.get(reverse(one)) for one in ("beam_desk", "beam_visits", "beam_compensations")]
        assert {one.status_code for one in pages} == {200}
        seen += "".join(one.content.decode() for one in pages)
        for secret in (firm, "课题负责人", mail):
            assert secret not in seen, (who, secret)
        assert "visit.sample" in str(told.get(path).body), "what is missing is still told"
    for who, reads in ((s.leader, True), (s.scientist, True), (s.safety, True), (s.office, False)):
        found = Caller(who).get(path).body
        assert (found["organisation"], found["team"][0]["name"]) == (firm, "课题负责人")
        assert found["team"][0]["email"] == (mail if reads else ""), (
            "addresses are for the team and who enters training"
        )


def test_a_proposal_whose_lost_beam_is_given_back_has_time_until_that_is_had_or_declined(s):
    visit = beam.visit(s, state="running")
    lost = losses.Lost(Period(BEGIN, BEGIN + 8 * HOUR), rules.LossCause.MACHINE)
    losses.log(actor=s.scientist, line=s.lines[0], lost=lost, now=BEGIN + DAY)
    ending.finish(actor=s.scientist, visit=visit, now=BEGIN + DAY)
    assert request(visit).state == "served"
    back = compensating.grant(actor=s.director, visit=visit, shifts=1, note="机器故障", now=BEGIN + DAY)
    assert request(visit).state == "allocated"
    with pytest.raises(proposals.HasTime):
        proposals.withdraw(actor=s.leader, proposal=visit.allocation.request.proposal, now=BEGIN + DAY)
    span = Period(BEGIN + 7 * DAY, BEGIN + 7 * DAY + 8 * HOUR)
    plan = adopting.Plan(back, s.lines[0], span, 1)
    offered = adopting.offer(plan=plan, number="V-BACK", actor=s.planner, now=BEGIN + DAY)
    answering.decline(actor=s.leader, visit=offered, now=BEGIN + 2 * DAY)
    assert request(visit).state == "served"


@pytest.mark.django_db(transaction=True)
def test_two_reports_of_one_block_wait_for_each_other_in_one_order():
    s = beam.site()
    proposal = beam.proposal(s, state="accepted", kind="block", decided_at=make.NOW)
    one, two = [beam.visit(s, state="done", of=proposal, day=day) for day in (0, 2)]
    BeamVisit.objects.update(report_due=BEGIN + 30 * DAY)
    two.refresh_from_db()
    given = reporting.ReportGiven("观察到相变。")
    second_while_first_is_open(
        lambda: visits.lock(one),
        lambda: reporting.hand_in(actor=s.leader, visit=two, given=given, now=BEGIN + 5 * DAY),
        lambda: visits.lock(two),
    )
    assert set(BeamVisit.objects.values_list("state", flat=True)) == {"closed"}
