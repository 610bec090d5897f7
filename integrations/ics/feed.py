"""Write what is booked as iCalendar (RFC 5545, RFC 7986), for people's calendars to subscribe to.

Two documents, never mixed: events, and free/busy. Subscribing programs stop at a component they do not know, and file
every event under the calendar's own UID if it has one; so an event feed holds VEVENTs only and carries neither METHOD
nor UID. Single events are written in UTC, which needs no VTIMEZONE and cannot be misread when clocks change.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from django.utils.translation import gettext as _
from icalendar import Calendar, Event, FreeBusy, vDuration, vPeriod, vUri

from portal.kernel.period import Period, merge, subtract

__all__ = [
    "Busy",
    "FeedEvent",
    "Kind",
    "Privacy",
    "Status",
    "digest",
    "events",
    "freebusy",
    "new_calendar",
    "new_event",
    "plain",
]

PRODID = "-//Gongxiang//Booking//ZH"
REFRESH = timedelta(minutes=15)
CONTROL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
NEWLINES = re.compile(r"\r\n?|\u2028|\u2029|\x85")


class Privacy(StrEnum):
    """How much a feed tells: only that time is taken, also what for, or everything."""

    BUSY = "busy"
    TITLE = "title"
    FULL = "full"


class Status(StrEnum):
    """STATUS of a VEVENT: a hold is TENTATIVE; a cancelled booking stays in the feed for a while as CANCELLED."""

    CONFIRMED = "CONFIRMED"
    TENTATIVE = "TENTATIVE"
    CANCELLED = "CANCELLED"


class Kind(StrEnum):
    """FBTYPE of a busy span, the strongest first: where spans overlap, the stronger is told."""

    UNAVAILABLE = "BUSY-UNAVAILABLE"
    BUSY = "BUSY"
    TENTATIVE = "BUSY-TENTATIVE"


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """One booking or outage. `uid` never changes; `sequence` rises when the time or the status does (RFC 5546 §2.1.4).

    `last_modified` is also the DTSTAMP, which without METHOD is the last revision (RFC 5545 §3.8.7.2).
    """

    uid: str
    sequence: int
    period: Period
    summary: str
    status: Status
    last_modified: datetime
    location: str = ""
    description: str = ""
    contact: str = ""
    url: str = ""


@dataclass(frozen=True, slots=True)
class Busy:
    period: Period
    kind: Kind = Kind.BUSY


def events(
    items: Iterable[FeedEvent], *, name: str, zone: str, privacy: Privacy = Privacy.FULL, source: str = ""
) -> bytes:
    """Return an event feed. Equal items give equal bytes, whatever their order.

    `zone` (IANA) only tells programs which zone to show. Below FULL no place, person, text or address is written;
    with BUSY no title either.
    """
    calendar = new_calendar()
    title = plain(name)
    calendar.add("name", title)
    calendar.add("x-wr-calname", title)
    calendar.add("x-wr-timezone", zone)
    calendar.add("color", "teal")
    calendar.add("refresh-interval", vDuration(REFRESH), parameters={"VALUE": "DURATION"})
    calendar.add("x-published-ttl", vDuration(REFRESH))
    if source:
        calendar.add("source", vUri(_uri(source)), parameters={"VALUE": "URI"})
    for item in sorted(items, key=lambda each: (each.period, each.uid)):
        calendar.add_component(new_event(item, privacy))
    return bytes(calendar.to_ical())


def freebusy(items: Iterable[Busy], *, uid: str, window: Period, stamp: datetime) -> bytes:
    """Return one VFREEBUSY of what is taken within `window`: merged, sorted, cut at its bounds, no free periods.

    `stamp` is the newest change the document reflects.
    """
    component = FreeBusy()
    component.add("uid", plain(uid))
    component.add("dtstamp", stamp.astimezone(UTC))
    component.add("dtstart", window.start)
    component.add("dtend", window.end)
    taken: list[Period] = []
    told: list[tuple[Period, Kind]] = []
    spans = list(items)
    for kind in Kind:
        inside = [_cut(each.period, window) for each in spans if each.kind is kind and each.period.overlaps(window)]
        told += [(period, kind) for period in subtract(merge(inside), taken)]
        taken += inside
    for period, kind in sorted(told):
        component.add("freebusy", vPeriod((period.start, period.end)), parameters={"FBTYPE": kind.value})
    calendar = new_calendar()
    calendar.add_component(component)
    return bytes(calendar.to_ical())


def digest(body: bytes) -> str:
    """Return a strong fingerprint of a document, for its ETag."""
    return sha256(body).hexdigest()[:32]


def new_calendar() -> Calendar:
    """Return an empty calendar of ours."""
    calendar = Calendar()
    calendar.add("version", "2.0")
    calendar.add("prodid", PRODID)
    calendar.add("calscale", "GREGORIAN")
    return calendar


def new_event(item: FeedEvent, privacy: Privacy) -> Event:
    """Return one booking as a VEVENT that tells as much as `privacy` allows."""
    event = Event()
    event.add("uid", plain(item.uid))
    event.add("sequence", item.sequence)
    event.add("dtstamp", item.last_modified.astimezone(UTC))
    event.add("last-modified", item.last_modified.astimezone(UTC))
    event.add("dtstart", item.period.start)
    event.add("dtend", item.period.end)
    event.add("status", item.status.value)
    event.add("transp", "TRANSPARENT" if item.status is Status.CANCELLED else "OPAQUE")
    event.add("class", "PUBLIC" if privacy is Privacy.BUSY else "PRIVATE")
    title = "" if privacy is Privacy.BUSY else plain(item.summary)
    event.add("summary", title or _("已占用"))
    if privacy is Privacy.FULL:
        for name, value in (("location", item.location), ("description", item.description), ("contact", item.contact)):
            if text := plain(value):  # libical rejects an empty property
                event.add(name, text)
        if item.url:
            event.add("url", vUri(_uri(item.url)))
    return event


def plain(value: str) -> str:
    """Return `value` fit for a TEXT property: one kind of line break, which is then escaped; no control characters."""
    return CONTROL.sub("", NEWLINES.sub("\n", value)).strip()


def _uri(value: str) -> str:
    return re.sub(r"\s", "", plain(value))


def _cut(period: Period, window: Period) -> Period:
    return Period(max(period.start, window.start), min(period.end, window.end))
