"""What the sandbox holds: one SQLite file, written in one transaction per act, so that a kill loses nothing acknowledged."""

from __future__ import annotations

import contextlib
import json
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

__all__ = ["Object", "Store"]

Object = dict[str, Any]

TABLES = """
CREATE TABLE IF NOT EXISTS object (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, kind TEXT NOT NULL, account TEXT NOT NULL,
    created INTEGER NOT NULL, body TEXT NOT NULL,
    intent TEXT GENERATED ALWAYS AS (json_extract(body, '$.payment_intent')) VIRTUAL);
CREATE INDEX IF NOT EXISTS object_kind ON object (kind, account, seq);
CREATE INDEX IF NOT EXISTS object_intent ON object (intent) WHERE intent IS NOT NULL;
CREATE INDEX IF NOT EXISTS object_open ON object (account, json_extract(body, '$.expires_at'))
    WHERE kind = 'checkout.session' AND json_extract(body, '$.status') = 'open';
CREATE INDEX IF NOT EXISTS object_moved ON object (account, json_extract(body, '$.currency'), json_extract(body, '$.net'),
    json_extract(body, '$.available_on')) WHERE kind = 'balance_transaction';
CREATE TABLE IF NOT EXISTS kept (
    account TEXT NOT NULL, key TEXT NOT NULL, fingerprint TEXT NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL,
    request TEXT NOT NULL, created INTEGER NOT NULL, PRIMARY KEY (account, key)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS delivery (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL, url TEXT NOT NULL, due REAL NOT NULL, state TEXT NOT NULL,
    tries INTEGER NOT NULL DEFAULT 0, status INTEGER, answer TEXT NOT NULL DEFAULT '', twist TEXT NOT NULL DEFAULT '{}');
CREATE INDEX IF NOT EXISTS delivery_due ON delivery (due) WHERE state = 'waiting';
CREATE TABLE IF NOT EXISTS fault (seq INTEGER PRIMARY KEY AUTOINCREMENT, body TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, request TEXT NOT NULL, method TEXT NOT NULL, path TEXT NOT NULL,
    key TEXT NOT NULL, status INTEGER NOT NULL, fault TEXT NOT NULL, at REAL NOT NULL);
"""
EVERYTHING = ("object", "kept", "delivery", "fault", "setting", "asked")


class Store:
    """One connection, one lock: acts happen one after the other. Bodies are the objects as the API shows them."""

    def __init__(self, path: Path) -> None:
        self.lock = threading.RLock()
        self.connection = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self.connection.execute("PRAGMA journal_mode=WAL")
        self.connection.execute("PRAGMA synchronous=NORMAL")
        self.connection.executescript(TABLES)

    def close(self) -> None:
        with self.lock:
            self.connection.close()

    @contextlib.contextmanager
    def transaction(self) -> Iterator[None]:
        """Hold the lock and write all or nothing; an inner one belongs to the outer."""
        with self.lock:
            if self.connection.in_transaction:
                yield
                return
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    @contextlib.contextmanager
    def undoable(self) -> Iterator[Undo]:
        """Write so that the part can be taken back by `Undo.now` without the rest."""
        self.connection.execute("SAVEPOINT part")
        undo = Undo(self.connection)
        try:
            yield undo
        finally:
            self.connection.execute("RELEASE part")

    def rows(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        with self.lock:
            return self.connection.execute(query, values).fetchall()

    def run(self, query: str, *values: object) -> int:
        """Write and return how many rows were touched."""
        with self.lock:
            return self.connection.execute(query, values).rowcount

    # objects

    def put(self, found: Object, account: str = "") -> None:
        self.run(
            "INSERT INTO object (id, kind, account, created, body) VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            found["id"],
            found["object"],
            account,
            found.get("created", 0),
            json.dumps(found, ensure_ascii=False),
        )

    def get(self, identifier: str, account: str = "") -> Object | None:
        found = self.rows("SELECT body FROM object WHERE id = ? AND account = ?", identifier, account)
        return json.loads(found[0][0]) if found else None

    def seq(self, identifier: str) -> int | None:
        found = self.rows("SELECT seq FROM object WHERE id = ?", identifier)
        return int(found[0][0]) if found else None

    def select(
        self, kind: str, account: str = "", where: Mapping[str, object] | None = None, more: str = "", *values: object
    ) -> list[Object]:
        """Return objects newest first. `where` compares fields of the body, `more` is further SQL of ours."""
        query, given = "SELECT body FROM object WHERE kind = ? AND account = ?", [kind, account]
        for field, value in (where or {}).items():
            query += " AND intent = ?" if field == "payment_intent" else f" AND json_extract(body, '$.{field}') = ?"
            given.append(str(value))
        return [json.loads(row[0]) for row in self.rows(query + (more or " ORDER BY seq DESC"), *given, *values)]

    # small things

    def setting(self, name: str, default: str = "") -> str:
        found = self.rows("SELECT value FROM setting WHERE name = ?", name)
        return str(found[0][0]) if found else default

    def set(self, name: str, value: str) -> None:
        self.run(
            "INSERT INTO setting VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value", name, value
        )

    def reset(self) -> None:
        """Forget everything."""
        with self.transaction():
            for table in EVERYTHING:
                self.run(f"DELETE FROM {table}")  # noqa: S608 - names of ours


class Undo:
    """Takes back what was written since the part began."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self.connection = connection

    def now(self) -> None:
        self.connection.execute("ROLLBACK TO part")
