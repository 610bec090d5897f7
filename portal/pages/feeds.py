"""Answer subscriptions: events, free/busy time or opening hours of an instrument, or a person's own bookings."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

from django.conf import settings
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, HttpResponseNotModified
from django.utils import timezone, translation
from django.utils.cache import get_conditional_response
from django.utils.http import http_date
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from integrations.ics import feed as ics
from integrations.ics.availability import availability as render_availability
from portal.http import explain
from portal.kernel.errors import NotFound, PortalError
from portal.kernel.period import Period
from scheduler.availability import queries as availability
from scheduler.availability.models import Claim
from scheduler.bookings import rules as states
from scheduler.bookings.models import Booking
from scheduler.feeds import queries, rules, services
from scheduler.feeds.models import FeedToken
from scheduler.resources.models import Resource

__all__ = ["feed"]

RENDERER = 2
"""Raise when the documents change shape: it is part of every ETag."""
KEPT_S = 15 * 60
"""How long a document waits for the next reader; some programs never ask conditionally."""
KINDS = {"held": ics.Kind.TENTATIVE, "outage": ics.Kind.UNAVAILABLE}


@require_safe
def feed(request: HttpRequest, secret: str, kind: str) -> HttpResponse:
    """Answer a subscription; where the subscriber has the newest copy, without making the document (304).

    An unknown secret is a 404, a revoked one 410, more than 60 fetches an hour 429 with Retry-After (RFC 6585 §4).
    What is looked up is the secret's SHA-256, so nothing is learnt from the time it takes.
    """
    now = timezone.now()
    reader = services.Reader(request.META.get("REMOTE_ADDR", ""), request.headers.get("User-Agent", ""))
    try:
        token = services.record_fetch(secret=secret, kind=rules.FeedKind(kind), reader=reader, now=now)
    except (NotFound, rules.FeedRevoked, rules.FeedTooOften) as error:
        return _refused(error)
    window = rules.window(now, rules.FeedKind(kind))
    source = request.build_absolute_uri()
    etag = rules.tag([RENDERER, source, *queries.parts(token, window=window)])
    told_since = token.version_since
    if told_since is None or token.version != etag:
        told_since = services.note_version(token=token, version=etag, now=now)
    response = get_conditional_response(request, etag=etag, last_modified=int(told_since.timestamp()))
    if not isinstance(response, HttpResponseNotModified):
        body = cache.get_or_set(f"feed:{etag}", lambda: _rendered(token, window, source), KEPT_S) or b""
        if len(body) > rules.MAX_BYTES:
            return _plain(gettext("日历超过 2 MiB，无法提供。请改为订阅单台仪器。"), 413)
        response = HttpResponse(body, content_type="text/calendar; charset=utf-8")
        response["Content-Disposition"] = f'inline; filename="{kind}.ics"'
    response["ETag"] = etag
    response["Last-Modified"] = http_date(told_since.timestamp())
    response["Cache-Control"] = "private, max-age=300"
    return response


def _refused(error: PortalError) -> HttpResponse:
    status = {rules.FeedRevoked: 410, rules.FeedTooOften: 429}.get(type(error), 404)
    response = _plain(explain(error).text, status)
    if isinstance(error, rules.FeedTooOften):
        response["Retry-After"] = str(error.params["after_s"])
    return response


def _plain(text: str, status: int) -> HttpResponse:
    response = HttpResponse(text, status=status, content_type="text/plain; charset=utf-8")
    response["Cache-Control"] = "no-store"
    return response


def _rendered(token: FeedToken, window: Period, source: str) -> bytes:
    """Return the document, in the portal's own language: one version, one document, whoever reads it."""
    render: Callable[[FeedToken, Period, str], bytes] = RENDERERS[rules.FeedKind(token.kind)]
    with translation.override(settings.LANGUAGE_CODE):
        return render(token, window, source)


