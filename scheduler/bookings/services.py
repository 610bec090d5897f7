"""Request, decide, use and measure bookings; the only writer of bookings and their claims."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from django.db import transaction

from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, Refused, noop
from portal.kernel.period import Period
from portal.numbers.services import next_number
from scheduler.availability import claiming
from scheduler.bookings import (
    bundles,
    entering,
    fees,
    lapsing,
    metering,
    occupying,
    prepaid,
    prepay_rules,
    queries,
    rules,
    settling,
    steps,
    telling,
)
from scheduler.bookings.bundles import Wanted
from scheduler.bookings.clocks import SessionClock, Use
from scheduler.bookings.models import Booking, Session
from scheduler.bookings.retrying import patiently
from scheduler.conduct import queries as conduct_queries
from scheduler.conduct import services as conduct
from scheduler.conduct.rules import ViolationKind
from scheduler.quotas import queries as quota_queries
from scheduler.quotas import rules as quota_rules
from scheduler.quotas import services as quotas
from scheduler.resources import rules as resource_rules
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges
from vouchers.payments import advances
from vouchers.payments.rules import Collect

_ = noop

EARLY = timedelta(hours=2)
"""How long before its booked start a session may begin, when the slot before is free."""


class TitleMissing(Invalid):
    code = "booking.title"
    message = _("请填写用途（120 字以内），仅贵单位和实验室可见。")


class NoteMissing(Invalid):
    code = "booking.note"
    message = _("请写明原因，预约单位会看到。")


HOLD = timedelta(minutes=10)
"""How long a booking is held unless said otherwise: long enough to pay, short enough that nobody waits for long."""


@patiently
@transaction.atomic
def request_booking(*, actor: Actor, wanted: Wanted, now: datetime, key: str) -> Booking:
    """Request time on a resource with all it needs; the time and the price are held until the lab decides.

    In hours the lab opened for automatic confirmation it is confirmed at once. Where the lab has the own share paid in
    advance, and there is one, it is held until the money is to be there; `prepaying.fulfil` goes on from there.

    Idempotent on (organisation, `key`). Locks everything that may be occupied, lowest id first: the resource, who is
    qualified to run it, its bench. Raises Refused with *all* reasons and up to three free alternatives in
    ``data["alternatives"]``; KeyReused; NoRate; Forbidden. Of rivals for one slot exactly one wins: the exclusion
    constraint decides even where the lock is bypassed.
    """
    return _make(actor=actor, wanted=wanted, hold_until=None, now=now, key=key)


@patiently
@transaction.atomic
def hold(*, actor: Actor, wanted: Wanted, now: datetime, key: str, length: timedelta = HOLD) -> Booking:
    """Keep time and price for the organisation for `length`; `holding.confirm_hold` makes a booking of it.

    Afterwards it blocks nobody: the next writer releases it, no worker is needed. Idempotent and refused as
    `request_booking`.
    """
    return _make(actor=actor, wanted=wanted, hold_until=now + length, now=now, key=key)


def _make(*, actor: Actor, wanted: Wanted, hold_until: datetime | None, now: datetime, key: str) -> Booking:
    actor.require(Permission.BOOKING_REQUEST)
    wanted = _checked(wanted)
    print_ = idempotency.fingerprint(_asked(wanted))
    ids = entering.enter(actor=actor, wanted=wanted, key=key, now=now)
    lapsing.release_lapsed(resource_ids=ids, now=now)
    if existing := Booking.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    quotas.lock(resource=wanted.resource, organisation_id=actor.acting_for)
    quote = queries.quote(wanted, organisation_id=actor.acting_for, user_id=actor.user_id, now=now)
    if quote.reasons:
        raise entering.refused(quote.reasons, wanted=wanted, free=queries.elsewhere(quote, now=now), now=now)
    agreed = prepaid.agreed(quote.bundle.terms, wanted, own=quote.split.own, hold_until=hold_until, now=now)
    booking = _claim(actor=actor, quote=quote, agreed=agreed, key=key, fingerprint=print_, now=now)
    booking.charge = charges.hold(
        bill=charges.Bill(
            subject=f"booking:{booking.number}",
            service=resource_rules.ServiceClass.INSTRUMENT_USE.value,
            payer_id=actor.acting_for,
            provider_id=wanted.resource.owner_id,
            price=quote.price.amount,
            quote=quote.price.as_json(),
            ends_at=wanted.period.end,
            pay_by=agreed.pay_by,
        ),
        vouchers=wanted.vouchers,
        actor=actor,
        now=now,
    )
    booking.save(update_fields=["charge"])
    steps.record(booking, action="booking.held" if booking.hold_until else "booking.requested", actor=actor, now=now)
    if booking.state == rules.BookingState.CONFIRMED.value:
        steps.record(booking, action="booking.confirmed", actor=Actor.system("自动确认"), now=now)
        telling.tell(booking, now=now)
    return booking


def _checked(wanted: Wanted) -> Wanted:
    """Return what is wanted with its texts trimmed. Raises TitleMissing, ConfigurationTooLong, NoPlaces."""
    title, configuration = wanted.title.strip(), wanted.configuration.strip()
    if not title or len(title) > 120:
        raise TitleMissing(field="title")
    if len(configuration) > 40:
        raise rules.ConfigurationTooLong(field="configuration")
    if wanted.units < 1:
        raise rules.NoPlaces(field="units")
    return replace(wanted, title=title, configuration=configuration)


def _asked(wanted: Wanted) -> dict[str, Any]:
    """Return what makes two requests the same; what is not asked for is left out."""
    asked: dict[str, Any] = {
        "resource": wanted.resource.number,
        "period": [wanted.period.start.isoformat(), wanted.period.end.isoformat()],
        "title": wanted.title,
        "voucher": charge_rules.means(wanted.vouchers),
    }
    if wanted.units > 1:
        asked["units"] = wanted.units
    if wanted.by_transfer:
        asked["by_transfer"] = True
    if wanted.configuration:
        asked["configuration"] = wanted.configuration
    if wanted.operator is not None:
        asked["operator"] = wanted.operator if isinstance(wanted.operator, str) else wanted.operator.number
    return asked


def _claim(
    *, actor: Actor, quote: queries.Quote, agreed: prepaid.Agreed, key: str, fingerprint: str, now: datetime
) -> Booking:
    """Write the booking and its claims. Raises Refused where the exclusion constraint finds a rival's claim."""
    wanted, resource = quote.bundle.wanted, quote.bundle.wanted.resource
    terms = settling.terms_of(resource)
    booking = Booking.objects.create(
        number=next_number(prefix="B", now=now),
        resource=resource,
        organisation_id=actor.acting_for,
        booked_by_id=actor.user_id,
        title=wanted.title,
        starts_at=wanted.period.start,
        ends_at=wanted.period.end,
        units=wanted.units,
        operator=quote.bundle.operator,
        configuration=wanted.configuration,
        setup_s=resource.setup_s,
        cleanup_s=resource.cleanup_s,
        clock=terms.clock.value,
        dispute_days=terms.dispute_days,
        **fees.agreed(quote.bundle.terms),
        state=_first_state(quote, agreed.hold_until).value,
        hold_until=agreed.hold_until,
        collect=agreed.collect.value,
        key=key,
        fingerprint=fingerprint,
        created_at=now,
        updated_at=now,
    )
    try:
        with transaction.atomic():
            occupying.occupy(booking, quote.bundle, hold_until=agreed.hold_until)
    except claiming.Taken:
        free = queries.elsewhere(quote, now=now)
        raise entering.refused([queries.TAKEN], wanted=wanted, free=free, now=now) from None
    return booking


