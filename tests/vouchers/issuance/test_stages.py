"""The way of a case through its stages: who may act, in what order, by when, and what comes after."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from django.db import connections

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, PortalError
from portal.kernel.money import Money
from portal.organisations.models import User
from tests import make
from vouchers.issuance import (
    access,
    appeals,
    assigning,
    automatic,
    cases,
    conflicts,
    drawing,
    lapsing,
    reviewing,
    rules,
    services,
    workflow,
)
from vouchers.issuance.models import Application, Assignment
from vouchers.issuance.reviewing import Verdict
from vouchers.ledger import queries as ledger
from vouchers.programmes.models import Budget
from vouchers.wallets.models import Voucher

R = make.roles.Role
LONG = [
    {"stage": "区县初审", "role": "reviewer", "sla_days": 5},
    {"stage": "专家评审", "role": "expert", "action": "score", "quorum": 2},
    {"stage": "集体审定", "role": "collective", "action": "decide", "quorum": 2, "returns_to": "区县初审"},
]


def pool(version):
    account_id = Budget.objects.get(programme=version.programme).account_id
    return ledger.balances(account_ids=[account_id])[account_id].available_fen


def held_by(w, case):
    """Return the persons a case is with now, as actors."""
    case.refresh_from_db()
    return [
        make.people.actor_for(make.Member.objects.get(user_id=each.person_id, organisation=w.department))
        for each in assigning.holders(case)
    ]


class TestLongWay:
    def test_a_case_goes_through_check_scores_and_a_collective_decision(self, w):
        experts = [make.actor(w.department, R.EXPERT) for _each in range(3)]
        version = make.programme(w, workflow=LONG)
        case = make.application(w, version)
        assert (case.stage, case.role) == (0, "reviewer")

        case = make.passed(w, case, amount=Money.from_yuan("90000"))
        assert (case.stage, case.role, case.amount_fen) == (1, "expert", 9_000_000)
        drawn = held_by(w, case)
        assert len(drawn) == 2
        assert {each.user_id for each in drawn} <= {each.user_id for each in experts}
        with pytest.raises(rules.ScoreMissing):
            make.passed(w, case, by=drawn[0])
        (other,) = [each for each in experts if each.user_id not in {one.user_id for one in drawn}]
        assert access.get_application(drawn[0], case.number) == access.get_case(drawn[1], case.number)
        for reach in (access.get_application, access.get_case):
            with pytest.raises(NotFound):
                reach(other, case.number)
        assert not access.cases(other).exists()
        score = lambda by, points: reviewing.pass_stage(
            actor=by, application=case, verdict=Verdict(score=points), now=make.NOW
        )
        assert (score(drawn[0], 80).stage, score(drawn[1], 95).stage) == (1, 2)
        case.refresh_from_db()
        assert case.score == 8750

        second = make.actor(w.department, R.APPROVER)
        case = make.passed(w, case, by=w.approver)
        assert (case.state, case.stage) == ("review", 2)
        with pytest.raises(rules.SamePerson):
            make.passed(w, case, by=w.approver)
        case = make.passed(w, case, by=second)
        assert case.state == "issued"
        assert Voucher.objects.get().face_fen == 9_000_000
        assert pool(version) == 91_000_000

    def test_the_amount_only_goes_down(self, w):
        make.actor(w.department, R.EXPERT), make.actor(w.department, R.EXPERT)
        case = make.passed(w, make.application(w, make.programme(w, workflow=LONG)), amount=Money.from_yuan("90000"))
        expert, _other = held_by(w, case)
        with pytest.raises(rules.AmountRaised):
            verdict = Verdict(score=90, amount=Money.from_yuan("90000.01"))
            reviewing.pass_stage(actor=expert, application=case, verdict=verdict, now=make.NOW)

    def test_a_return_goes_to_the_stage_the_programme_names_and_opens_the_amount_again(self, w):
        flow = [LONG[0], {**LONG[2], "quorum": 1}]
        case = make.passed(w, make.application(w, make.programme(w, workflow=flow)), amount=Money.from_yuan("1"))
        case = make.returned(w, case, by=w.approver, note="金额请复核")
        assert (case.state, case.stage, case.amount_fen) == ("review", 0, 10_000_000)
        assert make.passed(w, case).stage == 1


class TestClock:
    def test_a_stage_is_due_after_its_working_days_and_stands_while_the_applicant_is_asked(self, w):
        """2026-11-25 is a Wednesday: five working days end with Wednesday, 2 December."""
        case = make.application(w, make.programme(w, workflow=[LONG[0], {"stage": "审批", "role": "approver"}]))
        assert case.due_at == datetime(2026, 12, 2, 16, tzinfo=UTC)

        monday = make.NOW + timedelta(days=5)
        case = make.returned(w, case, note="请补充合同附件", now=monday)
        assert (case.days_left, case.stopped_at) == (2, monday)
        assert case.due_at == datetime(2026, 12, 21, 16, tzinfo=UTC)

        back = monday + timedelta(days=2)
        case = services.complete(actor=w.owner, application=case, stated={}, now=back)
        assert (case.stopped_s, case.stopped_at) == (2 * 86400, None)
        assert case.due_at == datetime(2026, 12, 4, 16, tzinfo=UTC)

    def test_an_answer_one_second_late_is_refused_whether_or_not_the_sweep_has_run(self, w):
        case = make.returned(w, make.application(w, make.programme(w, supplement_days=3)), note="请补充")
        late = case.due_at
        with pytest.raises(rules.SupplementLate):
            services.complete(actor=w.owner, application=case, stated={}, now=late)
        assert lapsing.lapse_overdue(now=late - timedelta(seconds=1)) == 0
        assert lapsing.lapse_overdue(now=late) == 1
        case.refresh_from_db()
        assert case.state == "withdrawn"

    def test_intake_is_exact_to_the_second(self, w):
        window = {"from": "2026-11-01T09:00:00+08:00", "to": "2026-11-25T17:00:00+08:00"}
        version = make.programme(w, windows=[window])
        end = datetime(2026, 11, 25, 9, tzinfo=UTC)
        with pytest.raises(rules.DeadlinePassed) as late:
            make.application(w, version, now=end)
        assert "2026-11-25 17:00:00" in str(late.value)
        with pytest.raises(rules.NotYetOpen):
            make.application(
                w, version, now=datetime(2026, 11, 1, 0, 59, 59, tzinfo=UTC), signed=make.date(2026, 10, 1)
            )
        made = make.application(w, version, now=end - timedelta(microseconds=1))
        assert made.submitted_at == end - timedelta(milliseconds=1)


class TestLot:
    def test_the_lot_can_be_drawn_again_from_what_is_stored(self, w):
        for _each in range(6):
            make.actor(w.department, R.REVIEWER)
        version = make.programme(w)
        drawn = set()
        for at in range(8):
            case = make.application(w, version, number=f"HT-{at}", items={"compute": Money.from_yuan("1000")})
            held = Assignment.objects.get(application=case)
            assert drawing.draw(seed=held.seed, eligible=held.eligible, count=1) == [held.person_id]
            assert len(held.eligible) == 7
            drawn.add(held.person_id)
        assert len(drawn) > 1

    def test_only_who_was_drawn_may_act_until_an_approver_has_it_drawn_anew(self, w):
        other = make.actor(w.department, R.REVIEWER)
        case = make.application(w, make.programme(w))
        (held,) = held_by(w, case)
        free = other if held.user_id == w.reviewer.user_id else w.reviewer
        with pytest.raises(rules.NotAssigned):
            make.passed(w, case, by=free)
        with pytest.raises(Forbidden):
            assigning.reassign(actor=free, application=case, reason="出差", now=make.NOW)
        assigning.reassign(actor=w.approver, application=case, reason="出差", now=make.NOW)
        assert [each.user_id for each in held_by(w, case)] == [free.user_id]
        assert make.passed(w, case, by=free).stage == 1
        assert Assignment.objects.filter(application=case).count() == 2

    def test_who_has_left_is_replaced_by_whoever_remains(self, w):
        case = make.application(w, make.programme(w))
        make.Member.objects.filter(user_id=w.reviewer.user_id).update(left_at=make.NOW)
        other = make.actor(w.department, R.REVIEWER)
        assigning.reassign(actor=w.approver, application=case, reason="已调离", now=make.NOW)
        assert [each.user_id for each in held_by(w, case)] == [other.user_id]

    def test_nobody_is_left_says_so(self, w):
        case = make.application(w, make.programme(w))
        with pytest.raises(rules.NobodyLeft):
            assigning.reassign(actor=w.approver, application=case, reason="出差", now=make.NOW)


class TestRecusal:
    def test_who_recuses_gives_the_case_to_another_and_never_gets_one_of_the_organisation(self, w):
        case = make.application(w, make.programme(w))
        other = make.actor(w.department, R.REVIEWER)
        assigning.recuse(
            actor=w.reviewer, application=None, organisation=w.enterprise, reason="配偶在该单位任职", now=make.NOW
        )
        assert [each.user_id for each in held_by(w, case)] == [other.user_id]
        with pytest.raises(rules.HasInterest):
            make.passed(w, case)
        with pytest.raises(assigning.RecusedBefore):
            assigning.recuse(actor=w.reviewer, application=None, organisation=w.enterprise, reason="再次", now=make.NOW)
        with pytest.raises(assigning.ReasonMissing):
            assigning.recuse(actor=other, application=case, organisation=None, reason=" ", now=make.NOW)

    def test_another_approver_lifts_it_with_a_reason_and_the_person_may_act_again(self, w):
        case = make.application(w, make.programme(w))
        made = assigning.recuse(actor=w.reviewer, application=case, organisation=None, reason="曾任职", now=make.NOW)
        with pytest.raises(Forbidden):
            assigning.lift(actor=w.reviewer, recusal=made, reason="已消除", now=make.NOW)
        with pytest.raises(Forbidden):
            assigning.lift(actor=make.world().approver, recusal=made, reason="已消除", now=make.NOW)
        with pytest.raises(assigning.LiftReasonMissing):
            assigning.lift(actor=w.approver, recusal=made, reason=" ", now=make.NOW)
        lifted = assigning.lift(actor=w.approver, recusal=made, reason="登记有误", now=make.NOW)
        assert (lifted.withdrawn_by_id, lifted.withdrawn_reason) == (w.approver.user_id, "登记有误")
        with pytest.raises(assigning.LiftedBefore):
            assigning.lift(actor=w.approver, recusal=made, reason="再次", now=make.NOW)
        make.passed(w, case)
        again = assigning.recuse(actor=w.reviewer, application=case, organisation=None, reason="曾任职", now=make.NOW)
        assert again.pk != made.pk

    def test_nobody_lifts_their_own(self, w):
        own = assigning.recuse(
            actor=w.approver, application=None, organisation=w.enterprise, reason="持股", now=make.NOW
        )
        with pytest.raises(assigning.OwnRecusal):
            assigning.lift(actor=w.approver, recusal=own, reason="已转让", now=make.NOW)

    def test_ties_the_records_show_keep_a_person_away(self, w):
        names = {"provider": w.keeper, "name": w.approver, "mail": w.reviewer}
        User.objects.filter(pk=w.reviewer.user_id).update(email="li@xinghe.example")
        User.objects.filter(pk=w.owner.user_id).update(email="zhao@xinghe.example")
        w.enterprise.facts["legal_representative"] = "王审批"
        w.enterprise.save()
        case = make.application(w, make.programme(w))
        found = conflicts.found(case, [each.user_id for each in (*names.values(), w.finance)])
        assert {why: found.get(each.user_id) for why, each in names.items()} == {
            "provider": "member_of_provider",
            "name": "same_name",
            "mail": "same_mail",
        }
        assert w.finance.user_id not in found
        assert Assignment.objects.count() == 0

    def test_a_mail_domain_that_several_organisations_use_ties_nobody(self, w):
        for someone in (w.reviewer, w.owner, w.lab_owner):
            User.objects.filter(pk=someone.user_id).update(email=f"p{someone.user_id}@shared.example")
        stranger = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), R.OWNER)
        User.objects.filter(pk=stranger.user_id).update(email="x@shared.example")
        case = make.application(w, make.programme(w))
        assert w.reviewer.user_id not in conflicts.found(case, [w.reviewer.user_id])


class TestAppeal:
    def test_a_refusal_may_be_appealed_once_in_time_and_is_decided_by_others(self, w):
        version = make.programme(w, appeal_days=5)
        case = make.refused(w, make.application(w, version), note="合同不实")
        until = appeals.appeal_until(case)
        assert until == datetime(2026, 12, 2, 16, tzinfo=UTC)
        with pytest.raises(rules.AppealClosed):
            appeals.appeal(actor=w.owner, application=case, note="合同属实", now=until)
        case = appeals.appeal(
            actor=w.owner, application=case, note="合同属实，见附件", now=until - timedelta(seconds=1)
        )
        assert (case.state, pool(version)) == ("appeal", 100_000_000)

        other = make.actor(w.department, R.REVIEWER)
        case = appeals.admit(actor=w.approver, application=case, note="证据充分", now=until)
        assert (case.state, case.stage, case.amount_fen, pool(version)) == ("review", 0, 10_000_000, 90_000_000)
        assert [each.user_id for each in held_by(w, case)] == [other.user_id]
        with pytest.raises(rules.HasInterest):
            make.passed(w, case)
        case = make.passed(w, case, by=other)
        with pytest.raises(rules.SamePerson):
            make.passed(w, case, by=w.approver)
        case = make.refused(w, case, by=make.actor(w.department, R.APPROVER), note="仍不符合")
        with pytest.raises(rules.AppealedBefore):
            appeals.appeal(actor=w.owner, application=case, note="再次", now=until)

    def test_more_is_asked_inside_an_appeal_and_the_same_person_may_decide_it(self, w):
        case = make.refused(w, make.application(w, make.programme(w)), note="不符合条件")
        case = appeals.appeal(actor=w.owner, application=case, note="合同属实", now=make.NOW)
        with pytest.raises(cases.NoteMissing):
            appeals.ask(actor=w.approver, application=case, note=" ", now=make.NOW)
        case = appeals.ask(actor=w.approver, application=case, note="请补充验收单", now=make.NOW)
        assert (case.state, case.role, case.due_at is not None) == ("supplement", "", True)
        with pytest.raises(InvalidTransition):
            appeals.admit(actor=w.approver, application=case, note="受理", now=make.NOW)
        later = make.NOW + timedelta(days=1)
        case = services.complete(actor=w.owner, application=case, stated={}, answer="见附件", now=later)
        assert (case.state, case.due_at, case.stopped_s) == ("appeal", None, 86400)
        case = appeals.ask(actor=w.approver, application=case, note="还缺发票", now=later)
        case = services.complete(actor=w.owner, application=case, stated={}, now=later)
        case = appeals.admit(actor=w.approver, application=case, note="证据充分", now=later)
        assert (case.state, case.stage) == ("review", 0)
        with pytest.raises(rules.HasInterest):
            make.passed(w, case)

    def test_who_does_not_answer_in_time_has_the_appeal_decided_on_what_is_there(self, w):
        case = make.refused(w, make.application(w, make.programme(w, supplement_days=5)), note="不符合条件")
        case = appeals.appeal(actor=w.owner, application=case, note="合同属实", now=make.NOW)
        case = appeals.ask(actor=w.approver, application=case, note="请补充验收单", now=make.NOW)
        due = case.due_at
        assert lapsing.lapse_overdue(now=due - timedelta(seconds=1)) == 0
        with pytest.raises(rules.SupplementLate):
            services.complete(actor=w.owner, application=case, stated={}, now=due)
        assert lapsing.lapse_overdue(now=due) == 1
        case.refresh_from_db()
        assert case.state == "appeal"
        case = appeals.dismiss(actor=w.approver, application=case, note="没有新的证据", now=due)
        assert case.state == "refused"

    def test_an_admitted_appeal_that_lacks_facts_asks_for_them_and_goes_on(self, w):
        version = make.programme(w)
        case = make.refused(w, make.application(w, version), note="不符合条件")
        case = appeals.appeal(actor=w.owner, application=case, note="合同属实", now=make.NOW)
        request = {**case.request, "contract": {**case.request["contract"]}}
        del request["contract"]["months"]
        Application.objects.filter(pk=case.pk).update(request=request)
        case = appeals.admit(actor=w.approver, application=case, note="受理", now=make.NOW)
        assert (case.state, case.stage, case.due_at is not None) == ("supplement", 0, True)
        Application.objects.filter(pk=case.pk).update(
            request={**request, "contract": {**request["contract"], "months": 12}}
        )
        case = services.complete(actor=w.owner, application=case, stated={}, now=make.NOW)
        assert (case.state, case.stage) == ("review", 0)

    def test_a_dismissed_appeal_leaves_the_case_refused(self, w):
        case = make.refused(w, make.application(w, make.programme(w)), note="合同不实")
        case = appeals.appeal(actor=w.owner, application=case, note="合同属实", now=make.NOW)
        case = appeals.dismiss(actor=w.approver, application=case, note="证据不足", now=make.NOW)
        assert (case.state, case.note) == ("refused", "证据不足")


class TestAutomatic:
    @pytest.mark.parametrize(("rate", "sampled"), [("0", False), ("1", True)])
    def test_instant_enjoyment_runs_the_same_machine_and_keeps_every_stage(self, w, rate, sampled):
        version = make.programme(w, automation="instant", audit={"sample_rate": rate})
        case = make.application(w, version)
        assert (case.state, case.sampled) == ("issued", sampled)
        assert [(each.stage, each.person_id) for each in case.decisions.all()] == [(0, None), (1, None)]
        assert Voucher.objects.get().face_fen == 10_000_000
        assert ledger.unaccounted_fen() == 0

    def test_what_the_lot_drew_is_checked_afterwards_once_with_a_reason_where_it_is_not_sound(self, w):
        case = make.application(w, make.programme(w, automation="instant", audit={"sample_rate": "1"}))

        def recheck(note):
            return automatic.recheck(actor=w.reviewer, application=case, is_sound=False, note=note, now=make.NOW)

        with pytest.raises(cases.NoteMissing):
            recheck(" ")
        recheck("合同章不符")
        with pytest.raises(automatic.RecheckedBefore):
            recheck("再次")
        assert case.decisions.get(stage=workflow.RECHECK_STAGE).action == "refuse"
        plain = make.application(w, make.programme(w, code="test-plain"), number="HT-2")
        with pytest.raises(automatic.RecheckedBefore):
            automatic.recheck(actor=w.reviewer, application=plain, is_sound=True, note="", now=make.NOW)

    def test_who_need_not_apply_is_put_forward_by_one_and_granted_by_another(self, w):
        version = make.programme(w, automation="no_application")
        wanted = services.Wanted(version=version, contract=make.contract(), stated={})

        def grant(someone, key="grant-0001"):
            return services.grant_unasked(
                actor=someone, organisation=w.enterprise, wanted=wanted, now=make.NOW, key=key
            )

        case = grant(w.reviewer)
        assert (case.state, case.role, case.amount_fen) == ("review", "approver", 10_000_000)
        assert grant(w.reviewer).pk == case.pk
        insider = make.actor(w.department, R.REVIEWER)
        make.Member.objects.create(user_id=insider.user_id, organisation=w.enterprise, roles=[])
        with pytest.raises(rules.SamePerson):
            grant(insider, key="grant-0002")
        assert make.approved(w, case).holder == w.enterprise
        with pytest.raises(rules.NeedsApplication):
            wanted = services.Wanted(version=make.programme(w, code="test-plain"), contract=make.contract(), stated={})
            grant(w.reviewer, key="grant-0003")


class TestWithdrawing:
    def test_a_batch_order_records_and_reserves_nothing_and_can_be_withdrawn(self, w):
        version = make.programme(w, order="ranked")
        case = make.application(w, version)
        assert (case.amount_fen, pool(version)) == (10_000_000, 100_000_000)
        case = make.passed(w, make.passed(w, case), by=w.approver)
        assert (case.state, case.role) == ("waiting", "")
        case = services.withdraw(actor=w.owner, application=case, now=make.NOW)
        assert case.state == "withdrawn"

    def test_a_notice_period_stops_the_case_when_it_is_decided(self, w):
        version = make.programme(w, notice={"min_working_days": 5})
        case = make.passed(w, make.passed(w, make.application(w, version)), by=w.approver)
        assert (case.state, pool(version)) == ("decided", 90_000_000)
        services.withdraw(actor=w.owner, application=case, now=make.NOW)
        assert pool(version) == 100_000_000

    def test_a_voucher_once_issued_is_not_withdrawn_so(self, w):
        voucher = make.voucher(w)
        with pytest.raises(InvalidTransition):
            services.withdraw(actor=w.owner, application=voucher.application, now=make.NOW)


class TestSeen:
    def test_a_decision_is_never_taken_for_another_stage_than_the_one_looked_at(self, w):
        case = make.application(w, make.programme(w))
        seen = reviewing.seen_of(case)
        make.passed(w, case)
        with pytest.raises(rules.MovedOn):
            reviewing.pass_stage(actor=w.approver, application=case, verdict=Verdict(seen=seen), now=make.NOW)


@pytest.mark.django_db(transaction=True)
def test_of_two_approvers_in_the_same_second_exactly_one_wins():
    w = make.world()
    case = make.passed(w, make.application(w, make.programme(w)))
    seen, rivals = reviewing.seen_of(case), [w.approver, make.actor(w.department, R.APPROVER)]

    def decide(someone):
        try:
            verdict = Verdict(seen=seen)
            return reviewing.pass_stage(actor=someone, application=case, verdict=verdict, now=make.NOW).state
        except PortalError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as threads:
        assert sorted(threads.map(decide, rivals)) == ["conflict.transition", "issued"]
    assert Voucher.objects.count() == 1
    assert ledger.unaccounted_fen() == 0


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("short", "paid"), [("reject", [5] * 10), ("partial", [5] * 10 + [2]), ("queue", [5] * 10)])
def test_sixty_four_at_once_get_exactly_the_pool_in_an_order_without_gaps(short, paid):
    """A pool of 52 yuan and awards of 5: ten whole ones; the rest of 2 goes to one, to nobody, or waits in line."""
    w = make.world()
    version = make.programme(w, budget="52", pool_short=short, caps=[])
    firms = [make.organisation(make.roles.Kind.ENTERPRISE) for _each in range(64)]
    owners = [make.actor(firm, R.OWNER) for firm in firms]

    def apply(owner):
        contract = make.contract(items={"compute": Money.from_yuan("10")})
        wanted = services.Wanted(version=version, contract=contract, stated={})
        try:
            return services.submit(actor=owner, wanted=wanted, now=make.NOW, key=make.key())
        except PortalError as error:
            return error
        finally:
            connections.close_all()

    with ThreadPoolExecutor(64) as threads:
        list(threads.map(apply, owners))

    rows = list(Application.objects.order_by("place"))
    assert [row.place for row in rows] == list(range(1, len(rows) + 1))
    reserved = [row.amount_fen // 100 for row in rows if row.reserve_hold_id is not None]
    assert reserved == paid
    assert len(rows) == (64 if short == "queue" else len(paid))
    assert pool(version) == 5200 - sum(paid) * 100
    assert ledger.unaccounted_fen() == 0
