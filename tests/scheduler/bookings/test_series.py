"""Booking a series: looked at first, then all or nothing; each use a booking of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from threading import Barrier

import pytest
from django.db import connection, connections
from django.test.utils import CaptureQueriesContext

from portal.kernel.errors import Forbidden, Refused
from portal.kernel.idempotency import KeyReused
from portal.organisations import rules as roles
from scheduler.availability import deviations
from scheduler.availability.models import Claim
from scheduler.bookings import moving, series, series_preview, services
from scheduler.bookings.models import Booking, BookingSeries
from scheduler.bookings.series_rules import Frequency
from tests import make
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

SECOND = date(2026, 12, 3)


def look(w, wanted):
    return series_preview.preview(wanted, organisation_id=w.enterprise.pk, now=make.NOW)


def starts(found):
    return [row.starts_at for row in found]


class TestLooking:
    def test_says_of_every_use_whether_it_is_free_and_what_is_free_instead(self, w):
        resource = make.instrument(w)
        make.booking(w, resource, period=make.slot(days=8, start="08:00", end="10:00"))
        closed = make.slot(days=15, start="08:00", end="22:00")
        deviations.close(actor=w.keeper, resource=resource, period=closed, reason="假日", now=make.NOW)

        found = look(w, make.series(w, resource))

        assert [row.verdict.value for row in found.rows] == ["free", "taken", "closed"]
        assert found.rows[1].alternative == make.slot(days=8, start="10:00", end="12:00")
        assert found.rows[2].alternative == make.slot(days=14, start="20:00", end="22:00")
        assert (len(found.bookable), len(found.conflicts), found.price.fen) == (1, 2, 96000)

    def test_gives_no_two_uses_the_same_time_instead_and_none_that_another_use_has(self, w):
        resource = make.instrument(w)
        for days in (2, 3):
            closed = make.slot(days=days, start="08:00", end="22:00")
            deviations.close(actor=w.keeper, resource=resource, period=closed, reason="检修", now=make.NOW)

        found = look(w, make.series(w, resource, frequency=Frequency.DAILY, count=5))

        assert [row.verdict.value for row in found.rows] == ["free", "closed", "closed", "free", "free"]
        times = [row.alternative or row.period for row in found.rows]
        assert not any(one.overlaps(other) for one in times for other in times if one is not other)

    def test_counts_what_earlier_uses_take_of_a_voucher(self, w):
        voucher = make.voucher(w, items={"instrument_use": make.Money.from_yuan("1500")})
        found = look(w, make.series(w, make.instrument(w), pay_with=voucher))
        assert [row.verdict.value for row in found.rows] == ["free", "refused", "refused"]
        assert found.rows[0].voucher.fen == 48000
        assert {reason.code for reason in found.rows[1].reasons} == {"voucher.too_small"}

    def test_a_use_beyond_the_horizon_is_refused_not_the_series(self, w):
        found = look(w, make.series(w, make.instrument(w, horizon_s=10 * 86400)))
        assert [row.verdict.value for row in found.rows] == ["free", "free", "refused"]
        assert [reason.code for reason in found.rows[2].reasons] == ["booking.horizon"]

    def test_takes_as_many_queries_for_fifty_as_for_three(self, w):
        resource = make.instrument(w)
        make.operator(w, resource)
        make.booking(w, resource, period=make.slot(days=8))

        def queries(count):
            with CaptureQueriesContext(
                connection,
            ) as seen:
                found = look(w, make.series(w, resource, frequency=Frequency.DAILY, count=count))
            assert len(found.conflicts) == 1
            return len(seen)

        assert queries(50) == queries(9) <= 17

    def test_names_what_is_no_use_of_the_series(self, w):
        wanted = make.series(w, make.instrument(w), dropped=frozenset({date(2026, 12, 4)}))
        with pytest.raises(series_preview.UnknownDay):
            look(w, wanted)


class TestBooking:
    def test_makes_a_booking_of_each_use_with_its_own_charge(self, w):
        voucher = make.voucher(w)
        made = make.booked_series(w, make.instrument(w), pay_with=voucher)

        uses = list(made.bookings.order_by("planned_at"))
        assert starts(uses) == [make.slot(days=days).start for days in (1, 8, 15)]
        assert [use.planned_at for use in uses] == starts(uses)
        assert len({use.uid for use in uses}) == len({use.charge_id for use in uses}) == 3
        assert {Charge.objects.get(pk=use.charge_id).voucher_held_fen for use in uses} == {48000}
        assert Claim.objects.filter(booking__series=made, state="held").count() == 3
        assert ledger.unaccounted_fen() == 0

    def test_leaves_out_what_is_dropped_and_moves_what_is_moved(self, w):
        elsewhere = make.slot(days=9, start="14:00", end="16:00")
        made = make.booked_series(
            w, make.instrument(w), dropped=frozenset({date(2026, 12, 10)}), moved={SECOND: elsewhere}
        )
        uses = list(made.bookings.order_by("planned_at"))
        assert starts(uses) == [make.slot().start, elsewhere.start]
        assert uses[1].planned_at == make.slot(days=8).start

    def test_books_nothing_where_one_use_cannot_be_had_and_names_it(self, w):
        resource = make.instrument(w)
        make.booking(w, resource, period=make.slot(days=8))

        with pytest.raises(Refused) as refused:
            make.booked_series(w, resource)

        assert refused.value.data == {"days": [SECOND.isoformat()]}
        assert [reason.code for reason in refused.value.reasons] == ["series.uses", "booking.taken"]
        assert (Booking.objects.count(), BookingSeries.objects.count(), Charge.objects.count()) == (1, 0, 1)
        assert ledger.unaccounted_fen() == 0

    def test_repeats_nothing_and_tells_another_series_under_the_same_key(self, w):
        resource = make.instrument(w)
        asked = {"actor": w.researcher, "now": make.NOW, "key": make.key()}
        first = series.book(wanted=make.series(w, resource), **asked)
        assert series.book(wanted=make.series(w, resource), **asked).pk == first.pk
        assert Booking.objects.count() == 3
        with pytest.raises(KeyReused):
            series.book(wanted=make.series(w, resource, count=4), **asked)

    def test_is_the_enterprises(self, w):
        with pytest.raises(Forbidden):
            series.book(actor=w.keeper, wanted=make.series(w, make.instrument(w)), now=make.NOW, key=make.key())

    def test_books_something(self, w):
        days = frozenset({date(2026, 11, 26), SECOND, date(2026, 12, 10)})
        with pytest.raises(series_preview.NothingChosen):
            make.booked_series(w, make.instrument(w), dropped=days)


class TestLater:
    def test_one_use_moves_and_stays_the_use_it_was(self, w):
        made = make.booked_series(w, make.instrument(w))
        use = made.bookings.get(planned_at=make.slot(days=8).start)
        moved = moving.move(actor=w.researcher, booking=use, period=make.slot(days=9), now=make.NOW)
        assert (moved.planned_at, moved.uid, moved.sequence) == (use.planned_at, use.uid, use.sequence + 1)
        assert moved.series_id == made.pk

    def test_this_and_all_later_are_cancelled_and_the_earlier_stay(self, w):
        made = make.booked_series(w, make.instrument(w))
        uses = list(made.bookings.order_by("planned_at"))
        services.confirm(actor=w.keeper, booking=uses[1], now=make.NOW)

        gone = series.cancel_from(actor=w.researcher, booking=uses[1], now=make.NOW)

        assert {one.pk for one in gone} == {uses[1].pk, uses[2].pk}
        assert [use.state for use in made.bookings.order_by("planned_at")] == ["requested", "cancelled", "cancelled"]
        assert ledger.unaccounted_fen() == 0
        with pytest.raises(series.NothingLeft):
            series.cancel_from(actor=w.researcher, booking=uses[1], now=make.NOW)

    def test_what_has_begun_stays(self, w):
        made = make.booked_series(w, make.instrument(w))
        uses = list(made.bookings.order_by("planned_at"))
        services.confirm(actor=w.keeper, booking=uses[0], now=make.NOW)
        series.cancel_from(actor=w.researcher, booking=uses[0], now=uses[0].starts_at + timedelta(minutes=1))
        assert [use.state for use in made.bookings.order_by("planned_at")] == ["confirmed", "cancelled", "cancelled"]

    def test_a_stranger_cancels_nothing(self, w):
        made = make.booked_series(w, make.instrument(w))
        stranger = make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER)
        for other in (stranger, w.keeper):
            with pytest.raises(Forbidden):
                series.cancel_from(actor=other, booking=made.bookings.order_by("planned_at")[0], now=make.NOW)


@pytest.mark.django_db(transaction=True)
def test_of_two_series_that_meet_once_one_is_booked_whole(w):
    resource = make.instrument(w)
    asked = [
        make.series(w, resource),
        make.series(w, resource, first=date(2026, 12, 10), frequency=Frequency.DAILY, interval=2),
    ]
    together = Barrier(2)

    def go(wanted):
        try:
            together.wait(timeout=10)
            series.book(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key())
        except Refused as refused:
            return refused.data["days"]
        finally:
            connections.close_all()
        return None

    with ThreadPoolExecutor(2) as pool:
        said = list(pool.map(go, asked))

    assert sorted(said, key=str) in ([None, ["2026-12-10"]], [["2026-12-10"], None])
    assert (Booking.objects.count(), BookingSeries.objects.count()) == (3, 1)
    assert ledger.unaccounted_fen() == 0
