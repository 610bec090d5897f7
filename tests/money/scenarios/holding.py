"""Holds that wait for money (S5 of bookings): what is late, who was quicker, and every fen that goes back."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from types import ModuleType
from unittest.mock import patch

import pytest
from django.db import connection

from portal.kernel.actors import Actor
from portal.kernel.errors import Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability.models import Claim
from scheduler.bookings import entering, fees, prepaying, services, terms
from scheduler.bookings.models import Booking
from scheduler.messages.models import Message
from tests import make
from tests.money.scenarios import rails, scenario
from tests.payserver import PayServer
from tests.portal.pages.reading import LONG
from tests.scenarios import is_full
from tests.scheduler.bookings.paying import booked, payment_of, prepaid_instrument, unapplied
from tests.scheduler.bookings.test_services import race
from vouchers.ledger import queries as ledger
from vouchers.ledger.models import Journal
from vouchers.payments import arriving, looking
from vouchers.payments.models import Payment
from vouchers.payments.ports import Method
from vouchers.payments.rail_models import RefundAttempt

HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)
_serial = itertools.count(1)


def pays(payment: Payment, *, at: timedelta, source: str = "", fen: int | None = None) -> int:
    """Deliver money for a payment so long after 10:00; return what of it was applied."""
    return arriving.receive(
        payment=payment,
        amount=Money(payment.amount_fen if fen is None else fen),
        source=source or f"attempt:H{next(_serial)}",
        account="rail:stripe",
        actor=Actor.system("scenario"),
        now=make.NOW + at,
    ).applied_fen


def sixty(w: make.World):
    """A voucher that pays 60 %."""
    return make.voucher(w, make.programme(w, code="sixty-2026", lines=[{"id": "60%", "rate": "0.60"}]))


def held(voucher) -> int:
    return ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].held_fen


@scenario("H1")
def late_money_for_a_slot_that_is_gone(w: make.World) -> str:
    """S5: U1 holds at 10:00:00, U2 is refused at 10:09:59 and has the slot at 10:10:01 without a worker; U1's money at 10:12 comes three times and goes back once."""
    sem, voucher, second = prepaid_instrument(w), sixty(w), make.applicant()
    first = booked(w, sem, vouchers=[voucher])
    assert (first.state, first.hold_until) == ("held", make.NOW + 10 * MINUTE)
    assert (first.charge.voucher_held_fen, payment_of(first).amount_fen, held(voucher)) == (57600, 38400, 57600)
    with pytest.raises(Refused):
        booked(w, sem, actor=second, now=make.NOW + 10 * MINUTE - SECOND)
    rival = booked(w, sem, actor=second, now=make.NOW + 10 * MINUTE + SECOND)
    assert held(voucher) == 0
    late = payment_of(first)
    assert [pays(late, at=12 * MINUTE, source="attempt:S5") for _delivery in range(3)] == [0, 0, 0]
    first.refresh_from_db()
    late.refresh_from_db()
    assert (first.state, late.state, late.paid_fen) == ("lapsed", "cancelled", 0)
    assert unapplied(w.enterprise.pk) == 38400
    released = Journal.objects.filter(kind="release", key__startswith=f"charge:{first.charge.number}/")
    assert (released.count(), held(voucher)) == (1, 0)
    assert [one.kind for one in Message.objects.filter(organisation=w.enterprise)] == ["prepaid_gone"]
    assert list(Booking.objects.order_by("pk")) == [first, rival]
    assert pays(payment_of(rival), at=13 * MINUTE) == payment_of(rival).amount_fen
    rival.refresh_from_db()
    assert rival.state == "requested"
    return f"refused 10:09:59, had 10:10:01; {Money(38400)} of 10:12 to go back once, {Money(57600)} of the voucher free once"


@scenario("H2")
def late_money_for_a_slot_still_free(w: make.World) -> str:
    """S5 without U2: U1's money of 10:12, delivered three times, books the slot again, once, at no higher price."""
    sem, voucher = prepaid_instrument(w), sixty(w)
    first = booked(w, sem, vouchers=[voucher])
    late = payment_of(first)
    for _delivery in range(3):
        pays(late, at=12 * MINUTE, source="attempt:S5")
    new = Booking.objects.get(again_of=first)
    assert (new.state, new.charge.price_fen, payment_of(new).state) == ("requested", 96000, "confirmed")
    assert (unapplied(w.enterprise.pk), held(voucher)) == (0, 57600)
    assert unapplied(w.enterprise.pk, payment_of(new)) == 38400
    assert [one.kind for one in Message.objects.filter(organisation=w.enterprise)] == ["prepaid_again"]
    return f"{first.number} lapsed, {new.number} paid by its {Money(38400)}"


def _waits_for_me() -> None:
    """Return once another connection waits for a lock of this one's transaction: who is second is certain then."""
    until = time.monotonic() + 20
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(
                "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY(pg_blocking_pids(pid)))"
            )
            if cursor.fetchone() == (True,):
                return
            time.sleep(0.002)
    raise AssertionError("nobody came for the slot")


