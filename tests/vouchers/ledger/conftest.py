"""Committed data for tests with several connections: the ledger cannot be emptied by the usual flush."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import connection, connections

TABLES = "ledger_refusal, ledger_seal, ledger_period, ledger_hold_open, ledger_hold_resolution, ledger_transfer, ledger_hold, ledger_journal, ledger_balance, ledger_account"


@pytest.fixture
def committed(django_db_setup: None, django_db_blocker: pytest.FixtureDef) -> Iterator[None]:
    """Let a test commit from up to 20 connections; afterwards empty the ledger as only a superuser can."""
    options = connections.settings["default"]["OPTIONS"]
    pool = options["pool"]
    with django_db_blocker.unblock():
        connection.close()
        connection.close_pool()
        assert connection.settings_dict["NAME"].startswith("test_"), "only a database made for tests is ever emptied"
        options["pool"] = {"min_size": 1, "max_size": 20, "timeout": 30}
        try:
            yield
        finally:
            with connection.cursor() as cursor:
                cursor.execute("SET session_replication_role = replica")
                cursor.execute(f"TRUNCATE {TABLES}")
                cursor.execute("SET session_replication_role = origin")
            connection.close()
            connection.close_pool()
            options["pool"] = pool
