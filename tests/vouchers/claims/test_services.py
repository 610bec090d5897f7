import threading
from datetime import timedelta
from fractions import Fraction

import pytest
from django.db import IntegrityError, connection, transaction

from portal.kernel.errors import Forbidden, InvalidTransition, NotFound, Refused
from portal.kernel.idempotency import BadKey, KeyReused
from portal.kernel.money import BadAmount, Money
from portal.organisations.rules import Role
from tests import make, standing
from tests.vouchers.claims import making
from vouchers.charges import refunding
from vouchers.charges.models import Charge
from vouchers.claims import access, deciding, paying, queries, rules, services
from vouchers.claims.models import RedemptionClaim
from vouchers.evidence.services import Upload
from vouchers.flags.models import Flag
from vouchers.issuance import services as issuance
from vouchers.ledger import queries as ledger
from vouchers.settlements import queries as due
from vouchers.settlements import services as settlements
from vouchers.wallets import expiry, redeeming
from vouchers.wallets import services as wallets
from vouchers.wallets.rules import CodeRefused


def balance(kind):
    return sum(row.balance_fen for row in ledger.trial_balance() if row.kind.value == kind)


def balances(voucher):
    found = ledger.balances(account_ids=[voucher.account_id])[voucher.account_id]
    return found.available_fen, found.held_fen


def build():
    w = make.world()
    return w, make.voucher(w, making.reimbursing(w))


_standing, _own, w, voucher = standing.fixtures(build, "w", "voucher")


def faults(error):
    return [reason.code for reason in error.value.reasons]


def test_a_reimbursement_is_held_while_checked_and_owed_once_approved(w, voucher):
    claim = making.filed(w, voucher, "30000")
    assert (claim.state, balances(voucher)) == ("checking", (7_000_000, 3_000_000))

    claim = making.approved(w, claim)
    assert (claim.state, claim.approved_fen) == ("payable", 3_000_000)
    assert balances(voucher) == (7_000_000, 0)
    assert balance("claimant_payable") == 3_000_000


def test_a_voucher_that_pays_back_pays_no_booking_and_nothing_is_held(w, voucher):
    assert not voucher.deducts
    with pytest.raises(Refused) as refused:
        make.booking(w, make.instrument(w), pay_with=voucher)
    assert faults(refused) == ["voucher.pays_back"]
    assert (Charge.objects.count(), balances(voucher)) == (0, (10_000_000, 0))
    with pytest.raises(CodeRefused):
        redeeming.make_code(actor=w.owner, voucher=voucher, now=make.NOW)


def test_a_cut_gives_the_rest_back_and_says_why(w, voucher):
    claim = making.filed(w, voucher, "30000")
    with pytest.raises(rules.NoteMissing):
        deciding.check(actor=w.reviewer, claim=claim, amount=Money(2_000_000), now=make.NOW)
    deciding.check(actor=w.reviewer, claim=claim, amount=Money(2_000_000), note="一张发票不合规", now=make.NOW)
    claim = deciding.approve(actor=w.approver, claim=claim, now=make.NOW)

    assert (claim.approved_fen, claim.note) == (2_000_000, "一张发票不合规")
    assert balances(voucher) == (8_000_000, 0)
    assert balance("claimant_payable") == 2_000_000


@pytest.mark.parametrize("amount", [0, -1, 3_000_001])
def test_no_decision_raises_the_amount(w, voucher, amount):
    claim = making.filed(w, voucher, "30000")
    with pytest.raises(rules.AmountRaised):
        deciding.check(actor=w.reviewer, claim=claim, amount=Money(amount), note="x", now=make.NOW)


def test_a_refusal_gives_everything_back_and_frees_the_invoice(w, voucher):
    rows = making.line("1000", base="2000", invoice="INV-1")
    claim = making.filed(w, voucher, "1000", rows)
    deciding.refuse(actor=w.reviewer, claim=claim, note="与合同无关", now=make.NOW)

    assert balances(voucher) == (10_000_000, 0)
    assert making.filed(w, voucher, "1000", rows).state == "checking"


