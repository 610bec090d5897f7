"""Bookings paid in advance: held for the money, made by it, late money, and what goes back whenever less is used."""

from __future__ import annotations

from datetime import timedelta

import pytest

from portal.kernel.errors import Forbidden, InvalidTransition, Refused
from scheduler.bookings import (
    bundles,
    displacing,
    holding,
    lapsing,
    moving,
    prepaid,
    prepay_rules,
    prepaying,
    queries,
    series,
    series_preview,
    services,
    swapping,
    terms,
)
from scheduler.bookings import fees as booking_fees
from scheduler.bookings.models import Booking
from scheduler.messages.models import Message
from scheduler.resources import pricing
from tests import make
from tests.scheduler.bookings.paying import BEFORE, arrives, booked, payment_of, prepaid_instrument, unapplied
from tests.scheduler.bookings.test_holding import automatic
from tests.scheduler.bookings.test_services import codes
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger
from vouchers.payments.models import Payment
from vouchers.payments.rules import Collect
from vouchers.payments.taking_back import take_back

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SLOT = make.slot(start="09:00", end="13:00")


def again(booking: Booking) -> Booking:
    return Booking.objects.select_related("charge").get(pk=booking.pk)


def paid(w, resource, **more) -> Booking:
    """A confirmed booking whose advance has arrived."""
    made = booked(w, resource, **more)
    arrives(payment_of(made))
    return services.confirm(actor=w.keeper, booking=again(made), now=make.NOW + MINUTE)


class TestTerms:
    def test_a_lab_says_when_own_shares_are_paid_within_bounds(self, w):
        sem = make.instrument(w)
        for bad in (
            prepaid.PayTerms(Collect.BEFORE, 299, 0),
            prepaid.PayTerms(Collect.BEFORE, 7201, 0),
            prepaid.PayTerms(Collect.BEFORE, 600, 3599),
            prepaid.PayTerms(Collect.BEFORE, 600, 10 * 86400 + 1),
        ):
            with pytest.raises(prepay_rules.BadPayTerms):
                prepaid.set_pay_terms(actor=w.keeper, resource=sem, terms=bad, now=make.NOW)
        with pytest.raises(Forbidden):
            prepaid.set_pay_terms(actor=w.researcher, resource=sem, terms=BEFORE, now=make.NOW)
        row = prepaid.set_pay_terms(actor=w.keeper, resource=sem, terms=BEFORE, now=make.NOW)
        assert prepaid.pay_terms(row) == BEFORE

    def test_other_terms_of_the_booking_leave_them_alone(self, w):
        sem = prepaid_instrument(w)
        row = terms.set_terms(actor=w.keeper, resource=sem, terms=terms.Terms(late_percent=50), now=make.NOW)
        row.refresh_from_db()
        assert (row.late_percent, prepaid.pay_terms(row)) == (50, BEFORE)

    def test_stay_as_agreed_when_booked(self, w):
        sem = make.instrument(w)
        made = booked(w, sem)
        prepaid.set_pay_terms(actor=w.keeper, resource=sem, terms=BEFORE, now=make.NOW)
        assert (made.state, again(made).collect) == ("requested", "after")
        assert not Payment.objects.exists()


