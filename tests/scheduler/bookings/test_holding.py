"""Holds: kept for a while, then for nobody; made a booking once. Booked at once where the lab says so."""

from __future__ import annotations

import contextlib
import random
from datetime import timedelta

import pytest

from portal.kernel.errors import Refused
from portal.kernel.period import Period
from portal.pages import weeks
from scheduler.availability import opening
from scheduler.availability.models import Claim, FreeGap, OpeningHours
from scheduler.bookings import bundles, holding, lapsing, rules, services
from scheduler.bookings.models import Booking
from scheduler.resources import pricing
from scheduler.resources.models import Resource
from scheduler.search import queries as search
from scheduler.search.rules import Requirement
from tests import make
from tests.calling import Caller, zoned
from tests.scheduler.bookings.test_bundles import bench
from tests.scheduler.bookings.test_services import codes, race
from vouchers.ledger import queries as ledger

MINUTE = timedelta(minutes=1)


def hold(w, resource, *, now=make.NOW, actor=None, **more) -> Booking:
    wanted = bundles.Wanted(resource, more.pop("period", None) or make.slot(), "截面观察", **more)
    return services.hold(actor=actor or w.researcher, wanted=wanted, now=now, key=make.key())


def confirm(w, held, *, after: timedelta = MINUTE) -> Booking:
    return holding.confirm_hold(actor=w.researcher, booking=held, now=make.NOW + after)


def automatic(resource: Resource) -> Resource:
    OpeningHours.objects.filter(resource=resource).update(is_automatic=True)
    opening.rebuild([resource], now=make.NOW)
    return resource


@pytest.mark.django_db
class TestHolding:
    """S5: a hold of ten minutes, and nobody there to end it."""

    def test_keeps_time_and_money_until_its_very_last_moment(self, w):
        sem, other = make.instrument(w), make.applicant()
        held = hold(w, sem)
        assert (held.state, held.charge.own_held_fen) == ("held", 96000)
        assert not FreeGap.objects.filter(resource=sem, during__overlap=(held.starts_at, held.ends_at)).exists()
        with pytest.raises(Refused):
            hold(w, sem, actor=other, now=make.NOW + 10 * MINUTE - timedelta(seconds=1))
        assert hold(w, sem, actor=other, now=make.NOW + 10 * MINUTE)

    def test_ends_without_a_worker_money_first(self, w):
        sem, voucher = make.instrument(w), make.voucher(w)
        held = hold(w, sem, vouchers=[voucher])
        hold(w, sem, actor=make.applicant(), now=make.NOW + 11 * MINUTE)
        held.refresh_from_db()
        assert held.state == "lapsed"
        assert Claim.objects.get(booking=held).state == "released"
        assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].held_fen == 0

    def test_is_ended_by_the_clock_too(self, w):
        held = hold(w, make.instrument(w))
        assert lapsing.lapse_overdue(now=make.NOW + 9 * MINUTE) == 0
        assert lapsing.lapse_overdue(now=make.NOW + 10 * MINUTE) == 1
        held.refresh_from_db()
        assert held.state == "lapsed"

    def test_of_a_bundle_frees_all_of_it(self, w):
        sem = make.instrument(w)
        person = make.operator(w, sem)
        held = hold(w, sem, operator=person)
        hold(w, sem, operator=person, actor=make.applicant(), now=make.NOW + 11 * MINUTE)
        assert set(Claim.objects.filter(booking=held).values_list("state", flat=True)) == {"released"}

    def test_becomes_a_request_once(self, w):
        held = hold(w, make.instrument(w))
        made = [confirm(w, held) for _delivery in range(3)]
        assert {(one.pk, one.state) for one in made} == {(held.pk, "requested")}
        assert Claim.objects.get(booking=held).hold_until is None
        assert lapsing.lapse_overdue(now=make.NOW + 30 * MINUTE) == 0

    def test_that_lapsed_is_booked_anew_while_the_time_is_free(self, w):
        voucher = make.voucher(w)
        held = hold(w, make.instrument(w), vouchers=[voucher])
        made = [confirm(w, held, after=12 * MINUTE) for _delivery in range(3)]
        held.refresh_from_db()
        assert {one.pk for one in made} != {held.pk}
        assert len({one.pk for one in made}) == 1
        assert (held.state, made[0].state) == ("lapsed", "requested")
        assert ledger.balances(account_ids=[voucher.account_id])[voucher.account_id].held_fen == 48000

    def test_that_lapsed_and_was_taken_is_refused_with_other_times(self, w):
        sem = make.instrument(w)
        held = hold(w, sem)
        hold(w, sem, actor=make.applicant(), now=make.NOW + 11 * MINUTE)
        with pytest.raises(Refused) as refused:
            confirm(w, held, after=12 * MINUTE)
        assert codes(refused) == ["booking.taken"]
        assert len(refused.value.data["alternatives"]) == 3

    def test_that_lapsed_is_not_booked_at_a_higher_price(self, w):
        sem = make.instrument(w)
        held = hold(w, sem)
        dearer = make.Money.from_yuan("600")
        pricing.set_hourly_rate(actor=w.keeper, resource=sem, amount=dearer, now=make.NOW + 5 * MINUTE)
        with pytest.raises(Refused) as refused:
            confirm(w, held, after=12 * MINUTE)
        assert codes(refused) == ["booking.dearer"]
        assert Booking.objects.count() == 1

    def test_that_was_cancelled_stays_so(self, w):
        held = hold(w, make.instrument(w))
        services.cancel(actor=w.researcher, booking=held, now=make.NOW)
        with pytest.raises(rules.NotHeld):
            confirm(w, held)


