"""Write calendar files for tests."""

from __future__ import annotations

from portal.kernel.period import Period


def event(uid: str, start: str, end: str, summary: str = "课题组自用", *more: str) -> tuple[str, ...]:
    """Return a VEVENT; `start` and `end` are written after the property name, parameters included."""
    first, last = (value if value[0] in ":;" else f":{value}" for value in (start, end))
    return (
        "BEGIN:VEVENT",
        f"UID:{uid}",
        "DTSTAMP:20261101T000000Z",
        f"DTSTART{first}",
        f"DTEND{last}",
        f"SUMMARY:{summary}",
        *more,
        "END:VEVENT",
    )


def busy(uid: str, period: Period, summary: str = "课题组自用", *more: str) -> tuple[str, ...]:
    """Return a VEVENT that takes `period`."""
    return event(uid, f"{period.start:%Y%m%dT%H%M%SZ}", f"{period.end:%Y%m%dT%H%M%SZ}", summary, *more)


def calendar(*events: tuple[str, ...]) -> bytes:
    lines = ["BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//lab//EN", *(line for each in events for line in each)]
    return "\r\n".join([*lines, "END:VCALENDAR", ""]).encode()