class TestAsking:
    def test_holds_the_booking_while_the_money_is_waited_for(self, w):
        made = booked(w, prepaid_instrument(w))
        payment = payment_of(made)
        assert (made.state, made.hold_until, made.collect) == ("held", make.NOW + 10 * MINUTE, "before")
        assert (payment.collect, payment.amount_fen, payment.due_until) == ("before", 96000, made.hold_until)

    def test_holds_longer_for_a_transfer_but_never_beyond_the_start(self, w):
        sem = prepaid_instrument(w)
        assert booked(w, sem, by_transfer=True, period=make.slot(10)).hold_until == make.NOW + 72 * HOUR
        assert booked(w, sem, by_transfer=True).hold_until == make.slot().start

    def test_takes_no_transfer_where_the_lab_does_not(self, w):
        sem = prepaid_instrument(w, prepaid.PayTerms(Collect.BEFORE))
        with pytest.raises(Refused) as refused:
            booked(w, sem, by_transfer=True)
        assert codes(refused) == ["booking.no_transfer"]

    def test_asks_only_for_the_own_share(self, w):
        made = booked(w, prepaid_instrument(w), vouchers=[make.voucher(w)])
        assert payment_of(made).amount_fen == 48000

    def test_asks_for_nothing_where_the_voucher_pays_all(self, w):
        whole = make.programme(w, code="whole", lines=[{"id": "100%", "rate": "1.00"}])
        made = booked(w, prepaid_instrument(w), vouchers=[make.voucher(w, whole)])
        assert (made.state, Payment.objects.count()) == ("requested", 0)

    def test_a_hold_that_lacks_its_advance_is_not_confirmed(self, w):
        made = booked(w, prepaid_instrument(w))
        with pytest.raises(Refused) as refused:
            holding.confirm_hold(actor=w.researcher, booking=made, now=make.NOW + MINUTE)
        assert codes(refused) == ["booking.not_paid"]
        assert again(made).state == "held"

    def test_a_series_is_refused_before_and_when_it_is_booked(self, w):
        sem = prepaid_instrument(w)
        wanted = make.series(w, sem)
        found = series_preview.preview(wanted, organisation_id=w.enterprise.pk, now=make.NOW)
        assert {reason.code for row in found.rows for reason in row.reasons} == {"booking.prepaid_series"}
        with pytest.raises(Refused) as refused:
            series.book(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key())
        assert "booking.prepaid_series" in codes(refused)
        assert not Booking.objects.exists()


class TestMoneyInTime:
    def test_makes_a_request_of_the_hold(self, w):
        made = booked(w, prepaid_instrument(w))
        arrives(payment_of(made))
        assert (again(made).state, payment_of(made).state) == ("requested", "confirmed")

    def test_confirms_it_where_the_lab_confirms_at_once(self, w):
        made = booked(w, automatic(prepaid_instrument(w)))
        arrives(payment_of(made))
        assert again(made).state == "confirmed"

    def test_in_parts_waits_for_the_last(self, w):
        made = booked(w, prepaid_instrument(w))
        arrives(payment_of(made), fen=50000)
        assert again(made).state == "held"
        arrives(payment_of(made), fen=46000)
        assert again(made).state == "requested"

    def test_delivered_three_times_changes_nothing_more(self, w):
        made = booked(w, prepaid_instrument(w))
        for _delivery in range(3):
            arrives(payment_of(made), source="attempt:A1")
        payment = payment_of(made)
        assert (payment.paid_fen, unapplied(w.enterprise.pk)) == (96000, 0)
        assert [one.kind for one in Message.objects.all()] == ["prepaid_placed"]

    def test_twice_is_unapplied_the_second_time(self, w):
        made = booked(w, prepaid_instrument(w))
        first, second = (arrives(payment_of(made)) for _payment in range(2))
        assert (first.applied_fen, second.applied_fen) == (96000, 0)
        assert unapplied(w.enterprise.pk) == 96000

    def test_is_used_for_what_was_measured_and_the_rest_owed_back(self, w):
        made = paid(w, prepaid_instrument(w), period=SLOT)
        services.start_session(actor=w.keeper, booking=made, started_at=SLOT.start, now=SLOT.start)
        services.finish_session(actor=w.keeper, booking=again(made), ended_at=SLOT.start + HOUR, now=SLOT.end)
        payment = payment_of(made)
        assert (payment.paid_fen, payment.owed_back_fen) == (192000, 144000)
        assert unapplied(w.enterprise.pk, payment) == 144000
        assert ledger.unaccounted_fen() == 0


