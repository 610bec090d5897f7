"""What every test may use. The engines come from ``DATABASE_URL`` and ``REDIS_URL`` (``make test`` brings them up)."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from django.conf import settings
from django.db import connections, transaction
from django.db.backends.postgresql.operations import DatabaseOperations
from django.utils import translation
from hypothesis import settings as hypothesis_settings

from tests import make

hypothesis_settings.register_profile("portal", deadline=None)
hypothesis_settings.load_profile("portal")


def _flush(self: DatabaseOperations, statements: Iterable[str]) -> None:
    """Empty the tables after a transactional test. Audit and ledger refuse TRUNCATE, so their triggers sleep for it."""
    alias = self.connection.alias
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        for statement in statements:
            cursor.execute(statement)


DatabaseOperations.execute_sql_flush = _flush  # type: ignore[method-assign]


def pytest_configure() -> None:
    """Serve static files by name: pages under test need no collected manifest, and WhiteNoise an existing folder."""
    settings.STORAGES["staticfiles"] = {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}
    settings.STATIC_ROOT.mkdir(parents=True, exist_ok=True)


@pytest.fixture(autouse=True)
def _chinese() -> Iterable[None]:
    """Begin and end every test in Chinese: a page read in English leaves its language behind in the thread."""
    translation.activate(settings.LANGUAGE_CODE)
    yield
    translation.activate(settings.LANGUAGE_CODE)


@pytest.fixture
def w(db: None) -> make.World:
    """A department, a lab and an enterprise with their people."""
    return make.world()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock at `make.NOW` for callers from outside, who cannot say what time it is."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)
