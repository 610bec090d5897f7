"""Time becomes free: who has waited longest is offered it, one at a time, and nobody who may not have it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import connection, connections

from portal.kernel.errors import PortalError
from portal.kernel.period import Period
from portal.organisations.models import Organisation
from scheduler.availability.models import Claim, FreeGap
from scheduler.bookings import fees, terms
from scheduler.bookings import services as bookings
from scheduler.bookings.fee_models import LateFee
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import SelfUse
from scheduler.qualifications import granting
from scheduler.qualifications import services as qualifications
from scheduler.search import queries as search
from scheduler.search.rules import Requirement
from scheduler.waitlist import rules, services
from scheduler.waitlist.models import WaitlistEntry, WaitlistOffer
from tests import make
from tests.bookings.scenarios import scenario
from tests.bookings.scenarios.racing import CONNECTIONS, bench, no_overlap, rivals
from tests.scenarios import is_full
from vouchers.charges.models import Charge
from vouchers.ledger import queries as ledger

HOUR = timedelta(hours=1)


def _wait(who: make.Actor, resource, window: Period, hours: int, *, now, part="any") -> WaitlistEntry:
    asked = services.Asked(
        resource=resource,
        window=window,
        length=hours * HOUR,
        title="候补",
        part=rules.PartOfDay(part),
    )
    return services.join(actor=who, asked=asked, now=now)


def _states(*entries: WaitlistEntry) -> list[str]:
    for entry in entries:
        entry.refresh_from_db()
    return [entry.state for entry in entries]


@scenario("S10")
def four_hours_are_cancelled() -> str:
    """A cancelled morning is held for who waits longest, lapses, passes over who may not, and ends with who accepts."""
    w, now = make.world(), make.NOW
    resource = make.instrument(w)
    agreed = terms.Terms(self_use=SelfUse.QUALIFIED, free_cancel_s=2 * 86400, late_percent=50)
    terms.set_terms(actor=w.keeper, resource=resource, terms=agreed, now=now)
    day = make.slot(2, "08:00", "22:00")
    tomorrow = day.start.astimezone(make.BEIJING).date()
    a, b, c, d = rivals(4)
    for who in (w.researcher, a, b, c, d):
        until = tomorrow if who is c else tomorrow + timedelta(days=60)
        days = qualifications.Days(tomorrow - timedelta(days=30), until)
        organisation = Organisation.objects.get(pk=who.organisation_id)
        granting.qualify(actor=w.keeper, resource=resource, organisation=organisation, days=days, now=now)
    taken = make.booking(w, resource, period=make.slot(2, "09:00", "13:00"))
    bookings.confirm(actor=w.keeper, booking=taken, now=now)
    for span in (make.slot(2, "08:00", "09:00"), make.slot(2, "13:00", "21:00"), make.slot(2, "21:00", "22:00")):
        make.booking(w, resource, period=span)
    first = _wait(a, resource, day, 4, now=now)
    skipped = _wait(c, resource, day, 2, now=now + timedelta(minutes=1))
    second = _wait(b, resource, day, 2, now=now + timedelta(minutes=2), part="morning")
    afternoon = _wait(d, resource, day, 4, now=now + timedelta(minutes=3), part="afternoon")
    assert services.look_everywhere(now=now + timedelta(minutes=4)) == 1
    assert services.look_everywhere(now=now + timedelta(minutes=4)) == 0
    assert _states(first, skipped, second, afternoon) == ["waiting"] * 4

    cancelled = make.slot(1, "09:00", "10:00").start
    bookings.cancel(actor=w.researcher, booking=taken, now=cancelled)
    services.look_everywhere(now=cancelled)
    offer = WaitlistOffer.objects.get()
    assert (offer.entry, offer.answer_by) == (first, cancelled + 2 * HOUR)
    assert {claim.state for claim in offer.claims.all()} == {Claim.State.HELD}
    stranger = rivals(1)[0]
    _refused(stranger, resource, make.slot(2, "09:00", "11:00"), now=offer.answer_by - timedelta(minutes=1))

    lapsed = offer.answer_by
    assert services.close_due(now=lapsed) == 1
    services.look_everywhere(now=lapsed)
    assert _states(first, skipped, second, afternoon) == ["waiting", "waiting", "offered", "waiting"]
    assert [kept["code"] for kept in skipped.skipped] == ["booking.not_qualified"]
    made = services.accept(actor=b, entry=second, now=lapsed + timedelta(minutes=1))
    assert services.accept(actor=b, entry=second, now=lapsed + timedelta(minutes=1)) == made
    assert (made.starts_at, made.ends_at) == (make.slot(2, "09:00", "11:00").start, make.slot(2, "09:00", "11:00").end)
    assert made.charge is not None
    assert made.charge.own_held_fen == 96000
    services.look_everywhere(now=lapsed + timedelta(minutes=2))
    assert not WaitlistOffer.objects.filter(state=rules.F.OPEN.value).exists()
    left = make.slot(2, "11:00", "13:00")
    assert FreeGap.objects.filter(resource=resource, starts_at=left.start, ends_at=left.end).exists()
    [hit] = search.find(Requirement(2 * 3600, day.start, day.end), now=lapsed + timedelta(minutes=2), limit=5).hits
    assert hit.period == left
    _used(w, made, taken)
    no_overlap()
    return (
        "offered to the longest waiting for 2 h, one passed over with its reason, booked by the next, the rest is found "
        "at once; of ¥960 for cancelling late ¥480 are credited"
    )


def _used(w: make.World, made: Booking, cancelled: Booking) -> None:
    """Let the resold half of a slot be used and paid; half of what cancelling late cost is then not owed."""
    bookings.confirm(actor=w.keeper, booking=made, now=made.starts_at - HOUR)
    bookings.start_session(actor=w.keeper, booking=made, started_at=made.starts_at, now=made.starts_at)
    done = bookings.finish_session(actor=w.keeper, booking=made, ended_at=made.ends_at, now=made.ends_at)
    assert Charge.objects.get(pk=done.charge_id).own_captured_fen == 96000
    kept = LateFee.objects.get(booking=cancelled)
    assert (kept.fee_fen, kept.settled_at) == (96000, None)
    assert fees.settle_due(now=cancelled.ends_at) == 1
    kept.refresh_from_db()
    assert (kept.sold_s, kept.owed_fen) == (2 * 3600, 48000)
    assert Charge.objects.get(subject=f"booking:{cancelled.number}", own_captured_fen=48000).own_held_fen == 96000
    assert ledger.unaccounted_fen() == 0


def _refused(who: make.Actor, resource, period: Period, *, now) -> None:
    wanted = bookings.Wanted(resource=resource, period=period, title="抢占")
    try:
        bookings.request_booking(actor=who, wanted=wanted, now=now, key=make.key())
    except PortalError as error:
        assert error.code == "refused"
    else:
        raise AssertionError("what is held for somebody must not be booked by another")


@scenario("P2", commits=True)
def looks_race_with_bookings() -> str:
    """Many looks, acceptances and strangers at once over one cancelled slot: it goes to exactly one, round after round."""
    rounds, threads = (40, CONNECTIONS) if is_full() else (3, 6)
    w = make.world()
    resource = bench(w)
    waiting = rivals(3)
    others = rivals(threads - 4)
    now = make.NOW
    for number in range(rounds):
        slot = make.slot(1 + number, "09:00", "11:00")
        entries = [_wait(who, resource, Period(slot.start, slot.end), 2, now=now) for who in waiting]
        gate = threading.Barrier(threads)

        def look(_number: int, gate=gate) -> None:
            gate.wait()
            services.promote(resource=resource, now=now)

        def answer(at: int, gate=gate, entries=entries) -> None:
            gate.wait()
            for _try in range(20):
                services.accept(actor=waiting[at], entry=entries[at], now=now)

        def grab(at: int, gate=gate, slot=slot) -> None:
            gate.wait()
            wanted = bookings.Wanted(resource=resource, period=slot, title="抢占")
            bookings.request_booking(actor=others[at], wanted=wanted, now=now, key=make.key())

        acts = [(look, 0), (look, 1), (answer, 0), (answer, 1), *((grab, at) for at in range(len(others)))]

        def run(act) -> None:
            try:
                act[0](act[1])
            except PortalError:
                pass
            finally:
                connections.close_all()

        with ThreadPoolExecutor(threads, initializer=connection.ensure_connection) as pool:
            list(pool.map(run, acts))
        booked = Booking.objects.filter(resource=resource, starts_at=slot.start).count()
        held = Claim.objects.filter(
            resource=resource, state=Claim.State.HELD, booking=None, during__startswith=slot.start
        ).count()
        assert booked + held == 1
        no_overlap()
        for who, entry in zip(waiting, entries, strict=True):
            entry.refresh_from_db()
            if entry.state in {rules.S.WAITING.value, rules.S.OFFERED.value}:
                services.withdraw(actor=who, entry=entry, now=now)
    return f"{rounds} slots, each had by one of {len(waiting) + len(others)}"