class TestLateMoney:
    """S5: the hold ended at 10:10, nobody wrote that down, the money comes at 10:12."""

    def test_books_again_while_the_time_is_free(self, w):
        voucher = make.voucher(w)
        made = booked(w, prepaid_instrument(w), vouchers=[voucher])
        late = payment_of(made)
        for _delivery in range(3):
            arrives(late, after=12 * MINUTE, source="attempt:A1")
        new = Booking.objects.get(again_of=made)
        assert (again(made).state, new.state, new.starts_at) == ("lapsed", "requested", made.starts_at)
        assert (payment_of(new).state, payment_of(new).paid_fen) == ("confirmed", 48000)
        late.refresh_from_db()
        assert (late.state, late.paid_fen, unapplied(w.enterprise.pk)) == ("cancelled", 0, 0)
        assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].held_fen == 48000
        assert [one.kind for one in Message.objects.all()] == ["prepaid_again"]
        assert Booking.objects.count() == 2

    def test_goes_back_where_somebody_has_the_time(self, w):
        sem = prepaid_instrument(w)
        made = booked(w, sem)
        assert booked(w, sem, actor=make.applicant(), now=make.NOW + 10 * MINUTE)
        arrived = [arrives(payment_of(made), after=12 * MINUTE, source="attempt:A1") for _delivery in range(3)]
        assert {one.pk for one in arrived} == {arrived[0].pk}
        assert (arrived[0].applied_fen, unapplied(w.enterprise.pk)) == (0, 96000)
        assert [one.kind for one in Message.objects.all()] == ["prepaid_gone"]

    def test_goes_back_where_the_price_has_risen(self, w):
        sem = prepaid_instrument(w)
        made = booked(w, sem)
        dearer = make.Money.from_yuan("600")
        pricing.set_hourly_rate(actor=w.keeper, resource=sem, amount=dearer, now=make.NOW + 5 * MINUTE)
        arrives(payment_of(made), after=12 * MINUTE)
        assert unapplied(w.enterprise.pk) == 96000
        assert Booking.objects.count() == 1

    def test_pays_the_lower_price_and_the_rest_goes_back(self, w):
        sem = prepaid_instrument(w)
        made = booked(w, sem)
        cheaper = make.Money.from_yuan("400")
        pricing.set_hourly_rate(actor=w.keeper, resource=sem, amount=cheaper, now=make.NOW + 5 * MINUTE)
        arrived = arrives(payment_of(made), after=12 * MINUTE)
        assert (arrived.amount_fen, arrived.applied_fen) == (96000, 80000)
        assert Booking.objects.get(again_of=made).state == "requested"

    def test_pays_the_hold_that_was_taken_again_meanwhile(self, w):
        made = booked(w, prepaid_instrument(w))
        new = holding.confirm_hold(actor=w.researcher, booking=made, now=make.NOW + 11 * MINUTE)
        assert (new.state, new.again_of) == ("held", made)
        arrives(payment_of(made), after=12 * MINUTE)
        assert again(new).state == "requested"
        assert payment_of(new).state == "confirmed"
        twice = arrives(payment_of(new), after=13 * MINUTE)
        assert (twice.applied_fen, unapplied(w.enterprise.pk)) == (0, 96000)

    def test_of_a_cancelled_hold_goes_back(self, w):
        made = booked(w, prepaid_instrument(w))
        services.cancel(actor=w.researcher, booking=made, now=make.NOW + MINUTE)
        arrives(payment_of(made), after=2 * MINUTE)
        assert (again(made).state, unapplied(w.enterprise.pk)) == ("cancelled", 96000)

    def test_of_a_part_that_had_come_in_time_goes_back_with_the_rest(self, w):
        made = booked(w, prepaid_instrument(w))
        arrives(payment_of(made), fen=50000)
        lapsing.lapse_overdue(now=make.NOW + 10 * MINUTE)
        arrives(payment_of(made), after=12 * MINUTE, fen=46000)
        payment = payment_of(made)
        assert (payment.owed_back_fen, unapplied(w.enterprise.pk, payment)) == (50000, 96000)

    @pytest.mark.django_db
    def test_of_something_unknown_goes_back(self):
        assert prepaying.fulfil("booking:B0", charge_id=0, paid_at=make.NOW, now=make.NOW) is None


