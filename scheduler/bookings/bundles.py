"""Read what a booking needs at once: its instrument with changeover, somebody to run it, a bench to prepare at.

Constant query counts: open time of all of it in one query, what is taken in another.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import connection

from portal.kernel.period import Period, merge
from scheduler.availability import buffers
from scheduler.availability import rules as availability
from scheduler.availability.models import Claim
from scheduler.availability.queries import period_of
from scheduler.bookings import spans
from scheduler.bookings.models import BookingTerms
from scheduler.qualifications import queries as standing
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Resource, Skill

__all__ = [
    "ANYBODY",
    "Bundle",
    "Look",
    "Place",
    "Wanted",
    "bundle_of",
    "look",
    "place_in",
]

ANYBODY: Final = "any"
"""Ask for an operator, whoever of the qualified is free."""
AROUND: Final = timedelta(days=2)
"""How far around a use its neighbours are looked for: more than the longest changeover, a day before and a day after."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is asked for: `period` in UTC, `title` for the lab's and the firm's eyes only, `vouchers` to pay with."""

    resource: Resource
    period: Period
    title: str = ""
    vouchers: Sequence[Any] = ()
    """Each a ``vouchers.Voucher`` reached through its access module; none: all is paid oneself."""
    units: int = 1
    """Places, where places are counted."""
    configuration: str = ""
    """The lab's short code of how the instrument is to be set up; "" leaves it open."""
    operator: Resource | str | None = None
    """Who runs it: an operator, `ANYBODY` qualified, or None for the enterprise itself."""
    by_transfer: bool = False
    """Where the own share is paid in advance: by a bank transfer, for which the booking is held longer."""

    @property
    def attended(self) -> bool:
        return self.operator is not None


@dataclass(frozen=True, slots=True)
class Look:
    """What is open to enterprises and what is taken, by resource id."""

    opened: Mapping[int, list[Period]]
    claims: Mapping[int, list[Claim]]
    automatic: Mapping[int, list[Period]] = field(default_factory=dict)
    """Of the open time, that in which the lab confirms at once."""

    def is_automatic(self, resource: Resource, during: Period) -> bool:
        """Say whether all of `during` lies in time in which bookings are confirmed at once."""
        return any(span.covers(during) for span in self.automatic.get(resource.pk, []))

    def inside(self, opening: Period, taken: Period) -> Look:
        """Return the part of it that touches `opening` and `taken`."""
        return Look(
            {pk: [span for span in found if span.overlaps(opening)] for pk, found in self.opened.items()},
            {pk: [c for c in found if period_of(c.blocked).overlaps(taken)] for pk, found in self.claims.items()},
            self.automatic,
        )

    def held(self, resource_id: int) -> list[spans.Held]:
        return [
            spans.Held(period_of(claim.blocked), claim.units, claim.unit_no)
            for claim in self.claims.get(resource_id, [])
        ]

    def free(self, resource: Resource, *, room: spans.Room, units: int = 1) -> list[list[Period]]:
        """Return where a use may lie, for each unit by itself: a use never changes units on its way."""
        opened, held = self.opened.get(resource.pk, []), self.held(resource.pk)
        if resource.counting == resource_rules.Counting.FUNGIBLE.value:
            if units > resource.capacity:
                return []
            taken = spans.full(held, capacity=resource.capacity, units=units)
            return [spans.usable(opened, taken, room=room)]
        return [
            spans.usable(opened, [h.blocked for h in held if h.unit_no == unit], room=room)
            for unit in range(1, resource.capacity + 1)
        ]

    def fits(self, resource: Resource, during: Period, *, units: int = 1) -> bool:
        """Say whether the resource is open for all of `during` and has room in it."""
        return any(span.covers(during) for unit in self.free(resource, room=spans.Room(), units=units) for span in unit)


