"""Notices and objections on a real database: who, when, what is printed, what is blocked, what follows."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from django.db import IntegrityError, connections, transaction

from portal.audit.models import Record
from portal.kernel.errors import Conflict, Forbidden, InvalidTransition, NotFound, PortalError
from portal.kernel.money import Money
from portal.organisations.rules import Role
from tests import make
from vouchers.evidence import access as evidence
from vouchers.evidence.services import Upload
from vouchers.issuance import queries as issuance
from vouchers.issuance import services as applications
from vouchers.issuance.models import Application
from vouchers.ledger.models import Journal
from vouchers.notices import access, objecting, rules, services
from vouchers.notices.models import Notice, NoticeItem, Objection
from vouchers.notices.objecting import Statement, Verdict
from vouchers.rounds import services as rounds
from vouchers.wallets.models import Voucher

TERMS = {
    "notice": {"min_working_days": 5, "fields": ["applicant", "amount", "project"], "objection_to": "科技处 0571-1"}
}
PRORATE = {"order": "all_then_prorate", "pool_short": "prorate", **TERMS}
DURING = make.NOW + timedelta(days=1)
OVER = make.NOW + timedelta(days=8)
"""After Wed 2026-12-02, the fifth working day."""
SAYS = Statement(name="张三", contact="138-0000-0000", text="该单位与服务方为同一实际控制人，证据见附件。")


def state_of(case):
    return Application.objects.values_list("state", flat=True).get(pk=case.pk)


@pytest.fixture
def judge(w):
    """Return somebody who had no part in any case."""
    return make.actor(w.department, Role.APPROVER, name="纪检")


def shown(w, count=2, **terms):
    version = make.programme(w, **{**TERMS, **terms})
    cases = [make.waiting(w, version, "10000") for _ in range(count)]
    return version, cases, make.noticed(w, version)


def test_a_decided_case_waits_for_its_notice_then_gets_its_voucher(w):
    version, cases, notice = shown(w)
    assert {state_of(case) for case in cases} == {"noticed"}
    assert notice.last_day == date(2026, 12, 2)
    assert notice.title == "创新资源共享券拟支持名单公示"
    assert not Voucher.objects.exists()
    assert services.close_due(now=notice.ends_at - timedelta(microseconds=1)) == 0
    assert services.close_due(now=notice.ends_at) == 1
    assert services.close_due(now=notice.ends_at) == 0
    assert {state_of(case) for case in cases} == {"issued"}
    assert Voucher.objects.count() == 2
    journal = Journal.objects.filter(kind="issue").first()
    assert journal.actor.endswith(f"#{w.reviewer.user_id}")
    assert journal.approved_by.endswith(f"#{w.approver.user_id}")
    assert issuance.pool_of(version) == Money.from_yuan("980000")


def test_an_item_that_cannot_be_granted_stops_no_other_and_is_tried_again(w, monkeypatch):
    version = make.programme(w, **TERMS)
    cases = [make.waiting(w, version, "10000") for _ in range(3)]
    notice = make.noticed(w, version)
    granting = services.grant_item

    def refusing(item, **more):
        if item.application_id == cases[1].pk:
            raise Conflict
        return granting(item, **more)

    with monkeypatch.context() as patched:
        patched.setattr(services, "grant_item", refusing)
        assert services.close_due(now=notice.ends_at) == 1
    assert [state_of(case) for case in cases] == ["issued", "noticed", "issued"]
    assert Record.objects.get(action="notice.closed").data["held"] == 1
    services.close_due(now=notice.ends_at)
    assert state_of(cases[1]) == "issued"


@pytest.mark.django_db(transaction=True)
def test_of_two_drafts_at_once_one_has_the_cases():
    w = make.world()
    version = make.programme(w, **TERMS)
    make.waiting(w, version, "10000")
    start = threading.Barrier(2)

    def draft(_):
        start.wait()
        try:
            return services.draft(actor=w.reviewer, version=version, now=make.NOW).state
        except PortalError as error:
            return error.code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        assert sorted(pool.map(draft, range(2))) == ["draft", "notice.nothing"]


def test_what_is_printed_is_frozen_minimal_and_never_confidential(w):
    _version, cases, notice = shown(w, count=1, confidential_fields=["contract.project"])
    item = notice.items.get()
    assert notice.fields == ["number", "applicant", "amount"]
    assert item.printed == {
        "number": cases[0].number,
        "applicant": cases[0].organisation.name,
        "amount": "10000.00",
    }


def test_two_persons_put_a_notice_out(w):
    version = make.programme(w, **TERMS)
    make.waiting(w, version)
    both = make.actor(w.department, Role.REVIEWER, Role.APPROVER)
    drafted = services.draft(actor=both, version=version, now=make.NOW)
    with pytest.raises(NotFound):
        access.get_public(drafted.number)
    with pytest.raises(rules.SamePerson):
        services.publish(actor=both, notice=drafted, now=make.NOW)
    with pytest.raises(Forbidden):
        services.publish(actor=w.reviewer, notice=drafted, now=make.NOW)
    services.publish(actor=w.approver, notice=drafted, now=make.NOW)
    assert access.get_public(drafted.number) == drafted
    with pytest.raises(InvalidTransition):
        services.publish(actor=w.approver, notice=drafted, now=make.NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        Notice.objects.filter(pk=drafted.pk).update(published_by=drafted.drafted_by_id)


def test_a_case_is_in_one_running_notice(w):
    version = make.programme(w, **TERMS)
    case = make.waiting(w, version)
    drafted = services.draft(actor=w.reviewer, version=version, now=make.NOW)
    with pytest.raises(rules.NothingToNotice):
        services.draft(actor=w.reviewer, version=version, now=make.NOW)
    services.discard(actor=w.reviewer, notice=drafted, now=make.NOW)
    again = services.draft(actor=w.reviewer, version=version, title="改题", now=make.NOW)
    assert again.title == "改题"
    assert again.items.get().application == case
    with pytest.raises(IntegrityError), transaction.atomic():
        NoticeItem.objects.create(notice=drafted, application=case, position=9, amount_fen=1)


def test_who_withdraws_leaves_the_notice(w):
    version = make.programme(w, **TERMS)
    owner = make.applicant()
    leaving, other = make.waiting(w, version, owner=owner), make.waiting(w, version)
    notice = make.noticed(w, version)
    applications.withdraw(actor=owner, application=leaving, now=DURING)
    services.close_due(now=OVER)
    assert [item.state for item in notice.items.order_by("position")] == ["dropped", "granted"]
    assert (state_of(leaving), state_of(other)) == ("withdrawn", "issued")


def test_an_objection_blocks_its_item_and_nothing_else(w, judge):
    _version, (disputed, other), notice = shown(w)
    item = notice.items.get(application=disputed)
    objection = objecting.file(item=item, statement=SAYS, key="k" * 8, now=DURING)
    assert objecting.file(item=item, statement=SAYS, key="k" * 8, now=DURING) == objection
    assert state_of(disputed) == "objection"
    services.close_due(now=OVER)
    assert (state_of(disputed), state_of(other)) == ("objection", "issued")
    assert Notice.objects.get().state == "closed"
    objecting.decide(actor=judge, objection=objection, verdict=Verdict.REJECT, reason="经核查不属实", now=OVER)
    assert state_of(disputed) == "issued"
    assert Voucher.objects.count() == 2
    found = access.objection_by_receipt(f" {objection.receipt[:4].lower()}-{objection.receipt[4:]} ")
    assert (found.state, found.reason) == ("rejected", "经核查不属实")


def test_an_objection_rejected_during_the_period_lets_the_item_run_on(w, judge):
    _version, (disputed, _other), notice = shown(w)
    item = notice.items.get(application=disputed)
    one, two = (objecting.file(item=item, statement=SAYS, key=f"key-{at}-123", now=DURING) for at in (1, 2))
    objecting.decide(actor=judge, objection=one, verdict=Verdict.REJECT, reason="不属实", now=DURING)
    assert state_of(disputed) == "objection"
    objecting.decide(actor=judge, objection=two, verdict=Verdict.REJECT, reason="不属实", now=DURING)
    assert state_of(disputed) == "noticed"
    services.close_due(now=OVER)
    assert state_of(disputed) == "issued"
    with pytest.raises(InvalidTransition):
        objecting.decide(actor=judge, objection=one, verdict=Verdict.REFUSE, reason="再议", now=OVER)


def test_an_objection_upheld_refuses_and_gives_the_money_back(w, judge):
    version, (disputed, _other), notice = shown(w)
    item = notice.items.get(application=disputed)
    one, two = (objecting.file(item=item, statement=SAYS, key=f"key-{at}-123", now=DURING) for at in (1, 2))
    objecting.decide(actor=judge, objection=one, verdict=Verdict.REFUSE, reason="关联交易属实", now=DURING)
    disputed.refresh_from_db()
    assert (disputed.state, disputed.note, disputed.reserve_hold_id) == ("refused", "关联交易属实", None)
    assert Objection.objects.get(pk=two.pk).state == "moot"
    assert issuance.pool_of(version) == Money.from_yuan("990000")
    assert notice.items.get(application=disputed).state == "dropped"


def test_an_objection_upheld_for_review_brings_the_case_back_into_a_later_round(w, judge):
    version = make.programme(w, budget="100000", **PRORATE)
    opened = make.round_of(w, version)
    case = make.waiting(w, version, "10000")
    other = make.waiting(w, version, "10000")
    done = make.decided(w, opened)
    assert (done.state, state_of(case)) == ("decided", "decided")
    at = done.decided_at
    notice = make.noticed(w, version, round_=done, now=at)
    assert notice.title == "创新资源共享券第 1 批拟支持名单公示"
    done.refresh_from_db()
    assert done.state == "noticed"
    objection = objecting.file(
        item=notice.items.get(application=case), statement=SAYS, key="key-00000", now=at + timedelta(days=1)
    )
    services.close_due(now=notice.ends_at)
    done.refresh_from_db()
    assert (done.state, state_of(other)) == ("noticed", "issued")
    fresh = [make.actor(w.department, role) for role in (Role.REVIEWER, Role.APPROVER)]
    objecting.decide(actor=judge, objection=objection, verdict=Verdict.REVIEW, reason="请复核", now=notice.ends_at)
    case.refresh_from_db()
    assert (case.state, case.turn, case.reserve_hold_id, case.amount_fen) == ("review", 2, None, case.computed_fen)
    done.refresh_from_db()
    assert done.state == "granted"
    assert issuance.pool_of(version) == Money.from_yuan("90000")
    second = make.round_of(w, version, now=notice.ends_at)
    for reviewer in fresh:
        make.passed(w, case, by=reviewer, now=notice.ends_at)
    again = make.decided(w, second)
    assert again.awards.get().application == case
    assert state_of(case) == "decided"


def test_objections_come_in_time_with_substance_and_to_what_is_shown(w):
    version, (case, _other), notice = shown(w)
    item = notice.items.get(application=case)
    for wrong in (
        Statement("", "138", SAYS.text),
        Statement("张三", " ", SAYS.text),
        Statement("张三", "138", "不公平"),
    ):
        with pytest.raises(rules.ObjectionEmpty):
            objecting.file(item=item, statement=wrong, key="key-00000", now=DURING)
    with pytest.raises(rules.PeriodOver):
        objecting.file(item=item, statement=SAYS, key="key-00000", now=notice.ends_at)
    objecting.file(item=item, statement=SAYS, key="key-00000", now=notice.ends_at - timedelta(microseconds=1))
    make.waiting(w, version)
    draft = services.draft(actor=w.reviewer, version=version, now=DURING)
    with pytest.raises(NotFound):
        access.get_public_item(draft.number, 1)
    with pytest.raises(rules.PeriodOver):
        objecting.file(item=draft.items.get(), statement=SAYS, key="key-00001", now=DURING)


def test_who_objects_stays_unknown_outside_the_department_and_brings_evidence(w):
    _version, (case, _other), notice = shown(w)
    proof = Upload("证据.pdf", b"%PDF-1.4\n1 0 obj\n<<>>\nendobj\ntrailer\n<<>>\n%%EOF\n")
    statement = Statement(SAYS.name, SAYS.contact, SAYS.text, [proof])
    objection = objecting.file(
        item=notice.items.get(application=case), statement=statement, key="key-00000", now=DURING
    )
    assert evidence.files_of(f"objection:{objection.number}").get().name == "证据.pdf"
    trail = Record.objects.filter(subject=f"objection:{objection.number}")
    assert trail
    assert all(
        "张三" not in str(row.data) and row.organisation_ids == [w.department.pk]
        for row in trail
        if row.action.startswith("objection")
    )
    stranger = make.actor(make.organisation(make.roles.Kind.DEPARTMENT), Role.APPROVER)
    with pytest.raises(NotFound):
        access.get_objection(stranger, objection.number)
    with pytest.raises(Forbidden):
        access.get_objection(w.owner, objection.number)
    with pytest.raises(rules.NoSuchReceipt):
        access.objection_by_receipt(objection.number)


def test_nobody_decides_an_objection_to_a_case_they_had_a_part_in(w):
    _version, (case, _other), notice = shown(w)
    objection = objecting.file(item=notice.items.get(application=case), statement=SAYS, key="key-00000", now=DURING)
    with pytest.raises(rules.HadPart):
        objecting.decide(actor=w.approver, objection=objection, verdict=Verdict.REJECT, reason="x", now=DURING)
    fresh = make.actor(w.department, Role.APPROVER)
    with pytest.raises(rules.ReasonMissing):
        objecting.decide(actor=fresh, objection=objection, verdict=Verdict.REJECT, reason=" ", now=DURING)
    with pytest.raises(Forbidden):
        objecting.decide(actor=w.owner, objection=objection, verdict=Verdict.REJECT, reason="x", now=DURING)


def test_an_award_stops_at_granted_and_waits_for_the_treasury(w):
    redeem = {"mode": "award", "claimant": "applicant", "payee": "applicant"}
    _version, cases, notice = shown(w, redeem=redeem)
    services.close_due(now=notice.ends_at)
    assert {state_of(case) for case in cases} == {"granted"}
    assert not Voucher.objects.exists()
    assert all(case.reserve_hold_id for case in Application.objects.all())


@pytest.mark.django_db(transaction=True)
def test_an_objection_and_the_end_of_the_notice_at_once_never_both_win():
    w = make.world()
    _version, (case, _other), notice = shown(w)
    item = notice.items.get(application=case)

    def object_(_):
        try:
            return objecting.file(
                item=item, statement=SAYS, key="key-00000", now=notice.ends_at - timedelta(seconds=1)
            ).state
        except PortalError as error:
            return error.code
        finally:
            connections.close_all()

    def close(_):
        try:
            return services.close_due(now=notice.ends_at)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as pool:
        said, ended = pool.submit(object_, None), pool.submit(close, None)
        assert ended.result() == 1
    expected = {"open": "objection", "notice.over": "issued"}
    assert state_of(case) == expected[said.result()]
    assert rounds.close_due(now=OVER) == 0
