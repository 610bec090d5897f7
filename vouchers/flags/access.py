"""Reach flags: they are the department's own business; the flagged never see them."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from vouchers.flags.models import Flag

READERS = (Permission.FLAG_DECIDE, Permission.AUDIT_READ)


def visible_to(actor: Actor) -> QuerySet[Flag]:
    """Return the department's flags; an auditor sees all. Raises Forbidden for others."""
    flags = Flag.objects.select_related("department", "decided_by")
    if actor.may(Permission.AUDIT_READ):
        return flags
    actor.require(Permission.FLAG_DECIDE)
    return flags.filter(department_id=actor.organisation_id)


def get_flag(actor: Actor, flag_id: int) -> Flag:
    """Return one flag. Raises NotFound."""
    try:
        found = visible_to(actor).filter(pk=flag_id).first()
    except Forbidden:
        found = None
    if found is None:
        raise NotFound
    return found
