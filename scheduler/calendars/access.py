"""Reach calendars: only the lab's own."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.errors import NotFound
from scheduler.calendars.models import ExternalCalendar
from scheduler.resources.models import Resource


def calendars_of(resource: Resource) -> QuerySet[ExternalCalendar]:
    """Return the calendars of a resource the caller has reached as its own, by name."""
    return ExternalCalendar.objects.filter(resource=resource).select_related("resource").order_by("name", "pk")


def get_calendar(resource: Resource, calendar_id: int) -> ExternalCalendar:
    """Return one of the resource's calendars. Raises NotFound."""
    calendar = calendars_of(resource).filter(pk=calendar_id).first()
    if calendar is None:
        raise NotFound
    return calendar
