"""A catalogue in the national platform's columns: what labs report, and can take in again."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from fractions import Fraction
from typing import Any

from django.db.models import QuerySet
from django.utils.translation import gettext, pgettext

from portal.kernel.money import Money
from scheduler.catalogue import duties, rules
from scheduler.resources.models import Rate, Resource
from scheduler.resources.profile import RunningState
from scheduler.resources.rules import PublishState, ResourceKind

__all__ = ["Missing", "missing", "reported"]


def reported(rows: Iterable[Resource], *, at: datetime) -> list[dict[str, Any]]:
    """Return instruments by the columns of the list, in the reader's words, with number, state and prices. Two queries.

    Each has `owner` and `instrument` loaded. Money is `Money`, days are dates.
    """
    resources = list(rows)
    fees: dict[int, list[Rate]] = defaultdict(list)
    for rate in Rate.objects.filter(resource__in=resources, valid__contains=at).order_by("mode", "user_class", "unit"):
        fees[rate.resource_id or 0].append(rate)
    return [_line(resource, fees[resource.pk]) for resource in resources]


def _line(resource: Resource, fees: Sequence[Rate]) -> dict[str, Any]:
    facts = resource.instrument
    line: dict[str, Any] = {}
    for column in rules.COLUMNS:
        if column.key == "value":
            line["value"] = Money(facts.original_value_fen)
            continue
        thing = resource if hasattr(resource, column.key) else facts
        if column.key in rules.CHOSEN:
            line[column.key] = str(getattr(thing, f"get_{column.key}_display")())
        else:
            line[column.key] = getattr(thing, column.key)
    return {
        **line,
        "fees": pgettext("list", "；").join(_fee(rate) for rate in fees),
        "number": resource.number,
        "owner": resource.owner.name,
        "state": str(resource.get_state_display()),
    }


def _fee(rate: Rate) -> str:
    unit = str(rate.get_unit_display())
    if rate.share_ppm:
        price = gettext("原值的 %(share)s%%") % {"share": f"{float(Fraction(rate.share_ppm, 10_000)):g}"}
    else:
        price = str(Money(rate.amount_fen))
    return f"{rate.get_mode_display()} {rate.get_user_class_display()} {price}/{unit}"


@dataclass(frozen=True, slots=True)
class Missing:
    """An instrument that must be published and is not, with the threshold it reaches."""

    resource: Resource
    value: Money
    threshold: duties.Threshold


def missing(rows: QuerySet[Resource]) -> list[Missing]:
    """Return what of `rows` must be published and is not, the dearest first. One query.

    Scrapped instruments are left out: nobody can share them.
    """
    known = duties.thresholds()
    found = (
        rows.filter(kind=ResourceKind.INSTRUMENT.value, instrument__original_value_fen__gte=known.lowest.fen)
        .exclude(state=PublishState.PUBLISHED.value)
        .exclude(instrument__running_state=RunningState.SCRAPPED.value)
        .select_related("owner", "instrument")
        .order_by("-instrument__original_value_fen", "pk")
    )
    return [
        Missing(resource, value, known.of(resource.city))
        for resource in found
        if known.must_be_listed(value=(value := Money(resource.instrument.original_value_fen)), city=resource.city)
    ]
