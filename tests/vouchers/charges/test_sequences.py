"""Random sequences of payments, money taken back, refunds, write-offs and expiry: nothing is created, lost or out of proportion."""

from __future__ import annotations

import random
from datetime import timedelta

import pytest

from portal.kernel.errors import PortalError
from portal.kernel.money import Money
from tests import make
from vouchers.charges import proposing, refunding
from vouchers.charges import services as charges
from vouchers.charges.models import Charge
from vouchers.ledger import verification
from vouchers.payments import arriving, taking_back
from vouchers.payments.models import Arrival, Payment

pytestmark = pytest.mark.django_db
SYSTEM = make.Actor.system("test")


class Story:
    """One charge and what happens to it; every act may be refused, none may break the books."""

    def __init__(self, w: make.World, dice: random.Random) -> None:
        self.w, self.dice, self.now, self.done = w, dice, make.NOW, 0
        voucher = make.voucher(w, make.programme(w))
        price = dice.choice([dice.randint(2, 99), dice.randint(1_000, 90_000)])
        bill = charges.Bill("order:RANDOM", "compute", w.enterprise.pk, w.lab.pk, Money(price), {}, None)
        held = charges.hold(bill=bill, vouchers=[voucher], actor=w.owner, now=make.NOW)
        actual = Money(dice.randint(2, price))
        self.charge = charges.capture(charge_id=held.pk, actual=actual, measured={}, actor=w.keeper, now=make.NOW)
        self.over = voucher.grace_until

    def pay(self) -> None:
        payment = Payment.objects.filter(charge=self.charge, state="due").first()
        if payment is not None:
            arriving.receive(
                payment=payment,
                amount=Money(self.dice.randint(1, payment.left_fen)),
                source=f"line:{make.key()}",
                account=arriving.MAIN_ACCOUNT,
                actor=SYSTEM,
                now=self.now,
            )

    def take_back(self) -> None:
        standing = list(Arrival.objects.filter(payment__charge=self.charge, reversal__isnull=True).order_by("pk"))
        if standing:
            arrival = self.dice.choice(standing)
            who = self.w.finance_approver
            taking_back.take_back(arrival=arrival, asked_by="甲", reason="记错", actor=who, now=self.now)

    def refund(self) -> None:
        self.charge.refresh_from_db()
        fen = self.dice.randint(1, max(self.charge.refundable_fen, 1))
        self.give_back(fen)

    def give_back(self, fen: int) -> None:
        refunding.correct(
            actor=self.w.lab_owner,
            charge_id=self.charge.pk,
            amount=Money(fen),
            reason="x",
            now=self.now,
            key=make.key(),
        )

    def give_up(self) -> None:
        later = self.now + timedelta(days=91)
        asked = proposing.propose_write_off(
            actor=self.w.finance,
            charge=self.charge,
            grounds=refunding.Grounds("破产", "insolvent"),
            evidence="裁定书",
            now=later,
            key=make.key(),
        )
        proposing.approve(actor=self.w.finance_approver, proposal=asked, now=later)

    def expire(self) -> None:
        self.now = max(self.now, self.over + timedelta(days=1))

    def act(self) -> None:
        verb = self.dice.choice(
            [self.pay, self.pay, self.take_back, self.refund, self.refund, self.give_up, self.expire]
        )
        try:
            verb()
        except PortalError:
            return
        self.done += 1

    def check(self) -> None:
        charge = Charge.objects.get(pk=self.charge.pk)
        part = charge.parts.get()
        assert part.captured_fen == charge.voucher_captured_fen
        assert part.refunded_fen == charge.voucher_refunded_fen
        whole = (charge.actual_fen or 0) - charge.own_written_off_fen
        assert charge.refunded_fen + charge.refundable_fen == whole
        assert charge.voucher_refunded_fen <= charge.voucher_captured_fen
        assert charge.own_refunded_fen + charge.own_written_off_fen <= charge.own_captured_fen
        if charge.refundable_fen == 0:
            assert charge.voucher_refunded_fen == charge.voucher_captured_fen
            assert charge.own_refunded_fen == charge.own_captured_fen - charge.own_written_off_fen


@pytest.mark.parametrize("seed", range(4))
def test_whatever_the_order_the_books_hold_and_the_whole_goes_back_to_whom_it_came_from(w, seed):
    dice = random.Random(seed)
    story = Story(w, dice)
    for _each in range(12):
        story.act()
        story.check()
    story.charge.refresh_from_db()
    if story.charge.refundable_fen:
        story.give_back(story.charge.refundable_fen)
    story.check()
    assert story.done, "every act was refused"
    assert verification.verify() == []
