"""Time is occupied once, places are never oversold, and what the search reads as free is what is free."""

from __future__ import annotations

import random
from datetime import timedelta
from itertools import pairwise

import pytest
from django.db import IntegrityError, transaction

from portal.kernel.period import Period, merge, subtract
from scheduler.availability import claiming, opening, queries
from scheduler.availability.models import BLOCKING, Claim, FreeGap, OpenPeriod
from scheduler.resources.models import Resource
from tests import make
from tests.scheduler.bookings.test_services import race

QUARTER = timedelta(minutes=15)
MORNING = make.slot(start="09:00", end="11:00")


def bench(w: make.World, *, capacity: int, counting: str = "units") -> Resource:
    resource = make.instrument(w, granularity_s=900, min_duration_s=900)
    Resource.objects.filter(pk=resource.pk).update(capacity=capacity, counting=counting)
    resource.refresh_from_db()
    opening.rebuild([resource], now=make.NOW)
    return resource


def ask(resource: Resource, period: Period = MORNING, units: int = 1) -> claiming.Ask:
    return claiming.Ask(resource, period, period, units=units)


def occupy(*asks: claiming.Ask) -> list[Claim]:
    with transaction.atomic():
        return claiming.occupy(asks, state=Claim.State.CONFIRMED, booking_id=None)


def recomputed(resource: Resource) -> set[tuple[int, Period]]:
    """Return the free time of each unit by brute force, from open periods and claims."""
    opened = merge(queries.period_of(row.during) for row in OpenPeriod.objects.filter(resource=resource))
    claims = list(Claim.objects.filter(resource=resource, state__in=BLOCKING))
    if resource.counting == "units":
        return {
            (unit, gap)
            for unit in range(1, resource.capacity + 1)
            for gap in subtract(opened, [queries.period_of(c.blocked) for c in claims if c.unit_no == unit])
        }
    edges = sorted({edge for c in claims for edge in (c.blocked.lower, c.blocked.upper)})
    full = [
        Period(left, right)
        for left, right in pairwise(edges)
        if sum(c.units for c in claims if c.blocked.lower <= left < c.blocked.upper) >= resource.capacity
    ]
    return {(0, gap) for gap in subtract(opened, full)}


