"""Rounds on a real database: intake, the two decisions, money, and everything that must not happen."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import IntegrityError, connections, transaction

from portal.audit.models import Record
from portal.kernel.actors import Permission
from portal.kernel.errors import Forbidden, InvalidTransition, PortalError
from portal.kernel.money import Money
from portal.organisations.models import Member
from portal.organisations.rules import Role
from tests import make
from vouchers.issuance import queries as issuance
from vouchers.issuance import services as applications
from vouchers.issuance.models import Application
from vouchers.ledger.models import Journal
from vouchers.programmes.allocation import lottery_order
from vouchers.rounds import access, deciding, queries, rules, services, waiting
from vouchers.rounds.models import Round, RoundAward
from vouchers.wallets.models import Voucher

LATER = make.NOW + timedelta(days=7)
PRORATE = {"order": "all_then_prorate", "pool_short": "prorate"}


def state_of(case):
    return Application.objects.values_list("state", flat=True).get(pk=case.pk)


def amounts(round_):
    return list(round_.awards.order_by("place").values_list("amount_fen", flat=True))


def test_a_prorated_round_reserves_exactly_and_issues_at_once_without_notice(w):
    version = make.programme(w, budget="100000", **PRORATE)
    opened = make.round_of(w, version)
    cases = [make.waiting(w, version, yuan) for yuan in ("33333.33", "66666.67", "100000")]
    assert {state_of(case) for case in cases} == {"waiting"}
    assert issuance.pool_of(version) == Money.from_yuan("100000")

    done = make.decided(w, opened)

    assert done.state == "granted"
    assert queries.coefficient(done) == Fraction(1, 2)
    assert amounts(done) == [1_666_666, 3_333_333, 5_000_000]
    assert {state_of(case) for case in cases} == {"issued"}
    assert sorted(Voucher.objects.values_list("face_fen", flat=True)) == [1_666_666, 3_333_333, 5_000_000]
    assert issuance.pool_of(version) == Money(1)
    reserved = Journal.objects.filter(kind="reserve", source_type="round").get()
    assert reserved.approved_by == w.approver.signature
    assert reserved.actor != reserved.approved_by


def test_a_round_limited_to_part_of_the_pool_gives_no_more(w):
    version = make.programme(w, budget="500000", order="ranked", pool_short="partial")
    opened = make.round_of(w, version)
    low = make.waiting(w, version, "60000", score=70)
    high = make.waiting(w, version, "60000", score=90)
    done = make.decided(w, opened, pool=Money.from_yuan("100000"))
    awards = {award.application_id: award for award in done.awards.all()}
    assert (awards[high.pk].place, awards[high.pk].amount_fen) == (1, 6_000_000)
    assert (awards[low.pk].place, awards[low.pk].amount_fen, awards[low.pk].why) == (2, 4_000_000, "rest")
    assert awards[high.pk].score_num == 90
    assert issuance.pool_of(version) == Money.from_yuan("400000")


def test_a_refused_award_closes_its_case_with_the_reason(w):
    version = make.programme(w, budget="60000", order="ranked", pool_short="reject")
    opened = make.round_of(w, version)
    best = make.waiting(w, version, "60000", score=90)
    worst = make.waiting(w, version, "60000", score=60)
    make.decided(w, opened)
    worst.refresh_from_db()
    assert state_of(best) == "issued"
    assert (worst.state, worst.amount_fen, worst.note) == ("refused", 0, "资金池已用完")


def test_an_open_round_is_not_closed_early_and_nobody_is_proposed_before(w):
    opened = make.round_of(w, make.programme(w, **PRORATE))
    with pytest.raises(rules.StillOpen):
        services.close(actor=w.publisher, round_=opened, now=make.NOW)
    with pytest.raises(InvalidTransition):
        services.propose(actor=w.reviewer, round_=opened, now=make.NOW)
    assert services.close_due(now=LATER - timedelta(microseconds=1)) == 0
    assert services.close_due(now=LATER) == 1
    assert services.close_due(now=LATER) == 0
    with pytest.raises(rules.NobodyWaits):
        services.propose(actor=w.reviewer, round_=opened, now=LATER)


def test_one_round_at_a_time_and_only_for_batch_orders(w):
    version = make.programme(w, **PRORATE)
    make.round_of(w, version)
    with pytest.raises(rules.AlreadyOpen):
        make.round_of(w, version)
    with pytest.raises(rules.NotABatch):
        make.round_of(w, make.programme(w, code="first-come-2026"))
    with pytest.raises(rules.BadWindow):
        make.round_of(w, make.programme(w, code="past-2026", **PRORATE), closes_at=make.NOW)
    with pytest.raises(Forbidden):
        services.open_round(actor=w.owner, version=version, closes_at=None, now=make.NOW)


def test_late_and_unfinished_cases(w):
    version = make.programme(w, **PRORATE)
    opened = make.round_of(w, version)
    make.waiting(w, version)
    unfinished = make.application(w, version, number="HT-X")
    services.close_due(now=LATER)
    late = make.waiting(w, version, now=LATER)
    with pytest.raises(rules.StillReviewed) as refused:
        services.propose(actor=w.reviewer, round_=opened, now=LATER)
    assert refused.value.params == {"count": 1, "numbers": unfinished.number}
    applications.withdraw(actor=w.owner, application=unfinished, now=LATER)
    services.propose(actor=w.reviewer, round_=opened, now=LATER)
    assert opened.awards.count() == 1
    assert not opened.awards.filter(application=late).exists()


def test_a_case_sent_back_for_facts_stays_in_time(w):
    """What was submitted before the end takes part, even when the answer to a question comes after it."""
    version = make.programme(w, **PRORATE)
    opened = make.round_of(w, version)
    case = make.application(w, version)
    make.returned(w, case, note="请补充")
    after = LATER + timedelta(days=1)
    case = applications.complete(actor=w.owner, application=case, stated={}, now=after)
    for judge in (w.reviewer, w.approver):
        make.passed(w, case, by=judge, now=after)
    services.close_due(now=after)
    services.propose(actor=w.reviewer, round_=opened, now=after)
    assert opened.awards.get().application == case


def test_two_persons_decide_and_neither_is_the_applicants(w):
    version = make.programme(w, **PRORATE)
    opened = make.round_of(w, version)
    case = make.waiting(w, version)
    services.close_due(now=LATER)
    both = make.actor(w.department, Role.REVIEWER, Role.APPROVER, name="双岗")
    services.propose(actor=both, round_=opened, now=LATER)
    with pytest.raises(rules.SamePerson):
        deciding.confirm(actor=both, round_=opened, now=LATER)
    with pytest.raises(Forbidden):
        deciding.confirm(actor=w.reviewer, round_=opened, now=LATER)
    own = Member.objects.create(
        user_id=w.approver.user_id, organisation=case.organisation, roles=[Role.RESEARCHER.value]
    )
    with pytest.raises(rules.TakesPart):
        deciding.confirm(actor=w.approver, round_=opened, now=LATER)
    own.delete()
    assert deciding.confirm(actor=w.approver, round_=opened, now=LATER).state == "granted"
    with pytest.raises(IntegrityError), transaction.atomic():
        Round.objects.filter(pk=opened.pk).update(checked_by=both.user_id)


def test_another_department_reaches_nothing(w):
    version = make.programme(w, **PRORATE)
    opened = make.round_of(w, version)
    other = make.organisation(make.roles.Kind.DEPARTMENT)
    stranger = make.actor(other, Role.REVIEWER, Role.APPROVER, Role.PROGRAMME_PUBLISHER)
    assert list(access.own(stranger)) == []
    for act in (
        lambda: services.close(actor=stranger, round_=opened, now=LATER),
        lambda: services.propose(actor=stranger, round_=opened, now=LATER),
        lambda: deciding.confirm(actor=stranger, round_=opened, now=LATER),
    ):
        with pytest.raises(Forbidden):
            act()


def test_a_proposal_that_no_longer_fits_is_not_confirmed(w):
    version = make.programme(w, budget="100000", **PRORATE)
    opened = make.round_of(w, version)
    make.waiting(w, version)
    owner = make.applicant()
    leaving = make.waiting(w, version, owner=owner)
    services.close_due(now=LATER)
    services.propose(actor=w.reviewer, round_=opened, now=LATER)
    applications.withdraw(actor=owner, application=leaving, now=LATER)
    with pytest.raises(rules.RoundChanged):
        deciding.confirm(actor=w.approver, round_=opened, now=LATER)
    assert issuance.pool_of(version) == Money.from_yuan("100000")
    rejected = services.reject(actor=w.approver, round_=opened, note="有人撤回", now=LATER)
    assert (rejected.state, rejected.awards.count()) == ("closed", 0)
    services.propose(actor=w.reviewer, round_=opened, now=LATER)
    assert deciding.confirm(actor=w.approver, round_=opened, now=LATER).state == "granted"
    assert amounts(opened) == [10_000_000]


def test_the_pool_of_a_round_is_checked(w):
    version = make.programme(w, budget="100000", **PRORATE)
    opened = make.round_of(w, version)
    make.waiting(w, version)
    services.close_due(now=LATER)
    for yuan in ("0", "100000.01"):
        with pytest.raises(rules.PoolTooLarge):
            services.propose(actor=w.reviewer, round_=opened, pool=Money.from_yuan(yuan), now=LATER)


def test_a_lottery_shows_its_commitment_first_and_its_secret_last(w):
    version = make.programme(w, budget="100000", order="lottery", pool_short="reject")
    opened = make.round_of(w, version, public_source="上证指数收盘价")
    assert rules.is_committed(bytes(opened.seed_secret), opened.seed_commitment)
    assert opened.seed_revealed_at is None
    trail = Record.objects.get(action="round.opened")
    assert trail.data["commitment"] == opened.seed_commitment
    assert bytes(opened.seed_secret).hex() not in str(list(Record.objects.values_list("data", flat=True)))
    cases = [make.waiting(w, version, "60000") for _ in range(3)]
    services.close_due(now=LATER)
    with pytest.raises(rules.PublicValueMissing):
        services.propose(actor=w.reviewer, round_=opened, now=LATER)
    services.propose(actor=w.reviewer, round_=opened, public_value="3412.55", now=LATER)
    services.reject(actor=w.approver, round_=opened, note="再核", now=LATER)
    again = services.propose(actor=w.reviewer, round_=opened, public_value="9999.99", now=LATER)
    assert again.public_value == "3412.55"
    done = deciding.confirm(actor=w.approver, round_=opened, now=LATER)
    assert done.seed_revealed_at == LATER
    drawn = list(done.awards.order_by("place").values_list("application__number", flat=True))
    seed = rules.seed_of(bytes(done.seed_secret), "3412.55")
    assert drawn == lottery_order(seed, [case.number for case in cases])
    assert amounts(done) == [6_000_000, 0, 0]


def test_two_lotteries_never_share_a_secret(w):
    opened = [
        make.round_of(w, make.programme(w, code=f"lottery-{at}-2026", order="lottery", pool_short="reject"))
        for at in range(3)
    ]
    assert len({bytes(each.seed_secret) for each in opened}) == 3


def test_whoever_queues_is_served_in_order_when_money_returns_and_nobody_is_overtaken(w):
    version = make.programme(w, budget="100000", order="ranked", pool_short="queue")
    opened = make.round_of(w, version)
    first_owner = make.applicant()
    first = make.waiting(w, version, "80000", owner=first_owner, score=90)
    second = make.waiting(w, version, "60000", score=80)
    third = make.waiting(w, version, "10000", score=70)
    make.decided(w, opened)
    assert [state_of(case) for case in (first, second, third)] == ["issued", "waiting", "waiting"]
    assert waiting.promote_all(now=LATER) == 0

    make.programme(w, code="other-2026")
    more = make.programmes.import_version(
        actor=w.officer,
        raw=make.programme_file(order="ranked", pool_short="queue", name={"zh": "二版", "en": "2"}),
        budget=Money.from_yuan("45000"),
        fiscal_year=make.NOW.year,
        now=LATER,
    )
    make.fair_review(w, more, now=LATER)
    make.programmes.publish(actor=w.publisher, version=more, now=LATER)
    assert waiting.promote_all(now=LATER) == 1
    assert [state_of(case) for case in (second, third)] == ["issued", "waiting"]
    assert opened.awards.get(application=second).promoted_at == LATER
    assert waiting.promote_all(now=LATER) == 0


def test_a_first_come_queue_moves_up_without_gaps(w):
    version = make.programme(w, budget="100000", pool_short="queue")
    owner = make.applicant()
    first = applications.submit(
        actor=owner,
        wanted=applications.Wanted(
            version=version, contract=make.contract(items={"compute": Money.from_yuan("160000")}), stated={}
        ),
        now=make.NOW,
        key=make.key(),
    )
    second = make.waiting(w, version, "60000")
    third = make.waiting(w, version, "10000")
    assert [state_of(case) for case in (second, third)] == ["waiting", "waiting"]
    assert waiting.promote_all(now=LATER) == 0
    applications.withdraw(actor=owner, application=first, now=LATER)
    assert waiting.promote_all(now=LATER) == 2
    assert [state_of(case) for case in (second, third)] == ["issued", "issued"]
    assert issuance.pool_of(version) == Money.from_yuan("30000")


def test_a_queue_that_cannot_move_holds_up_no_other(w):
    """The first programme's vouchers would be over: its queue stands, the second's moves."""
    over = {"length": 1, "from": "contract"}
    later = make.NOW + timedelta(days=60)
    cases = []
    for code, terms in (("stuck-2026", {"validity": over}), ("moves-2026", {})):
        version = make.programme(w, code=code, budget="10000", pool_short="queue", **terms)
        owner = make.applicant()
        wanted = applications.Wanted(
            version=version, contract=make.contract(items={"compute": Money.from_yuan("18000")}), stated={}
        )
        first = applications.submit(actor=owner, wanted=wanted, now=make.NOW, key=make.key())
        cases.append(make.waiting(w, version, "6000"))
        applications.withdraw(actor=owner, application=first, now=later)
    assert waiting.promote_all(now=later) == 1
    assert [state_of(case) for case in cases] == ["waiting", "issued"]


def test_windows_of_the_programme_open_rounds_by_themselves(w):
    windows = [{"from": "2026-11-20", "to": "2026-12-01", "note": "深证成指收盘价"}]
    version = make.programme(w, order="lottery", pool_short="reject", windows=windows)
    assert services.open_due(now=make.NOW) == 1
    assert services.open_due(now=make.NOW) == 0
    opened = Round.objects.get()
    assert opened.version == version
    assert opened.seed_commitment
    assert opened.closes_at.astimezone(make.BEIJING).isoformat() == "2026-12-02T00:00:00+08:00"
    services.close_due(now=opened.closes_at)
    assert services.open_due(now=opened.closes_at) == 0


def test_a_finished_round_is_filed(w):
    version = make.programme(w, **PRORATE)
    opened = make.round_of(w, version)
    make.waiting(w, version)
    done = make.decided(w, opened)
    filed = services.evaluate(actor=w.publisher, round_=done, note="执行率 100%", now=LATER)
    assert filed.state == "evaluated"


def test_a_thousand_awards_are_reserved_in_journals_of_a_bounded_size(w, monkeypatch):
    monkeypatch.setattr(deciding, "BATCH", 2)
    version = make.programme(w, budget="100000", **PRORATE)
    opened = make.round_of(w, version)
    for _ in range(5):
        make.waiting(w, version, "10000")
    make.decided(w, opened)
    assert Journal.objects.filter(kind="reserve", source_id=opened.number).count() == 3
    assert Voucher.objects.count() == 5


@pytest.mark.django_db(transaction=True)
def test_of_two_deciders_at_once_one_decides():
    w = make.world()
    version = make.programme(w, budget="100000", **PRORATE)
    opened = make.round_of(w, version)
    make.waiting(w, version)
    services.close_due(now=LATER)
    services.propose(actor=w.reviewer, round_=opened, now=LATER)
    deciders = [w.approver, *(make.actor(w.department, Role.APPROVER) for _ in range(3))]

    def decide(who):
        try:
            deciding.confirm(actor=who, round_=opened, now=LATER)
            return "decided"
        except PortalError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        said = sorted(pool.map(decide, deciders))
    assert said == ["conflict.transition"] * 3 + ["decided"]
    assert Voucher.objects.count() == 1
    assert issuance.pool_of(version) == Money(0)


@pytest.mark.django_db(transaction=True)
def test_a_submission_in_time_that_is_written_while_the_round_closes_takes_part():
    w = make.world()
    version = make.programme(w, **PRORATE)
    opened = make.round_of(w, version)
    owners = [make.applicant() for _ in range(3)]
    last_moment = LATER - timedelta(milliseconds=1)

    def submit(owner):
        try:
            return make.waiting(w, version, owner=owner, now=last_moment).pk
        finally:
            connections.close_all()

    def shut(_):
        try:
            return services.close_due(now=LATER)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(4) as pool:
        closing = pool.submit(shut, None)
        submitted = set(pool.map(submit, owners))
        assert closing.result() == 1
    services.propose(actor=w.reviewer, round_=opened, now=LATER)
    assert set(opened.awards.values_list("application_id", flat=True)) == submitted


def test_reading_a_round_costs_the_same_however_many_take_part(w, django_assert_num_queries):
    version = make.programme(w, **PRORATE)
    opened = make.round_of(w, version)
    for _ in range(4):
        make.waiting(w, version, "1000")
    with django_assert_num_queries(2):
        assert len(queries.claims(opened, queries.members(opened))) == 4


def test_no_constraint_is_weaker_than_the_rules(w):
    opened = make.round_of(w, make.programme(w, order="lottery", pool_short="reject"))
    for wrong in ({"state": "paid"}, {"seed_commitment": ""}, {"coefficient_num": 2}, {"state": "decided"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            Round.objects.filter(pk=opened.pk).update(**wrong)
    assert Permission.PROGRAMME_PUBLISH in w.publisher.permissions
    assert RoundAward.objects.count() == 0
