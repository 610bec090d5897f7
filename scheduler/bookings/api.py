"""Endpoints of bookings."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.http import explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.period import Period
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    IdempotencyKey,
    Line,
    Moment,
    MoneyOut,
    Number,
    PageOut,
    PeriodIn,
    PeriodOut,
    ReasonOut,
    StrictIn,
    key_from,
    money,
    paged,
    problems,
    span,
)
from scheduler.bookings import access, bundles, fees, holding, operators, queries, services
from scheduler.bookings.models import Booking
from scheduler.bookings.prepay_api import AdvanceOut, advance_out, pay_out
from scheduler.bookings.rules import BookingState, state_at
from scheduler.quotas.api import LimitOut, standing_out
from scheduler.resources import access as resources
from scheduler.resources.models import Resource
from scheduler.resources.rules import Unit
from vouchers.charges.api import ChargeOut, charged
from vouchers.payments.rules import Collect
from vouchers.wallets import access as wallet

router = Router(tags=["bookings"])


class NeedsIn(StrictIn):
    """An instrument and all that is asked for besides the time.

    `voucher` is short for one of `vouchers`; none pays everything oneself. `places` where places are counted. `operator`
    is the number of a member of the lab's staff, or ``any`` for whoever of the qualified is free; without it the
    enterprise runs the instrument itself. `configuration` is the lab's short code: uses of one organisation in one follow
    without changeover. `by_transfer`: an advance comes by bank transfer, for which the booking is held longer.
    """

    instrument: Number
    voucher: Number | None = None
    vouchers: Annotated[list[Number], Field(max_length=10)] = []
    places: Annotated[int, Field(ge=1, le=1000)] = 1
    operator: Annotated[Line, Field(max_length=24)] | None = None
    configuration: Annotated[Line, Field(max_length=40)] = ""
    by_transfer: bool = False

    def wanted_at(self, actor: Actor, period: Period, *, title: str = "") -> bundles.Wanted:
        """Return what is asked for, at `period`. Raises NotFound at what the actor may not see."""
        return self.wanted_of(actor, resources.get_bare(actor, self.instrument), period, title=title)

    def wanted_of(self, actor: Actor, resource: Resource, period: Period, *, title: str = "") -> bundles.Wanted:
        """Return what is asked for of an instrument already reached. Raises NotFound."""
        operator: Any = self.operator or None
        if operator is not None and operator != bundles.ANYBODY:
            operator = operators.get_operator(resource, operator)
        return bundles.Wanted(
            resource=resource,
            period=period,
            title=title,
            vouchers=self.paying(actor),
            units=self.places,
            configuration=self.configuration,
            operator=operator,
            by_transfer=self.by_transfer,
        )

    def paying(self, actor: Actor) -> list[Any]:
        """Return the vouchers to pay with. Raises NotFound."""
        numbers = [*([self.voucher] if self.voucher else []), *self.vouchers]
        return wallet.get_vouchers(actor, numbers)


class QuoteIn(NeedsIn, PeriodIn):
    """Time on an instrument, and the vouchers to pay with."""

    def wanted(self, actor: Actor, *, title: str = "") -> bundles.Wanted:
        """Return what is asked for. Raises NotFound at what the actor may not see, BadPeriod."""
        return self.wanted_at(actor, self.value(), title=title)


class BookingIn(QuoteIn):
    """`title` says what for; only the booking organisation and the lab read it."""

    title: Annotated[Line, Field(max_length=120)]


class QuoteOut(Schema):
    """What a booking would cost and who would pay. Nothing is held; with `reasons`, it cannot be.

    `blocked` includes set-up and clean-up. Cancelled later than `free_cancel_hours` before its start, a booking costs
    `late_cancel_percent` of its price, less what of the time others book. `alternatives` are free, as long, and near what was asked.
    `limits` tell where it would bring the organisation against the lab's limits; beyond some, the lab decides. With
    `pay_by` the own share is paid in advance: the booking is held until then.
    """

    bookable: bool
    price: MoneyOut
    unit: Unit
    unit_price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    blocked: PeriodOut
    free_cancel_hours: int
    late_cancel_percent: int
    collect: Collect
    pay_by: datetime | None
    reasons: list[ReasonOut]
    alternatives: list[PeriodOut]
    limits: list[LimitOut]


class BookedInstrumentOut(Schema):
    """The instrument of a booking."""

    number: str
    name: str
    name_en: str
    zone: str
    owner: str


class SessionOut(Schema):
    """The actual use."""

    started_at: datetime
    ended_at: datetime | None


class AttendantOut(Schema):
    """Who of the lab runs the instrument."""

    number: str
    name: str


class BookingOut(Schema):
    """One booking, its money and its use. `late_fee` is what giving it up now would cost at most.

    A ``held`` one is kept until `hold_until`; then it blocks nobody. `advance` is what is to be paid for it before.
    """

    number: str
    instrument: BookedInstrumentOut
    organisation: str
    title: str
    starts_at: datetime
    ends_at: datetime
    places: int
    configuration: str
    operator: AttendantOut | None
    state: BookingState
    state_label: str
    hold_until: datetime | None
    collect: Collect
    advance: AdvanceOut | None
    note: str
    charge: ChargeOut | None
    late_fee: MoneyOut
    session: SessionOut | None
    created_at: datetime


class NoteIn(StrictIn):
    """Why; the booking organisation reads it."""

    note: Annotated[Block, Field(max_length=200)]


class StartIn(StrictIn):
    """When use began; now, if not said."""

    started_at: Moment | None = None


class FinishIn(StrictIn):
    """When use ended; now, if not said."""

    ended_at: Moment | None = None


class BookingFilter(Cursor):
    """``?state=requested`` is the lab's queue; `instrument` is a number."""

    state: BookingState | None = None
    instrument: Annotated[Line, Field(max_length=60)] = ""


