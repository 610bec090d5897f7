"""Reach engagements: the enterprise that asked and the lab that serves see them; a department what it is to rule on."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import Count, Q, QuerySet, Sum

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from scheduler.engagements.models import Engagement, Milestone
from vouchers.evidence import access as evidence
from vouchers.evidence.models import EvidenceFile

RELATED = ("resource", "resource__owner", "organisation", "requested_by")


def own_engagements(actor: Actor) -> QuerySet[Engagement]:
    """Return the engagements of the actor's organisation. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_REQUEST)
    return Engagement.objects.filter(organisation_id=actor.acting_for).select_related(*RELATED)


def served_engagements(actor: Actor) -> QuerySet[Engagement]:
    """Return the engagements the actor's lab serves. Raises Forbidden without the permission."""
    actor.require(Permission.BOOKING_DECIDE)
    return Engagement.objects.filter(resource__owner_id=actor.acting_for).select_related(*RELATED)


def visible_to(actor: Actor) -> QuerySet[Engagement]:
    """Return every engagement the actor may see."""
    seen = Q(pk__in=[])
    if actor.may(Permission.BOOKING_REQUEST):
        seen |= Q(organisation_id=actor.organisation_id)
    if actor.may(Permission.BOOKING_DECIDE):
        seen |= Q(resource__owner_id=actor.organisation_id)
    return Engagement.objects.filter(seen).select_related(*RELATED)


def get_engagement(actor: Actor, number: str) -> Engagement:
    """Return an engagement the actor may see. Raises NotFound."""
    found = visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def is_client(actor: Actor, engagement: Engagement) -> bool:
    return actor.may(Permission.BOOKING_REQUEST) and engagement.organisation_id == actor.organisation_id


def is_lab(actor: Actor, engagement: Engagement) -> bool:
    return actor.may(Permission.BOOKING_DECIDE) and engagement.resource.owner_id == actor.organisation_id


def get_own(actor: Actor, number: str) -> Engagement:
    """Return an engagement of the actor's organisation. Raises NotFound, Forbidden."""
    found = get_engagement(actor, number)
    if not is_client(actor, found):
        raise Forbidden
    return found


def get_served(actor: Actor, number: str) -> Engagement:
    """Return an engagement the actor's own lab serves. Raises NotFound, Forbidden."""
    found = get_engagement(actor, number)
    if not is_lab(actor, found):
        raise Forbidden
    return found


def get_milestone(engagement: Engagement, position: int) -> Milestone:
    """Return one milestone of an engagement the actor may see. Raises NotFound."""
    found = engagement.milestones.select_related("engagement", "line", "charge").filter(position=position).first()
    if found is None:
        raise NotFound
    return found


def disputed(actor: Actor) -> QuerySet[Milestone]:
    """Return the milestones that wait for the actor's department to rule, and those that were ruled on, newest first.

    A department sees those any part of which a voucher of its programmes pays, and those no voucher pays. Raises Forbidden
    without the permission.
    """
    actor.require(Permission.ORDER_RULE)
    asked = Milestone.objects.filter(Q(state="disputed") | Q(ruled_at__isnull=False))
    programmes = "charge__parts__voucher__application__version__programme__department_id"
    paid = asked.filter(**{programmes: actor.organisation_id})
    unpaid = asked.filter(charge__parts__isnull=True)
    related = [f"engagement__{name}" for name in RELATED]
    found = asked.filter(Q(pk__in=paid.values("pk")) | Q(pk__in=unpaid.values("pk")))
    return found.select_related(*related, "line", "charge", "disputed_by").order_by("-pk")


def get_disputed(actor: Actor, number: str, position: int) -> Milestone:
    """Return a milestone the actor's department rules on. Raises NotFound, Forbidden."""
    found = disputed(actor).filter(engagement__number=number, position=position).first()
    if found is None:
        raise NotFound
    return found


def with_progress(found: QuerySet[Engagement]) -> QuerySet[Engagement]:
    """Return engagements with `agreed_fen`, `billed_fen`, `milestone_count` and `accepted_count` of what is not dropped.

    The sums are NULL before a quote is accepted.
    """
    counts = ~Q(milestones__state="dropped")
    return found.annotate(
        agreed_fen=Sum("milestones__line__price_fen", filter=counts),
        billed_fen=Sum("milestones__charge__actual_fen", filter=counts),
        milestone_count=Count("milestones", filter=counts),
        accepted_count=Count("milestones", filter=Q(milestones__state="accepted")),
    )


def milestones_of(engagement: Engagement) -> list[Milestone]:
    """Return the milestones of an engagement the actor may see, with their money, in order. Two queries."""
    rows = list(
        engagement.milestones.select_related("line__quote", "charge__voucher").prefetch_related(
            "charge__parts__voucher"
        )
    )
    for row in rows:
        row.engagement = engagement
    return rows


def files_of_all(milestones: Sequence[Milestone]) -> dict[str, list[EvidenceFile]]:
    """Return what was delivered, by milestone subject, in the order it came. One query."""
    found: dict[str, list[EvidenceFile]] = {}
    for file in evidence.files_of_all([row.subject for row in milestones]):
        found.setdefault(file.subject, []).append(file)
    return found


def get_file(actor: Actor, number: str, position: int, file_id: int) -> EvidenceFile:
    """Return one delivered file, for the parties or for the department that rules on its milestone. Raises NotFound."""
    if actor.may(Permission.ORDER_RULE):
        milestone = get_disputed(actor, number, position)
    else:
        milestone = get_milestone(get_engagement(actor, number), position)
    found = evidence.files_of(milestone.subject).filter(pk=file_id).first()
    if found is None:
        raise NotFound
    return found
