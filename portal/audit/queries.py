"""Read the audit trail."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.audit.models import Record
from portal.kernel.actors import Actor, Permission


def trail(subject: str, *, actor: Actor) -> QuerySet[Record]:
    """Return the records of one subject that `actor` may read, oldest first."""
    return visible_to(actor).filter(subject=subject).order_by("pk")


def is_known(*, action: str, subject: str) -> bool:
    """Say whether an action is on the record of a subject, whoever asks: for telling something once."""
    return Record.objects.filter(action=action, subject=subject).exists()


OUTSIDERS = frozenset({Permission.APPLICATION_SCORE, Permission.CLAIM_AUDIT})
"""Who holds nothing but these is appointed for single cases, and is no official of the department."""


def lately(actor: Actor) -> QuerySet[Record]:
    """Return what happened around `actor`, newest first: whoever is appointed for single cases sees only own acts."""
    if actor.permissions and actor.permissions <= OUTSIDERS:
        return Record.objects.filter(actor_user_id=actor.person).order_by("-pk")
    return visible_to(actor).order_by("-pk")


def visible_to(actor: Actor) -> QuerySet[Record]:
    """Return the records `actor` may read: all for auditors, else those of the own organisation."""
    if actor.may(Permission.AUDIT_READ):
        return Record.objects.all()
    return Record.objects.filter(organisation_ids__contains=[actor.organisation_id])
