"""Endpoints of a lab's own calendars: look, import, list, remove."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Final

from django.utils import timezone
from ninja import File, Form, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.wire import ActorRequest, Line, Number, PeriodOut, problems, span
from scheduler.calendars import access, queries, services
from scheduler.calendars.models import CalendarImport, ExternalCalendar
from scheduler.resources import access as resources

router = Router(tags=["instruments"])

MAX_CALENDAR_BYTES: Final = 5 * 1024 * 1024
Name = Annotated[Line, Field(max_length=80)]
CalendarId = Annotated[int, Field(ge=1, le=2**63 - 1)]


class ConflictOut(Schema):
    """A booking that meets busy time of the calendar: the booking stays."""

    booking: str
    starts_at: datetime
    ends_at: datetime


class SkippedOut(Schema):
    """An event that does not block, and why, as a stable code."""

    summary: str
    reason: str


class ImportOut(Schema):
    """What an import did. `blocked` and `hours` count all the calendar blocks now, `anew` and `freed` what changed."""

    id: int
    name: str
    imported_at: datetime
    digest: str
    events: int
    blocked: int
    hours: float
    anew: int
    freed: int
    conflicts: list[ConflictOut]
    skipped: list[SkippedOut]


class BusyOut(PeriodOut):
    """A span and the events that take it, in the lab's words."""

    summary: str


class PreviewOut(Schema):
    """What importing a file would do. `replaces`: when the calendar of that name was last read; null for a new one."""

    name: str
    replaces: datetime | None
    events: int
    anew: list[BusyOut]
    freed: list[BusyOut]
    kept: list[BusyOut]
    conflicts: list[ConflictOut]
    skipped: list[SkippedOut]


class CalendarOut(Schema):
    """A calendar that blocks the instrument. `id` is what removing it asks for."""

    id: int
    name: str
    imported_at: datetime
    imported_by: str
    blocks: list[BusyOut]


@router.post("/{number}/calendars/preview", response={200: PreviewOut, **problems(404)})
def preview_calendar(request: ActorRequest, number: Number, name: Form[Name], file: File[UploadedFile]) -> Any:
    """Say what importing the file under this name would block, free and leave as it is. Writes nothing."""
    found = services.preview_calendar(
        actor=request.actor,
        resource=resources.get_own_instrument(request.actor, number),
        name=name,
        raw=file.read(MAX_CALENDAR_BYTES + 1),
        now=timezone.now(),
    )
    return {
        "name": name,
        "replaces": found.replaces.imported_at if found.replaces else None,
        "events": found.report.events,
        "anew": _rows(found.anew),
        "freed": _rows(found.freed),
        "kept": _rows(found.kept),
        "conflicts": [{"booking": row.number, **span(row.period)} for row in found.conflicts],
        "skipped": [{"summary": row.summary, "reason": row.reason} for row in found.report.skipped],
    }


@router.post("/{number}/calendars", response={201: ImportOut, **problems(404)})
def import_calendar(
    request: ActorRequest, number: Number, name: Form[Name], file: File[UploadedFile]
) -> Status[dict[str, Any]]:
    """Let a lab's own calendar (.ics, at most 5 MiB) block the instrument; the same name again replaces it.

    A refused file changes nothing.
    """
    made = services.import_calendar(
        actor=request.actor,
        resource=resources.get_own_instrument(request.actor, number),
        name=name,
        raw=file.read(MAX_CALENDAR_BYTES + 1),
        now=timezone.now(),
    )
    return Status(201, _imported(made))


@router.get("/{number}/calendars", response={200: list[CalendarOut], **problems(404)})
def list_calendars(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """List the calendars that block the instrument, and what each blocks by which event. The lab only."""
    resource = resources.get_own_instrument(request.actor, number)
    blocks = queries.blocks_of(resource, now=timezone.now())
    return [_calendar(calendar, blocks.get(calendar.pk, [])) for calendar in access.calendars_of(resource)]


@router.delete("/{number}/calendars/{calendar_id}", response={204: None, **problems(404)})
def remove_calendar(request: ActorRequest, number: Number, calendar_id: CalendarId) -> Status[None]:
    """Remove a calendar; the time it blocked is free again."""
    resource = resources.get_own_instrument(request.actor, number)
    services.remove_calendar(
        actor=request.actor, calendar=access.get_calendar(resource, calendar_id), now=timezone.now()
    )
    return Status(204, None)


def _rows(rows: Any) -> list[dict[str, Any]]:
    return [{**span(row.period), "summary": row.summary} for row in rows]


def _calendar(calendar: ExternalCalendar, blocks: list[queries.Row]) -> dict[str, Any]:
    return {
        "id": calendar.pk,
        "name": calendar.name,
        "imported_at": calendar.imported_at,
        "imported_by": calendar.imported_by,
        "blocks": _rows(blocks),
    }


def _imported(made: CalendarImport) -> dict[str, Any]:
    report = made.report
    return {
        "id": made.calendar_id,
        "name": made.calendar.name,
        "imported_at": made.at,
        "digest": made.digest,
        **{name: report[name] for name in ("events", "blocked", "hours", "anew", "freed", "skipped")},
        "conflicts": [
            {"booking": row["booking"], "starts_at": row["from"], "ends_at": row["to"]} for row in report["conflicts"]
        ],
    }