OPENED: Final = """
    SELECT resource_id, during, is_automatic FROM open_period
    WHERE resource_id = ANY(%(ids)s::bigint[]) AND during && tstzrange(%(start)s, %(end)s) AND audience <> %(own)s
"""
OCCUPYING: Final = """
    SELECT * FROM claim
    WHERE resource_id = ANY(%(ids)s::bigint[]) AND blocked && tstzrange(%(start)s, %(end)s)
        AND claim_blocks(state) AND (hold_until IS NULL OR hold_until > %(now)s)
    ORDER BY during, id
"""
"""Every booking, quote and refusal asks both; composed by the ORM, each takes ten times its own time."""


def look(
    resource_ids: Sequence[int], *, opening: Period, taken: Period, now: datetime, neighbours: bool = False
) -> Look:
    """Return when these resources are open inside `opening`, and what occupies them inside `taken`. Two queries.

    With `neighbours`, one more for the bookings of the claims, which tell what goes together.
    """
    opened: dict[int, list[Period]] = defaultdict(list)
    automatic: dict[int, list[Period]] = defaultdict(list)
    with connection.cursor() as cursor:
        asked: dict[str, Any] = {"ids": list(resource_ids), "start": opening.start, "end": opening.end}
        cursor.execute(OPENED, {**asked, "own": availability.Audience.OWN.value})
        for pk, during, is_automatic in cursor.fetchall():
            opened[pk].append(period_of(during))
            if is_automatic:
                automatic[pk].append(period_of(during))
    claims: dict[int, list[Claim]] = defaultdict(list)
    asked = {"ids": list(resource_ids), "start": taken.start, "end": taken.end}
    rows = Claim.objects.raw(OCCUPYING, {**asked, "now": now})
    for claim in rows.prefetch_related("booking") if neighbours else rows:
        claims[claim.resource_id].append(claim)
    return Look(
        {pk: merge(found) for pk, found in opened.items()},
        claims,
        {pk: merge(found) for pk, found in automatic.items()},
    )


def is_automatic(resource: Resource, during: Period, *, now: datetime) -> bool:
    """Say whether the lab confirms bookings of all of `during` at once. Two queries."""
    return look([resource.pk], opening=during, taken=during, now=now).is_automatic(resource, during)


def room_of(resource: Resource) -> spans.Room:
    """Return the changeover of a resource."""
    return spans.Room(
        timedelta(seconds=resource.setup_s), timedelta(seconds=resource.cleanup_s), resource.cleanup_may_exceed
    )


@dataclass(frozen=True, slots=True)
class Place:
    """Where a use would lie: what it blocks, and whether that is free.

    With `unit_no` it joins what the same organisation does there in the same configuration: `earlier` then blocks no
    longer than until it starts, `later` no sooner than where it ends.
    """

    blocked: Period
    free: bool
    unit_no: int | None = None
    earlier: Claim | None = None
    later: Claim | None = None


def use_of(claim: Claim) -> buffers.Use | None:
    """Return a claim as the changeover rules see it; None for one that is not the main claim of a booking."""
    booking = claim.booking
    if booking is None or claim.role != availability.ClaimRole.MAIN.value:
        return None
    return buffers.Use(
        period_of(claim.during),
        timedelta(seconds=booking.setup_s),
        timedelta(seconds=booking.cleanup_s),
        booking.together,
    )


def place_in(resource: Resource, use: buffers.Use, claims: Sequence[Claim], *, units: int = 1) -> Place:
    """Return where `use` would lie among `claims`, all that occupy the resource around it, sorted by `during`."""
    alone = use.during.padded(before=use.setup, after=use.cleanup)
    if resource.counting == resource_rules.Counting.FUNGIBLE.value:
        held = [spans.Held(period_of(claim.blocked), claim.units) for claim in claims]
        taken = spans.full(held, capacity=resource.capacity, units=units)
        return Place(alone, not any(span.overlaps(alone) for span in taken))
    free = False
    for unit in range(1, resource.capacity + 1):
        mine = [claim for claim in claims if claim.unit_no == unit]
        if joined := _joined(use, mine, unit):
            return joined
        free = free or not any(period_of(claim.blocked).overlaps(alone) for claim in mine)
    return Place(alone, free)


