"""Whatever people do, in whatever order: the rows stay true."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import time, timedelta
from itertools import pairwise
from typing import TypeVar

from django.db.models import Model, QuerySet

from portal.kernel.errors import PortalError
from portal.kernel.period import Period, merge
from scheduler.availability import deviations
from scheduler.availability import services as availability
from scheduler.availability.models import BLOCKING, Claim, Closure, FreeGap
from scheduler.availability.queries import period_of
from scheduler.bookings import (
    bundles,
    counteroffers,
    holding,
    lapsing,
    moving,
    rules,
    series,
    services,
    swapping,
    terms,
)
from scheduler.bookings.models import Booking, CounterOffer
from scheduler.bookings.series_rules import Frequency
from scheduler.bookings.swap_models import Swap
from scheduler.displacements import services as displacements
from scheduler.displacements.models import Displacement
from scheduler.displacements.rules import OptionKind
from scheduler.resources import services as resources
from scheduler.resources.models import Resource
from scheduler.waitlist import services as waitlist
from scheduler.waitlist.models import WaitlistEntry
from tests import make
from tests.bookings.scenarios import scenario
from tests.bookings.scenarios.racing import bench, no_overlap, recomputed
from tests.scenarios import is_full
from vouchers.ledger import queries as ledger

HALF = timedelta(minutes=30)
Row = TypeVar("Row", bound=Model)


def with_room(places: Resource) -> set[tuple[int, Period]]:
    """Return by brute force when at least one of the counted places is free; assert that none is ever sold twice."""
    taken = list(Claim.objects.filter(resource=places, state__in=BLOCKING))
    found: list[Period] = []
    for opened in merge(period_of(row.during) for row in places.open_periods.filter(audience="everybody")):
        inside = {
            moment for claim in taken for moment in (claim.blocked.lower, claim.blocked.upper) if moment in opened
        }
        for start, end in pairwise(sorted({opened.start, opened.end} | inside)):
            used = sum(claim.units for claim in taken if claim.blocked.lower < end and claim.blocked.upper > start)
            assert used <= places.capacity, "more places taken than there are"
            found += [Period(start, end)] if used < places.capacity else []
    return {(0, span) for span in merge(found)}


class Nothing(Exception):
    """There is nothing to do this with now: something else is done."""


class Life:
    """A lab with all kinds of things to book, two enterprises, and a clock that only goes forward.

    Two instruments alike, of which one has changeover and needs a place at a bench before each use; numbered units, whose
    number changes; counted places, which are that bench. Two people run the instruments.
    """

    def __init__(self, seed: int) -> None:
        self.w, self.seed, self.now = make.world(), random.Random(seed), make.NOW
        changes = {"setup_s": 900, "cleanup_s": 1800}
        self.places = bench(self.w, capacity=3, counting="fungible")
        self.units = bench(self.w, capacity=3)
        self.resources = [make.instrument(self.w), make.instrument(self.w, **changes), self.units, self.places]
        self.staff = [make.operator(self.w, *self.resources[:2]) for _one in range(2)]
        needs = terms.Terms(bench=self.places, bench_s=900, free_cancel_s=86400, late_percent=50)
        terms.set_terms(actor=self.w.keeper, resource=self.resources[1], terms=needs, now=make.NOW)
        self.voucher = make.voucher(self.w)
        self.people = [
            self.w.researcher,
            make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER),
        ]
        self.outages: list[Claim] = []
        self.closures: list[Closure] = []
        self.said: Counter[str] = Counter()
        self.names: list[str] = []

    def act(self, number: int) -> None:
        """Do one thing that somebody might do now; refusals are part of life."""
        acts: list[tuple[Callable[[int], None], int]] = [
            (self.request, 8), (self.cancel, 2), (self.confirm, 5), (self.decline, 1), (self.start, 2), (self.finish, 2),
            (self.miss, 1), (self.block, 1), (self.lift, 1), (self.lapse, 2), (self.hold, 2), (self.place, 2), (self.move, 2),
            (self.release, 1), (self.close, 1), (self.reopen, 1), (self.fail, 1), (self.choose, 3), (self.repeat, 2),
            (self.cut, 1), (self.propose, 3), (self.answer, 2), (self.counter, 2), (self.reply, 2), (self.wait, 2),
            (self.promote, 2), (self.take, 2), (self.resize, 1),
        ]  # fmt: skip
        self.names = [one.__name__ for one, _weight in acts]
        self.now += timedelta(minutes=self.seed.randrange(4))
        while True:
            # What nobody has done yet is tried more often, so that a short life holds everything, too.
            weights = [weight if self.said[one.__name__] else 12 * weight for one, weight in acts]
            act = self.seed.choices([one for one, _weight in acts], weights)[0]
            try:
                act(number)
            except Nothing:
                continue
            except PortalError as error:
                self.said[error.code] += 1
            else:
                self.said[act.__name__] += 1
            return

    def some(self, *states: str) -> Booking:
        return self.one(Booking.objects.filter(state__in=states))

    def one(self, rows: QuerySet[Row]) -> Row:
        found = list(rows.order_by("-pk")[:40])
        if not found:
            raise Nothing
        return self.seed.choice(found)

    def period(self) -> Period:
        start = make.local(
            (self.now + timedelta(days=self.seed.randrange(5))).date(), "07:30"
        ) + HALF * self.seed.randrange(30)
        return Period(start, start + HALF * self.seed.randint(1, 8))

    def wanted(self, person: make.Actor, title: str) -> services.Wanted:
        """Return something to ask for: alone or run by somebody, in a configuration or in none, paid with a voucher or not."""
        resource = self.seed.choice(self.resources)
        alone = resource in (self.units, self.places) or self.seed.random() < 0.5
        return services.Wanted(
            resource=resource,
            period=self.period(),
            title=title,
            vouchers=[self.voucher] if person is self.w.researcher and self.seed.random() < 0.3 else [],
            units=self.seed.randint(1, 2) if resource is self.places else 1,
            configuration=self.seed.choice(("", "SE2")),
            operator=None if alone else self.seed.choice((bundles.ANYBODY, *self.staff)),
        )

    def request(self, number: int) -> None:
        person = self.seed.choice(self.people)
        wanted = self.wanted(person, "随机预约")
        services.request_booking(actor=person, wanted=wanted, now=self.now, key=f"life-{number}")

    def cancel(self, _number: int) -> None:
        booking = self.some("requested", "confirmed")
        services.cancel(actor=self.owner_of(booking), booking=booking, now=self.now)

    def confirm(self, _number: int) -> None:
        services.confirm(actor=self.w.keeper, booking=self.some("requested"), now=self.now)

    def decline(self, _number: int) -> None:
        services.decline(actor=self.w.keeper, booking=self.some("requested"), note="当天检修", now=self.now)

    def start(self, _number: int) -> None:
        booking = self.some("confirmed")
        self.now = max(self.now, booking.starts_at)
        services.start_session(actor=self.w.keeper, booking=booking, started_at=self.now, now=self.now)

    def finish(self, _number: int) -> None:
        booking = self.some("in_use")
        self.now = max(self.now, booking.session.started_at + timedelta(minutes=self.seed.randint(1, 90)))
        services.finish_session(actor=self.w.keeper, booking=booking, ended_at=self.now, now=self.now)

    def miss(self, _number: int) -> None:
        services.miss(actor=self.w.keeper, booking=self.some("confirmed"), now=self.now)

    def block(self, _number: int) -> None:
        resource: Resource = self.seed.choice(self.resources[:2])
        self.outages.extend(
            availability.block_for_maintenance(
                actor=self.w.keeper, resource=resource, period=self.period(), note="保养", now=self.now
            )
        )

    def lift(self, _number: int) -> None:
        if not self.outages:
            raise Nothing
        gone = self.outages.pop(self.seed.randrange(len(self.outages)))
        availability.lift_maintenance(actor=self.w.keeper, resource=gone.resource, claim_id=gone.pk, now=self.now)

    def owner_of(self, booking: Booking | WaitlistEntry) -> make.Actor:
        return next(person for person in self.people if person.organisation_id == booking.organisation_id)

    def hold(self, number: int) -> None:
        person = self.seed.choice(self.people)
        services.hold(actor=person, wanted=self.wanted(person, "随机保留"), now=self.now, key=f"hold-{number:06d}")

    def place(self, _number: int) -> None:
        booking = self.some("held", "lapsed")
        holding.confirm_hold(actor=self.owner_of(booking), booking=booking, now=self.now)

    def move(self, _number: int) -> None:
        booking = self.some("requested", "confirmed")
        moving.move(actor=self.owner_of(booking), booking=booking, period=self.period(), now=self.now)

    def release(self, _number: int) -> None:
        booking = self.some("in_use")
        moving.release_rest(actor=self.owner_of(booking), booking=booking, now=self.now)

    def close(self, _number: int) -> None:
        resource = self.seed.choice(self.resources)
        closed = deviations.close(
            actor=self.w.keeper, resource=resource, period=self.period(), reason="闭馆", now=self.now
        )
        self.closures.append(closed)

    def reopen(self, _number: int) -> None:
        if not self.closures:
            raise Nothing
        gone = self.closures.pop(self.seed.randrange(len(self.closures)))
        deviations.lift_closure(actor=self.w.keeper, resource=gone.resource, closure_id=gone.pk, now=self.now)

    def fail(self, number: int) -> None:
        """Declare an outage over a booking somebody has, which is then displaced."""
        booking = self.one(Booking.objects.filter(state="confirmed", resource__in=self.resources[:2]))
        said = displacements.Declared(Period(booking.starts_at, booking.ends_at + HALF), "随机故障")
        displacements.declare(
            actor=self.w.keeper, resource=booking.resource, declared=said, now=self.now, key=f"outage-{number:06d}"
        )

    def choose(self, _number: int) -> None:
        displacements.close_due(now=self.now)
        row = self.one(Displacement.objects.filter(state="open").select_related("booking"))
        kind = self.seed.choice(list(OptionKind))
        displacements.choose(actor=self.owner_of(row.booking), displacement=row, kind=kind, now=self.now)

    def lapse(self, _number: int) -> None:
        lapsing.lapse_overdue(now=self.now)
        swapping.lapse_due(now=self.now)
        waitlist.close_due(now=self.now)
        displacements.close_due(now=self.now)

    def repeat(self, number: int) -> None:
        """Book the same time on two or three days running, or none of them."""
        first = (self.now + timedelta(days=self.seed.randint(1, 4))).astimezone(make.BEIJING).date()
        wanted = make.series(
            self.w,
            self.seed.choice(self.resources[:3]),
            now=self.now,
            first=first,
            clock=time(self.seed.randint(8, 19)),
            duration=HALF * self.seed.randint(2, 4),
            frequency=Frequency.DAILY,
            count=self.seed.randint(2, 3),
        )
        series.book(actor=self.seed.choice(self.people), wanted=wanted, now=self.now, key=f"series-{number:06d}")

    def cut(self, _number: int) -> None:
        booking = self.one(Booking.objects.filter(series__isnull=False, starts_at__gt=self.now))
        series.cancel_from(actor=self.owner_of(booking), booking=booking, now=self.now)

    def propose(self, number: int) -> None:
        """Ask whoever holds another time on a like instrument to exchange."""
        mine = list(Booking.objects.filter(state="confirmed", starts_at__gt=self.now).order_by("pk"))
        self.seed.shuffle(mine)
        chosen = ((one, swapping.partners(one, now=self.now)) for one in mine)
        booking, found = next(((one, others) for one, others in chosen if others), (None, []))
        if booking is None:
            raise Nothing
        other, actor = self.seed.choice(found), self.owner_of(booking)
        asked = {"actor": actor, "booking": booking, "resource": other.resource, "at": other.starts_at, "now": self.now}
        swapping.propose(**asked, price=swapping.look(**asked).price, key=f"swap-{number:06d}")

    def answer(self, _number: int) -> None:
        swap = self.one(Swap.objects.filter(state="proposed").select_related("other"))
        actor = self.owner_of(swap.other)
        if self.seed.random() < 0.8:
            price = swapping.weigh(actor=actor, swap=swap, now=self.now).price
            swapping.accept(actor=actor, swap=swap, price=price, now=self.now)
        else:
            swapping.answer(actor=actor, swap=swap, now=self.now)

    def counter(self, _number: int) -> None:
        booking = self.some("requested")
        counteroffers.offer(actor=self.w.keeper, booking=booking, period=self.period(), note="请改时间", now=self.now)

    def reply(self, _number: int) -> None:
        booking = self.one(CounterOffer.objects.filter(state="open").select_related("booking")).booking
        said = self.seed.choice((counteroffers.accept, counteroffers.accept, counteroffers.refuse))
        said(actor=self.owner_of(booking), booking=booking, now=self.now)

    def wait(self, _number: int) -> None:
        window = Period(self.now, self.now + timedelta(days=self.seed.randint(1, 5)))
        asked = waitlist.Asked(
            self.seed.choice(self.resources), window, HALF * self.seed.randint(2, 8), "候补", takes_twins=True
        )
        waitlist.join(actor=self.seed.choice(self.people), asked=asked, now=self.now)

    def promote(self, _number: int) -> None:
        waitlist.look_everywhere(now=self.now)

    def take(self, _number: int) -> None:
        entry = self.one(WaitlistEntry.objects.filter(state="offered"))
        said = self.seed.choice((waitlist.accept, waitlist.accept, waitlist.refuse, waitlist.withdraw))
        said(actor=self.owner_of(entry), entry=entry, now=self.now)

    def resize(self, _number: int) -> None:
        """Change how many there are of what is numbered or counted; what is booked is never taken away."""
        resource = self.seed.choice((self.units, self.places))
        values = make.instrument_values(
            granularity_s=900, min_duration_s=900, counting=resource.counting, capacity=self.seed.randint(1, 4)
        )
        resources.change_instrument(actor=self.w.keeper, resource=resource, values=values, now=self.now)
        resource.refresh_from_db()

    def check(self) -> None:
        """Assert the invariants: no overlap, no half booking, free time as recomputed, no fen unaccounted for."""
        no_overlap()
        for booking in Booking.objects.prefetch_related("claims"):
            expected = rules.CLAIM_STATE[rules.BookingState(booking.state)]
            assert {claim.state for claim in booking.claims.all()} == {expected}, booking.number
        assert not Claim.objects.filter(state="held", booking__isnull=True, hold_until__isnull=True).exists()
        for resource in [*self.resources, *self.staff]:
            kept = {(row.unit_no, period_of(row.during)) for row in FreeGap.objects.filter(resource=resource)}
            assert kept == (with_room if resource is self.places else recomputed)(resource), resource.number
        assert ledger.unaccounted_fen() == 0


@scenario("P1", commits=True)
def random_lives() -> str:
    """Thousands of random acts of every kind, from a hold to a swap: no overlap, free time as recomputed, every fen there."""
    turns = 10_000 if is_full() else 250
    life = Life(seed=4)
    for number in range(turns):
        life.act(number)
        if number % (turns // 5) == 0:
            life.check()
    life.check()
    for done in life.names:
        assert life.said[done], f"nobody ever could: {done}"
    assert life.said["refused"] > turns / 50
    assert sum(life.said.values()) == turns
    return f"{turns} operations, {life.said['request']} bookings"
