"""Endpoints of waiting lists: join, follow, accept or refuse; a lab reads how many wait."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any

from django.utils import timezone
from ninja import Path, Query, Router, Schema, Status
from pydantic import Field

from portal.http import explain_reason
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.wire import (
    ActorRequest,
    Cursor,
    Flag,
    Line,
    Moment,
    MoneyOut,
    Number,
    PageOut,
    ReasonOut,
    StrictIn,
    Whole,
    money,
    paged,
    problems,
)
from scheduler.bookings import access as bookings
from scheduler.bookings.api import BookingOut, shown
from scheduler.resources import access as resources
from scheduler.waitlist import access, queries, rules, services
from scheduler.waitlist.models import WaitlistEntry, WaitlistOffer
from vouchers.wallets import access as wallet

router = Router(tags=["waitlist"])
counting = Router(tags=["waitlist"])

EntryId = Annotated[int, Path(ge=1, le=2**63 - 1)]


class WaitIn(StrictIn):
    """What to wait for. `weekdays` are ISO numbers, none means any; all of the use lies in `part` of the local day.

    `twins`: an instrument of the same lab and category will do. `vouchers` pay when an offer is accepted.
    `named`: the lab may see who waits. `anywhere`: an instrument of the same category at any lab will do, in `cities` or, where
    none is named, in any city; up to thirty are looked at.
    """

    instrument: Number
    twins: Flag = False
    anywhere: Flag = False
    cities: Annotated[list[Annotated[Line, Field(max_length=40)]], Field(max_length=rules.CITIES)] = []
    duration_s: Annotated[Whole, Field(ge=60, le=60 * 86400)]
    since: Moment
    until: Moment
    weekdays: Annotated[list[Annotated[Whole, Field(ge=1, le=7)]], Field(max_length=7)] = []
    part: rules.PartOfDay = rules.PartOfDay.ANY
    attended: Flag = False
    title: Annotated[Line, Field(min_length=1, max_length=120)]
    vouchers: Annotated[list[Number], Field(max_length=10)] = []
    named: Flag = False


class TimeOfferOut(Schema):
    """Time offered; while it is ``open`` it is held until `answer_by`, exclusive. `price` is what it cost when offered."""

    instrument: str
    starts_at: datetime
    ends_at: datetime
    answer_by: datetime
    price: MoneyOut | None
    state: rules.TimeOfferState


class WaitOut(Schema):
    """One entry, its offers, the latest first; `skipped` says why time that would have fitted was not offered."""

    id: int
    instrument: str
    twins: bool
    anywhere: bool
    cities: list[str]
    duration_s: int
    since: datetime
    until: datetime
    weekdays: list[int]
    part: rules.PartOfDay
    attended: bool
    title: str
    named: bool
    state: rules.EntryState
    skipped: list[ReasonOut]
    booking: str | None
    offers: list[TimeOfferOut]


class ReceivedOut(Schema):
    """One entry that waits for an instrument of the lab. `organisation` is null unless it let itself be seen."""

    id: int
    instrument: str
    organisation: str | None
    twins: bool
    duration_s: int
    since: datetime
    until: datetime
    weekdays: list[int]
    part: rules.PartOfDay
    attended: bool
    state: rules.EntryState
    created_at: datetime


class WaitingOut(Schema):
    """How many entries wait for an instrument."""

    waiting: int


def _offer(row: WaitlistOffer) -> dict[str, Any]:
    names = ("starts_at", "ends_at", "answer_by", "state")
    price = None if row.price_fen is None else money(Money(row.price_fen))
    return {"instrument": row.resource.number, "price": price, **{name: getattr(row, name) for name in names}}


def _received(row: WaitlistEntry) -> dict[str, Any]:
    names = ("since", "until", "weekdays", "part", "attended", "state", "created_at")
    return {
        "id": row.pk,
        "instrument": row.resource.number,
        "organisation": row.organisation.name if row.named else None,
        "twins": row.takes_twins,
        "duration_s": row.length_s,
        **{name: getattr(row, name) for name in names},
    }


def _shown(row: WaitlistEntry) -> dict[str, Any]:
    names = ("anywhere", "cities", "since", "until", "weekdays", "part", "attended", "title", "named", "state")
    return {
        "id": row.pk,
        "instrument": row.resource.number,
        "twins": row.takes_twins,
        "duration_s": row.length_s,
        **{name: getattr(row, name) for name in names},
        "skipped": [explain_reason(queries.reason_of(kept)) for kept in row.skipped],
        "booking": row.booking and row.booking.number,
        "offers": [_offer(offer) for offer in row.offers.all()],
    }


@router.post("", response={201: WaitOut, **problems(404, 409)})
def join(request: ActorRequest, payload: WaitIn) -> Status[dict[str, Any]]:
    """Begin to wait; offers come in the order of waiting, each to one organisation at a time."""
    asked = services.Asked(
        resource=resources.get_instrument(request.actor, payload.instrument),
        window=Period(payload.since, payload.until),
        length=timedelta(seconds=payload.duration_s),
        title=payload.title,
        weekdays=payload.weekdays,
        part=payload.part,
        takes_twins=payload.twins,
        anywhere=payload.anywhere,
        cities=payload.cities,
        attended=payload.attended,
        vouchers=wallet.get_vouchers(request.actor, payload.vouchers),
        named=payload.named,
    )
    made = services.join(actor=request.actor, asked=asked, now=timezone.now())
    return Status(201, _shown(access.get_mine(request.actor, made.pk)))


@router.get("", response={200: PageOut[WaitOut], **problems()})
def list_waiting(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the organisation's entries, the latest first."""
    return paged(access.mine(request.actor).order_by("-pk"), wanted, _shown)


@router.get("/received", response={200: PageOut[ReceivedOut], **problems()})
def list_received(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what waits for the lab's instruments, the latest first; who it is only where they let themselves be seen."""
    return paged(access.received(request.actor), wanted, _received)


@router.post("/{entry_id}/accept", response={200: BookingOut, **problems(404, 409)})
def accept(request: ActorRequest, entry_id: EntryId) -> dict[str, Any]:
    """Book what is offered. Repeating it returns the same booking; 409 with every reason where it cannot be."""
    found = access.get_mine(request.actor, entry_id)
    made = services.accept(actor=request.actor, entry=found, now=timezone.now())
    return shown(request, bookings.get_booking(request.actor, made.number))


@router.post("/{entry_id}/refuse", response={200: WaitOut, **problems(404, 409)})
def refuse(request: ActorRequest, entry_id: EntryId) -> dict[str, Any]:
    """Pass what is offered on to the next, and wait on for other time."""
    services.refuse(actor=request.actor, entry=access.get_mine(request.actor, entry_id), now=timezone.now())
    return _shown(access.get_mine(request.actor, entry_id))


@router.post("/{entry_id}/withdraw", response={200: WaitOut, **problems(404, 409)})
def withdraw(request: ActorRequest, entry_id: EntryId) -> dict[str, Any]:
    """Stop waiting."""
    services.withdraw(actor=request.actor, entry=access.get_mine(request.actor, entry_id), now=timezone.now())
    return _shown(access.get_mine(request.actor, entry_id))


@counting.get("/{number}/waiting", response={200: WaitingOut, **problems(404)})
def waiting(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Say how many entries wait for one of the lab's instruments; who they are is not told."""
    resource = resources.get_own_instrument(request.actor, number)
    return {"waiting": access.waiting_for(request.actor, resource)}
