"""Reach ratings: everybody reads those of published instruments; the lab answers its own."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.ratings.models import Rating
from scheduler.resources.models import Resource


def ratings_of(resource: Resource) -> QuerySet[Rating]:
    """Return an instrument's ratings, newest first; the instrument is the reader's to see."""
    return Rating.objects.filter(resource=resource).order_by("-pk")


def get_served(actor: Actor, rating_id: int) -> Rating:
    """Return a rating of one of the actor's own instruments. Raises NotFound, Forbidden."""
    actor.require(Permission.BOOKING_DECIDE)
    found = (
        Rating.objects.filter(pk=rating_id, resource__owner_id=actor.organisation_id).select_related("resource").first()
    )
    if found is None:
        raise NotFound
    return found
