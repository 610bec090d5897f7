"""Advances: money asked for before a service, used, owed back."""

from __future__ import annotations

import random

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from tests import make
from tests.money.scenarios import scenario
from tests.scenarios import is_full
from vouchers.charges import services as charges
from vouchers.ledger import queries as balances
from vouchers.ledger.models import Account
from vouchers.payments import arriving
from vouchers.payments.models import Payment


def _left(payment: Payment) -> int:
    owners = [f"charge:{payment.charge.number}", f"organisation:{payment.payer_id}"]
    rows = Account.objects.filter(kind="unapplied_cash", owner__in=owners).values_list("pk", flat=True)
    return sum(row.posted_fen for row in balances.balances(account_ids=list(rows)).values())


@scenario("M1", commits=is_full())
def advances_are_used_to_the_fen(w: make.World) -> str:
    """Advances paid in parts, in full and above: what was measured is taken, every other fen is owed back."""
    number = 500 if is_full() else 40
    dice = random.Random(20261127)
    system, taken, back = Actor.system("scenario"), 0, 0
    for at in range(number):
        price = dice.randint(1, 500_000)
        bill = charges.Bill(f"order:M1-{at}", "compute", w.enterprise.pk, w.lab.pk, Money(price), {}, pay_by=make.NOW)
        charge = charges.hold(bill=bill, vouchers=[], actor=w.owner, now=make.NOW)
        payment = Payment.objects.get(charge=charge)
        paid, part = 0, 0
        while paid < price:
            part += 1
            amount = dice.randint(1, price) if part < 4 else price - paid
            amount = min(amount, price - paid)
            for _again in range(2):
                arriving.receive(
                    payment=payment,
                    amount=Money(amount),
                    source=f"line:M1-{at}-{part}",
                    account="bank:main",
                    actor=system,
                    now=make.NOW,
                )
            paid += amount
        used = dice.choice([0, dice.randint(0, price), price])
        charges.capture(charge_id=charge.pk, actual=Money(used), measured={}, actor=w.keeper, now=make.NOW)
        payment.refresh_from_db()
        assert (payment.state, payment.paid_fen, payment.owed_back_fen) == ("confirmed", price, price - used)
        assert _left(payment) == price - used
        taken, back = taken + used, back + price - used
    return f"{number} advances, {Money(taken)} taken, {Money(back)} owed back"
