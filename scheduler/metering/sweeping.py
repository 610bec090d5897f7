"""Read each cluster's accounting again and again: close the portal's runs, meter those it does not know.

A sweep begins 72 hours before its watermark, for records come late, and the watermark never passes a run without a price.
Reading the same row again changes nothing. The cluster is asked outside any transaction.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Final

import structlog
from django.db import connection, transaction

from portal.audit import services as audit
from portal.kernel.errors import PortalError, Unavailable
from portal.numbers.services import next_number
from portal.organisations.models import Organisation
from scheduler.jobs import access as jobs_access
from scheduler.jobs import closing as jobs
from scheduler.jobs import ports
from scheduler.jobs import rules as job_rules
from scheduler.jobs.guards import accounts
from scheduler.jobs.models import Job, JobRun
from scheduler.jobs.runs import NO_TASK
from scheduler.messages import alarms
from scheduler.messages.rules import MessageKind
from scheduler.metering import pricing, quarantining, rules
from scheduler.metering.models import Sweep, UnmanagedRun
from scheduler.resources.models import Cluster, Partition

__all__ = ["accounts_of", "is_of", "own_accounts", "read", "sweep"]

logger = structlog.get_logger("metering")

SWEEP_LOCK: Final = 74


def accounts_of(cluster: Cluster) -> list[str]:
    """Return the accounts whose use is read: those of each organisation that has had a job there, or the operator's one."""
    if account := cluster.config.get("account"):
        return [str(account)]
    return sorted(_owners(cluster))


def _owners(cluster: Cluster) -> dict[str, int]:
    """Return whose each account is, of the organisations that have had a job there."""
    ids = Job.objects.filter(partition__cluster=cluster).order_by().values_list("organisation_id", flat=True).distinct()
    return {name: pk for pk, names in own_accounts(cluster, ids).items() for name in names}


def read(cluster: Cluster, *, since: datetime, until: datetime) -> Sequence[ports.UsageRow]:
    """Return the rows of accounting of a cluster's accounts. Raises Unavailable, also for an adapter that keeps none."""
    adapter, read_of = jobs_access.connect(cluster), accounts_of(cluster)
    if not read_of:
        return ()
    if not hasattr(adapter, "usage"):
        raise Unavailable
    return adapter.usage(accounts=read_of, since=since, until=until)


def sweep(*, cluster_id: int, now: datetime) -> Sweep | None:
    """Read what a cluster's accounting has, once at a time: None where another is reading. Never raises for the outside."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", [SWEEP_LOCK, cluster_id])
        (mine,) = cursor.fetchone()
        if not mine:
            return None
        try:
            return _sweep(Cluster.objects.get(pk=cluster_id), now=now)
        finally:
            cursor.execute("SELECT pg_advisory_unlock(%s, %s)", [SWEEP_LOCK, cluster_id])


def _sweep(cluster: Cluster, *, now: datetime) -> Sweep:
    mark, _created = Sweep.objects.get_or_create(cluster=cluster)
    try:
        rows = read(cluster, since=(mark.until or now) - rules.OVERLAP, until=now)
    except PortalError as error:
        logger.warning("metering.not_read", cluster=cluster.code, error=str(error))
        mark.failed_at, mark.error = now, str(error)[:200]
        mark.save(update_fields=["failed_at", "error"])
        # Accounting may be away for hours: what ended is settled provisionally all the same.
        jobs.settle_late(cluster_id=cluster.pk, now=now)
        return mark
    enter(cluster, rows, now=now)
    jobs.settle_late(cluster_id=cluster.pk, now=now)
    quarantining.keep(cluster_id=cluster.pk, now=now)
    mark.until = rules.watermark(until=now, unpriced=_unpriced(cluster))
    mark.swept_at, mark.error, mark.rows = now, "", len(rows)
    mark.save()
    return mark


def _unpriced(cluster: Cluster) -> Iterable[datetime]:
    """Return when runs ended that have no price yet."""
    own = JobRun.objects.filter(job__partition__cluster=cluster).exclude(doubt="")
    others = UnmanagedRun.objects.filter(cluster=cluster).exclude(doubt="")
    for found in (own, others):
        for ended_at, started_at in found.values_list("ended_at", "started_at"):
            if at := ended_at or started_at:
                yield at


def own_accounts(cluster: Cluster, organisation_ids: Iterable[int]) -> dict[int, frozenset[str]]:
    """Return the accounts each organisation's jobs may have run on. One query."""
    shared = str(cluster.config.get("account") or "")
    return {
        pk: frozenset(filter(None, (name, shared, f"e-{pk}")))
        for pk, name in accounts(cluster, set(organisation_ids)).items()
    }


