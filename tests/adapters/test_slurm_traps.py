"""What 22.05 does that nobody would expect, each on the real one; what cannot be produced there is in the codec's tests."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from portal.kernel.errors import Unavailable
from scheduler.jobs.ports import After, ClusterState
from tests.adapters.bench import Bench, past, until
from tests.adapters.faults import Fault, Proxy
from tests.slurm import cluster as real

pytestmark = pytest.mark.slurm
QUICK = "#!/bin/sh\necho done\n"


class TestTraps:
    def test_without_being_asked_it_is_not_run_again(self, slurm: Bench, real_slurm: real.Info) -> None:
        ref = slurm.run("#!/bin/sh\necho began\nsleep 60\n")
        slurm.wait_log(ref, "began")
        with pytest.raises(subprocess.CalledProcessError):
            real_slurm.command("scontrol", "requeue", ref.job_id)
        assert "Requeue=0" in real_slurm.command("scontrol", "show", "job", ref.job_id)

    def test_the_limit_is_never_none(self, slurm: Bench, real_slurm: real.Info) -> None:
        ref = slurm.submit(QUICK, time_limit_s=1)
        assert "TimeLimit=00:01:00" in real_slurm.command("scontrol", "show", "job", ref.job_id)

    def test_somebody_elses_hold_is_seen(self, slurm: Bench, real_slurm: real.Info) -> None:
        parent = slurm.run("#!/bin/sh\nsleep 60\n")
        ref = slurm.run(QUICK, after=[After(parent, "any")])
        assert not slurm.observe(ref).held
        real_slurm.command("scontrol", "hold", ref.job_id)
        assert slurm.observe(ref).held
        assert slurm.observe(ref).reason == "JobHeldAdmin"

    def test_use_is_read_whole_and_by_seconds_of_no_zone(self, faulty: Bench, proxy: Proxy) -> None:
        faulty.cluster.usage(accounts=["e-optics", "e-pharma"], since=past(2 * 86_400), until=past(0))
        asked = [path for _method, path in proxy.seen if "account=" in path]
        assert len(asked) == 2
        assert all("start_time=uts" in path and "end_time=uts" in path and "skip_steps=true" in path for path in asked)
        assert all("," not in path for path in asked), "22.05 cannot read an unescaped comma"

    @pytest.mark.parametrize("number", [7000, 1007])
    def test_a_database_that_is_down_is_not_no_use(self, faulty: Bench, proxy: Proxy, number: int) -> None:
        body = {"errors": [{"error_number": number, "error": "x"}], "jobs": []}
        proxy.faults.append(Fault("GET", "/slurmdb/", "forge", times=3, status=200, body=body))
        with pytest.raises(Unavailable):
            faulty.cluster.usage(accounts=["e-optics"], since=past(60), until=past(0))
        proxy.faults.clear()
        nothing = {"errors": [{"error_number": 9003, "error": "Nothing found with query"}], "jobs": []}
        proxy.faults.append(Fault("GET", "/slurmdb/", "forge", status=200, body=nothing))
        assert faulty.cluster.usage(accounts=["e-optics"], since=past(60), until=past(0)) == []

    def test_an_array_ends_only_with_its_last_task_and_no_two_jobs_of_a_name_run_together(
        self, slurm: Bench, real_slurm: real.Info
    ) -> None:
        ref = slurm.run("#!/bin/sh\necho began\nsleep 3\n", array="0-1")
        until(lambda: len(slurm.observe(ref).runs) == 2, "both tasks side by side")
        script = Path(real_slurm.dir) / "jobs" / slurm.user / "twin.sh"
        script.write_text(QUICK)
        words = ["-J", ref.marker, "-A", "e-optics", "--uid", slurm.user, "-D", "/tmp", "-o", "/dev/null"]
        twin = real_slurm.command("sbatch", "--parsable", "-d", "singleton", *words, str(script)).strip()
        time.sleep(1)
        assert "Dependency" in real_slurm.command("squeue", "-h", "-j", twin, "-o", "%r")
        slurm.wait(ref, ClusterState.SUCCEEDED)
        real_slurm.command("scancel", twin)


class TestNodes:
    """These take a node down, so no other test may run on the cluster meanwhile."""

    @pytest.fixture
    def lose_node(self, real_slurm: real.Info) -> Iterator[Callable[[], None]]:
        def change(state: str) -> None:
            real_slurm.command("scontrol", "update", "NodeName=n1", f"State={state}", "Reason=test")

        yield lambda: change("DOWN")
        with contextlib.suppress(subprocess.CalledProcessError):  # it may have come back by itself
            change("RESUME")
        until(lambda: real_slurm.command("sinfo", "-hn", "n1", "-o", "%T").strip() == "idle", "the node again", 30)

    def test_a_lost_node_ends_a_job_that_is_not_to_run_again(self, alone: Bench, lose_node: Callable[[], None]) -> None:
        ref = alone.run("#!/bin/sh\necho began\nsleep 60\n")
        alone.wait_log(ref, "began")
        time.sleep(1)
        lose_node()
        pool = next(one for one in alone.cluster.capacity().pools if one.partition == "cpu")
        assert (pool.nodes, pool.nodes_down) == (1, 1)
        ended = alone.wait(ref, ClusterState.INTERRUPTED)
        ended = alone.confirm(ref)
        (run,) = ended.runs
        assert (run.state, run.raw_state, run.confirmed, run.exit_code) == (
            ClusterState.INTERRUPTED,
            "NODE_FAIL",
            True,
            None,
        )

    def test_one_that_may_run_again_waits_with_its_first_run_closed(
        self, alone: Bench, lose_node: Callable[[], None]
    ) -> None:
        ref = alone.run("#!/bin/sh\necho began\nsleep 60\n", requeue=True)
        alone.wait_log(ref, "began")
        time.sleep(1)
        lose_node()
        until(lambda: alone.observe(ref).runs and alone.observe(ref).runs[0].confirmed, "its first run's end")
        waiting = alone.observe(ref)
        assert (waiting.state, waiting.confirmed) == (ClusterState.QUEUED, False)
        assert (waiting.started_at, waiting.elapsed_s, waiting.cpus) == (None, None, None)
        assert [(run.state, run.raw_state) for run in waiting.runs] == [(ClusterState.INTERRUPTED, "NODE_FAIL")]
        assert waiting.expected_start_at is None or waiting.expected_start_at > waiting.as_of
        alone.cluster.cancel(ref, user=alone.user)
        ended = alone.confirm(ref)
        assert ended.state is ClusterState.CANCELLED
        assert len(ended.runs) == 1


class TestSuspension:
    def test_suspended_time_is_not_run_time(self, slurm: Bench, real_slurm: real.Info) -> None:
        ref = slurm.run("#!/bin/sh\necho began\nsleep 60\n")
        slurm.wait_log(ref, "began")
        real_slurm.command("scontrol", "suspend", ref.job_id)
        seen = slurm.wait(ref, ClusterState.SUSPENDED)
        time.sleep(4)
        assert slurm.observe(ref).elapsed_s == seen.elapsed_s
        real_slurm.command("scontrol", "resume", ref.job_id)
        slurm.wait(ref, ClusterState.RUNNING)
        slurm.cluster.cancel(ref, user=slurm.user)
        ended = slurm.confirm(ref)
        assert ended.started_at is not None
        assert ended.ended_at is not None
        assert ended.elapsed_s is not None
        assert ended.elapsed_s <= (ended.ended_at - ended.started_at).total_seconds() - 3