@pytest.mark.django_db
class TestAutomaticHours:
    def test_confirm_at_once(self, w):
        made = make.booking(w, automatic(make.instrument(w)))
        assert (made.state, Claim.objects.get(booking=made).state) == ("confirmed", "confirmed")

    def test_confirm_a_hold_when_it_is_placed(self, w):
        held = hold(w, automatic(make.instrument(w)))
        assert held.state == "held"
        assert confirm(w, held).state == "confirmed"

    def test_do_not_confirm_what_reaches_beyond_them(self, w):
        sem = make.instrument(w)
        hours = OpeningHours.objects.get(resource=sem)
        OpeningHours.objects.create(
            resource=sem, weekdays=hours.weekdays, opens_min=480, closes_min=600, is_automatic=True
        )
        opening.rebuild([sem], now=make.NOW)
        assert make.booking(w, sem).state == "requested"
        assert make.booking(w, sem, period=make.slot(2, "08:00", "10:00")).state == "confirmed"


@pytest.mark.django_db
class TestTwins:
    def test_are_named_where_the_instrument_has_no_time_left(self, w):
        sem, twin = make.instrument(w), make.instrument(w, name="另一台电镜")
        make.instrument(w, city="宁波")
        whole = make.slot(0, "10:00", "22:00")
        for day in range(17):
            span = (whole.start + timedelta(days=day), whole.end + timedelta(days=day))
            early = (span[0] - timedelta(hours=2), span[1])
            Claim.objects.create(resource=sem, during=early, blocked=early, state="outage")
        with pytest.raises(Refused) as refused:
            make.booking(w, sem)
        assert not refused.value.data["alternatives"]
        assert [found["instrument"] for found in refused.value.data["twins"]] == [twin.number]


@pytest.mark.django_db(transaction=True)
class TestRacing:
    def test_bundles_in_opposite_order_never_deadlock_nor_come_in_halves(self):
        """S2, small: instruments and operators shared both ways round, 16 rivals, one round."""
        w = make.world()
        sem, tem = make.instrument(w), make.instrument(w)
        people = [make.operator(w, sem, tem), make.operator(w, sem, tem)]
        rivals = [make.applicant() for _ in range(4)]

        def act(number: int) -> object:
            one, person = ((sem, people[1]), (tem, people[0]))[number % 2]
            return hold(w, one, operator=person, actor=rivals[number % 4])

        results = race(16, act)
        made = [one for one in results if isinstance(one, Booking)]
        assert {one.resource_id for one in made} == {sem.pk, tem.pk}
        assert len(made) == 2
        assert all(isinstance(one, Booking | Refused) for one in results)
        assert Claim.objects.count() == 4

    def test_places_are_given_out_to_the_last_and_no_further(self):
        """S3, small: 12 rivals ask for 1 to 3 of 8 places at once."""
        w = make.world()
        table = bench(w, capacity=8)
        rivals = [make.applicant() for _ in range(4)]
        results = race(12, lambda n: hold(w, table, units=n % 3 + 1, actor=rivals[n % 4]))
        taken = sum(one.units for one in results if isinstance(one, Booking))
        left = [n % 3 + 1 for n, one in enumerate(results) if not isinstance(one, Booking)]
        assert all(isinstance(one, Booking | Refused) for one in results)
        assert taken <= 8 < taken + min(left)


