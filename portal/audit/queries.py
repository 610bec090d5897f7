"""Read the audit trail."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.audit.models import Record
from portal.kernel.actors import Actor, Permission


def trail(subject: str, *, actor: Actor) -> QuerySet[Record]:
    """Return the records of one subject that `actor` may read, oldest first."""
    return visible_to(actor).filter(subject=subject).order_by("pk")


def visible_to(actor: Actor) -> QuerySet[Record]:
    """Return the records `actor` may read: all for auditors, else those of the own organisation."""
    if actor.may(Permission.AUDIT_READ):
        return Record.objects.all()
    return Record.objects.filter(organisation_ids__contains=[actor.organisation_id])
