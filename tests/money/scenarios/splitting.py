"""Every way back returns voucher value and own money in the proportion they were paid, to the fen."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction

from portal.kernel.money import Money
from portal.kernel.period import Period
from tests import make
from tests.money.scenarios import scenario
from tests.scenarios import is_full
from tests.vouchers.scenarios import vouchers as walks
from vouchers.charges import refunding, rules
from vouchers.charges import services as charges
from vouchers.charges.models import Charge, Refund
from vouchers.ledger.models import HoldResolution, Transfer
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.settlements import services as settlements
from vouchers.wallets.models import Voucher

FREE = {"double_subsidy": {"mode": "allowed"}}


@dataclass
class Story:
    """One split: what was taken, the cuts in which it goes back, how many of them after the vouchers' end."""

    charge: Charge
    cuts: list[int]
    late: int
    lapsed: int = 0
    made: list[Refund] = field(default_factory=list)


def _cuts(dice: random.Random, whole: int) -> list[int]:
    """Cut all of `whole`, or a part of it, into one to three pieces."""
    left = whole if dice.random() < 0.5 else dice.randint(1, whole)
    pieces = []
    for _each in range(dice.randint(0, 2)):
        if left > 1:
            piece = dice.randint(1, left - 1)
            pieces.append(piece)
            left -= piece
    return [*pieces, left]


def _taken(w: make.World, dice: random.Random, vouchers: list[Voucher], at: int) -> Story:
    price = dice.choice([dice.randint(2, 99), dice.randint(100, 99_999), dice.randint(100_000, 900_000)])
    paying = dice.sample(vouchers, dice.randint(0, len(vouchers)))
    held = charges.hold(
        bill=walks.bill(w, price, subject=f"job:S{at}"), vouchers=paying, actor=w.researcher, now=make.NOW
    )
    actual = dice.choice([price, dice.randint(1, price)])
    charge = charges.capture(charge_id=held.pk, actual=Money(actual), measured={}, actor=w.keeper, now=make.NOW)
    assert charge.voucher_captured_fen + charge.own_captured_fen == charge.actual_fen
    cuts = _cuts(dice, charge.actual_fen or 0)
    return Story(charge, cuts, late=dice.randint(0, len(cuts)))


def _refund(w: make.World, story: Story, fen: int, *, now: datetime) -> None:
    key = f"split-{story.charge.number}-{len(story.made)}"
    made = refunding.correct(
        actor=w.lab_owner, charge_id=story.charge.pk, amount=Money(fen), reason="设备故障", now=now, key=key
    )
    story.made.append(made)
    story.charge.refresh_from_db()
    charge = story.charge
    assert charge.voucher_refunded_fen == charge.refunded_fen * charge.voucher_captured_fen // (charge.actual_fen or 1)
    assert made.lapsed_fen == (made.voucher_fen if now > make.NOW else 0)


def _whole(story: Story) -> None:
    """A whole refund has given every party back what it paid, and the ledger moved exactly that out of each capture."""
    charge = story.charge
    assert charge.refunded_fen == sum(story.cuts) == sum(made.amount_fen for made in story.made)
    if charge.refundable_fen == 0:
        assert (charge.voucher_refunded_fen, charge.own_refunded_fen) == (
            charge.voucher_captured_fen,
            charge.own_captured_fen,
        )
    for part in charge.parts.all():
        back = Transfer.objects.filter(hold_id=part.hold_id, journal__kind="refund")
        assert sum(row.amount for row in back) == part.refunded_fen
        captured = HoldResolution.objects.filter(hold_id=part.hold_id).values_list("captured_amount", flat=True)
        assert sum(captured) == part.captured_fen


def _settled(w: make.World) -> int:
    """Let everything that was paid go to the provider; return how many lines."""
    for payment in Payment.objects.filter(state="due"):
        payments.confirm(actor=w.finance, payment=payment, bank_reference=f"B{payment.pk}", now=make.NOW)
    batch = settlements.draft(actor=w.finance, payee=w.lab, now=make.NOW)
    settlements.approve(actor=w.finance_approver, batch=batch, now=make.NOW)
    return batch.lines.count()


