"""Large facilities for everybody: beamlines with prices and the next free shifts, calls, run cycles."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal.kernel.money import Money
from portal.kernel.period import Period, merge
from portal.pages import shell
from scheduler.availability import queries as availability
from scheduler.availability.models import FreeGap
from scheduler.beamtime import visit_access
from scheduler.facilities import access, queries
from scheduler.facilities.models import Beamline, Facility
from scheduler.proposals.models import ProposalCall
from scheduler.resources import queries as prices

__all__ = ["facilities", "facility"]

SHOWN_SPANS = 60


@shell.guarded
def facilities(request: HttpRequest) -> HttpResponse:
    """List the facilities there are; those who work at one see its draft, too."""
    actor, now = shell.stranger_or_actor(request), timezone.now()
    rows = access.visible_to(actor).annotate(
        lines=Count("beamlines", distinct=True),
        open_calls=Count("calls", filter=Q(calls__is_published=True, calls__during__contains=now), distinct=True),
    )
    context = {"facilities": rows.order_by("name", "pk")[:200], "desk": access.is_staff(actor)}
    return shell.page(request, "beam/facilities.html", context)


def free_runs(lines: Sequence[Beamline], *, until: datetime, now: datetime) -> dict[int, list[Period]]:
    """Return the runs of open shifts enterprises can book on each beamline, long enough to be booked. One query."""
    least = {line.pk: timedelta(seconds=line.resource.min_duration_s) for line in lines}
    found: dict[int, list[Period]] = {line.pk: [] for line in lines}
    for gap in FreeGap.objects.filter(resource_id__in=list(least), ends_at__gt=now, starts_at__lt=until):
        span = availability.period_of(gap.during)
        if span.end - span.start >= least[gap.resource_id]:
            found[gap.resource_id].append(span)
    return {pk: merge(spans) for pk, spans in found.items()}


@shell.guarded
def facility(request: HttpRequest, code: str) -> HttpResponse:
    """Show one facility: what an hour and a shift cost, which shifts can be booked now, calls, devices, the run plan."""
    actor, now = shell.stranger_or_actor(request), timezone.now()
    row = access.get_facility(actor, code)
    context = {
        "facility": row,
        "lines": _lines(access.beamlines_of(actor, row), row, now=now),
        "devices": access.devices_of(actor, row).prefetch_related("fits__beamline"),
        "calls": ProposalCall.objects.filter(facility=row, is_published=True, during__endswith__gt=now).order_by(
            "during"
        )[:20],
        "cycles": [
            {"cycle": cycle, "period": queries.period_of_cycle(cycle), "spans": queries.plan_of(cycle)[:SHOWN_SPANS]}
            for cycle in row.cycles.filter(during__endswith__gt=now).prefetch_related("periods").order_by("during")[:3]
        ],
        "shares": queries.shares_of(row).get(None, {}),
        "shift_hours": timedelta(minutes=row.length_min),
        "desk": access.is_staff(actor) and actor is not None and actor.organisation_id == row.owner_id,
        "figures": visit_access.may_read_figures(actor, row),
        "now": now,
    }
    return shell.page(request, "beam/facility.html", context)


def _lines(seen: Iterable[Beamline], row: Facility, *, now: datetime) -> list[dict[str, Any]]:
    lines = list(seen)
    rates = prices.rates_of_resources([line.pk for line in lines], at=now)
    runs = free_runs(lines, until=now + timedelta(days=row.market_days + 1), now=now)
    return [
        {
            "line": line,
            "hourly": rates.get(line.pk),
            "shift": Money(rates[line.pk].amount_fen * row.length_min // 60) if line.pk in rates else None,
            "runs": runs[line.pk][:3],
            "is_shown": line.resource.state == "published",
        }
        for line in lines
    ]
