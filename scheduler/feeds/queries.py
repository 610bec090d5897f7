"""Read what a feed tells. Every function takes a constant number of queries."""

from __future__ import annotations

from django.db import connection
from django.db.models import QuerySet

from portal.kernel.period import Period
from scheduler.availability import queries as availability
from scheduler.availability.models import OpeningHours
from scheduler.availability.rules import WeeklyHours
from scheduler.bookings import queries as bookings
from scheduler.bookings.models import Booking
from scheduler.feeds import rules
from scheduler.feeds.models import FeedToken
from scheduler.resources.models import Resource

__all__ = ["opening", "parts", "told_bookings"]

TOLD = (
    "uid",
    "sequence",
    "state",
    "starts_at",
    "ends_at",
    "updated_at",
    "title",
    "organisation__name",
    "booked_by__display_name",
    "resource__number",
    "resource__name",
    "resource__city",
    "resource__site",
)
"""Everything of a booking that some document shows."""


def told_bookings(token: FeedToken, *, window: Period) -> QuerySet[Booking]:
    """Return the bookings a feed is about, cancelled ones included, oldest first.

    A person's own are those made for an organisation the person still belongs to, or for the one the address is bound to.
    """
    if token.resource is not None:
        found = bookings.calendar(token.resource, since=window.start, until=window.end)
        return found.select_related("resource", "organisation", "booked_by")
    assert token.user_id is not None
    bound = {"organisation_id": token.organisation_id} if token.organisation_id is not None else {}
    return (
        Booking.objects.filter(
            **bound,
            booked_by_id=token.user_id,
            organisation__members__user_id=token.user_id,
            organisation__members__left_at__isnull=True,
            ends_at__gt=window.start,
            starts_at__lt=window.end,
        )
        .select_related("resource", "organisation", "booked_by")
        .order_by("starts_at", "pk")
    )


def opening(resource: Resource, *, window: Period) -> tuple[list[WeeklyHours], list[Period]]:
    """Return an instrument's weekly hours, and when it is open in the end, exceptions kept. A constant query count."""
    rows = OpeningHours.objects.filter(resource=resource).order_by("pk")
    opened = availability.open_periods([resource], window=window)[resource.pk]
    return [availability.weekly_hours(row) for row in rows], list(opened)


def parts(token: FeedToken, *, window: Period) -> list[object]:
    """Return what the document depends on, without making it: two queries at most, none for an instrument told as busy.

    An instrument's version rises in the transaction of every claim. Words (names, purposes) change without it, and a
    person's bookings lie in many instruments: there each row told is a part, as are opening hours.
    """
    told: list[object] = [token.kind, token.privacy, window.start.date()]
    if token.resource is not None:
        told += [token.resource.pk, token.resource.calendar_version, token.resource.name, token.resource.zone]
        if token.kind == rules.FeedKind.AVAILABILITY.value:
            hours, opened = opening(token.resource, window=window)
            return [*told, repr(hours), repr(opened)]
        if token.privacy == rules.FeedPrivacy.BUSY.value:
            return told
    else:
        told += [token.user_id, token.pk]
    return [*told, _digest(token, window=window)]


def _digest(token: FeedToken, *, window: Period) -> str:
    """Return a fingerprint of every row told, made where the rows are: 500 of them are one short answer. One query."""
    rows, values = told_bookings(token, window=window).values_list(*TOLD).query.sql_with_params()
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT md5(string_agg(told::text, E'\\n')) FROM ({rows}) AS told", values)  # noqa: S608  composed by the ORM
        return str(cursor.fetchone()[0])
