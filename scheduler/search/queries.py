"""Look for free time in every instrument at once: one statement, from the read model the booking transaction keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection

from portal.kernel.period import Period
from scheduler.availability.models import Claim
from scheduler.availability.rules import LENGTH_CLASSES
from scheduler.resources import rules as resource_rules
from scheduler.resources.words import spellings
from scheduler.search import rules

__all__ = ["Facets", "Found", "Hit", "find", "would_help"]


@dataclass(frozen=True, slots=True)
class Hit:
    """One thing that matches: when it is next free and what one hour of it costs in fen, None for never and unknown.

    `operator_id`: who would run it.
    """

    resource_id: int
    period: Period | None
    hourly_fen: int | None
    operator_id: int | None


@dataclass(frozen=True, slots=True)
class Facets:
    """How many hits each city, category and kind has, were it alone chosen among its like; all else stays as asked."""

    cities: Mapping[str, int]
    categories: Mapping[str, int]
    kinds: Mapping[str, int]


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
        timestamp '2000-01-01' AT TIME ZONE r.zone + make_interval(secs => r.grid_from_s))
"""
FITS: Final = """
    starts + make_interval(secs => {length}) <= least(%(until)s, %(now)s + make_interval(secs => r.horizon_s))
    AND starts + make_interval(secs => {length} + CASE WHEN r.cleanup_may_exceed THEN 0 ELSE r.cleanup_s END) <= g.ends_at
"""
ALONE: Final = f"""
    SELECT starts, {{length}} AS secs, NULL::bigint AS operator_id
    FROM {{gaps}} g, LATERAL (SELECT {START.format(gap="g.starts_at")} AS starts) AS grid
    WHERE g.resource_id = r.id AND g.ends_at >= %(least)s AND g.starts_at < %(until)s AND g.secs >= {{length}}
        AND {FITS} {{long}}
    ORDER BY g.starts_at LIMIT 1
"""  # noqa: S608 - constants of this module; what people ask for is passed as parameters
# Each operator by themselves: a union of their hours would invent a person who changes shift in the middle. Gaps of one
# unit do not meet, nor do those of one person: in their order, the first pair that fits is the soonest.
ATTENDED: Final = f"""
    SELECT soonest.starts, {{length}} AS secs, s.operator_id
    FROM skill s
    JOIN resource person ON person.id = s.operator_id AND person.state = 'published' AND person.capacity = 1,
    generate_series((r.counting <> 'fungible')::int, CASE r.counting WHEN 'fungible' THEN 0 ELSE r.capacity END) AS unit,
    LATERAL (
        SELECT starts
        FROM {{gaps}} g
        JOIN {{people}} o ON o.resource_id = s.operator_id AND o.starts_at < g.ends_at AND o.ends_at > g.starts_at
            AND o.ends_at >= %(least)s AND o.starts_at < %(until)s AND o.secs >= {{length}},
        LATERAL (SELECT {START.format(gap="greatest(g.starts_at, o.starts_at)")} AS starts) AS grid
        WHERE g.resource_id = r.id AND g.unit_no = unit AND g.ends_at >= %(least)s AND g.starts_at < %(until)s
            AND g.secs >= {{length}} AND {FITS} AND starts + make_interval(secs => {{length}}) <= o.ends_at
            AND s.valid @> (starts AT TIME ZONE r.zone)::date {{long}}
        ORDER BY g.starts_at, o.starts_at LIMIT 1
    ) AS soonest
    WHERE s.instrument_id = r.id {{only}}
    ORDER BY soonest.starts, s.operator_id LIMIT 1
"""  # noqa: S608 - as above
# Around holds that have ended and that nobody has released yet, whole free spans beside the gaps written. Each source is
# asked by itself, so that the gaps written are still read in their order and no further than the first that fits.
ENDED: Final = "ended AS MATERIALIZED (SELECT * FROM free_gap_ended(%(now)s)),"
SOURCES: Final = ("free_gap", "ended")
TOUCHED: Final = {
    (source, column): f"AND {column} IN (SELECT resource_id FROM ended)" if source == "ended" else ""  # noqa: S608
    for source in SOURCES
    for column in ("r.id", "s.operator_id")
}
"""Few have such spans: the others are not joined with them."""
STATEMENT: Final = """
    WITH {ended} hits AS MATERIALIZED (
        SELECT r.id, r.city, i.category, r.kind, rate.amount_fen, slot.starts, slot.secs, slot.operator_id,
            {in_city} AS in_city, {in_category} AS in_category, {in_kind} AS in_kind
        FROM resource r
        JOIN instrument i ON i.resource_id = r.id
        {join} rate ON rate.resource_id = r.id AND rate.valid @> %(now)s AND rate.unit = 'hour'
            AND rate.mode = 'self' AND rate.user_class = 'external'
        {join} LATERAL ({slot}) AS slot ON true
        WHERE r.state = %(published)s AND r.kind <> 'operator' AND ({in_city})::int + ({in_category})::int + ({in_kind})::int >= {fewest}
            {narrowed}
    ), chosen AS (
        SELECT * FROM hits WHERE in_city AND in_category AND in_kind
    ), page AS (
        SELECT *, row_number() OVER (ORDER BY {order}) AS place FROM chosen ORDER BY {order} LIMIT %(limit)s OFFSET %(offset)s
    )
    SELECT 'hit', NULL, id, starts, secs, amount_fen, operator_id, place FROM page
    UNION ALL SELECT 'total', NULL, NULL, NULL, NULL, count(*), NULL, NULL FROM chosen
    UNION ALL SELECT 'city', city, NULL, NULL, NULL, count(*), NULL, NULL
        FROM hits WHERE in_category AND in_kind GROUP BY city
    UNION ALL SELECT 'category', category, NULL, NULL, NULL, count(*), NULL, NULL
        FROM hits WHERE in_city AND in_kind GROUP BY category
    UNION ALL SELECT 'kind', kind, NULL, NULL, NULL, count(*), NULL, NULL
        FROM hits WHERE in_city AND in_category GROUP BY kind
    ORDER BY 8
"""
ORDERS: Final = {
    rules.Order.SOONEST: "starts, amount_fen, id",
    rules.Order.CHEAPEST: "amount_fen, starts, id",
}