def _joined(use: buffers.Use, claims: Sequence[Claim], unit: int) -> Place | None:
    """Return the place of `use` on a unit where it goes together with a neighbour, and fits; else None."""
    if not use.together:
        return None
    before = [claim for claim in claims if claim.during.upper <= use.during.start][-1:]
    after = [claim for claim in claims if claim.during.lower >= use.during.end][:1]
    earlier = next((claim for claim in before if (seen := use_of(claim)) and seen.joins(use)), None)
    later = next((claim for claim in after if (seen := use_of(claim)) and use.joins(seen)), None)
    if earlier is None and later is None:
        return None
    around = [use_of(claim) if claim else None for claim in (earlier, later)]
    run = [part for part in (around[0], use, around[1]) if part is not None]
    blocked = buffers.blocked(run)[run.index(use)]
    others = [claim for claim in claims if claim not in (earlier, later)]
    if any(period_of(claim.blocked).overlaps(blocked) for claim in others):
        return None
    return Place(blocked, True, unit, earlier, later)


@dataclass(frozen=True, slots=True)
class Bundle:
    """All a booking would occupy. `operators` are free, the least busy first; `seen` is what was looked at."""

    wanted: Wanted
    place: Place
    terms: BookingTerms | None = None
    qualified: Sequence[Resource] = ()
    """Who may run the instrument on the days of the use; of these, `operators` are free for all of it."""
    operators: Sequence[Resource] = ()
    bench_free: bool = True
    seen: Look = field(default_factory=lambda: Look({}, {}))

    @property
    def operator(self) -> Resource | None:
        """Who would run it."""
        return next(iter(self.operators), None)

    @property
    def preparation(self) -> Period | None:
        """Return when the bench is needed, where one is."""
        return preparation(self.terms, self.wanted.period)


def preparation(terms: BookingTerms | None, during: Period) -> Period | None:
    """Return when the bench of `terms` is needed for a use; None without one."""
    if terms is None or terms.bench_id is None:
        return None
    return Period(during.start - timedelta(seconds=terms.bench_s), during.start)


def terms_of(resource: Resource) -> BookingTerms | None:
    """Return what the lab asks of bookings of the resource. One query, and one for its bench when that is asked for."""
    found = BookingTerms.objects.raw("SELECT * FROM booking_terms WHERE resource_id = %s", [resource.pk])
    return next(iter(found), None)


def qualified(resource: Resource, during: Period) -> list[Resource]:
    """Return the operators who may run `resource` on every local day of `during`, in order of their ids."""
    zone = ZoneInfo(resource.zone)
    first, last = during.start.astimezone(zone).date(), (during.end - timedelta(microseconds=1)).astimezone(zone).date()
    return list(
        Resource.objects.filter(
            kind=resource_rules.ResourceKind.OPERATOR.value,
            state=resource_rules.PublishState.PUBLISHED.value,
            skills__instrument=resource,
            skills__valid__contains=(first, last + timedelta(days=1)),
        ).order_by("pk")
    )


def needed(wanted: Wanted) -> tuple[BookingTerms | None, list[Resource], list[int]]:
    """Return the terms, who is qualified, and the ids of all that a booking may have to occupy. Two queries."""
    terms = terms_of(wanted.resource)
    people = qualified(wanted.resource, wanted.period) if wanted.attended else []
    if isinstance(wanted.operator, Resource):
        people = [person for person in people if person.pk == wanted.operator.pk]
    ids = [wanted.resource.pk, *(person.pk for person in people)]
    if terms is not None and terms.bench_id is not None:
        ids.append(terms.bench_id)
    return terms, people, ids


def bundle_of(wanted: Wanted, *, organisation_id: int | None, now: datetime) -> Bundle:
    """Look at everything `wanted` needs. Six queries at most, whatever the number of operators."""
    terms, people, ids = needed(wanted)
    opening, taken = around(wanted.period, terms)
    seen = look(ids, opening=opening, taken=taken, now=now, neighbours=bool(wanted.configuration))
    return put_together(wanted, terms=terms, people=people, seen=seen, organisation_id=organisation_id)


