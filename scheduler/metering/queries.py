"""Read use: run by run, and summed by enterprise and kind of card."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from typing import Any

from django.db.models import BigIntegerField, Count, F, OuterRef, QuerySet, Subquery, Sum
from django.db.models.functions import Cast, Coalesce, TruncDate

from portal.kernel.actors import Actor
from scheduler.jobs.models import Job, JobLine
from scheduler.metering import access
from scheduler.metering.models import JobAudit, UnmanagedRun
from scheduler.resources.models import Cluster

__all__ = ["Day", "Use", "billed_runs", "by_card", "by_day", "differing", "owed_fen", "owed_of"]


@dataclass(frozen=True, slots=True)
class Use:
    """What one enterprise used of one kind of card ("" = none) in a period: card- or core-seconds, and what it costs."""

    organisation: str
    organisation_en: str
    card_type: str
    unit: str
    runs: int
    units_s: int
    amount_fen: int


def billed_runs(actor: Actor, *, since: datetime | None = None, until: datetime | None = None) -> QuerySet[Any]:
    """Return the runs with a price that the actor may read, those that ended in [since, until); with their line's figures."""
    line = JobLine.objects.filter(run=OuterRef("pk")).order_by("-revision")
    found = access.runs_of(actor).annotate(
        line_unit=Subquery(line.values("unit")[:1]),
        line_count=Subquery(line.values("count")[:1]),
        line_seconds=Subquery(line.values("seconds")[:1]),
        line_price_fen=Subquery(line.values("unit_price_fen")[:1]),
        line_fen=Subquery(line.values("amount_fen")[:1]),
    )
    found = found.filter(line_fen__isnull=False)
    if since is not None:
        found = found.filter(ended_at__gte=since)
    if until is not None:
        found = found.filter(ended_at__lt=until)
    return found.select_related("job__organisation", "job__partition__cluster").defer("job__title", "job__script")


def by_card(runs: QuerySet[Any]) -> Sequence[Use]:
    """Sum runs by enterprise and kind of card, the dearest first. One query."""
    rows = (
        runs.select_related(None)
        .defer(None)
        .order_by()
        .values("job__organisation__name", "job__organisation__name_en", "job__partition__card_type", "line_unit")
        .annotate(
            runs=Count("pk"),
            units_s=Sum(Cast(F("line_count"), BigIntegerField()) * F("line_seconds")),
            amount_fen=Sum("line_fen"),
        )
    )
    found = [
        Use(
            organisation=row["job__organisation__name"],
            organisation_en=row["job__organisation__name_en"],
            card_type=row["job__partition__card_type"],
            unit=row["line_unit"],
            runs=row["runs"],
            units_s=row["units_s"],
            amount_fen=row["amount_fen"],
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: (-one.amount_fen, one.organisation, one.card_type))


@dataclass(frozen=True, slots=True)
class Day:
    """What was used on one day: card- or core-seconds by kind of card ("" = none), and the units they are counted in."""

    day: date
    units_s: Mapping[str, int]
    units: frozenset[str]


def by_day(runs: QuerySet[Any], *, zone: tzinfo) -> Sequence[Day]:
    """Sum runs by the day in `zone` on which they ended and by kind of card, from the first day to the last. One query.

    Days between without a run are told, with nothing.
    """
    rows = list(
        runs.select_related(None)
        .defer(None)
        .filter(ended_at__isnull=False)
        .order_by()
        .values("job__partition__card_type", "line_unit", day=TruncDate("ended_at", tzinfo=zone))
        .annotate(units_s=Sum(Cast(F("line_count"), BigIntegerField()) * F("line_seconds")))
    )
    if not rows:
        return []
    used: dict[date, dict[str, int]] = {}
    for row in rows:
        of_day = used.setdefault(row["day"], {})
        of_day[row["job__partition__card_type"]] = of_day.get(row["job__partition__card_type"], 0) + row["units_s"]
    units = frozenset(row["line_unit"] for row in rows)
    first, last = min(used), max(used)
    days = (first + timedelta(days=at) for at in range((last - first).days + 1))
    return [Day(day=day, units_s=used.get(day, {}), units=units) for day in days]


def owed_of(organisation_ids: Collection[int]) -> dict[int, int]:
    """Return what each organisation owes for use without the portal, in fen, by id. One query."""
    found = UnmanagedRun.objects.filter(organisation_id__in=list(organisation_ids), amount_fen__isnull=False)
    rows = found.order_by().values("organisation_id").annotate(fen=Sum("amount_fen"))
    return {row["organisation_id"]: int(row["fen"]) for row in rows}


def owed_fen(*, organisation_id: int) -> int:
    """Return what an organisation owes for use without the portal: priced, charged to no voucher."""
    found = UnmanagedRun.objects.filter(organisation_id=organisation_id)
    return int(found.aggregate(sum=Coalesce(Sum("amount_fen"), 0, output_field=BigIntegerField()))["sum"])


def differing(audit: JobAudit) -> dict[Cluster, list[str]]:
    """Return the jobs an audit found to differ, by the cluster they ran on, each named once. One query."""
    numbers = {one["subject"] for one in audit.differences}
    found: dict[Cluster, list[str]] = {}
    jobs = Job.objects.filter(number__in=numbers).select_related("partition__cluster").defer("title", "script")
    for job in jobs.order_by("number"):
        found.setdefault(job.partition.cluster, []).append(job.number)
    return found
