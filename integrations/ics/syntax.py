"""From the bytes of an iCalendar file to the library's components, or a refusal.

``icalendar`` takes the lines apart, unescapes them and builds the tree. Around it we keep what it leaves open: limits
before anything is parsed, folds inside a character, and nothing that outlives the file. Its own entry point,
``Calendar.from_ical``, writes every VTIMEZONE and every unknown component name into tables of the process: a zone one
lab's file defines would silently explain the same name in another lab's file.

Values stay text here. They are read where they are needed (``values``, ``recurrence``), so that an event that does not
block cannot do harm, and a list is counted before it is read.
"""

from __future__ import annotations

import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Sequence
from contextlib import suppress
from datetime import date, datetime

from django.utils.text import format_lazy
from django.utils.translation import gettext_lazy as _
from icalendar import Component, ComponentFactory, TypesFactory, vBroken, vDDDTypes, vText
from icalendar.parser import Contentline, Parameters
from icalendar.parser.ical import ComponentIcalParser

from integrations.ics.recurrence import Budget
from integrations.ics.refusals import refused

__all__ = ["MAX_BYTES", "MAX_COMPONENTS", "every", "moment_of", "parameter", "parse", "text_of", "value"]

MAX_BYTES = 5 * 1024 * 1024
MAX_COMPONENTS = 5000
MAX_ENTRIES = 60_000
"""Lines we read, a long one counted once per 20 letters before its value: the library needs some 15 µs for each."""
LETTERS = 20
MAX_LINE = 2000
"""As much as we read of a line that is neither list nor rule; of a text, 200 letters are shown."""
MAX_DEPTH = 20
MAX_TEXT = 200
YEARS = range(1601, 8001)
"""Outlook dates its zones from 1601; beyond 8000 nobody books."""

TEXTS = {
    *("METHOD", "X-WR-CALNAME", "X-WR-TIMEZONE", "TZID", "TZOFFSETFROM", "TZOFFSETTO"),
    *("UID", "SUMMARY", "SEQUENCE", "DTSTAMP", "STATUS", "TRANSP", "ATTENDEE", "RECURRENCE-ID"),
    *("DTSTART", "DTEND", "DURATION"),
}
LISTS = {"RRULE", "EXRULE", "RDATE", "EXDATE", "FREEBUSY"}
READ = TEXTS | LISTS
"""What matters to us; all else is passed over unread."""

NEWLINES = re.compile(rb"[\r\n]+")
FOLD = re.compile(rb"\n[ \t]")
NAME = re.compile(r"\s*([A-Za-z0-9-]+)")
CONTROL = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]+")
MOMENT = re.compile(r"[0-9]{8}(T[0-9]{6}Z?)?")
LEAP_SECOND = re.compile(r"(?<=T[0-9]{4})60")