def around(during: Period, terms: BookingTerms | None) -> tuple[Period, Period]:
    """Return where to look for open time and for claims around a use."""
    start = (preparation(terms, during) or during).start - AROUND
    return Period(start, during.end + timedelta(days=14)), Period(start, during.end + AROUND)


def put_together(
    wanted: Wanted,
    *,
    terms: BookingTerms | None,
    people: Sequence[Resource],
    seen: Look,
    organisation_id: int | None,
) -> Bundle:
    """Make a bundle of what was looked at around one use."""
    resource, during = wanted.resource, wanted.period
    use = buffers.Use(
        during,
        timedelta(seconds=resource.setup_s),
        timedelta(seconds=resource.cleanup_s),
        f"{organisation_id}:{wanted.configuration}" if wanted.configuration else "",
    )
    free = [person for person in people if seen.fits(person, during)]
    before = preparation(terms, during)
    bench_free = True
    if before is not None and terms is not None and terms.bench is not None:
        bench_free = seen.fits(terms.bench, before, units=terms.bench_units)
    return Bundle(
        wanted=wanted,
        place=place_in(resource, use, seen.claims.get(resource.pk, []), units=wanted.units),
        terms=terms,
        qualified=people,
        operators=sorted(free, key=lambda person: (_busy(seen.claims.get(person.pk, [])), person.pk)),
        bench_free=bench_free,
        seen=seen,
    )


def _busy(claims: Sequence[Claim]) -> timedelta:
    return sum((claim.during.upper - claim.during.lower for claim in claims), timedelta(0))


def free_spans(wanted: Wanted, *, window: Period, now: datetime) -> list[Period]:
    """Return where in `window` a use like `wanted` may lie, with all it needs; may overlap. Six queries at most."""
    resource = wanted.resource
    terms = terms_of(resource)
    people = skilled(wanted, window) if wanted.attended else {}
    ids = [resource.pk, *(person.pk for person in people)]
    if terms is not None and terms.bench_id is not None:
        ids.append(terms.bench_id)
    back = timedelta(seconds=terms.bench_s) if terms else timedelta(0)
    wide = Period(window.start - AROUND - back, window.end + AROUND)
    seen = look(ids, opening=wide, taken=wide, now=now)
    found = seen.free(resource, room=room_of(resource), units=wanted.units)
    if wanted.attended:
        found = [
            spans.intersect(unit, spans.intersect(alone, valid))
            for unit in found
            for person, valid in people.items()
            for alone in seen.free(person, room=spans.Room())
        ]
    if terms is not None and terms.bench is not None:
        found = [
            spans.intersect(unit, [Period(span.start + back, span.end + wanted.period.duration)])
            for unit in found
            for bench in seen.free(terms.bench, room=spans.Room(), units=terms.bench_units)
            for span in bench
            if span.duration >= back
        ]
    certified = standing.calibrated(resource)
    within = [window] if certified is None else spans.intersect([window], certified)
    return [span for unit in found for span in spans.intersect(unit, within)]


def skilled(wanted: Wanted, window: Period) -> dict[Resource, list[Period]]:
    """Return who may run the instrument and when, as far as it touches `window`. One query."""
    zone = ZoneInfo(wanted.resource.zone)
    rows = Skill.objects.filter(
        instrument=wanted.resource, operator__state=resource_rules.PublishState.PUBLISHED.value
    ).select_related("operator")
    if isinstance(wanted.operator, Resource):
        rows = rows.filter(operator=wanted.operator)
    found: dict[Resource, list[Period]] = defaultdict(list)
    for row in rows:
        start = datetime.combine(row.valid.lower, time.min, zone) if row.valid.lower else window.start
        end = datetime.combine(row.valid.upper, time.min, zone) if row.valid.upper else window.end
        if start < end:
            found[row.operator].append(Period(start, end))
    return found