def test_every_fault_is_told_at_once_and_nothing_is_done(w, voucher):
    claim = making.drafted(w, voucher, "150000", making.line("149999.99", base="150000"))
    with pytest.raises(rules.ClaimRefused) as refused:
        services.file(actor=w.owner, claim=claim, now=make.NOW)

    assert faults(refused) == ["claim.sum", "claim.share", "claim.available"]
    assert balances(voucher) == (10_000_000, 0)
    assert RedemptionClaim.objects.get().state == "draft"


def test_a_foreign_voucher_and_a_third_decimal_are_refused(w, voucher):
    stranger = make.organisation(make.roles.Kind.ENTERPRISE)
    with pytest.raises(rules.ForeignVoucher):
        making.drafted(w, voucher, actor=make.actor(stranger, Role.OWNER))
    with pytest.raises(BadAmount):
        making.yuan("100.005")


def test_an_expired_voucher_is_refused(w, voucher):
    claim = making.drafted(w, voucher)
    with pytest.raises(rules.ClaimRefused) as refused:
        services.file(actor=w.owner, claim=claim, now=voucher.valid_until)
    assert faults(refused) == ["claim.expired"]


def test_the_same_key_makes_one_claim(w, voucher):
    wanted = making.wanted(voucher, "1000")
    first = services.draft(actor=w.owner, wanted=wanted, now=make.NOW, key="key-00001")
    assert services.draft(actor=w.owner, wanted=wanted, now=make.NOW, key="key-00001").pk == first.pk
    with pytest.raises(KeyReused):
        services.draft(actor=w.owner, wanted=making.wanted(voucher, "2000"), now=make.NOW, key="key-00001")


def test_an_invoice_is_claimed_once_in_all_programmes_and_both_claims_are_flagged(w, voucher):
    first = making.filed(w, voucher, "1000", making.line("1000", base="2000", invoice="No. 2544-001"))
    other = make.voucher(w, making.reimbursing(w), number="HT-2")
    second = making.drafted(w, other, "1000", making.line("1000", base="2000", invoice="NO2544001"))
    with pytest.raises(rules.DuplicateInvoice) as found:
        services.file(actor=w.owner, claim=second, now=make.NOW)

    assert found.value.params["invoice"] == "NO2544001"
    second.refresh_from_db()
    assert (first.state, second.state, balances(other)) == ("checking", "draft", (10_000_000, 0))
    assert set(Flag.objects.values_list("subject", "pattern")) == {
        (f"claim:{first.number}", "duplicate_invoice"),
        (f"claim:{second.number}", "duplicate_invoice"),
    }


@pytest.mark.django_db(transaction=True)
def test_of_two_claims_of_one_invoice_at_once_one_is_filed():
    w = make.world()
    vouchers = [make.voucher(w, making.reimbursing(w), number=f"HT-{at}") for at in range(2)]
    row = making.line("1000", base="2000", invoice="2544001")
    claims = [making.drafted(w, voucher, "1000", row) for voucher in vouchers]
    gate, outcomes = threading.Barrier(2), []

    def run(claim):
        gate.wait()
        try:
            outcomes.append(services.file(actor=w.owner, claim=claim, now=make.NOW).state)
        except rules.DuplicateInvoice as error:
            outcomes.append(error.code)
        finally:
            connection.close()

    threads = [threading.Thread(target=run, args=[claim]) for claim in claims]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["checking", "claim.duplicate_invoice"]
    assert Flag.objects.count() == 2


