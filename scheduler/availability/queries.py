"""Read open, blocked and free time. Constant query counts, whatever the number of resources."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

from portal.kernel.period import Period
from scheduler.availability import rules
from scheduler.availability.models import BLOCKING, Claim, Closure, OpeningHours
from scheduler.resources.models import Resource


@dataclass(frozen=True, slots=True)
class Block:
    """One span that is taken: by what (`state`), and by which organisation's booking, if any."""

    period: Period
    blocked: Period
    state: str
    booking_id: int | None

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
    )


def open_periods(resources: Sequence[Resource], *, window: Period) -> Mapping[int, list[Period]]:
    """Return when each resource is open inside `window`. Two queries."""
    hours: dict[int, list[rules.WeeklyHours]] = defaultdict(list)
    closures: dict[int, list[rules.Closure]] = defaultdict(list)
    ids = [resource.pk for resource in resources]
    for row in OpeningHours.objects.filter(resource_id__in=ids):
        hours[row.resource_id].append(weekly_hours(row))
    for closure in Closure.objects.filter(resource_id__in=ids, during__overlap=(window.start, window.end)):
        closures[closure.resource_id].append(rules.Closure(period_of(closure.during), closure.reason))
    return {
        resource.pk: rules.open_periods(
            hours[resource.pk], zone=resource.zone, window=window, closures=closures[resource.pk]
        )
        for resource in resources
    }


def blocks(resource_ids: Iterable[int], *, window: Period) -> Mapping[int, list[Block]]:
    """Return what occupies each resource inside `window`, and what did, in order. One query."""
    found: dict[int, list[Block]] = defaultdict(list)
    claims = Claim.objects.filter(
        resource_id__in=list(resource_ids), state__in=SHOWN, blocked__overlap=(window.start, window.end)
    ).order_by("blocked")
    for claim in claims:
        found[claim.resource_id].append(
            Block(period_of(claim.during), period_of(claim.blocked), claim.state, claim.booking_id)
        )
    return found


SHOWN = (*BLOCKING, Claim.State.DONE.value)
"""Finished use lies in the past: it blocks nothing that could still be asked for, and the week grid shows it."""


def free_periods(resource: Resource, *, window: Period) -> list[Period]:
    """Return the spans of `window` a user may occupy, buffers already kept. Three queries."""
    return rules.free_periods(
        open_periods([resource], window=window)[resource.pk],
        [block.blocked for block in blocks([resource.pk], window=window).get(resource.pk, []) if block.blocks],
        setup=timedelta(seconds=resource.setup_s),
        cleanup=timedelta(seconds=resource.cleanup_s),
    )


def alternatives(resource: Resource, *, wanted: Period, earliest: Period, count: int = 3) -> list[Period]:
    """Return up to `count` free periods as long as `wanted`, nearest to it, inside `earliest` and a fortnight around."""
    reach = timedelta(days=14)
    start = max(earliest.start, wanted.start - reach)
    end = min(earliest.end, max(wanted.end, start) + reach)
    if start >= end:
        return []
    return rules.alternatives(
        free_periods(resource, window=Period(start, end)),
        duration=wanted.duration,
        granularity=timedelta(seconds=resource.granularity_s),
        zone=resource.zone,
        near=wanted.start,
        count=count,
    )
