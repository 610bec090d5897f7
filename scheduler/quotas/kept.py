"""Hold a lab to the share of open time it keeps for enterprises: what it blocks itself is judged, what it used is shown."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from portal.kernel.errors import Refused
from portal.kernel.period import Period, merge
from scheduler.availability import rules as availability
from scheduler.availability.models import Claim, OpenPeriod
from scheduler.availability.queries import period_of
from scheduler.quotas import queries, services
from scheduler.quotas.kept_rules import OwnStanding, broken_shares, judge_own, own_in
from scheduler.quotas.models import QuotaRule
from scheduler.quotas.rules import AHEAD, Measure, Use, window_at, windows_of
from scheduler.resources.models import Resource

__all__ = ["guard", "standings_of"]

OWN = (Claim.State.OUTAGE.value, Claim.State.EXTERNAL.value)
"""Time the lab itself takes: blocked for maintenance, out of use, or its own calendar's."""


def guard(*, resource: Resource, period: Period, places: int) -> None:
    """Refuse what would leave enterprises less than is kept for them. The caller holds the resource's lock.

    `places` of the resource are to be taken during `period`; only what is open counts. Raises Refused with every rule
    and window that would be broken. Locks the rules, so that two blocks under one are judged one after the other.
    """
    kept = [(rule, ids) for rule, ids in queries.rules_over(resource) if rule.measure == Measure.KEPT_SHARE.value]
    if not kept:
        return
    services.lock(resource=resource, organisation_id=resource.owner_id)
    reasons = []
    for rule, ids in kept:
        limit = queries.limit_of(rule)
        whole = _reach(period, rule, resource.zone)
        opened, own = _own(resource.owner_id, ids, whole)
        here = [use.period for use in _opened(resource.owner_id, [resource.pk], whole).get(resource.pk, [])]
        asked = [
            Use(Period(max(span.start, period.start), min(span.end, period.end)), places)
            for span in here
            if span.overlaps(period)
        ]
        reasons += broken_shares(
            judge_own(limit, period=period, asked=asked, own=own, opened=opened, zone=resource.zone)
        )
    if reasons:
        raise Refused(reasons)


def standings_of(rule: QuotaRule, ids: Sequence[int], *, zone: str, now: datetime, count: int = 2) -> list[OwnStanding]:
    """Return where the lab stands in this window and the next ones, `count` in all. Two queries."""
    limit = queries.limit_of(rule)
    windows = [window_at(now, limit.span, zone)]
    while len(windows) < count:
        windows.append(window_at(windows[-1].end, limit.span, zone))
    opened, own = _own(rule.owner_id, ids, Period(windows[0].start, windows[-1].end))
    return [own_in(limit, window, own=own, opened=opened, zone=zone) for window in windows]


def _reach(period: Period, rule: QuotaRule, zone: str) -> Period:
    """Return all windows a block touches, and as many after it as are looked through for one in which it would fit."""
    span = queries.limit_of(rule).span
    touched = windows_of(period, span, zone)
    last = touched[-1]
    for _later in range(AHEAD):
        last = window_at(last.end, span, zone)
    return Period(touched[0].start, last.end)


def _own(owner_id: int, ids: Sequence[int], whole: Period) -> tuple[list[Use], list[Use]]:
    """Return what is open to enterprises of all a rule covers, and what of that the lab takes itself. Two queries."""
    opened = _opened(owner_id, ids, whole)
    rows = Claim.objects.filter(
        resource_id__in=opened,
        state__in=OWN,
        booking__isnull=True,
        during__overlap=(whole.start, whole.end),
    ).values_list("resource_id", "during", "units")
    own = []
    for pk, during, units in rows:
        taken = period_of(during)
        own += [
            Use(Period(max(use.period.start, taken.start), min(use.period.end, taken.end)), units)
            for use in opened[pk]
            if use.period.overlaps(taken)
        ]
    return [use for uses in opened.values() for use in uses], own


def _opened(owner_id: int, ids: Sequence[int], whole: Period) -> dict[int, list[Use]]:
    """Return when each resource is open to enterprises, its places counted. One query."""
    rows = OpenPeriod.objects.filter(resource__owner_id=owner_id, during__overlap=(whole.start, whole.end))
    rows = rows.exclude(audience=availability.Audience.OWN.value).exclude(resource__kind="operator")
    if ids:
        rows = rows.filter(resource_id__in=ids)
    spans: dict[tuple[int, int], list[Period]] = {}
    for pk, during, capacity in rows.values_list("resource_id", "during", "resource__capacity"):
        spans.setdefault((pk, capacity), []).append(period_of(during))
    return {pk: [Use(span, capacity) for span in merge(found)] for (pk, capacity), found in spans.items()}
