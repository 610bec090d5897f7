"""Instrument, operator and bench in one booking; changeover that depends on who comes next."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from portal.kernel.errors import Refused
from portal.kernel.period import Period
from scheduler.availability import opening
from scheduler.availability import rules as hours
from scheduler.availability import services as availability
from scheduler.availability.models import Claim
from scheduler.bookings import bundles, queries, rules, services, terms
from scheduler.bookings.models import Booking
from scheduler.qualifications import services as qualifications
from scheduler.resources.models import Resource
from tests import make
from tests.scheduler.bookings.test_services import codes

pytestmark = pytest.mark.django_db


def ask(w, resource, start="09:00", end="11:00", *, actor=None, days=1, **more) -> Booking:
    wanted = bundles.Wanted(resource, make.slot(days, start, end), "截面观察", **more)
    return services.request_booking(actor=actor or w.researcher, wanted=wanted, now=make.NOW, key=make.key())


def blocked(made: Booking) -> Period:
    claim = Claim.objects.get(booking=made, role="main")
    return Period(claim.blocked.lower, claim.blocked.upper)


def bench(w, *, capacity: int = 2) -> Resource:
    made = make.instrument(w, granularity_s=900, min_duration_s=900)
    Resource.objects.filter(pk=made.pk).update(capacity=capacity, counting="fungible", kind="bench")
    made.refresh_from_db()
    opening.rebuild([made], now=make.NOW)
    return made


class TestChangeover:
    """S4: set-up 15 min, cleaning 30 min, open 08:00-20:00, A uses 09:00-11:00."""

    @pytest.fixture
    def sem(self, w) -> Resource:
        return make.instrument(w, setup_s=900, cleanup_s=1800, granularity_s=900, opens=(480, 1200))

    def test_is_kept_between_uses_of_different_firms(self, w, sem):
        ask(w, sem, configuration="SE2")
        other = make.applicant()
        with pytest.raises(Refused) as refused:
            ask(w, sem, "11:30", "12:30", actor=other, configuration="SE2")
        assert codes(refused) == ["booking.taken"]
        assert ask(w, sem, "11:45", "12:45", actor=other, configuration="SE2")

    def test_is_not_needed_between_uses_of_one_firm_in_one_configuration(self, w, sem):
        first = ask(w, sem, configuration="SE2")
        second = ask(w, sem, "11:00", "12:00", configuration="SE2")
        assert blocked(first) == make.slot(start="08:45", end="11:00")
        assert blocked(second) == make.slot(start="11:00", end="12:30")

    @pytest.mark.parametrize("configuration", ["", "EBSD"])
    def test_is_needed_for_another_configuration(self, w, sem, configuration):
        ask(w, sem, configuration="SE2")
        with pytest.raises(Refused):
            ask(w, sem, "11:00", "12:00", configuration=configuration)

    def test_comes_back_when_the_later_use_goes(self, w, sem):
        first = ask(w, sem, configuration="SE2")
        second = ask(w, sem, "11:00", "12:00", configuration="SE2")
        services.cancel(actor=w.researcher, booking=second, now=make.NOW)
        assert blocked(first) == make.slot(start="08:45", end="11:30")

    def test_comes_back_when_the_earlier_use_goes(self, w, sem):
        first = ask(w, sem, configuration="SE2")
        second = ask(w, sem, "11:00", "12:00", configuration="SE2")
        services.cancel(actor=w.researcher, booking=first, now=make.NOW)
        assert blocked(second) == make.slot(start="10:45", end="12:30")

    def test_comes_back_on_both_sides_of_a_gap(self, w, sem):
        first, second, third = (
            ask(w, sem, start, end, configuration="SE2")
            for start, end in (("09:00", "11:00"), ("11:00", "12:00"), ("12:00", "13:00"))
        )
        services.cancel(actor=w.researcher, booking=second, now=make.NOW)
        assert (blocked(first), blocked(third)) == (
            make.slot(start="08:45", end="11:30"),
            make.slot(start="11:45", end="13:30"),
        )

    def test_must_end_before_closing_unless_the_lab_lets_it_exceed(self, w, sem):
        with pytest.raises(Refused) as refused:
            ask(w, sem, "18:00", "20:00")
        assert codes(refused) == ["availability.closed"]
        assert ask(w, sem, "17:30", "19:30", days=2)
        Resource.objects.filter(pk=sem.pk).update(cleanup_may_exceed=True)
        sem.refresh_from_db()
        made = ask(w, sem, "18:00", "20:00")
        assert blocked(made) == make.slot(start="17:45", end="20:30")

    def test_agreed_when_booked_is_what_comes_back(self, w, sem):
        first = ask(w, sem, configuration="SE2")
        Resource.objects.filter(pk=sem.pk).update(cleanup_s=0)
        sem.refresh_from_db()
        second = ask(w, sem, "11:00", "12:00", configuration="SE2")
        third = ask(w, sem, "12:15", "13:15", actor=make.applicant())
        services.cancel(actor=w.researcher, booking=second, now=make.NOW)
        assert blocked(first) == make.slot(start="08:45", end="11:30")
        assert blocked(third) == make.slot(start="12:00", end="13:15")


class TestOperators:
    def test_are_chosen_among_the_qualified_who_are_free(self, w):
        sem = make.instrument(w)
        early, late = make.operator(w, sem, opens=(480, 600)), make.operator(w, sem)
        made = ask(w, sem, operator=bundles.ANYBODY)
        assert made.operator == late
        claims = Claim.objects.filter(booking=made).order_by("role")
        assert [(claim.role, claim.resource_id) for claim in claims] == [("main", sem.pk), ("operator", late.pk)]
        assert early.pk not in {claim.resource_id for claim in claims}

    def test_share_the_work(self, w):
        sem, tem = make.instrument(w), make.instrument(w)
        people = [make.operator(w, sem, tem), make.operator(w, sem, tem)]
        first = ask(w, sem, operator=bundles.ANYBODY)
        second = ask(w, tem, "13:00", "14:00", operator=bundles.ANYBODY)
        assert {first.operator, second.operator} == set(people)

    def test_are_judged_on_the_day_of_the_use(self, w):
        sem = make.instrument(w)
        ends = make.slot(3).start.date()
        make.operator(w, sem, until=ends)
        assert ask(w, sem, days=2, operator=bundles.ANYBODY)
        with pytest.raises(Refused) as refused:
            ask(w, sem, days=3, operator=bundles.ANYBODY)
        assert codes(refused) == ["booking.operator_unskilled"]
        assert all(period.end <= make.local(ends, "00:00") for period in refused.value.data["alternatives"])

    def test_who_are_busy_are_refused_with_times_when_both_are_free(self, w):
        sem, tem = make.instrument(w), make.instrument(w)
        person = make.operator(w, sem, tem)
        ask(w, tem, "09:00", "12:00", operator=person)
        with pytest.raises(Refused) as refused:
            ask(w, sem, operator=bundles.ANYBODY)
        assert codes(refused) == ["booking.operator_busy"]
        free = refused.value.data["alternatives"]
        assert free[0].start >= make.slot(start="12:00", end="13:00").start
        assert ask(w, sem, operator=bundles.ANYBODY, days=1, start="12:00", end="14:00")

    def test_are_required_where_the_lab_says_so(self, w):
        sem = make.instrument(w)
        make.operator(w, sem)
        terms.set_terms(actor=w.keeper, resource=sem, terms=terms.Terms(rules.SelfUse.NEVER), now=make.NOW)
        with pytest.raises(Refused) as refused:
            ask(w, sem)
        assert codes(refused) == ["booking.operator_required"]
        assert ask(w, sem, operator=bundles.ANYBODY)

    def test_cost_no_more_queries_when_there_are_more(self, w):
        sem = make.instrument(w)
        wanted = bundles.Wanted(sem, make.slot(), operator=bundles.ANYBODY)

        def counted() -> int:
            with CaptureQueriesContext(
                connection,
            ) as seen:
                quote = queries.quote(wanted, organisation_id=w.enterprise.pk, now=make.NOW)
                assert not quote.reasons
                queries.alternatives(wanted, now=make.NOW)
            return len(seen)

        make.operator(w, sem)
        few = counted()
        for _person in range(3):
            make.operator(w, sem)
        assert counted() == few

    def test_who_end_their_skill_take_no_more(self, w):
        sem = make.instrument(w)
        person = make.operator(w, sem)
        today = date(2026, 11, 25)
        qualifications.end_skill(actor=w.keeper, operator=person, instrument=sem, on=today, now=make.NOW)
        with pytest.raises(Refused) as refused:
            ask(w, sem, operator=person)
        assert codes(refused) == ["booking.operator_unskilled"]
        assert not refused.value.data["alternatives"]


class TestBenches:
    def test_are_claimed_just_before_the_use_and_freed_with_it(self, w):
        sem, table = make.instrument(w), bench(w)
        wanted = terms.Terms(bench=table, bench_s=1800)
        terms.set_terms(actor=w.keeper, resource=sem, terms=wanted, now=make.NOW)
        made = ask(w, sem)
        claim = Claim.objects.get(booking=made, role="preparation")
        assert Period(claim.during.lower, claim.during.upper) == make.slot(start="08:30", end="09:00")
        services.cancel(actor=w.researcher, booking=made, now=make.NOW)
        assert set(Claim.objects.filter(booking=made).values_list("state", flat=True)) == {"released"}

    def test_that_are_full_refuse_the_whole_with_times_when_all_is_free(self, w):
        sem, tem, table = make.instrument(w), make.instrument(w), bench(w, capacity=1)
        for one in (sem, tem):
            wanted = terms.Terms(bench=table, bench_s=1800)
            terms.set_terms(actor=w.keeper, resource=one, terms=wanted, now=make.NOW)
        ask(w, sem)
        with pytest.raises(Refused) as refused:
            ask(w, tem)
        assert codes(refused) == ["booking.bench_busy"]
        assert not Claim.objects.filter(resource=tem).exists()
        day = make.slot().start.date()
        starts = [free.start for free in refused.value.data["alternatives"]]
        assert starts == [make.local(day, clock) for clock in ("08:30", "09:30", "10:00")]


class TestPlaces:
    def test_are_booked_several_at_once_and_priced_each(self, w):
        table = bench(w, capacity=8)
        made = ask(w, table, units=3)
        assert made.charge.price_fen == 3 * 2 * 48000
        ask(w, table, units=5)
        with pytest.raises(Refused) as refused:
            ask(w, table)
        assert codes(refused) == ["booking.taken"]
        assert refused.value.data["alternatives"][0].start >= make.slot(start="11:00", end="12:00").start

    def test_are_no_more_than_there_are(self, w):
        table, sem = bench(w, capacity=2), make.instrument(w)
        for resource, code in ((table, "booking.places"), (sem, "booking.single")):
            with pytest.raises(Refused) as refused:
                ask(w, resource, units=3)
            assert codes(refused) == [code]

    def test_are_measured_each(self, w):
        made = make.measured(w, ask(w, bench(w), units=2))
        made.charge.refresh_from_db()
        assert made.charge.actual_fen == 2 * 2 * 48000


def test_any_of_several_alike_is_taken_and_joined_on_the_same_one(w):
    pair = make.instrument(w, setup_s=900, cleanup_s=1800, granularity_s=900)
    Resource.objects.filter(pk=pair.pk).update(capacity=2)
    pair.refresh_from_db()
    opening.rebuild([pair], now=make.NOW)
    first, second = ask(w, pair, actor=make.applicant()), ask(w, pair, configuration="SE2")
    third = ask(w, pair, "11:00", "12:00", configuration="SE2")
    units = [Claim.objects.get(booking=made).unit_no for made in (first, second, third)]
    assert units == [1, 2, 2]


def test_hours_of_operators_are_their_own(w):
    sem = make.instrument(w)
    person = make.operator(w, sem)
    week = [hours.WeeklyHours(frozenset({1, 2, 3, 4, 5, 6, 7}), 13 * 60, 18 * 60)]
    availability.set_opening_hours(actor=w.keeper, resource=person, hours=week, now=make.NOW)
    with pytest.raises(Refused) as refused:
        ask(w, sem, operator=person)
    assert codes(refused) == ["booking.operator_busy"]
    assert all(
        free.start - timedelta(hours=13) >= make.local(free.start.date(), "00:00")
        for free in refused.value.data["alternatives"]
    )
