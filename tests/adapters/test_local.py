"""What only the local cluster promises: crashes lose nothing, jobs are fenced in, nothing stays behind."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations.local import sandbox, spool
from integrations.local.cluster import LocalCluster
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import CannotTell, ClusterState, NotSent
from tests.adapters.bench import ROOT, Bench, LocalRunner, local_runner, new_marker, past, processes_with, until
from tests.adapters.conftest import bench_of

QUICK = "#!/bin/sh\necho done\n"
as_root = pytest.mark.skipif(os.getuid() != 0, reason="only root can give every job a user of its own")


@pytest.fixture
def runner() -> Iterator[LocalRunner]:
    with local_runner() as one:
        yield one


@pytest.fixture
def own(runner: LocalRunner) -> Bench:
    return bench_of(runner)


class TestCrashes:
    def test_a_runner_killed_again_and_again_runs_each_job_once(self, runner: LocalRunner, own: Bench) -> None:
        script = "#!/bin/sh\necho run $CUDA_VISIBLE_DEVICES\nsleep 0.{}\nexit {}\n"
        refs = [own.run(script.format(3 + code % 5, code), cards=1 + code % 2) for code in range(10)]
        chance = random.Random(20)
        for _ in range(12):
            time.sleep(chance.uniform(0.02, 0.3))
            runner.stop(signal.SIGKILL)
            (runner.folder / "heartbeat.json").unlink()
            runner.start()
        for code, ref in enumerate(refs):
            ended = own.wait(ref)
            wanted = ClusterState.FAILED if code else ClusterState.SUCCEEDED
            assert (ended.state, ended.exit_code, ended.cards) == (wanted, code, 1 + code % 2)
            assert own.log(ref).count("run") == 1
        until(lambda: not any(processes_with(ref.marker) for ref in refs), "end of all processes")

    def test_a_runner_killed_between_grant_and_start_starts_the_job_with_that_grant(
        self, runner: LocalRunner, own: Bench
    ) -> None:
        runner.stop(signal.SIGKILL)
        ref = own.run("#!/bin/sh\necho $CUDA_VISIBLE_DEVICES\n")
        work = runner.folder / "work" / ref.marker
        grant = {"cpus": 1, "memory_mb": 200, "cards": [3], "uid": None}
        work.mkdir()
        spool.create(runner.folder / "jobs" / ref.marker / "grant.json", grant)
        runner.start()
        own.wait(ref, ClusterState.SUCCEEDED)
        assert own.log(ref) == "3\n"

    def test_a_job_whose_shim_was_killed_is_interrupted_and_its_processes_end(self, own: Bench) -> None:
        ref = own.run("#!/bin/sh\nsleep 300 &\necho began\nsleep 300\n")
        own.wait_log(ref, "began")
        claim = spool.read(own.cluster.jobs / ref.marker / "claim.json")  # type: ignore[attr-defined]
        assert claim is not None
        os.kill(int(claim["who"].partition("-")[0]), signal.SIGKILL)
        ended = own.wait(ref, ClusterState.INTERRUPTED)
        assert ended.exit_code is None
        assert ended.elapsed_s is not None
        until(lambda: not processes_with(ref.marker), "end of the job's processes")

    def test_a_recycled_pid_is_never_signalled(self, runner: LocalRunner, own: Bench) -> None:
        runner.stop(signal.SIGKILL)
        ref = own.run(QUICK)
        bystander = subprocess.Popen(["sleep", "60"], start_new_session=True)
        try:
            job = runner.folder / "jobs" / ref.marker
            boot = spool.BOOT.read_text()[:8]
            spool.create(job / "claim.json", {"by": "shim", "who": f"{bystander.pid}-1-{boot}"})
            spool.create(job / "started.json", {"session": bystander.pid, "at": time.time()})
            runner.start()
            own.wait(ref, ClusterState.INTERRUPTED)
            own.cluster.cancel(ref, user=own.user)
            time.sleep(0.3)
            assert bystander.poll() is None
        finally:
            bystander.kill()
            bystander.wait()

    def test_a_held_job_is_cancelled_at_once_while_the_runner_is_down(self, runner: LocalRunner, own: Bench) -> None:
        runner.stop(signal.SIGKILL)
        ref = own.run(QUICK)
        own.cluster.cancel(ref, user=own.user)
        assert own.observe(ref).state is ClusterState.CANCELLED
        runner.start()
        time.sleep(0.5)
        assert own.observe(ref).state is ClusterState.CANCELLED
        assert own.log(ref) == ""

    def test_a_shim_that_cannot_start_is_a_failed_launch(self, runner: LocalRunner, own: Bench) -> None:
        runner.stop(signal.SIGKILL)
        ref = own.run(QUICK)
        (runner.folder / "work").mkdir(exist_ok=True)
        grant = {"cpus": 1, "memory_mb": 200, "cards": [], "uid": None}
        spool.create(runner.folder / "jobs" / ref.marker / "grant.json", grant)  # and no work directory
        runner.start()
        assert own.wait(ref, ClusterState.LAUNCH_FAILED).elapsed_s is None


class TestStopping:
    def test_a_stopped_runner_leaves_no_process(self, runner: LocalRunner, own: Bench) -> None:
        ref = own.run("#!/bin/sh\ntrap '' TERM\nsetsid sleep 300 &\necho began\nwhile :; do sleep 1; done\n")
        own.wait_log(ref, "began")
        runner.stop()
        assert processes_with(ref.marker) == []
        assert processes_with(str(runner.folder)) == []
        assert own.observe(ref).state is ClusterState.INTERRUPTED
        assert not own.cluster.health().ok

    def test_a_stopped_runner_may_keep_its_jobs_for_the_next(self) -> None:
        with local_runner("--keep-jobs") as runner:
            own = bench_of(runner)
            ref = own.run("#!/bin/sh\necho began\nsleep 2\nexit 5\n")
            own.wait_log(ref, "began")
            runner.stop()
            assert own.observe(ref).state is ClusterState.RUNNING
            runner.start()
            assert own.wait(ref, ClusterState.FAILED).exit_code == 5

    def test_a_second_runner_on_the_same_spool_refuses(self, runner: LocalRunner) -> None:
        argv = [sys.executable, "-m", "integrations.local.runner", "--dir", str(runner.folder)]
        second = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, timeout=10, check=False)
        assert second.returncode == 1
        assert "another runner" in second.stderr

    def test_children_that_flee_into_their_own_session_end_with_the_script(self, local: Bench) -> None:
        ref = local.run("#!/bin/sh\nsetsid sh -c 'trap \"\" TERM HUP; sleep 300; sleep 300' &\nsleep 0.5\nexit 0\n")
        local.wait(ref, ClusterState.SUCCEEDED)
        until(lambda: not processes_with(ref.marker), "end of its processes", seconds=1)

    def test_a_job_that_ignores_term_is_killed_after_the_wait(self, local: Bench) -> None:
        ref = local.run("#!/bin/sh\ntrap '' TERM\necho began\nwhile :; do sleep 1; done\n", time_limit_s=1)
        ended = local.wait(ref, ClusterState.TIMED_OUT)
        assert ended.elapsed_s is not None
        assert 1 <= ended.elapsed_s <= 5
        until(lambda: not processes_with(ref.marker), "end of its processes", seconds=1)


class TestFences:
    def test_over_its_memory_a_job_ends_as_such(self, local: Bench) -> None:
        script = "#!/usr/bin/python3\nimport time\nheld = bytearray(300 << 20)\ntime.sleep(60)\n"
        assert local.wait(local.run(script, memory_mb=100), ClusterState.OUT_OF_MEMORY).exit_code is None

    def test_a_missing_interpreter_is_a_failed_launch(self, local: Bench) -> None:
        ended = local.wait(local.run("#!/no/such/interpreter\n"), ClusterState.LAUNCH_FAILED)
        assert ended.reason == "JobLaunchFailure: No such file or directory"

    def test_the_environment_is_only_what_was_given(self, local: Bench) -> None:
        ref = local.run("#!/bin/sh\nenv\n", environment={"MODE": "fast"})
        local.wait(ref, ClusterState.SUCCEEDED)
        names = {line.partition("=")[0] for line in local.log(ref).splitlines()}
        given = "PATH LANG HOME TMPDIR USER LOGNAME SHELL OMP_NUM_THREADS JOB_ID JOB_MARKER CUDA_VISIBLE_DEVICES MODE"
        assert names - {"_", "PWD", "SHLVL"} == set(given.split())

    @as_root
    def test_every_job_is_a_user_of_its_own_and_sees_no_other(self, local: Bench, tmp_path: Path) -> None:
        secret = Path(local.cluster.folder) / "secret"  # type: ignore[attr-defined]
        secret.write_text("hush")
        secret.chmod(0o600)
        victim = local.run("#!/bin/sh\nid -u\nid -G\npwd\necho mine > note\nsleep 30\n")
        local.wait_log(victim, "work")
        uid, groups, home = local.log(victim).split()
        assert int(uid) >= 61_184
        assert groups == uid
        probe = local.run(
            f"#!/bin/sh\nid -u\ncat {home}/note\nls {home}\ncat {secret}\nls {secret.parent}/jobs\n"
            f"cat /proc/{os.getpid()}/environ\ntouch {secret.parent}/x\necho over\n"
        )
        local.wait(probe, ClusterState.SUCCEEDED)
        lines = local.wait_log(probe, "over").splitlines()
        assert lines[0] != uid
        assert all("denied" in line.lower() for line in lines[1:-1]), lines
        assert len(lines) == 8

    @as_root
    def test_portal_and_runner_may_be_different_users(self) -> None:
        with local_runner() as runner:
            runner.stop()
            for path in (runner.folder / "jobs", runner.folder / "incoming", runner.folder):
                os.chown(path, 65534, 65534)
            runner.start()
            own = bench_of(runner)
            if (portal := os.fork()) == 0:
                try:
                    os.setgroups([])
                    os.setresgid(65534, 65534, 65534)
                    os.setresuid(65534, 65534, 65534)
                    ref = own.run("#!/bin/sh\nid -u\n")
                    own.wait(ref, ClusterState.SUCCEEDED)
                    assert own.log(ref).strip() not in ("0", "65534")
                    own.cluster.cancel(own.submit(QUICK), user=own.user)
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(portal, 0)[1] == 0

    @as_root
    @pytest.mark.skipif(not sandbox.landlock_version(), reason="this kernel has no Landlock")
    def test_without_root_landlock_keeps_a_job_from_its_owners_files_and_processes(self) -> None:
        with local_runner() as outer, tempfile.NamedTemporaryFile(dir="/dev/shm") as shared:
            outer.stop()
            outer.start_as("nobody")
            own = bench_of(outer)
            secret = outer.folder / "secret"
            secret.write_text("hush")
            Path(shared.name).write_text("hush")
            for path in (secret, shared.name):
                os.chown(path, 65534, 65534)
            assert outer.process is not None
            pid = outer.process.pid
            ref = own.submit(
                f"#!/bin/bash\nid -u\ncat {secret}\ncat /proc/{pid}/environ\nkill -9 {pid}\nls {outer.folder}/jobs\n"
                f"cat {shared.name}\n: > {shared.name}\n"
                "echo x > /dev/null || echo bad\nhead -c 0 /dev/urandom || echo bad\n"
                "echo kept > note && cat note\n"
            )
            outer.give_to("nobody")
            own.cluster.release(ref, user=own.user)
            own.wait(ref, ClusterState.SUCCEEDED)
            lines = own.log(ref).splitlines()
            assert (lines[0], lines[-1]) == ("65534", "kept")
            assert all("denied" in line.lower() or "not permitted" in line for line in lines[1:-1]), lines
            assert own.cluster.health().detail.startswith("isolation landlock")

    @as_root
    @pytest.mark.skipif(
        subprocess.run(["unshare", "-i", "true"], capture_output=True, check=False).returncode != 0,
        reason="this host lets nobody have memory of its own to share",
    )
    def test_shared_memory_goes_with_its_job(self, local: Bench) -> None:
        first = local.run("#!/bin/sh\nipcmk -M 4096 > /dev/null && ipcs -m | grep -c 4096\n")
        local.wait(first, ClusterState.SUCCEEDED)
        assert local.log(first) == "1\n"
        second = local.run("#!/bin/sh\nipcs -m | grep -c 0x || echo none\n")
        local.wait(second, ClusterState.SUCCEEDED)
        assert local.log(second) == "0\nnone\n"

    @as_root
    @pytest.mark.skipif(
        subprocess.run(["unshare", "-Urm", "true"], capture_output=True, check=False).returncode != 0
        or not sandbox.landlock_version(),
        reason="this host gives users no namespaces of their own, or has no Landlock",
    )
    def test_without_root_the_portals_sockets_are_not_there(self) -> None:
        with tempfile.TemporaryDirectory(dir="/var/tmp") as engines, local_runner("--hide", engines) as outer:
            outer.stop()
            outer.start_as("nobody")
            own, address = bench_of(outer), f"{engines}/redis.sock"
            with socket.socket(socket.AF_UNIX) as listening:
                listening.bind(address)
                listening.listen()
                for path in (engines, address):
                    os.chown(path, 65534, 65534)
                ref = own.submit(
                    "#!/bin/sh\n"
                    f'python3 -c \'import socket; socket.socket(socket.AF_UNIX).connect("{address}"); print("in")\' 2>&1\n'
                    f"umount {engines} 2>&1 || unshare -Ur umount {engines} 2>&1\nls -A {engines} 2>&1\n"
                    "id -u; echo kept > note; cat note\n"
                )
                outer.give_to("nobody")
                own.cluster.release(ref, user=own.user)
                own.wait(ref, ClusterState.SUCCEEDED)
            said = own.log(ref)
            assert "redis.sock" not in said.replace(address, "")
            assert "\nin\n" not in f"\n{said}"
            assert said.endswith("65534\nkept\n"), said
            assert own.cluster.health().detail.startswith("isolation landlock+hidden")

    def test_a_log_that_became_a_link_is_not_followed(self, local: Bench) -> None:
        ref = local.run(QUICK)
        local.wait(ref, ClusterState.SUCCEEDED)
        output = local.cluster.jobs / ref.marker / "output"  # type: ignore[attr-defined]
        output.unlink()
        output.symlink_to("/etc/hostname")
        with pytest.raises(Rejected):
            local.cluster.log(ref, offset=0, limit=10)
        output.unlink()
        os.mkfifo(output)
        with pytest.raises(Rejected):
            local.cluster.log(ref, offset=0, limit=10)


class TestNoRunner:
    def test_a_spool_no_runner_ever_worked_on_takes_nothing(self, tmp_path: Path, local: Bench) -> None:
        cluster = LocalCluster({"dir": str(tmp_path / "none")})
        assert isinstance(cluster.submit(local.spec(QUICK), marker=new_marker()), NotSent)
        assert isinstance(cluster.find(marker=new_marker(), since=past()), CannotTell)
        assert not cluster.health().ok
        with pytest.raises(Unavailable):
            cluster.observe([local.submit(QUICK)])

    def test_a_silent_runner_is_not_well(self, tmp_path: Path) -> None:
        beat = {"who": "1-1-0", "at": time.time() - 30, "version": "1", "isolation": "none", "running": 0}
        spool.write(tmp_path / "heartbeat.json", beat)
        health = LocalCluster({"dir": str(tmp_path)}).health()
        assert not health.ok
        assert health.detail == "silent for 30 s"