def parse(raw: bytes, budget: Budget) -> Sequence[Component]:
    """Return the VCALENDARs of a file. Raises CalendarRefused for anything that is not whole."""
    if len(raw) > MAX_BYTES:
        raise refused("too_large", limit=MAX_BYTES // 1024 // 1024)
    text = _decoded(raw)
    start = text.lstrip()[:40].upper()
    if not start:
        raise refused("empty")
    if start.startswith("<"):
        raise refused("html")
    if not start.startswith("BEGIN:VCALENDAR") or "\x00" in text:
        raise refused("not_calendar")
    return _Parser(text.split("\n"), budget).parse()


def _decoded(raw: bytes) -> str:
    """Return the unfolded text: UTF-8 (RFC 5545 §3.1.4); UTF-16 by its mark; else GB 18030, where it is that to the byte.

    The library decodes first, which breaks a character that a fold divides (RFC 5545 §3.1 lets it). What is none of
    these is read all the same, its unreadable letters replaced: times are ASCII.
    """
    if raw.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        raw = raw.decode("utf-16", errors="replace").encode()
    unfolded = FOLD.sub(b"", NEWLINES.sub(b"\n", raw))
    for charset in ("utf-8-sig", "gb18030"):
        with suppress(UnicodeDecodeError):
            return unfolded.decode(charset)
    return unfolded.decode("utf-8-sig", errors="replace")


class _Parser(ComponentIcalParser):
    """The library's parser, with our limits, and nothing left behind in the process."""

    def __init__(self, lines: Sequence[str], budget: Budget) -> None:
        # The library's one factory keeps a class for every component name it ever met; this one goes with the file.
        super().__init__([], ComponentFactory(), TypesFactory.instance())
        self._lines = lines
        self._budget = budget
        self._begun = 0
        self._entries = 0
        self._attended: Component | None = None

    def parse_content_lines(self) -> None:
        for line in self._lines:
            found = NAME.match(line)
            name = found[1].upper() if found else ""
            if found and name in {"BEGIN", "END"} and line.startswith(":", found.end()):
                subject = line[found.end() + 1 :].strip().upper()
                (self.handle_begin_component if name == "BEGIN" else self.handle_end_component)(subject)
            elif name in READ and self.component is not None:
                self._read(self.component, name, line)
        if self.component is not None:
            what = format_lazy(_("在 {name} 中间结束，可能没有下载完整"), name=str(self.component.name)[:40])
            raise refused("broken", what=what)

    def _read(self, component: Component, name: str, line: str) -> None:
        if name == "ATTENDEE" and "DECLINED" not in line.upper():
            if self._attended is component:
                return  # who has not declined is all the same to us, and there may be very many
            self._attended, line = component, "ATTENDEE:"
        line = line if name in LISTS else line[:MAX_LINE]
        entries = 1 + max(line.find(":"), line.rfind('"')) // LETTERS
        self._entries += entries
        if self._entries > MAX_ENTRIES:
            raise refused("too_many_components", limit=MAX_ENTRIES)
        self._budget.spend(2 * entries)
        try:
            _name, params, text = Contentline(line).parts()  # type: ignore[no-untyped-call]
            if not text and not line.endswith(":"):
                raise ValueError("no colon")  # to the library this is an empty value, so a list without dates
            found = vText(text)
            found.params = params
        except ValueError as error:
            component.errors.append((name, str(error)))
            found = vBroken.from_parse_error(line, Parameters(), name, "text", error)
        component.add(name, found, encode=False)

    def handle_begin_component(self, vals: str) -> None:
        self._begun += 1
        if self._begun > MAX_COMPONENTS:
            raise refused("too_many_components", limit=MAX_COMPONENTS)
        if not self._stack and vals != "VCALENDAR":
            raise refused("broken", what=format_lazy(_("{name} 不在 VCALENDAR 之内"), name=vals[:40]))
        if len(self._stack) >= MAX_DEPTH:
            raise refused("broken", what=_("嵌套过深"))
        super().handle_begin_component(vals)

    def handle_end_component(self, vals: str) -> None:
        if self.component is None or self.component.name != vals:
            raise refused("broken", what=format_lazy(_("END:{name} 前后不成对"), name=vals[:40]))
        super().handle_end_component("")  # told the name, it would enter a VTIMEZONE into the table of the process


def every(component: Component, name: str) -> list[vText]:
    """Return all properties of this name, in file order; a ``vBroken`` where the line could not be taken apart."""
    found = component.get(name, [])
    return found if isinstance(found, list) else [found]


def value(component: Component, name: str) -> str:
    """Return the text of the first property of this name, stripped; "" when absent or unreadable."""
    found = next(iter(every(component, name)), None)
    return "" if found is None or isinstance(found, vBroken) else str(found).strip()


def parameter(prop: vText, name: str) -> str:
    """Return a parameter of a property; "" when absent. A name with unquoted commas is one name, not a list."""
    found = prop.params.get(name, "")
    return found if isinstance(found, str) else ",".join(found)


def moment_of(text: str) -> date | datetime | None:
    """Read a DATE or DATE-TIME: naive unless it ends in Z; None if it is neither or no year anybody books.

    Held to its shape first: the library also reads ``2026 302T010000`` and ``2_260302T010000``.
    """
    plain = LEAP_SECOND.sub("59", text.strip().upper())
    if not MOMENT.fullmatch(plain) or int(plain[:4]) not in YEARS:
        return None
    try:
        found = vDDDTypes.from_ical(plain)  # type: ignore[no-untyped-call]
    except ValueError:
        return None
    return found if isinstance(found, date) else None


def text_of(text: str) -> str:
    """Return a text as one line for people: no control characters, cut at 200."""
    return CONTROL.sub(" ", text[: 4 * MAX_TEXT]).strip()[:MAX_TEXT]
