"""Measure search, week grid and booking among 10,000 instruments and 2 million claims, against a reference in one run.

    DATABASE_URL=postgresql://… python bench/search.py [instruments]

The reference counts the published instruments, a scan of the table all searches begin with. It runs before and after each
candidate, so a noisy machine hurts all alike; a line gives the median, the 95th percentile and the median's ratio to the
reference. Answers of a sample are held against brute force. The database must be empty and its user a superuser: triggers
rest while the data are made. It is migrated here, and keeps what was made.
"""

from __future__ import annotations

import os
import random
import statistics
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ.setdefault("DJANGO_SETTINGS_MODULE", "bench.serving")

DAYS = 90
OPERATORS = 2_000
CALLS = 20
SAMPLE = 100
CITIES = ["杭州", "宁波", "温州", "嘉兴", "湖州", "绍兴", "金华", "衢州", "舟山", "台州", "丽水"]
COPIES = """
INSERT INTO {table} SELECT (jsonb_populate_record(NULL::{table}, to_jsonb(t) || {changes})).*
FROM {table} t, generate_series(1, %(count)s) AS n WHERE t.{key} = %(model)s
"""
# Up to three uses of one to three hours a day, four hours apart, so that none can meet another; about 200 in 90 days.
# Every tenth instrument never closes and rests two days in seven: there a use of a day and a night fits.
CLAIMS = """
INSERT INTO claim (resource_id, during, blocked, state, note, role, unit_no, units)
SELECT r, tstzrange(s, s + l), tstzrange(s, s + l), 'confirmed', '', 'main', 1, 1
FROM generate_series(%(base)s + 1, %(base)s + %(count)s) AS r, generate_series(0, %(days)s - 1) AS d,
    generate_series(0, 2) AS k,
    LATERAL (SELECT abs(hashint8(r * 100003 + d * 7 + k)::bigint) AS h) AS hash,
    LATERAL (SELECT %(day)s + make_interval(days => d, hours => 8 + 4 * k, mins => (h / 100 %% 3)::int * 30) AS s,
        make_interval(mins => 60 + (h / 1000 %% 5)::int * 30) AS l) AS use
WHERE h %% 100 < 77 AND (d %% 7 < 5 OR (r - %(base)s) %% 10 <> 0)
"""
OPEN = """
INSERT INTO open_period (resource_id, during, audience, is_automatic)
SELECT r, tstzrange(%(day)s + make_interval(days => d, hours => 8), %(day)s + make_interval(days => d, hours => 22)),
    'everybody', false
FROM generate_series(%(base)s + 1, %(base)s + %(count)s) AS r, generate_series(0, %(days)s - 1) AS d
WHERE r > %(base)s + %(real)s OR (r - %(base)s) %% 10 <> 0
UNION ALL
SELECT r, tstzrange(%(day)s, %(day)s + make_interval(days => %(days)s)), 'everybody', false
FROM generate_series(%(base)s + 10, %(base)s + %(real)s, 10) AS r
"""
# What is free, day by day, from the claims just made: read once in order, not looked up a million times.
GAPS = """
WITH used AS (
    SELECT resource_id, (lower(during) AT TIME ZONE 'Asia/Shanghai')::date AS day, range_agg(blocked) AS blocked
    FROM claim WHERE resource_id > %(base)s GROUP BY 1, 2
)
INSERT INTO free_gap (resource_id, unit_no, during)
SELECT o.resource_id, 1, gap
FROM open_period o
LEFT JOIN used u ON u.resource_id = o.resource_id AND u.day = (lower(o.during) AT TIME ZONE 'Asia/Shanghai')::date,
    LATERAL unnest(tstzmultirange(o.during) - coalesce(u.blocked, '{}'::tstzmultirange)) AS gap
WHERE o.resource_id > %(base)s AND upper(o.during) - lower(o.during) < interval '1 day'
"""
NIGHT_AND_DAY = """
WITH used AS (
    SELECT resource_id, range_agg(blocked) AS blocked FROM claim
    WHERE resource_id > %(base)s AND (resource_id - %(base)s) %% 10 = 0 GROUP BY 1
)
INSERT INTO free_gap (resource_id, unit_no, during)
SELECT o.resource_id, 1, gap
FROM open_period o LEFT JOIN used u ON u.resource_id = o.resource_id,
    LATERAL unnest(tstzmultirange(o.during) - coalesce(u.blocked, '{}'::tstzmultirange)) AS gap
WHERE o.resource_id > %(base)s AND upper(o.during) - lower(o.during) > interval '1 day'
"""
SKILLS = """
INSERT INTO skill (instrument_id, operator_id, valid)
SELECT %(base)s + n, %(base)s + %(count)s + 1 + n %% %(operators)s, daterange(%(today)s, %(today)s + 366)
FROM generate_series(1, %(count)s) AS n
"""
TABLES = ("claim", "free_gap", "open_period")
# Indexes over ranges rest with the triggers: built once at the end, they cost a third of what row by row does.
CONSTRAINTS = """
SELECT c.conrelid::regclass, c.conname, pg_get_constraintdef(c.oid) FROM pg_constraint c
WHERE c.contype = 'x' AND c.conrelid IN ('claim'::regclass, 'free_gap'::regclass)
"""
INDEX = "SELECT pg_get_indexdef('open_period_of_resource'::regclass)"


