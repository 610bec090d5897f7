"""What every test may use. The engines come from ``DATABASE_URL`` and ``REDIS_URL`` (``make test`` brings them up)."""

from __future__ import annotations

import gc
import re
from collections.abc import Callable, Iterable
from typing import TypeVar

import pytest
from django.conf import settings
from django.core.management.commands import flush
from django.db import connections, transaction
from django.db.backends.postgresql.operations import DatabaseOperations
from django.utils import translation
from hypothesis import settings as hypothesis_settings
from pytest_django import DjangoDbBlocker

from tests import make, standing
from tests.payserver import PayServer, running
from tests.sharing_out import pytest_collection_modifyitems, pytest_xdist_make_scheduler  # noqa: F401 - hooks
from tests.standing import pytest_runtest_setup  # noqa: F401 - a hook

T = TypeVar("T")

hypothesis_settings.register_profile("portal", deadline=None)
hypothesis_settings.load_profile("portal")


STANDING = {"django_content_type", "auth_permission"}
"""Written once by the migrations' signal, which need not run again while they stay."""


def _flush(self: DatabaseOperations, statements: Iterable[str]) -> None:
    """Empty the tables after a transactional test: Django says which, in one TRUNCATE.

    Rows are deleted instead, since TRUNCATE writes a hundred tables and their indexes anew (a second where this takes
    hundredths), and with sleeping triggers, since audit and ledger refuse both.
    """
    tables = sorted({name for statement in statements for name in re.findall(r'"(\w+)"', statement)} - STANDING)
    alias = self.connection.alias
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:
        cursor.execute("SET LOCAL session_replication_role = replica")
        cursor.execute("".join(f'DELETE FROM "{table}";' for table in tables))


DatabaseOperations.execute_sql_flush = _flush  # type: ignore[method-assign]
flush.emit_post_migrate_signal = lambda *_args, **_kwargs: None


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what stays to the end: ten thousand tests and the portal's own modules."""
    gc.collect()
    gc.freeze()


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


@pytest.fixture(scope="module")
def stage(
    django_db_setup: None, django_db_blocker: DjangoDbBlocker
) -> Iterable[Callable[[Callable[[], T]], Callable[[], T]]]:
    """Build once what all tests of a file begin from: ``@stage`` over what builds it gives each test its own copy."""
    with standing.stage(django_db_blocker) as around:
        yield around.built


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Stop the clock at `make.NOW` for callers from outside, who cannot say what time it is."""
    monkeypatch.setattr("django.utils.timezone.now", lambda: make.NOW)


@pytest.fixture(scope="session")
def _payserver(tmp_path_factory: pytest.TempPathFactory) -> Iterable[PayServer]:
    with running(tmp_path_factory.mktemp("payserver")) as server:
        yield server


@pytest.fixture
def payserver(_payserver: PayServer) -> PayServer:
    """The sandbox payment server, empty; webhooks wait until they are taken."""
    _payserver.reset()
    return _payserver
