"""Read where somebody stands against every limit that covers an instrument. One query where there is none, else two, and one for each share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db.models import Q

from scheduler.availability import rules as availability
from scheduler.availability.models import Claim, OpenPeriod
from scheduler.availability.queries import period_of
from scheduler.quotas import rules
from scheduler.quotas.models import QuotaRule
from scheduler.resources.models import Resource

__all__ = ["Covered", "covered", "limit_of", "rules_over"]

COUNTED = ("held", "confirmed", "in_use", "done")
"""States of a booking's time that count: asked for, agreed, in use and used; not what was given back."""


def limit_of(rule: QuotaRule) -> rules.Limit:
    """Return a row as the rules' value."""
    return rules.Limit(
        name=rule.name,
        measure=rules.Measure(rule.measure),
        amount=rule.amount,
        span=rules.Span(rule.span),
        per=rules.Per(rule.per),
        effect=rules.Effect(rule.effect),
        peak=rules.Peak(frozenset(rule.peak_days), rule.peak_from_min, rule.peak_until_min),
    )


IN_FORCE: Final = """
    SELECT q.*, ARRAY(SELECT n.resource_id FROM quota_resource n WHERE n.quotarule_id = q.id) AS named
    FROM quota_rule q WHERE q.owner_id = %s AND q.ended_at IS NULL ORDER BY q.id
"""


def rules_over(resource: Resource) -> list[tuple[QuotaRule, list[int]]]:
    """Return the limits in force that cover a resource, each with the ids it names, none for all. One query."""
    found = QuotaRule.objects.raw(IN_FORCE, [resource.owner_id])
    named: list[tuple[QuotaRule, list[int]]] = [(rule, getattr(rule, "named")) for rule in found]  # noqa: B009  a column beside the row
    return [(rule, ids) for rule, ids in named if not ids or resource.pk in ids]


@dataclass(frozen=True, slots=True)
class Covered:
    """The limits over a resource, each with what somebody uses of it and, for shares, what is open."""

    zone: str
    limits: Sequence[tuple[rules.Limit, Sequence[rules.Use], Sequence[rules.Use]]]

    def including(self, use: rules.Use) -> Covered:
        """Return the same as if this, too, were booked."""
        return Covered(self.zone, [(limit, [*uses, use], opened) for limit, uses, opened in self.limits])

    def standings(self, wanted: rules.Use, *, now: datetime) -> list[rules.Standing]:
        """Return where `wanted` would bring them against every limit."""
        return [
            standing
            for limit, uses, opened in self.limits
            for standing in rules.judge(limit, wanted=wanted, uses=uses, opened=opened, zone=self.zone, now=now)
        ]


def covered(
    resource: Resource,
    *,
    since: datetime,
    organisation_id: int | None,
    user_id: int | None,
    now: datetime,
    but: int | None = None,
) -> Covered:
    """Look up what an organisation and its person use of every limit over a resource, for requests not before `since`.

    `but` leaves out one booking, by id: the one that is judged. What is held counts until it lapses.
    """
    covering = [row for row in rules_over(resource) if row[0].measure != rules.Measure.KEPT_SHARE.value]
    if not covering or organisation_id is None:
        return Covered(resource.zone, ())
    limits = [(limit_of(rule), ids) for rule, ids in covering]
    first = min(rules.window_at(since, limit.span, resource.zone).start for limit, _ids in limits)
    counted = Claim.objects.filter(
        Q(hold_until__isnull=True) | Q(hold_until__gt=now),
        resource__owner_id=resource.owner_id,
        booking__organisation_id=organisation_id,
        role=availability.ClaimRole.MAIN.value,
        state__in=COUNTED,
        during__endswith__gt=min(first, now),
    )
    if but is not None:
        counted = counted.exclude(booking_id=but)
    claims = list(counted.values_list("resource_id", "booking__booked_by_id", "during", "units"))
    found = []
    for limit, ids in limits:
        uses = [
            rules.Use(period_of(during), units)
            for pk, booker, during, units in claims
            if (not ids or pk in ids) and (limit.per is rules.Per.ORGANISATION or booker == user_id)
        ]
        opened = _opened(resource, ids, first) if limit.measure is rules.Measure.PEAK_SHARE else []
        found.append((limit, uses, opened))
    return Covered(resource.zone, found)


def _opened(resource: Resource, ids: Sequence[int], first: datetime) -> list[rules.Use]:
    """Return the time open to enterprises of all a limit covers, from `first` on. One query."""
    within = Q(resource_id__in=ids) if ids else Q(resource__owner_id=resource.owner_id)
    rows = (
        OpenPeriod.objects.filter(within, during__endswith__gt=first)
        .exclude(audience=availability.Audience.OWN.value)
        .exclude(resource__kind="operator")
        .values_list("during", "resource__capacity")
    )
    return [rules.Use(period_of(during), capacity) for during, capacity in rows]
