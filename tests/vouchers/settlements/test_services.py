"""Settlement: everything captured, once; four eyes; the totals are the ledger's."""

from __future__ import annotations

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition
from tests import make
from vouchers.ledger import queries as ledger
from vouchers.payments import services as payments
from vouchers.payments import taking_back
from vouchers.payments.models import Payment
from vouchers.settlements import queries, rules, services


@pytest.fixture
def served(w):
    voucher = make.voucher(w)
    resource = make.instrument(w)
    for start, end in (("09:00", "11:00"), ("13:00", "16:00")):
        make.measured(w, make.booking(w, resource, period=make.slot(start=start, end=end), pay_with=voucher))
    return w


def balance(kind: str) -> int:
    return sum(line.balance_fen for line in ledger.trial_balance() if line.kind.value == kind)


def test_takes_voucher_shares_at_once_and_own_shares_when_they_have_arrived(served):
    w = served
    first = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert first.total_fen == (96000 + 144000) // 2

    for number, payment in enumerate(Payment.objects.all()):
        payments.confirm(actor=w.finance, payment=payment, bank_reference=f"B-{number}", now=make.NOW)
    second = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert second.total_fen == (96000 + 144000) // 2
    assert {line.leg for line in queries.lines_of(second.pk)} == {"own"}


def test_an_own_share_whose_money_was_taken_back_is_not_paid_out(served):
    w = served
    payment = Payment.objects.order_by("pk").first()
    payments.confirm(actor=w.finance, payment=payment, bank_reference="A-1", now=make.NOW)
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    taking_back.take_back(
        arrival=payment.arrivals.get(), asked_by="钱学章 #1", reason="认错", actor=w.finance_approver, now=make.NOW
    )
    with pytest.raises(rules.ShareNotPaid) as refused:
        services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    assert payment.number in refused.value.params["numbers"]
    [own] = queries.lines_of(batch.pk).filter(leg="own")
    services.reject_line(actor=w.finance_approver, batch=batch, line_id=own.pk, reason="款项已收回", now=make.NOW)
    assert services.approve(actor=w.finance_approver, batch=batch, now=make.NOW).state == "approved"


def test_ties_to_the_ledger_at_every_step(served):
    w = served
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert balance("provider_payable") == batch.total_fen
    services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    assert (balance("provider_payable"), balance("settlement_clearing")) == (0, batch.total_fen)
    services.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)
    assert (balance("settlement_clearing"), balance("settled")) == (0, batch.total_fen)
    assert ledger.unaccounted_fen() == 0


def test_settles_nothing_twice(served):
    w = served
    services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    with pytest.raises(rules.NothingToSettle):
        services.draft(actor=w.finance, payee=w.lab, now=make.NOW)


def test_gives_the_lines_of_a_discarded_batch_to_the_next(served):
    w = served
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    services.discard(actor=w.finance, batch=batch, now=make.NOW)
    assert balance("provider_payable") == batch.total_fen
    assert services.draft(actor=w.finance, payee=w.lab, now=make.NOW).total_fen == batch.total_fen


def test_is_not_approved_by_the_one_who_drafted_it(served):
    w = served
    both = make.actor(w.department, make.roles.Role.FINANCE_OFFICER, make.roles.Role.FINANCE_APPROVER)
    batch = services.draft(actor=both, payee=w.lab, now=make.NOW)
    with pytest.raises(rules.SamePerson):
        services.approve(actor=both, batch=batch, now=make.NOW)
    with pytest.raises(Forbidden):
        services.approve(actor=w.finance, batch=batch, now=make.NOW)


def test_is_not_paid_before_it_is_approved(served):
    w = served
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    with pytest.raises(InvalidTransition):
        services.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)


def test_is_not_decided_by_a_member_of_the_provider_that_is_paid(served):
    """One person in two organisations is still one person: four eyes mean somebody else's."""
    w = served
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    make.Member.objects.create(user=make.user_of(w.finance_approver), organisation=w.lab, roles=["owner"])
    with pytest.raises(rules.OwnPayee):
        services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
