"""Whatever people do, in whatever order: the rows stay true."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from datetime import timedelta

from portal.kernel.errors import PortalError
from portal.kernel.period import Period
from scheduler.availability import deviations
from scheduler.availability import services as availability
from scheduler.availability.models import Claim, Closure, FreeGap
from scheduler.availability.queries import period_of
from scheduler.bookings import holding, lapsing, moving, rules, services
from scheduler.bookings.models import Booking
from scheduler.displacements import services as displacements
from scheduler.displacements.models import Displacement
from scheduler.displacements.rules import OptionKind
from scheduler.resources.models import Resource
from tests import make
from tests.bookings.scenarios import scenario
from tests.bookings.scenarios.racing import bench, no_overlap, recomputed
from tests.scenarios import is_full
from vouchers.ledger import queries as ledger

HALF = timedelta(minutes=30)


class Life:
    """A lab with a few instruments, two enterprises, and a clock that only goes forward."""

    def __init__(self, seed: int) -> None:
        self.w, self.seed, self.now = make.world(), random.Random(seed), make.NOW
        changes = {"setup_s": 900, "cleanup_s": 1800}
        self.resources = [make.instrument(self.w), make.instrument(self.w, **changes), bench(self.w, capacity=3)]
        self.people = [
            self.w.researcher,
            make.actor(make.organisation(make.roles.Kind.ENTERPRISE), make.roles.Role.RESEARCHER),
        ]
        self.outages: list[Claim] = []
        self.closures: list[Closure] = []
        self.said: Counter[str] = Counter()

    def act(self, number: int) -> None:
        """Do one thing that somebody might do now; refusals are part of life."""
        acts: list[tuple[Callable[[int], None], int]] = [
            (self.request, 8), (self.cancel, 2), (self.confirm, 4), (self.decline, 1), (self.start, 2), (self.finish, 2),
            (self.miss, 1), (self.block, 1), (self.lift, 1), (self.lapse, 1), (self.hold, 2), (self.place, 2), (self.move, 2),
            (self.release, 1), (self.close, 1), (self.reopen, 1), (self.fail, 1), (self.choose, 3),
        ]  # fmt: skip
        act = self.seed.choices([one for one, _weight in acts], [weight for _one, weight in acts])[0]
        self.now += timedelta(minutes=self.seed.randrange(4))
        try:
            act(number)
            self.said[act.__name__] += 1
        except PortalError as error:
            self.said[error.code] += 1

    def some(self, *states: str) -> Booking:
        found = list(Booking.objects.filter(state__in=states).order_by("pk")[:40])
        if not found:
            raise rules.NotMeasured
        return self.seed.choice(found)

    def period(self) -> Period:
        start = make.local(
            (self.now + timedelta(days=self.seed.randrange(5))).date(), "07:30"
        ) + HALF * self.seed.randrange(30)
        return Period(start, start + HALF * self.seed.randint(1, 8))

    def request(self, number: int) -> None:
        wanted = services.Wanted(resource=self.seed.choice(self.resources), period=self.period(), title="随机预约")
        services.request_booking(actor=self.seed.choice(self.people), wanted=wanted, now=self.now, key=f"life-{number}")

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
        if self.outages:
            gone = self.outages.pop(self.seed.randrange(len(self.outages)))
            availability.lift_maintenance(actor=self.w.keeper, resource=gone.resource, claim_id=gone.pk, now=self.now)

    def owner_of(self, booking: Booking) -> make.Actor:
        return next(person for person in self.people if person.organisation_id == booking.organisation_id)

    def hold(self, number: int) -> None:
        wanted = services.Wanted(resource=self.seed.choice(self.resources), period=self.period(), title="随机保留")
        services.hold(actor=self.seed.choice(self.people), wanted=wanted, now=self.now, key=f"hold-{number:06d}")

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
        if self.closures:
            gone = self.closures.pop(self.seed.randrange(len(self.closures)))
            deviations.lift_closure(actor=self.w.keeper, resource=gone.resource, closure_id=gone.pk, now=self.now)

    def fail(self, number: int) -> None:
        said = displacements.Declared(self.period(), "随机故障")
        displacements.declare(
            actor=self.w.keeper, resource=self.resources[0], declared=said, now=self.now, key=f"outage-{number:06d}"
        )

    def choose(self, _number: int) -> None:
        displacements.close_due(now=self.now)
        row = Displacement.objects.filter(state="open").order_by("pk").first()
        if row is not None:
            kind = self.seed.choice(list(OptionKind))
            displacements.choose(actor=self.owner_of(row.booking), displacement=row, kind=kind, now=self.now)

    def lapse(self, _number: int) -> None:
        lapsing.lapse_overdue(now=self.now)

    def check(self) -> None:
        """Assert the invariants: no overlap, no half booking, free time as recomputed, no fen unaccounted for."""
        no_overlap()
        for booking in Booking.objects.prefetch_related("claims"):
            expected = rules.CLAIM_STATE[rules.BookingState(booking.state)]
            assert {claim.state for claim in booking.claims.all()} == {expected}, booking.number
        for resource in self.resources:
            kept = {(row.unit_no, period_of(row.during)) for row in FreeGap.objects.filter(resource=resource)}
            assert kept == recomputed(resource), resource.number
        assert ledger.unaccounted_fen() == 0


@scenario("P1", commits=True)
def random_lives() -> str:
    """Thousands of random requests, decisions, sessions, outages: no overlap, free time as recomputed, every fen there."""
    turns = 10_000 if is_full() else 250
    life = Life(seed=4)
    for number in range(turns):
        life.act(number)
        if number % (turns // 5) == 0:
            life.check()
    life.check()
    assert all(
        life.said[done] for done in ("request", "cancel", "confirm", "decline", "start", "finish", "block", "lapse")
    )
    assert life.said["refused"] > turns / 50
    assert sum(life.said.values()) == turns
    return f"{turns} operations, {life.said['request']} bookings"
