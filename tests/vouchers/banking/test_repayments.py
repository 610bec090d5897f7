"""Money a payee pays back: what it owes of settlements, up to that; and of recoveries, what finance recorded by hand."""

from __future__ import annotations

import pytest

from portal.kernel.money import Money
from portal.organisations.models import Member
from tests import make
from tests.vouchers.banking.sheets import row
from tests.vouchers.banking.test_releasing import claim, confirmed, released
from tests.vouchers.banking.test_services import bank, bring, due, line
from tests.vouchers.claims import making
from tests.vouchers.payees import making as accounts
from tests.vouchers.reconciliation.test_bank_days import books
from tests.vouchers.recoveries.test_services import confirmed as decided
from tests.vouchers.scenarios.vouchers import bought, granted, of_kind
from tests.vouchers.settlements import ordered
from tests.vouchers.settlements.test_lateness import FAILED, PAID, failed_then_paid, settled
from vouchers.banking import automatic, rules, services, undoing, wanting
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.banking.suggesting import load, suggestions
from vouchers.ledger import auditing
from vouchers.payments.rules import OwnPayment
from vouchers.recoveries import collecting
from vouchers.recoveries import services as recoveries
from vouchers.recoveries.models import Recovery
from vouchers.recoveries.services import Breach
from vouchers.settlements import repaying
from vouchers.settlements import services as settlements
from vouchers.settlements.order_models import Discrepancy


def back(payee, fen: int) -> list[Part]:
    return [Part(PartKind.REPAYMENT, fen, payer=payee)]


@pytest.fixture
def payee(w):
    """Return a payee that has ¥100.00 twice: the bank paid what it had said had failed."""
    batch, found = failed_then_paid(w)
    settled(w, found)
    return batch.payee


def clean() -> bool:
    return auditing.audit(now=make.NOW).clean and books().unexplained_fen == 0


def test_a_payee_pays_back_what_it_owes_and_is_paid_anew_in_full(w, payee):
    bring(w, row("B1", "60.00", name=payee.name), row("B2", "40.00", name=payee.name))
    [best, *_more] = suggestions(line("B1"), load([line("B1")]))
    assert ([part.kind for part in best.parts], best.reasons, best.certain) == (["repayment"], ("payer", "owes"), False)
    services.match(actor=w.finance, line=line("B1"), parts=best.parts, now=make.NOW)
    assert (of_kind("receivable_provider"), bank()) == (4_000, 6_000)
    parts = wanting.parts_of(line("B2"), [wanting.Wanted(PartKind.REPAYMENT, payee.credit_code)])
    services.match(actor=w.finance, line=line("B2"), parts=parts, now=make.NOW)
    assert (line("B2").state, of_kind("receivable_provider"), repaying.owed_by([payee.pk])) == ("matched", 0, {})
    again = settlements.draft(actor=w.finance, payee=payee, now=make.NOW)
    assert (again.total_fen, clean()) == (10_000, True)


def test_no_more_than_it_owes_whatever_waits_or_is_about_to_be_taken_off(w, payee, settings):
    bring(w, row("B1", "100.01", name=payee.name), row("B2", "60.00", name=payee.name), row("B3", "60.00", name="甲"))
    with pytest.raises(repaying.MoreThanOwed) as told:
        services.match(actor=w.finance, line=line("B1"), parts=back(payee, 10_001), now=make.NOW)
    assert told.value.params["left"] == Money(10_000)
    with pytest.raises(repaying.MoreThanOwed):
        services.match(actor=w.finance, line=line("B1"), parts=back(w.lab, 10_001), now=make.NOW)
    settings.BANK_TWO_PERSON_FEN = 5_000
    made = services.match(actor=w.finance, line=line("B2"), parts=back(payee, 6_000), now=make.NOW)
    assert (made.state, of_kind("receivable_provider")) == ("proposed", 10_000)
    with pytest.raises(repaying.MoreThanOwed):
        services.match(actor=w.finance, line=line("B3"), parts=back(payee, 6_000), now=make.NOW)
    with pytest.raises(rules.SamePerson):
        services.confirm(actor=w.finance, match=made, now=make.NOW)
    batch = settlements.draft(actor=w.finance, payee=payee, now=make.NOW)
    assert batch.total_fen == 0, "takes all of it off"
    with pytest.raises(repaying.MoreThanOwed):
        services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    settlements.discard(actor=w.finance, batch=batch, now=make.NOW)
    services.confirm(actor=w.finance_approver, match=made, now=make.NOW)
    assert (of_kind("receivable_provider"), clean()) == (4_000, True)


