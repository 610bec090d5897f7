"""``manage.py read_calendar --check FILE…``: what calendar files would block, without touching the database."""

from __future__ import annotations

import sys
from argparse import ArgumentTypeError
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _

from integrations.ics.reader import first_day, read
from integrations.ics.syntax import MAX_BYTES, text_of
from portal.kernel.period import Period
from scheduler.availability.rules import UnknownZone, closed_days, zone_named
from scheduler.calendars.ports import BusySpan, CalendarRefused, CalendarReport

SHOWN = 5
DAYS = range(1, 3661)
YEARS = range(1900, 2200)


def days(text: str) -> int:
    if not text.isdecimal() or int(text) not in DAYS:
        raise ArgumentTypeError(f"{DAYS.start}–{DAYS.stop - 1}")
    return int(text)


def first(text: str) -> date:
    day = date.fromisoformat(text)
    if day.year not in YEARS:
        raise ArgumentTypeError(f"{YEARS.start}–{YEARS.stop - 1}")
    return day


class Command(BaseCommand):
    """Say for each file which time would be blocked, or why it is refused.

    Exit status 0 when every file could be opened, whether read or refused; 1 otherwise.
    """

    help = "Check calendar files (.ics): what would block time, or why a file is refused. Imports nothing."
    requires_system_checks = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--check", nargs="+", metavar="FILE", type=Path, required=True)
        parser.add_argument("--zone", default="Asia/Shanghai", help="IANA zone of the resource (default: %(default)s)")
        parser.add_argument(
            "--from",
            dest="start",
            type=first,
            help="first day; default: the day before a file's first event",
        )
        parser.add_argument("--days", type=days, default=400, help="how far to look (default: %(default)s)")

    def handle(self, *_args: Any, **options: Any) -> None:
        for stream in (sys.stdout, sys.stderr):
            if hasattr(stream, "reconfigure"):
                stream.reconfigure(errors="replace")  # a terminal that cannot show Chinese is no reason to stop
        try:
            zone_named(options["zone"])
        except UnknownZone as error:
            raise CommandError(_(error.message) % error.params) from None
        outcomes: Counter[str] = Counter()
        for path in options["check"]:
            outcomes[self._check(path, options["zone"], options["start"], options["days"])] += 1
        opened = outcomes["read"] + outcomes["refused"]
        self.stdout.write(f"{opened} files: {outcomes['read']} read, {outcomes['refused']} refused")
        if outcomes["closed"]:
            raise CommandError(_("有 %(count)s 个文件打不开。") % {"count": outcomes["closed"]})

    def _check(self, path: Path, zone: str, start: date | None, length: int) -> str:
        name = text_of(str(path))
        try:
            with path.open("rb") as file:
                raw = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            self.stderr.write(
                _("%(name)s：打不开（%(error)s）") % {"name": name, "error": getattr(error, "strerror", error)}
            )
            return "closed"
        try:
            begin = start or _day_before_first(raw)
            horizon = closed_days(begin, begin + timedelta(days=length - 1), zone)
            report = read(raw, zone=zone, horizon=horizon)
        except CalendarRefused as refused:
            self.stdout.write(_("%(name)s：拒绝。%(why)s") % {"name": name, "why": _(refused.message) % refused.params})
            return "refused"
        for line in _lines(name, report, zone, begin, length):
            self.stdout.write(line)
        return "read"


def _day_before_first(raw: bytes) -> date:
    """Return where to begin: the day before the first event, which may be a day later here than where it is dated."""
    found = first_day(raw)
    return (found or datetime.now(UTC)).date() - timedelta(days=1)


def _lines(name: str, report: CalendarReport, zone: str, begin: date, length: int) -> Iterator[str]:
    words = {
        "name": name,
        "count": len(report.busy),
        "events": report.events,
        "begin": begin,
        "days": length,
        "zone": zone,
    }
    if report.busy:
        yield _("%(name)s：%(events)s 个日程，将占用 %(count)s 段（%(zone)s，自 %(begin)s 起 %(days)s 天）") % words
    else:
        yield _("%(name)s：%(events)s 个日程，不占用时间（%(zone)s，自 %(begin)s 起 %(days)s 天）") % words
    for span in report.busy[:SHOWN]:
        yield f"    {_when(span, ZoneInfo(zone))}  {span.summary}".rstrip()
    if len(report.busy) > SHOWN:
        yield _("    另有 %(count)s 段") % {"count": len(report.busy) - SHOWN}
    if report.skipped:
        counted = Counter(_reason(each.reason) for each in report.skipped)
        yield _("    不占用：%(list)s") % {
            "list": _("、").join(f"{reason} {count}" for reason, count in counted.items())
        }


def _reason(code: str) -> str:
    return {
        "cancelled": _("已取消"),
        "transparent": _("标为空闲"),
        "declined": _("已谢绝"),
        "no_time": _("没有时长"),
        "not_event": _("不是日程（待办、日志等）"),
        "broken": _("无法识别"),
    }[code]


def _when(span: BusySpan, tz: ZoneInfo) -> str:
    return _day_text(span.period, tz) if span.all_day else _time_text(span.period, tz)


def _day_text(period: Period, tz: ZoneInfo) -> str:
    first, last = period.start.astimezone(tz), (period.end - timedelta(microseconds=1)).astimezone(tz)
    whole = f"{first:%Y-%m-%d}" if first.date() == last.date() else f"{first:%Y-%m-%d}–{last:%Y-%m-%d}"
    return _("%(days)s 全天") % {"days": whole}


def _time_text(period: Period, tz: ZoneInfo) -> str:
    start, end = period.start.astimezone(tz), period.end.astimezone(tz)
    until = f"{end:%H:%M}" if start.date() == end.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{start:%Y-%m-%d %H:%M}–{until}"