def test_four_eyes_and_nobody_in_their_own_case(w, voucher):
    both = make.actor(w.department, Role.REVIEWER, Role.APPROVER)
    claim = making.filed(w, voucher)
    deciding.check(actor=both, claim=claim, now=make.NOW)
    with pytest.raises(rules.SamePerson):
        deciding.approve(actor=both, claim=claim, now=make.NOW)
    make.Member.objects.create(user=make.user_of(w.approver), organisation=w.enterprise, roles=["owner"])
    with pytest.raises(rules.Involved):
        deciding.approve(actor=w.approver, claim=claim, now=make.NOW)
    with pytest.raises(Forbidden):
        deciding.check(actor=w.finance, claim=claim, now=make.NOW)
    claim.refresh_from_db()
    with pytest.raises(IntegrityError), transaction.atomic():
        RedemptionClaim.objects.filter(pk=claim.pk).update(approved_by=claim.checked_by)


def test_another_department_does_not_see_it(w, voucher):
    claim = making.filed(w, voucher)
    other = make.organisation(make.roles.Kind.DEPARTMENT)
    stranger = make.actor(other, Role.REVIEWER)
    with pytest.raises(NotFound):
        access.get_claim(stranger, claim.number)
    with pytest.raises(NotFound):
        deciding.check(actor=stranger, claim=claim, now=make.NOW)


def test_a_drawn_claim_waits_for_the_third_party(w):
    voucher = make.voucher(w, making.reimbursing(w, audit={"sample_rate": "1", "third_party": True}))
    claim = making.filed(w, voucher, "30000")
    claim = deciding.check(actor=w.reviewer, claim=claim, now=make.NOW)
    assert (claim.state, claim.sampled) == ("audit", True)
    assert rules.drawn(claim.sample_seed, claim.number, Fraction(1))
    with pytest.raises(InvalidTransition):
        deciding.approve(actor=w.approver, claim=claim, now=make.NOW)

    third = w.third
    assert [row.number for row in access.cases(third)] == [claim.number]
    claim = deciding.find(actor=third, claim=claim, amount=Money(2_500_000), finding="抽查现场，少 1 台", now=make.NOW)
    assert (claim.state, claim.checked_fen) == ("approval", 2_500_000)
    assert deciding.approve(actor=w.approver, claim=claim, now=make.NOW).approved_fen == 2_500_000


def test_an_auditor_sees_only_what_was_drawn(w, voucher):
    claim = making.filed(w, voucher)
    deciding.check(actor=w.reviewer, claim=claim, now=make.NOW)
    assert list(access.cases(w.third)) == []


def test_documents_asked_for_must_be_there(w):
    voucher = make.voucher(w, making.reimbursing(w, evidence=[{"stage": "claim", "doc": "银行回单"}]))
    claim = making.drafted(w, voucher)
    with pytest.raises(rules.ClaimRefused) as refused:
        services.file(actor=w.owner, claim=claim, now=make.NOW)
    assert faults(refused) == ["claim.document"]
    with pytest.raises(services.UnknownDocument):
        attach(w, claim, "别的")
    attach(w, claim, "银行回单")
    assert services.file(actor=w.owner, claim=claim, now=make.NOW).state == "checking"


def attach(w, claim, document, actor=None):
    return services.attach(
        actor=actor or w.owner, claim=claim, document=document, upload=Upload("回单.png", making.PNG), now=make.NOW
    )


def test_a_returned_claim_is_changed_and_filed_again(w, voucher):
    claim = making.filed(w, voucher, "30000")
    deciding.send_back(actor=w.reviewer, claim=claim, note="请补充回单", now=make.NOW)
    services.change(actor=w.owner, claim=claim, wanted=making.wanted(voucher, "20000"), now=make.NOW)
    assert balances(voucher) == (10_000_000, 0)
    claim = services.file(actor=w.owner, claim=claim, now=make.NOW)
    assert (claim.state, balances(voucher)) == ("checking", (8_000_000, 2_000_000))
    assert making.approved(w, claim).approved_fen == 2_000_000


def test_a_withdrawn_claim_holds_nothing(w, voucher):
    row = making.line("1000", base="2000", invoice="X-1")
    claim = making.filed(w, voucher, "1000", row)
    assert services.withdraw(actor=w.owner, claim=claim, now=make.NOW).state == "withdrawn"
    assert balances(voucher) == (10_000_000, 0)
    assert making.filed(w, voucher, "1000", row).state == "checking"
    with pytest.raises(InvalidTransition):
        services.withdraw(actor=w.owner, claim=claim, now=make.NOW)


