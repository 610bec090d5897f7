"""Endpoints of what every booking of an instrument needs besides it, for its lab."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from portal.kernel.errors import NotFound
from portal.wire import ActorRequest, Number, StrictIn, Whole, problems
from scheduler.bookings import bundles, terms
from scheduler.bookings.models import BookingTerms
from scheduler.bookings.rules import SelfUse
from scheduler.resources import access as resources
from scheduler.resources.models import Resource

router = Router(tags=["instruments"])


class TermsIn(StrictIn):
    """Whether enterprises may run the instrument themselves; the bench needed just before each use, and for how long.

    Cancelling is free until `free_cancel_hours` before the start; later, and for absence, it costs
    `late_cancel_percent` of the price, less what of the time others book. Bookings made before keep what they agreed to.
    """

    self_use: SelfUse = SelfUse.OPEN
    bench: Number | None = None
    bench_minutes: Annotated[Whole, Field(ge=0, le=1440)] = 0
    bench_places: Annotated[Whole, Field(ge=1, le=1000)] = 1
    free_cancel_hours: Annotated[Whole, Field(ge=0, le=720)] = 0
    late_cancel_percent: Annotated[Whole, Field(ge=0, le=100)] = 0


class TermsOut(Schema):
    """What every booking needs besides the instrument."""

    self_use: SelfUse
    bench: str | None
    bench_minutes: int
    bench_places: int
    free_cancel_hours: int
    late_cancel_percent: int


def _shown(row: BookingTerms | None) -> dict[str, Any]:
    row = row or BookingTerms()
    return {
        "self_use": row.self_use,
        "bench": row.bench and row.bench.number,
        "bench_minutes": row.bench_s // 60,
        "bench_places": row.bench_units,
        "free_cancel_hours": row.free_cancel_s // 3600,
        "late_cancel_percent": row.late_percent,
    }


@router.get("/{number}/terms", response={200: TermsOut, **problems(404)})
def get_terms(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return what every booking of an instrument needs besides it."""
    return _shown(bundles.terms_of(resources.get_instrument(request.actor, number)))


@router.put("/{number}/terms", response={200: TermsOut, **problems(404)})
def set_terms(request: ActorRequest, number: Number, payload: TermsIn) -> dict[str, Any]:
    """Set it, as the lab, from now on; bookings already made stay."""
    resource = resources.get_own_instrument(request.actor, number)
    bench = None
    if payload.bench is not None:
        bench = Resource.objects.filter(number=payload.bench, owner_id=resource.owner_id).first()
        if bench is None:
            raise NotFound(field="bench")
    wanted = terms.Terms(
        payload.self_use,
        bench,
        payload.bench_minutes * 60,
        payload.bench_places,
        payload.free_cancel_hours * 3600,
        payload.late_cancel_percent,
    )
    return _shown(terms.set_terms(actor=request.actor, resource=resource, terms=wanted, now=timezone.now()))