class TestGivingUp:
    def test_in_time_owes_all_of_it_back(self, w):
        made = paid(w, prepaid_instrument(w))
        services.cancel(actor=w.researcher, booking=made, now=make.NOW + 2 * MINUTE)
        assert payment_of(made).owed_back_fen == 96000

    def test_declined_by_the_lab_owes_all_of_it_back(self, w):
        made = booked(w, prepaid_instrument(w))
        arrives(payment_of(made))
        services.decline(actor=w.keeper, booking=again(made), note="设备检修", now=make.NOW + 2 * MINUTE)
        assert payment_of(made).owed_back_fen == 96000

    def late(self, w, percent: int, **more) -> Booking:
        sem = prepaid_instrument(w)
        asked = terms.Terms(free_cancel_s=24 * 3600, late_percent=percent)
        terms.set_terms(actor=w.keeper, resource=sem, terms=asked, now=make.NOW)
        made = paid(w, sem, period=SLOT, **more)
        services.cancel(actor=w.researcher, booking=made, now=SLOT.start - 2 * HOUR)
        return again(made)

    def test_late_keeps_the_fee_of_it_and_owes_the_rest_back_at_once(self, w):
        gone = self.late(w, 50)
        payment = payment_of(gone)
        assert (payment.owed_back_fen, gone.charge.own_held_fen) == (96000, 96000)
        booking_fees.settle_due(now=SLOT.end)
        payment.refresh_from_db()
        assert (payment.state, payment.owed_back_fen) == ("confirmed", 96000)
        assert Charge.objects.get(pk=gone.charge_id).own_captured_fen == 96000
        assert ledger.unaccounted_fen() == 0

    def test_late_and_resold_owes_the_fee_back_too(self, w):
        gone = self.late(w, 50)
        sem = gone.resource
        prepaid.set_pay_terms(actor=w.keeper, resource=sem, terms=prepaid.PayTerms(), now=make.NOW)
        other = make.booking(w, sem, period=SLOT, now=SLOT.start - HOUR, by=make.applicant())
        services.confirm(actor=w.keeper, booking=other, now=SLOT.start - HOUR)
        booking_fees.settle_due(now=SLOT.end)
        assert payment_of(gone).owed_back_fen == 192000

    def test_a_fee_above_the_advance_makes_the_rest_due(self, w):
        gone = self.late(w, 100, vouchers=[make.voucher(w)])
        payment = payment_of(gone)
        assert (payment.state, payment.amount_fen, payment.paid_fen) == ("due", 192000, 96000)
        booking_fees.settle_due(now=SLOT.end)
        payment.refresh_from_db()
        assert (payment.state, payment.left_fen, payment.collect) == ("due", 96000, "after")
        arrives(payment, fen=96000, after=timedelta(days=3))
        payment.refresh_from_db()
        assert (payment.state, unapplied(w.enterprise.pk)) == ("confirmed", 0)

    def test_a_fee_above_the_advance_may_be_paid_before_it_is_settled(self, w):
        gone = self.late(w, 100, vouchers=[make.voucher(w)])
        arrived = arrives(payment_of(gone), fen=96000, after=timedelta(hours=23))
        assert (arrived.applied_fen, again(gone).state) == (96000, "cancelled")
        assert [one.kind for one in Message.objects.all()] == ["prepaid_placed"]
        booking_fees.settle_due(now=SLOT.end)
        assert payment_of(gone).owed_back_fen == 0


