"""A lab's counter-offer for a booking that was paid in advance: its advance goes along, reaches, or the offer is not taken."""

from datetime import timedelta

import pytest

from portal.kernel.errors import InvalidTransition, Refused
from portal.kernel.period import Period
from scheduler.bookings import counteroffers, rules, services
from scheduler.bookings.models import Booking
from tests import make
from tests.scheduler.bookings.paying import arrives, booked, payment_of, prepaid_instrument, unapplied
from vouchers.ledger import verification

pytestmark = pytest.mark.django_db
MINUTE = timedelta(minutes=1)
SAME, SHORTER, LONGER = (make.slot(start="14:00", end=end) for end in ("16:00", "15:00", "17:00"))


@pytest.fixture
def w():
    yield make.world()
    assert verification.verify() == []


@pytest.fixture
def paid(w):
    """Two hours for 960 yuan, paid in advance, waiting for the lab."""
    made = booked(w, prepaid_instrument(w))
    arrives(payment_of(made))
    return fresh(made)


def fresh(made):
    return Booking.objects.select_related("charge", "resource").get(pk=made.pk)


def offered(w, made, period, *, now=make.NOW + 2 * MINUTE):
    return counteroffers.offer(actor=w.keeper, booking=made, period=period, note="上午检修", now=now)


def test_a_hold_that_waits_for_its_money_is_offered_nothing(w):
    made = booked(w, prepaid_instrument(w))
    with pytest.raises(InvalidTransition):
        offered(w, made, SAME, now=make.NOW)
    arrives(payment_of(made))
    assert fresh(made).state == "requested"
    offered(w, fresh(made), SAME)


@pytest.mark.parametrize(("period", "price", "back"), [(SAME, 96_000, 0), (SHORTER, 48_000, 48_000)])
def test_a_time_taken_is_confirmed_and_paid_by_the_advance_and_the_rest_goes_back_once_measured(
    w, paid, period, price, back
):
    offered(w, paid, period)
    moved = counteroffers.accept(actor=w.researcher, booking=paid, now=make.NOW + 3 * MINUTE)
    assert (moved.state, Period(moved.starts_at, moved.ends_at), moved.charge.price_fen) == ("confirmed", period, price)
    advance = payment_of(moved)
    assert (advance.state, advance.paid_fen, advance.owed_back_fen) == ("confirmed", 96_000, 0)
    services.start_session(actor=w.keeper, booking=fresh(moved), started_at=period.start, now=period.start)
    services.finish_session(actor=w.keeper, booking=fresh(moved), ended_at=period.end, now=period.end)
    advance.refresh_from_db()
    assert (advance.owed_back_fen, unapplied(w.enterprise.pk, advance)) == (back, back)


def test_a_dearer_time_cannot_be_offered_and_the_request_and_its_advance_stay(w, paid):
    with pytest.raises(Refused) as caught:
        offered(w, paid, LONGER)
    assert [reason.code for reason in caught.value.reasons] == ["payment.advance_short"]
    stays = fresh(paid)
    assert (stays.state, Period(stays.starts_at, stays.ends_at)) == ("requested", make.slot())
    assert (payment_of(stays).paid_fen, payment_of(stays).owed_back_fen) == (96_000, 0)
    assert services.confirm(actor=w.keeper, booking=stays, now=make.NOW + 4 * MINUTE).state == "confirmed"


def test_an_offer_that_lapses_leaves_the_request_paid_and_a_declined_one_owes_all_back(w, paid):
    offer = offered(w, paid, SAME)
    with pytest.raises(rules.NoOffer):
        counteroffers.accept(actor=w.researcher, booking=paid, now=offer.until)
    assert payment_of(paid).owed_back_fen == 0
    services.decline(actor=w.keeper, booking=fresh(paid), note="停用", now=make.NOW + 5 * MINUTE)
    assert payment_of(paid).owed_back_fen == 96_000


def test_money_that_comes_twice_after_the_move_is_the_payers(w, paid):
    asked = payment_of(paid)
    offered(w, paid, SAME)
    moved = counteroffers.accept(actor=w.researcher, booking=paid, now=make.NOW + 3 * MINUTE)
    arrives(asked, after=4 * MINUTE)
    assert (fresh(moved).state, payment_of(moved).paid_fen, unapplied(w.enterprise.pk)) == ("confirmed", 96_000, 96_000)
