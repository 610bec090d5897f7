"""Wait for time, be offered what becomes free, take it or pass it on; the only writer of waiting lists.

Offers are made in one order, which the instrument's page states: who has waited longest comes first, as far as the time
fits and the organisation may book it. An offer is time really held, to one entry at a time; refused or not answered it
passes to the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import transaction
from django.db.models import Q

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from portal.kernel.states import next_state
from scheduler.bookings import keeping, lapsing, twins
from scheduler.bookings import services as bookings
from scheduler.bookings.models import Booking
from scheduler.bookings.retrying import patiently
from scheduler.resources import rules as resource_rules
from scheduler.resources import services as resources
from scheduler.resources.models import Resource
from scheduler.waitlist import passing, queries, rules
from scheduler.waitlist.models import WaitlistEntry, WaitlistLook, WaitlistOffer

__all__ = ["Asked", "accept", "close_due", "join", "look_everywhere", "promote", "refuse", "withdraw"]

BATCH: Final = 100
S, A = rules.EntryState, rules.EntryAction
B = rules.TimeOfferAction


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody waits for: `length` of time on `resource` inside `window`, on `weekdays`, in a part of the day."""

    resource: Resource
    window: Period
    length: timedelta
    title: str
    weekdays: Sequence[int] = ()
    part: rules.PartOfDay = rules.PartOfDay.ANY
    takes_twins: bool = False
    anywhere: bool = False
    """An instrument of the same category at any lab will do: in `cities`, or where none is named in any city."""
    cities: Sequence[str] = ()
    attended: bool = False
    vouchers: Sequence[Any] = ()
    named: bool = False
    """Whether the lab may see who waits."""


@transaction.atomic
def join(*, actor: Actor, asked: Asked, now: datetime) -> WaitlistEntry:
    """Begin to wait. Raises TitleMissing, BadLength, BadWindow, TooMany, Forbidden."""
    actor.require(Permission.BOOKING_REQUEST)
    resource, title = asked.resource, asked.title.strip()
    if resource.owner_id == actor.organisation_id:
        raise Forbidden
    if not title or len(title) > 120:
        raise bookings.TitleMissing(field="title")
    rules.check_length(asked.length, shortest_s=resource.min_duration_s, longest_s=resource.max_duration_s)
    rules.check(asked.window, length=asked.length, now=now)
    waiting = WaitlistEntry.objects.filter(
        organisation_id=actor.acting_for, state__in=[S.WAITING.value, S.OFFERED.value]
    )
    if waiting.count() >= rules.MOST:
        raise rules.TooMany(most=rules.MOST)
    entry = WaitlistEntry.objects.create(
        resource=resource,
        takes_twins=asked.takes_twins,
        anywhere=asked.anywhere,
        cities=sorted(set(asked.cities))[: rules.CITIES] if asked.anywhere else [],
        organisation_id=actor.acting_for,
        created_by_id=actor.user_id,
        title=title,
        length_s=int(asked.length.total_seconds()),
        since=max(asked.window.start, now),
        until=asked.window.end,
        weekdays=sorted(set(asked.weekdays)),
        part=asked.part.value,
        attended=asked.attended,
        named=asked.named,
        created_at=now,
    )
    entry.vouchers.set(asked.vouchers)
    # A list nobody has looked at yet: what is free already is offered at the next look.
    WaitlistLook.objects.filter(resource_id__in=[one.pk for one in _candidates(entry)]).delete()
    _record(entry, action="waitlist.joined", actor=actor, now=now)
    return entry


def _candidates(entry: WaitlistEntry) -> list[Resource]:
    """Return what would do for an entry: the instrument itself first, always."""
    found = [entry.resource]
    if entry.takes_twins:
        found += twins.twins(entry.resource)
    if entry.anywhere:
        known = {resource.pk for resource in found}
        found += [one for one in twins.alike(entry.resource, cities=entry.cities) if one.pk not in known]
    return found


def _record(entry: WaitlistEntry, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"instrument:{entry.resource.number}",
        actor=actor,
        now=now,
        organisations=[entry.organisation_id],
        data={"entry": entry.pk, "state": entry.state},
    )


