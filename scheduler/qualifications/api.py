"""Endpoints of a lab's operators and skills, of who may run its instruments themselves, and of certificates."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from django.utils import timezone
from ninja import Path, Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.errors import NotFound
from portal.organisations.models import Organisation
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Day,
    Line,
    Number,
    PageOut,
    PeriodIn,
    PeriodOut,
    StrictIn,
    paged,
    problems,
    span,
)
from scheduler.availability import deviations
from scheduler.availability import queries as availability_queries
from scheduler.availability import services as availability
from scheduler.availability.api import HoursRow
from scheduler.availability.models import Closure
from scheduler.qualifications import access, granting, services
from scheduler.qualifications.models import Calibration, Qualification
from scheduler.resources import access as resources
from scheduler.resources.models import Resource

router = Router(tags=["instruments"])
instruments = Router(tags=["instruments"])


class SkillOut(Schema):
    """An instrument the operator can run from `since` to `until`, both local days, inclusive."""

    instrument: str
    since: date | None
    until: date | None


class OperatorOut(Schema):
    """A member of the lab's staff whose hours are booked with its instruments."""

    number: str
    name: str
    city: str
    zone: str
    skills: list[SkillOut]


class OperatorIn(StrictIn):
    """Who, and where. `zone` is an IANA name."""

    name: Annotated[Line, Field(max_length=60)]
    city: Annotated[Line, Field(max_length=40)]
    zone: Annotated[Line, Field(max_length=40)] = "Asia/Shanghai"


class SkillIn(StrictIn):
    """From `since` to `until`, both local days of the instrument, inclusive."""

    since: Day
    until: Day


class WorkIn(StrictIn):
    """When the operator works: the whole weekly pattern."""

    hours: Annotated[list[HoursRow], Field(max_length=50)]


def _shown(person: Resource) -> dict[str, Any]:
    return {
        "number": person.number,
        "name": person.name,
        "city": person.city,
        "zone": person.zone,
        "skills": [
            {
                "instrument": skill.instrument.number,
                "since": skill.valid.lower,
                "until": skill.valid.upper and skill.valid.upper - timedelta(days=1),
            }
            for skill in person.skills.all()
        ],
    }


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    access.get_own_operator(request.actor, number)
    return _shown(access.own_operators(request.actor).prefetch_related("skills__instrument").get(number=number))