def _first_state(quote: queries.Quote, hold_until: datetime | None) -> rules.BookingState:
    """Return the state a booking begins in."""
    if hold_until is not None:
        return rules.BookingState.HELD
    return rules.BookingState.CONFIRMED if quote.is_automatic else rules.BookingState.REQUESTED


def _serve(actor: Actor, booking: Booking, permission: Permission) -> Booking:
    actor.require(permission)
    locked = steps.under_lock(booking)
    if locked.resource.owner_id != actor.organisation_id:
        raise Forbidden
    return locked


@transaction.atomic
def confirm(*, actor: Actor, booking: Booking, now: datetime) -> Booking:
    """Accept a requested booking. Raises Refused while its advance is not paid, InvalidTransition, Forbidden."""
    locked = _serve(actor, booking, Permission.BOOKING_DECIDE)
    if locked.collect == Collect.BEFORE.value and not advances.is_paid(charge_id=steps.charge_of(locked)):
        raise Refused([prepay_rules.UNPAID])
    steps.take(locked, rules.BookingAction.CONFIRM, now=now)
    steps.record(locked, action="booking.confirmed", actor=actor, now=now)
    return locked


def place(*, held: Booking, actor: Actor, now: datetime) -> Booking:
    """Ask the lab for what is held, or confirm it where the lab confirms at once. The caller holds the locks."""
    period = Period(held.starts_at, held.ends_at)
    stands = conduct_queries.standing_on(resource=held.resource, organisation_id=held.organisation_id, at=now)
    covered = quota_queries.covered(
        held.resource,
        since=period.start,
        organisation_id=held.organisation_id,
        user_id=held.booked_by_id,
        now=now,
        but=held.pk,
    )
    within = not quota_rules.needs_approval(covered.standings(quota_rules.Use(period, held.units), now=now))
    automatic = stands.is_trusted and within and bundles.is_automatic(held.resource, period, now=now)
    steps.take(held, rules.BookingAction.ACCEPT if automatic else rules.BookingAction.PLACE, now=now)
    steps.record(held, action="booking.placed", actor=actor, now=now)
    return held