def claimed(w, made):
    charges = list(Charge.objects.order_by("pk"))
    lines = [
        services.Line(what=charge.subject, amount=Money(charge.voucher_captured_fen), charge=charge.number)
        for charge in charges
    ]
    total = Money(sum(line.amount.fen for line in lines))
    return services.draft(
        actor=w.lab_owner, wanted=services.Wanted(amount=total, lines=lines), now=make.NOW, key=make.key()
    )


def test_a_provider_is_paid_on_its_claim_only(w):
    _voucher, made = making.served(w)
    assert due.due_to(w.lab.pk, now=make.NOW) == []
    assert [part.payable_fen for part in queries.claimable(w.lab.pk)] == [48000, 72000]

    claim = claimed(w, made)
    attach(w, claim, "服务发票", actor=w.lab_owner)
    claim = services.file(actor=w.lab_owner, claim=claim, now=make.NOW)
    assert list(queries.claimable(w.lab.pk)) == []
    making.approved(w, claim)
    batch = settlements.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert batch.total_fen == 120_000
    settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)
    claim.refresh_from_db()
    assert (claim.state, balance("settled"), balance("provider_payable")) == ("settled", 120_000, 0)
    assert ledger.unaccounted_fen() == 0


def test_what_is_cut_from_a_provider_goes_back_to_the_voucher(w):
    voucher, made = making.served(w)
    claim = claimed(w, made)
    attach(w, claim, "服务发票", actor=w.lab_owner)
    services.file(actor=w.lab_owner, claim=claim, now=make.NOW)
    before = balances(voucher)[0]
    deciding.check(actor=w.reviewer, claim=claim, amount=Money(100_000), note="机时不符", now=make.NOW)
    deciding.approve(actor=w.approver, claim=claim, now=make.NOW)
    assert balances(voucher)[0] == before + 20_000
    assert balance("provider_payable") == 100_000


def test_a_charge_is_claimed_once(w):
    _voucher, made = making.served(
        w, evidence=[{"stage": "claim", "doc": "发票", "required_when": ["contract.months", ">", 99]}]
    )
    first, second = claimed(w, made), claimed(w, made)
    services.file(actor=w.lab_owner, claim=first, now=make.NOW)
    with pytest.raises(rules.ClaimRefused) as refused:
        services.file(actor=w.lab_owner, claim=second, now=make.NOW)
    assert faults(refused) == ["claim.charge_taken"]


def test_another_provider_cannot_claim_it(w):
    _voucher, _made = making.served(w)
    stranger = make.organisation(make.roles.Kind.PROVIDER)
    line = services.Line(what="x", amount=Money(48000), charge=Charge.objects.first().number)
    with pytest.raises(NotFound):
        services.draft(
            actor=make.actor(stranger, Role.OWNER),
            wanted=services.Wanted(amount=Money(48000), lines=[line]),
            now=make.NOW,
            key=make.key(),
        )


def test_payers_bear_their_parts_and_the_last_takes_the_remainder(w):
    funding = [{"payer": "city", "share": "0.5"}, {"payer": "district", "share": "0.5"}]
    voucher = make.voucher(w, making.reimbursing(w, funding=funding))
    claim = making.approved(w, making.filed(w, voucher, "66666.67"))
    assert [(part.payer, part.amount_fen) for part in claim.parts.all()] == [
        ("city", 3_333_334),
        ("district", 3_333_333),
    ]


def test_the_city_that_pays_its_part_is_the_applicants(w):
    funding = [{"payer": "applicant.city", "share": "0.5"}, {"payer": "district", "share": "0.5"}]
    claim = making.approved(w, making.filed(w, make.voucher(w, making.reimbursing(w, funding=funding)), "1000"))
    assert [part.payer for part in claim.parts.all()] == [w.enterprise.city, "district"]


