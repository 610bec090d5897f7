"""How others do it: look whether the time is free, then insert. Kept to show that the race of S1 is a real one."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from django.db import connection, connections, transaction

from scheduler.resources.models import Resource
from tests import make

__all__ = ["double_booked"]


def double_booked(resource: Resource, *, rounds: int, rivals: int) -> int:
    """Let `rivals` ask for one slot at once, `rounds` times; return how many slots went to more than one of them.

    The table is shaped like ``claim`` and has no constraint; each rival reads, finds nothing, and writes.
    """
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE naive_claim (resource_id bigint, during tstzrange)")
    gate = threading.Barrier(rivals)

    def look_then_insert(number: int) -> None:
        for round_ in range(rounds):
            start = make.slot().start + timedelta(days=round_)
            span = [resource.pk, start, start + timedelta(hours=2)]
            gate.wait()
            with transaction.atomic(), connection.cursor() as cursor:
                cursor.execute(
                    "SELECT count(*) FROM naive_claim WHERE resource_id = %s AND during && tstzrange(%s, %s)", span
                )
                if cursor.fetchone() == (0,):
                    cursor.execute("INSERT INTO naive_claim VALUES (%s, tstzrange(%s, %s))", span)
        connections.close_all()

    try:
        with ThreadPoolExecutor(rivals) as pool:
            list(pool.map(look_then_insert, range(rivals)))
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT count(*) FROM (SELECT FROM naive_claim GROUP BY during HAVING count(*) > 1) AS double"
            )
            return int(cursor.fetchone()[0])
    finally:
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE naive_claim")
