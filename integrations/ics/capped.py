"""Read a calendar in a process of its own, with caps on processor time, time and memory the file cannot talk away.

The reader's budget already bounds what a file can cost; this is the wall behind it, for files nobody looked at. The
process is told the file on its standard input and answers with JSON.
"""

from __future__ import annotations

import json
import resource
import signal
import subprocess
import sys
from datetime import datetime
from typing import Any

import structlog
from django.conf import settings

from integrations.ics.reader import read as read_here
from integrations.ics.refusals import refused
from portal.kernel.period import Period
from scheduler.calendars.ports import BusySpan, CalendarRefused, CalendarReport, Skipped

__all__ = ["read"]

CPU_S = 5.0
WALL_S = 60.0
MEMORY = 1024 * 1024 * 1024

logger = structlog.get_logger("calendars")


def read(raw: bytes, *, zone: str, horizon: Period) -> CalendarReport:
    """Read a file; see ``CalendarReader``. A file that takes more than 5 s of processor time is refused."""
    argv = [
        sys.executable,
        "-m",
        "integrations.ics.capped",
        zone,
        *map(datetime.isoformat, (horizon.start, horizon.end)),
    ]
    try:
        done = subprocess.run(  # noqa: S603 - our own interpreter, our own module, no shell
            [*argv, str(CPU_S)], input=raw, capture_output=True, timeout=WALL_S, cwd=settings.BASE_DIR, check=False
        )
    except subprocess.TimeoutExpired:
        raise refused("too_slow") from None
    if done.returncode != 0:
        logger.warning(
            "calendars.reader_died", status=done.returncode, said=done.stderr[-400:].decode(errors="replace")
        )
        raise refused("too_slow")
    return _report(json.loads(done.stdout))


def _report(said: dict[str, Any]) -> CalendarReport:
    if "refused" in said:
        raise refused(said["refused"], **said["values"])
    return CalendarReport(
        events=said["events"],
        busy=[
            BusySpan(Period(datetime.fromisoformat(start), datetime.fromisoformat(end)), uid, summary, all_day)
            for start, end, uid, summary, all_day in said["busy"]
        ],
        skipped=[Skipped(*row) for row in said["skipped"]],
    )


def _answer(raw: bytes, zone: str, horizon: Period) -> dict[str, Any]:
    try:
        report = read_here(raw, zone=zone, horizon=horizon)
    except CalendarRefused as error:
        values = {name: str(value) for name, value in error.params["values"].items()}
        return {"refused": error.params["reason"], "values": values}
    return {
        "events": report.events,
        "busy": [
            (span.period.start.isoformat(), span.period.end.isoformat(), span.uid, span.summary, span.all_day)
            for span in report.busy
        ],
        "skipped": [(row.uid, row.summary, row.reason) for row in report.skipped],
    }


def main(zone: str, start: str, end: str, cpu_s: str) -> None:
    """Answer for the file on standard input. The timer counts this process alone, and its signal ends it."""
    settings.configure(USE_I18N=False)
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    signal.setitimer(signal.ITIMER_PROF, float(cpu_s))
    horizon = Period(datetime.fromisoformat(start), datetime.fromisoformat(end))
    answer = _answer(sys.stdin.buffer.read(), zone, horizon)
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
