"""Endpoints of clusters: the board for everybody; health, incidents, jobs on both sides and credentials for operators."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.wire import ActorRequest, Cursor, Line, Number, PageOut, StrictIn, Text, paged, problems
from scheduler.clusters import access, credentials, incidents, keeping, orphans, queries, rules
from scheduler.clusters.models import ClusterPool, ClusterStatus, Incident, KeyRotation, OrphanJob
from scheduler.jobs.models import Job
from scheduler.jobs.rules import JobState
from scheduler.maintenance import queries as maintenance
from scheduler.resources import access as resources
from scheduler.resources.models import Cluster

router = Router(tags=["clusters"])


class ClusterPoolOut(Schema):
    """What a partition has of one card type ("" = none) by its scheduler's own count, whoever uses it."""

    partition: str
    card_type: str
    cards: int
    cards_used: int
    cards_idle: int
    cards_down: int
    cpus: int
    cpus_used: int
    nodes: int
    nodes_down: int
    is_open: bool
    running: int
    waiting: int
    as_of: datetime


class BoardOut(Schema):
    """A cluster's pools as last read, and until when it is closed for maintenance."""

    cluster: str
    health: str
    checked_at: datetime | None
    closed_until: datetime | None
    pools: list[ClusterPoolOut]


class AlertOut(Schema):
    """One thing that needs a person; `subjects` are numbers of jobs or names, at most ten of `number`."""

    kind: rules.AlertKind
    since: datetime | None
    number: int
    subjects: list[str]


class ClusterHealthOut(Schema):
    """How a cluster is by its poller's last readings."""

    cluster: str
    ok: bool | None
    version: str
    detail: str
    latency_ms: int | None
    polled_at: datetime | None
    good_at: datetime | None
    capacity_at: datetime | None
    capacity_detail: str
    capabilities: dict[str, Any]
    jobs_seen_at: datetime | None
    accounting_read_at: datetime | None
    alerts: list[AlertOut]


class IncidentOut(Schema):
    """A time the cluster, or its accounting, did not answer; open while `closed_at` is null."""

    id: int
    kind: rules.IncidentKind
    opened_at: datetime
    closed_at: datetime | None
    detail: str
    partitions: list[str]
    jobs_running: int
    jobs_waiting: int
    note: str
    noted_at: datetime | None


class IncidentNoteIn(StrictIn):
    """What is known of it, in place of what was written before."""

    note: Annotated[Text, Field(max_length=500)]


class ClusterJobOut(Schema):
    """An unsettled job on both sides. Its title and script are its organisation's and not told here."""

    number: str
    organisation: str
    partition: str
    state: JobState
    cluster_job_id: str
    cluster_state: str
    reason: str
    held: bool
    observed_at: datetime | None
    stuck: str
    stuck_since: datetime | None
    acts: list[keeping.Act]


class JobActIn(StrictIn):
    """``ask`` the cluster, ``retry`` sending or releasing, ``adopt`` what bears the job's marker."""

    act: keeping.Act


class JobActOut(Schema):
    before: JobState
    after: JobState
    observed_at: datetime | None


class OrphanOut(Schema):
    """A job on the cluster with a marker of ours nobody here knows."""

    id: int
    cluster_job_id: str
    marker: str
    account: str
    user: str
    partition: str
    raw_state: str
    first_seen_at: datetime
    last_seen_at: datetime
    ended_at: datetime | None
    taken_off_at: datetime | None


class CredentialsOut(Schema):
    """Which key, signer and users the cluster is reached with; never a secret."""

    signer: str
    key_id: str
    job_user: str
    facts: dict[str, str]
    since: datetime | None
    rotation: dict[str, Any] | None


class RotationIn(StrictIn):
    """The name (key id) of the new key; never the key."""

    new_key: Annotated[Line, Field(min_length=1, max_length=80)]


class RotationStepIn(StrictIn):
    """The step that is done; in order."""

    step: rules.RotationStep


