"""What the portal asks of a calendar reader and of a fetcher; ``integrations/ics`` answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from portal.kernel.errors import Invalid, noop
from portal.kernel.period import Period

__all__ = [
    "BusySpan",
    "CalendarFetcher",
    "CalendarReader",
    "CalendarRefused",
    "CalendarReport",
    "CalendarUnreachable",
    "Fetched",
    "Skipped",
]

_ = noop


class CalendarRefused(Invalid):
    """The file cannot be trusted as a calendar: nothing is imported and nothing already imported changes.

    `reason` is a stable code: empty, too_large, not_calendar, html, broken, too_many_components, too_frequent,
    too_many_instances, unknown_zone, too_slow. `values` (text by name) say what exactly; `detail` says it in words.
    """

    code = "calendar.refused"
    message = _("日历文件无法导入：%(detail)s")


class CalendarUnreachable(Invalid):
    """A calendar's address gave no file. `reason` is a stable code, `values` and `detail` say what exactly.

    Reasons: bad_address, private_address, unresolved, redirects, timeout, connection, status, too_large, encoding.
    `retry_s`: how long the server asks to be left alone, 0 when it does not say.
    """

    code = "calendar.unreachable"
    message = _("无法读取这个日历地址：%(detail)s")


@dataclass(frozen=True, slots=True)
class BusySpan:
    """One span that blocks the resource, with the event it came from."""

    period: Period
    uid: str
    summary: str
    all_day: bool = False


@dataclass(frozen=True, slots=True)
class Skipped:
    """An event that does not block, and why: cancelled, transparent, declined, no_time, not_event, broken."""

    uid: str
    summary: str
    reason: str


@dataclass(frozen=True, slots=True)
class CalendarReport:
    """What a file says. `busy` is sorted by start, not merged; `events` counts VEVENTs read."""

    events: int
    busy: Sequence[BusySpan]
    skipped: Sequence[Skipped]


class CalendarReader(Protocol):
    def __call__(self, raw: bytes, *, zone: str, horizon: Period) -> CalendarReport:
        """Read an iCalendar file (RFC 5545). All-day times are read in `zone` (IANA name), floating ones too unless
        the file names its own default (X-WR-TIMEZONE).

        Only instances that overlap `horizon` are returned. Never raises anything but CalendarRefused.
        """


@dataclass(frozen=True, slots=True)
class Fetched:
    """What an address answered: the file, or None when it is the one we know; and what to ask with next time."""

    body: bytes | None
    etag: str = ""
    last_modified: str = ""


class CalendarFetcher(Protocol):
    def __call__(self, url: str, *, etag: str = "", last_modified: str = "") -> Fetched:
        """Ask for a calendar, conditionally where we know one (RFC 9110 §13). Reaches public addresses only.

        Bounded in time, size and redirects. Never raises anything but CalendarUnreachable.
        """
