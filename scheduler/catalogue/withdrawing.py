"""Take an instrument off the catalogue and settle what is booked on it, all in one transaction."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Invalid, noop
from scheduler.bookings import occupying
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingState
from scheduler.resources import access, rules
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["Changed", "KeptTooShort", "Plan", "ReasonMissing", "Settled", "booked", "settle", "withdraw"]

_ = noop

LONGEST: Final = timedelta(days=400)
REASON: Final = (4, 180)
"""Shortest and longest reason, characters: the enterprises read it with their bookings."""
OPEN: Final = (
    BookingState.HELD.value,
    BookingState.REQUESTED.value,
    BookingState.CONFIRMED.value,
    BookingState.IN_USE.value,
)
"""Bookings that have time now. Those an outage displaced choose what instead, and find nothing here any more."""


class ReasonMissing(Invalid):
    code = "withdrawal.reason"
    message = _("请写明撤下的原因（4 到 180 个字），预约单位会看到。")


class KeptTooShort(Invalid):
    code = "withdrawal.keep_until"
    message = _("保留预约的截止时间须在今后 400 天以内。")


class Changed(Conflict):
    """There are bookings or sample orders nobody was shown before confirming."""

    code = "withdrawal.changed"
    message = _("刚才又有新的预约或送样检测：%(bookings)s。请核对后再确认。")


@dataclass(frozen=True, slots=True)
class Plan:
    """What becomes of the bookings: those that end by `keep_until` (aware) stay, None keeps none; `reason` is told."""

    reason: str
    keep_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Settled:
    """Bookings that stay, and those that are cancelled free of charge."""

    kept: Sequence[Booking]
    ended: Sequence[Booking]


def booked(resource: Resource, *, now: datetime) -> list[Booking]:
    """Return the bookings of an instrument that are in use or still to come, soonest first. One query."""
    rows = Booking.objects.filter(resource=resource, state__in=OPEN, ends_at__gt=now)
    return list(rows.select_related("organisation", "resource", "charge").order_by("starts_at", "pk"))


def settle(found: Sequence[Booking], *, keep_until: datetime | None, now: datetime) -> Settled:
    """Say which bookings stay: what has begun, and what ends by `keep_until`. Pure."""
    kept = [
        row
        for row in found
        if row.state == BookingState.IN_USE.value
        or (row.state == BookingState.CONFIRMED.value and row.starts_at <= now)
        or (keep_until is not None and row.ends_at <= keep_until and row.state != BookingState.HELD.value)
    ]
    stays = {row.pk for row in kept}
    return Settled(kept, [row for row in found if row.pk not in stays])


@transaction.atomic
def withdraw(*, actor: Actor, resource: Resource, plan: Plan, seen: Collection[str], now: datetime) -> Settled:
    """Take an instrument off the catalogue: no new bookings, those beyond the plan cancelled free of charge, all told.

    `seen` are the numbers of the bookings a person was shown before confirming. All or nothing. Raises Changed where there
    are others; ReasonMissing, KeptTooShort, InvalidTransition, Forbidden.
    """
    access.require_own(actor, resource)
    least, most = REASON
    reason = plan.reason.strip()
    if not least <= len(reason) <= most:
        raise ReasonMissing(field="reason")
    if plan.keep_until is not None and not now < plan.keep_until <= now + LONGEST:
        raise KeptTooShort(field="keep_until")
    resources.lock(resource_ids={resource.pk} | occupying.resources_of(booked(resource, now=now)))
    locked = Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)
    found = booked(resource, now=now)
    if unseen := [row.number for row in found if row.number not in set(seen)]:
        raise Changed(field="seen", bookings=unseen)
    settled = settle(found, keep_until=plan.keep_until, now=now)
    resources.take(locked=locked, action=rules.PublishAction.WITHDRAW, actor=actor, now=now)
    for row in settled.ended:
        bookings.call_off(actor=actor, booking=row, note=reason, now=now)
    audit.record(
        action="instrument.bookings_settled",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        organisations=sorted({row.organisation_id for row in found}),
        data={
            "reason": reason,
            "kept": [row.number for row in settled.kept],
            "cancelled": [row.number for row in settled.ended],
            "keep_until": plan.keep_until.isoformat() if plan.keep_until else None,
        },
    )
    return settled