class TestChanging:
    def test_a_move_takes_the_advance_along(self, w):
        made = paid(w, prepaid_instrument(w))
        was = payment_of(made)
        moved = moving.move(actor=w.researcher, booking=made, period=make.slot(2), now=make.NOW + 2 * MINUTE)
        payment = payment_of(moved)
        assert (payment.pk, payment.state, payment.owed_back_fen) == (was.pk, "confirmed", 0)
        assert unapplied(w.enterprise.pk, payment) == 96000
        assert unapplied(w.enterprise.pk, was) == 0

    def test_a_move_to_a_dearer_time_is_refused_and_nothing_changes(self, w):
        made = paid(w, prepaid_instrument(w))
        with pytest.raises(Refused) as refused:
            moving.move(actor=w.researcher, booking=made, period=SLOT, now=make.NOW + 2 * MINUTE)
        assert codes(refused) == ["payment.advance_short"]
        assert payment_of(made).owed_back_fen == 0

    def test_a_move_to_a_cheaper_time_keeps_the_rest_until_use_and_can_be_taken_back(self, w):
        made = paid(w, prepaid_instrument(w), period=SLOT)
        then = make.NOW + 2 * MINUTE
        moved = moving.move(actor=w.researcher, booking=made, period=make.slot(), now=then)
        assert (again(moved).charge.own_held_fen, payment_of(moved).owed_back_fen) == (96000, 0)
        back = moving.undo(actor=w.researcher, booking=again(moved), now=then + timedelta(seconds=5))
        assert (again(back).charge.own_held_fen, payment_of(back).paid_fen) == (192000, 192000)
        assert unapplied(w.enterprise.pk, payment_of(back)) == 192000

    def test_a_hold_that_waits_for_money_is_not_moved(self, w):
        made = booked(w, prepaid_instrument(w))
        with pytest.raises(InvalidTransition):
            moving.move(actor=w.researcher, booking=made, period=make.slot(2), now=make.NOW + MINUTE)
        assert payment_of(made).state == "due"

    def test_an_outage_keeps_the_advance_until_something_is_chosen(self, w):
        made = paid(w, prepaid_instrument(w))
        then = make.NOW + HOUR
        displacing.displace(made, reason="故障", actor=w.keeper, now=then)
        assert payment_of(made).owed_back_fen == 0
        displacing.drop(made, actor=w.researcher, now=then)
        assert payment_of(made).owed_back_fen == 96000

    def test_an_outage_resettled_keeps_the_advance(self, w):
        made = paid(w, prepaid_instrument(w))
        then = make.NOW + HOUR
        displacing.displace(made, reason="故障", actor=w.keeper, now=then)
        displacing.resettle(made, resource=made.resource, period=make.slot(3), claims=[], actor=w.researcher, now=then)
        assert (payment_of(made).state, payment_of(made).owed_back_fen) == ("confirmed", 0)

    def test_swapping_takes_both_advances_along(self, w):
        sem = prepaid_instrument(w)
        mine = paid(w, sem)
        other = make.applicant()
        theirs = booked(w, sem, actor=other, period=make.slot(2))
        arrives(payment_of(theirs))
        services.confirm(actor=w.keeper, booking=again(theirs), now=make.NOW + MINUTE)
        swap = swapping.propose(
            actor=w.researcher,
            booking=again(mine),
            resource=sem,
            at=theirs.starts_at,
            price=make.Money(96000),
            now=make.NOW + 2 * MINUTE,
            key=make.key(),
        )
        swapping.accept(actor=other, swap=swap, price=make.Money(96000), now=make.NOW + 3 * MINUTE)
        assert again(mine).starts_at == theirs.starts_at
        assert [payment_of(one).state for one in (mine, theirs)] == ["confirmed", "confirmed"]
        assert [payment_of(one).owed_back_fen for one in (mine, theirs)] == [0, 0]


def test_the_quote_says_by_when_the_own_share_is_to_be_paid(w):
    wanted = bundles.Wanted(prepaid_instrument(w), make.slot(), "截面观察")
    found = queries.quote(wanted, organisation_id=w.enterprise.pk, now=make.NOW)
    agreed = prepaid.agreed(found.bundle.terms, wanted, own=found.split.own, hold_until=None, now=make.NOW)
    assert agreed.pay_by == make.NOW + 10 * MINUTE


def test_a_booking_whose_money_was_taken_back_is_not_confirmed_until_it_is_paid_again(w):
    made = booked(w, prepaid_instrument(w))
    arrival = arrives(payment_of(made))
    assert again(made).state == "requested"
    take_back(arrival=arrival, asked_by="钱学章 #1", reason="认错了户", actor=w.finance_approver, now=make.NOW + MINUTE)
    payment = payment_of(made)
    assert (payment.state, payment.due_until) == ("due", None)
    with pytest.raises(Refused) as refused:
        services.confirm(actor=w.keeper, booking=again(made), now=make.NOW + 2 * MINUTE)
    assert codes(refused) == ["booking.unpaid"]
    arrives(payment, after=3 * MINUTE)
    assert services.confirm(actor=w.keeper, booking=again(made), now=make.NOW + 4 * MINUTE).state == "confirmed"
