"""One instrument's page: what it is, what it costs, when it is open and free."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.kernel.period import Period
from portal.pages import shell, slots, weekgrid, weeks
from portal.pages.templatetags.show import zone_of
from scheduler.availability import rules as availability
from scheduler.availability.models import OpeningHours
from scheduler.availability.rules import ClaimRole
from scheduler.bookings import access as bookings
from scheduler.catalogue import access as catalogue
from scheduler.catalogue.models import InstrumentFile
from scheduler.engagements import steps as engagements
from scheduler.ratings import access as ratings
from scheduler.ratings import queries as standings
from scheduler.resources import access, reviewing
from scheduler.resources import queries as rates
from scheduler.resources.models import Resource
from scheduler.resources.profile import ServiceMode

NEXT_FREE = 6
RATINGS = 10
LOOK_AHEAD = timedelta(days=14)
DAY = timedelta(days=1)
TOLD = ("held", "confirmed", "in_use", "done")
"""Claims that take time or took it."""


@shell.guarded
def instrument(request: HttpRequest, number: str) -> HttpResponse:
    """Show one instrument: what it is, what it costs, when it is open and free."""
    actor = shell.stranger_or_actor(request)
    return instrument_page(request, access.get_instrument(actor, number), now=timezone.now())


def instrument_page(
    request: HttpRequest, resource: Resource, *, now: datetime, error: Explained | None = None
) -> HttpResponse:
    """Render an instrument's page, with what went wrong when an act on it was refused."""
    actor = shell.stranger_or_actor(request)
    local = timezone.localtime(now)
    day = slots.day_of(request.GET.get("day", ""))
    days = weekgrid.week_of(day or local.date())
    shown, ahead = weeks.week_window(days), Period(now, now + LOOK_AHEAD)
    # One look for the week shown and the fortnight ahead, unless they lie far apart.
    near = shown.start <= ahead.end + LOOK_AHEAD and shown.end >= ahead.start - LOOK_AHEAD
    window = Period(min(shown.start, ahead.start), max(shown.end, ahead.end)) if near else shown
    times = weeks.look([resource], window=window, now=now)
    free = times[resource.pk].free if near else weeks.look([resource], window=ahead, now=now)[resource.pk].free
    rows = weeks.rows([resource], times, actor=actor, now=now)
    owned = actor is not None and actor.organisation_id == resource.owner_id
    local_days = Period(*(datetime.combine(day, time.min, zone_of(resource.zone)) for day in (days[0], days[-1] + DAY)))
    context = {
        "resource": resource,
        "rate": rates.rate_of_resource(resource.pk, at=now),
        "prices": rates.prices_of_resource(resource.pk, at=now),
        **_files(resource, now=now),
        "now": now,
        "hours": weeks.hours_in_words(OpeningHours.objects.filter(resource=resource)),
        "grid": weekgrid.shape(rows, days, now=local, chosen=day),
        "next_free": [
            {"period": span, "url": slots.book_link(resource, _start_of(span, resource))}
            for span in _on_grid(free, resource)
            if span.start < ahead.end
        ][:NEXT_FREE],
        "bookable": weeks.may_book(actor, resource) and resource.state == Resource.State.PUBLISHED.value,
        "takes_samples": weeks.may_book(actor, resource)
        and resource.state == Resource.State.PUBLISHED.value
        and ServiceMode.SAMPLE.value in resource.modes,
        "takes_projects": weeks.may_book(actor, resource)
        and resource.state == Resource.State.PUBLISHED.value
        and engagements.is_offered(resource),
        "standing": standings.standing(resource.pk),
        "ratings": list(ratings.ratings_of(resource)[:RATINGS]),
        "answers": owned and actor is not None and actor.may(Permission.BOOKING_DECIDE),
        "served": _served(actor, resource, local_days) if owned and actor is not None else [],
        "manages": owned and actor is not None and actor.may(Permission.INSTRUMENT_MANAGE),
        "reviewed": reviewing.needs_review(resource.owner.facts),
        "error": error,
    }
    return shell.page(request, "instruments/instrument.html", context, status=error.status if error else 200)


def _files(resource: Resource, *, now: datetime) -> dict[str, Any]:
    """Return the pictures and the documents beside an instrument, and the day they are read on."""
    found = list(catalogue.files_of(resource))
    picture = InstrumentFile.Purpose.PICTURE.value
    return {
        "pictures": [file for file in found if file.purpose == picture],
        "documents": [file for file in found if file.purpose != picture],
        "today": timezone.localdate(now),
    }


def _served(actor: Actor, resource: Resource, week: Period) -> list[dict[str, Any]]:
    """Return the bookings of a week on the lab's own instrument, with whose they are and what for."""
    if not actor.may(Permission.BOOKING_DECIDE):
        return []
    found = bookings.served_bookings(actor).filter(
        resource=resource,
        starts_at__lt=week.end,
        ends_at__gt=week.start,
        claims__role=ClaimRole.MAIN.value,
        claims__state__in=TOLD,
    )
    return [{"booking": row, "period": Period(row.starts_at, row.ends_at)} for row in found.order_by("starts_at")]


def _on_grid(free: Sequence[Period], resource: Resource) -> list[Period]:
    """Return free spans from the first moment a booking may begin at, those too short for one left out."""
    grid, shortest = timedelta(seconds=resource.granularity_s), timedelta(seconds=resource.min_duration_s)
    offset = timedelta(seconds=resource.grid_from_s)
    starts = [
        availability.next_on_grid(span.start, granularity=grid, zone=resource.zone, offset=offset) for span in free
    ]
    return [Period(start, span.end) for start, span in zip(starts, free, strict=True) if span.end - start >= shortest]


def _start_of(span: Period, resource: Resource) -> Period:
    """Return the shortest booking at the head of a free span: what a link to it proposes."""
    return Period(span.start, span.start + timedelta(seconds=resource.min_duration_s))
