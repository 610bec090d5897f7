"""Judging on real PostgreSQL: findings by staff, who may grade, lists, decisions with allocations, appeals."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound
from portal.kernel.period import Period
from portal.organisations import rules as roles
from portal.organisations.models import Member, User
from scheduler.beamtime import granting
from scheduler.beamtime.models import BeamAllocation
from scheduler.facilities.shares import Pool
from scheduler.messages.models import Message
from scheduler.messages.wording import worded
from scheduler.panels import (
    access,
    appeals,
    assessing,
    bonds,
    deciding,
    grading,
    pools,
    queries,
    ranking,
    rounds,
    rules,
    seating,
)
from scheduler.panels.models import Assessment, Grading, Panelist
from scheduler.proposals.models import BeamProposal, TeamMember
from tests import beam, make

pytestmark = pytest.mark.django_db
K = rules.AssessmentKind


@pytest.fixture
def s():
    return beam.site()


def finding(kind=K.TECHNICAL, **changes):
    values = {"passed": True, "safety_class": "green" if kind is K.SAFETY else ""}
    return assessing.Finding(kind, **{**values, **changes})


def seat_of(s, at: int) -> Panelist:
    return s.panel.panelists.get(user_id=s.graders[at].user_id)


def ask(s, proposal, *which: int) -> list[Grading]:
    return [
        grading.assign(actor=s.office, panel=s.panel, proposal=proposal, panelist=seat_of(s, at), now=make.NOW)
        for at in which
    ]


def give(s, row: Grading, value: str, at: int, **more) -> Grading:
    given = grading.GradeGiven(Decimal(value), to_team="很好。", **more)
    return grading.grade(actor=s.graders[at], grading=row, given=given, now=make.NOW)


def graded(s, value: str = "4.0", **more):
    """Return a proposal that two reviewers gave the same grade."""
    made = beam.proposal(s, **more)
    for at, row in enumerate(ask(s, made, 0, 1)):
        give(s, row, value, at)
    made.refresh_from_db()
    return made


def drafted(s, **more):
    return ranking.draft(actor=s.office, panel=s.panel, beamline=s.lines[0], now=make.NOW, **more)


def proposed(s, **more):
    row = drafted(s, **more)
    return ranking.propose(actor=s.office, ranking=row, note="", version=row.version, now=make.NOW)


def decided(s, row):
    return granting.decide_list(actor=s.director, ranking=row, version=row.version, now=make.NOW)


def codes(error) -> list[str]:
    return [reason.code for reason in error.value.reasons]


class TestAssessing:
    def test_is_feasible_once_all_that_is_needed_has_passed(self, s):
        made = beam.proposal(s, state="admitted")
        assessing.assess(actor=s.scientist, proposal=made, finding=finding(), now=make.NOW)
        made.refresh_from_db()
        assert made.state == "admitted"
        red = finding(K.SAFETY, safety_class="red")
        assessing.assess(actor=s.safety, proposal=made, finding=red, now=make.NOW)
        made.refresh_from_db()
        assert (made.state, made.safety_class) == ("feasible", "red")

    def test_the_first_that_fails_ends_it_and_the_team_is_told_why(self, s):
        made = beam.proposal(s, state="admitted")
        with pytest.raises(assessing.BadAssessment) as refused:
            assessing.assess(actor=s.scientist, proposal=made, finding=finding(passed=False), now=make.NOW)
        assert codes(refused) == ["panel.to_team"]
        no = finding(passed=False, to_team="能量范围不够。")
        assessing.assess(actor=s.scientist, proposal=made, finding=no, now=make.NOW)
        made.refresh_from_db()
        assert (made.state, made.decision_note) == ("not_feasible", "能量范围不够。")

    def test_each_finding_is_for_those_who_answer_for_it_and_filed_once(self, s):
        made = beam.proposal(s, state="admitted")
        for who, kind in ((s.safety, K.TECHNICAL), (s.scientist, K.SAFETY), (s.leader, K.TECHNICAL)):
            with pytest.raises(Forbidden):
                assessing.assess(actor=who, proposal=made, finding=finding(kind), now=make.NOW)
        first = assessing.assess(actor=s.scientist, proposal=made, finding=finding(), now=make.NOW)
        again = assessing.assess(actor=s.scientist, proposal=made, finding=finding(), now=make.NOW)
        assert again.pk == first.pk
        other = make.actor(s.owner, roles.Role.BEAMLINE_SCIENTIST)
        with pytest.raises(assessing.AlreadyAssessed):
            assessing.assess(actor=other, proposal=made, finding=finding(note="不同"), now=make.NOW)

    def test_nobody_judges_as_staff_what_the_own_panel_or_team_judges(self, s):
        made = beam.proposal(s, state="admitted")
        Panelist.objects.create(panel=s.panel, user_id=s.scientist.user_id)
        with pytest.raises(assessing.OnPanel):
            assessing.assess(actor=s.scientist, proposal=made, finding=finding(), now=make.NOW)
        TeamMember.objects.filter(proposal=made).update(user_id=s.safety.user_id)
        with pytest.raises(rounds.OwnProposal):
            assessing.assess(actor=s.safety, proposal=made, finding=finding(K.SAFETY), now=make.NOW)

    def test_staff_of_another_facility_do_not_even_know_it(self, s):
        stranger = make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.BEAMLINE_SCIENTIST)
        with pytest.raises(NotFound):
            access.get_proposal(stranger, beam.proposal(s, state="admitted").number)


class TestSeating:
    def test_own_judges_sit_on_no_panel(self, s):
        for who in (s.scientist, s.safety, s.director):
            with pytest.raises(seating.StaffOnPanel):
                self.seat(s, make.user_of(who).username)
        with pytest.raises(seating.NoPerson):
            self.seat(s, "nobody-of-this-name")

    def test_an_address_alone_neither_tells_whose_it_is_nor_seats_a_stranger(self, s):
        other = make.user_of(make.actor(make.organisation(roles.Kind.PROVIDER), roles.Role.RESEARCHER, name="卫东篱"))
        for name in ("", "魏东篱", s.graders[0].label):
            with pytest.raises(seating.NoPerson) as refused:
                self.seat(s, other.username, name=name)
            with pytest.raises(seating.NoPerson) as unknown:
                self.seat(s, "nobody-of-this-name", name=name)
            assert str(refused.value) == str(unknown.value)
        assert self.seat(s, other.username, name=" 卫 东篱").user == other

    def seat(self, s, person, is_chair=False, name=None):
        known = User.objects.filter(username=person).first()
        said = str(known or "") if name is None else name
        return seating.seat(actor=s.office, panel=s.panel, person=person, name=said, is_chair=is_chair, now=make.NOW)

    def test_one_chair_at_a_time_and_who_goes_is_asked_no_more(self, s):
        self.seat(s, make.user_of(s.graders[1]).username, is_chair=True)
        assert list(s.panel.panelists.filter(is_chair=True)) == [seat_of(s, 1)]
        made = beam.proposal(s)
        rows = ask(s, made, 0, 1, 2)
        give(s, rows[0], "4", 0)
        give(s, rows[1], "4", 1)
        seating.unseat(actor=s.office, panel=s.panel, panelist=seat_of(s, 2), now=make.NOW)
        made.refresh_from_db()
        assert made.state == "graded", "the third is waited for no more"
        with pytest.raises(NotFound):
            access.get_review(s.graders[2], rows[2].pk)


class TestConflicts:
    def test_who_is_from_the_institute_of_the_team_is_not_assigned_and_the_office_is_told_who(self, s):
        made = beam.proposal(s)
        Member.objects.create(
            user_id=s.graders[0].user_id, organisation_id=s.leader.organisation_id, roles=["researcher"]
        )
        with pytest.raises(rules.Conflicted) as refused:
            ask(s, made, 0)
        assert codes(refused) == ["panel.conflict_institute"]
        assert refused.value.reasons[0].params == {"who": "课题负责人"}
        assert not Grading.objects.exists()

    def test_who_has_come_to_belong_there_cannot_grade_and_is_told_why_but_no_person(self, s):
        made = beam.proposal(s)
        (row,) = ask(s, made, 0)
        Member.objects.create(
            user_id=s.graders[0].user_id, organisation_id=s.leader.organisation_id, roles=["researcher"]
        )
        with pytest.raises(rules.Conflicted) as refused:
            give(s, row, "5", 0)
        assert codes(refused) == ["panel.conflict_institute"]
        assert refused.value.reasons[0].params == {}
        done = grading.recuse(actor=s.graders[0], grading=row, note="同一单位", now=make.NOW)
        assert (done.state, done.parties) == ("recused", ["declared", "institute"])

    def test_who_left_long_ago_may(self, s):
        made = beam.proposal(s)
        Member.objects.create(
            user_id=s.graders[0].user_id,
            organisation_id=s.leader.organisation_id,
            roles=["researcher"],
            left_at=make.NOW.replace(year=make.NOW.year - 4),
        )
        assert ask(s, made, 0)[0].state == "asked"

    def test_finds_teams_invitations_by_mail_and_work_together_of_late(self, s):
        made, earlier = beam.proposal(s), beam.proposal(s)
        user = make.user_of(s.graders[1])
        user.email = "Grader@Example.invalid"
        user.save()
        one = {"proposal": made, "name": "受邀人", "email": "grader@example.invalid", "invited_at": make.NOW}
        TeamMember.objects.create(**one)
        TeamMember.objects.create(
            proposal=earlier,
            name="评审",
            email="x@example.invalid",
            user=make.user_of(s.graders[2]),
            state="joined",
            invited_at=make.NOW,
        )
        seats = list(s.panel.panelists.select_related("user"))
        found = bonds.found(seats, [made], now=make.NOW)
        said = {seats.index(seat): [one.party.value for one in found.get((seat.pk, made.pk), [])] for seat in seats}
        assert said == {0: [], 1: ["team"], 2: ["together"]}

    def test_constant_queries_however_many_there_are(self, s, django_assert_num_queries):
        rows = [beam.proposal(s) for _ in range(5)]
        seats = list(s.panel.panelists.select_related("user"))
        with django_assert_num_queries(5):
            bonds.found(seats, rows, now=make.NOW)


class TestGrading:
    @pytest.mark.parametrize("value", ["5.5", "0"])
    def test_takes_the_ends_of_the_scale(self, s, value):
        assert give(s, ask(s, beam.proposal(s), 0)[0], value, 0).grade_c == int(Decimal(value) * 100)

    @pytest.mark.parametrize("value", ["5.6", "-0.1", "4.05", "NaN"])
    def test_refuses_what_is_off_it_and_names_the_ends(self, s, value):
        row = ask(s, beam.proposal(s), 0)[0]
        with pytest.raises(rules.BadGrade) as refused:
            give(s, row, value, 0)
        assert refused.value.params["highest"] == "5.5"
        row.refresh_from_db()
        assert row.state == "asked"

    def test_a_reviewer_sees_only_what_is_hers_and_nothing_confidential(self, s):
        made, secret = beam.proposal(s), beam.proposal(s, kind="proprietary", is_confidential=True)
        (row,) = ask(s, made, 0)
        with pytest.raises(NotFound):
            access.get_review(s.graders[1], row.pk)
        with pytest.raises(Forbidden):
            grading.grade(
                actor=s.graders[1], grading=row, given=grading.GradeGiven(Decimal(4), to_team="好"), now=make.NOW
            )
        with pytest.raises(grading.NotForPanel):
            ask(s, secret, 0)

    def test_all_who_were_asked_have_to_answer(self, s):
        made = beam.proposal(s)
        rows = ask(s, made, 0, 1, 2)
        give(s, rows[0], "4", 0)
        give(s, rows[1], "3", 1)
        made.refresh_from_db()
        assert made.state == "feasible"
        grading.recuse(actor=s.graders[2], grading=rows[2], note="无暇", now=make.NOW)
        made.refresh_from_db()
        assert made.state == "graded"

    def test_changes_until_the_panel_has_ranked(self, s):
        made = graded(s, "4.0")
        row = made.gradings.get(panelist=seat_of(s, 0))
        assert give(s, row, "3.0", 0).grade_c == 300
        one = drafted(s)
        with pytest.raises(grading.Ranked):
            give(s, row, "5.0", 0)
        ranking.discard(actor=s.office, ranking=one, version=one.version, now=make.NOW)
        assert give(s, row, "5.0", 0).grade_c == 500


class TestRanking:
    def test_waits_for_all_grades_unless_told_to_leave_some_out(self, s):
        graded(s)
        late, unseen = beam.proposal(s), beam.proposal(s, state="admitted")
        ask(s, late, 0)
        with pytest.raises(ranking.NotGraded) as refused:
            drafted(s)
        assert sorted(codes(refused)) == ["panel.too_few", "panel.unassessed"]
        assert drafted(s, without=[late.number, unseen.number]).rows.count() == 1

    def test_ages_what_waited_and_gives_down_the_list(self, s):
        first = graded(s, "4.0", shifts=6)
        waited = graded(s, "3.9", shifts=6, waited=2)
        row = drafted(s, shifts=9)
        said = [(one.request.proposal.number, one.aged_c, one.shifts) for one in row.rows.order_by("place")]
        assert said == [(waited.number, 430, 6), (first.number, 400, 3)]

    def test_equal_grades_go_by_balance(self, s):
        s.panel.targets = {"水": [1, 2], "电": [1, 2]}
        s.panel.save()
        graded(s, group="水")
        two, three = graded(s, group="水"), graded(s, group="电")
        found = [one.request.proposal.number for one in drafted(s).rows.order_by("place")]
        assert found[1:] == [three.number, two.number]

    def test_a_list_keeps_the_balance_it_was_drafted_by(self, s):
        s.panel.targets = {"水": [1, 2], "电": [1, 2]}
        s.panel.save()
        for group in ("水", "水", "电"):
            graded(s, group=group)
        row = drafted(s)
        rows = [ranking.Row(one.request.proposal.number, one.shifts) for one in row.rows.order_by("place")]
        wanted = seating.PanelWanted("材料评审组", targets={})
        seating.set_targets(actor=s.office, panel=s.panel, wanted=wanted, now=make.NOW)
        row = ranking.arrange(actor=s.office, ranking=row, rows=rows, version=row.version, now=make.NOW)
        assert set(ranking.targets_of(row)) == {"水", "电"}, (
            "saved unchanged, nobody was moved by the panel's new balance"
        )
        assert not ranking.targets_of(drafted(s)), "drafted anew it goes by the new one"

    def test_no_more_than_the_open_pool_has_left(self, s):
        graded(s)
        most = pools.left(s.lines[0], s.cycle, Pool.OPEN)
        assert most == 122
        with pytest.raises(ranking.NotGraded) as refused:
            drafted(s, shifts=most + 1)
        assert codes(refused) == ["panel.pool_short"]

    def test_who_is_moved_is_moved_with_a_reason(self, s):
        one, two = graded(s, "4.0"), graded(s, "3.0")
        row = drafted(s)
        swapped = [ranking.Row(two.number, 6), ranking.Row(one.number, 6)]
        with pytest.raises(ranking.BadRanking) as refused:
            self.arrange(s, row, swapped)
        assert codes(refused) == ["panel.moved"]
        swapped = [ranking.Row(two.number, 6, moved_note="与国家任务相关"), ranking.Row(one.number, 6)]
        after = self.arrange(s, row, swapped)
        assert [each.request.proposal.number for each in after.rows.order_by("place")] == [two.number, one.number]

    def arrange(self, s, row, rows):
        return ranking.arrange(actor=s.graders[0], ranking=row, rows=rows, version=row.version, now=make.NOW)

    def test_tells_every_fault_at_once(self, s):
        one, two = graded(s, "4.0"), graded(s, "3.0")
        row = drafted(s, shifts=6)
        bad = [ranking.Row(one.number, 7), ranking.Row(two.number, 0, on_reserve=False)]
        with pytest.raises(ranking.BadRanking) as refused:
            self.arrange(s, row, bad)
        assert set(codes(refused)) == {"panel.award", "panel.moved", "panel.to_team", "panel.pool_short"}

    @pytest.mark.parametrize("how", ["joined", "by mail"])
    def test_a_chair_who_came_into_a_team_ranks_nothing_of_it(self, s, how):
        one = graded(s)
        row = drafted(s)
        chair = make.user_of(s.graders[0])
        User.objects.filter(pk=chair.pk).update(email="Chair@example.invalid")
        said = {"user": chair, "state": "joined"} if how == "joined" else {"state": "invited"}
        TeamMember.objects.create(
            proposal=one, name="评审0", email="chair@example.invalid", invited_at=make.NOW, **said
        )
        step = {"actor": s.graders[0], "ranking": row, "version": row.version, "now": make.NOW}
        for act in (
            lambda: ranking.draft(actor=s.graders[0], panel=s.panel, beamline=s.lines[0], now=make.NOW),
            lambda: ranking.arrange(rows=[ranking.Row(one.number, 6)], **step),
            lambda: ranking.propose(note="", **step),
            lambda: ranking.discard(**step),
        ):
            with pytest.raises(rounds.OwnProposal):
                act()
        row.refresh_from_db()
        assert (row.state, row.version) == ("draft", 1)
        assert ranking.propose(note="", **{**step, "actor": s.office}).state == "proposed"

    @pytest.mark.parametrize("how", ["institute", "stepped back"])
    def test_a_chair_who_has_to_step_back_ranks_nothing_and_reads_no_place(self, s, how):
        rival, friend = graded(s, "5.0"), graded(s, "1.0")
        give(s, ask(s, friend, 2)[0], "1.0", 2)
        row = drafted(s)
        if how == "institute":
            Member.objects.create(
                user_id=s.graders[0].user_id, organisation_id=s.leader.organisation_id, roles=["researcher"]
            )
            TeamMember.objects.filter(proposal=rival).update(organisation_id=s.owner.pk, user_id=s.scientist.user_id)
            BeamProposal.objects.filter(pk=rival.pk).update(organisation_id=s.owner.pk)
        else:
            friend.gradings.filter(panelist=seat_of(s, 0)).update(state="recused", grade_c=None, parties=["declared"])
        step = {"actor": s.graders[0], "ranking": row, "version": row.version, "now": make.NOW}
        rows = [ranking.Row(friend.number, 6, moved_note="好"), ranking.Row(rival.number, 6)]
        for act in (
            lambda: ranking.draft(actor=s.graders[0], panel=s.panel, beamline=s.lines[0], now=make.NOW),
            lambda: ranking.arrange(rows=rows, **step),
            lambda: ranking.propose(note="", **step),
            lambda: ranking.discard(**step),
        ):
            with pytest.raises(bonds.Bound) as refused:
                act()
            assert [reason.params["number"] for reason in refused.value.reasons] == [friend.number]
        shown, hidden = queries.listed(row, reader=s.graders[0], now=make.NOW)
        assert ([one.request.proposal for one in shown], hidden) == ([rival], 1)
        assert queries.listed(row, reader=s.office, now=make.NOW)[1] == 0
        _seats, before = queries.judged(s.panel, reader=s.graders[0], now=make.NOW)
        assert {one.proposal.number: one.is_hidden for one in before} == {rival.number: False, friend.number: True}
        only = ranking.draft(
            actor=s.graders[0], panel=s.panel, beamline=s.lines[0], without=[friend.number], now=make.NOW
        )
        assert [one.request.proposal for one in only.rows.all()] == [rival], "what she is not bound to she may rank"

    def test_nobody_of_the_office_chooses_who_reviews_the_own_team(self, s):
        made = beam.proposal(s)
        (row,) = ask(s, made, 0)
        TeamMember.objects.filter(proposal=made).update(user_id=s.office.user_id)
        with pytest.raises(rounds.OwnProposal):
            ask(s, made, 1)
        with pytest.raises(rounds.OwnProposal):
            grading.take_back(actor=s.office, panel=s.panel, grading=row, now=make.NOW)

    def test_only_chair_and_office_and_nothing_is_overwritten(self, s):
        graded(s)
        with pytest.raises(Forbidden):
            ranking.draft(actor=s.graders[1], panel=s.panel, beamline=s.lines[0], now=make.NOW)
        row = drafted(s)
        ranking.draft(actor=s.graders[0], panel=s.panel, beamline=s.lines[0], now=make.NOW)
        with pytest.raises(rounds.Changed):
            ranking.propose(actor=s.office, ranking=row, note="", version=row.version, now=make.NOW)


class TestDeciding:
    def test_gives_reserves_and_refuses_in_one_act(self, s):
        one, two, three = graded(s, "4.0"), graded(s, "3.0"), graded(s, "2.0")
        row = drafted(s, shifts=6)
        rows = [
            ranking.Row(one.number, 6),
            ranking.Row(two.number, 0),
            ranking.Row(three.number, 0, on_reserve=False, moved_note="质量不够", to_team="科学问题不清楚。"),
        ]
        row = ranking.arrange(actor=s.office, ranking=row, rows=rows, version=row.version, now=make.NOW)
        row = ranking.propose(actor=s.office, ranking=row, note="", version=row.version, now=make.NOW)
        (allocation,) = decided(s, row)
        assert (allocation.request, allocation.pool, allocation.shifts) == (beam.request(one), "open", 6)
        for made, states in ((one, ("accepted", "allocated")), (two, ("graded", "reserve")), (three, ("refused",) * 2)):
            made.refresh_from_db()
            assert (made.state, beam.request(made).state) == states
        assert three.decision_note == "科学问题不清楚。"
        told = {row.about: worded(row).reasons for row in Message.objects.filter(user_id=s.leader.user_id)}
        assert told[one.number] == ("获得机时。",)
        assert told[two.number] == ("列入候补，有班次空出时按次序递补。",)
        assert told[three.number] == ("未获机时，可以申诉。", "理由：科学问题不清楚。")

    def test_never_by_who_proposed_it(self, s):
        graded(s)
        both = make.actor(s.owner, roles.Role.USER_OFFICER, roles.Role.FACILITY_DIRECTOR)
        row = drafted(s)
        row = ranking.propose(actor=both, ranking=row, note="", version=row.version, now=make.NOW)
        with pytest.raises(deciding.SameDecider):
            granting.decide_list(actor=both, ranking=row, version=row.version, now=make.NOW)
        with pytest.raises(Forbidden):
            granting.decide_list(actor=s.office, ranking=row, version=row.version, now=make.NOW)
        assert not BeamAllocation.objects.exists()
        assert len(decided(s, row)) == 1

    def test_what_was_withdrawn_meanwhile_is_told_and_nothing_is_given(self, s):
        one = graded(s)
        row = proposed(s)
        one.requests.update(state="withdrawn")
        with pytest.raises(deciding.BadDecision) as refused:
            decided(s, row)
        assert codes(refused) == ["panel.gone"]
        back = ranking.send_back(
            actor=s.director, ranking=row, note="请去掉已撤回的", version=row.version, now=make.NOW
        )
        assert back.state == "draft"

    def test_is_done_once(self, s):
        graded(s)
        row = proposed(s)
        decided(s, row)
        row.refresh_from_db()
        with pytest.raises(InvalidTransition):
            decided(s, row)

    def test_a_part_decided_later_is_told_as_well(self, s):
        one = beam.proposal(s)
        one.requests.create(cycle=s.cycle, beamline=s.lines[1], shifts=3, created_at=make.NOW)
        for at, row in enumerate(ask(s, one, 0, 1)):
            give(s, row, "4.0", at)
        decided(s, proposed(s))
        row = ranking.draft(actor=s.office, panel=s.panel, beamline=s.lines[1], now=make.NOW)
        rows = [ranking.Row(one.number, 0, on_reserve=False, moved_note="重复", to_team="第二条线站不必要。")]
        row = ranking.arrange(actor=s.office, ranking=row, rows=rows, version=row.version, now=make.NOW)
        row = ranking.propose(actor=s.office, ranking=row, note="", version=row.version, now=make.NOW)
        decided(s, row)
        told = [worded(row).reasons for row in Message.objects.filter(user_id=s.leader.user_id).order_by("pk")]
        assert told == [
            ("获得机时。", "线站 BL01，运行周期 2027-I。"),
            ("未获机时。", "线站 BL02，运行周期 2027-I。", "理由：第二条线站不必要。"),
        ]

    @pytest.mark.parametrize("how", ["closed", "over"])
    def test_a_list_gives_nothing_of_a_cycle_that_is_gone(self, s, how):
        graded(s)
        row = proposed(s)
        now = beam.CYCLE.end if how == "over" else make.NOW
        if how == "closed":
            s.cycle.closed_at = now
            s.cycle.save()
        with pytest.raises(deciding.BadDecision) as refused:
            granting.decide_list(actor=s.director, ranking=row, version=row.version, now=now)
        assert codes(refused) == ["panel.cycle_over"]
        assert not BeamAllocation.objects.exists()

    def test_who_judged_one_on_the_list_does_not_decide_it(self, s):
        one = graded(s)
        row = proposed(s)
        reviewer = replace(s.director, user_id=s.graders[0].user_id)
        with pytest.raises(deciding.Graded):
            granting.decide_list(actor=reviewer, ranking=row, version=row.version, now=make.NOW)
        Assessment.objects.create(proposal=one, kind="technical", passed=True, by_id=s.director.user_id, at=make.NOW)
        with pytest.raises(deciding.Assessed):
            decided(s, row)
        assert not BeamAllocation.objects.exists()

    def test_urgent_is_judged_decided_and_evaluated_afterwards(self, s):
        made = beam.proposal(s, state="admitted", kind="urgent", call=None, shifts=3)
        for who, kind in ((s.scientist, K.TECHNICAL), (s.safety, K.SAFETY), (s.director, K.URGENCY)):
            assessing.assess(actor=who, proposal=made, finding=finding(kind), now=make.NOW)
        choice = deciding.Direct(s.lines[0].code, 3, "疫情应急。")
        (allocation,) = granting.decide_directly(actor=s.director, proposal=made, choice=choice, now=make.NOW)
        assert (allocation.pool, allocation.shifts) == ("urgent", 3)
        made.refresh_from_db()
        after = finding(K.AFTERWARDS, note="结果已发表")
        with pytest.raises(assessing.NotToAssess):
            assessing.assess(actor=s.office, proposal=made, finding=after, now=make.NOW)
        assert not queries.waiting_for(s.office, K.AFTERWARDS).exists(), "nothing to evaluate before there was beam"
        beam.visit(s, of=made, state="done")
        assert list(queries.waiting_for(s.office, K.AFTERWARDS)) == [made]
        with pytest.raises(assessing.SameJudge):
            assessing.assess(actor=s.director, proposal=made, finding=after, now=make.NOW)
        assert assessing.assess(actor=s.office, proposal=made, finding=after, now=make.NOW).kind == "afterwards"

    def test_direct_ones_stay_within_their_pool_and_kind(self, s):
        made = beam.proposal(s, kind="urgent", call=None, shifts=30)
        with pytest.raises(deciding.BadDecision) as refused:
            self.direct(s, made, 30)
        assert codes(refused) == ["panel.pool_short"]
        for kind in ("standard", "proprietary"):
            with pytest.raises(deciding.NotDirect):
                self.direct(s, beam.proposal(s, kind=kind), 3)

    def test_a_direct_one_names_its_cycle_and_gives_nothing_of_one_that_is_over(self, s):
        made = beam.proposal(s, kind="urgent", call=None, shifts=3)
        span = Period(beam.CYCLE.end, beam.CYCLE.end + timedelta(days=60))
        later = beam.cycle(s.facility, "2027-II", span, repairs=None)
        made.requests.create(cycle=later, beamline=s.lines[0], shifts=3, created_at=make.NOW)
        with pytest.raises(deciding.WhichCycle) as refused:
            self.direct(s, made, 3)
        assert refused.value.params["cycles"] == "2027-I、2027-II"
        s.cycle.closed_at = make.NOW
        s.cycle.save()
        with pytest.raises(deciding.BadDecision) as told:
            self.direct(s, made, 3, cycle="2027-I")
        assert codes(told) == ["panel.cycle_over"]
        (given,) = self.direct(s, made, 3, cycle="2027-II")
        assert given.request.cycle == later

    def direct(self, s, made, shifts, **more):
        choice = deciding.Direct(s.lines[0].code, shifts, "理由", **more)
        return granting.decide_directly(actor=s.director, proposal=made, choice=choice, now=make.NOW)


class TestAppeals:
    def refused(self, s):
        one = graded(s)
        row = drafted(s)
        rows = [ranking.Row(one.number, 0, on_reserve=False, moved_note="重复", to_team="与已有工作重复。")]
        row = ranking.arrange(actor=s.office, ranking=row, rows=rows, version=row.version, now=make.NOW)
        row = ranking.propose(actor=s.office, ranking=row, note="", version=row.version, now=make.NOW)
        decided(s, row)
        one.refresh_from_db()
        return one

    def test_upheld_goes_back_to_the_panel_and_may_win(self, s):
        one = self.refused(s)
        made = appeals.appeal(actor=s.leader, proposal=one, text="并不重复，见附件。", now=make.NOW)
        with pytest.raises(appeals.AlreadyAppealed):
            appeals.appeal(actor=s.leader, proposal=one, text="再次", now=make.NOW)
        for who in (s.director, s.office):
            with pytest.raises(appeals.DecidedBefore):
                appeals.answer(actor=who, appeal=made, uphold=True, text="同意", now=make.NOW)
        other = make.actor(s.owner, roles.Role.FACILITY_DIRECTOR)
        appeals.answer(actor=other, appeal=made, uphold=True, text="理由成立。", now=make.NOW)
        one.refresh_from_db()
        assert (one.state, beam.request(one).state) == ("feasible", "open")
        for at, row in enumerate(ask(s, one, 0, 1)):
            assert row.round_no == 2
            give(s, row, "5", at)
        assert len(decided(s, proposed(s))) == 1

    def test_what_is_said_in_the_new_round_is_told_with_its_decision(self, s):
        one = self.refused(s)
        made = appeals.appeal(actor=s.leader, proposal=one, text="并不重复。", now=make.NOW)
        other = make.actor(s.owner, roles.Role.FACILITY_DIRECTOR)
        appeals.answer(actor=other, appeal=made, uphold=True, text="理由成立。", now=make.NOW)
        (row,) = ask(s, one, 2)
        said = grading.GradeGiven(Decimal(5), to_team="第二轮意见。")
        grading.grade(actor=s.graders[2], grading=row, given=said, now=make.NOW)
        one.refresh_from_db()
        assert one.state == "feasible"
        assert list(queries.answer_of(one, now=make.NOW).comments) == ["很好。", "很好。"], "the first round is known"
        give(s, ask(s, one, 0)[0], "5", 0)
        decided(s, proposed(s))
        one.refresh_from_db()
        assert list(queries.answer_of(one, now=make.NOW).comments) == ["很好。", "很好。", "第二轮意见。", "很好。"]

    def test_dismissed_stays_refused(self, s):
        one = self.refused(s)
        made = appeals.appeal(actor=s.leader, proposal=one, text="不服", now=make.NOW)
        other = make.actor(s.owner, roles.Role.USER_OFFICER)
        appeals.answer(actor=other, appeal=made, uphold=False, text="维持。", now=make.NOW)
        one.refresh_from_db()
        assert one.state == "refused"

    def test_once_for_each_decision_and_not_for_ever(self, s):
        one = self.refused(s)
        late = make.NOW + timedelta(days=rules.APPEAL_DAYS)
        with pytest.raises(appeals.TooLate):
            appeals.appeal(actor=s.leader, proposal=one, text="不服", now=late)
        assert not queries.answer_of(one, now=late).may_appeal
        in_time = late - timedelta(seconds=1)
        assert queries.answer_of(one, now=in_time).may_appeal
        made = appeals.appeal(actor=s.leader, proposal=one, text="不服", now=in_time)
        other = make.actor(s.owner, roles.Role.USER_OFFICER)
        appeals.answer(actor=other, appeal=made, uphold=False, text="维持。", now=in_time)
        with pytest.raises(appeals.AlreadyAnswered):
            appeals.appeal(actor=s.leader, proposal=one, text="还是不服", now=in_time)
        assert not queries.answer_of(one, now=in_time).may_appeal

    @pytest.mark.parametrize("how", ["closed", "over"])
    def test_a_cycle_that_is_gone_is_not_judged_anew(self, s, how):
        one = self.refused(s)
        made = appeals.appeal(actor=s.leader, proposal=one, text="不服", now=make.NOW)
        now = beam.CYCLE.end if how == "over" else make.NOW
        if how == "closed":
            s.cycle.closed_at = now
            s.cycle.save()
        other = make.actor(s.owner, roles.Role.USER_OFFICER)
        with pytest.raises(appeals.CycleOver):
            appeals.answer(actor=other, appeal=made, uphold=True, text="成立。", now=now)
        one.refresh_from_db()
        assert (one.state, beam.request(one).state) == ("refused", "refused")
        assert appeals.answer(actor=other, appeal=made, uphold=False, text="周期已过。", now=now).state == "dismissed"

    def test_who_left_the_team_s_organisation_reads_and_appeals_nothing(self, s):
        one = self.refused(s)
        elsewhere = make.organisation(roles.Kind.ENTERPRISE)
        gone = replace(s.leader, organisation_id=elsewhere.pk)
        with pytest.raises(NotFound):
            access.get_own(gone, one.number)
        with pytest.raises(Forbidden):
            appeals.appeal(actor=gone, proposal=one, text="不服", now=make.NOW)
        made = appeals.appeal(actor=s.leader, proposal=one, text="不服", now=make.NOW)
        assert list(access.appeals_of(s.leader)) == [made]
        assert not access.appeals_of(gone).exists()

    def test_only_the_team_and_only_against_a_refusal(self, s):
        with pytest.raises(appeals.NothingToAppeal):
            appeals.appeal(actor=s.leader, proposal=beam.proposal(s, at=1), text="不服", now=make.NOW)
        with pytest.raises(Forbidden):
            appeals.appeal(actor=s.graders[0], proposal=self.refused(s), text="不服", now=make.NOW)

    def test_not_feasible_goes_back_to_the_staff(self, s):
        one = beam.proposal(s, state="admitted")
        no = finding(passed=False, to_team="能量不够。")
        assessing.assess(actor=s.scientist, proposal=one, finding=no, now=make.NOW)
        made = appeals.appeal(actor=s.leader, proposal=one, text="能量足够。", now=make.NOW)
        appeals.answer(actor=s.director, appeal=made, uphold=True, text="重新审查。", now=make.NOW)
        one.refresh_from_db()
        assert one.state == "admitted"
        other = make.actor(s.owner, roles.Role.BEAMLINE_SCIENTIST)
        assert assessing.assess(actor=other, proposal=one, finding=finding(), now=make.NOW).round_no == 2
