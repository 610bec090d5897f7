"""Endpoints of quotes for paid beam time: the user office offers, the enterprise accepts by click."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Line,
    Moment,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    Whole,
    money,
    paged,
    problems,
)
from scheduler.beamtime import quote_access, quote_prices, quoting
from scheduler.beamtime.models import BeamQuote
from scheduler.beamtime.rules import BeamQuoteState
from scheduler.facilities import access as facilities
from scheduler.proposals.models import BeamRequest
from vouchers.wallets import access as wallet

router = Router(tags=["facilities"])

Shifts = Annotated[Whole, Field(ge=1, le=1000)]


class BeamQuoteIn(StrictIn):
    """A price for the paid request of a proposal (by its number) on a beamline in a cycle.

    By the shift or by the hour; neither: the price list of the facility.
    """

    proposal: Number
    cycle: Annotated[Line, Field(max_length=16)]
    beamline: Annotated[Line, Field(max_length=16)]
    shifts: Shifts
    shift: MoneyIn | None = None
    hour: MoneyIn | None = None
    tax_bp: Annotated[Whole, Field(ge=0, le=10_000)] = 600
    terms: Annotated[Block, Field(max_length=5000)] = ""
    valid_until: Moment


class BeamQuoteAcceptIn(StrictIn):
    """What was seen, and the vouchers that pay their share; the rest is the enterprise's own."""

    shifts: Shifts
    shift: MoneyIn
    vouchers: Annotated[list[Number], Field(max_length=20)] = []


class BeamQuoteReasonIn(StrictIn):
    """Why a quote is declined or withdrawn; the other side reads it."""

    note: Annotated[Block, Field(max_length=500)]


class BeamQuoteOut(Schema):
    """A quote. Neither title nor work of the proposal is in it."""

    id: int
    proposal: str
    organisation: str
    facility: str
    cycle: str
    beamline: str
    state: BeamQuoteState
    state_label: str
    shifts: int
    shift: MoneyOut
    price: MoneyOut
    tax_bp: int
    terms: str
    terms_sha256: str
    answer_note: str
    valid_until: datetime
    charge: str | None


def _shown(row: BeamQuote) -> dict[str, Any]:
    proposal = row.request.proposal
    return {
        "id": row.pk,
        "proposal": proposal.number,
        "organisation": proposal.organisation.name,
        "facility": proposal.facility.code,
        "cycle": row.request.cycle.code,
        "beamline": row.request.beamline.code,
        "state": row.state,
        "state_label": row.get_state_display(),
        "shifts": row.shifts,
        "shift": money(row.shift_fen),
        "price": money(quoting.price_of(row)),
        "tax_bp": row.tax_bp,
        "terms": row.terms,
        "terms_sha256": row.terms_sha256,
        "answer_note": row.answer_note,
        "valid_until": row.valid_until,
        "charge": row.charge.number if row.charge else None,
    }


@router.post("", response={201: BeamQuoteOut, **problems(404, 409)})
def offer(request: ActorRequest, payload: BeamQuoteIn) -> Status[dict[str, Any]]:
    """Quote a price for a paid request, as the user office; one quote stands at a time."""
    own = facilities.facilities_of(request.actor, Permission.FACILITY_MANAGE)
    asked = BeamRequest.objects.filter(
        proposal__number=payload.proposal,
        proposal__facility__in=own,
        cycle__code=payload.cycle,
        beamline__code=payload.beamline,
    )
    row, now = asked.select_related("beamline__facility").first(), timezone.now()
    if row is None:
        raise NotFound(field="proposal")
    said = [one.value() if one is not None else None for one in (payload.shift, payload.hour)]
    shift = quote_prices.shift_price(row.beamline, shift=said[0], hour=said[1], now=now)
    made = quoting.offer(
        actor=request.actor,
        request=row,
        said=quoting.QuoteTerms(payload.shifts, shift, payload.valid_until, payload.tax_bp, payload.terms),
        now=now,
    )
    return Status(201, _shown(quote_access.get_quote(request.actor, made.pk)))


@router.get("", response={200: PageOut[BeamQuoteOut], **problems()})
def list_beam_quotes(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the quotes made to the caller's enterprise, or by its facilities."""
    return paged(quote_access.visible_to(request.actor), wanted, _shown)


@router.get("/{number}", response={200: BeamQuoteOut, **problems(404)})
def get_beam_quote(request: ActorRequest, number: int) -> dict[str, Any]:
    """Return one quote."""
    return _shown(quote_access.get_quote(request.actor, number))


@router.post("/{number}/accept", response={200: BeamQuoteOut, **problems(404, 409)})
def accept(request: ActorRequest, number: int, payload: BeamQuoteAcceptIn) -> dict[str, Any]:
    """Accept a quote, as the enterprise: the contract. Its price is held, the shifts are allocated; again changes nothing."""
    quoting.accept(
        actor=request.actor,
        quote=quote_access.get_quote(request.actor, number),
        seen=(payload.shifts, payload.shift.value().fen),
        vouchers=wallet.get_vouchers(request.actor, payload.vouchers),
        now=timezone.now(),
    )
    return _shown(quote_access.get_quote(request.actor, number))


@router.post("/{number}/decline", response={200: BeamQuoteOut, **problems(404, 409)})
def decline(request: ActorRequest, number: int, payload: BeamQuoteReasonIn) -> dict[str, Any]:
    """Decline a quote, as the enterprise, with a reason."""
    quoting.decline(
        actor=request.actor,
        quote=quote_access.get_quote(request.actor, number),
        note=payload.note,
        now=timezone.now(),
    )
    return _shown(quote_access.get_quote(request.actor, number))


@router.post("/{number}/withdraw", response={200: BeamQuoteOut, **problems(404, 409)})
def withdraw(request: ActorRequest, number: int, payload: BeamQuoteReasonIn) -> dict[str, Any]:
    """Withdraw a quote nobody has accepted, as the user office, with a reason."""
    quoting.withdraw(
        actor=request.actor,
        quote=quote_access.get_quote(request.actor, number),
        note=payload.note,
        now=timezone.now(),
    )
    return _shown(quote_access.get_quote(request.actor, number))
