"""Reach messages: each person their own, of the organisation they act for."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from scheduler.messages.models import Message

__all__ = ["own", "unseen"]


def own(actor: Actor) -> QuerySet[Message]:
    """Return what the person was told. Raises Forbidden without the permission, and for who is no person."""
    actor.require(Permission.BOOKING_REQUEST)
    return Message.objects.filter(user_id=actor.person, organisation_id=actor.acting_for)


def unseen(actor: Actor) -> int:
    """Return how many of them have not been seen. Raises Forbidden."""
    return own(actor).filter(seen_at__isnull=True).count()
