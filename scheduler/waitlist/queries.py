"""Look for time that fits somebody who waits, and say why it cannot be theirs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from portal.kernel.errors import Reason
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.availability import rules as availability
from scheduler.bookings import bundles, queries, spans
from scheduler.bookings.bundles import ANYBODY, Wanted
from scheduler.resources.models import Resource
from scheduler.resources.rules import NoRate
from scheduler.waitlist import rules
from scheduler.waitlist.models import WaitlistEntry

__all__ = ["fit", "quoted", "reason_of", "said", "wanted"]


def wanted(entry: WaitlistEntry, *, resource: Resource, period: Period) -> Wanted:
    """Return what an entry would book on `resource` at `period`."""
    return Wanted(
        resource=resource,
        period=period,
        title=entry.title,
        vouchers=list(entry.vouchers.all()),
        operator=ANYBODY if entry.attended else None,
    )


def fit(entry: WaitlistEntry, *, resource: Resource, without: Sequence[Period], now: datetime) -> Period | None:
    """Return the first time on `resource` that fits the entry and does not meet what it passed over; None without any."""
    length = timedelta(seconds=entry.length_s)
    start = max(entry.since, now + rules.SOONEST, now + timedelta(seconds=resource.lead_s))
    until = min(entry.until, now + timedelta(seconds=resource.horizon_s))
    if until - start < length:
        return None
    like = wanted(entry, resource=resource, period=Period(start, start + length))
    can = rules.windows(
        Period(start, until), zone=resource.zone, weekdays=entry.weekdays, part=rules.PartOfDay(entry.part)
    )
    free = [
        part
        for span in bundles.free_spans(like, window=Period(start, until), now=now)
        for part in spans.intersect([span], can)
    ]
    found = availability.alternatives(
        spans.usable(free, without, room=spans.Room()) if without else free,
        duration=length,
        granularity=timedelta(seconds=resource.granularity_s),
        offset=timedelta(seconds=resource.grid_from_s),
        zone=resource.zone,
        near=start,
        count=1,
    )
    return next(iter(found), None)


def quoted(
    entry: WaitlistEntry, *, resource: Resource, period: Period, now: datetime
) -> tuple[Sequence[Reason], Money]:
    """Return every reason why the organisation could not book what would fit it now, and what it would cost."""
    like = wanted(entry, resource=resource, period=period)
    try:
        found = queries.quote(like, organisation_id=entry.organisation_id, now=now)
    except NoRate as error:
        return [Reason(error.code, error.message)], Money(0)
    return found.reasons, found.price.amount


def said(reason: Reason) -> dict[str, Any]:
    """Return a reason as an entry keeps it."""
    params = {name: str(value) for name, value in reason.params.items()}
    return {"code": reason.code, "message": reason.message, "remedy": reason.remedy, "params": params}


def reason_of(kept: dict[str, Any]) -> Reason:
    """Return a reason an entry keeps."""
    return Reason(kept["code"], kept["message"], kept["remedy"], params=kept["params"])