def generate(count: int, *, operators: int = OPERATORS) -> Any:
    """Fill the database by SQL; return the world the instruments belong to, each a copy of one made by the services."""
    from django.core.management import call_command
    from django.db import connection

    from tests import make

    call_command("migrate", verbosity=0)
    now = datetime.now(UTC).replace(microsecond=0)
    w = make.world()
    base = make.instrument(w, now=now, horizon_s=80 * 86400).pk
    day = datetime.combine(now.astimezone(make.BEIJING).date(), datetime.min.time(), make.BEIJING)
    values: dict[str, Any] = {
        "base": base,
        "model": base,
        "count": count,
        "real": count,
        "operators": operators,
        "days": DAYS,
        "day": day,
        "today": day.date(),
        "cities": CITIES,
    }
    started = time.perf_counter()
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        cursor.execute(CONSTRAINTS)
        constraints = cursor.fetchall()
        cursor.execute(INDEX)
        (index,) = cursor.fetchone()
        cursor.execute("DROP INDEX open_period_of_resource")
        for table, name, _definition in constraints:
            cursor.execute(f"ALTER TABLE {table} DROP CONSTRAINT {name}")
        everything = _copy(cursor, values)
        cursor.execute(SKILLS, values)
        cursor.execute(OPEN, everything)
        cursor.execute(CLAIMS, values)
        print(f"claims after {time.perf_counter() - started:.0f} s", flush=True)
        cursor.execute("ANALYZE claim")
        cursor.execute("ANALYZE open_period")
        cursor.execute(GAPS, values)
        cursor.execute(NIGHT_AND_DAY, values)
        print(f"gaps after {time.perf_counter() - started:.0f} s", flush=True)
        cursor.execute(index)
        for table, name, definition in constraints:
            cursor.execute(f"ALTER TABLE {table} ADD CONSTRAINT {name} {definition}")
        for table in TABLES:
            cursor.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
        cursor.execute("ANALYZE")
        cursor.execute("SELECT (SELECT count(*) FROM claim), (SELECT count(*) FROM free_gap)")
        claims, gaps = cursor.fetchone()
    print(f"{count} instruments, {claims:,} claims, {gaps:,} gaps in {time.perf_counter() - started:.0f} s", flush=True)
    return w


