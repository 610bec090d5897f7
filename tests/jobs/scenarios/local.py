"""The local runner killed again and again under the portal's own jobs."""

from __future__ import annotations

import random
import signal
import subprocess
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from integrations.local import spool
from integrations.local.cluster import LocalCluster
from scheduler.jobs import access, dispatching, guards, queries, reconciling, rules, services
from scheduler.jobs.models import Job
from scheduler.jobs.ports import Accepted, ClusterState, Ref, Spec
from scheduler.usage.models import UsageRecord
from tests import make
from tests.adapters.bench import LocalRunner, local_runner, new_marker, processes_with, until
from tests.jobs.scenarios import scenario
from tests.scenarios import is_full
from vouchers.charges.models import Charge

SCRIPT = "#!/bin/sh\necho run\nsleep {}\nexit {}\n"
LIMIT_S = 2
JOBS = 10


def submitted(w: make.World, partition, code: int, seconds: float) -> Job:
    now = datetime.now(UTC)
    ask = rules.Ask(cards=1, cpus=1, memory_mb=100, time_limit_s=60, script=SCRIPT.format(seconds, code))
    wanted = services.Wanted(partition=partition, title=f"作业 {code}", ask=ask)
    return services.submit(actor=w.researcher, wanted=wanted, now=now, key=make.key(), dispatch=lambda _id: None)


def placed_by_hand(runner: LocalRunner, script: str, *, time_limit_s: int) -> Ref:
    cluster = LocalCluster({"dir": str(runner.folder)})
    spec = Spec(script, "main", 1, 100, 0, "", time_limit_s, "e-other", "other")
    answer = cluster.submit(spec, marker=new_marker())
    assert isinstance(answer, Accepted)
    cluster.release(answer.ref, user="other")
    return answer.ref


def forge(runner: LocalRunner, bystander: int) -> Ref:
    """Leave a job that says it is kept by a process whose number somebody else has now."""
    ref = placed_by_hand(runner, "#!/bin/sh\n", time_limit_s=60)
    folder = runner.folder / "jobs" / ref.marker
    spool.create(folder / "claim.json", {"by": "shim", "who": f"{bystander}-1-{spool.BOOT.read_text()[:8]}"})
    spool.create(folder / "started.json", {"session": bystander, "at": time.time()})
    return ref


def kill(runner: LocalRunner) -> None:
    runner.stop(signal.SIGKILL)
    (runner.folder / "heartbeat.json").unlink(missing_ok=True)


def overrun_of(folder: Path) -> float:
    started, end = spool.read(folder / "started.json"), spool.read(folder / "exit.json")
    assert started is not None and end is not None and end["state"] == "timed_out"
    return float(end["at"] - started["at"] - LIMIT_S)


@scenario("A12")
def a_runner_killed_under_its_jobs(w) -> str:
    """4 slots, 10 jobs, the runner killed again and again: each runs once, ends right and is metered for what it ran."""
    kills, chance = (20, random.Random(12)) if is_full() else (6, random.Random(12))
    before = datetime.now(UTC)
    with local_runner("--partition", "main") as runner:
        partition = make.partition(w, config={"dir": str(runner.folder)}, name="main", max_cards=4)
        own = [submitted(w, partition, code, chance.uniform(0.2, 1.5)) for code in range(JOBS)]
        kill(runner)
        bystander = subprocess.Popen(["sleep", "600"], start_new_session=True)
        try:
            strange = forge(runner, bystander.pid)
            late = placed_by_hand(runner, "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 1; done\n", time_limit_s=LIMIT_S)
            for job in own:
                dispatching.dispatch(job_id=job.pk, now=datetime.now(UTC))
            runner.start()
            for _ in range(kills):
                time.sleep(chance.uniform(0.05, 0.5))
                kill(runner)
                reconciling.reconcile(cluster_id=partition.cluster_id, now=datetime.now(UTC))
                runner.start()
            deadline = time.monotonic() + 90
            while Job.objects.filter(settled_at__isnull=True).exists():
                assert time.monotonic() < deadline, list(Job.objects.values_list("state", "reason"))
                reconciling.reconcile(cluster_id=partition.cluster_id, now=datetime.now(UTC))
                time.sleep(0.2)
            cluster = LocalCluster({"dir": str(runner.folder)})
            until(lambda: cluster.observe([late])[0].state is ClusterState.TIMED_OUT, "the wall limit")
            until(lambda: cluster.observe([strange])[0].state is ClusterState.INTERRUPTED, "the forged job's end")
            assert bystander.poll() is None, "a foreign process was signalled"
        finally:
            bystander.kill()
            bystander.wait()
        overrun = overrun_of(runner.folder / "jobs" / late.marker)
        assert overrun <= 5
        ran = 0
        for code, job in enumerate(own):
            done = Job.objects.select_related("partition__cluster").get(pk=job.pk)
            wanted = rules.JobState.FAILED if code else rules.JobState.SUCCEEDED
            assert (done.state, done.exit_code) == (wanted.value, code)
            assert queries.log(done, offset=0).data == b"run\n"
            until(lambda marker=job.marker: not processes_with(marker), "end of its processes")
            ran += sum(UsageRecord.objects.filter(job=done).values_list("duration_s", flat=True))
        accounts = {guards.identity(job.partition.cluster, job.organisation_id)[0] for job in own}
        rows = access.connect(partition.cluster).usage(
            accounts=sorted(accounts), since=before, until=datetime.now(UTC) + timedelta(hours=1)
        )
        assert [row.name for row in rows] == [job.marker for job in sorted(own, key=lambda one: one.pk)]
        assert sum(row.run.elapsed_s for row in rows) == ran
        assert not Charge.objects.filter(state="held").exists()
    until(lambda: not processes_with(str(runner.folder)), "end of every process of the runner")
    return f"{kills} kills, {JOBS} jobs, wall limit {overrun:.1f} s over, {ran} s run = {ran} s metered"
