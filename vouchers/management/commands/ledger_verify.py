"""Check every invariant of the ledger and say what is broken."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from vouchers.ledger import queries, verification


class Command(BaseCommand):
    help = "Check every invariant of the ledger; exit status 1 when one is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")

    def handle(self, *_args: Any, **options: Any) -> None:
        violations = queries.verify()
        unaccounted = queries.unaccounted_fen()
        if options["json"]:
            report = {
                "checks": len(verification.CHECKS),
                "violations": [asdict(violation) for violation in violations],
                "unaccounted_fen": unaccounted,
            }
            self.stdout.write(json.dumps(report, ensure_ascii=False))
        else:
            for violation in violations:
                self.stdout.write(f"{violation.check}\t{violation.subject}\t{violation.detail}")
            self.stdout.write(f"{len(verification.CHECKS)} checks, {len(violations)} violations")
            self.stdout.write(f"{unaccounted} fen unaccounted")
        if violations or unaccounted:
            raise SystemExit(1)
