"""Endpoints of schedules (planners) and offers (teams)."""

from __future__ import annotations

from typing import Annotated, Any

from django.utils import timezone
from django.utils.translation import gettext
from ninja import Path, Query, Router

from portal.http import explain_reason
from portal.kernel.errors import Reason
from portal.wire import (
    ActorRequest,
    Cursor,
    IdempotencyKey,
    Number,
    PageOut,
    key_from,
    paged,
    problems,
    span,
)
from scheduler.availability.queries import period_of
from scheduler.beamtime import (
    adopting,
    answering,
    arranging,
    drafts,
    moving,
    planning,
    planning_access,
    returning,
    tasks,
)
from scheduler.beamtime.models import BeamVisit, DraftPlace, ScheduleDraft
from scheduler.beamtime.planning_schemas import (
    AdoptIn,
    AllocationBackIn,
    AllocationBackOut,
    BeamOfferOut,
    FixIn,
    OfferAnswerIn,
    PlaceIn,
    PlaceSeenIn,
    ScheduleDraftIn,
    ScheduleDraftOut,
    ScheduleLookOut,
    ScheduleOut,
    SchedulePlaceOut,
    SpotIn,
    VisitMoveIn,
)

schedules = Router(tags=["beam schedules"])
drafting = Router(tags=["beam schedules"])
offers = Router(tags=["beam offers"])

Id = Annotated[int, Path(ge=1, le=2**31 - 1)]


def _draft(row: ScheduleDraft) -> dict[str, Any]:
    names = ("state", "version", "seconds", "value", "bound", "spent_ms", "lines")
    return {
        "id": row.pk,
        **{name: getattr(row, name) for name in names},
        "state_label": row.get_state_display(),
        "gap": round(planning.gap(row.value, row.bound), 4),
        "failure": row.failure,
    }


def _reasons(found: list[Reason] | tuple[Reason, ...]) -> list[Any]:
    return [explain_reason(one) for one in found]


def _place(row: DraftPlace, faults: list[Reason] | None = None) -> dict[str, Any]:
    return {
        "allocation": row.allocation_id,
        "proposal": row.allocation.request.proposal.number,
        "beamline": row.beamline.code,
        "period": span(period_of(row.during)),
        "shifts": row.allocation.shifts,
        "operator": row.operator.name if row.operator is not None else "",
        "is_fixed": row.is_fixed,
        "version": row.version,
        "faults": _reasons(faults or []),
    }


def _offer(row: BeamVisit) -> dict[str, Any]:
    proposal, facility = row.allocation.request.proposal, row.beamline.facility
    names = ("number", "shifts", "state", "offered_at", "answer_by", "answered_at", "answer_note", "version")
    return {
        **{name: getattr(row, name) for name in names},
        "state_label": row.get_state_display(),
        "proposal": proposal.number,
        "title": proposal.title,
        "facility": facility.code,
        "beamline": row.beamline.code,
        "period": span(period_of(row.during)),
        "zone": facility.zone,
        "operator": row.operator.name if row.operator is not None else "",
        "devices": [device.code for device in row.devices.all()],
    }