def find(wanted: rules.Requirement, *, now: datetime, limit: int = 25, offset: int = 0, spread: bool = True) -> Found:
    """Return what is free for `wanted` at `now`, the best first. One statement, after a look for holds that have ended.

    With `spread` the facets tell what other choices would find, so all that fails one facet only is looked at, too;
    without, they tell how the hits themselves lie, and only what is chosen costs time.

    Every slot shown is free to enterprises at that moment, a hold that has ended counted as gone whether or not somebody
    has released it; only a booking holds it. What may not be used for as long as
    is asked at once is not found.
    """
    params: dict[str, Any] = {}
    since = max(wanted.since, now)
    least, length, long = since, "r.min_duration_s", ""
    clauses: list[str] = []
    if wanted.duration_s is not None:
        least, length = since + timedelta(seconds=wanted.duration_s), "%(length)s"
        clauses.append("AND r.min_duration_s <= %(length)s AND r.max_duration_s >= %(length)s")
        # A constant in the text, so that the planner sees the index of long gaps.
        longest = [secs for secs in LENGTH_CLASSES if secs <= wanted.duration_s]
        long = f"AND g.secs >= {longest[-1]}" if longest else ""
    ended = Claim.objects.filter(state=Claim.State.HELD, hold_until__lte=now).exists()
    slot = _slot(ATTENDED if wanted.with_operator else ALONE, ended=ended, long=long, length=length)
    statement = STATEMENT.format(
        ended=ENDED if ended else "",
        slot=slot,
        join="JOIN" if wanted.needs_time else "LEFT JOIN",
        narrowed=" ".join([*clauses, *_narrowed(wanted, params)]),
        order=ORDERS[wanted.order],
        fewest=2 if spread else 3,
        **_facets(wanted, params),
    )
    params |= {
        "now": now,
        "since": since,
        "until": wanted.until,
        "least": least,
        "length": wanted.duration_s,
        "published": resource_rules.PublishState.PUBLISHED.value,
        "limit": limit,
        "offset": offset,
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, params)
        return _found(cursor.fetchall())


def _slot(template: str, *, ended: bool, **parts: str) -> str:
    """Return the query of the soonest slot of a resource: in the gaps written, or in what holds that have ended leave."""
    sources = SOURCES if ended else SOURCES[:1]
    people = sources if template is ATTENDED else sources[:1]
    asked = [
        template.format(gaps=gaps, people=own, only=f"{TOUCHED[gaps, 'r.id']} {TOUCHED[own, 's.operator_id']}", **parts)
        for gaps in sources
        for own in people
    ]
    if len(asked) == 1:
        return asked[0]
    every = " UNION ALL ".join(f"({one})" for one in asked)
    return f"SELECT * FROM ({every}) AS best ORDER BY starts, operator_id LIMIT 1"  # noqa: S608 - constants, as above


def would_help(wanted: rules.Requirement, *, now: datetime) -> Mapping[rules.Dropped, int]:
    """Return how many would be found with one demand less, most first, those that help only. A statement for each."""
    found = {drop: find(weaker, now=now, limit=0, spread=False).total for drop, weaker in rules.relaxed(wanted).items()}
    helpful = [(drop, total) for drop, total in found.items() if total]
    return dict(sorted(helpful, key=lambda item: -item[1]))


def _facets(wanted: rules.Requirement, params: dict[str, Any]) -> dict[str, str]:
    """Return for each facet the condition that its choice holds."""
    conditions: dict[str, str] = {}
    for name, column, values in (
        ("in_city", "r.city", wanted.cities),
        ("in_category", "i.category", wanted.categories),
        ("in_kind", "r.kind", wanted.kinds),
    ):
        conditions[name] = f"{column} = ANY(%({name})s)" if values else "true"
        params[name] = list(values)
    return conditions


def _narrowed(wanted: rules.Requirement, params: dict[str, Any]) -> list[str]:
    clauses: list[str] = []
    for number, word in enumerate(wanted.words):
        names = [f"word{number}_{place}" for place, _parts in enumerate(spellings(word))]
        clauses.append("AND (" + " OR ".join(f"i.search_text LIKE %({name})s" for name in names) + ")")
        params |= {
            name: f"%{'%'.join(map(_literal, parts))}%" for name, parts in zip(names, spellings(word), strict=True)
        }
    if wanted.max_hourly is not None:
        clauses.append("AND rate.amount_fen <= %(dearest)s")
        params["dearest"] = wanted.max_hourly.fen
    return clauses


def _literal(word: str) -> str:
    """Return a word in which % and _ mean themselves in LIKE."""
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _found(rows: Sequence[tuple[Any, ...]]) -> Found:
    hits: list[Hit] = []
    counts: dict[str, dict[str, int]] = {"city": {}, "category": {}, "kind": {}}
    total = 0
    for what, value, pk, starts, secs, number, operator_id, _place in rows:
        if what == "hit":
            period = Period(starts, starts + timedelta(seconds=secs)) if starts else None
            hits.append(Hit(pk, period, number, operator_id))
        elif what == "total":
            total = number
        else:
            counts[what][value] = number
    return Found(hits=hits, total=total, facets=Facets(counts["city"], counts["category"], counts["kind"]))
