"""What waits for an enterprise's answer about its bookings: time lost, offered by the lab, asked for by others, come free."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from itertools import chain

from django.urls import reverse
from django.utils.translation import gettext

from portal.kernel.actors import Actor
from portal.pages.desk_task import SHOWN, Task
from portal.pages.templatetags.show import bilingual
from scheduler.bookings import access as bookings
from scheduler.bookings.models import Booking, CounterOffer
from scheduler.bookings.swap_models import Swap
from scheduler.displacements import access as displacements
from scheduler.displacements.models import Displacement
from scheduler.waitlist import access as waiting
from scheduler.waitlist.models import WaitlistEntry, WaitlistOffer

__all__ = ["answers", "exchanges"]


def _which(made: Booking) -> str:
    return f"{made.number} {bilingual(made.resource)}"


def displaced(actor: Actor, now: datetime) -> Iterator[Task]:
    """Yield bookings an outage has taken the time of, while their enterprise may choose. One query."""
    rows = displacements.of_mine(actor).filter(state=Displacement.State.OPEN, outage__answer_by__gt=now)
    for row in rows.prefetch_related(None).order_by("outage__answer_by", "pk")[:SHOWN]:
        told = gettext("时段被停机占用，请选择改期或退回")
        yield Task(
            told, _which(row.booking), reverse("displaced"), since=row.outage.declared_at, by=row.outage.answer_by
        )


def counter_offers(actor: Actor, now: datetime) -> Iterator[Task]:
    """Yield requests for which a lab offers another time. One query."""
    mine = bookings.own_bookings(actor).filter(state=Booking.State.REQUESTED)
    rows = CounterOffer.objects.filter(booking__in=mine.order_by(), state=CounterOffer.State.OPEN, until__gt=now)
    for row in rows.select_related("booking__resource").order_by("until", "pk"):
        url = reverse("booking", args=[row.booking.number])
        yield Task(gettext("实验室建议另一时段，请答复"), _which(row.booking), url, since=row.created_at, by=row.until)


def time_come_free(actor: Actor, now: datetime) -> Iterator[Task]:
    """Yield what is held for who waited. One query."""
    entries = waiting.mine(actor).filter(state=WaitlistEntry.State.OFFERED).prefetch_related(None).order_by()
    rows = WaitlistOffer.objects.filter(entry__in=entries, state=WaitlistOffer.State.OPEN, answer_by__gt=now)
    for row in rows.select_related("resource").order_by("answer_by", "pk")[:SHOWN]:
        told = gettext("候补的时段已保留，请答复")
        yield Task(told, bilingual(row.resource), reverse("waitlist"), since=row.offered_at, by=row.answer_by)


def exchanges(actor: Actor, now: datetime) -> Iterator[Task]:
    """Yield proposals of others to exchange times. One query."""
    rows = bookings.own_swaps(actor).filter(
        other__organisation_id=actor.acting_for, state=Swap.State.PROPOSED, expires_at__gt=now
    )
    for row in rows.order_by("expires_at", "pk")[:SHOWN]:
        url = reverse("swap", args=[row.number])
        yield Task(gettext("答复交换时段的提议"), _which(row.other), url, since=row.created_at, by=row.expires_at)


def answers(actor: Actor, now: datetime) -> Iterator[Task]:
    """Yield all of it but the exchanges, the nearest deadline first within its kind. Three queries."""
    return chain(displaced(actor, now), counter_offers(actor, now), time_come_free(actor, now))
