"""Reach subscription addresses: a lab those of its instruments, a person those of its own bookings."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.feeds.models import FeedToken
from scheduler.resources.models import Resource

RELATED = ("resource", "user", "created_by")


def speaks_for(actor: Actor) -> int | None:
    """Return the one organisation a token speaks for when it acts for the person who made it; None: the person is here."""
    return actor.acting_for if actor.token_id is not None else None


def visible_to(actor: Actor) -> QuerySet[FeedToken]:
    """Return the addresses the actor may see and end, newest first; a token of a person's those it may have made."""
    seen = Q(user_id=actor.user_id) if actor.user_id is not None else Q(pk__in=[])
    if actor.token_id is not None:
        seen &= Q(organisation_id=speaks_for(actor))
    if actor.may(Permission.INSTRUMENT_MANAGE):
        seen |= Q(resource__owner_id=actor.organisation_id)
    return FeedToken.objects.filter(seen).select_related(*RELATED).prefetch_related("readers")


def of_instrument(actor: Actor, resource: Resource) -> QuerySet[FeedToken]:
    """Return the addresses of an instrument the actor manages; none of others'."""
    return visible_to(actor).filter(resource=resource)


def own_feeds(actor: Actor) -> QuerySet[FeedToken]:
    """Return the addresses of the actor's own bookings. Raises Forbidden for who is no person."""
    return visible_to(actor).filter(user_id=actor.person)


def get_feed(actor: Actor, feed_id: int) -> FeedToken:
    """Return an address the actor may end. Raises NotFound."""
    token = visible_to(actor).filter(pk=feed_id).first()
    if token is None:
        raise NotFound
    return token
