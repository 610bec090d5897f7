"""Exchange the times of two bookings by consent: proposed to whoever holds a time, without learning who; both move or none.

Neither side is told anything of the other but the time: not who, not what for, not what is paid. What is done to one
side's booking on the other side's word is signed by the portal, so that no record names the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from django.db import transaction
from django.db.models import Q, QuerySet

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Reason, Refused
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from scheduler.availability import claiming
from scheduler.bookings import bundles, lapsing, moving, occupying, queries, rules, steps, swap_rules, swap_telling
from scheduler.bookings.bundles import Wanted
from scheduler.bookings.models import Booking
from scheduler.bookings.prepaid import short
from scheduler.bookings.retrying import patiently
from scheduler.bookings.swap_models import Swap
from scheduler.messages.rules import MessageKind
from scheduler.resources.models import Resource
from vouchers.charges import services as charges

__all__ = ["Offer", "accept", "answer", "lapse_due", "look", "partners", "propose", "side_of", "twins_of", "weigh"]

PORTAL = Actor.system("交换时段")
AWAITED = swap_rules.SwapState.PROPOSED.value


@dataclass(frozen=True, slots=True)
class Offer:
    """What exchanging would come to for one side: its new time, the price and who pays, or why it cannot be."""

    resource: Resource
    period: Period
    quote: queries.Quote | None
    reasons: Sequence[Reason]

    @property
    def price(self) -> Money:
        return self.quote.price.amount if self.quote is not None else Money(0)

    @property
    def voucher(self) -> Money:
        return self.quote.split.voucher if self.quote is not None else Money(0)


class _Impossible(Exception):
    """One side cannot have the other's time: whose reasons they are."""

    def __init__(self, whose: Booking, reasons: Sequence[Reason]) -> None:
        self.whose, self.reasons = whose, tuple(reasons)
        super().__init__(whose.number)


def twins_of(resource: Resource) -> list[Resource]:
    """Return the instrument and those of its lab like it: same category, maker and model, in the same zone. One query."""
    facts = getattr(resource, "instrument", None)
    if facts is None or not facts.model:
        return [resource]
    return [
        resource,
        *Resource.objects.filter(
            owner_id=resource.owner_id,
            zone=resource.zone,
            instrument__category=facts.category,
            instrument__model=facts.model,
            instrument__manufacturer=facts.manufacturer,
        )
        .exclude(pk=resource.pk)
        .order_by("number"),
    ]


def partners(booking: Booking, *, now: datetime) -> list[Booking]:
    """Return whose times may be asked for, nearest first, at most 60. Callers tell of them no more than the time."""
    found = Booking.objects.filter(
        resource__in=twins_of(booking.resource),
        state=rules.BookingState.CONFIRMED.value,
        starts_at__gt=now,
    ).exclude(organisation_id=booking.organisation_id)
    near = sorted(found.select_related("resource"), key=lambda one: abs(one.starts_at - booking.starts_at))
    return near[:60]


def _find(booking: Booking, resource: Resource, *, at: datetime, now: datetime) -> Booking:
    """Return whoever holds `at`. Raises NothingToSwap."""
    known = {one.pk for one in twins_of(booking.resource)}
    other = (
        Booking.objects.filter(
            resource=resource,
            state=rules.BookingState.CONFIRMED.value,
            starts_at__lte=at,
            ends_at__gt=at,
            starts_at__gt=now,
        )
        .exclude(organisation_id=booking.organisation_id)
        .order_by("pk")
        .first()
    )
    if resource.pk not in known or other is None:
        raise swap_rules.NothingToSwap(field="at")
    return other


def _swappable(booking: Booking, *, now: datetime) -> bool:
    return booking.state == rules.BookingState.CONFIRMED.value and booking.starts_at > now


def _mine(actor: Actor, booking: Booking, *, now: datetime) -> None:
    actor.require(Permission.BOOKING_REQUEST)
    if booking.organisation_id != actor.organisation_id:
        raise Forbidden
    if not _swappable(booking, now=now):
        raise swap_rules.NotSwappable


