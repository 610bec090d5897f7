"""An instrument fails while it is booked: what its people are offered, told and given back."""

from __future__ import annotations

from datetime import datetime, timedelta
from itertools import combinations

from portal.kernel.period import Period
from scheduler.availability.models import BLOCKING, Claim
from scheduler.bookings import services
from scheduler.bookings.bundles import ANYBODY
from scheduler.bookings.models import Booking
from scheduler.displacements import notifying
from scheduler.displacements import services as displacements
from scheduler.displacements.models import Displacement, DisplacementOption, OutageNotice
from scheduler.displacements.rules import OptionKind
from scheduler.resources.models import Resource
from tests import make
from tests.bookings.scenarios import scenario
from tests.bookings.scenarios.racing import bench, no_overlap, rivals
from tests.scenarios import is_full
from vouchers.ledger import queries as ledger

HOURS = ("08:00", "10:00", "12:00", "14:00", "16:00", "18:00", "20:00")
TWO = timedelta(hours=2)


def _book(w: make.World, who: make.Actor, resource: Resource, start: datetime, *, attended: bool = False) -> Booking:
    wanted = services.Wanted(
        resource=resource, period=Period(start, start + TWO), title="电镜观察", operator=ANYBODY if attended else None
    )
    now = make.NOW
    made = services.request_booking(actor=who, wanted=wanted, now=now, key=make.key())
    if made.state == Booking.State.REQUESTED:
        services.confirm(actor=w.keeper, booking=made, now=now)
    return made


def _begun(w: make.World, who: make.Actor, resource: Resource, now: datetime) -> Booking:
    made = _book(w, who, resource, make.local(now.astimezone(make.BEIJING).date(), "08:00"))
    services.start_session(actor=w.keeper, booking=made, started_at=made.starts_at, now=now)
    return made


@scenario("S11")
def an_instrument_fails() -> str:
    """An instrument of two units fails for five days: sessions end as measured, all others choose, no fen is lost."""
    count, days = (35, 5) if is_full() else (7, 1)
    w = make.world()
    failed, twin = bench(w, capacity=2), bench(w, capacity=2)
    for _ in range(2):
        make.operator(w, failed, twin)
    today = make.NOW.astimezone(make.BEIJING).date() + timedelta(days=1)
    now = make.local(today, "09:30")
    slots = [make.local(today + timedelta(days=day), hour) for day in range(days) for hour in HOURS]
    slots = [start for start in slots if start > now]
    people = rivals(2 + count)
    running = [_begun(w, who, failed, now) for who in people[:2]]
    coming = [
        _book(w, who, failed, slots[number % len(slots)], attended=number % 3 == 0)
        for number, who in enumerate(people[2:])
    ]
    others = rivals(1)[0]
    for number, start in enumerate(slots):
        if number % 5 < 3:
            _book(w, others, twin, start)
            _book(w, others, twin, start)
    before = {made.pk: made.sequence for made in Booking.objects.filter(resource=failed)}
    outage = displacements.declare(
        actor=w.keeper,
        resource=failed,
        declared=displacements.Declared(Period(now, now + timedelta(days=days)), "真空泵故障"),
        now=now,
        key="s11-outage",
    )
    _stopped(running, now)
    rows = list(Displacement.objects.filter(outage=outage).select_related("booking__charge"))
    assert {row.booking_id for row in rows} == {made.pk for made in coming}
    options = list(DisplacementOption.objects.filter(displacement__outage=outage))
    _held(options)
    assert all(made.sequence == before[made.pk] + 1 for made in Booking.objects.filter(pk__in=[m.pk for m in coming]))
    assert Booking.objects.filter(pk__in=before).count() == len(before)
    no_overlap()
    assert notifying.send_due(now=now) == len(people)
    assert notifying.send_due(now=now) == 0
    assert OutageNotice.objects.filter(outage=outage).count() == len({who.user_id for who in people})
    value = sum(row.booking.charge.price_fen for row in rows if row.booking.charge)
    said = _answer(rows, {who.organisation_id: who for who in people}, now + timedelta(minutes=5))
    assert displacements.close_due(now=outage.answer_by) == said["lapsed"]
    after = list(Booking.objects.filter(pk__in=[made.pk for made in coming]).select_related("charge"))
    moved = sum(made.charge.price_fen for made in after if made.state == "confirmed" and made.charge)
    back = sum(made.charge.price_fen for made in after if made.state == "cancelled" and made.charge)
    assert moved + back == value
    assert {made.charge.state for made in after if made.charge} == {"held", "released"}
    assert not Claim.objects.filter(state=Claim.State.HELD, booking=None).exists()
    assert ledger.unaccounted_fen() == 0
    no_overlap()
    return (
        f"2 sessions ended, {count} displaced, {len(options)} options held apart, {said['moved']} moved, "
        f"{said['refunded']} refunded, {said['lapsed']} by default, {len(people)} messages"
    )


def _stopped(running: list[Booking], now: datetime) -> None:
    for made in running:
        made.refresh_from_db()
        assert made.state == Booking.State.COMPLETED
        assert made.charge is not None
        made.charge.refresh_from_db()
        seconds = int((now - made.session.started_at).total_seconds())
        assert made.charge.actual_fen == made.charge.quote["unit_price_fen"] * seconds // 3600


def _held(options: list[DisplacementOption]) -> None:
    """Assert that each offered time is really held, apart from all others and from what is booked."""
    kinds = [option.kind for option in options]
    assert OptionKind.LATER.value in kinds
    assert OptionKind.TWIN.value in kinds
    held = [claim for option in options for claim in option.claims.all()]
    assert {claim.state for claim in held} == {Claim.State.HELD.value}
    busy = Claim.objects.filter(state__in=BLOCKING, resource__in={claim.resource_id for claim in held})
    for one, other in combinations(busy, 2):
        apart = one.resource_id != other.resource_id or one.unit_no != other.unit_no
        assert apart or one.blocked.upper <= other.blocked.lower or other.blocked.upper <= one.blocked.lower


def _answer(rows: list[Displacement], people: dict[int, make.Actor], now: datetime) -> dict[str, int]:
    """Let the people choose in turn: the twin, later, the money, nothing; say how many did what."""
    said = {"moved": 0, "refunded": 0, "lapsed": 0}
    for number, row in enumerate(rows):
        offered = {option.kind for option in row.options.all()}
        kind = [OptionKind.TWIN, OptionKind.LATER, OptionKind.REFUND, None][number % 4]
        if kind is None:
            said["lapsed"] += 1
            continue
        if kind.value not in offered:
            kind = OptionKind.LATER if OptionKind.LATER.value in offered else OptionKind.REFUND
        actor = people[row.booking.organisation_id]
        chosen = displacements.choose(actor=actor, displacement=row, kind=kind, now=now)
        assert displacements.choose(actor=actor, displacement=row, kind=kind, now=now).pk == chosen.pk
        said["refunded" if kind is OptionKind.REFUND else "moved"] += 1
    return said