def _fields(schema: type[Schema], row: object) -> dict[str, Any]:
    return {name: getattr(row, name) for name in schema.model_fields}


def _boards(found: Sequence[Cluster], now: datetime) -> list[dict[str, Any]]:
    ids = [each.pk for each in found]
    windows = maintenance.ahead_of(ids, now=now)
    pools: dict[int, list[ClusterPool]] = {}
    for (pk, _name), rows in queries.pools_of(ids).items():
        pools.setdefault(pk, []).extend(rows)
    boards = []
    for each in found:
        on = next((window for window in windows.get(each.pk, []) if now in window.period), None)
        boards.append(
            {
                "cluster": each.code,
                "health": queries.health_of(each, in_maintenance=on is not None, now=now),
                "checked_at": each.health_at,
                "closed_until": on.period.end if on else None,
                "pools": [_fields(ClusterPoolOut, pool) for pool in pools.get(each.pk, [])],
            }
        )
    return boards


@router.get("/board", response={200: list[BoardOut], **problems()})
def board(request: ActorRequest) -> list[dict[str, Any]]:  # noqa: ARG001  public to every caller
    """Return what every cluster has free, as its poller last read it; asking does not ask the cluster."""
    return _boards(list(resources.clusters()), timezone.now())


@router.get("/{code}/health", response={200: ClusterHealthOut, **problems(404)})
def health(request: ActorRequest, code: Number) -> dict[str, Any]:
    """Return how a cluster one runs is and what needs a person."""
    cluster, now = resources.get_managed_cluster(request.actor, code), timezone.now()
    status = ClusterStatus.objects.filter(cluster=cluster).first() or ClusterStatus(cluster=cluster)
    names = ("ok", "latency_ms", "polled_at", "good_at", "capacity_at", "capacity_detail")
    return {
        **{name: getattr(status, name) for name in names},
        "cluster": cluster.code,
        "version": cluster.version,
        "detail": cluster.health_detail,
        "capabilities": cluster.capabilities,
        "jobs_seen_at": queries.last_sync_of(cluster),
        "accounting_read_at": status.swept_at,
        "alerts": [_fields(AlertOut, alert) for alert in queries.alerts_of([cluster], now=now)[cluster.pk]],
    }


def _incident(row: Incident) -> dict[str, Any]:
    return {"id": row.pk, **{name: getattr(row, name) for name in IncidentOut.model_fields if name != "id"}}


