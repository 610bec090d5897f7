"""Rivals for one slot, for bundles and for places. Source of the figures: the double-booking threads of the field's open
systems, in which ten parallel requests suffice."""

from __future__ import annotations

import json
import random
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import pairwise
from typing import Any
from urllib.parse import urlsplit

from django.db import connection, connections, transaction

from portal.kernel.actors import Actor
from portal.kernel.period import Period, merge
from scheduler.availability import claiming, opening, queries
from scheduler.availability.models import BLOCKING, Claim
from scheduler.bookings.models import Booking
from scheduler.resources.models import Resource
from tests import calling, make
from tests.bookings.scenarios import naive, scenario
from tests.bookings.workers import api_workers
from tests.scenarios import is_full

QUARTER = timedelta(minutes=15)
CONNECTIONS = 10
"""As many threads as find a connection in one process's pool beside the test's own."""


def no_overlap() -> None:
    """Assert that no two blocking claims of one unit overlap: asked of the rows, not of the constraint."""
    with connection.cursor() as cursor:
        cursor.execute(
            """SELECT count(*) FROM claim a JOIN claim b ON a.id < b.id AND a.resource_id = b.resource_id
               AND a.unit_no = b.unit_no AND a.blocked && b.blocked
               WHERE a.state = ANY(%(blocking)s) AND b.state = ANY(%(blocking)s)""",
            {"blocking": list(BLOCKING)},
        )
        assert cursor.fetchone() == (0,)


def deadlocks() -> int:
    """Return how many deadlocks PostgreSQL has ended in this database so far."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT pg_stat_clear_snapshot(), deadlocks FROM pg_stat_database WHERE datname = current_database()"
        )
        return int(cursor.fetchone()[1])


def rivals(count: int) -> list[Actor]:
    """Return researchers of `count` enterprises."""
    roles = make.roles
    return [make.actor(make.organisation(roles.Kind.ENTERPRISE), roles.Role.RESEARCHER) for _ in range(count)]


def percentile(seconds: list[float], share: float) -> float:
    return sorted(seconds)[min(len(seconds) - 1, int(len(seconds) * share))]


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said, and after how many seconds. Asked without a client library: 200 askers share this process,
    and what they take is measured with what they wait for."""

    status: int
    body: Any
    started: float
    seconds: float

    @classmethod
    def to_post(cls, url: str, body: str, headers: dict[str, str]) -> Answer:
        """Post over a connection of its own."""
        parts = urlsplit(url)
        started = time.perf_counter()
        with closing(HTTPConnection(parts.netloc, timeout=60)) as connected:
            connected.request("POST", parts.path, body.encode(), headers)
            answer = connected.getresponse()
            content = answer.read()
        return cls(answer.status, json.loads(content), started, time.perf_counter() - started)


@scenario("S1", commits=True)
def one_slot_for_many() -> str:
    """Everybody asks live API workers for the same slot at once: one gets it, the others get free alternatives."""
    rounds, users, workers = (50, 200, 4) if is_full() else (2, 12, 1)
    w, now = make.world(), datetime.now(UTC)
    resource = make.instrument(w, now=now)
    secrets = [calling.token_of(someone)[1] for someone in rivals(users)]
    took: list[float] = []
    spread: list[float] = []

    def one_round(address: str, day: int) -> list[Answer]:
        period, gate = make.slot(day, now=now), threading.Barrier(users)
        wanted = {"instrument": resource.number, "title": "抢同一时段", "starts_at": period.start.isoformat()}
        wanted["ends_at"] = period.end.isoformat()
        body = json.dumps(wanted)

        def ask(number: int) -> Answer:
            headers = {"Authorization": f"Bearer {secrets[number]}", "Content-Type": "application/json"}
            headers["Idempotency-Key"] = f"s1-day-{day}-user-{number}"
            gate.wait()
            answer = Answer.to_post(f"{address}/api/v1/bookings", body, headers)
            took.append(answer.seconds)
            return answer

        answers = list(pool.map(ask, range(users)))
        spread.append(max(answer.started for answer in answers) - min(answer.started for answer in answers))
        return answers

    with api_workers(workers) as address, ThreadPoolExecutor(users) as pool:
        for day in range(1, rounds + 1):
            answers = one_round(address, day)
            assert sorted(answer.status for answer in answers) == [201, *[409] * (users - 1)], answers[0].body
            refused = [answer.body["data"]["alternatives"] for answer in answers if answer.status == 409]
            assert all(len(alternatives) >= 3 for alternatives in refused)
            free = {tuple(alternative.values()) for alternatives in refused for alternative in alternatives}
            assert not any(_taken(resource, *map(datetime.fromisoformat, span)) for span in free)
    assert Booking.objects.count() == rounds
    no_overlap()
    doubled = naive.double_booked(resource, rounds=rounds, rivals=32)
    assert doubled >= (0.9 * rounds if is_full() else 1), "the naive variant must double-book, or this proves nothing"
    return (
        f"{rounds} booked, {rounds * (users - 1)} refused, no 5xx, all asked within {max(spread) * 1000:.0f} ms (bar 50), "
        f"p50 {percentile(took, 0.5):.2f} s, p99 {percentile(took, 0.99):.2f} s (bar 1); look-then-insert double-books {doubled} of {rounds} slots"
    )


