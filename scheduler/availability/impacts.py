"""Which bookings a change of open time would break: asked before anything is saved."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Reason, Refused, noop
from portal.kernel.period import Period, merge
from scheduler.availability import queries
from scheduler.availability.models import BLOCKING, Claim
from scheduler.resources.models import Resource

__all__ = ["Affected", "BookingsAffected", "VisitsThere", "impact", "refuse_unseen", "refuse_visits"]

_ = noop


class BookingsAffected(Refused):
    """The change would leave bookings outside open time. `data["bookings"]` names them; accept them to go on."""

    code = "availability.bookings_affected"
    message = _("这一改动会影响已有预约。请核对下列预约，确认后再保存；确认后这些预约仍然有效，请与预约单位协商。")


@dataclass(frozen=True, slots=True)
class Affected:
    """A booking a change would break. `period` is what it uses, without set-up and clean-up."""

    booking_id: int
    number: str
    organisation: str
    period: Period
    zone: str


def impact(resource: Resource, *, lost: Sequence[Period], now: datetime) -> list[Affected]:
    """Return the bookings of `resource` that still have time to come and lie, buffers included, in `lost`, soonest first.

    Things that only accompany a booking (an operator, a preparation) count by their own claims. One query.
    """
    spans = merge(lost)
    if not spans:
        return []
    claims = (
        Claim.objects.filter(resource=resource, state__in=BLOCKING, booking__isnull=False)
        .filter(queries.not_ended(now), blocked__overlap=(max(spans[0].start, now), max(spans[-1].end, now)))
        .select_related("booking__organisation")
        .order_by("blocked", "pk")
    )
    found: dict[int, Affected] = {}
    for claim in claims:
        booking, blocked = claim.booking, queries.period_of(claim.blocked)
        assert booking is not None
        if not any(span.overlaps(blocked) for span in spans):
            continue
        found.setdefault(
            booking.pk,
            Affected(
                booking_id=booking.pk,
                number=booking.number,
                organisation=booking.organisation.name,
                period=queries.period_of(claim.during),
                zone=resource.zone,
            ),
        )
    return list(found.values())


class VisitsThere(Conflict):
    """Teams have beam time there: it is cancelled or moved where it was given, never by closing what it is on."""

    code = "availability.visits"
    message = _("该时段有课题组的机时：%(visits)s。请先由排班员在运行计划或机时表中取消或改期。")


def refuse_visits(resource: Resource, period: Period) -> None:
    """Raises VisitsThere naming every visit that holds any of `period`. One query."""
    held = Claim.objects.filter(
        resource=resource,
        visit__isnull=False,
        state__in=BLOCKING,
        blocked__overlap=(period.start, period.end),
    ).select_related("visit")
    if numbers := sorted({claim.visit.number for claim in held if claim.visit is not None}):
        raise VisitsThere(field="starts_at", visits=numbers[:20])


def refuse_unseen(affected: Sequence[Affected], *, accepts: Collection[str]) -> None:
    """Raises BookingsAffected with every booking in `affected` unless each is among `accepts`."""
    if {row.number for row in affected} <= set(accepts):
        return
    raise BookingsAffected(
        [
            Reason(
                "availability.booking_affected",
                _("%(booking)s，%(organisation)s，%(time)s（%(zone)s）"),
                params={
                    "booking": row.number,
                    "organisation": row.organisation,
                    "time": _text(row),
                    "zone": row.zone,
                },
            )
            for row in affected
        ],
        data={
            "bookings": [
                {
                    "number": row.number,
                    "organisation": row.organisation,
                    "zone": row.zone,
                    "starts_at": row.period.start.isoformat(),
                    "ends_at": row.period.end.isoformat(),
                }
                for row in affected
            ]
        },
    )


def _text(row: Affected) -> str:
    tz = ZoneInfo(row.zone)
    start, end = row.period.start.astimezone(tz), row.period.end.astimezone(tz)
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M}–{until}"
