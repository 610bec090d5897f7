import pytest
from django.db import IntegrityError, transaction

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.kernel.money import Money
from portal.organisations.rules import Kind, Role
from tests import make, standing
from tests.vouchers.claims import making
from vouchers.charges import refunding
from vouchers.charges.models import Charge
from vouchers.claims import paying
from vouchers.ledger import queries as ledger
from vouchers.recoveries import access, collecting, queries, rules, services
from vouchers.recoveries.models import Recovery
from vouchers.recoveries.services import Breach, Ruling
from vouchers.wallets import expiry
from vouchers.wallets import services as wallets

LATER = [{"breach": "虚报用量", "recover": True, "bar_years": 3, "publish": True, "party": "applicant"}]


def balance(kind):
    return sum(row.balance_fen for row in ledger.trial_balance() if row.kind.value == kind)


def build():
    w = make.world()
    return w, making.approved(w, making.filed(w, make.voucher(w, making.reimbursing(w, sanctions=LATER)), "30000"))


_standing, _own, w, claim = standing.fixtures(build, "w", "claim")


@pytest.fixture
def case(w, claim):
    return services.open_case(actor=w.reviewer, breach=Breach(text="虚报用量", claim=claim), now=make.NOW)


def heard(w, case):
    return services.hear(actor=w.reviewer, recovery=case, note="单位承认", now=make.NOW)


def decided(w, case, fen=1_000_000, actor=None, **more):
    heard(w, case)
    ruling = Ruling(receivable=Money(fen), reason="抽查不实", **more)
    return services.decide(actor=actor or w.reviewer, recovery=case, ruling=ruling, now=make.NOW)


def confirmed(w, case, fen=1_000_000, **more):
    return services.confirm(actor=w.approver, recovery=decided(w, case, fen, **more), now=make.NOW)


def test_a_case_takes_over_what_the_programme_says_of_the_breach(case):
    assert (case.state, case.bar_years, case.publish) == ("open", 3, True)


def test_nobody_is_decided_against_unheard(w, case):
    with pytest.raises(InvalidTransition):
        services.decide(actor=w.reviewer, recovery=case, ruling=Ruling(Money(1), "x"), now=make.NOW)
    with pytest.raises(rules.TextMissing):
        services.hear(actor=w.reviewer, recovery=case, note=" ", now=make.NOW)


def test_two_persons_decide_and_only_then_money_moves(w, case):
    both = make.actor(w.department, Role.REVIEWER, Role.APPROVER)
    decided(w, case, actor=both)
    assert balance("receivable_enterprise") == 0
    with pytest.raises(rules.SamePerson):
        services.confirm(actor=both, recovery=case, now=make.NOW)
    with pytest.raises(Forbidden):
        services.confirm(actor=w.reviewer, recovery=case, now=make.NOW)
    case = services.confirm(actor=w.approver, recovery=case, now=make.NOW)
    assert (case.state, balance("receivable_enterprise"), balance("clawed_back")) == (
        "recovering",
        1_000_000,
        1_000_000,
    )
    with pytest.raises(IntegrityError), transaction.atomic():
        Recovery.objects.filter(pk=case.pk).update(confirmed_by=case.decided_by)


@pytest.mark.parametrize("fen", [-1, 3_000_001])
def test_no_more_is_asked_back_than_was_paid(w, case, fen):
    heard(w, case)
    with pytest.raises(rules.TooMuch):
        services.decide(actor=w.reviewer, recovery=case, ruling=Ruling(Money(fen), "x"), now=make.NOW)


def test_two_cases_on_one_claim_share_its_limit(w, claim, case):
    confirmed(w, case, 2_000_000)
    second = services.open_case(actor=w.reviewer, breach=Breach(text="另一项", claim=claim), now=make.NOW)
    assert queries.limit_fen(second) == 1_000_000


def test_money_comes_in_once_a_bank_reference_and_closes_the_case(w, case):
    confirmed(w, case)
    collecting.receive(actor=w.finance, recovery=case, amount=Money(400_000), bank_reference="ICBC-1", now=make.NOW)
    with pytest.raises(rules.BankReferenceTaken):
        collecting.receive(actor=w.finance, recovery=case, amount=Money(1), bank_reference="ICBC-1", now=make.NOW)
    with pytest.raises(rules.TooMuch):
        collecting.receive(actor=w.finance, recovery=case, amount=Money(600_001), bank_reference="ICBC-2", now=make.NOW)
    done = collecting.receive(
        actor=w.finance, recovery=case, amount=Money(600_000), bank_reference="ICBC-3", now=make.NOW
    )
    assert (done.state, balance("receivable_enterprise")) == ("recovered", 0)
    with pytest.raises(InvalidTransition):
        collecting.receive(actor=w.finance, recovery=case, amount=Money(1), bank_reference="ICBC-4", now=make.NOW)
    assert ledger.unaccounted_fen() == 0