def _step(entry: WaitlistEntry, action: rules.EntryAction) -> None:
    entry.state = next_state(rules.TRANSITIONS, S(entry.state), action).value
    entry.save(update_fields=["state"])


def look_everywhere(*, now: datetime) -> int:
    """Look at every instrument somebody waits for whose calendar has changed since the last look; return how many.

    Run by the clock, each instrument in a transaction of its own. Nothing is missed: what changed while nobody ran is
    seen by its version.
    """
    waited = WaitlistEntry.objects.filter(state=S.WAITING.value).select_related("resource")
    found: dict[int, Resource] = {}
    for entry in waited.order_by("created_at", "pk"):
        found |= {resource.pk: resource for resource in _candidates(entry)}
    seen = dict(WaitlistLook.objects.filter(resource_id__in=found).values_list("resource_id", "version"))
    changed = [resource for pk, resource in sorted(found.items()) if seen.get(pk) != resource.calendar_version]
    for resource in changed:
        promote(resource=resource, now=now)
    return len(changed)


@patiently
@transaction.atomic
def promote(*, resource: Resource, now: datetime) -> list[WaitlistOffer]:
    """Offer what is free of a resource to those who wait for it, the longest waiting first; return the offers made.

    Who could not book it keeps waiting and is told why. Locks everything bookings of the resource may occupy.
    """
    ids = twins.reach([resource])
    lapsing.release_lapsed(resource_ids=ids, now=now)
    resource = Resource.objects.select_related("instrument").get(pk=resource.pk)
    made = []
    if resource.state == resource_rules.PublishState.PUBLISHED.value:
        for entry in _in_order(resource, now=now):
            offer = _offer(entry, resource, now=now)
            made += [offer] if offer else []
    resource.refresh_from_db(fields=["calendar_version"])
    WaitlistLook.objects.update_or_create(resource=resource, defaults={"version": resource.calendar_version})
    return made


def _in_order(resource: Resource, *, now: datetime) -> list[WaitlistEntry]:
    """Return who waits for a resource or one like it, the longest waiting first, under lock."""
    alike = Q(takes_twins=True, resource__owner_id=resource.owner_id)
    alike |= Q(anywhere=True) & (Q(cities=[]) | Q(cities__contains=[resource.city]))
    if hasattr(resource, "instrument"):
        alike &= Q(resource__instrument__category=resource.instrument.category)
    found = (
        WaitlistEntry.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource")
        .filter(Q(resource=resource) | alike, state=S.WAITING.value, until__gt=now)
        .order_by("created_at", "pk")[:BATCH]
    )
    return [entry for entry in found if resource in _candidates(entry)]


def _offer(entry: WaitlistEntry, resource: Resource, *, now: datetime) -> WaitlistOffer | None:
    passed = entry.offers.filter(resource=resource, state__in=[rules.F.REFUSED.value, rules.F.LAPSED.value])
    without = [Period(offer.starts_at, offer.ends_at) for offer in passed]
    period = queries.fit(entry, resource=resource, without=without, now=now)
    if period is None:
        return None
    reasons, price = queries.quoted(entry, resource=resource, period=period, now=now)
    if reasons:
        _skip(entry, [queries.said(reason) for reason in reasons], now=now)
        passing.tell(entry, resource=resource, period=period, reasons=reasons, now=now)
        return None
    until = rules.stands_until(period.start, now=now)
    claims, _reasons = keeping.keep(
        queries.wanted(entry, resource=resource, period=period), until=until, note="候补", now=now
    )
    if not claims:
        return None
    offer = WaitlistOffer.objects.create(
        entry=entry,
        resource=resource,
        starts_at=period.start,
        ends_at=period.end,
        offered_at=now,
        answer_by=until,
        price_fen=price.fen,
    )
    offer.claims.set(claims)
    entry.skipped, entry.skipped_at = [], None
    entry.save(update_fields=["skipped", "skipped_at"])
    _step(entry, A.OFFER)
    _record(entry, action="waitlist.offered", actor=Actor.system("自动处理"), now=now)
    return offer


