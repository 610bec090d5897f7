"""Reach messages: each person their own, of the organisation they act for."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from scheduler.messages.models import Message

__all__ = ["READERS", "own", "unseen"]

READERS = (
    *(Permission.BOOKING_REQUEST, Permission.CLUSTER_READ, Permission.AUDIT_READ, Permission.LEDGER_READ),
    *(Permission.PAYEE_MANAGE, Permission.PROPOSAL_SUBMIT, Permission.BEAMTIME_PLAN, Permission.FACILITY_MANAGE),
)
"""Who is told anything: of bookings, of clusters one operates, of books that do not agree, of one's bank account,
of the beam time one asked for, or plans."""


def own(actor: Actor) -> QuerySet[Message]:
    """Return what the person was told. Raises Forbidden without the permission, and for who is no person."""
    if not any(actor.may(permission) for permission in READERS):
        raise Forbidden
    return Message.objects.filter(user_id=actor.person, organisation_id=actor.acting_for)


def unseen(actor: Actor) -> int:
    """Return how many of them have not been seen. Raises Forbidden."""
    return own(actor).filter(seen_at__isnull=True).count()