class Headstart:
    """Lets one of two rivals have the locks first: `act`, and only then the other goes for them, and waits."""

    def __init__(self) -> None:
        self.has_locks = threading.Event()

    def of(self, module: ModuleType, name: str) -> AbstractContextManager[object]:
        """The first caller of a function behind the locks keeps them until the other is seen waiting for them."""
        real = getattr(module, name)

        def held_until_seen(*args: object) -> object:
            found = real(*args)
            if not self.has_locks.is_set():
                self.has_locks.set()
                _waits_for_me()
            return found

        return patch.object(module, name, held_until_seen)

    def second(self) -> None:
        """Wait until the first has the locks."""
        assert self.has_locks.wait(20), "the first never had the locks"


@scenario("H3", commits=True)
def late_money_races_another_booking() -> str:
    """Late money, delivered twice, and another enterprise want one slot at one moment: each has the locks first in turn, then as it comes; no fen is lost."""
    rounds = 60 if is_full() else 8
    w = make.world()
    sem, second = prepaid_instrument(w), make.applicant()
    won = {"money": 0, "rival": 0}
    orders = {"money": 0, "rival": 0, "": 0}
    for at in range(rounds):
        period = make.slot(days=1 + at % 20, start=f"{8 + 2 * (at // 20):02}:00", end=f"{10 + 2 * (at // 20):02}:00")
        first = booked(w, sem, period=period)
        leads = ("money", "rival", "money", "rival", "")[at % 5]
        orders[leads] += 1
        rival = _raced(w, first, period=period, second=second, leads=leads)
        assert leads in {"", "rival" if rival else "money"}
        won["rival" if rival else "money"] += 1
    assert Booking.objects.filter(again_of__isnull=False).count() == won["money"]
    assert won["money"] >= orders["money"] >= 2 and won["rival"] >= orders["rival"] >= 2
    return (
        f"{rounds} races: the money first {orders['money']}, the rival first {orders['rival']}, free {orders['']};"
        f" the money won {won['money']}, the rival {won['rival']}; nobody twice"
    )


def _raced(w: make.World, first: Booking, *, period: Period, second: Actor, leads: str) -> bool:
    """Run one race for the slot of a lapsed hold; return whether the rival had it. `leads`: who has the locks first."""
    late, source, start = payment_of(first), f"attempt:H3-{first.number}", Headstart()

    def money(number: int) -> object:
        if leads == "rival" or (leads == "money" and number):
            start.second()
        return pays(late, at=12 * MINUTE, source=source)

    def act(number: int) -> object:
        if number < 2:
            return money(number)
        if leads == "money":
            start.second()
        return booked(w, first.resource, actor=second, now=make.NOW + 12 * MINUTE, period=period)

    seams = {"money": (prepaying, "_last"), "rival": (entering, "_take")}
    before = unapplied(w.enterprise.pk)
    with start.of(*seams[leads]) if leads else nullcontext():
        found = race(3, act)
    assert not [one for one in found[:2] if isinstance(one, Exception)], found
    rival = not isinstance(found[2], Exception)
    assert rival or isinstance(found[2], Refused), found[2]
    held_by = Claim.objects.filter(resource=first.resource, during=(period.start, period.end), state="held")
    assert held_by.count() == 1
    again = Booking.objects.filter(again_of=first).first()
    assert (again is None) is rival
    assert unapplied(w.enterprise.pk) - before == (96000 if rival else 0)
    late.refresh_from_db()
    assert (late.state, late.paid_fen) == ("cancelled", 0)
    if again is not None:
        paid = payment_of(again)
        assert (again.state, paid.state, paid.paid_fen, unapplied(w.enterprise.pk, paid) - before) == (
            "requested",
            "confirmed",
            96000,
            96000,
        )
    return rival