@schedules.get("/{number}", response={200: ScheduleOut, **problems(404)})
def get_schedule(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return the schedule of a cycle (facility and cycle: ``sls.2027-I``): shifts, beamlines, the draft with every fault, what waits, and visits that stand."""
    found = planning.board(planning_access.get_numbered(request.actor, number), now=timezone.now())
    blocks = [(row.code, one) for row in found.rows for one in row.blocks]
    return {
        "facility": found.cycle.row.facility.code,
        "cycle": found.cycle.row.code,
        "shifts": [span(one.period) for one in found.cycle.shifts],
        "lines": [
            {
                "code": row.code,
                "name": row.name,
                "open": [found.cycle.shifts[at].period.start for at in sorted(row.open)],
            }
            for row in found.rows
        ],
        "draft": _draft(found.draft) if found.draft is not None else None,
        "places": [_place(one.place, list(one.faults)) for _code, one in blocks if one.place is not None],
        "waiting": [
            {
                "allocation": one.pk,
                "proposal": one.request.proposal.number,
                "beamline": one.request.beamline.code,
                "shifts": one.shifts,
                "why": found.why.get(one.pk, ""),
            }
            for one in found.waiting
        ],
        "visits": [
            {
                "number": one.visit.number,
                "proposal": one.allocation.request.proposal.number,
                "beamline": code,
                "period": span(one.period),
                "shifts": one.shifts,
                "state": one.visit.state,
                "version": one.visit.version,
            }
            for code, one in blocks
            if one.visit is not None
        ],
    }


@schedules.post("/{number}/drafts", response={200: ScheduleDraftOut, **problems(404, 409)})
def order_draft(request: ActorRequest, number: Number, payload: ScheduleDraftIn, key: IdempotencyKey) -> dict[str, Any]:
    """Have a schedule drafted; a worker computes it. Ask for the draft to see how far it is."""
    found = planning_access.get_numbered(request.actor, number)
    made = drafts.order(
        actor=request.actor,
        cycle=found,
        seconds=payload.seconds,
        wake=tasks.wake,
        key=key_from(key),
        now=timezone.now(),
    )
    return _draft(made)


@schedules.post("/{number}/unplaced/{code}/give-back", response={200: AllocationBackOut, **problems(404, 409)})
def give_back_allocation(request: ActorRequest, number: Number, code: Id, payload: AllocationBackIn) -> dict[str, Any]:
    """Give back what cannot be placed, as planner or user office: the pool has its shifts, the request waits in reserve."""
    cycle = planning_access.get_numbered(request.actor, number)
    found = returning.get_allocation(request.actor, cycle, code)
    made = returning.give_back(actor=request.actor, allocation=found, reason=payload.reason, now=timezone.now())
    made.request.refresh_from_db(fields=["state"])
    return {
        **{name: getattr(made, name) for name in ("pool", "shifts", "ended_at")},
        "allocation": made.pk,
        "proposal": made.request.proposal.number,
        "beamline": made.request.beamline.code,
        "request_state": made.request.state,
    }


@drafting.get("/{number}", response={200: ScheduleDraftOut, **problems(404)})
def get_draft(request: ActorRequest, number: Id) -> dict[str, Any]:
    """Return a draft with its proof and how far it is."""
    return _draft(planning_access.get_draft(request.actor, number))


@drafting.post("/{number}/resolve", response={200: ScheduleDraftOut, **problems(404, 409)})
def resolve_draft(request: ActorRequest, number: Id, payload: AdoptIn) -> dict[str, Any]:
    """Have the rest placed anew around what is fixed."""
    found = planning_access.get_draft(request.actor, number)
    made = drafts.resolve(
        actor=request.actor,
        draft=found,
        version=payload.version,
        seconds=payload.seconds,
        wake=tasks.wake,
        now=timezone.now(),
    )
    return _draft(made)


@drafting.post("/{number}/discard", response={200: ScheduleDraftOut, **problems(404, 409)})
def discard_draft(request: ActorRequest, number: Id) -> dict[str, Any]:
    """Give a draft up."""
    found = planning_access.get_draft(request.actor, number)
    return _draft(drafts.discard(actor=request.actor, draft=found, now=timezone.now()))


@drafting.post("/{number}/adopt", response={200: list[BeamOfferOut], **problems(404, 409)})
def adopt_draft(request: ActorRequest, number: Id, payload: AdoptIn) -> list[dict[str, Any]]:
    """Offer every place to its team, with its claims, or none: every clash is named."""
    found = planning_access.get_draft(request.actor, number)
    made = adopting.adopt(actor=request.actor, draft=found, version=payload.version, now=timezone.now())
    return [{**_offer(row), "title": ""} for row in made]


@drafting.get("/{number}/places/{code}/look", response={200: ScheduleLookOut, **problems(404)})
def look_at_spot(request: ActorRequest, number: Id, code: Id, wanted: Query[SpotIn]) -> dict[str, Any]:
    """Say everything a move would break; nothing is written."""
    found = planning_access.get_draft(request.actor, number)
    spot = arranging.Spot(wanted.beamline, wanted.starts_at)
    return {"faults": _reasons(arranging.look(draft=found, allocation_id=code, spot=spot, now=timezone.now()))}


@drafting.post("/{number}/places/{code}", response={200: SchedulePlaceOut, **problems(404, 409)})
def put_place(request: ActorRequest, number: Id, code: Id, payload: PlaceIn) -> dict[str, Any]:
    """Put a request in a spot and fix it there; who comes second is told who was first and where it is now."""
    found = planning_access.get_draft(request.actor, number)
    made = arranging.put(
        actor=request.actor,
        draft=found,
        allocation_id=code,
        spot=arranging.Spot(payload.beamline, payload.starts_at),
        seen=payload.version,
        make_way=payload.make_way,
        now=timezone.now(),
    )
    return _place(made)


@drafting.post("/{number}/places/{code}/fix", response={200: SchedulePlaceOut, **problems(404, 409)})
def fix_place(request: ActorRequest, number: Id, code: Id, payload: FixIn) -> dict[str, Any]:
    """Fix a place, so that computing anew leaves it, or let it go."""
    found = planning_access.get_draft(request.actor, number)
    made = arranging.fix(
        actor=request.actor,
        draft=found,
        allocation_id=code,
        seen=payload.version,
        is_fixed=payload.is_fixed,
        now=timezone.now(),
    )
    return _place(made)


@drafting.post("/{number}/places/{code}/remove", response={200: ScheduleDraftOut, **problems(404, 409)})
def remove_place(request: ActorRequest, number: Id, code: Id, payload: PlaceSeenIn) -> dict[str, Any]:
    """Take a request out of the draft; it waits beside it."""
    found = planning_access.get_draft(request.actor, number)
    arranging.take_out(actor=request.actor, draft=found, allocation_id=code, seen=payload.version, now=timezone.now())
    return _draft(planning_access.get_draft(request.actor, number))


@offers.post("/{number}/move", response={200: BeamOfferOut, **problems(404, 409)})
def move_visit(request: ActorRequest, number: Number, payload: VisitMoveIn) -> dict[str, Any]:
    """Move a visit, as the planner, with a reason; its team is asked again."""
    made = moving.move(
        actor=request.actor,
        visit=planning_access.get_planned(request.actor, number),
        starts_at=payload.starts_at,
        seen=payload.version,
        reason=payload.reason,
        now=timezone.now(),
    )
    title = gettext("（不公开）") if made.allocation.request.proposal.is_confidential else None
    return {**_offer(made), **({"title": title} if title else {})}


@offers.get("", response={200: PageOut[BeamOfferOut], **problems()})
def list_offers(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the beam time offered to the caller's teams, the newest first."""
    return paged(planning_access.offers_of(request.actor), wanted, _offer)


@offers.get("/{number}", response={200: BeamOfferOut, **problems(404)})
def get_offer(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one offer to a team the caller has joined."""
    return _offer(planning_access.get_offer(request.actor, number))


@offers.post("/{number}/accept", response={200: BeamOfferOut, **problems(404, 409)})
def accept_offer(request: ActorRequest, number: Number, payload: OfferAnswerIn) -> dict[str, Any]:
    """Accept, as a member of the team; from `answer_by` on it is too late."""
    found = planning_access.get_offer(request.actor, number)
    answering.accept(actor=request.actor, visit=found, note=payload.note, now=timezone.now())
    return get_offer(request, number)


@offers.post("/{number}/decline", response={200: BeamOfferOut, **problems(404, 409)})
def decline_offer(request: ActorRequest, number: Number, payload: OfferAnswerIn) -> dict[str, Any]:
    """Decline, or give back what was accepted: the next on the reserve list is offered the time."""
    found = planning_access.get_offer(request.actor, number)
    answering.decline(actor=request.actor, visit=found, note=payload.note, now=timezone.now())
    return get_offer(request, number)
