"""A local cluster whose runner is the test: the real adapter and its real spool, moved by hand, one step at a time."""

from __future__ import annotations

import os
import time
from pathlib import Path

from integrations.local import spool
from scheduler.jobs import dispatching, reconciling
from scheduler.jobs.models import Job
from scheduler.resources.models import Partition
from tests import make


def partition(w: make.World, folder: Path, **changes) -> Partition:
    """Return a partition of a cluster whose spool is `folder`, 8 cards at 9 yuan a card-hour."""
    for name in ("jobs", "incoming"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    room = {"cpus": 64, "cards": 8, "card_type": "", "memory_mb": 64000, "partitions": [], "longest_s": 10**7}
    spool.write(folder / "capacity.json", room)
    return make.partition(w, config={"dir": str(folder)}, **changes)


def place(job: Job) -> Path:
    """Send a job to its cluster; return its directory there."""
    dispatching.dispatch(job_id=job.pk, now=job.created_at)
    job.refresh_from_db()
    assert job.state == "placed", job.state
    return Path(job.partition.cluster.config["dir"]) / "jobs" / job.marker


def start(job: Job, folder: Path, *, ago_s: float = 0) -> None:
    """Let the script have started, `ago_s` seconds ago by the machine's clock."""
    spool.create(folder / "grant.json", {"cpus": job.cpus, "cards": list(range(job.cards)), "memory_mb": job.memory_mb})
    spool.create(folder / "claim.json", {"by": "shim", "who": ""})
    (folder / "output").touch()
    spool.create(folder / "started.json", {"session": 0, "at": time.time() - ago_s})
    look(job)


def say(folder: Path, data: bytes) -> None:
    """Append to the job's output."""
    with (folder / "output").open("ab") as output:
        output.write(data)
        output.flush()
        os.fsync(output.fileno())


def end(job: Job, folder: Path, state: str = "succeeded", *, code: int | None = 0, elapsed_s: int = 60) -> None:
    """Let the script have ended after `elapsed_s` seconds."""
    how = {"state": state, "exit_code": code, "reason": "", "elapsed_s": elapsed_s, "at": time.time()}
    spool.create(folder / "exit.json", how)
    look(job)


def look(job: Job) -> None:
    """Bring the portal into step with the cluster."""
    reconciling.reconcile(cluster_id=job.partition.cluster_id, now=make.NOW)
    job.refresh_from_db()
