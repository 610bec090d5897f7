"""Endpoints of the review before an instrument is published."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.http import explain_reason
from portal.http import fill as filled
from portal.kernel.actors import Permission
from portal.wire import ActorRequest, Block, Cursor, Number, PageOut, ReasonOut, StrictIn, paged, problems
from scheduler.catalogue import admitting
from scheduler.catalogue.access import admissions_of
from scheduler.catalogue.checklist import Finding, Found
from scheduler.resources import access, reviewing
from scheduler.resources.api import InstrumentOut, shown
from scheduler.resources.models import Resource
from scheduler.resources.rules import PublishState

router = Router(tags=["instruments"])


class FindingOut(Schema):
    """One line of the checklist: in order, for the officer to judge, or missing."""

    title: str
    found: Found
    reason: ReasonOut


class AdmissionOut(Schema):
    """One proposal and what became of it; `outcome` is empty while it is open."""

    proposed_at: datetime
    outcome: str
    decided_at: datetime | None
    note: str


class ReviewOut(Schema):
    """Where an instrument stands on its way into the catalogue."""

    number: str
    state: PublishState
    needs_review: bool
    findings: list[FindingOut]
    admissions: list[AdmissionOut]


class AdmitIn(StrictIn):
    """What the officer notes for the record."""

    note: Annotated[Block, Field(max_length=1000)] = ""


class ReturnInstrumentIn(StrictIn):
    """Why the instrument goes back to its lab."""

    reasons: Annotated[Block, Field(min_length=10, max_length=1000)]


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "title": filled(finding.title, {}),
        "found": finding.found,
        "reason": explain_reason(finding.reason),
    }


def _review(resource: Resource) -> dict[str, Any]:
    names = ("proposed_at", "outcome", "decided_at", "note")
    return {
        "number": resource.number,
        "state": resource.state,
        "needs_review": reviewing.needs_review(resource.owner.facts),
        "findings": [_finding(finding) for finding in admitting.findings(resource, now=timezone.now())],
        "admissions": [{name: getattr(row, name) for name in names} for row in admissions_of(resource)],
    }


def _reviewed(request: ActorRequest, number: str) -> Resource:
    if request.actor.may(Permission.INSTRUMENT_ADMIT):
        return access.get_proposed(request.actor, number)
    return access.get_own_instrument(request.actor, number)


@router.get("/proposals", response={200: PageOut[InstrumentOut], **problems()})
def list_proposals(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the instruments that wait for review, as the platform's officer."""
    return paged(access.proposed_instruments(request.actor), wanted, lambda resource: shown(resource, None))


@router.get("/{number}/review", response={200: ReviewOut, **problems(404)})
def get_review(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return the checklist of an instrument and its proposals, to its lab, or to the officer while it is proposed."""
    return _review(_reviewed(request, number))


@router.post("/{number}/propose", response={200: ReviewOut, **problems(404, 409)})
def propose(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Propose a draft for review, as its lab. 409 names everything that is missing."""
    resource = access.get_own_instrument(request.actor, number)
    admitting.propose(actor=request.actor, resource=resource, now=timezone.now())
    return _review(access.get_own_instrument(request.actor, number))


@router.post("/{number}/recall", response={200: ReviewOut, **problems(404, 409)})
def recall(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take a proposal back, as its lab; the instrument is a draft again."""
    resource = access.get_own_instrument(request.actor, number)
    admitting.recall(actor=request.actor, resource=resource, now=timezone.now())
    return _review(access.get_own_instrument(request.actor, number))


@router.post("/{number}/admit", response={200: ReviewOut, **problems(404, 409)})
def admit(request: ActorRequest, number: Number, payload: AdmitIn) -> dict[str, Any]:
    """Admit a proposed instrument, as the platform's officer: it is published at once."""
    resource = access.get_proposed(request.actor, number)
    return _review(admitting.admit(actor=request.actor, resource=resource, note=payload.note, now=timezone.now()))


@router.post("/{number}/return", response={200: ReviewOut, **problems(404, 409)})
def give_back(request: ActorRequest, number: Number, payload: ReturnInstrumentIn) -> dict[str, Any]:
    """Return a proposed instrument to its lab, as the platform's officer, with reasons."""
    resource = access.get_proposed(request.actor, number)
    return _review(
        admitting.give_back(actor=request.actor, resource=resource, reasons=payload.reasons, now=timezone.now())
    )