def _taken(resource: Resource, start: datetime, end: datetime) -> bool:
    return Claim.objects.filter(resource=resource, state__in=BLOCKING, blocked__overlap=(start, end)).exists()


def bench(w: make.World, *, capacity: int = 1, counting: str = "units") -> Resource:
    """Return something bookable by the quarter of an hour, in `capacity` units or counted places."""
    resource = make.instrument(w, granularity_s=900, min_duration_s=900)
    Resource.objects.filter(pk=resource.pk).update(capacity=capacity, counting=counting)
    resource.refresh_from_db()
    opening.rebuild([resource], now=make.NOW)
    return resource


def ask(resource: Resource, period: Period, units: int = 1) -> claiming.Ask:
    return claiming.Ask(resource, period, period, units=units)


@scenario("S2", commits=True)
def bundles_in_either_order() -> str:
    """Two things each are asked for in opposite orders: whole bundles only, and no deadlock."""
    rounds, clients = (40, 64) if is_full() else (4, 8)
    w = make.world()
    one, two = bench(w), bench(w)
    before, took = deadlocks(), list[float]()

    def both(round_: int, number: int) -> bool:
        started = time.perf_counter()
        period = make.slot(1 + round_)
        asks = [ask(one, period), ask(two, period)]
        try:
            with transaction.atomic():
                claiming.occupy(asks[:: -1 if number % 2 else 1], state=Claim.State.CONFIRMED, booking_id=None)
        except claiming.Taken:
            return False
        finally:
            took.append(time.perf_counter() - started)
        return True

    with ThreadPoolExecutor(min(clients, CONNECTIONS), initializer=connection.ensure_connection) as pool:
        for round_ in range(rounds):
            assert sum(pool.map(lambda number, round_=round_: both(round_, number), range(clients))) == 1
        _close(pool)
    assert Claim.objects.filter(state=Claim.State.CONFIRMED).count() == 2 * rounds
    assert deadlocks() == before
    return f"{rounds} bundles, none in halves, no deadlock, p99 {percentile(took, 0.99) * 1000:.0f} ms"


def _close(pool: ThreadPoolExecutor) -> None:
    """Close the connections that the pool's threads opened."""
    gate = threading.Barrier(len(pool._threads))

    def close(_number: int) -> None:
        gate.wait()
        connections.close_all()

    list(pool.map(close, range(len(pool._threads))))


@scenario("S3", commits=True)
def places_are_counted() -> str:
    """One to three of eight places for a quarter of an hour to four hours: never more than eight, and no refusal in vain."""
    requests, clients = (4800, CONNECTIONS) if is_full() else (160, 8)
    w, seed = make.world(), random.Random(3)
    resource = bench(w, capacity=8, counting="fungible")
    first = make.slot(1, "08:00", "09:00").start
    wanted = []
    for _ in range(requests):
        start = first + timedelta(days=seed.randrange(20 if is_full() else 1)) + QUARTER * seed.randrange(40)
        wanted.append((Period(start, start + QUARTER * seed.randint(1, 16)), seed.randint(1, 3)))
    order: list[tuple[Period, int, bool]] = []
    before = deadlocks()

    def take(number: int) -> None:
        period, units = wanted[number]
        with transaction.atomic():
            try:
                with transaction.atomic():
                    claiming.occupy([ask(resource, period, units)], state=Claim.State.CONFIRMED, booking_id=None)
                got = True
            except claiming.Taken:
                got = False
            # The resource's lock is held until the commit, so this is the order of commits.
            order.append((period, units, got))

    started = time.perf_counter()
    with ThreadPoolExecutor(clients, initializer=connection.ensure_connection) as pool:
        list(pool.map(take, range(requests)))
        seconds = time.perf_counter() - started
        _close(pool)
    held: list[tuple[Period, int]] = []
    for period, units, got in order:
        fits = _peak(held, period) + units <= 8
        assert got == fits, (period, units, got)
        held += [(period, units)] * got
    assert deadlocks() == before
    assert len(order) == requests
    assert Claim.objects.count() == len(held)
    return f"{len(held)} taken, {requests - len(held)} refused, each rightly, no deadlock, {requests / seconds:.0f} requests/s"


def _peak(held: list[tuple[Period, int]], span: Period) -> int:
    """Return the most places taken at any moment of `span`, by looking at each moment at which one begins."""
    near = [(max(period.start, span.start), period.end, units) for period, units in held if period.overlaps(span)]
    return max((sum(u for start, end, u in near if start <= moment < end) for moment, _end, _units in near), default=0)


def recomputed(resource: Resource) -> set[tuple[int, Period]]:
    """Return the free time of a resource of numbered units by brute force, from open periods and claims."""
    opened = merge(queries.period_of(row.during) for row in resource.open_periods.filter(audience="everybody"))
    claims = list(Claim.objects.filter(resource=resource, state__in=BLOCKING))
    found = set()
    for unit in range(1, resource.capacity + 1):
        for gap in opened:
            edges = [gap.start]
            for claim in sorted((c.blocked for c in claims if c.unit_no == unit), key=lambda b: b.lower):
                edges += [min(max(claim.lower, gap.start), gap.end), min(max(claim.upper, gap.start), gap.end)]
            edges.append(gap.end)
            found |= {(unit, Period(a, b)) for a, b in list(pairwise(edges))[::2] if a < b}
    return found