@scenario("M60", commits=True)
def random_splits_go_back_to_the_fen(w: make.World) -> str:
    """Random bills on none to three vouchers, taken in part, given back in cuts: before and after settlement and expiry.

    A thousand at full size go the whole way through services, tables and ledger; ten thousand through the rules (M65).
    """
    number = 1_000 if is_full() else 60
    dice = random.Random(20261127)
    vouchers = [
        walks.granted(w, 90_000_000, number=f"HT-{at}", share=share, budget="100000000", **FREE)
        for at, share in enumerate(("0.50", "0.30", "0.17"))
    ]
    before = {voucher.pk: walks.left(voucher) for voucher in vouchers}
    stories = [_taken(w, dice, vouchers, at) for at in range(number // 2)]
    lines = _settled(w)
    stories += [_taken(w, dice, vouchers, at) for at in range(number // 2, number)]
    spent = {voucher.pk: walks.left(voucher) for voucher in vouchers}
    for story in stories:
        for fen in story.cuts[: len(story.cuts) - story.late]:
            _refund(w, story, fen, now=make.NOW)
    assert sum(before.values()) - sum(spent.values()) == sum(story.charge.voucher_captured_fen for story in stories)
    returned = sum(made.voucher_fen for story in stories for made in story.made)
    assert sum(walks.left(voucher) for voucher in vouchers) == sum(spent.values()) + returned
    after = max(voucher.grace_until for voucher in vouchers) + timedelta(days=1)
    for story in stories:
        for fen in story.cuts[len(story.cuts) - story.late :]:
            _refund(w, story, fen, now=after)
        _whole(story)
    made = [one for story in stories for one in story.made]
    lapsed = sum(one.lapsed_fen for one in made)
    owed = sum(story.charge.voucher_owed_fen + story.charge.own_owed_fen for story in stories)
    assert walks.of_kind("receivable_provider") == owed
    return (
        f"{number} splits, {len(made)} refunds of {Money(sum(one.amount_fen for one in made))}: vouchers"
        f" {Money(sum(one.voucher_fen for one in made))} ({Money(lapsed)} lapsed), own"
        f" {Money(sum(one.own_fen for one in made))}; {lines} lines settled, {Money(owed)} owed back"
    )


def _terms(at: int, share: Fraction) -> rules.Terms:
    return rules.Terms(
        f"V{at}", f"programme-{at % 2}", share, Period(make.NOW, make.NOW + timedelta(days=90 + at)), frozenset()
    )


@scenario("M65")
def ten_thousand_splits_by_the_rules() -> str:
    """Any price, any shares, vouchers that run dry, use below the hold, any cuts: every part is whole, and all adds up."""
    dice, number = random.Random(20261128), 10_000
    waived = refunds = moved = 0
    for _each in range(number):
        price = dice.choice([dice.randint(1, 99), dice.randint(100, 99_999), dice.randint(100_000, 10**9)])
        lots = [
            rules.Lot(
                _terms(at, Fraction(dice.randint(1, 100), 100)), Money(dice.choice([10**10, dice.randint(0, price)]))
            )
            for at in range(dice.randint(0, 3))
        ]
        held = rules.split(Money(price), lots=lots)
        assert held.voucher.fen + held.own.fen == price
        parts = [
            rules.Lot(next(lot.terms for lot in lots if lot.terms.number == one.number), one.amount)
            for one in held.parts
        ]
        actual = dice.choice([price, dice.randint(1, price)])
        taken = rules.split(Money(actual), lots=parts)
        own = min(taken.own.fen, held.own.fen)
        most = {part.terms.number: part.available for part in parts}
        assert all(one.amount <= most[one.number] for one in taken.parts)
        assert 0 <= taken.own.fen - own <= len(parts)
        waived += taken.own.fen - own
        refunds += _cut_back(dice, [one.amount.fen for one in taken.parts], own)
        moved += taken.voucher.fen + own
    return f"{number} splits of {Money(moved)}, {refunds} refunds: 0 fen apart, {Money(waived)} of rounding waived, none charged"


def _cut_back(dice: random.Random, vouchers: list[int], own: int) -> int:
    """Give a bill back in random cuts until nothing is left; each party ends with exactly what it paid."""
    actual, paid = sum(vouchers) + own, sum(vouchers)
    back, back_own, refunded, times = [0] * len(vouchers), 0, 0, 0
    while refunded < actual:
        amount = dice.choice([actual - refunded, dice.randint(1, actual - refunded)])
        to_vouchers, to_payer = rules.refund_split(
            amount, actual=actual, voucher=paid, refunded=refunded, voucher_refunded=sum(back)
        )
        assert (to_vouchers + to_payer, to_vouchers >= 0, to_payer >= 0) == (amount, True, True)
        shares = rules.apportion(to_vouchers, [fen - had for fen, had in zip(vouchers, back, strict=True)])
        back = [had + share for had, share in zip(back, shares, strict=True)]
        back_own, refunded, times = back_own + to_payer, refunded + amount, times + 1
        assert sum(back) == refunded * paid // actual
        assert all(had <= fen for had, fen in zip(back, vouchers, strict=True))
    assert (back, back_own) == (vouchers, own)
    return times
