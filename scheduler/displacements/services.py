"""Declare an outage whatever is booked, choose what instead, close what nobody chose; the only writer of outages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from scheduler.availability import impacts
from scheduler.availability.models import BLOCKING, Claim
from scheduler.availability.queries import period_of
from scheduler.bookings import displacing, keeping, occupying, steps, twins
from scheduler.bookings import rules as booking_rules
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.bookings.retrying import patiently
from scheduler.displacements import blocking, queries, rules
from scheduler.displacements.models import Displacement, DisplacementOption, Outage, OutageNotice
from scheduler.resources import rules as resource_rules
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["Declared", "choose", "close_due", "declare", "end_outage"]

NOTICE: Final = timedelta(hours=1)
"""Nothing is offered that begins sooner: nobody could come."""
K = rules.OptionKind
LISTED: Final = (resource_rules.PublishState.PUBLISHED.value, resource_rules.PublishState.SUSPENDED.value)
"""What bookings may still be moved to: what is out of use for a time keeps those it has."""


@dataclass(frozen=True, slots=True)
class Declared:
    """What a lab says of an outage: when, why, and how many hours its people have to choose."""

    period: Period
    reason: str
    hours: int = rules.ANSWER_HOURS[1]


@patiently
@transaction.atomic
def declare(*, actor: Actor, resource: Resource, declared: Declared, now: datetime, key: str) -> Outage:
    """Take `declared.period` from whoever has booked it, in one transaction, and offer each something else.

    Sessions that run end now, or where the outage begins, and are paid as measured. Bookings to come lose their time and
    keep their money; each may choose until the deadline from at most three options: later on the same resource, on one
    like it near the same time at the same price, or everything given back, which is what happens if nobody chooses.
    Offered time is really held, so no two options overlap. Each person gets one message.

    Beam time of a team is never taken this way: VisitsThere names it. Idempotent on (resource, `key`). Raises ReasonMissing, OutageOver, OutageTooLong, BadAnswerTime, Forbidden, KeyReused.
    """
    reason = _checked(actor, resource, declared, now)
    print_ = idempotency.fingerprint(
        {
            "period": [declared.period.start.isoformat(), declared.period.end.isoformat()],
            "reason": reason,
            "hours": declared.hours,
        }
    )
    alike = twins.twins(resource)
    _lock(resource, alike, declared.period)
    impacts.refuse_visits(resource, declared.period)
    if existing := Outage.objects.filter(resource=resource, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    outage = Outage.objects.create(
        number=next_number(prefix="DT", now=now),
        resource=resource,
        starts_at=max(declared.period.start, now),
        ends_at=declared.period.end,
        reason=reason,
        answer_by=rules.answer_by(declared=now, hours=declared.hours),
        declared_by_id=actor.user_id,
        declared_at=now,
        key=key,
        fingerprint=print_,
    )
    running, displaced = _make_way(outage, actor=actor, now=now)
    outage.claims.set(blocking.block(resource, Period(outage.starts_at, outage.ends_at), note=reason))
    for row in displaced:
        _offer(row, alike=alike, now=now)
    outage.sessions_ended = len(running)
    outage.save(update_fields=["sessions_ended"])
    _tell(outage, [*running, *(row.booking for row in displaced)], now=now)
    audit.record(
        action="outage.declared",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={
            "outage": outage.number,
            "from": outage.starts_at.isoformat(),
            "to": outage.ends_at.isoformat(),
            "displaced": len(displaced),
            "sessions": len(running),
        },
    )
    return outage


def _checked(actor: Actor, resource: Resource, declared: Declared, now: datetime) -> str:
    """Return the reason, trimmed, of an outage the actor may declare."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    actor.require(Permission.SESSION_RECORD)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden
    reason = declared.reason.strip()
    if not reason or len(reason) > 120:
        raise rules.ReasonMissing(field="reason")
    rules.check(declared.period, hours=declared.hours, now=now)
    return reason


def _lock(resource: Resource, alike: Sequence[Resource], period: Period) -> None:
    """Lock the resource, what its bookings may be moved to, and all that they occupy, lowest id first."""
    met = list(
        Booking.objects.filter(
            claims__resource=resource, claims__state__in=BLOCKING, claims__blocked__overlap=(period.start, period.end)
        )
        .select_related("resource")
        .distinct()
    )
    others = {booking.resource_id: booking.resource for booking in met}
    resources.lock(
        resource_ids=twins.reach([resource, *alike, *others.values()]) | occupying.resources_of(met),
    )


