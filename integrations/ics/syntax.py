"""The letters of an iCalendar file (RFC 5545 §3.1): bytes to a tree of components, or a refusal.

Foreign bytes are read here and not by the ``icalendar`` library, which we use for writing and as the judge of our
tests, because it keeps one table of time zones per process: a zone one lab's file defines would silently explain the
same name in another lab's file, and a name nobody defines would silently read as floating time.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _

from integrations.ics.refusals import refused

__all__ = ["MAX_BYTES", "MAX_COMPONENTS", "Component", "Property", "parse", "text_of"]

MAX_BYTES = 5 * 1024 * 1024
MAX_COMPONENTS = 5000
MAX_DEPTH = 20
MAX_TEXT = 200
NO_PARAMETERS: Mapping[str, str] = MappingProxyType({})

READ = {
    "VCALENDAR": {"METHOD", "X-WR-CALNAME", "X-WR-TIMEZONE"},
    "VEVENT": {
        *("UID", "SUMMARY", "SEQUENCE", "DTSTAMP", "STATUS", "TRANSP", "ATTENDEE", "ORGANIZER", "RECURRENCE-ID"),
        *("DTSTART", "DTEND", "DURATION", "RRULE", "EXRULE", "RDATE", "EXDATE"),
    },
    "VFREEBUSY": {"UID", "SUMMARY", "FREEBUSY"},
    "VTODO": {"UID", "SUMMARY"},
    "VJOURNAL": {"UID", "SUMMARY"},
    "VAVAILABILITY": {"UID", "SUMMARY"},
    "VTIMEZONE": {"TZID"},
    "STANDARD": {"DTSTART", "RRULE", "RDATE", "TZOFFSETFROM", "TZOFFSETTO"},
    "DAYLIGHT": {"DTSTART", "RRULE", "RDATE", "TZOFFSETFROM", "TZOFFSETTO"},
}
"""What matters to us, per component; all else, alarms for instance, is passed over unread."""

NEWLINES = re.compile(rb"[\r\n]+")
FOLD = re.compile(rb"\n[ \t]")
NAME = re.compile(r"\s*([A-Za-z0-9-]+)")
LINE = re.compile(r'\s*([A-Za-z0-9-]+)\s*((?:;[^=;:"]+=(?:"[^"]*"|[^";:])*)*):(.*)', re.DOTALL)
PARAMETER = re.compile(r';([^=;:"]+)=((?:"[^"]*"|[^";:])*)')
CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
ESCAPED = re.compile(r"\\(.)", re.DOTALL)
CARET = re.compile(r"\^([\^n'])")


@dataclass(frozen=True, slots=True)
class Property:
    """One content line. `value` is raw (still escaped); None when the line could not be taken apart."""

    name: str
    params: Mapping[str, str]
    value: str | None


@dataclass(slots=True)
class Component:
    name: str
    properties: dict[str, list[Property]] = field(default_factory=dict)
    children: list[Component] = field(default_factory=list)

    def all(self, name: str) -> list[Property]:
        return self.properties.get(name, [])

    def first(self, name: str) -> Property | None:
        return next(iter(self.properties.get(name, ())), None)

    def value(self, name: str) -> str:
        """Return the first raw value of `name`, stripped; "" when absent or unreadable."""
        found = self.first(name)
        return (found.value or "").strip() if found else ""

    def walk(self, *names: str) -> Iterator[Component]:
        """Yield the components with one of these names below this one, however deep, in file order."""
        for child in self.children:
            if child.name in names:
                yield child
            yield from child.walk(*names)


def parse(raw: bytes) -> list[Component]:
    """Return the VCALENDARs of a file. Raises CalendarRefused for anything that is not whole."""
    if len(raw) > MAX_BYTES:
        raise refused("too_large", limit=MAX_BYTES // 1024 // 1024)
    unfolded = FOLD.sub(b"", NEWLINES.sub(b"\n", raw))
    text = unfolded.decode("utf-8-sig", errors="replace")
    start = text.lstrip()[:40].upper()
    if not start:
        raise refused("empty")
    if start.startswith("<"):
        raise refused("html")
    if not start.startswith("BEGIN:VCALENDAR") or "\x00" in text:
        raise refused("not_calendar")
    return _tree(text.split("\n"))


def _tree(lines: list[str]) -> list[Component]:
    calendars: list[Component] = []
    stack: list[Component] = []
    count = 0
    for line in lines:
        found = NAME.match(line)
        if not found:
            continue
        name = found[1].upper()
        if name in {"BEGIN", "END"} and line.startswith(":", found.end()):
            subject = line[found.end() + 1 :].strip().upper()
            if name == "BEGIN":
                count += 1
                _admit(subject, count, stack)
                stack.append(Component(subject))
            elif not stack or stack[-1].name != subject:
                raise refused("broken", what=format_lazy(_("END:{name} 前后不成对"), name=subject[:40]))
            else:
                closed = stack.pop()
                (stack[-1].children if stack else calendars).append(closed)
        elif stack and name in READ.get(stack[-1].name, ()):
            stack[-1].properties.setdefault(name, []).append(_property(name, line, found.end()))
    if stack:
        raise refused("broken", what=format_lazy(_("在 {name} 中间结束，可能没有下载完整"), name=stack[-1].name[:40]))
    return calendars


def _admit(name: str, count: int, stack: list[Component]) -> None:
    if count > MAX_COMPONENTS:
        raise refused("too_many_components", limit=MAX_COMPONENTS)
    if not stack and name != "VCALENDAR":
        raise refused("broken", what=format_lazy(_("{name} 不在 VCALENDAR 之内"), name=name[:40]))
    if len(stack) >= MAX_DEPTH:
        raise refused("broken", what=_("嵌套过深"))


def _property(name: str, line: str, end: int) -> Property:
    if line.startswith(":", end):
        return Property(name, NO_PARAMETERS, line[end + 1 :])
    found = LINE.fullmatch(line)
    if not found:
        return Property(name, NO_PARAMETERS, None)
    params = {key.strip().upper(): _parameter(value) for key, value in PARAMETER.findall(found[2])}
    return Property(name, params, found[3])


def _parameter(value: str) -> str:
    """Unquote a parameter value and undo RFC 6868's caret escapes."""
    plain = value.strip().replace('"', "")
    return CARET.sub(lambda match: {"^": "^", "n": "\n", "'": '"'}[match[1]], plain)


def text_of(value: str) -> str:
    """Return a TEXT value as one line for people: unescaped (RFC 5545 §3.3.11), no control characters, cut at 200."""
    plain = ESCAPED.sub(lambda match: "\n" if match[1] in "nN" else match[1], value[: 4 * MAX_TEXT])
    return CONTROL.sub(" ", plain).strip()[:MAX_TEXT]
