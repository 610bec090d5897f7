"""Endpoints of benches: their code for the lab, checking in and out for who stands there."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema
from pydantic import Field

from portal.wire import ActorRequest, Line, Number, StrictIn, problems
from scheduler.benches import access, services
from scheduler.resources import access as resources

router = Router(tags=["benches"])

Code = Annotated[Line, Field(min_length=1, max_length=80)]


class BenchIn(StrictIn):
    """An instrument of one's own, by number."""

    instrument: Number


class BenchCodeOut(Schema):
    """The code that holds now; ``/bench/<code>/`` is the page its sign leads to."""

    code: str


class BenchOut(Schema):
    """How a bench stands: `busy_until` while it is in use; `booking` is one's own organisation's, if it may use it now."""

    instrument: str
    busy_until: datetime | None
    booking: str | None
    checked_in: bool


@router.post("", response={200: BenchCodeOut, **problems(404)})
def renew(request: ActorRequest, payload: BenchIn) -> dict[str, str]:
    """Make a new code for an instrument's sign, as its lab; the old one ends at once."""
    resource = resources.get_own_instrument(request.actor, payload.instrument)
    return {"code": services.renew(actor=request.actor, resource=resource, now=timezone.now())}


def _shown(request: ActorRequest, code: str) -> dict[str, Any]:
    bench = access.look(request.actor, access.get_resource(code), now=timezone.now())
    return {
        "instrument": bench.resource.number,
        "busy_until": bench.busy_until,
        "booking": bench.own.number if bench.own else None,
        "checked_in": bench.own is not None and bench.own.state == access.IN_USE,
    }


@router.get("/{code}", response={200: BenchOut, **problems(404)})
def get_bench(request: ActorRequest, code: Code) -> dict[str, Any]:
    """Say how a bench stands. Who uses it is told to nobody."""
    return _shown(request, code)


@router.post("/{code}/check-in", response={200: BenchOut, **problems(404, 409)})
def check_in(request: ActorRequest, code: Code) -> dict[str, Any]:
    """Begin the use of one's booking, standing at the bench."""
    services.check_in(actor=request.actor, code=code, now=timezone.now())
    return _shown(request, code)


@router.post("/{code}/check-out", response={200: BenchOut, **problems(404, 409)})
def check_out(request: ActorRequest, code: Code) -> dict[str, Any]:
    """End one's use, standing at the bench: what was used is settled."""
    services.check_out(actor=request.actor, code=code, now=timezone.now())
    return _shown(request, code)