def test_a_wrong_one_is_reversed_by_two_and_parked_money_may_turn_out_to_be_one(w, payee):
    bring(w, row("B1", "100.00", name="某公司"))
    services.park(actor=w.finance, line=line("B1"), now=make.NOW)
    for _time in range(2):
        services.match(actor=w.finance, line=line("B1"), parts=back(payee, 10_000), now=make.NOW)
        assert (of_kind("receivable_provider"), of_kind("unapplied_cash"), bank()) == (0, 0, 10_000)
        undoing.doubt(actor=w.finance, match=line("B1").matches.first(), reason="看错", now=make.NOW)
        undoing.reverse(actor=w.finance_approver, match=line("B1").matches.first(), now=make.NOW)
        assert (line("B1").state, of_kind("receivable_provider"), of_kind("unapplied_cash")) == (
            "parked",
            10_000,
            10_000,
        )
        assert clean()


def test_programme_money_goes_back_to_its_own_purse(w):
    voucher = granted(w, 10_000)
    accounts.in_force(w, w.lab)
    bought(w, [voucher], 100_000)
    batch = settlements.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    order = ordered.exported(w, batch)
    for said in (("1", "500.00", *FAILED[2:]), ("1", "500.00", *PAID[2:])):
        ordered.imported(w, order, ordered.answer(order, said))
    settled(w, Discrepancy.objects.get())
    [(purse, fen)] = repaying.owed_by([w.lab.pk])[w.lab.pk].items()
    assert (purse[0], fen) == (voucher.programme_code, 50_000)
    bring(w, row("B1", "500.00", name=w.lab.name))
    services.match(actor=w.finance, line=line("B1"), parts=back(w.lab, 50_000), now=make.NOW)
    assert (of_kind("receivable_provider"), of_kind("bank_clearing"), clean()) == (0, 50_000, True)


def test_nobody_of_the_payee_says_so(w, payee):
    bring(w, row("B1", "100.00", name=payee.name))
    Member.objects.create(user_id=w.finance.user_id, organisation=payee, roles=["owner"])
    with pytest.raises(OwnPayment):
        services.match(actor=w.finance, line=line("B1"), parts=back(payee, 10_000), now=make.NOW)


@pytest.fixture
def case(w) -> Recovery:
    """Return a case against the enterprise, whose claim of ¥30,000.00 was paid."""
    voucher = make.voucher(w, making.reimbursing(w))
    claimed = making.approved(w, making.filed(w, voucher, "30000"))
    batch = settlements.draft(actor=w.finance, payee=w.enterprise, now=make.NOW)
    settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-0", now=make.NOW)
    return recoveries.open_case(actor=w.reviewer, breach=Breach(text="虚报用量", claim=claimed), now=make.NOW)


def received(w, found: Recovery, fen: int, reference: str) -> Recovery:
    return collecting.receive(
        actor=w.finance, recovery=found, amount=Money(fen), bank_reference=reference, now=make.NOW
    )


def test_money_of_a_recovery_is_shown_by_its_line_and_by_nothing_else(w, case):
    decided(w, case)
    confirmed(w, "A1", 100)
    with pytest.raises(rules.Claimed):
        received(w, case, 400_000, "a1")
    received(w, case, 400_000, "ic-1")
    payment = due(w, 5_000)
    bring(w, row("IC-1", "4000.00", name="某公司", memo=payment.reference))
    [part] = line("IC-1").matches.get().parts.all()
    assert (line("IC-1").state, part.kind, part.recovery) == ("matched", "recovered", case)
    with pytest.raises(rules.Booked):
        confirmed(w, "IC-1", 100)
    assert [one.source_type for one in books().unproved] == ["payment"], "of the recovery nothing is left to prove"
    bring(w, row("IC-2", "50.00", memo=payment.reference))
    with pytest.raises(rules.Booked):
        received(w, case, 5_000, "IC-2")
    assert clean()


def test_a_mistyped_reference_of_a_recovery_is_released(w, case):
    decided(w, case)
    received(w, case, 400_000, "IC-1")
    payment = due(w, 5_000)
    bring(w, row("IC-1", "50.00", memo=payment.reference))
    assert line("IC-1").state == "open"
    with pytest.raises(rules.Claimed):
        services.park(actor=w.finance, line=line("IC-1"), now=make.NOW)
    assert claim("IC-1").subject == f"recovery:{case.number}"
    released(w, "IC-1")
    automatic.look_again(line=line("IC-1"), now=make.NOW)
    case.refresh_from_db()
    assert (line("IC-1").state, case.received_fen) == ("matched", 400_000)
    bring(w, row("IC-9", "4000.00", name="某公司"))
    parts = wanting.parts_of(line("IC-9"), [wanting.Wanted(PartKind.RECOVERED, case.number)])
    services.match(actor=w.finance, line=line("IC-9"), parts=parts, now=make.NOW)
    assert (case.payments.get().bank_reference, claim("IC-9").subject) == ("IC-9", f"recovery:{case.number}")
    released_again = line("IC-9").matches.get()
    undoing.doubt(actor=w.finance, match=released_again, reason="x", now=make.NOW)
    undoing.reverse(actor=w.finance_approver, match=released_again, now=make.NOW)
    released(w, "IC-9", right="IC-8")
    bring(w, row("IC-8", "4000.00", name="某公司"))
    assert (line("IC-8").state, case.payments.get().bank_reference, clean()) == ("matched", "IC-8", True)
