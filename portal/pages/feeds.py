"""An instrument's calendar for subscribers: its events, or its free/busy time. Told is only that time is taken."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils import timezone, translation
from django.utils.cache import get_conditional_response
from django.views.decorators.http import require_safe

from integrations.ics import feed as ics
from portal.kernel.period import Period
from scheduler.availability import queries as availability
from scheduler.availability.models import Claim
from scheduler.bookings import queries as bookings
from scheduler.bookings import rules
from scheduler.resources.models import Resource

__all__ = ["feed"]

RENDERER = 1
"""Raise when the documents change shape: it is part of every ETag."""
BACK, AHEAD = timedelta(days=30), timedelta(days=180)
STATUSES = {
    rules.BookingState.REQUESTED: ics.Status.TENTATIVE,
    rules.BookingState.CONFIRMED: ics.Status.CONFIRMED,
    rules.BookingState.IN_USE: ics.Status.CONFIRMED,
    rules.BookingState.COMPLETED: ics.Status.CONFIRMED,
}
KINDS = {"held": ics.Kind.TENTATIVE, "outage": ics.Kind.UNAVAILABLE}


def _window(now: datetime) -> Period:
    """Return 30 days back to 180 days ahead, from midnight UTC: one document all day long."""
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    return Period(midnight - BACK, midnight + AHEAD)


def _etag(resource: Resource, kind: str, window: Period) -> str:
    """Return a strong ETag of everything the document is made of; no rendering needed (RFC 9110 §8.8.3)."""
    parts = (kind, RENDERER, resource.calendar_version, window.start.date(), resource.name, resource.zone)
    told = hashlib.sha256("\n".join(map(str, (resource.pk, *parts))).encode()).hexdigest()[:16]
    return f'"{told}-{RENDERER}-{resource.calendar_version}"'


@require_safe
def feed(request: HttpRequest, secret: str, kind: str) -> HttpResponse:
    """Answer a subscription. One query where the subscriber has the newest copy (304), a few otherwise.

    An unknown secret is a plain 404: what is looked up is its SHA-256, so nothing is learnt from the time it takes.
    """
    digest = hashlib.sha256(secret.encode()).hexdigest()
    resource = Resource.objects.filter(feed_digest=digest).first()
    if resource is None:
        raise Http404
    window = _window(timezone.now())
    etag = _etag(resource, kind, window)
    response = get_conditional_response(request, etag=etag)
    if not isinstance(response, HttpResponseNotModified):
        # The language is the instrument's, not the subscriber's: one version, one document.
        with translation.override(settings.LANGUAGE_CODE):
            body = _events(resource, window) if kind == "events" else _freebusy(resource, window)
        response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
        response["Content-Disposition"] = f'inline; filename="{kind}.ics"'
    response["ETag"] = etag
    response["Cache-Control"] = "private, max-age=300"
    return response


def _events(resource: Resource, window: Period) -> bytes:
    items = [*_booked(resource, window), *_outages(resource, window)]
    return ics.events(items, name=resource.name, zone=resource.zone, privacy=ics.Privacy.BUSY)


def _booked(resource: Resource, window: Period) -> Iterator[ics.FeedEvent]:
    """Yield bookings; what no longer takes time is told as cancelled for 30 days, so that subscribers take it out."""
    for made in bookings.calendar(resource, since=window.start, until=window.end):
        status = STATUSES.get(rules.BookingState(made.state), ics.Status.CANCELLED)
        if status is ics.Status.CANCELLED and made.updated_at < window.start:
            continue
        yield ics.FeedEvent(
            uid=str(made.uid),
            sequence=made.sequence,
            period=Period(made.starts_at, made.ends_at),
            summary="",
            status=status,
            last_modified=made.updated_at,
        )


def _outages(resource: Resource, window: Period) -> Iterator[ics.FeedEvent]:
    """Yield maintenance. Its identity is derived, never a number of ours; it does not change once entered."""
    for claim in Claim.objects.filter(
        resource=resource, state=Claim.State.OUTAGE, during__overlap=(window.start, window.end)
    ).order_by("during"):
        yield ics.FeedEvent(
            uid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{resource.number}/outage/{claim.pk}")),
            sequence=0,
            period=Period(claim.during.lower, claim.during.upper),
            summary="",
            status=ics.Status.CONFIRMED,
            last_modified=resource.created_at,
        )


def _freebusy(resource: Resource, window: Period) -> bytes:
    """Return everything that takes time, the lab's own calendars and the bookings' buffers included."""
    taken = availability.blocks([resource.pk], window=window).get(resource.pk, [])
    changes = bookings.calendar(resource, since=window.start, until=window.end).values_list("updated_at", flat=True)
    return ics.freebusy(
        (ics.Busy(block.blocked, KINDS.get(block.state, ics.Kind.BUSY)) for block in taken if block.blocks),
        uid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{resource.number}/freebusy")),
        window=window,
        stamp=max([resource.created_at, *changes]),
    )
