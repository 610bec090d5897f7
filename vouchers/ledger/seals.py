"""The hash chain: seal what was posted, and find what was changed afterwards.

A block covers the journals whose transaction ids lie in ``[from_txid, upto_txid)`` with everything that belongs to them,
never by row number: ids are given out in another order than transactions commit, and a sealer that walks ids misses
rows. Below the oldest open transaction of the snapshot all have ended, so a block is complete when it is written, and
one open transaction only delays it. Transfers, holds and resolutions are reached through their journal, so a row slipped into
an old journal later is found too. A row's hash names the accounts by what they are for, not only by number.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from vouchers.ledger.models import Seal
from vouchers.ledger.rules import seal_hash
from vouchers.ledger.verification import Violation

__all__ = ["Head", "SealReport", "check", "export_head", "seal"]

ZERO = bytes(32)
LEAF = 8
"""Bytes of a row's hash that are kept to name a broken row, as ``ledger_digests`` does."""

MAX_JOURNALS = 20_000
CHUNK_ROWS = 200_000
SEALER = (7151, 2)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the chain: print it on exports, and keep it where no database administrator can write."""

    n: int
    hash: str
    upto_txid: int
    sealed_at: datetime | None

    def __str__(self) -> str:
        return f"{self.n}:{self.hash}"


DIGESTS = """
    SELECT block, journals, row_count, digest, leaves FROM ledger_digests(
        %(low)s::text::xid8, %(high)s::text::xid8, %(uptos)s::text[]::xid8[], %(with_leaves)s)
"""
NAMES = """
    SELECT (ARRAY['journal', 'transfer', 'hold', 'resolution of hold'])[part + 1] || ' ' || id, substring(leaf FOR 8)
    FROM ledger_leaves(%(low)s::text::xid8, %(high)s::text::xid8, '{}') ORDER BY txid, journal, part, line
"""
HORIZON = """
    WITH s AS MATERIALIZED (SELECT pg_current_snapshot() AS snapshot)
    SELECT coalesce(
        (SELECT open FROM s, pg_snapshot_xip(s.snapshot) AS open
         WHERE NOT EXISTS (SELECT FROM pg_stat_activity a
                           WHERE a.backend_xid = open::xid
                             AND a.datid <> (SELECT oid FROM pg_database WHERE datname = current_database()))
         ORDER BY open LIMIT 1),
        pg_snapshot_xmax(s.snapshot))::text
    FROM s
"""
"""Below this every transaction has ended, those of other databases aside: the snapshot says which are open, and only
then the server's list of sessions is read, so a transaction that cannot be placed any more still counts."""

NTH = """
    SELECT txid::text FROM ledger_journal WHERE txid >= %(low)s::text::xid8 AND txid < %(high)s::text::xid8
    ORDER BY txid, id OFFSET %(offset)s LIMIT 1
"""


def _values(low: int, high: int, uptos: Sequence[int] = (), *, with_leaves: bool = False) -> dict[str, Any]:
    return {"low": str(low), "high": str(high), "uptos": [str(upto) for upto in uptos], "with_leaves": with_leaves}


def seal(*, now: datetime, limit: int = MAX_JOURNALS) -> Seal | None:
    """Write the next block, of about `limit` journals at most, and return it; None when nothing is ready to be sealed.

    One sealer at a time: while another works this returns None. Takes no lock that a posting waits for. What a still
    open transaction may have written stays for a later block.
    """
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_xact_lock(%s, %s)", SEALER)
        if not cursor.fetchone()[0]:
            return None
        last = Seal.objects.order_by("-n").first()
        low = last.upto_txid if last else 0
        cursor.execute(HORIZON)
        high = int(cursor.fetchone()[0])
        cursor.execute(NTH, {**_values(low, high), "offset": limit})
        if full := cursor.fetchone():
            cursor.execute(NTH, {**_values(low, high), "offset": 0})
            first = int(cursor.fetchone()[0])
            high = max(int(full[0]), first + 1)
        cursor.execute(DIGESTS, _values(low, high, with_leaves=True))
        if (block := cursor.fetchone()) is None:
            return None
        _block, journals, rows, digest, leaves = block
        n, prev = (last.n + 1, bytes(last.hash)) if last else (1, ZERO)
        digest = seal_hash(prev=prev, n=n, from_txid=low, upto_txid=high, rows=rows, digest=bytes(digest))
        cursor.execute(
            "INSERT INTO ledger_seal (n, from_txid, upto_txid, journals, rows, prev_hash, hash, leaves, sealed_at)"
            " VALUES (%s, %s::text::xid8, %s::text::xid8, %s, %s, %s, %s, %s, %s)",
            [n, str(low), str(high), journals, rows, prev, digest, bytes(leaves), now],
        )
    return Seal.objects.get(n=n)