def _at(booking: Booking, place: Booking) -> Wanted:
    """Return what `booking` asks for, where `place` is now."""
    return replace(moving.wanted_at(booking, Period(place.starts_at, place.ends_at)), resource=place.resource)


def _locked(one: Booking, other: Booking, *, now: datetime) -> tuple[Booking, Booking]:
    """Return both bookings under lock, with everything they occupy and would occupy, lowest id first."""
    ids = occupying.resources_of([one, other])
    ids |= {*bundles.needed(_at(one, other))[2], *bundles.needed(_at(other, one))[2]}
    lapsing.release_lapsed(resource_ids=ids, now=now)
    rows = (
        Booking.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "operator", "charge")
        .filter(pk__in=[one.pk, other.pk])
        .order_by("pk")
    )
    found = {row.pk: row for row in rows}
    return found[one.pk], found[other.pk]


def _exchange(one: Booking, other: Booking, *, by: Actor, now: datetime) -> tuple[queries.Quote, queries.Quote]:
    """Let two locked bookings change places with all they hold; `by` acts for `other`. Raises _Impossible, NoRate."""
    wanted = (_at(one, other), _at(other, one))
    was = [Period(booking.starts_at, booking.ends_at) for booking in (one, other)]
    for booking, actor in ((one, PORTAL), (other, by)):
        occupying.vacate(booking)
        charges.release(charge_id=steps.charge_of(booking), reason="replaced", actor=actor, now=now, keeps_advance=True)
    quotes = []
    for booking, asked, actor, old in ((one, wanted[0], PORTAL, was[0]), (other, wanted[1], by, was[1])):
        who = {"organisation_id": booking.organisation_id, "user_id": booking.booked_by_id}
        quote = queries.quote(asked, **who, now=now)
        # Both asked for their times when they booked: how long before is behind them.
        reasons = [reason for reason in quote.reasons if reason.code != "booking.lead"]
        reasons += [swap_rules.NEEDS_APPROVAL] if quote.needs_approval else []
        reasons += short(booking, own=quote.split.own)
        if reasons:
            raise _Impossible(booking, reasons)
        _settle(booking, replace(quote, reasons=()), actor=actor, was=old, now=now)
        quotes.append(quote)
    return quotes[0], quotes[1]


def _settle(booking: Booking, quote: queries.Quote, *, actor: Actor, was: Period, now: datetime) -> None:
    """Put a booking that holds nothing where its quote says, paid as the quote says; the lab's word stands."""
    wanted = quote.bundle.wanted
    booking.resource = wanted.resource
    booking.starts_at, booking.ends_at, booking.updated_at = wanted.period.start, wanted.period.end, now
    booking.operator = quote.bundle.operator
    booking.setup_s, booking.cleanup_s = wanted.resource.setup_s, wanted.resource.cleanup_s
    try:
        with transaction.atomic():
            occupying.occupy(booking, quote.bundle)
    except claiming.Taken:
        raise _Impossible(booking, [queries.TAKEN]) from None
    booking.charge = charges.hold_again(
        charge_id=steps.charge_of(booking),
        price=quote.price.amount,
        quote=quote.price.as_json(),
        ends_at=wanted.period.end,
        actor=actor,
        now=now,
    )
    moving.save(booking, now=now)
    moving.record(booking, action="booking.swapped", actor=actor, now=now, was=was)


def _tried(one: Booking, other: Booking, *, viewer: Booking, now: datetime) -> Offer:
    """Say what exchanging would come to for `viewer`'s side. Everything is rolled back."""
    place = other if viewer.pk == one.pk else one
    quote: queries.Quote | None = None
    reasons: list[Reason] = []
    with transaction.atomic():
        first, second = _locked(one, other, now=now)
        if not (_swappable(first, now=now) and _swappable(second, now=now)):
            raise swap_rules.SwapOver
        try:
            quotes = _exchange(first, second, by=PORTAL, now=now)
            quote = quotes[0] if viewer.pk == one.pk else quotes[1]
        except _Impossible as error:
            reasons = list(error.reasons) if error.whose.pk == viewer.pk else [swap_rules.OTHER_SIDE]
        transaction.set_rollback(True)
    return Offer(place.resource, Period(place.starts_at, place.ends_at), quote, reasons)


