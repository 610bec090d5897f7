"""Book a series: every use that was confirmed, or none of them. The only writer of series.

Each use is a booking of its own, with its own charge, state and calendar identity. Calendars are told one VEVENT for each,
without RRULE: a use may be cancelled, moved, measured and priced by itself, each raising its own SEQUENCE; a reader that
counts wrong where clocks change (of an instance in the gap of 14 March 2027 in New York, recurring-ical-events 3.8
makes one of no length) cannot do so with instants; and a subscriber who fetches a window gets what lies in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, Reason, Refused, noop
from portal.kernel.period import Period
from portal.numbers.services import next_number
from scheduler.bookings import bundles, lapsing, occupying, prepay_rules, rules, services
from scheduler.bookings.bundles import Wanted
from scheduler.bookings.models import Booking, BookingSeries
from scheduler.bookings.retrying import patiently
from scheduler.bookings.series_preview import SeriesWanted, chosen
from scheduler.bookings.series_rules import Occurrence, Pattern
from vouchers.charges import rules as charge_rules

__all__ = ["NothingLeft", "book", "cancel_from", "still_open"]

_ = noop

OPEN = (rules.BookingState.REQUESTED.value, rules.BookingState.CONFIRMED.value)


class NothingLeft(Conflict):
    code = "series.nothing_left"
    message = _("这一次及以后没有可以取消的预约：已经取消、结束，或已经开始。")


@patiently
@transaction.atomic
def book(*, actor: Actor, wanted: SeriesWanted, now: datetime, key: str) -> BookingSeries:
    """Book every use that is not dropped, at its time or where it is moved to, in one transaction: all of them or none.

    Idempotent on (organisation, `key`). Raises Refused with the reasons of every use that cannot be had and, in
    ``data["days"]``, which those are; what the pattern is refused for; UnknownDay, NothingChosen, KeyReused, NoRate,
    Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    print_ = idempotency.fingerprint(_asked(wanted))
    uses = chosen(wanted)
    _lock(wanted.like, [period for _one, period in uses], now=now)
    if existing := BookingSeries.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    made = _write(wanted, actor=actor, key=key, fingerprint=print_, now=now)
    refused: dict[date, Refused] = {}
    for place, (one, period) in enumerate(uses, start=1):
        try:
            with transaction.atomic():
                _book(made, place, one, replace(wanted.like, period=period), actor=actor, now=now)
        except Refused as error:
            refused[one.day] = error
    if refused:
        raise _all_of(refused)
    audit.record(
        action="series.booked",
        subject=f"series:{made.number}",
        actor=actor,
        now=now,
        organisations=[made.organisation_id, made.resource.owner_id],
        data={"uses": len(uses), "instrument": made.resource.number},
    )
    return made


def _lock(like: Wanted, periods: Sequence[Period], *, now: datetime) -> None:
    """Lock everything any of the uses may occupy, lowest id first."""
    whole = Period(min(period.start for period in periods), max(period.end for period in periods))
    terms = bundles.terms_of(like.resource)
    ids = {like.resource.pk}
    if like.attended:
        ids |= {person.pk for person in bundles.skilled(like, whole)}
    if terms is not None and terms.bench_id is not None:
        ids.add(terms.bench_id)
    lapsing.release_lapsed(resource_ids=ids, now=now)


def _book(series: BookingSeries, place: int, one: Occurrence, wanted: Wanted, *, actor: Actor, now: datetime) -> None:
    made = services.request_booking(actor=actor, wanted=wanted, now=now, key=f"{series.number}/{place}")
    if made.hold_until is not None:
        raise Refused([prepay_rules.NO_SERIES])
    Booking.objects.filter(pk=made.pk).update(series=series, planned_at=one.period.start)


def _write(wanted: SeriesWanted, *, actor: Actor, key: str, fingerprint: str, now: datetime) -> BookingSeries:
    pattern, like = wanted.pattern, wanted.like
    if not 0 < len(like.title.strip()) <= 120:
        raise services.TitleMissing(field="title")
    return BookingSeries.objects.create(
        number=next_number(prefix="BS", now=now),
        resource=like.resource,
        organisation_id=actor.acting_for,
        booked_by_id=actor.user_id,
        title=like.title.strip(),
        zone=pattern.zone,
        first_day=pattern.first,
        clock=pattern.clock,
        duration_s=int(pattern.duration.total_seconds()),
        frequency=pattern.frequency.value,
        interval=pattern.interval,
        weekdays=sorted(pattern.weekdays),
        count=pattern.count,
        until=pattern.until,
        key=key,
        fingerprint=fingerprint,
        created_at=now,
    )


def _asked(wanted: SeriesWanted) -> dict[str, Any]:
    """Return what makes two requests the same."""
    like, pattern = wanted.like, wanted.pattern
    operator = like.operator
    return {
        "resource": like.resource.number,
        "title": like.title.strip(),
        "voucher": charge_rules.means(like.vouchers),
        "units": like.units,
        "configuration": like.configuration.strip(),
        "operator": operator if operator is None or isinstance(operator, str) else operator.number,
        "pattern": _told(pattern),
        "dropped": sorted(day.isoformat() for day in wanted.dropped),
        "moved": {
            day.isoformat(): [period.start.isoformat(), period.end.isoformat()] for day, period in wanted.moved.items()
        },
    }


def _told(pattern: Pattern) -> list[Any]:
    return [
        pattern.first.isoformat(),
        pattern.clock.isoformat(),
        int(pattern.duration.total_seconds()),
        pattern.zone,
        pattern.frequency.value,
        pattern.interval,
        sorted(pattern.weekdays),
        pattern.count,
        pattern.until and pattern.until.isoformat(),
    ]


def _all_of(refused: dict[date, Refused]) -> Refused:
    """Return one refusal that says which uses cannot be had, and why: each ground once."""
    days = [day.isoformat() for day in refused]
    first = Reason(
        "series.uses",
        _("系列中有 %(count)s 次现在约不上：%(days)s。什么都没有预约。"),
        _("请重新查看每一次，把约不上的改到空闲时段或去掉。"),
        field="dropped",
        params={"count": len(days), "days": days},
    )
    why = {reason.code: reason for error in refused.values() for reason in error.reasons}
    return Refused([first, *why.values()], data={"days": days})


def still_open(booking: Booking, *, now: datetime) -> list[Booking]:
    """Return this use of a series and all later ones by the rule, as far as they can still be cancelled. One query."""
    if booking.series_id is None:
        return []
    return list(
        Booking.objects.filter(
            series_id=booking.series_id, planned_at__gte=booking.planned_at, state__in=OPEN, starts_at__gt=now
        )
        .select_related("resource", "charge")
        .order_by("pk")
    )


@patiently
@transaction.atomic
def cancel_from(*, actor: Actor, booking: Booking, now: datetime) -> list[Booking]:
    """Cancel this use of a series and all later ones that have not begun, each by its own terms; what is past stays.

    Raises NothingLeft where none can be cancelled any more, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    if booking.organisation_id != actor.organisation_id:
        raise Forbidden
    occupying.lock(list(Booking.objects.filter(series_id=booking.series_id)) if booking.series_id else [booking])
    left = still_open(booking, now=now)
    if not left:
        raise NothingLeft
    return [services.cancel(actor=actor, booking=one, now=now) for one in left]