@transaction.atomic
def decline(*, actor: Actor, booking: Booking, note: str, now: datetime) -> Booking:
    """Turn a requested booking down, with a reason; time and money are free again at once."""
    locked = _serve(actor, booking, Permission.BOOKING_DECIDE)
    if not note.strip():
        raise NoteMissing(field="note")
    steps.take(locked, rules.BookingAction.DECLINE, now=now, note=note.strip()[:200])
    charges.release(charge_id=steps.charge_of(locked), reason="declined", actor=actor, now=now)
    steps.record(locked, action="booking.declined", actor=actor, now=now)
    return locked


@transaction.atomic
def cancel(*, actor: Actor, booking: Booking, now: datetime) -> Booking:
    """Cancel before the start; time and money are free again at once, but for the fee of a late cancellation.

    Raises AlreadyStarted once a confirmed slot has begun: what was kept free for somebody is then the lab's to judge.
    Raises InvalidTransition, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    locked = steps.under_lock(booking)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    if locked.state == rules.BookingState.CONFIRMED.value and now >= locked.starts_at:
        raise rules.AlreadyStarted
    fee = fees.due(locked, now=now)
    steps.take(locked, rules.BookingAction.CANCEL, now=now)
    charges.release(
        charge_id=steps.charge_of(locked), reason="cancelled", actor=actor, now=now, keeps_advance=bool(fee)
    )
    fees.keep(locked, fee=fee, actor=actor, now=now)
    if fee:
        conduct.count(booking=locked, kind=ViolationKind.LATE_CANCEL, actor=actor, at=now)
    steps.record(locked, action="booking.cancelled", actor=actor, now=now, fee_fen=fee.fen)
    return locked


@transaction.atomic
def call_off(*, actor: Actor, booking: Booking, note: str, now: datetime) -> Booking:
    """Cancel a booking that has not begun, as its lab: free of charge, with a reason that the enterprise reads.

    On a beamline its planner may, too. Raises NoteMissing, InvalidTransition, Forbidden.
    """
    is_planned = booking.resource.kind == resource_rules.ResourceKind.BEAMLINE.value and actor.may(
        Permission.BEAMTIME_PLAN
    )
    locked = _serve(actor, booking, Permission.BEAMTIME_PLAN if is_planned else Permission.INSTRUMENT_MANAGE)
    if not note.strip():
        raise NoteMissing(field="note")
    steps.take(locked, rules.BookingAction.CANCEL, now=now, note=note.strip()[:200])
    charges.release(charge_id=steps.charge_of(locked), reason="called off", actor=actor, now=now)
    steps.record(locked, action="booking.called_off", actor=actor, now=now)
    return locked


@transaction.atomic
def miss(*, actor: Actor, booking: Booking, now: datetime) -> Booking:
    """Record, as the lab, that nobody came: time and money are free again, but for what a late cancellation costs.

    Raises NotYetStarted before the start.
    """
    locked = _serve(actor, booking, Permission.SESSION_RECORD)
    if now < locked.starts_at:
        raise rules.NotYetStarted
    fee = fees.due(locked, now=now)
    steps.give_up(locked, rules.BookingAction.MISS, actor=actor, now=now, keeps_advance=bool(fee))
    fees.keep(locked, fee=fee, actor=actor, now=now)
    return locked


def _present(actor: Actor, booking: Booking) -> Booking:
    actor.require(Permission.BOOKING_REQUEST)
    locked = steps.under_lock(booking)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    return locked


@transaction.atomic
def start_session(
    *, actor: Actor, booking: Booking, started_at: datetime, now: datetime, at_bench: bool = False
) -> Session:
    """Record that use began. At most two hours early, before the booked end, within the lab's grace, never in the future.

    `at_bench`: by the enterprise itself, whose presence the caller has made sure of.
    """
    locked = _present(actor, booking) if at_bench else _serve(actor, booking, Permission.SESSION_RECORD)
    if started_at > now:
        raise rules.SessionInFuture(field="started_at")
    if not locked.starts_at - EARLY <= started_at < locked.ends_at:
        raise rules.SessionOutOfReach(field="started_at", hours=int(EARLY.total_seconds() // 3600))
    conduct.check_in_time(booking=locked, started_at=started_at)
    steps.take(locked, rules.BookingAction.START, now=now)
    session = Session.objects.create(booking=locked, started_at=started_at)
    steps.record(locked, action="session.started", actor=actor, now=now, started_at=started_at.isoformat())
    return session


@transaction.atomic
def finish_session(
    *, actor: Actor, booking: Booking, ended_at: datetime, now: datetime, at_bench: bool = False
) -> Booking:
    """Record that use ended: measure it, capture the actual price, release the rest.

    The price is the one frozen at booking, the clock the one agreed then: while its reading has not come, the charge
    waits for it. Use beyond the held amount is waived. Raises NotMeasured, SessionInFuture, BadPeriod, InvalidTransition,
    Forbidden.
    """
    locked = _present(actor, booking) if at_bench else _serve(actor, booking, Permission.SESSION_RECORD)
    session = Session.objects.filter(booking=locked).first()
    if session is None:
        raise rules.NotMeasured
    if ended_at > now:
        raise rules.SessionInFuture(field="ended_at")
    used = Period(session.started_at, ended_at)
    session.ended_at, session.source = ended_at, "bench" if at_bench else "manual"
    session.save(update_fields=["ended_at", "source"])
    seconds = int(used.duration.total_seconds())
    if not at_bench:
        metering.write_reading(locked, SessionClock.CONFIRMED, Use(used, seconds), actor=actor, now=now)
    steps.take(locked, rules.BookingAction.FINISH, now=now)
    settling.settle(locked, actor=actor, now=now)
    steps.record(locked, action="session.finished", actor=actor, now=now, duration_s=seconds)
    return locked
