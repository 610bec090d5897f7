"""Instruments that may stand in for each other, and all that their bookings may occupy."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

from django.db.models import QuerySet

from scheduler.bookings.models import BookingTerms
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Resource, Skill

__all__ = ["alike", "alike_cities", "reach", "twins"]

TWINS: Final = 3
ALIKE: Final = 30


def twins(resource: Resource) -> list[Resource]:
    """Return up to three published instruments of the same lab and category; those of the same model come first."""
    facts = getattr(resource, "instrument", None)
    if facts is None:
        return []
    found = Resource.objects.filter(
        owner_id=resource.owner_id,
        kind=resource.kind,
        state=resource_rules.PublishState.PUBLISHED.value,
        instrument__category=facts.category,
        capacity__gte=resource.capacity,
    ).exclude(pk=resource.pk)
    same = found.filter(instrument__model=facts.model).order_by("pk")[:TWINS]
    others = found.exclude(instrument__model=facts.model).order_by("pk")[:TWINS]
    return [*same, *others][:TWINS]


def alike(resource: Resource, *, cities: Collection[str] = ()) -> list[Resource]:
    """Return up to thirty published instruments of the same category at any lab, in these cities or, without any, in all."""
    found = _of_category(resource).exclude(pk=resource.pk)
    return list((found.filter(city__in=list(cities)) if cities else found).order_by("pk")[:ALIKE])


def alike_cities(resource: Resource) -> list[str]:
    """Return the cities in which instruments of the same category are published."""
    return sorted(set(_of_category(resource).values_list("city", flat=True)))


def _of_category(resource: Resource) -> QuerySet[Resource]:
    facts = getattr(resource, "instrument", None)
    return Resource.objects.filter(
        kind=resource.kind,
        state=resource_rules.PublishState.PUBLISHED.value,
        instrument__category=facts.category if facts is not None else "",
        capacity__gte=resource.capacity,
    ).exclude(city="")


def reach(resources: Sequence[Resource]) -> set[int]:
    """Return the ids of all that bookings of these may occupy, whoever may ever run them. Two queries."""
    ids = {resource.pk for resource in resources}
    people = Skill.objects.filter(instrument_id__in=ids).values_list("operator_id", flat=True)
    benches = BookingTerms.objects.filter(resource_id__in=ids, bench__isnull=False).values_list("bench_id", flat=True)
    return ids | set(people) | {bench for bench in benches if bench is not None}