def shown(request: ActorRequest, booking: Booking) -> dict[str, Any]:
    """Return a booking as the API tells it."""
    resource, operator, session = booking.resource, booking.operator, getattr(booking, "session", None)
    now = timezone.now()
    state = state_at(BookingState(booking.state), booking.hold_until, now=now)
    return {
        "number": booking.number,
        "instrument": {
            "number": resource.number,
            "name": resource.name,
            "name_en": resource.name_en,
            "zone": resource.zone,
            "owner": resource.owner.name,
        },
        "organisation": booking.organisation.name,
        "title": booking.title,
        "starts_at": booking.starts_at,
        "ends_at": booking.ends_at,
        "places": booking.units,
        "configuration": booking.configuration,
        "operator": operator and {"number": operator.number, "name": operator.name},
        "state": state,
        "state_label": str(Booking.State(state.value).label),
        "hold_until": booking.hold_until,
        "collect": booking.collect,
        "advance": advance_out(booking),
        "note": booking.decision_note,
        "charge": charged(booking.charge, actor=request.actor),
        "late_fee": money(fees.due(booking, now=now)),
        "session": {"started_at": session.started_at, "ended_at": session.ended_at} if session else None,
        "created_at": booking.created_at,
    }


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    return shown(request, access.get_booking(request.actor, number))


@router.post("/quote", response={200: QuoteOut, **problems(404, 409)})
def quote(request: ActorRequest, payload: QuoteIn) -> dict[str, Any]:
    """Price a booking and say every reason against it. A look, not a promise: nothing is held."""
    actor, now = request.actor, timezone.now()
    actor.require(Permission.BOOKING_REQUEST)
    wanted = payload.wanted(actor)
    found = queries.quote(wanted, organisation_id=actor.organisation_id, user_id=actor.user_id, now=now)
    near = queries.elsewhere(found, now=now) if found.reasons else []
    agreed = fees.agreed(found.bundle.terms)
    return {
        "bookable": not found.reasons,
        "price": money(found.price.amount),
        "unit": found.price.unit,
        "unit_price": money(found.price.unit_price),
        "voucher_share": money(found.split.voucher),
        "own_share": money(found.split.own),
        "blocked": span(found.blocked),
        "free_cancel_hours": agreed["free_cancel_s"] // 3600,
        "late_cancel_percent": agreed["late_percent"],
        **pay_out(found.bundle.terms, wanted, own=found.split.own, now=now),
        "reasons": [explain_reason(reason) for reason in found.reasons],
        "alternatives": [span(free) for free in near],
        "limits": [standing_out(standing) for standing in found.standings],
    }


