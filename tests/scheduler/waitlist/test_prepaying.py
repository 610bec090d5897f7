"""Offers of a waiting list on an instrument paid in advance: taken and paid, taken and not paid, paid too late."""

from datetime import timedelta

import pytest

from portal.kernel.errors import Refused
from scheduler.bookings import lapsing, prepaid
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.messages.models import Message
from scheduler.waitlist import services
from scheduler.waitlist.models import WaitlistOffer
from tests import make
from tests.bookings.scenarios.racing import rivals
from tests.scheduler.bookings.paying import BEFORE, arrives, payment_of, unapplied
from tests.scheduler.waitlist.test_services import book, wait
from vouchers.ledger import verification

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("clock")]
MINUTE = timedelta(minutes=1)


@pytest.fixture
def scene(w):
    """Tomorrow, booked before the instrument began to ask in advance, is free for one of two who wait for four hours."""
    w.sem, [w.other, w.second] = make.instrument(w), rivals(2)
    w.taken = [book(w.other, w.sem, "08:00", "15:00"), book(w.other, w.sem, "15:00", "22:00")]
    prepaid.set_pay_terms(actor=w.keeper, resource=w.sem, terms=BEFORE, now=make.NOW)
    w.entry = wait(w.researcher, w.sem, hours=4)
    w.next = wait(w.second, w.sem, hours=4)
    bookings.cancel(actor=w.other, booking=w.taken[0], now=make.NOW)
    services.look_everywhere(now=make.NOW)
    yield w
    assert verification.verify() == []


def offered_to(entry):
    return WaitlistOffer.objects.filter(entry=entry, state="open").first()


def fresh(booking):
    return Booking.objects.select_related("charge").get(pk=booking.pk)


def test_an_offer_taken_is_held_until_it_is_paid_and_then_waits_for_the_lab(scene):
    made = services.accept(actor=scene.researcher, entry=scene.entry, now=make.NOW)
    assert (made.state, made.hold_until) == ("held", make.NOW + 10 * MINUTE)
    assert offered_to(scene.next) is None
    with pytest.raises(Refused):
        book(scene.second, scene.sem, "08:00", "12:00")
    arrives(payment_of(made))
    assert fresh(made).state == "requested"
    assert services.accept(actor=scene.researcher, entry=scene.entry, now=make.NOW).pk == made.pk
    done = bookings.confirm(actor=scene.keeper, booking=fresh(made), now=make.NOW + 2 * MINUTE)
    assert (done.state, payment_of(made).state, unapplied(scene.enterprise.pk)) == ("confirmed", "confirmed", 0)


def test_an_offer_taken_and_not_paid_ends_by_itself_and_passes_to_the_next(scene):
    made = services.accept(actor=scene.researcher, entry=scene.entry, now=make.NOW)
    lapsing.lapse_overdue(now=make.NOW + 10 * MINUTE)
    services.look_everywhere(now=make.NOW + 10 * MINUTE)
    assert (fresh(made).state, payment_of(made).state) == ("lapsed", "cancelled")
    offer = offered_to(scene.next)
    assert (offer.starts_at, offer.ends_at) == (made.starts_at, made.ends_at)


def test_late_money_for_what_is_offered_to_the_next_meanwhile_goes_back(scene):
    made = services.accept(actor=scene.researcher, entry=scene.entry, now=make.NOW)
    lapsing.lapse_overdue(now=make.NOW + 10 * MINUTE)
    services.look_everywhere(now=make.NOW + 10 * MINUTE)
    late = payment_of(made)
    for _delivery in range(3):
        arrives(late, after=11 * MINUTE, source="attempt:late")
    assert (unapplied(scene.enterprise.pk), Booking.objects.filter(again_of=made).count()) == (late.amount_fen, 0)
    assert [one.kind for one in Message.objects.filter(organisation=scene.enterprise, kind__startswith="prepaid")] == [
        "prepaid_gone"
    ]
    then = services.accept(actor=scene.second, entry=scene.next, now=make.NOW + 12 * MINUTE)
    arrives(payment_of(then), after=13 * MINUTE)
    assert fresh(then).state == "requested"


def test_late_money_before_anybody_was_offered_the_time_books_it_again(scene):
    services.withdraw(actor=scene.second, entry=scene.next, now=make.NOW)
    made = services.accept(actor=scene.researcher, entry=scene.entry, now=make.NOW)
    arrives(payment_of(made), after=11 * MINUTE)
    again = Booking.objects.get(again_of=made)
    assert (fresh(made).state, again.state, payment_of(again).state) == ("lapsed", "requested", "confirmed")
    assert unapplied(scene.enterprise.pk) == 0
