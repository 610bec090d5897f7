"""Review instruments before they are published; the only writer of admissions.

Whose instruments are reviewed is data (`scheduler.resources.reviewing`). States are the resource's own; an admission keeps
who proposed what, and what became of it.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Refused
from portal.kernel.money import Money
from portal.organisations import access as people
from scheduler.catalogue import checklist, duties
from scheduler.catalogue.checklist import Finding, Outcome
from scheduler.catalogue.models import Admission
from scheduler.resources import access, reviewing
from scheduler.resources import services as resources
from scheduler.resources.models import Resource
from scheduler.resources.rules import PublishAction

__all__ = ["admit", "findings", "give_back", "propose", "recall"]

REASONS = (10, 1000)
"""Shortest and longest reasons of a return, characters."""


def findings(resource: Resource, *, now: datetime) -> list[Finding]:
    """Return the checklist of an instrument as it stands. Four queries at most."""
    facts = resource.instrument
    return checklist.checklist(
        checklist.Facts(
            internal_no=resource.internal_no,
            value=Money(facts.original_value_fen),
            threshold=duties.thresholds().of(resource.city),
            contact=facts.contact,
            phone=facts.phone,
            lacks=resources.lacks(resource=resource, now=now),
            twins=list(_twins(resource).order_by("pk").values_list("number", flat=True)[:10]),
        )
    )


def _twins(resource: Resource) -> QuerySet[Resource]:
    if not resource.internal_no:
        return Resource.objects.none()
    return Resource.objects.filter(internal_no__iexact=resource.internal_no).exclude(pk=resource.pk)


def _lock(resource: Resource) -> Resource:
    return (
        Resource.objects.select_for_update(no_key=True, of=("self",))
        .select_related("owner", "instrument")
        .order_by("pk")
        .get(pk=resource.pk)
    )


@transaction.atomic
def propose(*, actor: Actor, resource: Resource, now: datetime) -> Resource:
    """Hand a draft, or one given back, to the platform for review.

    Raises Refused with everything that is missing; NotReviewed where the lab may publish by itself; InvalidTransition,
    Forbidden.
    """
    access.require_own(actor, resource)
    locked = _lock(resource)
    if not reviewing.needs_review(locked.owner.facts):
        raise checklist.NotReviewed
    taken = resources.take(locked=locked, action=PublishAction.PROPOSE, actor=actor, now=now)
    if missing := checklist.blocking(findings(locked, now=now)):
        raise Refused(missing)
    Admission.objects.create(resource=locked, proposed_by_id=actor.person, proposed_at=now)
    return taken


@transaction.atomic
def recall(*, actor: Actor, resource: Resource, now: datetime) -> Resource:
    """Take a proposal back, as the lab, before it is decided. Raises InvalidTransition, Forbidden."""
    access.require_own(actor, resource)
    return _end(_lock(resource), PublishAction.RECALL, Outcome.RECALLED, actor=actor, now=now)


@transaction.atomic
def admit(*, actor: Actor, resource: Resource, note: str = "", now: datetime) -> Resource:
    """Admit a proposed instrument: it is published at once. `note` is for the record.

    Raises Refused with everything that is missing by now, Involved, InvalidTransition, Forbidden.
    """
    locked = _judge(actor, resource)
    if missing := checklist.blocking(findings(locked, now=now)):
        raise Refused(missing)
    return _end(locked, PublishAction.ADMIT, Outcome.ADMITTED, actor=actor, now=now, note=note)


@transaction.atomic
def give_back(*, actor: Actor, resource: Resource, reasons: str, now: datetime) -> Resource:
    """Return a proposed instrument to its lab, with reasons of 10 to 1,000 characters.

    Raises ReasonsMissing, Involved, InvalidTransition, Forbidden.
    """
    locked = _judge(actor, resource)
    least, most = REASONS
    if not least <= len(reasons.strip()) <= most:
        raise checklist.ReasonsMissing(field="reasons")
    return _end(locked, PublishAction.RETURN, Outcome.RETURNED, actor=actor, now=now, note=reasons)


def _judge(actor: Actor, resource: Resource) -> Resource:
    actor.require(Permission.INSTRUMENT_ADMIT)
    if actor.user_id is None:
        raise Forbidden
    if people.belongs(user_id=actor.user_id, organisation_id=resource.owner_id):
        raise checklist.Involved
    return _lock(resource)


def _end(
    locked: Resource, action: PublishAction, outcome: Outcome, *, actor: Actor, now: datetime, note: str = ""
) -> Resource:
    taken = resources.take(locked=locked, action=action, actor=actor, now=now)
    Admission.objects.filter(resource=locked, outcome="").update(
        outcome=outcome.value, decided_by_id=actor.user_id, decided_at=now, note=note.strip()
    )
    return taken
