"""Read open, blocked and free time. Constant query counts, whatever the number of resources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Q

from portal.kernel.period import Period, merge, subtract
from scheduler.availability import patterns, places, rules
from scheduler.availability.models import BLOCKING, Claim, Closure, OpeningHours, OpenPeriod, SpecialOpening
from scheduler.resources.models import Resource


@dataclass(frozen=True, slots=True)
class Block:
    """One span that is taken: by what (`state`), and by which organisation's booking, if any."""

    period: Period
    blocked: Period
    state: str
    booking_id: int | None
    units: int = 1
    unit_no: int | None = None

    @property
    def place(self) -> places.Taken:
        """What of the resource it takes."""
        return places.Taken(self.blocked, self.units, self.unit_no)

    @property
    def blocks(self) -> bool:
        """Whether the span is still taken; finished use only shows what was."""
        return self.state in BLOCKING


def period_of(value: object) -> Period:
    """Return a database range as a Period."""
    return Period(value.lower, value.upper)  # type: ignore[attr-defined]


def weekly_hours(row: OpeningHours) -> rules.WeeklyHours:
    """Return a row as the rules' value."""
    return rules.WeeklyHours(
        weekdays=frozenset(row.weekdays),
        opens=row.opens_min,
        closes=row.closes_min,
        valid_from=row.valid_from,
        valid_until=row.valid_until,
        audience=rules.Audience(row.audience),
        is_automatic=row.is_automatic,
    )


def special(row: SpecialOpening) -> patterns.Special:
    """Return a row as the rules' value."""
    return patterns.Special(period_of(row.during), rules.Audience(row.audience), row.is_automatic)


def deviations(resource: Resource, *, now: datetime) -> tuple[list[Closure], list[SpecialOpening]]:
    """Return the closures and special openings that are not over, soonest first. Two queries."""
    coming = {"resource": resource, "during__endswith__gt": now}
    return list(Closure.objects.filter(**coming)), list(SpecialOpening.objects.filter(**coming))


def openings(
    resources: Sequence[Resource], *, window: Period, audience: rules.Audience = rules.Audience.ENTERPRISES
) -> Mapping[int, list[patterns.Opening]]:
    """Return what is open for `audience` inside `window` as written, in order, not cut. One query."""
    found: dict[int, list[patterns.Opening]] = {resource.pk: [] for resource in resources}
    for row in OpenPeriod.objects.filter(
        resource_id__in=list(found),
        during__overlap=(window.start, window.end),
        audience__in=[seen.value for seen in patterns.seen_by(audience)],
    ).order_by("during"):
        found[row.resource_id].append(
            patterns.Opening(period_of(row.during), rules.Audience(row.audience), row.is_automatic)
        )
    return found


def open_periods(
    resources: Sequence[Resource], *, window: Period, audience: rules.Audience = rules.Audience.ENTERPRISES
) -> Mapping[int, list[Period]]:
    """Return when each resource is open for `audience` inside `window`, sorted and disjoint. One query.

    Read from what `opening.rebuild` wrote, as the search does: a quote and a search never disagree.
    """
    return {
        pk: [
            Period(max(span.start, window.start), min(span.end, window.end))
            for span in merge(opening.period for opening in found)
        ]
        for pk, found in openings(resources, window=window, audience=audience).items()
    }


def is_automatic(resource: Resource, blocked: Period, audience: rules.Audience = rules.Audience.ENTERPRISES) -> bool:
    """Tell whether a booking that blocks `blocked` is confirmed at once: all of it lies in time open automatically.

    `blocked` includes set-up and clean-up, unless clean-up may exceed opening: then leave it out. One query.
    """
    automatic = [
        opening.period
        for opening in openings([resource], window=blocked, audience=audience)[resource.pk]
        if opening.is_automatic
    ]
    return not subtract([blocked], automatic)


def not_ended(now: datetime) -> Q:
    """Return which claims still hold at `now`: a hold that has ended does not, even before anybody released it."""
    return Q(hold_until__isnull=True) | Q(hold_until__gt=now)


def blocks(resource_ids: Iterable[int], *, window: Period, now: datetime | None = None) -> Mapping[int, list[Block]]:
    """Return what occupies each resource inside `window`, and what did, in order. One query.

    A hold that has ended by `now` is left out; without it, holds count until somebody releases them.
    """
    found: dict[int, list[Block]] = defaultdict(list)
    claims = Claim.objects.filter(
        not_ended(now) if now else Q(),
        resource_id__in=list(resource_ids),
        state__in=SHOWN,
        blocked__overlap=(window.start, window.end),
    ).order_by("blocked")
    for claim in claims:
        found[claim.resource_id].append(
            Block(
                period_of(claim.during),
                period_of(claim.blocked),
                claim.state,
                claim.booking_id,
                claim.units,
                claim.unit_no,
            )
        )
    return found


SHOWN = (*BLOCKING, Claim.State.DONE.value)
"""Finished use lies in the past: it blocks nothing that could still be asked for, and the week grid shows it."""


def free_periods(resource: Resource, *, window: Period, now: datetime) -> list[Period]:
    """Return the spans of `window` a user may occupy, as it is `now`, buffers already kept. Two queries.

    Of several units or places one has to be free; spans of different units may overlap.
    """
    taken = blocks([resource.pk], window=window, now=now).get(resource.pk, [])
    return places.free_places(
        open_periods([resource], window=window)[resource.pk],
        [block.place for block in taken if block.blocks],
        places=resource.capacity,
        setup=timedelta(seconds=resource.setup_s),
        cleanup=timedelta(seconds=resource.cleanup_s),
    )
