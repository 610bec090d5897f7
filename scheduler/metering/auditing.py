"""The nightly audit: the portal's lines = what accounting says was allocated for how long = what the ledger took.

Accounting is asked anew, not our copy of it. Where the operator publishes the price as the scheduler's billing weight
(``billing_per_unit`` in the cluster's configuration: billing units of one priced unit), billing × elapsed is compared, else
allocated × elapsed. Tolerance 0; what differs is named job by job.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import transaction
from django.db.models import BigIntegerField, F, Q, Sum
from django.db.models.functions import Cast
from django.utils.timezone import localtime

from portal.kernel.errors import PortalError
from portal.numbers.services import PORTAL_ZONE
from scheduler.jobs import ports
from scheduler.jobs import rules as job_rules
from scheduler.jobs.models import Job, JobCharge, JobLine, JobRun
from scheduler.jobs.runs import NO_TASK
from scheduler.messages import alarms
from scheduler.messages.rules import MessageKind
from scheduler.metering import queries, rules
from scheduler.metering.models import JobAudit, QuarantinedRun, UnmanagedRun
from scheduler.metering.sweeping import is_of, own_accounts, read
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Cluster
from vouchers.ledger import queries as ledger

__all__ = ["WINDOW", "audit"]

logger = structlog.get_logger("metering")

WINDOW: Final = timedelta(days=3)
"""What a nightly audit covers: as far as late records may still change it."""
UNSETTLED: Final = timedelta(hours=24)
"""After this long without settlement a finished job is a finding itself."""
MOST: Final = 500
"""Differences kept by name."""
MOST_NAMED: Final = 10
"""Jobs named in a message."""


def audit(*, since: datetime, until: datetime, now: datetime) -> JobAudit:
    """Compare the three books for every job settled in [since, until), and keep the result."""
    jobs = list(
        Job.objects.filter(settled_at__gte=since, settled_at__lt=until, charge__isnull=False)
        .exclude(settlement=job_rules.Settlement.NONE.value)
        .defer("title", "script")
        .select_related("partition__cluster", "charge")
        .order_by("pk")
    )
    said, away = _scheduler_units(jobs, now=now)
    lines = _lines(jobs)
    taken = _ledger(jobs)
    figures = [
        rules.Figures(
            subject=job.number,
            portal_units_s=lines.get(job.pk, (0, 0))[0],
            scheduler_units_s=said.get(job.pk, 0 if not lines.get(job.pk, (0, 0))[0] else None),
            lines_fen=lines.get(job.pk, (0, 0))[1],
            ledger_fen=taken.get(job.pk, 0),
            written_off_fen=job.written_off_fen,
        )
        for job in jobs
    ]
    unheard = {job.number for job in jobs if job.partition.cluster.code in away}
    found = [one for each in figures for one in rules.compare(each)]
    found = [one for one in found if one.subject not in unheard or one.kind == "money"]
    found += _unsettled(now=now)
    return _keep(figures, found, away, span=(since, until), now=now)


@transaction.atomic
def _keep(
    figures: Sequence[rules.Figures],
    found: Sequence[rules.Difference],
    away: Collection[str],
    *,
    span: tuple[datetime, datetime],
    now: datetime,
) -> JobAudit:
    """Keep what was compared, and tell those who oversee or run what does not agree."""
    since, until = span
    outside = UnmanagedRun.objects.filter(priced_at__gte=since, priced_at__lt=until)
    made = JobAudit.objects.create(
        since=since,
        until=until,
        made_at=now,
        jobs=len(figures),
        portal_units_s=sum(one.portal_units_s for one in figures),
        scheduler_units_s=sum(one.scheduler_units_s or 0 for one in figures),
        lines_fen=sum(one.lines_fen for one in figures),
        ledger_fen=sum(one.ledger_fen for one in figures),
        written_off_fen=sum(one.written_off_fen for one in figures),
        unmanaged=outside.count(),
        unmanaged_fen=outside.aggregate(sum=Sum("amount_fen"))["sum"] or 0,
        quarantined=QuarantinedRun.objects.exclude(state=rules.QuarantineState.RESOLVED.value).count(),
        away=sorted(away),
        differences=[one.as_json() for one in found[:MOST]],
    )
    if not made.is_clean:
        logger.error("metering.audit_differs", audit=made.pk, differences=len(found), away=made.away)
        _tell(made, now=now)
    return made


def _tell(made: JobAudit, *, now: datetime) -> None:
    """Tell the overseers of the whole, and the operators of each cluster of its own jobs that differ."""
    days = [localtime(at, PORTAL_ZONE).strftime("%Y-%m-%d %H:%M") for at in (made.since, made.until)]
    alarms.tell_overseers(
        kind=MessageKind.AUDIT_DIFFERS,
        about=str(made.pk),
        params={
            "since": days[0],
            "until": days[1],
            "zone": str(PORTAL_ZONE),
            "differences": str(len(made.differences)),
            "away": str(len(made.away)),
        },
        now=now,
    )
    for cluster, numbers in queries.differing(made).items():
        alarms.tell_operators(
            cluster=cluster,
            kind=MessageKind.CLUSTER_DIFFERS,
            key=f"{made.pk}:{cluster.pk}",
            params={"differences": str(len(numbers)), "jobs": " ".join(numbers[:MOST_NAMED])},
            now=now,
        )


def _unsettled(*, now: datetime) -> list[rules.Difference]:
    """Return finished jobs nobody has settled for a day: provisional ones too."""
    before = now - UNSETTLED
    late = Job.objects.filter(state__in=[state.value for state in job_rules.FINAL], charge__isnull=False).filter(
        Q(settled_at__isnull=True, ended_at__lt=before)
        | Q(settlement=job_rules.Settlement.PROVISIONAL.value, settled_at__lt=before)
    )
    return [
        rules.Difference(number, "unsettled", held, 0)
        for number, held in late.order_by("pk").values_list("number", "charge__price_fen")[:MOST]
    ]


def _lines(jobs: Sequence[Job]) -> Mapping[int, tuple[int, int]]:
    """Return (unit seconds, fen) of each job's lines in force. One query."""
    newest = JobLine.objects.filter(run__job__in=jobs).order_by("run_id", "-revision").distinct("run_id").values("pk")
    found = (
        JobLine.objects.filter(pk__in=newest)
        .order_by()
        .values("run__job_id")
        .annotate(units=Sum(Cast("count", BigIntegerField()) * F("seconds")), fen=Sum("amount_fen"))
    )
    return {row["run__job_id"]: (row["units"], row["fen"]) for row in found}


