"""Reach rounds: everybody sees a published programme's rounds, its department works on them."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from vouchers.rounds.models import Round

__all__ = ["OFFICERS", "get_own", "get_public", "own", "public"]

OFFICERS = (
    Permission.PROGRAMME_DRAFT,
    Permission.PROGRAMME_PUBLISH,
    Permission.APPLICATION_REVIEW,
    Permission.APPLICATION_APPROVE,
)
RELATED = (
    "version",
    "version__programme",
    "version__programme__department",
    "opened_by",
    "decided_by",
    "checked_by",
)


def public() -> QuerySet[Round]:
    """Return every round: when it is open, by which order it is decided, and its lottery's commitment are public."""
    return Round.objects.select_related(*RELATED)


def get_public(number: str) -> Round:
    """Return a round. Raises NotFound."""
    found = public().filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def own(actor: Actor) -> QuerySet[Round]:
    """Return the rounds of the actor's department. Raises Forbidden unless it works on programmes or applications."""
    if not any(actor.may(permission) for permission in OFFICERS):
        raise Forbidden
    return public().filter(version__programme__department_id=actor.organisation_id)


def get_own(actor: Actor, number: str) -> Round:
    """Return a round of the actor's department. Raises NotFound."""
    found = own(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found