def test_a_write_off_needs_two_persons(w, case):
    confirmed(w, case)
    with pytest.raises(rules.TextMissing):
        collecting.write_off(actor=w.finance_approver, recovery=case, now=make.NOW)
    both = make.actor(w.department, Role.FINANCE_OFFICER, Role.FINANCE_APPROVER)
    collecting.ask_write_off(actor=both, recovery=case, reason="单位已注销", now=make.NOW)
    with pytest.raises(rules.SamePerson):
        collecting.write_off(actor=both, recovery=case, now=make.NOW)
    done = collecting.write_off(actor=w.finance_approver, recovery=case, now=make.NOW)
    assert (done.state, balance("write_off"), balance("receivable_enterprise")) == ("written_off", 1_000_000, 0)


def test_a_barred_enterprise_cannot_apply_until_the_day_is_over(w, case):
    confirmed(w, case, bar_years=3)
    w.enterprise.refresh_from_db()
    assert w.enterprise.facts["barred_until"] == "2029-11-25"
    version = make.programme(w, code="after-2026")
    with pytest.raises(Refused) as refused:
        make.application(w, version, number="HT-9")
    assert any("barred" in str(reason.params) or reason.code.endswith("dishonesty") for reason in refused.value.reasons)


def test_only_published_sanctions_are_public(w, case):
    assert list(access.published()) == []
    confirmed(w, case, publish=True)
    assert [row.number for row in access.published()] == [case.number]


def test_a_dropped_case_has_no_consequence(w, case):
    services.drop(actor=w.reviewer, recovery=heard(w, case), reason="核实无误", now=make.NOW)
    w.enterprise.refresh_from_db()
    assert "barred_until" not in w.enterprise.facts
    assert balance("receivable_enterprise") == 0


def test_a_sent_back_decision_is_made_anew(w, case):
    decided(w, case)
    services.send_back(actor=w.approver, recovery=case, reason="金额需复核", now=make.NOW)
    again = decided(w, case, 500_000)
    assert services.confirm(actor=w.approver, recovery=again, now=make.NOW).receivable_fen == 500_000


def test_who_belongs_to_the_debtor_and_other_departments_keep_out(w, case):
    make.Member.objects.create(user=make.user_of(w.reviewer), organisation=w.enterprise, roles=["owner"])
    with pytest.raises(rules.Involved):
        services.hear(actor=w.reviewer, recovery=case, note="x", now=make.NOW)
    stranger = make.actor(make.organisation(Kind.DEPARTMENT), Role.REVIEWER)
    with pytest.raises(NotFound):
        services.hear(actor=stranger, recovery=case, note="x", now=make.NOW)
    with pytest.raises(NotFound):
        access.get_recovery(stranger, case.number)
    assert access.get_recovery(w.owner, case.number).pk == case.pk


def test_a_voucher_under_inquiry_is_frozen_and_freed_when_nothing_was_found(w):
    voucher = make.voucher(w)
    both = make.actor(w.department, Role.REVIEWER, Role.APPROVER)
    case = services.open_case(actor=both, breach=Breach(text="核查", voucher=voucher), now=make.NOW)
    voucher.refresh_from_db()
    assert voucher.state == "frozen"
    services.drop(actor=both, recovery=case, reason="无误", now=make.NOW)
    voucher.refresh_from_db()
    assert voucher.state == "active"


def test_an_unused_voucher_is_taken_and_the_case_closed(w):
    others, voucher = balance("voucher"), make.voucher(w)
    case = services.open_case(actor=w.reviewer, breach=Breach(text="资格不符", voucher=voucher), now=make.NOW)
    done = confirmed(w, case, 0)
    assert (done.state, balance("clawed_back"), balance("voucher")) == ("recovered", voucher.face_fen, others)


def test_rules_that_give_the_same_propose_nothing(w):
    version = make.programme(w, code="same-2026", redeem={"mode": "award"})
    case = make.passed(w, make.application(w, version))
    make.passed(w, case, by=w.approver)
    (claim,) = paying.open_awards(now=make.NOW)
    making.approved(w, claim)
    claim.refresh_from_db()
    items = {"compute": Money(10_000_000), "instrument_use": Money(10_000_000)}
    assert services.reassess(actor=w.reviewer, claim=claim, items=items, now=make.NOW) is None
    less = services.reassess(actor=w.reviewer, claim=claim, items={"compute": Money(10_000_000)}, now=make.NOW)
    assert less.receivable_fen == 5_000_000