@scenario("H4", commits=is_full())
def advances_of_bookings_to_the_fen(w: make.World) -> str:
    """Paid bookings are used in part, cancelled in time and late, declined, missed: taken and owed back add up to what came."""
    number = 200 if is_full() else 12
    dice = random.Random(20261127)
    sem = prepaid_instrument(w, rate="479.97", opens=(0, 1440))
    asked = terms.Terms(free_cancel_s=24 * 3600, late_percent=30)
    terms.set_terms(actor=w.keeper, resource=sem, terms=asked, now=make.NOW)
    voucher = sixty(w)
    came = taken = back = 0
    for at in range(number):
        start = make.slot(days=2 + at // 8, start="00:00").start + (at % 8) * 3 * HOUR
        period = Period(start, start + dice.choice([1, 2]) * HOUR)
        made = booked(w, sem, period=period, vouchers=[voucher] if dice.random() < 0.5 else [])
        price = payment_of(made).amount_fen
        pays(payment_of(made), at=MINUTE)
        came += price
        made.refresh_from_db()
        _lived(w, made, period, how=dice.choice(["used", "free", "late", "declined", "missed"]), dice=dice)
        fees.settle_due(now=period.end)
        payment = payment_of(made)
        charge = Booking.objects.get(pk=made.pk).charge
        owed = payment.owed_back_fen
        used = min(charge.own_captured_fen, price)
        assert (price, owed) == (payment.paid_fen, price - used)
        assert unapplied(w.enterprise.pk, payment) == owed
        taken, back = taken + used, back + owed
    assert came == taken + back
    assert unapplied(w.enterprise.pk) == 0
    return f"{number} bookings, {Money(came)} came: {Money(taken)} taken, {Money(back)} owed back"


@contextmanager
def paid_by_alipay(
    w: make.World, payserver: PayServer, made: Booking, *, at: datetime
) -> Iterator[Callable[[int, datetime], None]]:
    """Pay a booking's advance in the sandbox, `at` being when it was begun; yield what delivers its notices so often."""
    with rails.stripe_at(payserver):
        attempt = rails.begin(w, payment_of(made), Method.ALIPAY, now=at)
        payserver.pay(attempt.provider_id)
        letters = payserver.letters()

        def deliver(times: int, now: datetime) -> None:
            assert rails.deliver(rails.sandbox(), letters * times, now=now) == 0

        yield deliver


@scenario("H5")
def late_alipay_money_goes_back_the_way_it_came(w: make.World, payserver: PayServer) -> str:
    """S5 over the sandbox: Alipay money of 10:12, delivered three times, for a slot U2 has since 10:10:01: one full refund."""
    came = datetime.now(UTC)
    held_at = came - 12 * MINUTE
    sem, slot = prepaid_instrument(w), make.slot(days=3, now=held_at)
    version = make.programme(w, code="sixty", now=held_at, lines=[{"id": "60%", "rate": "0.60"}], in_force=LONG)
    voucher = make.voucher(w, version, now=held_at)
    first = booked(w, sem, now=held_at, period=slot, vouchers=[voucher])
    late = payment_of(first)
    with paid_by_alipay(w, payserver, first, at=held_at + 9 * MINUTE) as deliver:
        booked(w, sem, now=held_at + 10 * MINUTE + SECOND, period=slot, actor=make.applicant())
        assert held(voucher) == 0
        deliver(3, came)
        looking.look_at_due(now=came + MINUTE)
        rails.deliver(rails.sandbox(), payserver.letters(), now=came + MINUTE)
    refund = RefundAttempt.objects.get()
    late.refresh_from_db()
    assert (refund.state, refund.amount_fen, late.state, late.paid_fen) == ("succeeded", 38400, "cancelled", 0)
    assert (rails.clearing(), unapplied(w.enterprise.pk)) == (0, 0)
    assert [one.kind for one in Message.objects.filter(organisation=w.enterprise)] == ["prepaid_gone"]
    return f"{Money(38400)} in and out by Alipay once"


@scenario("H6")
def what_a_session_does_not_use_goes_back_the_way_it_came(w: make.World, payserver: PayServer) -> str:
    """Booked, paid by Alipay in the sandbox, confirmed, used for one hour of four: three quarters go back over Alipay."""
    now = datetime.now(UTC)
    sem, slot = prepaid_instrument(w), make.slot(days=3, start="09:00", end="13:00", now=now)
    made = booked(w, sem, now=now, period=slot)
    with paid_by_alipay(w, payserver, made, at=now) as deliver:
        deliver(2, now)
        made.refresh_from_db()
        made = services.confirm(actor=w.keeper, booking=made, now=now)
        services.start_session(actor=w.keeper, booking=made, started_at=slot.start, now=slot.start)
        made.refresh_from_db()
        services.finish_session(actor=w.keeper, booking=made, ended_at=slot.start + HOUR, now=slot.end)
        looking.look_at_due(now=slot.end + MINUTE)
        rails.deliver(rails.sandbox(), payserver.letters(), now=datetime.now(UTC))
    payment = payment_of(made)
    refund = RefundAttempt.objects.get()
    assert (refund.state, refund.amount_fen, refund.taken_from) == ("succeeded", 144000, "advance")
    assert (payment.paid_back_fen, payment.owed_back_fen, rails.clearing()) == (144000, 0, 48000)
    return f"{Money(192000)} in advance, {Money(48000)} used, {Money(144000)} back over Alipay"


def _lived(w: make.World, made: Booking, period: Period, *, how: str, dice: random.Random) -> None:
    """Let a paid booking come to its end."""
    early, late = make.NOW + 2 * MINUTE, period.start - HOUR
    if how == "declined":
        services.decline(actor=w.keeper, booking=made, note="停用", now=early)
        return
    made = services.confirm(actor=w.keeper, booking=made, now=early)
    if how in {"free", "late"}:
        services.cancel(actor=w.researcher, booking=made, now=early if how == "free" else late)
    elif how == "missed":
        services.miss(actor=w.keeper, booking=made, now=period.end)
    else:
        services.start_session(actor=w.keeper, booking=made, started_at=period.start, now=period.start)
        ended = period.start + timedelta(minutes=dice.randint(1, 180))
        made.refresh_from_db()
        services.finish_session(actor=w.keeper, booking=made, ended_at=ended, now=ended)