def look(*, actor: Actor, booking: Booking, resource: Resource, at: datetime, now: datetime) -> Offer:
    """Say what exchanging `booking` for whoever's time holds `at` on `resource` would come to. Nothing is changed.

    Raises NothingToSwap, NotSwappable, NoRate, Forbidden.
    """
    _mine(actor, booking, now=now)
    return _tried(booking, _find(booking, resource, at=at, now=now), viewer=booking, now=now)


def weigh(*, actor: Actor, swap: Swap, now: datetime) -> Offer:
    """Say what a proposal that waits would come to for the actor's side. Raises SwapOver, NoRate."""
    mine = side_of(swap, actor)
    if not _is_current(swap, now=now):
        raise swap_rules.SwapOver
    return _tried(swap.asked, swap.other, viewer=mine, now=now)


def side_of(swap: Swap, actor: Actor) -> Booking:
    """Return the actor's own booking of the two. Raises Forbidden."""
    for booking in (swap.asked, swap.other):
        if booking.organisation_id == actor.organisation_id:
            return booking
    raise Forbidden


@patiently
@transaction.atomic
def propose(
    *, actor: Actor, booking: Booking, resource: Resource, at: datetime, price: Money, now: datetime, key: str
) -> Swap:
    """Propose to whoever holds `at` to exchange times, agreeing to `price` for the new one. Nothing moves yet.

    Idempotent on (organisation, `key`). Raises SwapPrice where that is not the price, Refused with one's own reasons or
    that the other side cannot; SwapOpen, NothingToSwap, NotSwappable, NoRate, KeyReused, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    print_ = idempotency.fingerprint({"booking": booking.number, "on": resource.number, "at": at, "price": price.fen})
    before = Swap.objects.filter(organisation_id=actor.acting_for, key=key)
    if existing := before.first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    _mine(actor, booking, now=now)
    booking, other = _locked(booking, _find(booking, resource, at=at, now=now), now=now)
    if existing := before.first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    offer = _tried(booking, other, viewer=booking, now=now)
    if offer.reasons:
        raise Refused(offer.reasons)
    if offer.price != price:
        raise swap_rules.SwapPrice(field="price", price=str(offer.price))
    waiting = Swap.objects.filter(asked=booking, state=AWAITED)
    if waiting.filter(expires_at__gt=now).exists():
        raise swap_rules.SwapOpen
    _lapse(waiting, now=now)
    made = Swap.objects.create(
        number=next_number(prefix="T", now=now),
        organisation_id=actor.acting_for,
        asked=booking,
        other=other,
        asked_resource=booking.resource,
        other_resource=other.resource,
        asked_starts_at=booking.starts_at,
        asked_ends_at=booking.ends_at,
        other_starts_at=other.starts_at,
        other_ends_at=other.ends_at,
        price_fen=price.fen,
        expires_at=swap_rules.lasts_until(now, starts=[booking.starts_at, other.starts_at]),
        key=key,
        fingerprint=print_,
        created_at=now,
    )
    _told(made, action="swap.proposed", asked=actor, other=PORTAL, now=now)
    swap_telling.tell(made, other, MessageKind.SWAP_PROPOSED, now=now)
    return made


def _told(swap: Swap, *, action: str, asked: Actor, other: Actor, now: datetime) -> None:
    """Record on both bookings what became of a proposal, each without the other's name."""
    for booking, actor in ((swap.asked, asked), (swap.other, other)):
        audit.record(
            action=action,
            subject=f"booking:{booking.number}",
            actor=actor,
            now=now,
            organisations=[booking.organisation_id, booking.resource.owner_id],
            data={"swap": swap.number},
        )


def _is_current(swap: Swap, *, now: datetime) -> bool:
    """Say whether a proposal may still be accepted: it waits, and neither booking has changed since."""
    asked, other = swap.asked, swap.other
    return (
        swap.state == AWAITED
        and now < swap.expires_at
        and _swappable(asked, now=now)
        and _swappable(other, now=now)
        and (asked.resource_id, asked.starts_at, asked.ends_at)
        == (swap.asked_resource_id, swap.asked_starts_at, swap.asked_ends_at)
        and (other.resource_id, other.starts_at, other.ends_at)
        == (swap.other_resource_id, swap.other_starts_at, swap.other_ends_at)
    )


