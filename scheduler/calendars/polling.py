"""Follow calendars that lie at an address: subscribe, poll, and keep the last good reading when a poll fails.

The row is the outbox: a poll that is due is claimed by moving `next_poll_at` on, then made with no transaction open, then
written down. A worker that dies in between is made up for when the claim runs out.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, Invalid, noop
from portal.kernel.period import Period
from scheduler.calendars import blocking, queries, rules, services
from scheduler.calendars.models import CalendarImport, ExternalCalendar
from scheduler.calendars.ports import (
    CalendarFetcher,
    CalendarReader,
    CalendarRefused,
    CalendarReport,
    CalendarUnreachable,
    Fetched,
)
from scheduler.calendars.queries import HORIZON, Preview
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["NotSubscribed", "PolledJustNow", "Reading", "claim_due", "look", "poll", "poll_now", "subscribe"]

_ = noop

LEASE = timedelta(minutes=10)
"""After which a poll that was begun and never ended is made again; far more than one may take."""
REREAD = timedelta(days=7)
"""After which a calendar is read whole though nothing changed: its series reach further each day."""
SHORTEST_PAUSE = timedelta(minutes=1)
AT_ONCE = 20
POLLER = Actor.system("日历同步")


class PolledJustNow(Conflict):
    code = "calendar.polled"
    message = _("一分钟内已同步过，请稍后再试。")


class NotSubscribed(Conflict):
    code = "calendar.uploaded"
    message = _("这份日历是上传的文件，没有可同步的地址。请上传新的文件。")


class Emptied(Invalid):
    """The address gave a calendar without a single event, though it had some: more likely a fault than the truth."""

    code = "calendar.emptied"


@dataclass(frozen=True, slots=True)
class Reading:
    """A calendar at an address as it was looked at: what subscribing takes over."""

    url: str
    body: bytes
    etag: str
    last_modified: str


def look(*, actor: Actor, resource: Resource, name: str, url: str, now: datetime) -> tuple[Reading, Preview]:
    """Fetch a calendar and say what subscribing to it would change. Writes nothing.

    Raises NameMissing, CalendarUnreachable, CalendarRefused. Takes up to half a minute; never call in a transaction.
    """
    services.require_own(actor=actor, resource=resource)
    if not name.strip():
        raise services.NameMissing(field="name")
    answer = _fetcher()(url)
    reading = Reading(url.strip(), answer.body or b"", answer.etag, answer.last_modified)
    report = _read(reading.body, resource, now=now)
    return reading, queries.preview(resource=resource, name=name, report=report, now=now)


def subscribe(*, actor: Actor, resource: Resource, name: str, reading: Reading, now: datetime) -> CalendarImport:
    """Let a calendar at an address block the resource, beginning with what was looked at, and poll it from now on.

    A calendar of that name, uploaded or subscribed, is replaced. Raises NameMissing, CalendarRefused.
    """
    services.require_own(actor=actor, resource=resource)
    if not name.strip():
        raise services.NameMissing(field="name")
    report = _read(reading.body, resource, now=now)
    with transaction.atomic():
        resources.lock(resource_ids=[resource.pk])
        calendar, _created = ExternalCalendar.objects.update_or_create(
            resource=resource,
            name=name.strip(),
            defaults={
                **_good(reading.etag, reading.last_modified, now=now),
                "url": reading.url,
                "digest": hashlib.sha256(reading.body).hexdigest(),
                "imported_at": now,
                "imported_by": actor.label,
            },
        )
        audit.record(
            action="calendar.subscribed",
            subject=f"instrument:{resource.number}",
            actor=actor,
            now=now,
            data={"name": calendar.name, "host": host_of(reading.url)},
        )
        return services.take_over(actor=actor, calendar=calendar, report=report, now=now)


def host_of(url: str) -> str:
    """Return the part of an address that may be shown: the rest is often a secret."""
    return urlsplit(url).hostname or ""


@transaction.atomic
def claim_due(*, now: datetime) -> list[int]:
    """Claim calendars that are due, at most 20, and return their ids; rivals get others."""
    due = (
        ExternalCalendar.objects.select_for_update(no_key=True, skip_locked=True)
        .filter(next_poll_at__lte=now)
        .order_by("pk")[:AT_ONCE]
    )
    ids = [calendar.pk for calendar in due]
    ExternalCalendar.objects.filter(pk__in=ids).update(next_poll_at=now + LEASE)
    return ids


def poll_now(
    *, actor: Actor, calendar: ExternalCalendar, accept_empty: bool = False, now: datetime
) -> ExternalCalendar:
    """Poll a calendar because its lab asks for it, and return it as it then is, good or stale.

    `accept_empty`: take a calendar without events for what it is. Raises NotSubscribed, and PolledJustNow within a minute of the last.
    """
    services.require_own(actor=actor, resource=calendar.resource)
    if not calendar.url:
        raise NotSubscribed
    began = ExternalCalendar.objects.filter(pk=calendar.pk).exclude(polled_at__gt=now - SHORTEST_PAUSE)
    if not began.update(polled_at=now, next_poll_at=now + LEASE):
        raise PolledJustNow
    poll(calendar_id=calendar.pk, actor=actor, accept_empty=accept_empty, now=now)
    calendar.refresh_from_db()
    return calendar


def poll(*, calendar_id: int, now: datetime, actor: Actor = POLLER, accept_empty: bool = False) -> None:
    """Ask a calendar's address and write down what came of it. A failure keeps the last good reading, flagged stale.

    Fetches and reads with no transaction open. A calendar that is gone, or follows another address by then, is left.
    """
    calendar = ExternalCalendar.objects.select_related("resource").filter(pk=calendar_id).exclude(url="").first()
    if calendar is None:
        return
    recent = now - calendar.imported_at < REREAD and not accept_empty
    known = {"etag": calendar.etag, "last_modified": calendar.last_modified} if recent else {}
    try:
        answer = _fetcher()(calendar.url, **known)
        report = None if answer.body is None else _read(answer.body, calendar.resource, now=now)
        if report is not None and not report.events and not report.busy and not accept_empty:
            _keep_busy(calendar, now=now)
    except (CalendarUnreachable, CalendarRefused, Emptied) as error:
        _fail(calendar, error, now=now)
        return
    _take(calendar, answer, report, actor=actor, now=now)


def _keep_busy(calendar: ExternalCalendar, *, now: datetime) -> None:
    """Raise Emptied when the calendar has taken time that is still to come."""
    if calendar.busy.filter(during__endswith__gt=now).exists():
        raise Emptied(reason="emptied", values={})


def _fetcher() -> CalendarFetcher:
    found: CalendarFetcher = import_string(settings.CALENDAR_FETCHER)
    return found


def _read(raw: bytes, resource: Resource, *, now: datetime) -> CalendarReport:
    reader: CalendarReader = import_string(settings.CALENDAR_CAPPED_READER)
    return reader(raw, zone=resource.zone, horizon=Period(now, now + HORIZON))


def _good(etag: str, last_modified: str, *, now: datetime) -> dict[str, Any]:
    return {
        "etag": etag,
        "last_modified": last_modified,
        "polled_at": now,
        "checked_at": now,
        "next_poll_at": now + rules.POLL_EVERY,
        "failures": 0,
        "stale_since": None,
        "problem": "",
        "problem_values": {},
    }


def _locked(calendar: ExternalCalendar) -> ExternalCalendar | None:
    """Lock the resource, then the calendar; None if it is gone or follows another address."""
    resources.lock(resource_ids=[calendar.resource_id])
    return (
        ExternalCalendar.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource")
        .filter(pk=calendar.pk, url=calendar.url)
        .order_by("pk")
        .first()
    )


@transaction.atomic
def _fail(calendar: ExternalCalendar, error: Invalid, *, now: datetime) -> None:
    row = _locked(calendar)
    if row is None:
        return
    row.failures += 1
    first = row.stale_since is None
    row.stale_since = row.stale_since or now
    row.polled_at = now
    row.problem = error.params["reason"]
    row.problem_values = {name: str(value)[:200] for name, value in error.params["values"].items()}
    row.next_poll_at = now + rules.pause(failures=row.failures, asked_s=error.params.get("retry_s", 0))
    row.save()
    blocking.occupy(row.resource, now=now)
    if first:
        audit.record(
            action="calendar.stale",
            subject=f"instrument:{row.resource.number}",
            actor=POLLER,
            now=now,
            organisations=[row.resource.owner_id],
            data={"name": row.name, "problem": row.problem},
        )


@transaction.atomic
def _take(
    calendar: ExternalCalendar, answer: Fetched, report: CalendarReport | None, *, actor: Actor, now: datetime
) -> None:
    row = _locked(calendar)
    if row is None:
        return
    for name, value in _good(answer.etag, answer.last_modified, now=now).items():
        setattr(row, name, value)
    if report is None or answer.body is None:
        row.save()
        blocking.occupy(row.resource, now=now)
        return
    row.digest = hashlib.sha256(answer.body).hexdigest()
    row.imported_at, row.imported_by = now, actor.label
    row.save()
    services.take_over(actor=actor, calendar=row, report=report, now=now, quietly=actor.is_system)
