"""Recompute the ledger, verify its hash chain, reconcile every programme, and say what is broken."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils import timezone

from vouchers.ledger import auditing
from vouchers.reconciliation import closing
from vouchers.reconciliation import queries as reconciliation


def instant(text: str) -> datetime:
    """Read an ISO date or time; without a zone it is UTC. Raises CommandError."""
    try:
        read = datetime.fromisoformat(text)
    except ValueError as error:
        raise CommandError(f"--since takes an ISO date or time, not {text!r}") from error
    return read if read.tzinfo else read.replace(tzinfo=UTC)


class Command(BaseCommand):
    help = "Audit the ledger: balances from the journal, seals, reconciliation; exit status 1 when anything is broken."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="print one JSON object instead of lines")
        parser.add_argument("--since", default="", help="verify only seals made since this ISO date or time")
        parser.add_argument("--head", default="", help="an exported head, n:hash, that the chain must contain")

    def handle(self, *_args: Any, **options: Any) -> None:
        since = instant(options["since"]) if options["since"] else None
        found = auditing.audit(now=timezone.now(), since=since, head=options["head"])
        months = closing.verify()
        ties = [
            f"{tie.name}: ledger {tie.ledger_fen} fen, rows {tie.rows_fen}"
            for tie in reconciliation.ties()
            if tie.difference_fen
        ]
        if options["json"]:
            self.stdout.write(json.dumps({**_report(found), "closed_months": months, "ties": ties}, ensure_ascii=False))
        else:
            said = [f"closed_month\t{wrong}" for wrong in months] + [f"tie\t{wrong}" for wrong in ties]
            for line in (*said, *_lines(found)):
                self.stdout.write(line)
        if months or ties or not found.clean:
            raise SystemExit(1)


def _report(found: auditing.Audit) -> dict[str, Any]:
    chain = found.chain
    return {
        "checks": found.checks,
        "journals": found.journals,
        "transfers": found.transfers,
        "violations": [asdict(violation) for violation in found.violations],
        "programmes": [
            asdict(one) | {"parts": dict(one.parts), "difference": one.difference} for one in found.reconciliations
        ],
        "seals": {
            "checked": chain.seals,
            "journals": chain.journals,
            "head": str(chain.head),
            "unsealed": chain.unsealed,
            "unsealed_since": chain.unsealed_since and chain.unsealed_since.isoformat(),
        },
        "unaccounted_fen": found.unaccounted,
    }


def _lines(found: auditing.Audit) -> list[str]:
    chain = found.chain
    return [
        *(str(one) for one in found.reconciliations),
        *(f"{one.check}\t{one.subject}\t{one.detail}" for one in found.violations),
        f"{found.journals} journals, {found.transfers} transfers: {found.checks} checks, {len(found.violations)} violations",
        f"{chain.seals} seals over {chain.journals} journals, {chain.unsealed} not sealed yet; head {chain.head}",
        f"{found.unaccounted} fen unaccounted",
    ]