def provider_claim(w):
    """File a provider's claim on two charges of 480 and 720 yuan of voucher money."""
    voucher, made = making.served(w)
    claim = claimed(w, made)
    attach(w, claim, "服务发票", actor=w.lab_owner)
    return voucher, services.file(actor=w.lab_owner, claim=claim, now=make.NOW), Charge.objects.order_by("pk").first()


def given_back(w, charge, yuan):
    return refunding.refund(
        actor=w.keeper, charge=charge, amount=making.yuan(yuan), reason="部分失败", now=make.NOW, key=make.key()
    )


def test_what_was_refunded_after_filing_is_not_given_back_twice_by_a_refusal(w):
    voucher, claim, charge = provider_claim(w)
    given_back(w, charge, "100")
    deciding.refuse(actor=w.reviewer, claim=claim, note="服务不符", now=make.NOW)
    assert balances(voucher) == (10_000_000, 0)
    assert (balance("provider_payable"), balance("receivable_provider")) == (0, 0)
    assert ledger.unaccounted_fen() == 0


def test_a_cut_for_what_was_refunded_only_settles_the_debt(w):
    voucher, claim, charge = provider_claim(w)
    given_back(w, charge, "960")
    deciding.check(actor=w.reviewer, claim=claim, amount=Money(72_000), note="一笔已退款", now=make.NOW)
    deciding.approve(actor=w.approver, claim=claim, now=make.NOW)
    assert balances(voucher) == (10_000_000 - 72_000, 0)
    assert (balance("provider_payable"), balance("receivable_provider")) == (72_000, 0)
    assert ledger.unaccounted_fen() == 0


@pytest.mark.parametrize(("back", "kept"), [("1", 100), ("100", 47_999), ("960", 71_999), ("960", 72_001), ("500", 1)])
def test_a_cut_beyond_what_was_not_refunded_takes_from_no_line_more_than_it_had(w, back, kept):
    voucher, claim, charge = provider_claim(w)
    given_back(w, charge, back)
    deciding.check(actor=w.reviewer, claim=claim, amount=Money(kept), note="机时不符", now=make.NOW)
    deciding.approve(actor=w.approver, claim=claim, now=make.NOW)
    refunded = making.yuan(back).fen // 2
    already = max(0, refunded - (120_000 - kept))
    assert balances(voucher) == (10_000_000 - kept + already, 0)
    assert (balance("provider_payable"), balance("receivable_provider")) == (kept, already)
    assert ledger.unaccounted_fen() == 0


def test_a_refund_after_a_cut_takes_nothing_from_the_voucher(w):
    _voucher, claim, _charge = provider_claim(w)
    deciding.check(actor=w.reviewer, claim=claim, amount=Money(100_000), note="机时不符", now=make.NOW)
    deciding.approve(actor=w.approver, claim=claim, now=make.NOW)
    last = Charge.objects.order_by("pk").last()
    refund = given_back(w, last, "10")
    assert (refund.voucher_fen, refund.own_fen) == (0, 1_000)


