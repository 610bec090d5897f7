"""Each voucher's part of a charge goes its own way to payment; what is refunded or owed comes off the next batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
from django.db import IntegrityError, transaction

from portal.kernel.actors import Permission
from portal.kernel.errors import Forbidden
from portal.kernel.money import Money
from tests import make
from tests.vouchers.claims import making
from tests.vouchers.recoveries.test_services import confirmed
from tests.vouchers.scenarios import vouchers as walks
from vouchers.charges import refunding
from vouchers.claims import queries as claimable
from vouchers.claims import services as claims
from vouchers.ledger import queries as ledger
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.recoveries import collecting
from vouchers.recoveries import rules as recovery_rules
from vouchers.recoveries import services as recoveries
from vouchers.recoveries.services import Breach
from vouchers.settlements import files, offsetting, queries, rules, services
from vouchers.settlements.models import SettlementBatch

CLAIMED = [{"stage": "claim", "doc": "服务发票"}]


@pytest.fixture
def mixed(w):
    """Return a charge of 1,000 yuan: 200 of a programme paid on claims, 500 of one paid at once, 300 its payer's own."""
    free = {"double_subsidy": {"mode": "allowed"}}
    one = walks.granted(w, 200, number="HT-1", evidence=CLAIMED, share="0.20", **free)
    two = walks.granted(w, 100_000, number="HT-2", **free)
    return walks.bought(w, [one, two], 100_000), one, two


def paid(w, batch):
    services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    return services.mark_paid(actor=w.finance, batch=batch, bank_reference=f"TR-{batch.number}", now=make.NOW)


def refund(w, charge, yuan):
    made = refunding.refund(
        actor=w.lab_owner, charge=charge, amount=making.yuan(yuan), reason="返工", now=make.NOW, key=make.key()
    )
    charge.refresh_from_db()
    return made


def test_only_the_part_of_the_programme_that_asks_for_a_claim_waits_for_one(w, mixed):
    charge, one, two = mixed
    assert [(part.voucher_id, part.payable_fen) for part in claimable.claimable(w.lab.pk)] == [(one.pk, 20_000)]
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert [(line.voucher_id, line.amount_fen) for line in queries.lines_of(batch.pk)] == [(two.pk, 50_000)]
    lines = list(queries.lines_of(batch.pk))
    assert two.programme_code in files.statement(batch, lines).decode()
    assert one.programme_code not in files.statement(batch, lines).decode()
    with pytest.raises(rules.NothingToSettle):
        services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    wanted = claims.Wanted(
        amount=Money(20_000), lines=[claims.Line(what="算力", amount=Money(20_000), charge=charge.number)]
    )
    claim = claims.draft(actor=w.lab_owner, wanted=wanted, now=make.NOW, key=make.key())
    assert (claim.version.programme.code, claim.lines.get().voucher_id) == (one.programme_code, one.pk)


def test_two_programmes_paid_at_once_are_two_lines_of_one_batch(w):
    free = {"double_subsidy": {"mode": "allowed"}}
    pair = [walks.granted(w, 200, number="HT-1", share="0.20", **free), walks.granted(w, 900, number="HT-2", **free)]
    walks.bought(w, pair, 100_000)
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert [line.amount_fen for line in queries.lines_of(batch.pk)] == [20_000, 50_000]
    paid(w, batch)
    rows = {row.programme: row.balance_fen for row in ledger.trial_balance() if row.kind.value == "settled"}
    assert rows == {pair[0].programme_code: 20_000, pair[1].programme_code: 50_000}


def test_a_refund_comes_off_a_part_already_batched_only(w, mixed):
    charge, one, two = mixed
    services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    refund(w, charge, "100")
    owed = {part.voucher_id: (part.refunded_fen, part.owed_fen) for part in charge.parts.all()}
    assert owed == {one.pk: (2_000, 0), two.pk: (5_000, 5_000)}
    assert (charge.voucher_owed_fen, charge.own_owed_fen) == (5_000, 0)
    assert walks.of_kind("receivable_provider") == 5_000


def test_both_shares_refunded_after_payment_are_negative_lines_of_the_next_batch(w):
    voucher = make.voucher(w)
    charge = walks.bought(w, [voucher], 100_000)
    payments.confirm(actor=w.finance, payment=Payment.objects.get(), bank_reference="BK-1", now=make.NOW)
    first = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert paid(w, first).total_fen == 100_000
    made = refund(w, charge, "200")
    assert (made.voucher_fen, made.own_fen, charge.own_owed_fen) == (10_000, 10_000, 10_000)
    assert Payment.objects.get().owed_back_fen == 10_000
    assert walks.of_kind("receivable_provider") == 20_000

    walks.bought(w, [voucher], 100_000, subject="job:J-2")
    due = Payment.objects.exclude(state="confirmed").get()
    payments.confirm(actor=w.finance, payment=due, bank_reference="BK-2", now=make.NOW)
    second = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert [line.amount_fen for line in queries.lines_of(second.pk)] == [50_000, 50_000, -10_000, -10_000]
    assert paid(w, second).total_fen == 80_000
    assert (walks.of_kind("receivable_provider"), walks.of_kind("cash_provider_payable")) == (0, 0)
    payments.pay_back(actor=w.finance, payment=charge.payment, bank_reference="BK-3", now=make.NOW)
    assert ledger.unaccounted_fen() == 0


