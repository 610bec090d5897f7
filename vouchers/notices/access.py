"""Reach notices and objections: published notices are public, drafts and objections are their department's."""

from __future__ import annotations

from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from vouchers.notices.models import Notice, NoticeItem, Objection
from vouchers.notices.rules import NoSuchReceipt, NoticeState

__all__ = [
    "OFFICERS",
    "get_objection",
    "get_own",
    "get_public",
    "get_public_item",
    "objection_by_receipt",
    "objections",
    "own",
    "public",
]

OFFICERS = (Permission.APPLICATION_REVIEW, Permission.APPLICATION_APPROVE)
RELATED = (
    "version",
    "version__programme",
    "version__programme__department",
    "round",
    "drafted_by",
    "published_by",
)
PUBLIC = (NoticeState.PUBLISHED.value, NoticeState.CLOSED.value)


def public() -> QuerySet[Notice]:
    """Return the published notices, those that are over included."""
    return Notice.objects.filter(state__in=PUBLIC).select_related(*RELATED)


def get_public(number: str) -> Notice:
    """Return a published notice. Raises NotFound."""
    found = public().filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def get_public_item(number: str, position: int) -> NoticeItem:
    """Return an item of a published notice. Raises NotFound."""
    found = (
        NoticeItem.objects.filter(notice__number=number, notice__state__in=PUBLIC, position=position)
        .select_related("notice", "notice__round", "notice__version", "notice__version__programme__department")
        .first()
    )
    if found is None:
        raise NotFound
    return found


def own(actor: Actor) -> QuerySet[Notice]:
    """Return the notices of the actor's department, drafts included. Raises Forbidden unless a decider."""
    if not any(actor.may(permission) for permission in OFFICERS):
        raise Forbidden
    return Notice.objects.filter(version__programme__department_id=actor.organisation_id).select_related(*RELATED)


def get_own(actor: Actor, number: str) -> Notice:
    """Return a notice of the actor's department. Raises NotFound."""
    found = own(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def objections(actor: Actor) -> QuerySet[Objection]:
    """Return the objections to the department's notices. Raises Forbidden unless a decider."""
    if not any(actor.may(permission) for permission in OFFICERS):
        raise Forbidden
    return Objection.objects.filter(
        item__notice__version__programme__department_id=actor.organisation_id
    ).select_related(
        "item",
        "item__notice",
        "item__notice__version",
        "item__notice__round",
        "item__application",
        "item__application__organisation",
        "decided_by",
    )


def get_objection(actor: Actor, number: str) -> Objection:
    """Return an objection to one of the department's notices. Raises NotFound."""
    found = objections(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def objection_by_receipt(receipt: str) -> Objection:
    """Return the objection of a receipt; case and hyphens do not matter. Raises NoSuchReceipt."""
    wanted = receipt.strip().upper().replace("-", "").replace(" ", "")
    found = (
        Objection.objects.filter(receipt=wanted).select_related("item__notice__version", "item__notice__round").first()
        if wanted
        else None
    )
    if found is None:
        raise NoSuchReceipt(field="receipt")
    return found
