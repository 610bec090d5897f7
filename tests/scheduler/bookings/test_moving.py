"""Moving a booking with its money, and giving back what is left of one in use."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
from django.db import connections

from portal.audit.models import Record
from portal.kernel.errors import Forbidden, InvalidTransition, Refused
from portal.organisations import rules as roles
from scheduler.availability.models import Claim, FreeGap
from scheduler.bookings import moving, queries, rules, services
from scheduler.bookings.models import Booking
from scheduler.resources import pricing
from tests import make
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

AFTERNOON = make.slot(start="14:00", end="17:00")


def held(voucher):
    return ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].held_fen


class TestMoving:
    def test_keeps_the_identity_and_takes_time_and_money_along(self, w):
        resource, voucher = make.instrument(w, cleanup_s=1800), make.voucher(w)
        made = make.booking(w, resource, pay_with=voucher)
        first = made.charge_id

        moved = moving.move(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)

        assert (moved.uid, moved.number, moved.sequence) == (made.uid, made.number, made.sequence + 1)
        claim = Claim.objects.get(booking=made)
        assert (claim.during.lower, claim.blocked.upper) == (AFTERNOON.start, AFTERNOON.end + timedelta(minutes=30))
        assert (moved.charge.price_fen, held(voucher)) == (144000, 72000)
        assert Charge.objects.get(pk=first).state == "released"
        make.booking(w, resource)
        assert ledger.unaccounted_fen() == 0

    def test_may_overlap_the_old_time(self, w):
        made = make.booking(w, make.instrument(w))
        moved = moving.move(
            actor=w.researcher, booking=made, period=make.slot(start="10:00", end="12:00"), now=make.NOW
        )
        assert moved.starts_at == make.slot(start="10:00", end="12:00").start

    def test_asks_the_price_of_today_of_the_same_voucher(self, w):
        """The whole voucher was held for the old time: what moving frees pays for the new time."""
        voucher = make.voucher(w, items={"instrument_use": make.Money.from_yuan("1920")})
        made = make.booking(w, make.instrument(w), period=make.slot(start="08:00", end="12:00"), pay_with=voucher)
        pricing.set_hourly_rate(
            actor=w.keeper, resource=made.resource, amount=make.Money.from_yuan("240"), now=make.NOW
        )

        moved = moving.move(
            actor=w.researcher, booking=made, period=make.slot(start="13:00", end="17:00"), now=make.NOW
        )

        assert (moved.charge.price_fen, moved.charge.voucher_held_fen) == (96000, 48000)

    def test_lets_the_lab_decide_anew_unless_the_time_lies_in_the_old(self, w):
        made = make.booking(w, make.instrument(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)

        shorter = moving.move(
            actor=w.researcher, booking=made, period=make.slot(start="09:00", end="10:00"), now=make.NOW
        )
        assert (shorter.state, Claim.objects.get(booking=made).state) == ("confirmed", "confirmed")

        later = moving.move(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)
        assert (later.state, Claim.objects.get(booking=made).state) == ("requested", "held")

    def test_changes_nothing_where_the_time_is_taken_and_offers_what_is_free(self, w):
        resource = make.instrument(w)
        made = make.booking(w, resource)
        make.booking(w, resource, period=AFTERNOON)

        with pytest.raises(Refused) as refused:
            moving.move(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)

        assert [reason.code for reason in refused.value.reasons] == ["booking.taken"]
        assert len(refused.value.data["alternatives"]) == 3
        made.refresh_from_db()
        assert (made.starts_at, made.sequence, made.charge.state) == (make.slot().start, 0, "held")
        assert Claim.objects.get(booking=made).state == "held"

    def test_repeats_nothing(self, w):
        made = make.booking(w, make.instrument(w))
        first = moving.move(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)
        again = moving.move(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)
        assert (again.sequence, again.charge_id) == (first.sequence, first.charge_id)

    def test_is_refused_once_started(self, w):
        made = make.booking(w, make.instrument(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)
        with pytest.raises(rules.MovedAfterStart):
            moving.move(actor=w.researcher, booking=made, period=make.slot(days=3), now=made.starts_at)
        services.start_session(actor=w.keeper, booking=made, started_at=made.starts_at, now=made.starts_at)
        with pytest.raises(rules.MovedAfterStart):
            moving.move(actor=w.researcher, booking=made, period=make.slot(days=3), now=made.starts_at)

    def test_is_refused_once_over_and_to_others(self, w):
        made = make.booking(w, make.instrument(w))
        stranger = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER)
        for other in (stranger, w.keeper):
            with pytest.raises(Forbidden):
                moving.move(actor=other, booking=made, period=AFTERNOON, now=make.NOW)
        services.cancel(actor=w.researcher, booking=made, now=make.NOW)
        with pytest.raises(InvalidTransition):
            moving.move(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)

    def test_a_look_shows_the_price_and_changes_nothing(self, w):
        voucher = make.voucher(w)
        made = make.booking(w, make.instrument(w), pay_with=voucher)

        seen = moving.look(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)

        assert (seen.quote.price.amount.fen, seen.quote.split.voucher.fen, seen.quote.reasons) == (144000, 72000, ())
        assert held(voucher) == 48000
        assert Charge.objects.count() == 1
        assert Claim.objects.get(booking=made).state == "held"


@pytest.mark.django_db(transaction=True)
def test_of_two_that_move_to_one_time_one_wins(w):
    resource = make.instrument(w)
    rivals = [make.booking(w, resource, period=make.slot(days=day)) for day in (1, 2)]
    together = Barrier(2)

    def go(booking):
        try:
            together.wait(timeout=10)
            moving.move(actor=w.researcher, booking=booking, period=make.slot(days=3), now=make.NOW)
        except Refused:
            return False
        finally:
            connections.close_all()
        return True

    with ThreadPoolExecutor(2) as pool:
        won = list(pool.map(go, rivals))

    assert sorted(won) == [False, True]
    assert Booking.objects.filter(starts_at=make.slot(days=3).start).count() == 1
    assert Claim.objects.count() == 2
    assert ledger.unaccounted_fen() == 0


class TestReleasingTheRest:
    def test_frees_what_is_left_and_pays_what_was_used(self, w):
        resource = make.instrument(w, cleanup_s=1800)
        made = make.booking(w, resource, period=make.slot(start="09:00", end="13:00"))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)
        services.start_session(actor=w.keeper, booking=made, started_at=made.starts_at, now=made.starts_at)
        at = make.slot(start="09:00", end="10:00").end

        moving.release_rest(actor=w.researcher, booking=made, now=at)

        gap = FreeGap.objects.get(resource=resource, starts_at__gt=made.starts_at, starts_at__lt=made.ends_at)
        assert gap.starts_at == at + timedelta(minutes=30)
        make.booking(w, resource, period=make.slot(start="10:30", end="12:00"), now=at)
        done = services.finish_session(actor=w.keeper, booking=made, ended_at=at, now=at)
        assert Charge.objects.get(pk=done.charge_id).actual_fen == 48000

    def test_needs_use_that_has_begun(self, w):
        made = make.booking(w, make.instrument(w))
        with pytest.raises(rules.NothingToRelease):
            moving.release_rest(actor=w.researcher, booking=made, now=made.starts_at + timedelta(hours=1))


class TestTakingBack:
    @pytest.fixture
    def moved(self, w):
        made = make.booking(w, make.instrument(w), pay_with=make.voucher(w))
        services.confirm(actor=w.keeper, booking=made, now=make.NOW)
        return moving.move(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)

    def test_restores_time_confirmation_and_price(self, w, moved):
        was = make.slot()
        pricing.set_hourly_rate(actor=w.keeper, resource=moved.resource, amount=make.Money(99900), now=make.NOW)

        soon = make.NOW + timedelta(seconds=9)
        back = moving.undo(actor=w.researcher, booking=moved, now=soon)
        assert (back.starts_at, back.ends_at, back.state) == (was.start, was.end, "confirmed")
        assert back.charge.price_fen == 96000
        assert back.sequence == moved.sequence + 1
        assert Claim.objects.get(booking=back).state == "confirmed"
        assert ledger.unaccounted_fen() == 0
        again = moving.undo(actor=w.researcher, booking=Booking.objects.get(pk=back.pk), now=soon)
        assert again.sequence == back.sequence

    def test_is_for_a_few_seconds_and_for_the_last_act_alone(self, w, moved):
        late = make.NOW + moving.UNDO_WITHIN + timedelta(seconds=1)
        with pytest.raises(rules.NothingToUndo):
            moving.undo(actor=w.researcher, booking=moved, now=late)
        services.confirm(actor=w.keeper, booking=moved, now=make.NOW + timedelta(seconds=1))
        with pytest.raises(rules.NothingToUndo):
            moving.undo(actor=w.researcher, booking=moved, now=make.NOW + timedelta(seconds=2))
        with pytest.raises(Forbidden):
            moving.undo(actor=w.keeper, booking=moved, now=make.NOW)

    def test_is_refused_where_somebody_has_taken_the_time(self, w, moved):
        make.booking(w, moved.resource)
        with pytest.raises(Refused) as refused:
            moving.undo(actor=w.researcher, booking=moved, now=make.NOW)
        assert [reason.code for reason in refused.value.reasons] == [queries.TAKEN.code]
        assert Booking.objects.get(pk=moved.pk).starts_at == AFTERNOON.start


def test_looking_leaves_no_trace(w, django_capture_on_commit_callbacks):
    made = make.booking(w, make.instrument(w), pay_with=make.voucher(w))
    before = Record.objects.count()
    with django_capture_on_commit_callbacks(execute=True) as told:
        found = moving.look(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)
    assert found.quote.price.amount.fen == 144000
    assert not told
    assert Record.objects.count() == before
    with django_capture_on_commit_callbacks() as told:
        moving.move(actor=w.researcher, booking=made, period=AFTERNOON, now=make.NOW)
    assert told