def export_head() -> Head:
    """Return the end of the chain, number 0 before the first seal."""
    last = Seal.objects.order_by("-n").only("n", "hash", "upto_txid", "sealed_at").first()
    return Head(last.n, bytes(last.hash).hex(), last.upto_txid, last.sealed_at) if last else Head(0, "", 0, None)


@dataclass(frozen=True, slots=True)
class SealReport:
    """`seals` were checked, covering `journals`; `unsealed` journals wait, the oldest since `unsealed_since`."""

    violations: tuple[Violation, ...]
    head: Head
    seals: int
    journals: int
    unsealed: int
    unsealed_since: datetime | None


def check(*, since: datetime | None = None, head: str = "") -> SealReport:
    """Recompute the chain and name the first broken block and, in it, the first broken row.

    `since` leaves out blocks sealed before it, taking the one before the first at its word. `head` is an exported
    ``n:hash``: whoever can rewrite the whole chain cannot make it end in the same hash. Locks nothing.
    """
    found: list[Violation] = []
    seals = journals = 0
    for chunk in _chunks(since):
        seals += len(chunk)
        journals += sum(block.journals for block in chunk)
        if not found and (broken := _first_broken(chunk)):
            found.append(broken)
    if head and (astray := _astray(head)):
        found.append(astray)
    end = export_head()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*), min(recorded_at) FROM ledger_journal WHERE txid >= %s::text::xid8", [str(end.upto_txid)]
        )
        unsealed, oldest = cursor.fetchone()
    return SealReport(tuple(found), end, seals, journals, unsealed, oldest)


def _chunks(since: datetime | None) -> Iterator[list[Seal]]:
    """Yield runs of consecutive seals, of about `CHUNK_ROWS` rows each."""
    wanted = Seal.objects.defer("leaves").order_by("n")
    if since is not None:
        wanted = wanted.filter(sealed_at__gte=since)
    chunk: list[Seal] = []
    size = 0
    for block in wanted.iterator():
        chunk.append(block)
        size += block.rows
        if size >= CHUNK_ROWS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk


def _first_broken(chunk: Sequence[Seal]) -> Violation | None:
    before = Seal.objects.filter(n=chunk[0].n - 1).only("hash", "upto_txid").first()
    prev, upto, n = (bytes(before.hash), before.upto_txid, chunk[0].n) if before else (ZERO, 0, 1)
    for block in chunk:
        if (block.n, block.from_txid, bytes(block.prev_hash)) != (n, upto, prev) or block.upto_txid <= block.from_txid:
            return Violation("seals_chain", f"seal {block.n}", "does not follow the seal before it")
        prev, upto, n = bytes(block.hash), block.upto_txid, block.n + 1
    with connection.cursor() as cursor:
        cursor.execute(DIGESTS, _values(chunk[0].from_txid, upto, [block.upto_txid for block in chunk]))
        digests = {block: (rows, bytes(digest)) for block, _journals, rows, digest, _none in cursor.fetchall()}
    for place, block in enumerate(chunk):
        rows, digest = digests.get(place, (0, ZERO))
        again = seal_hash(
            prev=bytes(block.prev_hash), n=block.n, from_txid=block.from_txid, upto_txid=block.upto_txid, rows=rows,
            digest=digest,
        )  # fmt: skip
        if again != bytes(block.hash):
            return Violation("seals_match", f"seal {block.n}", _broken_row(block))
    return None


def _broken_row(block: Seal) -> str:
    """Say which row of a broken block was changed, added or removed, or that the seal itself was."""
    stored = bytes(Seal.objects.values_list("leaves", flat=True).get(n=block.n))
    old = [stored[place : place + LEAF] for place in range(0, len(stored), LEAF)]
    with connection.cursor() as cursor:
        cursor.execute(NAMES, _values(block.from_txid, block.upto_txid))
        new = [(name, bytes(leaf)) for name, leaf in cursor.fetchall()]
    for place, (name, leaf) in enumerate(new):
        if place >= len(old):
            return f"{name} was added"
        if leaf != old[place]:
            if len(new) > len(old):
                return f"{name} was added"
            return f"a row before {name} was removed" if len(new) < len(old) else f"{name} was changed"
    return "its last row was removed" if len(new) < len(old) else "the seal itself was changed"


def _astray(head: str) -> Violation | None:
    n, _colon, wanted = head.strip().partition(":")
    stored = Seal.objects.filter(n=int(n) if n.isdecimal() else 0).values_list("hash", flat=True).first()
    if stored is not None and bytes(stored).hex() == wanted.lower():
        return None
    return Violation("seals_head", f"seal {n}", "is not the one that was exported: the chain was rewritten")
