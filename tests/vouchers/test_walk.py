"""The walk of value through the services: programme → voucher → booking → payment → settlement → nothing missing."""

from __future__ import annotations

from datetime import timedelta

from portal.kernel.money import Money
from tests import make
from vouchers.ledger import queries as ledger
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.settlements import services as settlements


def test_every_fen_of_the_walk_is_accounted_for(w):
    voucher = make.voucher(w)
    resource = make.instrument(w)
    booked = make.booking(w, resource, period=make.slot(start="09:00", end="13:00"), pay_with=voucher)
    assert (booked.charge.price_fen, booked.charge.voucher_held_fen, booked.charge.own_held_fen) == (
        192000,
        96000,
        96000,
    )
    made = make.measured(w, booked, end=booked.starts_at + timedelta(minutes=157))
    charge = made.charge
    charge.refresh_from_db()
    assert (charge.actual_fen, charge.voucher_captured_fen, charge.own_captured_fen) == (125600, 62800, 62800)
    balance = ledger.balances(account_ids=[voucher.account_id])[voucher.account_id]
    assert (balance.posted_fen, balance.held_fen) == (voucher.face_fen - 62800, 0)

    payment = Payment.objects.get(charge=charge)
    payments.declare(actor=w.owner, payment=payment, bank_reference="ICBC-1", now=make.NOW)
    payments.confirm(actor=w.finance, payment=payment, bank_reference="", now=make.NOW)
    batch = settlements.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    assert batch.total_fen == 125600
    settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    batch = settlements.mark_paid(actor=w.finance, batch=batch, bank_reference="TR-1", now=make.NOW)

    assert batch.state == "paid"
    assert ledger.unaccounted_fen() == 0
    assert ledger.verify() == []
    assert Money(voucher.face_fen) == Money.from_yuan("100000")
