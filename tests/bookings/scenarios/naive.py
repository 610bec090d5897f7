"""How others do it: look whether the time is free, then insert. Kept to show that the race of S1 is a real one."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import timedelta

import psycopg
from django.db import connection

from scheduler.resources.models import Resource
from tests import make

__all__ = ["double_booked"]

GUN = 20261126
"""The advisory lock whose release starts a round."""
LOGIN = {"dbname", "user", "password", "host", "port"}


def double_booked(resource: Resource, *, rounds: int, rivals: int) -> int:
    """Let `rivals` ask for one slot at once, `rounds` times; return how many slots went to more than one of them.

    The table is shaped like ``claim`` and has no constraint; each rival looks, finds nothing, reads the price, and writes.
    All of a round wait inside PostgreSQL for one lock to be released, so none has a head start over those a scheduler
    wakes later.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE naive_claim (resource_id bigint, during tstzrange)")

    def look_then_insert(own: psycopg.Connection, round_: int) -> None:
        start = make.slot().start + timedelta(days=round_)
        span = [resource.pk, start, start + timedelta(hours=2)]
        with own.transaction():
            own.execute("SELECT pg_advisory_xact_lock_shared(%s)", [GUN])
            free = own.execute(
                "SELECT count(*) FROM naive_claim WHERE resource_id = %s AND during && tstzrange(%s, %s)", span
            )
            if free.fetchone() == (0,):
                own.execute("SELECT amount_fen FROM rate WHERE resource_id = %s", span[:1]).fetchone()
                own.execute("INSERT INTO naive_claim VALUES (%s, tstzrange(%s, %s))", span)

    try:
        with ExitStack() as open_, ThreadPoolExecutor(rivals) as pool, connection.cursor() as cursor:
            said = {name: value for name, value in connection.get_connection_params().items() if name in LOGIN}
            own = [open_.enter_context(psycopg.connect(**said)) for _ in range(rivals)]
            for number, one in enumerate(own, start=1):
                look_then_insert(
                    one, -number
                )  # the first statements of a connection take longer, and each its own time
            for round_ in range(rounds):
                cursor.execute("SELECT pg_advisory_lock(%s)", [GUN])
                asked = [pool.submit(look_then_insert, one, round_) for one in own]
                _until_all_wait(rivals)
                cursor.execute("SELECT pg_advisory_unlock(%s)", [GUN])
                for one in asked:
                    one.result()
            cursor.execute(
                "SELECT count(*) FROM (SELECT FROM naive_claim GROUP BY during HAVING count(*) > 1) AS double"
            )
            return int(cursor.fetchone()[0])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE naive_claim")


def _until_all_wait(rivals: int) -> None:
    until = time.monotonic() + 30
    with connection.cursor() as cursor:
        while time.monotonic() < until:
            cursor.execute(
                "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted AND objid = %s"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
                [GUN],
            )
            if cursor.fetchone() == (rivals,):
                return
            time.sleep(0.005)
    raise AssertionError("not all rivals are at the start")