def _events(token: FeedToken, window: Period, source: str) -> bytes:
    items = list(_booked(token, window))
    if token.resource is not None:
        items += _outages(token.resource, window)
    return ics.events(
        items,
        name=token.resource.name if token.resource is not None else gettext("我的预约"),
        zone=token.resource.zone if token.resource is not None else settings.TIME_ZONE,
        privacy=ics.Privacy(token.privacy),
        source=source,
    )


def _booked(token: FeedToken, window: Period) -> Iterator[ics.FeedEvent]:
    """Yield bookings; what no longer takes time is told as cancelled for 30 days, so that subscribers take it out."""
    for made in queries.told_bookings(token, window=window):
        status = ics.Status(states.calendar_status(states.BookingState(made.state)))
        if status is ics.Status.CANCELLED and made.updated_at < window.start:
            continue
        yield ics.FeedEvent(
            uid=str(made.uid),
            sequence=made.sequence,
            period=Period(made.starts_at, made.ends_at),
            summary=made.title if token.resource is not None else made.resource.name,
            status=status,
            last_modified=made.updated_at,
            location=" ".join(part for part in (made.resource.city, made.resource.site) if part),
            description=_described(made, token),
        )


def _described(made: Booking, token: FeedToken) -> str:
    if token.resource is None:
        lines = [
            gettext("预约号：%(number)s") % {"number": made.number},
            gettext("用途：%(title)s") % {"title": made.title},
        ]
    else:
        lines = [
            gettext("预约号：%(number)s") % {"number": made.number},
            gettext("预约单位：%(name)s") % {"name": made.organisation.name},
            gettext("预约人：%(name)s") % {"name": made.booked_by or ""},
        ]
    return "\n".join(lines)


def _outages(resource: Resource, window: Period) -> Iterator[ics.FeedEvent]:
    """Yield maintenance. Its identity is derived, never a number of ours; it does not change once entered."""
    for claim in Claim.objects.filter(
        resource=resource, state=Claim.State.OUTAGE, during__overlap=(window.start, window.end)
    ).order_by("during"):
        yield ics.FeedEvent(
            uid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{resource.number}/outage/{claim.pk}")),
            sequence=0,
            period=Period(claim.during.lower, claim.during.upper),
            summary=gettext("维护"),
            status=ics.Status.CONFIRMED,
            last_modified=resource.created_at,
        )


def _freebusy(token: FeedToken, window: Period, source: str) -> bytes:  # noqa: ARG001
    """Return everything that takes time; of an instrument, its own calendars and the bookings' buffers included."""
    told = list(queries.told_bookings(token, window=window))
    if token.resource is not None:
        taken = availability.blocks([token.resource.pk], window=window).get(token.resource.pk, [])
        busy = [ics.Busy(block.blocked, KINDS.get(block.state, ics.Kind.BUSY)) for block in taken if block.blocks]
        name, since = token.resource.number, token.resource.created_at
    else:
        busy = [ics.Busy(Period(made.starts_at, made.ends_at), kind) for made in told if (kind := _kind(made))]
        name, since = f"feed/{token.digest}", token.created_at
    return ics.freebusy(
        busy,
        uid=str(uuid.uuid5(uuid.NAMESPACE_OID, f"{name}/freebusy")),
        window=window,
        stamp=max([since, *(made.updated_at for made in told)]),
    )


def _kind(made: Booking) -> ics.Kind | None:
    told = {ics.Status.TENTATIVE: ics.Kind.TENTATIVE, ics.Status.CONFIRMED: ics.Kind.BUSY}
    return told.get(ics.Status(states.calendar_status(states.BookingState(made.state))))


def _availability(token: FeedToken, window: Period, source: str) -> bytes:  # noqa: ARG001
    """Return when an instrument is open to enterprises, whatever is booked."""
    resource = token.resource
    assert resource is not None
    hours, opened = queries.opening(resource, window=window)
    return render_availability(hours, opened, zone=resource.zone, window=window, identity=resource.number)


RENDERERS = {
    rules.FeedKind.EVENTS: _events,
    rules.FeedKind.FREEBUSY: _freebusy,
    rules.FeedKind.AVAILABILITY: _availability,
}
