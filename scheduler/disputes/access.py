"""Reach disputes: both parties see theirs, the department those its vouchers pay and those no voucher pays."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from scheduler.disputes.models import Dispute

__all__ = ["get_dispute", "overseen", "serves", "visible_to"]

RELATED = (
    "booking__resource__owner",
    "booking__organisation",
    "booking__charge",
    "opened_by",
    "answered_by",
    "decided_by",
)


def serves(actor: Actor) -> bool:
    """Say whether the actor answers for a lab's charges: its managers, and who heads the organisation."""
    heads = actor.may(Permission.BOOKING_DECIDE) or actor.may(Permission.SETTLEMENT_READ_OWN)
    return heads and actor.may(Permission.CHARGE_REFUND)


def overseen(actor: Actor) -> Q:
    """Return which disputes a department oversees: any part paid by a voucher of its programmes, or by none at all."""
    parts = "booking__charge__parts"
    paid = Dispute.objects.filter(
        **{f"{parts}__voucher__application__version__programme__department_id": actor.organisation_id}
    )
    return Q(pk__in=paid.values("pk")) | Q(pk__in=Dispute.objects.filter(**{f"{parts}__isnull": True}).values("pk"))


def visible_to(actor: Actor) -> QuerySet[Dispute]:
    """Return every dispute the actor may see, newest first."""
    seen = Q(pk__in=[])
    if actor.may(Permission.BOOKING_REQUEST):
        seen |= Q(booking__organisation_id=actor.organisation_id)
    if serves(actor):
        seen |= Q(booking__resource__owner_id=actor.organisation_id)
    if actor.may(Permission.ORDER_READ):
        seen |= overseen(actor)
    return Dispute.objects.filter(seen).select_related(*RELATED)


def get_dispute(actor: Actor, number: str) -> Dispute:
    """Return a dispute the actor may see. Raises NotFound."""
    found = visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found