def _locked_swap(swap: Swap) -> Swap:
    return Swap.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=swap.pk)


@patiently
@transaction.atomic
def accept(*, actor: Actor, swap: Swap, price: Money, now: datetime) -> Swap:
    """Accept, as the one asked, at `price` for the new time: both bookings change places in one transaction, or none does.

    Numbers and calendar identities stay, `sequence` rises; each is priced anew, paid by its own vouchers, and stays
    confirmed. Repeating changes nothing. Raises SwapOver where the proposal has ended or a booking has changed, or the
    proposer would pay more than agreed; SwapPrice, Refused, NoRate, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    if swap.other.organisation_id != actor.organisation_id:
        raise Forbidden
    one, other = _locked(swap.asked, swap.other, now=now)
    locked = _locked_swap(swap)
    if locked.state == swap_rules.SwapState.ACCEPTED.value:
        return locked
    locked.asked, locked.other = one, other
    if not _is_current(locked, now=now):
        raise swap_rules.SwapOver
    try:
        first, second = _exchange(one, other, by=actor, now=now)
    except _Impossible as error:
        theirs = error.whose.pk == one.pk
        raise Refused([swap_rules.OTHER_SIDE] if theirs else error.reasons) from None
    if second.price.amount != price:
        raise swap_rules.SwapPrice(field="price", price=str(second.price.amount))
    if first.price.amount.fen > locked.price_fen:
        raise swap_rules.SwapOver
    _move(locked, swap_rules.SwapAction.ACCEPT, now=now)
    swap_telling.tell(locked, one, MessageKind.SWAP_ACCEPTED, now=now)
    return locked


def _move(swap: Swap, action: swap_rules.SwapAction, *, now: datetime) -> None:
    swap.state = next_state(swap_rules.TRANSITIONS, swap_rules.SwapState(swap.state), action).value
    swap.decided_at = now
    swap.save(update_fields=["state", "decided_at"])


@transaction.atomic
def answer(*, actor: Actor, swap: Swap, now: datetime) -> Swap:
    """End a proposal without exchanging: declined by the one asked, withdrawn by the one who asked.

    Raises InvalidTransition where it has ended already, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    locked = _locked_swap(swap)
    asked = locked.asked.organisation_id == actor.organisation_id
    if not asked and locked.other.organisation_id != actor.organisation_id:
        raise Forbidden
    _move(locked, swap_rules.SwapAction.WITHDRAW if asked else swap_rules.SwapAction.DECLINE, now=now)
    signed = (actor, PORTAL) if asked else (PORTAL, actor)
    _told(locked, action=f"swap.{locked.state}", asked=signed[0], other=signed[1], now=now)
    whom, kind = (locked.other, MessageKind.SWAP_WITHDRAWN) if asked else (locked.asked, MessageKind.SWAP_DECLINED)
    swap_telling.tell(locked, whom, kind, now=now)
    return locked


@transaction.atomic
def lapse_due(*, now: datetime) -> int:
    """End what nobody answered in time, and what waits for bookings that are over; returns how many. Run by the clock."""
    confirmed = rules.BookingState.CONFIRMED.value
    over = Q(expires_at__lte=now) | ~Q(asked__state=confirmed) | ~Q(other__state=confirmed)
    return _lapse(Swap.objects.filter(over, state=AWAITED), now=now)


def _lapse(waiting: QuerySet[Swap], *, now: datetime) -> int:
    rows = list(waiting.select_for_update(no_key=True, of=("self",)).order_by("pk")[:200])
    for swap in rows:
        _move(swap, swap_rules.SwapAction.LAPSE, now=now)
        _told(swap, action="swap.lapsed", asked=PORTAL, other=PORTAL, now=now)
        for booking in (swap.asked, swap.other):
            swap_telling.tell(swap, booking, MessageKind.SWAP_LAPSED, now=now)
    return len(rows)