def _make_way(outage: Outage, *, actor: Actor, now: datetime) -> tuple[list[Booking], list[Displacement]]:
    """Free the time of the outage; return the sessions that ended or end with it, and the displaced bookings."""
    span = Period(outage.starts_at, outage.ends_at)
    claims = (
        Claim.objects.filter(
            resource_id=outage.resource_id, state__in=BLOCKING, blocked__overlap=(span.start, span.end)
        )
        .select_related("booking")
        .order_by("during", "pk")
    )
    running: dict[int, Booking] = {}
    displaced: dict[int, Displacement] = {}
    for claim in claims:
        if claim.booking is None:
            # Held for an offer that can no longer be kept. What the lab itself has entered stays.
            keeping.give_up([claim.pk])
        elif not period_of(claim.during).overlaps(span):
            blocking.trim(claim, span)
        elif claim.booking.pk not in running and claim.booking.pk not in displaced:
            booking = steps.under_lock(claim.booking)
            if booking.state == booking_rules.BookingState.HELD.value:
                steps.give_up(booking, booking_rules.BookingAction.LAPSE, actor=actor, now=now)
            elif booking.state == booking_rules.BookingState.IN_USE.value:
                _stop(booking, at=span.start, actor=actor, now=now)
                running[booking.pk] = booking
            else:
                displaced[booking.pk] = _displace(outage, booking, actor=actor, now=now)
    return list(running.values()), list(displaced.values())


def _stop(booking: Booking, *, at: datetime, actor: Actor, now: datetime) -> None:
    if at > now:
        displacing.cut(booking, at=at, actor=actor, now=now)
    else:
        bookings.finish_session(actor=actor, booking=booking, ended_at=now, now=now)


def _displace(outage: Outage, booking: Booking, *, actor: Actor, now: datetime) -> Displacement:
    row = Displacement.objects.create(
        outage=outage, booking=booking, was_from=booking.starts_at, was_to=booking.ends_at
    )
    displacing.displace(booking, reason=outage.reason, actor=actor, now=now)
    return row


def _offer(row: Displacement, *, alike: Sequence[Resource], now: datetime) -> None:
    """Hold up to two other times for a displaced booking, and offer its money back."""
    booking, outage = row.booking, row.outage
    was, soonest = Period(row.was_from, row.was_to), now + NOTICE
    after = max(outage.ends_at, soonest)
    later = queries.like(booking, resource=booking.resource, period=Period(after, after + was.duration))
    found = queries.first_fit(later, window=Period(after, after + queries.LATER), now=now)
    if found:
        _hold(row, K.LATER, booking.resource, found, now=now)
    near: list[tuple[timedelta, int, Resource, Period]] = []
    since, until = max(soonest, was.start - queries.NEAR), was.end + queries.NEAR
    for at, twin in enumerate(alike if booking.resource_id == outage.resource_id and since < until else ()):
        wanted = queries.like(booking, resource=twin, period=was)
        if period := queries.first_fit(wanted, window=Period(since, until), now=now):
            near.append((abs(period.start - was.start), at, twin, period))
    for _distance, _at, twin, period in sorted(near, key=lambda one: one[:2]):
        if _hold(row, K.TWIN, twin, period, now=now):
            break
    DisplacementOption.objects.create(displacement=row, kind=K.REFUND.value)


def _hold(row: Displacement, kind: rules.OptionKind, resource: Resource, period: Period, *, now: datetime) -> bool:
    until = rules.held_until(period, answer_by=row.outage.answer_by)
    wanted = queries.like(row.booking, resource=resource, period=period)
    claims, _reasons = keeping.keep(wanted, until=until, note=row.outage.number, now=now)
    if claims:
        option = DisplacementOption.objects.create(
            displacement=row,
            kind=kind.value,
            resource=resource,
            starts_at=period.start,
            ends_at=period.end,
            held_until=until,
        )
        option.claims.set(claims)
    return bool(claims)


def _tell(outage: Outage, affected: Sequence[Booking], *, now: datetime) -> None:
    """Write one message for each person, whatever number of bookings it is about."""
    people = {booking.booked_by_id: booking.organisation_id for booking in affected if booking.booked_by_id}
    OutageNotice.objects.bulk_create(
        OutageNotice(outage=outage, person_id=person, organisation_id=organisation, created_at=now)
        for person, organisation in people.items()
    )


