"""Give and answer ratings; the only writer of their table."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingState
from scheduler.engagements import services as engagements
from scheduler.engagements import steps as engagement_steps
from scheduler.engagements.models import Engagement
from scheduler.engagements.rules import EngagementState
from scheduler.ratings import rules
from scheduler.ratings.models import Rating
from scheduler.samples import testing
from scheduler.samples.models import SampleOrder
from scheduler.samples.rules import SampleOrderState


def _checked(stars: int, comment: str) -> str:
    if not rules.LEAST <= stars <= rules.MOST:
        raise rules.BadStars(field="stars")
    comment = comment.strip()
    if len(comment) > rules.TEXT:
        raise rules.TextTooLong(field="comment")
    return comment


def _write(*, actor: Actor, now: datetime, subject: str, owner_id: int, **values: Any) -> Rating:
    try:
        with transaction.atomic():
            made = Rating.objects.create(
                organisation_id=actor.acting_for, rated_by_id=actor.user_id, rated_at=now, **values
            )
    except IntegrityError:
        raise rules.AlreadyRated from None
    audit.record(
        action="rating.given",
        subject=subject,
        actor=actor,
        now=now,
        organisations=[made.organisation_id, owner_id],
        data={"stars": made.stars},
    )
    return made


@transaction.atomic
def rate_booking(*, actor: Actor, booking: Booking, stars: int, comment: str, now: datetime) -> Rating:
    """Rate a completed booking, as the enterprise that made it; once. Two at once: one wins.

    Raises BadStars, TextTooLong, NotOver, AlreadyRated, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    comment = _checked(stars, comment)
    if booking.organisation_id != actor.organisation_id:
        raise Forbidden
    current = Booking.objects.select_related("resource").get(pk=booking.pk)
    if current.state != BookingState.COMPLETED.value:
        raise rules.NotOver
    return _write(
        actor=actor,
        now=now,
        subject=f"booking:{current.number}",
        owner_id=current.resource.owner_id,
        booking=current,
        resource=current.resource,
        stars=stars,
        comment=comment,
    )


@transaction.atomic
def rate_sample(*, actor: Actor, order: SampleOrder, stars: int, comment: str, now: datetime) -> Rating:
    """Rate a billed sample order, as the enterprise that sent it: the order is closed with it.

    Raises BadStars, TextTooLong, NotOver, AlreadyRated, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    comment = _checked(stars, comment)
    current = SampleOrder.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=order.pk)
    if current.organisation_id != actor.organisation_id:
        raise Forbidden
    if current.state == SampleOrderState.CLOSED.value:
        raise rules.AlreadyRated
    if current.state != SampleOrderState.BILLED.value:
        raise rules.NotOver
    closed = testing.close(actor=actor, order=current, now=now)
    return _write(
        actor=actor,
        now=now,
        subject=closed.subject,
        owner_id=closed.resource.owner_id,
        sample_order=closed,
        resource=closed.resource,
        stars=stars,
        comment=comment,
    )


@transaction.atomic
def rate_engagement(*, actor: Actor, engagement: Engagement, stars: int, comment: str, now: datetime) -> Rating:
    """Rate a completed or stopped engagement, as the enterprise that asked: it is closed with it.

    Raises BadStars, TextTooLong, NotOver, AlreadyRated, Forbidden.
    """
    comment = _checked(stars, comment)
    current = engagement_steps.asked(actor=actor, engagement=engagement)
    if current.state == EngagementState.CLOSED.value:
        raise rules.AlreadyRated
    if current.state not in {EngagementState.COMPLETED.value, EngagementState.STOPPED.value}:
        raise rules.NotOver
    closed = engagements.close(actor=actor, engagement=current, now=now)
    return _write(
        actor=actor,
        now=now,
        subject=closed.subject,
        owner_id=closed.resource.owner_id,
        engagement=closed,
        resource=closed.resource,
        stars=stars,
        comment=comment,
    )


def _subject(rating: Rating) -> str:
    if rating.sample_order is not None:
        return rating.sample_order.subject
    if rating.engagement is not None:
        return rating.engagement.subject
    return f"booking:{rating.booking.number}" if rating.booking else ""


@transaction.atomic
def answer(*, actor: Actor, rating: Rating, text: str, now: datetime) -> Rating:
    """Answer a rating, as the lab, once; everybody reads it. Raises TextMissing, TextTooLong, AlreadyAnswered, Forbidden."""
    actor.require(Permission.BOOKING_DECIDE)
    text = text.strip()
    if not text:
        raise rules.TextMissing(field="answer")
    if len(text) > rules.TEXT:
        raise rules.TextTooLong(field="answer")
    locked = (
        Rating.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "booking", "sample_order", "engagement")
        .order_by("pk")
        .get(pk=rating.pk)
    )
    if locked.resource.owner_id != actor.organisation_id:
        raise Forbidden
    if locked.answered_at is not None:
        raise rules.AlreadyAnswered
    locked.answer, locked.answered_by_id, locked.answered_at = text, actor.user_id, now
    locked.save(update_fields=["answer", "answered_by", "answered_at"])
    audit.record(
        action="rating.answered",
        subject=_subject(locked),
        actor=actor,
        now=now,
        organisations=[locked.organisation_id, locked.resource.owner_id],
    )
    return locked