def test_a_case_on_a_voucher_and_one_on_its_claim_ask_for_the_same_money_once(w, claim, case):
    on_voucher = services.open_case(
        actor=w.reviewer, breach=Breach(text="虚报用量", voucher=claim.voucher), now=make.NOW
    )
    decided(w, case, 3_000_000)
    assert queries.limit_fen(on_voucher) == 0
    heard(w, on_voucher)
    with pytest.raises(rules.TooMuch):
        services.decide(actor=w.reviewer, recovery=on_voucher, ruling=Ruling(Money(1), "x"), now=make.NOW)


def test_what_was_refunded_between_decision_and_confirmation_is_not_asked_back(w):
    voucher, _made = making.served(w)
    charge = Charge.objects.order_by("pk").first()
    case = services.open_case(actor=w.reviewer, breach=Breach(text="虚报用量", voucher=voucher), now=make.NOW)
    assert queries.limit_fen(case) == 120_000
    ruled = decided(w, case, 120_000)
    refunding.refund(
        actor=w.lab_owner, charge=charge, amount=Money(96_000), reason="未提供", now=make.NOW, key=make.key()
    )
    with pytest.raises(rules.TooMuch):
        services.confirm(actor=w.approver, recovery=ruled, now=make.NOW)
    services.send_back(actor=w.approver, recovery=case, reason="已有退款", now=make.NOW)
    again = decided(w, case, 72_000)
    assert services.confirm(actor=w.approver, recovery=again, now=make.NOW).receivable_fen == 72_000


def test_what_a_refund_gave_to_the_programme_is_not_asked_back_again(w):
    voucher, _made = making.served(w)
    late = voucher.valid_until
    expiry.expire_overdue(now=late)
    case = services.open_case(actor=w.reviewer, breach=Breach(text="虚报用量", voucher=voucher), now=late)
    charge = Charge.objects.order_by("pk").first()
    refunding.refund(actor=w.lab_owner, charge=charge, amount=Money(96_000), reason="未提供", now=late, key=make.key())
    assert queries.limit_fen(case) == 72_000


def test_dropping_a_case_frees_no_voucher_that_is_frozen_for_something_else(w):
    voucher = make.voucher(w)
    both = make.actor(w.department, Role.REVIEWER, Role.APPROVER)
    wallets.freeze(actor=w.approver, voucher=voucher, reason="公安协查", now=make.NOW)
    voucher.refresh_from_db()
    case = services.open_case(actor=both, breach=Breach(text="核查", voucher=voucher), now=make.NOW)
    services.drop(actor=both, recovery=case, reason="无误", now=make.NOW)
    voucher.refresh_from_db()
    assert voucher.state == "frozen"


def test_dropping_one_of_two_cases_leaves_the_voucher_frozen(w):
    voucher = make.voucher(w)
    both = make.actor(w.department, Role.REVIEWER, Role.APPROVER)
    first = services.open_case(actor=both, breach=Breach(text="核查", voucher=voucher), now=make.NOW)
    voucher.refresh_from_db()
    second = services.open_case(actor=both, breach=Breach(text="核查", voucher=voucher), now=make.NOW)
    services.drop(actor=both, recovery=first, reason="无误", now=make.NOW)
    voucher.refresh_from_db()
    assert voucher.state == "frozen"
    services.drop(actor=both, recovery=second, reason="无误", now=make.NOW)
    voucher.refresh_from_db()
    assert voucher.state == "active"


def test_finance_people_of_the_debtor_give_nothing_up_and_book_nothing(w, case):
    confirmed(w, case)
    collecting.ask_write_off(actor=w.finance, recovery=case, reason="单位已注销", now=make.NOW)
    for someone in (w.finance, w.finance_approver):
        make.Member.objects.create(user=make.user_of(someone), organisation=w.enterprise, roles=["owner"])
    with pytest.raises(rules.Involved):
        collecting.write_off(actor=w.finance_approver, recovery=case, now=make.NOW)
    with pytest.raises(rules.Involved):
        collecting.receive(actor=w.finance, recovery=case, amount=Money(1), bank_reference="ICBC-9", now=make.NOW)
    with pytest.raises(rules.Involved):
        collecting.ask_write_off(actor=w.finance, recovery=case, reason="x", now=make.NOW)
