"""Look for free time in every instrument at once: one statement, from the read model the booking transaction keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from portal.kernel.period import Period
from scheduler.availability.rules import LENGTH_CLASSES
from scheduler.resources import rules as resource_rules
from scheduler.search import rules

__all__ = ["Facets", "Found", "Hit", "find"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that is free: when next, and what one hour of it costs in fen. `operator_id`: who would run it."""

    resource_id: int
    period: Period
    hourly_fen: int
    operator_id: int | None


@dataclass(frozen=True, slots=True)
class Facets:
    """How many of all hits lie in each city and each category."""

    cities: Mapping[str, int]
    categories: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Found:
    """A page of hits, how many there are in all, and how they spread."""

    hits: Sequence[Hit]
    total: int
    facets: Facets


# A start lies on the resource's own grid, counted from local midnight, after its lead time; set-up lies before it.
START: Final = """
    date_bin(make_interval(secs => r.granularity_s),
        greatest({gap}, %(since)s, %(now)s + make_interval(secs => r.lead_s) - make_interval(secs => r.setup_s))
            + make_interval(secs => r.setup_s + r.granularity_s) - interval '1 microsecond',
        timestamp '2000-01-01' AT TIME ZONE r.zone)
"""
FITS: Final = """
    starts + make_interval(secs => %(length)s) <= least(%(until)s, %(now)s + make_interval(secs => r.horizon_s))
    AND starts + make_interval(secs => %(length)s + CASE WHEN r.cleanup_may_exceed THEN 0 ELSE r.cleanup_s END) <= g.ends_at
"""
ALONE: Final = f"""
    SELECT starts, NULL::bigint AS operator_id
    FROM free_gap g, LATERAL (SELECT {START.format(gap="g.starts_at")} AS starts) AS grid
    WHERE g.resource_id = r.id AND g.ends_at >= %(least)s AND g.starts_at < %(until)s AND g.secs >= %(length)s
        AND {FITS} {{long}}
    ORDER BY g.starts_at LIMIT 1
"""  # noqa: S608 - constants of this module; what people ask for is passed as parameters
# Each operator by themselves: a union of their hours would invent a person who changes shift in the middle.
ATTENDED: Final = f"""
    SELECT starts, o.resource_id AS operator_id
    FROM free_gap g
    JOIN skill s ON s.instrument_id = r.id
    JOIN resource person ON person.id = s.operator_id AND person.state = 'published'
    JOIN free_gap o ON o.resource_id = s.operator_id AND o.starts_at < g.ends_at AND o.ends_at > g.starts_at
        AND o.ends_at >= %(least)s AND o.starts_at < %(until)s AND o.secs >= %(length)s,
    LATERAL (SELECT {START.format(gap="greatest(g.starts_at, o.starts_at)")} AS starts) AS grid
    WHERE g.resource_id = r.id AND g.ends_at >= %(least)s AND g.starts_at < %(until)s AND g.secs >= %(length)s
        AND {FITS} AND starts + make_interval(secs => %(length)s) <= o.ends_at
        AND s.valid @> (starts AT TIME ZONE r.zone)::date {{long}}
    ORDER BY starts, o.resource_id LIMIT 1
"""  # noqa: S608 - as above
STATEMENT: Final = """
    WITH hits AS MATERIALIZED (
        SELECT r.id, r.city, i.category, rate.amount_fen, slot.starts, slot.operator_id
        FROM resource r
        JOIN instrument i ON i.resource_id = r.id
        JOIN rate ON rate.resource_id = r.id AND rate.valid @> %(now)s AND rate.unit = 'hour',
        LATERAL ({slot}) AS slot
        WHERE r.state = %(published)s AND r.min_duration_s <= %(length)s AND r.max_duration_s >= %(length)s {narrowed}
    ), page AS (
        SELECT * FROM hits ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s
    )
    SELECT 'hit', id, starts, amount_fen, operator_id, row_number() OVER (ORDER BY {order}) FROM page
    UNION ALL SELECT 'city ' || city, NULL, NULL, count(*), NULL, NULL FROM hits GROUP BY city
    UNION ALL SELECT 'category ' || category, NULL, NULL, count(*), NULL, NULL FROM hits GROUP BY category
    ORDER BY 6
"""
ORDERS: Final = {
    rules.Order.SOONEST: "starts, amount_fen, id",
    rules.Order.CHEAPEST: "amount_fen, starts, id",
}


def find(wanted: rules.Requirement, *, now: datetime, limit: int = 25, offset: int = 0) -> Found:
    """Return what is free for `wanted` at `now`, the best first. One statement.

    Every slot shown is free to enterprises at that moment; only a booking holds it.
    """
    narrowed, params = _narrowed(wanted)
    longest = [secs for secs in LENGTH_CLASSES if secs <= wanted.duration_s]
    # A constant in the text, so that the planner sees the index of long gaps.
    long = f"AND g.secs >= {longest[-1]}" if longest else ""
    slot = (ATTENDED if wanted.with_operator else ALONE).format(long=long)
    statement = STATEMENT.format(slot=slot, narrowed=narrowed, order=ORDERS[wanted.order])
    since = max(wanted.since, now)
    params |= {
        "now": now,
        "since": since,
        "until": wanted.until,
        "least": since + timedelta(seconds=wanted.duration_s),
        "length": wanted.duration_s,
        "published": resource_rules.PublishState.PUBLISHED.value,
        "limit": limit,
        "offset": offset,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return _found(cursor.fetchall(), length=timedelta(seconds=wanted.duration_s))


def _narrowed(wanted: rules.Requirement) -> tuple[str, dict[str, Any]]:
    clauses: list[str] = []
    params: dict[str, Any] = {}
    for name, column, values in (
        ("cities", "r.city", wanted.cities),
        ("categories", "i.category", wanted.categories),
        ("kinds", "r.kind", wanted.kinds),
    ):
        if values:
            clauses.append(f"AND {column} = ANY(%({name})s)")
            params[name] = list(values)
    for number, word in enumerate(wanted.words):
        clauses.append(f"AND i.search_text LIKE %(word{number})s")
        params[f"word{number}"] = f"%{_literal(word)}%"
    if wanted.max_hourly is not None:
        clauses.append("AND rate.amount_fen <= %(dearest)s")
        params["dearest"] = wanted.max_hourly.fen
    return " ".join(clauses), params


def _literal(word: str) -> str:
    """Return a word in which % and _ mean themselves in LIKE."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _found(rows: Sequence[tuple[Any, ...]], *, length: timedelta) -> Found:
    hits: list[Hit] = []
    counts: dict[str, dict[str, int]] = {"city": {}, "category": {}}
    for what, pk, starts, number, operator_id, _place in rows:
        kind, _space, value = what.partition(" ")
        if kind == "hit":
            hits.append(Hit(pk, Period(starts, starts + length), number, operator_id))
        else:
            counts[kind][value] = number
    return Found(
        hits=hits,
        total=sum(counts["category"].values()),
        facets=Facets(cities=counts["city"], categories=counts["category"]),
    )
