"""Change what a booking says it is for: nothing else, so no calendar is told anew."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, noop
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingState
from scheduler.bookings.services import TitleMissing

__all__ = ["LIVING", "BookingOver", "reword"]

_ = noop

LIVING = frozenset({BookingState.REQUESTED, BookingState.CONFIRMED, BookingState.IN_USE})


class BookingOver(Conflict):
    code = "booking.over"
    message = _("这次预约已经结束，用途不能再修改。")


@transaction.atomic
def reword(*, actor: Actor, booking: Booking, title: str, now: datetime) -> Booking:
    """Set the purpose, as the enterprise whose booking it is; the lab's decision stands.

    SEQUENCE stays and no mail goes, since neither time nor status changes (RFC 5546 §2.1.4): feeds show the new words by
    their LAST-MODIFIED and DTSTAMP. Repeating changes nothing. Raises TitleMissing, BookingOver, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    title = title.strip()
    if not title or len(title) > 120:
        raise TitleMissing(field="title")
    locked = (
        Booking.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "charge")
        .order_by("pk")
        .get(pk=booking.pk)
    )
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    if BookingState(locked.state) not in LIVING:
        raise BookingOver
    if locked.title == title:
        return locked
    locked.title, locked.updated_at = title, now
    locked.save(update_fields=["title", "updated_at"])
    audit.record(
        action="booking.reworded",
        subject=f"booking:{locked.number}",
        actor=actor,
        now=now,
        organisations=[locked.organisation_id, locked.resource.owner_id],
        data={"state": locked.state},
    )
    return locked