@pytest.mark.django_db(transaction=True)
def test_a_refund_and_a_filing_at_once_never_pay_the_same_money_twice():
    w = make.world()
    _voucher, made = making.served(w)
    claim = claimed(w, made)
    attach(w, claim, "服务发票", actor=w.lab_owner)
    charge = Charge.objects.order_by("pk").first()
    gate = threading.Barrier(2)

    def run(act):
        gate.wait()
        try:
            act()
        except rules.ClaimRefused:
            pass  # the refund was first: the line no longer is what its voucher paid
        finally:
            connection.close()

    acts = [
        lambda: services.file(actor=w.lab_owner, claim=claim, now=make.NOW),
        lambda: given_back(w, charge, "100"),
    ]
    threads = [threading.Thread(target=run, args=[act]) for act in acts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    claim.refresh_from_db()
    charge.refresh_from_db()
    part = charge.parts.get()
    if claim.state == "checking":
        assert part.payable_fen == part.captured_fen
        assert balance("receivable_provider") == part.refunded_fen
    assert balance("provider_payable") - balance("receivable_provider") == 120_000 - part.refunded_fen


def test_a_claim_is_never_changed_to_nothing(w, voucher):
    claim = making.drafted(w, voucher)
    nothing = services.Wanted(amount=Money(0), voucher=voucher.number, lines=[making.line("1")])
    with pytest.raises(rules.ClaimRefused) as refused:
        services.change(actor=w.owner, claim=claim, wanted=nothing, now=make.NOW)
    assert faults(refused) == ["claim.amount"]


def test_a_frozen_voucher_takes_no_new_claim_but_one_filed_before_goes_on(w, voucher):
    before = making.filed(w, voucher, "1000")
    deciding.send_back(actor=w.reviewer, claim=before, note="请补充", now=make.NOW)
    claim = making.drafted(w, voucher)
    wallets.freeze(actor=w.approver, voucher=voucher, reason="核查", now=make.NOW)
    with pytest.raises(rules.ClaimRefused) as refused:
        services.file(actor=w.owner, claim=claim, now=make.NOW)
    assert faults(refused) == ["claim.frozen"]
    assert services.file(actor=w.owner, claim=before, now=make.NOW).state == "checking"


def test_a_claim_filed_in_time_may_be_supplemented_after_its_voucher_ended(w, voucher):
    claim = making.filed(w, voucher, "30000")
    deciding.send_back(actor=w.reviewer, claim=claim, note="请补充回单", now=make.NOW)
    expiry.expire_overdue(now=voucher.valid_until)
    assert services.file(actor=w.owner, claim=claim, now=voucher.valid_until).state == "checking"
    assert balances(voucher) == (0, 3_000_000)


def test_what_a_refusal_or_a_cut_frees_on_an_ended_voucher_goes_to_the_programme(w, voucher):
    refused, cut = making.filed(w, voucher, "30000"), making.filed(w, voucher, "20000")
    late = voucher.valid_until
    assert expiry.expire_overdue(now=late) == 1
    deciding.refuse(actor=w.reviewer, claim=refused, note="不符", now=late + timedelta(seconds=1))
    assert balances(voucher) == (0, 2_000_000)
    deciding.check(actor=w.reviewer, claim=cut, amount=Money(1_500_000), note="核减", now=late)
    deciding.approve(actor=w.approver, claim=cut, now=late + timedelta(seconds=2))
    assert balances(voucher) == (0, 0)
    assert balance("claimant_payable") == 1_500_000
    assert ledger.unaccounted_fen() == 0


def test_an_invoice_number_that_is_none_is_told(w, voucher):
    claim = making.drafted(w, voucher, "1000", making.line("1000", base="2000", invoice="⒇" * 40))
    with pytest.raises(rules.ClaimRefused) as refused:
        services.file(actor=w.owner, claim=claim, now=make.NOW)
    assert faults(refused) == ["claim.line_invoice_key"]


def test_whoever_checks_may_not_refuse_what_came_to_approval_meanwhile(w, voucher):
    seen = making.filed(w, voucher)
    deciding.check(actor=w.reviewer, claim=seen, now=make.NOW)
    assert seen.state == "checking"
    other = make.actor(w.department, Role.REVIEWER)
    with pytest.raises(Forbidden):
        deciding.refuse(actor=other, claim=seen, note="不符", now=make.NOW)


def award(w, **terms):
    version = make.programme(w, code="award-2026", redeem={"mode": "award"}, **terms)
    case = make.passed(w, make.application(w, version))
    return make.passed(w, case, by=w.approver)


def test_an_award_is_opened_once_and_paid_without_a_voucher(w):
    case = award(w)
    (claim,) = paying.open_awards(now=make.NOW)
    assert paying.open_awards(now=make.NOW) == []
    assert (case.state, claim.state, claim.amount_fen) == ("granted", "checking", 10_000_000)

    others = balance("voucher")
    making.approved(w, claim)
    assert (balance("claimant_payable"), balance("voucher")) == (10_000_000, others)
    batch = settlements.draft(actor=w.finance, payee=w.enterprise, now=make.NOW)
    settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)
    case.refresh_from_db()
    assert (case.state, balance("settled")) == ("paid", 10_000_000)
    assert ledger.unaccounted_fen() == 0