@router.get("/{code}/incidents", response={200: PageOut[IncidentOut], **problems(404)})
def list_incidents(request: ActorRequest, code: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the incidents of a cluster one runs."""
    cluster = resources.get_managed_cluster(request.actor, code)
    return paged(Incident.objects.filter(cluster=cluster), wanted, _incident)


@router.put("/{code}/incidents/{incident_id}/note", response={200: IncidentOut, **problems(404)})
def note(request: ActorRequest, code: Number, incident_id: int, payload: IncidentNoteIn) -> dict[str, Any]:
    """Write what is known of an incident."""
    row = access.get_incident(request.actor, code, incident_id)
    return _incident(incidents.note(actor=request.actor, incident=row, text=payload.note, now=timezone.now()))


def _job(job: Job, now: datetime) -> dict[str, Any]:
    run = max(job.runs.all(), key=lambda each: each.no, default=None)
    return {
        **{name: getattr(job, name) for name in ("number", "state", "cluster_job_id", "reason", "held", "observed_at")},
        "organisation": job.organisation.name,
        "partition": job.partition.name,
        "cluster_state": run.raw_state if run else "",
        "stuck": keeping.why_stuck(job, now=now),
        "stuck_since": keeping.stuck_since(job, now=now),
        "acts": list(keeping.acts_for(job)),
    }


@router.get("/{code}/jobs", response={200: PageOut[ClusterJobOut], **problems(404)})
def list_open_jobs(request: ActorRequest, code: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the unsettled jobs of a cluster one runs, the portal's state beside the cluster's."""
    cluster, now = resources.get_managed_cluster(request.actor, code), timezone.now()
    rows = access.open_jobs(request.actor, cluster).prefetch_related("runs")
    return paged(rows, wanted, lambda job: _job(job, now))


@router.post("/{code}/jobs/{number}/act", response={200: JobActOut, **problems(404, 409)})
def act_on_job(request: ActorRequest, code: Number, number: Number, payload: JobActIn) -> dict[str, Any]:
    """Ask again, send again, or find again, at once. The protocol decides what comes of it."""
    job = access.get_open_job(request.actor, code, number)
    outcome = keeping.act_on(actor=request.actor, job=job, act=payload.act, now=timezone.now())
    return _fields(JobActOut, outcome)


def _orphan(row: OrphanJob) -> dict[str, Any]:
    return {"id": row.pk, **{name: getattr(row, name) for name in OrphanOut.model_fields if name != "id"}}


@router.get("/{code}/orphans", response={200: PageOut[OrphanOut], **problems(404)})
def list_orphans(request: ActorRequest, code: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the orphans seen on a cluster one runs."""
    cluster = resources.get_managed_cluster(request.actor, code)
    return paged(access.orphans_of(request.actor, cluster), wanted, _orphan)


@router.post("/{code}/orphans/{orphan_id}/take-off", response={200: OrphanOut, **problems(404, 409, 502)})
def take_off(request: ActorRequest, code: Number, orphan_id: int) -> dict[str, Any]:
    """Ask the cluster to end an orphan."""
    row = access.get_orphan(request.actor, code, orphan_id)
    return _orphan(orphans.take_off(actor=request.actor, orphan=row, now=timezone.now()))


def _credentials(cluster: Cluster, rotation: KeyRotation | None) -> dict[str, Any]:
    kept = credentials.credentials_of(cluster)
    names = ("old_key", "new_key", "started_at", "finished_at", "steps")
    return {
        **{name: getattr(kept, name) for name in ("signer", "key_id", "job_user", "facts", "since")},
        "rotation": {name: getattr(rotation, name) for name in names} if rotation else None,
    }


@router.get("/{code}/credentials", response={200: CredentialsOut, **problems(404)})
def get_credentials(request: ActorRequest, code: Number) -> dict[str, Any]:
    """Say which key, signer and users a cluster one runs is reached with."""
    cluster = resources.get_managed_cluster(request.actor, code)
    return _credentials(cluster, access.rotation_of(request.actor, cluster))


@router.post("/{code}/credentials/test", response={200: ClusterHealthOut, **problems(404)})
def test_credentials(request: ActorRequest, code: Number) -> dict[str, Any]:
    """Ask the cluster now with the present credentials."""
    cluster = resources.get_managed_cluster(request.actor, code)
    credentials.test_now(actor=request.actor, cluster=cluster, now=timezone.now())
    return health(request, code)


@router.post("/{code}/rotation", response={200: CredentialsOut, **problems(404, 409)})
def begin_rotation(request: ActorRequest, code: Number, payload: RotationIn) -> dict[str, Any]:
    """Begin an exchange of keys, or return the one going on."""
    cluster = resources.get_managed_cluster(request.actor, code)
    made = credentials.begin(actor=request.actor, cluster=cluster, new_key=payload.new_key, now=timezone.now())
    return _credentials(cluster, made)


@router.post("/{code}/rotation/steps", response={200: CredentialsOut, **problems(404, 409)})
def step_rotation(request: ActorRequest, code: Number, payload: RotationStepIn) -> dict[str, Any]:
    """Tick a step of the exchange off; they are done in order."""
    cluster = resources.get_managed_cluster(request.actor, code)
    rotation = access.rotation_of(request.actor, cluster)
    if rotation is None:
        raise credentials.StepOutOfOrder
    done = credentials.done(actor=request.actor, rotation=rotation, step=payload.step, now=timezone.now())
    return _credentials(cluster, done)