def _copy(cursor: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Copy the model instrument, with its price and hours; operators are the copies beyond `count`."""
    count = values["count"]
    everything = {**values, "count": count + values["operators"]}
    cursor.execute(
        COPIES.format(
            table="resource",
            key="id",
            changes="jsonb_build_object('id', t.id + n, 'number', 'BENCH-' || n, 'name', '仪器 ' || n,"
            " 'city', (%(cities)s::text[])[1 + n %% 11], 'internal_no', '',"
            " 'max_duration_s', CASE WHEN n %% 10 = 0 THEN 259200 ELSE t.max_duration_s END,"
            " 'kind', CASE WHEN n > %(real)s THEN 'operator' ELSE 'instrument' END)",
        ),
        everything,
    )
    categories = [choice.value for choice in _categories()]
    cursor.execute(
        COPIES.format(
            table="instrument",
            key="resource_id",
            changes="jsonb_build_object('resource_id', t.resource_id + n,"
            " 'category', (%(categories)s::text[])[1 + n %% 15], 'search_text', '仪器 ' || n || E'\\nyiqi ' || n)",
        ),
        {**values, "categories": categories},
    )
    cursor.execute(
        COPIES.format(
            table="rate",
            key="resource_id",
            changes="jsonb_build_object('id', t.id + n, 'resource_id', t.resource_id + n,"
            " 'amount_fen', 10000 + n %% 97 * 1000)",
        ),
        values,
    )
    cursor.execute(
        COPIES.format(
            table="opening_hours",
            key="resource_id",
            changes="jsonb_build_object('id', t.id + n, 'resource_id', t.resource_id + n)",
        ),
        everything,
    )
    for table in ("resource", "rate", "opening_hours"):
        cursor.execute(f"SELECT setval(pg_get_serial_sequence('{table}', 'id'), max(id)) FROM {table}")
    return everything


def _categories() -> Any:
    from scheduler.resources.rules import Category

    return Category


def reference() -> float:
    """Return the seconds of one count of the published instruments."""
    from django.db import connection

    with connection.cursor() as cursor:
        began = time.perf_counter()
        cursor.execute("SELECT count(*) FROM resource WHERE state = 'published' AND name <> ''")
        cursor.fetchone()
        return time.perf_counter() - began


def compare(name: str, act: Callable[[int], object]) -> None:
    """Print what `act` takes, beside the reference run before and after each call."""
    act(0)
    anchors, times = [], []
    for number in range(1, CALLS + 1):
        anchors.append(reference())
        began = time.perf_counter()
        act(number)
        times.append(time.perf_counter() - began)
        anchors.append(reference())
    median, anchor = statistics.median(times), statistics.median(anchors)
    slowest = statistics.quantiles(times, n=20)[18]
    print(
        f"{name:<52} median {median * 1000:7.1f} ms  p95 {slowest * 1000:7.1f} ms  "
        f"reference {anchor * 1000:5.1f} ms  ratio {median / anchor:6.1f}",
        flush=True,
    )


def check(now: datetime, *, hours: int = 2, sample: int = SAMPLE) -> int:
    """Hold the answers for a sample of instruments against brute force; return how many are free, and how soon, as said.

    Raises AssertionError at the first difference: time that is not free, not the first, or not found.
    """
    from portal.kernel.period import Period
    from scheduler.availability import queries as availability
    from scheduler.availability import rules as opening
    from scheduler.resources.models import Resource
    from scheduler.search import queries, rules

    wanted = rules.Requirement(hours * 3600, now, now + timedelta(days=7))
    found = {hit.resource_id: hit.period for hit in queries.find(wanted, now=now, limit=100_000).hits}
    known = Resource.objects.filter(kind="instrument", state="published")
    chosen = random.Random(1).sample(sorted(known.values_list("pk", flat=True)), min(sample, known.count()))
    free = 0
    for resource in known.filter(pk__in=chosen):
        starts = opening.alternatives(
            availability.free_periods(resource, window=Period(now, now + timedelta(days=7)), now=now),
            duration=timedelta(hours=hours),
            granularity=timedelta(seconds=resource.granularity_s),
            zone=resource.zone,
            near=now,
            count=1,
        )
        first = starts[0] if starts and hours * 3600 <= resource.max_duration_s else None
        assert found.get(resource.pk) == first, resource.number
        free += first is not None
    print(f"{hours} h: {len(chosen)} answers equal brute force, {free} of them free", flush=True)
    return len(chosen)


def main(count: int = 10_000) -> None:
    import django

    django.setup()
    from django.conf import settings
    from django.test import Client

    from scheduler.bookings import bundles
    from scheduler.bookings import services as bookings
    from scheduler.resources.models import Resource
    from scheduler.search import queries, rules
    from tests import make

    settings.ALLOWED_HOSTS.append("testserver")
    w = generate(count)
    now = datetime.now(UTC)
    check(now)
    check(now, hours=24)

    def search(**asked: Any) -> Callable[[int], object]:
        seconds, spread = asked.pop("hours") * 3600, asked.pop("spread", True)
        wanted = rules.Requirement(seconds, now, now + timedelta(days=30), **asked)
        return lambda _number: queries.find(wanted, now=now, limit=20, spread=spread)

    laser = {"hours": 2, "categories": ("laser",)}
    compare("search: 2 h in one category", search(**laser, spread=False))
    compare("search: the same, with counts of other categories", search(**laser))
    compare("search: 2 h anywhere", search(hours=2))
    compare("search: 4 h with operator in two cities", search(hours=4, cities=("杭州", "宁波"), with_operator=True))
    compare("search: 8 h anywhere", search(hours=8))
    compare("search: 24 h anywhere, one in ten can", search(hours=24))
    compare("search: words and 2 h", search(hours=2, words=("yiqi", "77")))
    client = Client()
    client.force_login(make.user_of(w.researcher))

    def page(query: str) -> Callable[[int], object]:
        def act(_number: int) -> None:
            assert client.get(f"/instruments/?{query}").status_code == 200

        return act

    compare("search page, 20 of all, one category", page("length=2&category=laser"))
    compare("week grid page, 20 of all, one category", page("view=week&category=laser"))
    hits = queries.find(rules.Requirement(3600, now, now + timedelta(days=30)), now=now, limit=2 * CALLS).hits
    known = Resource.objects.in_bulk([hit.resource_id for hit in hits])

    def book(number: int) -> None:
        hit = hits[number]
        assert hit.period is not None
        asked = bundles.Wanted(resource=known[hit.resource_id], period=hit.period, title="bench")
        bookings.request_booking(actor=w.researcher, wanted=asked, now=now, key=make.key())

    compare("booking create, through the service", book)


if __name__ == "__main__":
    main(*(int(text) for text in sys.argv[1:]))