@router.get("", response={200: PageOut[OperatorOut], **problems()})
def list_operators(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the lab's operators and what they can run."""
    return paged(access.own_operators(request.actor).prefetch_related("skills__instrument"), wanted, _shown)


@router.post("", response={201: OperatorOut, **problems()})
def enter(request: ActorRequest, payload: OperatorIn) -> Status[dict[str, Any]]:
    """Enter an operator."""
    made = services.enter_operator(
        actor=request.actor, name=payload.name, city=payload.city, zone=payload.zone, now=timezone.now()
    )
    return Status(201, _again(request, made.number))


@router.put("/{number}/hours", response={200: OperatorOut, **problems(404)})
def set_hours(request: ActorRequest, number: Number, payload: WorkIn) -> dict[str, Any]:
    """Set when the operator works; bookings already made stay."""
    availability.set_opening_hours(
        actor=request.actor,
        resource=access.get_own_operator(request.actor, number),
        hours=[row.value() for row in payload.hours],
        now=timezone.now(),
    )
    return _again(request, number)


@router.put("/{number}/skills/{instrument}", response={200: OperatorOut, **problems(404)})
def grant(request: ActorRequest, number: Number, instrument: Number, payload: SkillIn) -> dict[str, Any]:
    """Say that the operator can run an instrument of the lab; joins what touches."""
    services.grant_skill(
        actor=request.actor,
        operator=access.get_own_operator(request.actor, number),
        instrument=resources.get_own_instrument(request.actor, instrument),
        days=services.Days(payload.since, payload.until + timedelta(days=1)),
        now=timezone.now(),
    )
    return _again(request, number)


@router.delete("/{number}/skills/{instrument}", response={200: OperatorOut, **problems(404)})
def end(request: ActorRequest, number: Number, instrument: Number) -> dict[str, Any]:
    """End the skill from today on; bookings already made stay."""
    now = timezone.now()
    person = access.get_own_operator(request.actor, number)
    services.end_skill(
        actor=request.actor,
        operator=person,
        instrument=resources.get_own_instrument(request.actor, instrument),
        on=now.astimezone(ZoneInfo(person.zone)).date(),
        now=now,
    )
    return _again(request, number)


class AbsenceIn(PeriodIn):
    """When the operator is away; `reason` is for the lab only. `accepts` names the bookings that may lose their operator."""

    reason: Annotated[Line, Field(max_length=120)] = ""
    accepts: Annotated[list[Number], Field(max_length=500)] = []


class AbsenceOut(PeriodOut):
    """Time an operator is away; `id` is what ending it asks for."""

    id: int
    reason: str


AbsenceId = Annotated[int, Path(ge=1, le=2**63 - 1)]


def _absence(row: Closure) -> dict[str, Any]:
    return {**span(availability_queries.period_of(row.during)), "id": row.pk, "reason": row.reason}


@router.get("/{number}/absences", response={200: list[AbsenceOut], **problems(404)})
def list_absences(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """List when the operator is away, soonest first; what is over is left out."""
    person = access.get_own_operator(request.actor, number)
    closures, _specials = availability_queries.deviations(person, now=timezone.now())
    return [_absence(row) for row in closures]


@router.post("/{number}/absences", response={201: AbsenceOut, **problems(404, 409)})
def enter_absence(request: ActorRequest, number: Number, payload: AbsenceIn) -> Status[dict[str, Any]]:
    """Enter leave. 409 names the bookings that would lose their operator: send their numbers in `accepts` to go on."""
    row = deviations.close(
        actor=request.actor,
        resource=access.get_own_operator(request.actor, number),
        period=payload.value(),
        reason=payload.reason,
        accepts=payload.accepts,
        now=timezone.now(),
    )
    return Status(201, {**span(payload.value()), "id": row.pk, "reason": row.reason})


@router.delete("/{number}/absences/{absence_id}", response={204: None, **problems(404)})
def end_absence(request: ActorRequest, number: Number, absence_id: AbsenceId) -> Status[None]:
    """Take leave back: the operator can be booked again."""
    person = access.get_own_operator(request.actor, number)
    deviations.lift_closure(actor=request.actor, resource=person, closure_id=absence_id, now=timezone.now())
    return Status(204, None)


class QualificationIn(StrictIn):
    """An organisation by its unified social credit code, and local days, both inclusive."""

    organisation: Annotated[Line, Field(max_length=18)]
    since: Day
    until: Day


class SuspensionIn(StrictIn):
    """Why; the organisation reads it."""

    organisation: Annotated[Line, Field(max_length=18)]
    note: Annotated[Block, Field(max_length=200)]


class CertificateIn(StrictIn):
    """A certificate of verification or calibration, in force on local days, both inclusive."""

    certificate: Annotated[Line, Field(max_length=80)]
    since: Day
    until: Day


class QualificationOut(Schema):
    """An organisation that may run the instrument itself; `suspended` says since when it may not."""

    organisation: str
    since: date
    until: date
    suspended: datetime | None
    note: str


class CertificateOut(Schema):
    """A certificate and when it is in force, both days inclusive."""

    certificate: str
    since: date
    until: date


class StandingOut(Schema):
    """Who may run an instrument themselves, and its certificates."""

    qualifications: list[QualificationOut]
    certificates: list[CertificateOut]


def _standing(request: ActorRequest, number: str) -> dict[str, Any]:
    resource = resources.get_own_instrument(request.actor, number)
    day = timedelta(days=1)
    return {
        "qualifications": [
            {
                "organisation": row.organisation.name,
                "since": row.valid.lower,
                "until": row.valid.upper - day,
                "suspended": row.suspended_at,
                "note": row.note,
            }
            for row in Qualification.objects.filter(resource=resource).select_related("organisation").order_by("pk")
        ],
        "certificates": [
            {"certificate": row.certificate, "since": row.valid.lower, "until": row.valid.upper - day}
            for row in Calibration.objects.filter(resource=resource).order_by("pk")
        ],
    }


def _organisation(code: str) -> Organisation:
    found = Organisation.objects.filter(credit_code=code).first()
    if found is None:
        raise NotFound(field="organisation")
    return found


@instruments.get("/{number}/standing", response={200: StandingOut, **problems(404)})
def standing(request: ActorRequest, number: Number) -> dict[str, Any]:
    """List who may run an instrument themselves and its certificates, as its lab."""
    return _standing(request, number)


@instruments.post("/{number}/qualifications", response={200: StandingOut, **problems(404)})
def qualify(request: ActorRequest, number: Number, payload: QualificationIn) -> dict[str, Any]:
    """Let an organisation's people run the instrument themselves; ends a suspension."""
    granting.qualify(
        actor=request.actor,
        resource=resources.get_own_instrument(request.actor, number),
        organisation=_organisation(payload.organisation),
        days=services.Days(payload.since, payload.until + timedelta(days=1)),
        now=timezone.now(),
    )
    return _standing(request, number)


@instruments.post("/{number}/qualifications/suspend", response={200: StandingOut, **problems(404, 409)})
def suspend(request: ActorRequest, number: Number, payload: SuspensionIn) -> dict[str, Any]:
    """Let them run it no more until qualified anew; bookings already made stay."""
    granting.suspend(
        actor=request.actor,
        resource=resources.get_own_instrument(request.actor, number),
        organisation=_organisation(payload.organisation),
        note=payload.note,
        now=timezone.now(),
    )
    return _standing(request, number)


@instruments.post("/{number}/certificates", response={200: StandingOut, **problems(404, 409)})
def enter_certificate(request: ActorRequest, number: Number, payload: CertificateIn) -> dict[str, Any]:
    """Enter a certificate. From the first one on, the instrument is booked only while one is in force."""
    granting.enter_certificate(
        actor=request.actor,
        resource=resources.get_own_instrument(request.actor, number),
        certificate=payload.certificate,
        days=services.Days(payload.since, payload.until + timedelta(days=1)),
        now=timezone.now(),
    )
    return _standing(request, number)
