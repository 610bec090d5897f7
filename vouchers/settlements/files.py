"""The statement of a batch as the treasury's system reads it: the same batch gives the same bytes, in any language."""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence

from portal.kernel.cells import inert
from portal.kernel.money import Money
from vouchers.settlements.models import SettlementBatch, SettlementLine

__all__ = ["COLUMNS", "digest", "manifest", "statement"]

COLUMNS = (
    "batch",
    "line",
    "payee_credit_code",
    "payee",
    "leg",
    "source",
    "programme",
    "fiscal_year",
    "payer_credit_code",
    "payer",
    "amount_yuan",
    "parts",
)


def _row(batch: SettlementBatch, at: int, line: SettlementLine) -> list[object]:
    if line.claim is not None:
        party, source = line.claim.claimant, line.claim.number
        money: tuple[str, object] = (line.claim.version.programme.code, line.claim.fiscal_year)
        parts = "; ".join(f"{part.payer}={Money(part.amount_fen).yuan()}" for part in line.claim.parts.all())
    elif line.charge is None:
        party, source, parts = batch.payee, line.recovery.number if line.recovery else "offset", ""
        money = (line.programme_code, line.fiscal_year or "")
    else:
        party, source, parts = line.charge.payer, line.charge.number, ""
        voucher = line.voucher
        money = (voucher.programme_code, voucher.fiscal_year) if voucher else ("", "")
    return [
        batch.number,
        at,
        batch.payee.credit_code,
        batch.payee.name,
        line.leg,
        source,
        *money,
        party.credit_code,
        party.name,
        Money(line.amount_fen).yuan(),
        parts,
    ]


def statement(batch: SettlementBatch, lines: Sequence[SettlementLine]) -> bytes:
    """Return the active lines as CSV, UTF-8 with BOM, CRLF; the last row is the total."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for at, line in enumerate(sorted(lines, key=lambda line: line.pk), 1):
        writer.writerow([inert(value) for value in _row(batch, at, line)])
    total = Money(sum(line.amount_fen for line in lines)).yuan()
    writer.writerow([batch.number, "total", *[""] * 8, total, ""])
    return ("\ufeff" + buffer.getvalue()).encode()


def digest(content: bytes) -> str:
    """Return the SHA-256 of a file, hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def manifest(batch: SettlementBatch, lines: Sequence[SettlementLine], contents: Mapping[str, bytes]) -> bytes:
    """Return what a batch's files are and come to, as JSON: names, bytes, SHA-256, number of lines and total."""
    document = {
        "batch": batch.number,
        "payee": {"name": batch.payee.name, "credit_code": batch.payee.credit_code},
        "state": batch.state,
        "lines": len(lines),
        "total_yuan": Money(sum(line.amount_fen for line in lines)).yuan(),
        "files": [
            {"name": name, "bytes": len(content), "sha256": digest(content)}
            for name, content in sorted(contents.items())
        ],
    }
    return (json.dumps(document, ensure_ascii=False, indent=1, sort_keys=True) + "\n").encode()
