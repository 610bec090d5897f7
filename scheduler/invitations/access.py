"""Reach calendar mails: each person one's own choice, those who see a booking what was mailed about it."""

from __future__ import annotations

from portal.kernel.actors import Actor
from scheduler.invitations.models import CalendarMailChoice

__all__ = ["own_choice"]


def own_choice(actor: Actor) -> CalendarMailChoice:
    """Return what the person chose, or what holds while nothing was. Raises Forbidden for who is no person."""
    found = CalendarMailChoice.objects.filter(user_id=actor.person).first()
    return found or CalendarMailChoice(user_id=actor.person)
