"""Reach the people of a lab who may run an instrument."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from portal.kernel.errors import NotFound
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Resource

__all__ = ["get_operator", "operators_of"]


def get_operator(resource: Resource, number: str) -> Resource:
    """Return one of the lab's operators by number, qualified or not: a quote says so. Raises NotFound."""
    found = Resource.objects.filter(
        kind=resource_rules.ResourceKind.OPERATOR.value, owner_id=resource.owner_id, number=number
    ).first()
    if found is None:
        raise NotFound(field="operator")
    return found


def operators_of(resource: Resource, *, at: datetime) -> list[Resource]:
    """Return who may run the instrument now or later, by name."""
    today = at.astimezone(ZoneInfo(resource.zone)).date()
    return list(
        Resource.objects.filter(
            state=resource_rules.PublishState.PUBLISHED.value,
            skills__instrument=resource,
            skills__valid__endswith__gt=today,
        )
        .distinct()
        .order_by("name", "pk")
    )
