"""Compare the portal's lines, the schedulers' accounting and the ledger; exit status 1 when they differ."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from scheduler.metering import auditing
from scheduler.metering.models import JobAudit


def instant(text: str) -> datetime:
    """Read an ISO date or time; without a zone it is UTC. Raises CommandError."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"an ISO date or time is needed, not {text!r}") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Audit jobs: portal lines = accounting = ledger, tolerance 0; exit status 1 when anything differs."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--since", default="", help="jobs settled since this ISO date or time (three days ago)")
        parser.add_argument("--until", default="", help="jobs settled before this ISO date or time (now)")
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, *_args: Any, **options: Any) -> None:
        now = timezone.now()
        until = instant(options["until"]) if options["until"] else now
        since = instant(options["since"]) if options["since"] else until - auditing.WINDOW
        found = auditing.audit(since=since, until=until, now=now)
        if options["json"]:
            self.stdout.write(json.dumps(_report(found), ensure_ascii=False))
        else:
            for one in found.differences:
                self.stdout.write(f"{one['subject']}\t{one['kind']}\t{one['portal']}\t{one['other']}")
            for code in found.away:
                self.stdout.write(f"{code}\taway")
            self.stdout.write(
                f"{found.jobs} jobs; unit seconds {found.portal_units_s} portal, {found.scheduler_units_s} accounting; "
                f"fen {found.lines_fen} lines, {found.ledger_fen} ledger, {found.written_off_fen} written off; "
                f"{len(found.differences)} differences"
            )
        if not found.is_clean:
            raise SystemExit(1)


def _report(found: JobAudit) -> dict[str, Any]:
    return {
        "since": found.since.isoformat(),
        "until": found.until.isoformat(),
        "jobs": found.jobs,
        "portal_units_s": found.portal_units_s,
        "scheduler_units_s": found.scheduler_units_s,
        "lines_fen": found.lines_fen,
        "ledger_fen": found.ledger_fen,
        "written_off_fen": found.written_off_fen,
        "unmanaged": found.unmanaged,
        "unmanaged_fen": found.unmanaged_fen,
        "quarantined": found.quarantined,
        "away": found.away,
        "differences": found.differences,
    }
