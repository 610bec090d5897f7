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
    """Whether enterprises may run the instrument themselves; the bench needed just before each use, and for how long."""

    self_use: SelfUse = SelfUse.OPEN
    bench: Number | None = None
    bench_minutes: Annotated[Whole, Field(ge=0, le=1440)] = 0
    bench_places: Annotated[Whole, Field(ge=1, le=1000)] = 1


class TermsOut(Schema):
    """What every booking needs besides the instrument."""

    self_use: SelfUse
    bench: str | None
    bench_minutes: int
    bench_places: int


def _shown(row: BookingTerms | None) -> dict[str, Any]:
    if row is None:
        return {"self_use": SelfUse.OPEN, "bench": None, "bench_minutes": 0, "bench_places": 1}
    return {
        "self_use": row.self_use,
        "bench": row.bench and row.bench.number,
        "bench_minutes": row.bench_s // 60,
        "bench_places": row.bench_units,
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
    wanted = terms.Terms(payload.self_use, bench, payload.bench_minutes * 60, payload.bench_places)
    return _shown(terms.set_terms(actor=request.actor, resource=resource, terms=wanted, now=timezone.now()))