def kept(resource: Resource) -> set[tuple[int, Period]]:
    rows = list(FreeGap.objects.filter(resource=resource))
    found = {(row.unit_no, queries.period_of(row.during)) for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.django_db
class TestNumberedUnits:
    def test_are_taken_one_after_the_other_then_refused(self, w):
        resource = bench(w, capacity=3)
        assert [occupy(ask(resource))[0].unit_no for _turn in range(3)] == [1, 2, 3]
        with pytest.raises(claiming.Taken) as refused:
            occupy(ask(resource))
        assert refused.value.resource_ids == (resource.pk,)

    def test_are_filled_so_that_least_time_lies_idle(self, w):
        resource = bench(w, capacity=2)
        early, late = make.slot(start="08:00", end="09:00"), make.slot(start="11:00", end="12:00")
        occupy(ask(resource, make.slot(start="13:00", end="14:00")))
        assert occupy(ask(resource, make.slot(start="13:00", end="14:00")))[0].unit_no == 2
        assert occupy(ask(resource, early))[0].unit_no == 1
        assert occupy(ask(resource, MORNING))[0].unit_no == 1
        assert occupy(ask(resource, late))[0].unit_no == 1

    def test_beyond_the_capacity_are_refused_by_the_database(self, w):
        resource = bench(w, capacity=2)
        span = (MORNING.start, MORNING.end)
        with pytest.raises(IntegrityError, match="names one unit"), transaction.atomic():
            Claim.objects.create(resource=resource, unit_no=3, during=span, blocked=span, state="outage")


@pytest.mark.django_db
class TestCountedPlaces:
    def test_are_given_out_to_the_last_one(self, w):
        resource = bench(w, capacity=8, counting="fungible")
        occupy(ask(resource, units=5))
        occupy(ask(resource, units=3))
        assert claiming.peak(resource, MORNING) == 8
        with pytest.raises(claiming.Taken):
            occupy(ask(resource))
        occupy(ask(resource, make.slot(start="11:00", end="12:00"), units=8))

    def test_are_never_oversold_by_whoever_writes(self, w):
        resource = bench(w, capacity=2, counting="fungible")
        span = (MORNING.start, MORNING.end)
        with pytest.raises(IntegrityError, match="more places"), transaction.atomic():
            Claim.objects.create(resource=resource, unit_no=None, units=3, during=span, blocked=span, state="held")

    def test_of_overlapping_uses_count_at_the_busiest_moment_only(self, w):
        resource = bench(w, capacity=2, counting="fungible")
        for start, end in (("08:00", "10:00"), ("10:00", "12:00"), ("08:00", "09:00"), ("11:00", "12:00")):
            occupy(ask(resource, make.slot(start=start, end=end)))
        assert occupy(ask(resource, make.slot(start="09:00", end="11:00")))
        assert claiming.peak(resource, make.slot(start="08:00", end="12:00")) == 2


@pytest.mark.django_db
class TestFreeTime:
    @pytest.mark.parametrize(("capacity", "counting"), [(1, "units"), (3, "units"), (4, "fungible")])
    def test_equals_recomputation_after_any_changes(self, w, capacity, counting):
        resource, seed = bench(w, capacity=capacity, counting=counting), random.Random(capacity)
        for turn in range(200):
            start = make.local((make.NOW + timedelta(days=seed.randrange(3))).date(), "07:00")
            start += QUARTER * seed.randrange(64)
            period = Period(start, start + QUARTER * seed.randint(1, 12))
            claims = list(Claim.objects.filter(resource=resource, state__in=BLOCKING))
            if claims and seed.random() < 0.3:
                gone = seed.choice(claims)
                Claim.objects.filter(pk=gone.pk).delete() if turn % 2 else Claim.objects.filter(pk=gone.pk).update(
                    state="released"
                )
                continue
            try:
                occupy(ask(resource, period, units=seed.randint(1, 2) if counting == "fungible" else 1))
            except claiming.Taken:
                continue
        assert Claim.objects.filter(resource=resource).count() > 20
        assert kept(resource) == recomputed(resource)
        opening.rebuild([resource], now=make.NOW)
        assert kept(resource) == recomputed(resource)

    def test_is_not_free_to_enterprises_where_only_own_staff_may(self, w):
        resource = bench(w, capacity=1)
        resource.opening_hours.update(audience="own")
        opening.rebuild([resource], now=make.NOW)
        assert OpenPeriod.objects.filter(resource=resource).exists()
        assert not kept(resource)


@pytest.mark.django_db(transaction=True)
class TestRacing:
    def test_for_places_never_oversells_nor_deadlocks(self):
        w = make.world()
        resource = bench(w, capacity=8, counting="fungible")
        outcomes = race(32, lambda number: occupy(ask(resource, units=1 + number % 3)))
        taken = [outcome for outcome in outcomes if isinstance(outcome, claiming.Taken)]
        assert len(taken) < 32
        assert all(isinstance(outcome, list | claiming.Taken) for outcome in outcomes)
        assert claiming.peak(resource, MORNING) == 8

    def test_for_two_things_in_either_order_gives_whole_bundles_only(self):
        w = make.world()
        one, two = bench(w, capacity=1), bench(w, capacity=1)
        outcomes = race(16, lambda number: occupy(*(ask(each) for each in ((one, two) if number % 2 else (two, one)))))
        assert sum(isinstance(outcome, list) for outcome in outcomes) == 1
        assert all(isinstance(outcome, list | claiming.Taken) for outcome in outcomes)
        assert Claim.objects.filter(state="confirmed").count() == 2
