"""What every test may use. The engines come from ``DATABASE_URL`` and ``REDIS_URL`` (``make test`` brings them up)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from django.db import connections, transaction
from django.db.backends.postgresql.operations import DatabaseOperations

from tests import make


def _flush(self: DatabaseOperations, statements: Iterable[str]) -> None:
    """Empty the tables after a transactional test. Audit and ledger refuse TRUNCATE, so their triggers sleep for it."""
    alias = self.connection.alias
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)


DatabaseOperations.execute_sql_flush = _flush  # type: ignore[method-assign]


@pytest.fixture
def w(db: None) -> make.World:
    """A department, a lab and an enterprise with their people."""
    return make.world()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock at `make.NOW` for callers from outside, who cannot say what time it is."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
