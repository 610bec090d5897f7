"""One story of a job, an array and a job begun again, told to the domain by whichever version of slurmrestd."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations.slurm.cluster import SlurmCluster
from scheduler.jobs.ports import Accepted, ClusterState, Spec
from tests.adapters.dialects import SUBMITTED, Daemon

SPEC = Spec(
    script="#!/bin/sh\n",
    partition="gpu",
    cpus=2,
    memory_mb=400,
    cards=2,
    card_type="a100",
    time_limit_s=120,
    account="e-optics",
    user="optics",
)
SINCE = datetime.fromtimestamp(SUBMITTED - 60, UTC)


def cluster_of(daemon: Daemon, folder: Path) -> SlurmCluster:
    key = folder / "shared.key"
    key.write_bytes(b"k" * 32)
    config = {"url": daemon.url, "reader": "reader", "job_root": "/jobs", "jwt_key_file": str(key), "development": True}
    return SlurmCluster(config)


def story(daemon: Daemon, cluster: SlurmCluster) -> list[Any]:
    """Lead one job, an array and a requeued job through their lives; return everything the domain was told."""
    seen: list[Any] = []
    placed = cluster.submit(SPEC, marker="zjsamestory", first=True)
    assert isinstance(placed, Accepted), placed
    ref, (job,) = placed.ref, daemon.live
    seen += [placed, cluster.observe([ref]), cluster.submit(SPEC, marker="zjsamestory"), cluster.check(SPEC)]
    cluster.release(ref, user="optics")
    assert not job.held
    for state, reason in ((("PENDING",), "Resources"), (("RUNNING", "CONFIGURING"), "None"), (("RUNNING",), "None")):
        job.state, job.reason = state, reason
        job.start = SUBMITTED + 10 if state != ("PENDING",) else 0
        seen.append(cluster.observe([ref])[0])
    for end in ({"exit": 3}, {"signal": 9}, {"exit": 0}):
        job.state = ("FAILED",) if any(end.values()) else ("COMPLETED",)
        job.exit, job.signal, job.end = end.get("exit", 0), end.get("signal", 0), SUBMITTED + 70
        seen.append(cluster.observe([ref])[0])
    daemon.accounted = [replace(job)]
    seen.append(cluster.observe([ref])[0])
    assert seen[-1].confirmed
    daemon.live = []
    seen.append(cluster.observe([ref])[0])
    seen.append(cluster.find(marker="zjsamestory", since=SINCE))
    seen += array(daemon, cluster) + begun_again(daemon, cluster)
    seen.append(cluster.usage(accounts=["e-optics"], since=SINCE, until=datetime.fromtimestamp(SUBMITTED + 900, UTC)))
    seen.append(cluster.usage(accounts=["e-pharma"], since=SINCE, until=datetime.fromtimestamp(SUBMITTED + 900, UTC)))
    seen.append(cluster.capacity().pools)
    seen.append(cluster.submit(replace(SPEC, partition="nowhere"), marker="zjnopartition").__class__)
    return [without_clock(one) for one in seen]


def array(daemon: Daemon, cluster: SlurmCluster) -> list[Any]:
    placed = cluster.submit(replace(SPEC, array="0-2%2"), marker="zjsamearray", first=True)
    assert isinstance(placed, Accepted), placed
    cluster.release(placed.ref, user="optics")
    whole = daemon.live.pop()
    tasks = [replace(whole, task=number, tasks="", state=("RUNNING",), start=SUBMITTED + 5) for number in range(3)]
    tasks[1].state, tasks[1].exit, tasks[1].end = ("FAILED",), 2, SUBMITTED + 65
    daemon.live += [tasks[0], tasks[1], replace(whole, tasks="2", held=False, reason="JobArrayTaskLimit")]
    daemon.accounted.append(tasks[1])
    seen = [cluster.observe([placed.ref])[0]]
    assert seen[0].state is ClusterState.RUNNING
    for task in (tasks[0], tasks[2]):
        task.state, task.end = ("COMPLETED",), SUBMITTED + 100
        daemon.accounted.append(task)
    daemon.live = []
    return [placed, *seen, replace(cluster.observe([placed.ref])[0], exit_code=None, runs=())]


def begun_again(daemon: Daemon, cluster: SlurmCluster) -> list[Any]:
    placed = cluster.submit(replace(SPEC, requeue=True), marker="zjsametwice", first=True)
    assert isinstance(placed, Accepted), placed
    cluster.release(placed.ref, user="optics")
    job = daemon.live[-1]
    first = replace(job, state=("NODE_FAIL",), start=SUBMITTED + 10, end=SUBMITTED + 40)
    daemon.accounted.append(first)
    job.submitted, job.restarts, job.state, job.reason = SUBMITTED + 41, 1, ("PENDING",), "BeginTime"
    seen = [cluster.observe([placed.ref])[0]]
    assert (seen[0].state, len(seen[0].runs), seen[0].confirmed) == (ClusterState.QUEUED, 1, False)
    job.state, job.start, job.end, job.reason = ("COMPLETED",), SUBMITTED + 160, SUBMITTED + 200, "None"
    seen.append(cluster.observe([placed.ref])[0])
    assert not seen[1].confirmed
    daemon.accounted.append(replace(job))
    seen.append(cluster.observe([placed.ref])[0])
    assert seen[2].confirmed
    assert [(run.state.value, run.elapsed_s) for run in seen[2].runs] == [("interrupted", 30), ("succeeded", 40)]
    cluster.cancel(placed.ref, user="optics")
    assert job.state == ("COMPLETED",)
    return [placed, *seen]


def without_clock(one: Any) -> Any:
    """Leave out what depends on when it was asked, and the one word v0.0.38 does not have."""
    if isinstance(one, list):
        return [without_clock(part) for part in one]
    if hasattr(one, "as_of"):
        running = one.state in (ClusterState.RUNNING, ClusterState.STARTING)
        runs = tuple(
            replace(run, raw_state="", elapsed_s=0 if run.ended_at is None else run.elapsed_s) for run in one.runs
        )
        return replace(one, as_of=SINCE, raw_state="", elapsed_s=None if running else one.elapsed_s, runs=runs)
    if hasattr(one, "run"):
        return replace(one, run=replace(one.run, raw_state="", exit_code=None))
    return one
