"""Calendar text for tests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from integrations.ics.reader import read
from portal.kernel.period import Period

HORIZON = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 2, 5, tzinfo=UTC))
SHANGHAI = "Asia/Shanghai"
MONDAY = "DTSTART:20260302T010000Z"
TWO_HOURS = "DURATION:PT2H"
TAKEN = "20260302T0100/20260302T0300"


def block(name: str, *lines: str) -> str:
    return "\r\n".join([f"BEGIN:{name}", *lines, f"END:{name}"])


def calendar(*parts: str) -> bytes:
    return f"{block('VCALENDAR', 'VERSION:2.0', 'PRODID:-//test', *parts)}\r\n".encode()


def event(*lines: str, uid: str = "one") -> str:
    return block("VEVENT", f"UID:{uid}", *lines)


def busy(*parts: str, zone: str = SHANGHAI, horizon: Period = HORIZON) -> list[str]:
    """Read and return the spans as text in UTC, seconds left out."""
    report = read(calendar(*parts), zone=zone, horizon=horizon)
    return [f"{span.period.start:%Y%m%dT%H%M}/{span.period.end:%Y%m%dT%H%M}" for span in report.busy]


def skipped(*parts: str) -> list[str]:
    return [each.reason for each in read(calendar(*parts), zone=SHANGHAI, horizon=HORIZON).skipped]


def days_from(start: datetime, days: int) -> Period:
    return Period(start, start + timedelta(days=days))