def test_a_batch_never_falls_below_zero_and_the_rest_waits_for_the_one_after(w):
    voucher = make.voucher(w)
    charge = walks.bought(w, [voucher], 100_000)
    paid(w, services.draft(actor=w.finance, payee=w.lab, now=make.NOW))
    refund(w, charge, "1000")
    walks.bought(w, [voucher], 20_000, subject="job:J-2")
    batch = services.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert [line.amount_fen for line in queries.lines_of(batch.pk)] == [10_000, -10_000]
    services.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    done = services.mark_paid(actor=w.finance, batch=batch, bank_reference="", now=make.NOW)
    assert (done.state, done.total_fen) == ("paid", 0)
    assert (walks.of_kind("receivable_provider"), walks.of_kind("provider_payable")) == (40_000, 0)
    assert ledger.unaccounted_fen() == 0


@pytest.fixture
def debtor(w):
    """Return a case of 10,000 yuan against the enterprise, whose claim of 4,000 yuan is due."""
    version = making.reimbursing(w)
    voucher = make.voucher(w, version)
    settled = making.approved(w, making.filed(w, voucher, "30000"))
    paid(w, services.draft(actor=w.finance, payee=w.enterprise, now=make.NOW))
    case = recoveries.open_case(actor=w.reviewer, breach=Breach(text="虚报用量", claim=settled), now=make.NOW)
    case = confirmed(w, case, 1_000_000)
    making.approved(w, making.filed(w, voucher, "4000"))
    return case


def test_a_debt_is_set_off_by_an_explicit_step_and_falls_when_the_batch_is_paid(w, debtor):
    batch = services.draft(actor=w.finance, payee=w.enterprise, now=make.NOW)
    assert batch.total_fen == 400_000
    with pytest.raises(Forbidden):
        offsetting.set_off(actor=w.owner, batch=batch, now=make.NOW)
    batch = offsetting.set_off(actor=w.finance, batch=batch, now=make.NOW)
    assert (batch.total_fen, [line.amount_fen for line in queries.lines_of(batch.pk)]) == (0, [400_000, -400_000])
    with pytest.raises(rules.NothingToSetOff):
        offsetting.set_off(actor=w.finance, batch=batch, now=make.NOW)
    with pytest.raises(recovery_rules.TooMuch):
        collecting.receive(
            actor=w.finance, recovery=debtor, amount=Money(600_001), bank_reference="ICBC-1", now=make.NOW
        )
    assert walks.of_kind("receivable_enterprise") == 1_000_000
    paid(w, batch)
    debtor.refresh_from_db()
    assert (debtor.state, debtor.received_fen, debtor.outstanding_fen) == ("recovering", 400_000, 600_000)
    assert debtor.payments.get().batch == batch.number
    assert (walks.of_kind("receivable_enterprise"), walks.of_kind("claimant_payable")) == (600_000, 0)
    assert ledger.unaccounted_fen() == 0


def test_a_discarded_batch_sets_nothing_off(w, debtor):
    batch = services.draft(actor=w.finance, payee=w.enterprise, now=make.NOW)
    offsetting.set_off(actor=w.finance, batch=batch, now=make.NOW)
    services.discard(actor=w.finance, batch=batch, now=make.NOW)
    collecting.receive(actor=w.finance, recovery=debtor, amount=Money(1_000_000), bank_reference="ICBC-1", now=make.NOW)
    debtor.refresh_from_db()
    assert debtor.state == "recovered"
    again = services.draft(actor=w.finance, payee=w.enterprise, now=make.NOW)
    assert (again.total_fen, offsetting.possible(again)) == (400_000, {})


def test_who_has_set_a_debt_off_neither_checks_nor_approves_the_batch(w, debtor):
    batch = services.draft(actor=w.finance, payee=debtor.debtor, now=make.NOW)
    both = replace(make.actor(w.department, make.roles.Role.FINANCE_APPROVER), permissions=frozenset(Permission))
    offsetting.set_off(actor=both, batch=batch, now=make.NOW)
    with pytest.raises(rules.SetOffByAnother):
        offsetting.set_off(actor=w.finance, batch=batch, now=make.NOW)
    with pytest.raises(rules.SamePerson):
        services.approve(actor=both, batch=batch, now=make.NOW)
    with pytest.raises(rules.CheckerIsAnother):
        services.check(actor=both, batch=batch, now=make.NOW)
    with pytest.raises(IntegrityError), transaction.atomic():
        SettlementBatch.objects.filter(pk=batch.pk).update(approved_by=both.user_id)
    assert services.approve(actor=w.finance_approver, batch=batch, now=make.NOW).state == "approved"
