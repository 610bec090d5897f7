"""An own share: due after measuring, declared by the payer, confirmed by somebody else."""

from __future__ import annotations

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.money import Money
from portal.organisations.models import Member
from tests import make
from vouchers.banking.rules import Claimed
from vouchers.charges import refunding
from vouchers.ledger import queries as ledger
from vouchers.ledger import verification
from vouchers.payments import arriving, rules, services
from vouchers.payments.models import Payment


@pytest.fixture
def payment(w) -> Payment:
    make.measured(w, make.booking(w, make.instrument(w)))
    return Payment.objects.get()


def test_is_due_with_a_reference_a_bank_clerk_cannot_misread(payment):
    assert (payment.state, payment.amount_fen) == ("due", 96000)
    assert rules.reference_is_valid(payment.reference)
    wrong = payment.reference[:3] + ("2" if payment.reference[3] != "2" else "3") + payment.reference[4:]
    assert not rules.reference_is_valid(wrong)


def test_moves_from_declared_to_confirmed_and_into_the_ledger(w, payment):
    services.declare(actor=w.owner, payment=payment, bank_reference="ICBC-20261126-7", now=make.NOW)
    done = services.confirm(actor=w.finance, payment=payment, bank_reference="", now=make.NOW)

    assert (done.state, done.bank_reference) == ("confirmed", "ICBC-20261126-7")
    due = [line for line in ledger.trial_balance() if line.kind.value == "cash_due"]
    assert sum(line.balance_fen for line in due) == 0


def test_goes_back_with_a_note_when_no_money_came(w, payment):
    services.declare(actor=w.owner, payment=payment, bank_reference="X-1", now=make.NOW)
    back = services.return_declared(actor=w.finance, payment=payment, note="未查到该笔流水", now=make.NOW)
    assert (back.state, back.note) == ("due", "未查到该笔流水")


@pytest.mark.parametrize(("refunded", "left"), [(40_000, ("due", 56_000, 0)), (96_000, ("cancelled", 96_000, 0))])
def test_what_was_refunded_while_it_was_declared_is_not_asked_for_again(w, payment, refunded, left):
    services.declare(actor=w.owner, payment=payment, bank_reference="X-1", now=make.NOW)
    refunding.refund(
        actor=w.keeper, charge=payment.charge, amount=Money(refunded), reason="x", now=make.NOW, key="refund-1"
    )
    back = services.return_declared(actor=w.finance, payment=payment, note="未查到该笔流水", now=make.NOW)
    assert (back.state, back.amount_fen, back.refunded_fen) == left
    if back.state == "due":
        services.confirm(actor=w.finance, payment=payment, bank_reference="X-2", now=make.NOW)
    assert verification.verify() == []


def test_a_payment_paid_in_part_and_returned_owes_back_what_was_refunded_above_the_rest(w, payment):
    arriving.receive(
        payment=payment,
        amount=Money(50_000),
        source="line:0",
        account=arriving.MAIN_ACCOUNT,
        actor=w.finance,
        now=make.NOW,
    )
    services.declare(actor=w.owner, payment=payment, bank_reference="X-1", now=make.NOW)
    refunding.refund(
        actor=w.keeper, charge=payment.charge, amount=Money(60_000), reason="x", now=make.NOW, key="refund-1"
    )
    back = services.return_declared(actor=w.finance, payment=payment, note="未查到该笔流水", now=make.NOW)
    assert (back.state, back.amount_fen, back.owed_back_fen, back.bank_reference) == ("confirmed", 50_000, 14_000, "")
    assert verification.verify() == []


def test_is_confirmed_once(w, payment):
    services.confirm(actor=w.finance, payment=payment, bank_reference="A-1", now=make.NOW)
    with pytest.raises(InvalidTransition):
        services.confirm(actor=w.finance, payment=payment, bank_reference="A-1", now=make.NOW)


def test_refuses_a_statement_line_that_already_paid_something_else(w, payment):
    services.confirm(actor=w.finance, payment=payment, bank_reference="A-1", now=make.NOW)
    make.measured(w, make.booking(w, make.instrument(w)))
    other = Payment.objects.exclude(pk=payment.pk).get()
    for copied in ("A-1", " a-1 ", "Ａ－１"):
        with pytest.raises((services.BankReferenceTaken, Claimed)):
            services.confirm(actor=w.finance, payment=other, bank_reference=copied, now=make.NOW)
    other.refresh_from_db()
    assert other.state == "due"


@pytest.mark.parametrize("who", ["owner", "keeper", "reviewer", "finance_approver"])
def test_is_confirmed_by_finance_alone(w, payment, who):
    with pytest.raises(Forbidden):
        services.confirm(actor=getattr(w, who), payment=payment, bank_reference="A-1", now=make.NOW)


def test_is_not_confirmed_by_somebody_who_also_works_for_the_payer(w, payment):
    Member.objects.create(user_id=w.finance.user_id, organisation=w.enterprise, roles=["owner"])
    with pytest.raises(rules.OwnPayment):
        services.confirm(actor=w.finance, payment=payment, bank_reference="A-1", now=make.NOW)
    payment.refresh_from_db()
    assert payment.state == "due"


def test_is_declared_by_nobody_but_its_payer(w, payment):
    other = make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.OWNER)
    with pytest.raises(Forbidden):
        services.declare(actor=other, payment=payment, bank_reference="A-1", now=make.NOW)
    payment.refresh_from_db()
    assert (payment.state, payment.bank_reference) == ("due", "")
