"""Endpoints of a lab's own calendars: look, import, subscribe, list, poll, remove."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Annotated, Any, Final

from django.utils import timezone
from ninja import File, Form, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.wire import ActorRequest, Flag, Line, Number, PeriodOut, StrictIn, problems, span
from scheduler.calendars import access, polling, queries, services
from scheduler.calendars.models import CalendarImport, ExternalCalendar
from scheduler.resources import access as resources
from scheduler.resources.models import Resource

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
    """A calendar that blocks the instrument. `id` is what polling and removing it ask for.

    `host`: the server a subscribed one lies on ("" for an uploaded one; the whole address is never told). `checked_at`:
    when it last gave a good answer. `stale_since` and `problem` (a code): since when and why it does not.
    """

    id: int
    name: str
    imported_at: datetime
    imported_by: str
    host: str
    checked_at: datetime | None
    stale_since: datetime | None
    problem: str
    failures: int
    blocks: list[BusyOut]
    conflicts: list[ConflictOut]


class SubscriptionIn(StrictIn):
    """A calendar at an address: https, http or webcal, reachable by everybody."""

    name: Name
    url: Annotated[Line, Field(min_length=1, max_length=2000)]


class PollIn(StrictIn):
    """`accept_empty`: take a calendar without a single event for what it is, and free its time."""

    accept_empty: Flag = False


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
    return _looked(name, found)


def _looked(name: str, found: queries.Preview) -> dict[str, Any]:
    return {
        "name": name,
        "replaces": found.replaces.imported_at if found.replaces else None,
        "events": found.report.events,
        "anew": _rows(found.anew),
        "freed": _rows(found.freed),
        "kept": _rows(found.kept),
        "conflicts": _met(found.conflicts),
        "skipped": [{"summary": row.summary, "reason": row.reason} for row in found.report.skipped],
    }


@router.post("/{number}/calendars/subscription/preview", response={200: PreviewOut, **problems(404)})
def preview_subscription(request: ActorRequest, number: Number, payload: SubscriptionIn) -> Any:
    """Fetch a calendar and say what subscribing to it would block, free and leave. Writes nothing."""
    _reading, found = _look(request, number, payload)
    return _looked(payload.name, found)


@router.post("/{number}/calendars/subscription", response={201: ImportOut, **problems(404)})
def subscribe(request: ActorRequest, number: Number, payload: SubscriptionIn) -> Status[dict[str, Any]]:
    """Let a calendar at an address block the instrument, now and whenever it changes; the same name is replaced.

    A calendar that cannot be fetched or read changes nothing.
    """
    reading, _found = _look(request, number, payload)
    made = polling.subscribe(
        actor=request.actor,
        resource=resources.get_own_instrument(request.actor, number),
        name=payload.name,
        reading=reading,
        now=timezone.now(),
    )
    return Status(201, _imported(made))


def _look(request: ActorRequest, number: str, payload: SubscriptionIn) -> tuple[polling.Reading, queries.Preview]:
    return polling.look(
        actor=request.actor,
        resource=resources.get_own_instrument(request.actor, number),
        name=payload.name,
        url=payload.url,
        now=timezone.now(),
    )


@router.post("/{number}/calendars/{calendar_id}/poll", response={200: CalendarOut, **problems(404, 409)})
def poll(request: ActorRequest, number: Number, calendar_id: CalendarId, payload: PollIn) -> dict[str, Any]:
    """Ask a subscribed calendar's address now. 409 within a minute of the last time.

    Whether that went well, the answer says: `problem` is empty, or why the last good reading stays.
    """
    resource, now = resources.get_own_instrument(request.actor, number), timezone.now()
    calendar = polling.poll_now(
        actor=request.actor,
        calendar=access.get_calendar(resource, calendar_id),
        accept_empty=payload.accept_empty,
        now=now,
    )
    return _calendars(resource, [calendar], now=now)[0]


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
    return _calendars(resource, access.calendars_of(resource), now=timezone.now())


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


def _calendars(resource: Resource, rows: Iterable[ExternalCalendar], *, now: datetime) -> list[dict[str, Any]]:
    blocks, conflicts = queries.blocks_of(resource, now=now), queries.conflicts_of(resource, now=now)
    return [
        {
            **{name: getattr(row, name) for name in ("name", "imported_at", "imported_by", "checked_at")},
            **{name: getattr(row, name) for name in ("stale_since", "problem", "failures")},
            "id": row.pk,
            "host": polling.host_of(row.url),
            "blocks": _rows(blocks.get(row.pk, [])),
            "conflicts": _met(conflicts.get(row.pk, [])),
        }
        for row in rows
    ]


def _met(conflicts: Iterable[queries.Conflict]) -> list[dict[str, Any]]:
    return [{"booking": row.number, **span(row.period)} for row in conflicts]


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