@pytest.mark.django_db
class TestEndedHolds:
    """No worker runs and nobody writes: who looks sees the time free from the moment the hold ends."""

    LATER = make.NOW + 10 * MINUTE

    def found(self, w, now, hours, **more):
        wanted = Requirement(hours * 3600, make.slot().start, make.slot().start + timedelta(hours=14), **more)
        return [(hit.resource_id, hit.period) for hit in search.find(wanted, now=now).hits]

    def test_are_free_in_search_as_one_span_with_what_is_around(self, w):
        sem = make.instrument(w, max_duration_s=14 * 3600)
        hold(w, sem, period=make.slot(start="11:00", end="13:00"))
        day = make.slot(start="09:00", end="22:00")
        assert self.found(w, self.LATER - timedelta(seconds=1), 13) == []
        assert self.found(w, self.LATER, 13) == [(sem.pk, day)]
        assert Claim.objects.get().state == "held", "only looked at"

    def test_are_free_with_who_runs_it(self, w):
        sem = make.instrument(w, max_duration_s=14 * 3600)
        person = make.operator(w, sem)
        hold(w, sem, period=make.slot(start="11:00", end="13:00"), operator=person)
        assert self.found(w, make.NOW, 13, with_operator=True) == []
        assert self.found(w, self.LATER, 13, with_operator=True) == [(sem.pk, make.slot(start="09:00", end="22:00"))]

    def test_are_free_in_the_week_the_api_and_nearby_offers(self, w, monkeypatch):
        sem = make.instrument(w)
        held = hold(w, sem)
        caller, day = Caller(w.researcher), make.slot(start="08:00", end="22:00")
        asked = {"starts_at": zoned(day.start), "ends_at": zoned(day.end)}
        for now in (make.NOW, self.LATER):
            monkeypatch.setattr("django.utils.timezone.now", lambda now=now: now)
            spans = caller.get(f"/instruments/{sem.number}/free", **asked).body["free"]
            times = weeks.look([sem], window=day, now=now)[sem.pk]
            assert len(spans) == len(times.free) == (1 if now == self.LATER else 2)
            assert bool(times.taken) is (now == make.NOW)
        told = caller.get(f"/bookings/{held.number}").body
        assert (told["state"], told["state_label"]) == ("lapsed", "逾期未确认")
        assert [len(caller.get("/bookings", state=state).body["items"]) for state in ("held", "lapsed")] == [0, 1]

    @pytest.mark.parametrize("seed", range(3))
    def test_are_found_as_if_somebody_had_released_them(self, w, seed):
        chance = random.Random(seed)
        things = [make.instrument(w), make.instrument(w, setup_s=1800, cleanup_s=1800)]
        things += [make.instrument(w, capacity=2), make.instrument(w, capacity=2, counting="fungible")]
        person = make.operator(w, *things[:2])
        for _turn in range(40):
            start = make.slot(days=chance.randrange(2)).start + 30 * MINUTE * chance.randrange(-2, 20)
            period = Period(start, start + 30 * MINUTE * chance.randint(2, 6))
            minutes = chance.choice((5, 10, 15, 20))
            thing = chance.choice(things)
            wanted = bundles.Wanted(thing, period, "保留", operator=person if thing in things[:2] else None)
            with contextlib.suppress(Refused):
                length = minutes * MINUTE
                services.hold(actor=w.researcher, wanted=wanted, now=make.NOW, key=make.key(), length=length)
        asked = [
            Requirement(hours * 3600, make.NOW, make.NOW + timedelta(days=days), with_operator=attended)
            for hours in (1, 2, 4, 8)
            for days in (1, 2)
            for attended in (False, True)
        ]
        now = self.LATER
        unreleased = [search.find(one, now=now) for one in asked]
        assert lapsing.lapse_overdue(now=now) > 5
        assert unreleased == [search.find(one, now=now) for one in asked]
