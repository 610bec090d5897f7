"""Read what is used of grants: from the jobs and their runs, never from a counter. Two queries for any number of grants."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, Final

from django.db import connection
from django.db.models import Q, QuerySet

from scheduler.allocations import rules
from scheduler.allocations.models import Allocation
from scheduler.jobs.rules import ACTIVE, OCCUPYING
from scheduler.resources.models import Partition

__all__ = ["amounts_of", "in_force", "standings"]

UNBILLED: Final = ("lost", "interrupted", "launch_failed")
"""Runs the cluster itself broke: not charged, so they use up nothing either."""

USED: Final = """
    SELECT a.id, sum(coalesce(
        (SELECT sum(coalesce(r.cards, j.cards)::bigint * r.elapsed_s) FROM job_run r
         WHERE r.job_id = j.id AND r.state <> ALL(%(unbilled)s) AND r.not_billed = ''),
        (SELECT sum(j.cards::bigint * u.duration_s) FROM usage_record u WHERE u.job_id = j.id),
        0))
    FROM allocation a
    JOIN job j ON j.organisation_id = a.organisation_id
        AND (a.partition_id IS NULL OR j.partition_id = a.partition_id)
    WHERE a.id = ANY(%(ids)s) AND j.cards > 0 AND j.state <> ALL(%(active)s) AND a.during @> j.created_at
        AND (a.programme_code = '' OR EXISTS (
            SELECT FROM charge_part p JOIN voucher v ON v.id = p.voucher_id
            WHERE p.charge_id = j.charge_id AND v.programme_code = a.programme_code))
    GROUP BY a.id
"""
OPEN: Final = """
    SELECT a.id, j.cards, j.time_limit_s, j.array, j.state, a.during @> j.created_at
    FROM allocation a
    JOIN job j ON j.organisation_id = a.organisation_id
        AND (a.partition_id IS NULL OR j.partition_id = a.partition_id)
    WHERE a.id = ANY(%(ids)s) AND j.cards > 0 AND j.state = ANY(%(active)s)
        AND (a.programme_code = '' OR EXISTS (
            SELECT FROM charge_part p JOIN voucher v ON v.id = p.voucher_id
            WHERE p.charge_id = j.charge_id AND v.programme_code = a.programme_code))
"""


def amounts_of(row: Allocation) -> rules.Amounts:
    """Return a row as the rules' value."""
    return rules.Amounts(card_s=row.card_s, cards=row.cards)


def standings(rows: Iterable[Allocation]) -> dict[int, rules.Standing]:
    """Return where each grant stands, by its id. Two queries."""
    found = list(rows)
    values: dict[str, Any] = {
        "ids": [row.pk for row in found],
        "active": sorted(state.value for state in ACTIVE),
        "unbilled": list(UNBILLED),
    }
    jobs: dict[int, list[rules.OpenJob]] = defaultdict(list)
    occupying = {state.value for state in OCCUPYING}
    with connection.cursor() as cursor:
        cursor.execute(USED, values)
        used = {pk: int(amount) for pk, amount in cursor.fetchall()}
        cursor.execute(OPEN, values)
        for pk, cards, limit, array, state, counts in cursor.fetchall():
            jobs[pk].append(rules.OpenJob(cards, limit, array, state in occupying, counts))
    return {
        row.pk: rules.standing(row.name, amounts_of(row), used_s=used.get(row.pk, 0), jobs=jobs[row.pk])
        for row in found
    }


def in_force(
    *, organisation_id: int, partition: Partition, programmes: Collection[str], at: datetime
) -> QuerySet[Allocation]:
    """Return the grants a job of this enterprise, partition and these vouchers' programmes is held to at a moment."""
    return Allocation.objects.filter(
        Q(partition__isnull=True) | Q(partition=partition),
        Q(programme_code="") | Q(programme_code__in=list(programmes)),
        organisation_id=organisation_id,
        ended_at__isnull=True,
        during__contains=at,
    ).order_by("pk")


def of_organisations(ids: Sequence[int], *, at: datetime) -> dict[int, list[Allocation]]:
    """Return every grant in force of each enterprise. One query."""
    found: dict[int, list[Allocation]] = {pk: [] for pk in ids}
    rows = Allocation.objects.filter(organisation_id__in=list(ids), ended_at__isnull=True, during__contains=at)
    for row in rows.order_by("pk"):
        found[row.organisation_id].append(row)
    return found
