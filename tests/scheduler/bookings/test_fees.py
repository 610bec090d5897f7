"""What giving a booking up too late costs, and how much less when the time is resold."""

from __future__ import annotations

from datetime import time, timedelta
from fractions import Fraction

import pytest
from django.test import Client
from django.urls import reverse
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import Refused
from portal.kernel.money import Money
from scheduler.availability import services as availability
from scheduler.availability.rules import WeeklyHours
from scheduler.bookings import fees, moving, rules, services, terms
from scheduler.bookings.fee_models import LateFee
from scheduler.bookings.models import Booking
from tests import make
from tests.portal.pages.reading import enter, text_of
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

SLOT = make.slot(start="09:00", end="13:00")
LATE = SLOT.start - timedelta(hours=2)


@given(fee=st.integers(1, 10**9), slot=st.integers(1, 10**6), sold=st.integers(0, 2 * 10**6))
def test_what_is_owed_is_the_unsold_part_of_the_fee(fee, slot, sold):
    owed = rules.unsold(Money(fee), slot=timedelta(seconds=slot), sold=timedelta(seconds=sold)).fen
    exact = fee * Fraction(max(slot - sold, 0), slot)
    assert exact - 1 < owed <= exact


@pytest.mark.parametrize(("early", "fee"), [(timedelta(0), 0), (timedelta(seconds=-1), 48000)])
def test_cancelling_is_free_until_the_agreed_moment(early, fee):
    start = SLOT.start
    due = rules.late_fee(
        Money(96000), percent=50, free=timedelta(hours=24), starts_at=start, now=start - timedelta(hours=24) - early
    )
    assert due.fen == fee


@pytest.fixture
def made(w):
    """A confirmed booking of four hours for 1,920 yuan, half of it by voucher; late cancelling costs half the price."""
    resource = make.instrument(w)
    asked = terms.Terms(free_cancel_s=24 * 3600, late_percent=50)
    terms.set_terms(actor=w.keeper, resource=resource, terms=asked, now=make.NOW)
    w.voucher = make.voucher(w)
    made = make.booking(w, resource, period=SLOT, pay_with=w.voucher)
    return services.confirm(actor=w.keeper, booking=made, now=make.NOW)


def cancelled(w, made):
    services.cancel(actor=w.researcher, booking=made, now=LATE)
    return Booking.objects.get(pk=made.pk)


class TestLateCancelling:
    def test_keeps_the_fee_of_the_payers_own_money_until_the_slot_is_over(self, w, made):
        gone = cancelled(w, made)

        assert (gone.charge.state, gone.charge.own_held_fen, gone.charge.voucher_held_fen) == ("held", 96000, 0)
        assert ledger.balances(account_ids=[w.voucher.account_id])[w.voucher.account_id].held_fen == 0
        assert fees.settle_due(now=SLOT.end - timedelta(seconds=1)) == 0
        assert fees.settle_due(now=SLOT.end) == 1
        assert Charge.objects.get(pk=gone.charge_id).own_captured_fen == 96000
        assert fees.settle_due(now=SLOT.end) == 0
        assert ledger.unaccounted_fen() == 0

    def test_credits_what_is_resold(self, w, made):
        """S10: two of four hours are resold, so half of the fee is owed."""
        gone = cancelled(w, made)
        again = make.booking(w, made.resource, period=make.slot(start="09:00", end="11:00"), now=LATE)
        services.confirm(actor=w.keeper, booking=again, now=LATE)

        fees.settle_due(now=SLOT.end)

        fee = LateFee.objects.get(booking=made)
        assert (fee.sold_s, fee.owed_fen) == (7200, 48000)
        assert Charge.objects.get(pk=gone.charge_id).actual_fen == 48000

    def test_costs_nothing_when_all_is_resold(self, w, made):
        gone = cancelled(w, made)
        again = make.booking(w, made.resource, period=SLOT, now=LATE)
        services.confirm(actor=w.keeper, booking=again, now=LATE)
        fees.settle_due(now=SLOT.end)
        assert Charge.objects.get(pk=gone.charge_id).state == "released"

    def test_costs_nothing_in_time_or_before_the_lab_confirmed(self, w, made):
        services.cancel(actor=w.researcher, booking=made, now=SLOT.start - timedelta(hours=24))
        other = make.booking(w, made.resource, period=SLOT, now=LATE)
        services.cancel(actor=w.researcher, booking=other, now=LATE)
        assert not LateFee.objects.exists()

    def test_absence_costs_the_same(self, w, made):
        services.miss(actor=w.keeper, booking=made, now=SLOT.start + timedelta(hours=1))
        assert LateFee.objects.get(booking=made).fee_fen == 96000

    def test_keeps_to_what_was_agreed(self, w, made):
        asked = terms.Terms(free_cancel_s=0, late_percent=100)
        terms.set_terms(actor=w.keeper, resource=made.resource, terms=asked, now=make.NOW)
        assert fees.due(Booking.objects.get(pk=made.pk), now=LATE).fen == 96000

    def test_is_not_evaded_by_moving(self, w, made):
        with pytest.raises(Refused) as refused:
            moving.move(actor=w.researcher, booking=made, period=make.slot(days=9), now=LATE)
        assert [reason.code for reason in refused.value.reasons] == ["booking.move_late"]

    def test_is_not_evaded_by_becoming_a_request_again(self, w, made):
        """Cancelling a request is free: longer only where that is confirmed at once."""
        longer = make.slot(start="09:00", end="14:00")
        with pytest.raises(Refused) as refused:
            moving.move(actor=w.researcher, booking=made, period=longer, now=LATE)
        assert [reason.code for reason in refused.value.reasons] == ["booking.move_late"]

        everyday = WeeklyHours.on_clock(range(1, 8), time(8), time(20), is_automatic=True)
        availability.set_opening_hours(actor=w.keeper, resource=made.resource, hours=[everyday], now=make.NOW)
        moved = moving.move(actor=w.researcher, booking=made, period=longer, now=LATE)
        assert (moved.state, moved.ends_at) == ("confirmed", longer.end)
        services.cancel(actor=w.researcher, booking=moved, now=LATE)
        assert LateFee.objects.get(booking=made).fee_fen == 120000


def test_the_fee_is_seen_before_cancelling(w, made, monkeypatch):
    monkeypatch.setattr("django.utils.timezone.now", lambda: LATE)
    client, url = enter(Client(), w.researcher), reverse("booking_cancel", args=[made.number])

    unseen = client.post(url)
    assert "最多收取 ¥960.00" in text_of(unseen)
    assert Booking.objects.get(pk=made.pk).state == "confirmed"
    client.post(url, {"fee": "96000"})
    assert Booking.objects.get(pk=made.pk).state == "cancelled"
    page = text_of(client.get(reverse("booking", args=[made.number])))
    assert "按取消规则收费" in page
    assert "最多 ¥960.00" in page
