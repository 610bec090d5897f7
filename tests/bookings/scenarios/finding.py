"""Search among many instruments while others book: quick, right, and what is shown can be had."""

from __future__ import annotations

import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import connection, connections

from bench import search as bench
from portal.kernel.errors import PortalError
from scheduler.availability import upkeep
from scheduler.bookings import services
from scheduler.bookings.bundles import Wanted
from scheduler.resources.models import Resource
from scheduler.search import queries
from scheduler.search.rules import Requirement
from tests import make
from tests.bookings.scenarios import scenario
from tests.bookings.scenarios.racing import percentile
from tests.scenarios import is_full

BARS_MS = {"2 h in a category": 150, "4 h with an operator": 300, "24 h anywhere": 150}
"""What the design asks of two idle cores; said beside the figures, since a busy machine proves nothing of it."""


@scenario("S12", commits=True)
def search_while_others_book() -> str:
    """Thousands of instruments, millions of claims: answers equal brute force, what is shown can be booked at once."""
    count, operations, sample = (10_000, 1000, 500) if is_full() else (15, 10, 8)
    w: Any = bench.generate(count, operators=2000 if is_full() else 8)
    now = datetime.now(UTC).replace(microsecond=0)
    checked = bench.check(now, sample=sample) + bench.check(now, hours=24, sample=sample)
    until = now + timedelta(days=30)
    searches = {
        "2 h in a category": Requirement(2 * 3600, now, until, categories=("laser",)),
        "4 h with an operator": Requirement(4 * 3600, now, until, with_operator=True),
        "24 h anywhere": Requirement(24 * 3600, now, until),
    }
    took: dict[str, list[float]] = {name: [] for name in searches}
    stop = threading.Event()

    def look() -> None:
        while not stop.is_set():
            for name, wanted in searches.items():
                began = time.perf_counter()
                queries.find(wanted, now=now, limit=20, spread=False)
                took[name].append(time.perf_counter() - began)
        connections.close_all()

    with ThreadPoolExecutor(2, initializer=connection.ensure_connection) as pool:
        looking = pool.submit(look)
        try:
            booked, shown, cancelled = _live(w, operations, now)
        finally:
            stop.set()
            looking.result()
    assert booked >= 0.99 * shown
    ids = list(Resource.objects.filter(kind="instrument").order_by("pk").values_list("pk", flat=True))
    chosen = random.Random(12).sample(ids, min(sample, len(ids)))
    assert not [one.pk for one in Resource.objects.filter(pk__in=chosen).order_by("pk") if upkeep.differs(one, now=now)]
    no_overlap_of(chosen)
    speed = ", ".join(
        f"{name} p95 {1000 * percentile(times, 0.95):.0f} ms (bar {BARS_MS[name]})" for name, times in took.items()
    )
    return f"{count} instruments, {checked} answers equal brute force, {booked} of {shown} shown slots booked, {cancelled} cancelled, 0 gaps differ; {speed}"


def _live(w: make.World, operations: int, now: datetime) -> tuple[int, int, int]:
    """Book what a search shows, or cancel, at random; return how many were booked, shown, and cancelled."""
    seed, mine = random.Random(11), []
    booked = shown = cancelled = 0
    for number in range(operations):
        if mine and seed.random() < 0.4:
            services.cancel(actor=w.researcher, booking=mine.pop(seed.randrange(len(mine))), now=now)
            cancelled += 1
            continue
        wanted = Requirement(
            seed.choice((1, 2, 4)) * 3600, now + timedelta(days=seed.randrange(20)), now + timedelta(days=30)
        )
        hit = seed.choice(queries.find(wanted, now=now, limit=20, spread=False).hits)
        assert hit.period is not None
        shown += 1
        asked = Wanted(resource=Resource.objects.get(pk=hit.resource_id), period=hit.period, title="随机预约")
        try:
            mine.append(services.request_booking(actor=w.researcher, wanted=asked, now=now, key=f"s12-{number:06d}"))
            booked += 1
        except PortalError as error:
            assert error.code == "refused"
    return booked, shown, cancelled


def no_overlap_of(ids: list[int]) -> None:
    """Assert that no two blocking claims of these resources' units overlap."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM claim a JOIN claim b ON a.id < b.id AND a.resource_id = b.resource_id
               AND a.unit_no = b.unit_no AND a.blocked && b.blocked
               WHERE a.resource_id = ANY(%s) AND claim_blocks(a.state) AND claim_blocks(b.state)""",
            [ids],
        )
        assert cursor.fetchone() == (0,)