def _ledger(jobs: Sequence[Job]) -> Mapping[int, int]:
    """Return what the ledger took for each job and did not give back, in fen. Two queries."""
    of = {job.charge.number: job.pk for job in jobs if job.charge is not None}
    of |= dict(JobCharge.objects.filter(job__in=jobs).values_list("charge__number", "job_id"))
    found: dict[int, int] = defaultdict(int)
    for number, fen in ledger.taken(source_type="charge", source_ids=of).items():
        found[of[number]] += fen
    return found


def _scheduler_units(jobs: Sequence[Job], *, now: datetime) -> tuple[Mapping[int, int], set[str]]:
    """Return unit seconds by job as accounting has them now, and the codes of clusters that did not answer."""
    by_cluster: dict[Cluster, list[Job]] = defaultdict(list)
    for job in jobs:
        by_cluster[job.partition.cluster].append(job)
    units: dict[int, int] = defaultdict(int)
    away = set()
    for cluster, own in by_cluster.items():
        since = min(job.started_at or job.created_at for job in own)
        try:
            rows = read(cluster, since=since, until=now)
        except PortalError as error:
            logger.warning("metering.audit_away", cluster=cluster.code, error=str(error))
            away.add(cluster.code)
            continue
        for job_id, count in _units(cluster, own, rows):
            units[job_id] += count
    return units, away


def _units(cluster: Cluster, jobs: Sequence[Job], rows: Iterable[ports.UsageRow]) -> Iterable[tuple[int, int]]:
    known = {job.marker: job for job in jobs}
    runs = {
        (run.job_id, run.cluster_job_id, run.task, run.submitted_at): run for run in JobRun.objects.filter(job__in=jobs)
    }
    weight = int(cluster.config.get("billing_per_unit", 0))
    accounts = own_accounts(cluster, (job.organisation_id for job in jobs))
    for row in rows:
        job = known.get(rules.marker_of(row.name))
        if job is None or job.charge is None or not is_of(row, job, accounts[job.organisation_id]):
            continue
        told = row.run
        run = runs.get((job.pk, told.job_id, NO_TASK if told.task is None else told.task, told.submitted_at))
        if run is not None and run.not_billed:
            continue
        by_cards = job.charge.quote["unit"] == resource_rules.Unit.CARD_HOUR.value
        count = told.cards if by_cards else told.cpus
        if run is not None and run.ruled_count is not None:
            count = run.ruled_count
        elif weight and told.billing is not None:
            # A weight that does not divide is a difference: it must not vanish by rounding.
            count = told.billing // weight if told.billing % weight == 0 else -1
        yield job.pk, (count or 0) * told.elapsed_s