def is_of(row: ports.UsageRow, job: Job, own: Collection[str]) -> bool:
    """Say whether a row under a job's marker is that job: whoever computes there may give a job of theirs any name."""
    return row.account in own and job.cluster_job_id in ("", row.run.job_id)


def enter(cluster: Cluster, rows: Iterable[ports.UsageRow], *, now: datetime) -> None:
    """Write rows of accounting down: to the job whose marker they carry, else as use without the portal."""
    by_marker: dict[str, list[ports.UsageRow]] = defaultdict(list)
    strange = []
    for row in rows:
        if marker := rules.marker_of(row.name):
            by_marker[marker].append(row)
        else:
            strange.append(row)
    known = {job.marker: job for job in Job.objects.filter(marker__in=by_marker, partition__cluster=cluster)}
    owned = own_accounts(cluster, (job.organisation_id for job in known.values()))
    for marker, told in by_marker.items():
        job = known.get(marker)
        own = []
        if job is not None:
            own = [row for row in told if is_of(row, job, owned[job.organisation_id])]
            if own:
                jobs.hear(job_id=job.pk, told=[row.run for row in own], now=now)
        strange += [row for row in told if row not in own]
    if not strange:
        return
    partitions = {partition.name: partition for partition in cluster.partitions.all()}
    named = {} if cluster.config.get("account") else _owners(cluster)
    owners = {pk for row in strange if (pk := rules.organisation_of(row.account)) is not None}
    present = set(Organisation.objects.filter(pk__in=owners).values_list("pk", flat=True))
    for row in strange:
        owner = named.get(row.account, rules.organisation_of(row.account))
        _meter(
            cluster,
            row,
            partition=partitions.get(row.partition),
            owner=owner if row.account in named or owner in present else None,
            now=now,
        )


@transaction.atomic
def _meter(
    cluster: Cluster, row: ports.UsageRow, *, partition: Partition | None, owner: int | None, now: datetime
) -> None:
    """Write down one run that did not go through the portal; one that is confirmed never changes again."""
    run = row.run
    task = NO_TASK if run.task is None else run.task
    key = {"cluster": cluster, "cluster_job_id": run.job_id, "task": task, "submitted_at": run.submitted_at}
    found = UnmanagedRun.objects.select_for_update(no_key=True).filter(**key).order_by("pk").first()
    if found is not None and found.confirmed:
        return
    created = found is None
    if found is None:
        found = UnmanagedRun(**key, number=next_number(prefix="U", now=now), organisation_id=owner, first_seen_at=now)
        found.state = job_rules.JobState.UNKNOWN.value
    found.name, found.account, found.user = row.name[:200], row.account[:80], row.user[:64]
    found.partition_name, found.partition = row.partition[:80], partition
    if run.state is not ports.ClusterState.UNKNOWN:
        found.state = job_rules.JobState(run.state.value).value
    found.raw_state = run.raw_state[:60]
    found.started_at, found.ended_at, found.elapsed_s = run.started_at, run.ended_at, run.elapsed_s
    found.cpus, found.cards, found.card_type = run.cpus, run.cards, run.card_type[:32]
    found.memory_mb, found.billing = run.memory_mb, run.billing
    found.confirmed, found.observed_at = run.confirmed, now
    if found.confirmed:
        pricing.price_unmanaged(found, now=now)
    found.save()
    if created:
        logger.error("metering.unmanaged", run=found.number, account=found.account, cluster=cluster.code)
        audit.record(
            action="run.unmanaged_seen",
            subject=f"run:{found.number}",
            actor=job_rules.SYSTEM,
            now=now,
            organisations=[owner, cluster.owner_id],
            data={"account": found.account, "cluster": cluster.code, "cluster_job_id": found.cluster_job_id},
        )
        alarms.tell_operators(
            cluster=cluster,
            kind=MessageKind.RUN_UNMANAGED,
            key=f"{cluster.pk}:{found.account}:{alarms.day_of(now)}",
            params={"account": found.account, "run": found.number, "job": found.cluster_job_id},
            now=now,
        )
