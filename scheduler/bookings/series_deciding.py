"""A lab answers a whole series at once: every use that waits is confirmed, or turned down with one reason."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Reason, Refused, noop
from scheduler.bookings import occupying, rules, services
from scheduler.bookings.models import Booking, BookingSeries
from scheduler.bookings.retrying import patiently

__all__ = ["Decided", "Left", "confirm_all", "decline_all", "stands_against"]

_ = noop
S = rules.BookingState
SERVED = (S.CONFIRMED.value, S.IN_USE.value, S.COMPLETED.value, S.NO_SHOW.value)


@dataclass(frozen=True, slots=True)
class Left:
    """A use that could not be decided, and why."""

    booking: Booking
    reasons: tuple[Reason, ...]


@dataclass(frozen=True, slots=True)
class Decided:
    """What was done: the uses decided now, in the order of the series, and those that could not be."""

    done: tuple[Booking, ...]
    left: tuple[Left, ...]


def stands_against(booking: Booking, *, now: datetime) -> tuple[Reason, ...]:
    """Return every reason why a use cannot be confirmed any more; none where it can, or has been."""
    if booking.state in SERVED:
        return ()
    zone = ZoneInfo(booking.resource.zone)
    params = {"number": booking.number, "when": f"{booking.starts_at.astimezone(zone):%Y-%m-%d %H:%M}"}
    found = []
    if booking.state != S.REQUESTED.value:
        message, remedy = _("%(number)s（%(when)s）：%(state)s。"), _("如仍需要，请预约单位重新预约。")
        state = str(Booking.State(booking.state).label)
        found.append(Reason("series.use_over", message, remedy, params={**params, "state": state}))
    if booking.starts_at <= now:
        message, remedy = _("%(number)s（%(when)s）：时间已过。"), _("请预约单位另约时间。")
        found.append(Reason("series.use_begun", message, remedy, params=params))
    return tuple(found)


@patiently
@transaction.atomic
def confirm_all(*, actor: Actor, series: BookingSeries, now: datetime) -> Decided:
    """Confirm every use that waits and has not begun, in one transaction; the others are returned with every reason.

    Repeating it confirms nothing more. Raises Refused with the reasons of all uses where none is or can be confirmed;
    Forbidden.
    """
    uses = _uses(actor, series)
    against = {use.pk: stands_against(use, now=now) for use in uses}
    left = tuple(Left(use, against[use.pk]) for use in uses if against[use.pk])
    if len(left) == len(uses):
        raise Refused([reason for one in left for reason in one.reasons])
    waiting = [use for use in uses if use.state == S.REQUESTED.value and not against[use.pk]]
    done = tuple(services.confirm(actor=actor, booking=use, now=now) for use in waiting)
    _record(series, "series.confirmed", actor=actor, done=done, now=now)
    return Decided(done, left)


@patiently
@transaction.atomic
def decline_all(*, actor: Actor, series: BookingSeries, note: str, now: datetime) -> Decided:
    """Turn down every use that waits, with one reason, in one transaction; what is confirmed or over stays as it is.

    Time and money of what is turned down are free at once. Raises NoteMissing, Forbidden.
    """
    uses = _uses(actor, series)
    if not note.strip():
        raise services.NoteMissing(field="note")
    waiting = [use for use in uses if use.state == S.REQUESTED.value]
    done = tuple(services.decline(actor=actor, booking=use, note=note, now=now) for use in waiting)
    _record(series, "series.declined", actor=actor, done=done, now=now)
    return Decided(done, ())


def _uses(actor: Actor, series: BookingSeries) -> list[Booking]:
    """Return all uses in the order of the rule, everything they occupy locked."""
    actor.require(Permission.BOOKING_DECIDE)
    if series.resource.owner_id != actor.organisation_id:
        raise Forbidden
    rows = Booking.objects.filter(series=series)
    occupying.lock(list(rows))
    return sorted(
        rows.select_for_update(no_key=True, of=("self",)).select_related("resource").order_by("pk"),
        key=lambda use: use.planned_at or use.starts_at,
    )


def _record(series: BookingSeries, action: str, *, actor: Actor, done: tuple[Booking, ...], now: datetime) -> None:
    if done:
        audit.record(
            action=action,
            subject=f"series:{series.number}",
            actor=actor,
            now=now,
            organisations=[series.organisation_id, series.resource.owner_id],
            data={"bookings": [use.number for use in done]},
        )
