"""Make claims of what calendars say is busy: the one writer of claims in state ``external``."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from portal.kernel.period import Period, merge
from scheduler.availability.models import BLOCKING, Claim
from scheduler.availability.queries import period_of
from scheduler.calendars import queries, rules
from scheduler.resources import rules as resource_rules
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

EXTERNAL = Claim.State.EXTERNAL


def occupy(resource: Resource, *, now: datetime) -> bool:
    """Let the resource's calendars block all its time that is busy and that nobody has; tell whether that changed.

    Touches only claims that differ, and none that ended before `now`. Where a booking or an outage has the time, it
    keeps it. Call in a transaction that holds the resource's lock.
    """
    busy = queries.busy_of(resource, now=now)
    standing = list(Claim.objects.filter(resource=resource, state=EXTERNAL, blocked__endswith__gt=now))
    wanted = set(_wanted(resource, busy))
    known = {
        rules.Block(claim.calendar_id or 0, claim.unit_no, claim.units, period_of(claim.blocked)): claim.pk
        for claim in standing
    }
    gone, fresh = known.keys() - wanted, sorted(wanted - known.keys(), key=_order)
    if not gone and not fresh:
        return False
    Claim.objects.filter(pk__in=[known[block] for block in gone]).delete()
    names: dict[int, list[rules.Busy]] = {row: list(events) for row, events in busy.items()}
    grouped: dict[int, list[rules.Block]] = defaultdict(list)
    for block in fresh:
        grouped[block.calendar_id].append(block)
    Claim.objects.bulk_create(
        Claim(
            resource=resource,
            unit_no=block.unit_no,
            units=block.units,
            during=(block.period.start, block.period.end),
            blocked=(block.period.start, block.period.end),
            state=EXTERNAL,
            calendar_id=calendar_id,
            note=title[:120],
        )
        for calendar_id, blocks in grouped.items()
        for block, title in zip(
            blocks, rules.titles([block.period for block in blocks], names[calendar_id]), strict=True
        )
    )
    resources.touch_calendar(resource_id=resource.pk)
    return True


def _order(block: rules.Block) -> tuple[int, int, Period]:
    return block.calendar_id, block.unit_no or 0, block.period


def _wanted(resource: Resource, busy: dict[int, list[rules.Busy]]) -> list[rules.Block]:
    spans = [(calendar_id, merge(each.period for each in events)) for calendar_id, events in busy.items() if events]
    if not spans:
        return []
    first = min(periods[0].start for _calendar, periods in spans)
    last = max(periods[-1].end for _calendar, periods in spans)
    taken = (
        Claim.objects.filter(resource=resource, state__in=BLOCKING, blocked__overlap=(first, last))
        .exclude(state=EXTERNAL)
        .order_by("pk")
    )
    if resource.counting == resource_rules.Counting.FUNGIBLE.value:
        places = [(period_of(claim.blocked), claim.units) for claim in taken]
        return rules.blocks_of_places(spans, places, capacity=resource.capacity)
    units: dict[int, list[Period]] = {unit: [] for unit in range(1, resource.capacity + 1)}
    for claim in taken:
        units.setdefault(claim.unit_no or 0, []).append(period_of(claim.blocked))
    return rules.blocks_of_units(spans, units)