def _skip(entry: WaitlistEntry, reasons: list[dict[str, Any]], *, now: datetime) -> None:
    if entry.skipped != reasons:
        entry.skipped, entry.skipped_at = reasons, now
        entry.save(update_fields=["skipped", "skipped_at"])


def _locked(entry: WaitlistEntry) -> tuple[WaitlistEntry, WaitlistOffer | None]:
    """Return an entry and its open offer under lock; before them all that may be occupied."""
    resources.lock(resource_ids=twins.reach(_candidates(entry)))
    row = (
        WaitlistEntry.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource")
        .order_by("pk")
        .get(pk=entry.pk)
    )
    offer = row.offers.select_related("resource").filter(state=rules.F.OPEN.value).first()
    return row, offer


def _end(offer: WaitlistOffer, action: rules.TimeOfferAction) -> None:
    offer.state = next_state(rules.OFFER_TRANSITIONS, rules.TimeOfferState(offer.state), action).value
    offer.save(update_fields=["state"])
    keeping.give_up(offer.claims.values_list("pk", flat=True))


def _mine(actor: Actor, entry: WaitlistEntry) -> None:
    actor.require(Permission.BOOKING_REQUEST)
    if entry.organisation_id != actor.organisation_id:
        raise Forbidden


@patiently
@transaction.atomic
def accept(*, actor: Actor, entry: WaitlistEntry, now: datetime) -> Booking:
    """Book what is offered, under every rule a booking has; repeating it returns the same booking.

    Raises OfferGone where nothing is held any more; Refused with all reasons, the offer then stands; Forbidden.
    """
    _mine(actor, entry)
    row, offer = _locked(entry)
    if row.booking is not None:
        return row.booking
    if offer is None or now >= offer.answer_by or not keeping.is_kept(offer.claims.all(), now=now):
        raise rules.OfferGone
    _end(offer, B.ACCEPT)
    row.booking = bookings.request_booking(
        actor=actor,
        wanted=queries.wanted(row, resource=offer.resource, period=Period(offer.starts_at, offer.ends_at)),
        now=now,
        key=f"waitlist-offer-{offer.pk}",
    )
    row.save(update_fields=["booking"])
    _step(row, A.BOOK)
    _record(row, action="waitlist.accepted", actor=actor, now=now)
    return row.booking


@transaction.atomic
def refuse(*, actor: Actor, entry: WaitlistEntry, now: datetime) -> WaitlistEntry:
    """Pass what is offered on to the next, and wait on for other time. Raises OfferGone, Forbidden."""
    _mine(actor, entry)
    row, offer = _locked(entry)
    if offer is None:
        raise rules.OfferGone
    _end(offer, B.REFUSE)
    _step(row, A.WAIT_ON)
    _record(row, action="waitlist.refused", actor=actor, now=now)
    return row


@transaction.atomic
def withdraw(*, actor: Actor, entry: WaitlistEntry, now: datetime) -> WaitlistEntry:
    """Stop waiting; what is offered passes on. Raises InvalidTransition, Forbidden."""
    _mine(actor, entry)
    row, offer = _locked(entry)
    _step(row, A.WITHDRAW)
    if offer is not None:
        _end(offer, B.TAKE_BACK)
    _record(row, action="waitlist.withdrawn", actor=actor, now=now)
    return row


@transaction.atomic
def close_due(*, now: datetime) -> int:
    """End offers nobody answered or whose time is gone, and entries whose window is over; return how many ended."""
    ended = 0
    for offer in (
        WaitlistOffer.objects.filter(state=rules.F.OPEN.value).select_related("entry__resource").order_by("pk")
    ):
        lapsed = offer.answer_by <= now
        if not lapsed and keeping.is_kept(offer.claims.all(), now=now):
            continue
        row, found = _locked(offer.entry)
        if found is None or found.pk != offer.pk:
            continue
        _end(found, B.LAPSE if lapsed else B.TAKE_BACK)
        _step(row, A.WAIT_ON)
        ended += 1
    over = WaitlistEntry.objects.select_for_update(no_key=True).filter(state=S.WAITING.value, until__lte=now)
    for entry in over.order_by("pk")[:BATCH]:
        _step(entry, A.EXPIRE)
        ended += 1
    return ended