@router.post("", response={201: BookingOut, **problems(404, 409)})
def request_booking(request: ActorRequest, payload: BookingIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Request time on an instrument; time and price are held until the lab decides, or confirmed at once.

    Where its own share is paid in advance it is ``held`` with an `advance`, and goes on by itself once that has arrived.
    409 carries every reason and, in ``data.alternatives``, up to three periods that are free; where there are none,
    ``data.twins`` names up to three instruments like it with when they are free.
    """
    actor = request.actor
    wanted = payload.wanted(actor, title=payload.title)
    made = services.request_booking(actor=actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, _again(request, made.number))


@router.post("/hold", response={201: BookingOut, **problems(404, 409)})
def hold(request: ActorRequest, payload: BookingIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Keep time and price for ten minutes, or while money is waited for; ``place`` makes a booking of it. 409 as for a request."""
    wanted = payload.wanted(request.actor, title=payload.title)
    made = services.hold(actor=request.actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, _again(request, made.number))


@router.post("/{number}/place", response={200: BookingOut, **problems(404, 409)})
def place(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Make a booking of what is held; repeating it changes nothing.

    A hold that has lapsed is booked anew, under another number, where the time is still free at no higher price.
    """
    held = access.get_own(request.actor, number)
    placed = holding.confirm_hold(actor=request.actor, booking=held, now=timezone.now())
    return _again(request, placed.number)


@router.get("", response={200: PageOut[BookingOut], **problems()})
def list_bookings(request: ActorRequest, wanted: Query[BookingFilter]) -> dict[str, Any]:
    """List the caller's own bookings and those on its instruments."""
    rows = access.visible_to(request.actor).select_related("session")
    if wanted.state is not None:
        rows = rows.filter(access.in_state(wanted.state, now=timezone.now()))
    if wanted.instrument:
        rows = rows.filter(resource__number=wanted.instrument)
    return paged(rows, wanted, lambda booking: shown(request, booking))


@router.get("/{number}", response={200: BookingOut, **problems(404)})
def get_booking(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one booking."""
    return _again(request, number)


def _act(
    request: ActorRequest,
    number: str,
    reach: Callable[..., Booking],
    act: Callable[[Booking, datetime], object],
) -> dict[str, Any]:
    act(reach(request.actor, number), timezone.now())
    return _again(request, number)


@router.post("/{number}/cancel", response={200: BookingOut, **problems(404, 409)})
def cancel(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Cancel before use begins; time and money are free again at once, but for the booking's `late_fee`."""
    return _act(
        request,
        number,
        access.get_own,
        lambda booking, now: services.cancel(actor=request.actor, booking=booking, now=now),
    )


@router.post("/{number}/confirm", response={200: BookingOut, **problems(404, 409)})
def confirm(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Accept a request, as the lab."""
    return _act(
        request,
        number,
        access.get_served,
        lambda booking, now: services.confirm(actor=request.actor, booking=booking, now=now),
    )


@router.post("/{number}/no-show", response={200: BookingOut, **problems(404, 409)})
def miss(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Record, as the lab, that nobody came; time and money are free again at once."""
    return _act(
        request,
        number,
        access.get_served,
        lambda booking, now: services.miss(actor=request.actor, booking=booking, now=now),
    )


@router.post("/{number}/decline", response={200: BookingOut, **problems(404, 409)})
def decline(request: ActorRequest, number: Number, payload: NoteIn) -> dict[str, Any]:
    """Turn a request down, as the lab, with a reason; time and money are free again at once."""
    return _act(
        request,
        number,
        access.get_served,
        lambda booking, now: services.decline(actor=request.actor, booking=booking, note=payload.note, now=now),
    )


@router.post("/{number}/session/start", response={200: BookingOut, **problems(404, 409)})
def start_session(request: ActorRequest, number: Number, payload: StartIn) -> dict[str, Any]:
    """Record that use began: at most two hours early, never in the future."""
    return _act(
        request,
        number,
        access.get_served,
        lambda booking, now: services.start_session(
            actor=request.actor, booking=booking, started_at=payload.started_at or now, now=now
        ),
    )


@router.post("/{number}/session/finish", response={200: BookingOut, **problems(404, 409)})
def finish_session(request: ActorRequest, number: Number, payload: FinishIn) -> dict[str, Any]:
    """Record that use ended: the actual price is captured, the rest of what was held is free again."""
    return _act(
        request,
        number,
        access.get_served,
        lambda booking, now: services.finish_session(
            actor=request.actor, booking=booking, ended_at=payload.ended_at or now, now=now
        ),
    )