@patiently
@transaction.atomic
def choose(*, actor: Actor, displacement: Displacement, kind: rules.OptionKind, now: datetime) -> Displacement:
    """Choose for a displaced booking of one's own: it takes the time held for it at its old price, or gives back all.

    Choosing the same again changes nothing. Raises AlreadyAnswered; OptionGone, also where its instrument was withdrawn; Refused where a voucher is not valid at
    the new time, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    row = _row_under_lock(displacement)
    if row.booking.organisation_id != actor.organisation_id:
        raise Forbidden
    option = row.options.select_related("resource").filter(kind=kind.value).first()
    if option is not None and option.is_chosen:
        return row
    if row.state != rules.S.OPEN.value or now >= row.outage.answer_by:
        raise rules.AlreadyAnswered
    if option is None:
        raise rules.OptionGone
    action = rules.DisplacementAction.REFUND if kind is K.REFUND else rules.DisplacementAction.MOVE
    if kind is K.REFUND:
        displacing.drop(row.booking, actor=actor, now=now)
    else:
        claims = list(option.claims.all())
        assert option.resource is not None
        if not (option.resource.state in LISTED and keeping.is_kept(claims, now=now)):
            raise rules.OptionGone
        assert option.starts_at is not None
        assert option.ends_at is not None
        displacing.resettle(
            row.booking,
            resource=option.resource,
            period=Period(option.starts_at, option.ends_at),
            claims=claims,
            actor=actor,
            now=now,
        )
    option.is_chosen = True
    option.save(update_fields=["is_chosen"])
    _close(row, action, actor=actor, now=now)
    return row


def _row_under_lock(displacement: Displacement) -> Displacement:
    """Return a displacement and its booking under lock; before them all that its options hold."""
    held = Claim.objects.filter(
        pk__in=DisplacementOption.claims.through.objects.filter(displacementoption__displacement=displacement).values(
            "claim_id"
        )
    )
    booking = displacement.booking
    resources.lock(
        resource_ids=set(held.values_list("resource_id", flat=True)) | occupying.resources_of([booking]),
    )
    booking = steps.under_lock(booking)
    row = (
        Displacement.objects.select_for_update(no_key=True, of=("self",))
        .select_related("outage")
        .order_by("pk")
        .get(pk=displacement.pk)
    )
    row.booking = booking
    return row


def _close(row: Displacement, action: rules.DisplacementAction, *, actor: Actor, now: datetime) -> None:
    """Take the transition and free what else was held."""
    row.state = next_state(rules.TRANSITIONS, rules.DisplacementState(row.state), action).value
    row.answered_at, row.answered_by_id = now, actor.user_id
    row.save(update_fields=["state", "answered_at", "answered_by"])
    keeping.give_up(
        DisplacementOption.claims.through.objects.filter(displacementoption__displacement=row).values_list(
            "claim_id", flat=True
        )
    )


@transaction.atomic
def close_due(*, now: datetime) -> int:
    """Give everything back where nobody chose in time; returns how many bookings. Run by the clock, safe at any time."""
    actor = Actor.system("自动处理")
    due = Displacement.objects.filter(state=rules.S.OPEN.value, outage__answer_by__lte=now).select_related("booking")
    chosen = list(due.order_by("pk")[:100])
    occupying.lock([row.booking for row in chosen])
    closed = 0
    for found in chosen:
        row = _row_under_lock(found)
        if row.state == rules.S.OPEN.value:
            displacing.drop(row.booking, actor=actor, now=now)
            _close(row, rules.DisplacementAction.LAPSE, actor=actor, now=now)
            closed += 1
    return closed


@transaction.atomic
def end_outage(*, actor: Actor, outage: Outage, now: datetime) -> Outage:
    """Open again what is left of an outage. What was displaced stays so. Raises NothingToEnd, Forbidden."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    if outage.resource.owner_id != actor.organisation_id:
        raise Forbidden
    resources.lock(resource_ids=[outage.resource_id])
    row = Outage.objects.select_for_update(no_key=True).order_by("pk").get(pk=outage.pk)
    if row.ended_at is not None or row.ends_at <= now:
        raise rules.NothingToEnd
    blocking.unblock(list(row.claims.all()), now=now)
    row.ended_at = now
    row.save(update_fields=["ended_at"])
    audit.record(
        action="outage.lifted",
        subject=f"instrument:{outage.resource.number}",
        actor=actor,
        now=now,
        data={"outage": row.number},
    )
    return row
