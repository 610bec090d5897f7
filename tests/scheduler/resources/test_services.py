"""Entering things that are shared, on PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.kernel.errors import Refused
from portal.kernel.period import Period
from scheduler.availability import claiming
from scheduler.availability.models import Claim, FreeGap
from scheduler.bookings import lapsing
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.resources import places, profile, rules, services
from tests import make

pytestmark = pytest.mark.django_db


def codes(refused) -> set[str]:
    return {reason.code for reason in refused.value.reasons}


def change(w, resource, **values):
    return services.change_instrument(
        actor=w.keeper, resource=resource, values=make.instrument_values(**values), now=make.NOW
    )


def test_an_internal_number_is_used_once_in_a_lab(w):
    make.instrument(w, internal_no="A-1")
    with pytest.raises(Refused) as refused:
        make.instrument(w, internal_no="A-1")
    assert codes(refused) == {"instrument.internal_no"}
    make.instrument(w)
    make.instrument(w)


def test_a_bench_has_as_many_units_of_free_time_as_places(w):
    bench = make.instrument(w, kind="bench", capacity=3)

    def units() -> set[int]:
        return set(FreeGap.objects.filter(resource=bench).values_list("unit_no", flat=True))

    assert units() == {1, 2, 3}
    change(w, bench, kind="bench", capacity=2)
    assert units() == {1, 2}
    change(w, bench, kind="bench", capacity=2, counting="fungible")
    assert units() == {0}


def test_no_place_is_taken_away_that_is_booked(w):
    bench = make.instrument(w, kind="bench", capacity=3)
    slot = make.slot()
    for _ in range(2):
        claiming.occupy([claiming.Ask(bench, slot, slot)], state=Claim.State.CONFIRMED, booking_id=None)
    change(w, bench, kind="bench", capacity=2)
    with pytest.raises(Refused) as refused:
        change(w, bench, kind="bench", capacity=1)
    assert codes(refused) == {"instrument.capacity_booked"}
    assert refused.value.reasons[0].params["when"] == "2026-11-26 11:00"
    with pytest.raises(Refused) as refused:
        change(w, bench, kind="bench", capacity=2, counting="fungible")
    assert codes(refused) == {"instrument.counting_booked"}
    bench.refresh_from_db()
    assert (bench.capacity, bench.counting) == (2, "units")


@pytest.mark.parametrize("counting", ["units", "fungible"])
def test_what_was_used_is_recorded_after_a_resource_has_become_smaller(w, counting):
    bench = make.instrument(w, kind="bench", capacity=2, counting=counting)
    rows = [make.booking(w, bench, period=make.slot()) for _unit in range(2)]
    for row in rows:
        bookings.confirm(actor=w.keeper, booking=row, now=make.NOW)
    began, ended = rows[0].starts_at, rows[0].ends_at
    smaller = make.instrument_values(kind="bench", capacity=1, counting=counting)
    services.change_instrument(actor=w.keeper, resource=bench, values=smaller, now=ended)
    for row in rows[:1]:
        bookings.start_session(actor=w.keeper, booking=row, started_at=began, now=ended)
        bookings.finish_session(actor=w.keeper, booking=row, ended_at=ended, now=ended)
    bookings.miss(actor=w.keeper, booking=rows[1], now=ended)
    assert [Booking.objects.get(pk=row.pk).state for row in rows] == ["completed", "no_show"]
    assert set(FreeGap.objects.filter(resource=bench).values_list("unit_no", flat=True)) == {int(counting == "units")}


def test_a_hold_that_has_ended_stands_in_no_ones_way(w):
    bench = make.instrument(w, kind="bench", capacity=2)
    first, second = (make.held(w, bench) for _unit in range(2))
    smaller = make.instrument_values(kind="bench", capacity=1)
    services.change_instrument(actor=w.keeper, resource=bench, values=smaller, now=second.hold_until)
    assert lapsing.lapse_overdue(now=second.hold_until) == 2
    assert Claim.objects.filter(booking__in=[first, second], state="released").count() == 2
    assert set(FreeGap.objects.filter(resource=bench).values_list("unit_no", flat=True)) == {1}


@pytest.mark.parametrize("counting", ["units", "fungible"])
def test_a_smaller_capacity_names_the_bookings_in_the_way_and_when_it_would_work(w, counting):
    bench = make.instrument(w, kind="bench", capacity=2, counting=counting)
    early, late = make.slot(days=1), make.slot(days=2)
    asks = [(1, early), (2, early), (1, late)]
    rows = [make.booking(w, bench, period=period) for _unit, period in asks]
    with pytest.raises(Refused) as refused:
        change(w, bench, kind="bench", capacity=1, counting=counting)
    params = refused.value.reasons[0].params
    named = {text.split(" ")[0] for text in params["bookings"]}
    assert named == ({rows[1].number} if counting == "units" else {rows[0].number, rows[1].number})
    assert params["bookings"][-1].endswith("2026-11-26 09:00–11:00")
    assert params["when"] == "2026-11-26 11:00"
    services.change_instrument(
        actor=w.keeper,
        resource=bench,
        values=make.instrument_values(kind="bench", capacity=1, counting=counting),
        now=early.end,
    )


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 6), st.integers(1, 3)), max_size=8), st.integers(1, 4))
def test_overfull_is_exactly_where_more_are_taken_than_there_are(rows, capacity):
    def at(hour: int):
        return make.NOW + timedelta(hours=hour)

    taken = [
        places.Taken("", Period(at(start), at(start + long)), Period(at(start), at(start + long)), units, None)
        for start, long, units in rows
    ]
    spans = places.overfull(taken, capacity=capacity)
    for hour in range(30):
        present = sum(units for start, long, units in rows if start <= hour < start + long)
        assert any(span.start <= at(hour) < span.end for span in spans) == (present > capacity)


@pytest.mark.parametrize(
    ("said", "code"),
    [({"share_mode": "inside"}, "instrument.not_shared"), ({"running_state": "scrapped"}, "instrument.scrapped")],
)
def test_what_cannot_serve_others_is_not_published(w, said, code):
    resource = make.instrument(w)
    services.change_state(actor=w.keeper, resource=resource, action=rules.PublishAction.SUSPEND, now=make.NOW)
    change(w, resource, profile=profile.Profile(**said))
    with pytest.raises(Refused) as refused:
        services.change_state(actor=w.keeper, resource=resource, action=rules.PublishAction.PUBLISH, now=make.NOW)
    assert codes(refused) == {code}