def test_a_refused_award_gives_its_reservation_back_and_ends_the_case(w):
    before, case = balance("budget"), award(w)
    pool = before + 100_000_000
    (claim,) = paying.open_awards(now=make.NOW)
    with pytest.raises(InvalidTransition):
        services.withdraw(actor=w.owner, claim=claim, now=make.NOW)
    deciding.refuse(actor=w.reviewer, claim=claim, note="企业已注销", now=make.NOW)
    case.refresh_from_db()
    assert (case.state, case.reserve_hold_id) == ("withdrawn", None)
    assert paying.open_awards(now=make.NOW) == []
    assert balance("budget") == pool
    assert balance("claimant_payable") == 0


def test_a_granted_award_is_not_withdrawn_under_its_claim(w):
    case = award(w)
    (claim,) = paying.open_awards(now=make.NOW)
    with pytest.raises(InvalidTransition):
        issuance.withdraw(actor=w.owner, application=case, now=make.NOW)
    making.approved(w, claim)
    assert balance("claimant_payable") == 10_000_000


def test_no_caller_can_take_the_key_of_an_awards_claim(w, voucher):
    version = make.programme(w, code="award-2026", redeem={"mode": "award"})
    case = make.application(w, version, number="HT-9")
    for key in (f"award:{case.number}", f"award.{case.number}", f"award-{case.number}"):
        services.draft(actor=w.owner, wanted=making.wanted(voucher, "1"), now=make.NOW, key=key)
    make.passed(w, make.passed(w, case), by=w.approver)
    assert [claim.application_id for claim in paying.open_awards(now=make.NOW)] == [case.pk]
    with pytest.raises(BadKey):
        services.draft(
            actor=w.owner, wanted=making.wanted(voucher, "1"), now=make.NOW, key=RedemptionClaim.objects.first().key
        )


def test_an_award_that_needs_documents_waits_for_the_enterprise(w):
    award(w, evidence=[{"stage": "claim", "doc": "付款凭证"}])
    (claim,) = paying.open_awards(now=make.NOW)
    assert claim.state == "draft"
    attach(w, claim, "付款凭证")
    assert services.file(actor=w.owner, claim=claim, now=make.NOW).state == "checking"


def test_a_top_up_follows_the_payment_and_waits_for_a_person(w):
    code = "topup-2026"
    make.programme(
        w, code=code, lines=[{"id": "20%", "derived_from": "award-2026", "rate": "0.20"}], redeem={"mode": "award"}
    )
    award(w)
    (base,) = paying.open_awards(now=make.NOW)
    making.approved(w, base)
    batch = settlements.draft(actor=w.finance, payee=w.enterprise, now=make.NOW)
    settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    assert not RedemptionClaim.objects.filter(base=base).exists()
    settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)

    topup = RedemptionClaim.objects.get(base=base)
    assert (topup.state, topup.amount_fen, balance("claimant_payable")) == ("proposed", 2_000_000, 0)
    paying.confirm_topup(actor=w.reviewer, claim=topup, now=make.NOW)
    with pytest.raises(rules.SamePerson):
        both = make.actor(w.department, Role.REVIEWER, Role.APPROVER)
        RedemptionClaim.objects.filter(pk=topup.pk).update(checked_by=both.user_id)
        deciding.approve(actor=both, claim=topup, now=make.NOW)
    deciding.approve(actor=w.approver, claim=topup, now=make.NOW)
    assert balance("claimant_payable") == 2_000_000
