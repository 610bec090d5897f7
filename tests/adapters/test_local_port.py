"""What the local cluster answers beyond placing one job: arrays, dependencies, lost hosts, limits, files, figures."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from integrations.local import forecast, spool, units
from integrations.local.forecast import Share
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import AccountLimits, After, ClusterState, Feature, Ref, RejectedBy
from tests.adapters.bench import Bench, LocalRunner, local_runner, new_marker, past, until
from tests.adapters.conftest import bench_of

QUICK = "#!/bin/sh\necho done\n"


@pytest.fixture
def runner() -> Iterator[LocalRunner]:
    with local_runner("--partition", "main", "--partition", "spare") as one:
        yield one


@pytest.fixture
def own(runner: LocalRunner) -> Bench:
    return bench_of(runner)


def folder_of(bench: Bench, ref: Ref) -> Path:
    return Path(bench.cluster.jobs) / ref.marker  # type: ignore[attr-defined]


def kill_shim(folder: Path) -> None:
    claim = spool.read(folder / "claim.json")
    assert claim is not None
    os.kill(int(claim["who"].partition("-")[0]), signal.SIGKILL)


class TestArrays:
    def test_each_task_is_a_run_with_its_own_number_and_exit_code(self, local: Bench) -> None:
        script = "#!/bin/sh\necho task $SLURM_ARRAY_TASK_ID of $SLURM_ARRAY_TASK_COUNT\nexit $SLURM_ARRAY_TASK_ID\n"
        ended = local.wait(ref := local.run(script, array="0-2"), ClusterState.FAILED)
        assert {run.task: run.exit_code for run in ended.runs} == {0: 0, 1: 1, 2: 2}
        assert (ended.exit_code, ended.confirmed) == (2, True)
        assert all(run.confirmed and run.cpus == 1 and run.nodes == 1 for run in ended.runs)
        assert local.log(ref) == "task 0 of 3\ntask 1 of 3\ntask 2 of 3\n"
        one = Ref(ref.job_id, ref.submitted_at, ref.marker, {"task": 1})
        assert local.log(one) == "task 1 of 3\n"

    def test_no_more_tasks_run_at_a_time_than_was_asked(self, own: Bench) -> None:
        ref = own.run("#!/bin/sh\nsleep 0.4\n", array="1,3,5,7%2")
        most = 0
        while not (seen := own.observe(ref)).confirmed:
            most = max(most, sum(run.ended_at is None for run in seen.runs))
            assert seen.state in (ClusterState.QUEUED, ClusterState.STARTING, ClusterState.RUNNING)
        assert seen.state is ClusterState.SUCCEEDED
        assert most == 2
        assert sorted(run.task for run in seen.runs if run.task is not None) == [1, 3, 5, 7]

    def test_the_log_of_an_array_never_changes_what_was_read(self, local: Bench) -> None:
        script = "#!/bin/sh\n[ $SLURM_ARRAY_TASK_ID = 0 ] && sleep 1\necho $SLURM_ARRAY_TASK_ID begins\n"
        ref = local.run(script, array="0-3")
        read = ""
        offset, end = 0, time.monotonic() + 15
        while "3 begins" not in read:
            assert time.monotonic() < end
            chunk = local.cluster.log(ref, offset=offset, limit=7)
            read, offset = read + chunk.data.decode(), chunk.next_offset
        assert read == "0 begins\n1 begins\n2 begins\n3 begins\n"

    def test_a_cancelled_array_ends_what_runs_and_never_starts_the_rest(self, local: Bench) -> None:
        ref = local.run("#!/bin/sh\necho began\nsleep 60\n", array="0-5%1")
        local.wait_log(ref, "began")
        local.cluster.cancel(ref, user=local.user)
        ended = local.wait(ref, ClusterState.CANCELLED)
        assert [run.task for run in ended.runs] == [0]

    def test_tasks_share_the_directory_of_the_job(self, local: Bench) -> None:
        script = "#!/bin/sh\necho $SLURM_ARRAY_TASK_ID > out.$SLURM_ARRAY_TASK_ID\n"
        ref = local.run(script, array="0-1")
        local.wait(ref, ClusterState.SUCCEEDED)
        assert [entry.path for entry in local.cluster.files(ref)] == ["out.0", "out.1"]

    @pytest.mark.parametrize("array", ["-1", "3-1", "0-9999", "a", "0-3%0", "0-3%x", "1,,2", "0-4:0"])
    def test_a_bad_array_is_refused(self, local: Bench, array: str) -> None:
        answer = local.cluster.submit(local.spec(QUICK, array=array), marker=new_marker())
        assert isinstance(answer, RejectedBy)
        assert answer.code == "other"

    def test_a_step_counts(self) -> None:
        assert units.tasks_of("0-8:4,1%3") == [0, 1, 4, 8]
        assert units.together("0-8:4,1%3") == 3


class TestDependencies:
    @pytest.mark.parametrize(
        ("code", "kind", "state"),
        [
            (0, "ok", ClusterState.SUCCEEDED),
            (1, "ok", ClusterState.CANCELLED),
            (1, "notok", ClusterState.SUCCEEDED),
            (0, "notok", ClusterState.CANCELLED),
            (1, "any", ClusterState.SUCCEEDED),
        ],
    )
    def test_one_waits_for_the_other_or_never_starts(
        self, local: Bench, code: int, kind: str, state: ClusterState
    ) -> None:
        first = local.submit(f"#!/bin/sh\nexit {code}\n")
        second = local.run(QUICK, after=[After(first, kind)])
        time.sleep(0.3)
        assert local.observe(second).state is ClusterState.QUEUED
        until(lambda: local.observe(second).reason == "Dependency", "reason")
        local.cluster.release(first, user=local.user)
        ended = local.wait(second, state)
        if state is ClusterState.CANCELLED:
            assert ended.reason == "DependencyNeverSatisfied"
            assert ended.runs == ()

    def test_a_job_nobody_knows_cannot_be_waited_for(self, local: Bench) -> None:
        stranger = Ref("9999", past(60), new_marker())
        answer = local.cluster.submit(local.spec(QUICK, after=[After(stranger)]), marker=new_marker())
        assert isinstance(answer, RejectedBy)


class TestLostHosts:
    def test_a_job_that_may_be_requeued_runs_again_as_another_run(self, own: Bench) -> None:
        script = "#!/bin/sh\necho began\n[ -e mark ] && exit 3\ntouch mark\nsleep 60\n"
        ref = own.run(script, requeue=True)
        own.wait_log(ref, "began")
        kill_shim(folder_of(own, ref))
        ended = own.wait(ref, ClusterState.FAILED)
        first, second = ended.runs
        assert (first.state, first.exit_code) == (ClusterState.INTERRUPTED, None)
        assert (second.state, second.exit_code) == (ClusterState.FAILED, 3)
        assert second.submitted_at == first.ended_at
        assert first.submitted_at == ref.submitted_at
        assert own.log(ref) == "began\nbegan\n"
        assert own.observe(ref).ref == ref

    def test_between_two_runs_it_waits_and_is_never_seen_as_ended(self, runner: LocalRunner, own: Bench) -> None:
        ref = own.run("#!/bin/sh\necho began\nsleep 60\n", requeue=True)
        own.wait_log(ref, "began")
        runner.stop()
        waiting = own.observe(ref)
        assert waiting.state is ClusterState.QUEUED
        assert not waiting.confirmed
        assert len(waiting.runs) == 1
        own.cluster.cancel(ref, user=own.user)
        assert own.observe(ref).state is ClusterState.CANCELLED
        runner.start()
        time.sleep(0.5)
        assert own.log(ref) == "began\n"

    def test_what_kills_its_host_every_time_is_given_up(self, own: Bench) -> None:
        ref = own.run("#!/bin/sh\necho began\nkill -9 $PPID\nsleep 60\n", requeue=True)
        if os.getuid() == 0:  # the job may not signal its keeper: the test does
            for no in range(1, units.MAX_RUNS + 1):
                unit = units.Unit(folder_of(own, ref), None, no)
                until((unit.folder / "started.json").exists, "start")
                kill_shim(unit.folder)
        ended = own.wait(ref, ClusterState.INTERRUPTED)
        assert len(ended.runs) == units.MAX_RUNS


class TestLimits:
    def test_no_submissions_any_more_lets_what_runs_end(self, own: Bench) -> None:
        ref = own.run("#!/bin/sh\necho began\nsleep 1\n")
        own.wait_log(ref, "began")
        (stopped,) = own.cluster.apply_limits([AccountLimits("e-optics", submitted=0)])
        assert stopped == AccountLimits("e-optics", submitted=0)
        answer = own.cluster.submit(own.spec(QUICK), marker=new_marker())
        assert answer == RejectedBy("limit", "AssocGrpSubmitJobsLimit")
        assert list(own.cluster.check(own.spec(QUICK))) == [answer]
        own.wait(ref, ClusterState.SUCCEEDED)

    def test_every_waiting_or_running_task_counts(self, own: Bench) -> None:
        own.cluster.apply_limits([AccountLimits("e-optics", submitted=3)])
        own.submit(QUICK, array="0-1")
        assert isinstance(own.cluster.submit(own.spec(QUICK, array="0-1"), marker=new_marker()), RejectedBy)
        own.submit(QUICK)

    @pytest.mark.parametrize(
        ("bound", "reason"),
        [
            ({"cards": 1}, "AssocGrpGRES"),
            ({"cpus": 1}, "AssocGrpCpuLimit"),
            ({"running_card_minutes": 1}, "AssocGrpGRESRunMinutes"),
            ({"running_cpu_minutes": 1}, "AssocGrpCPURunMinutesLimit"),
        ],
    )
    def test_what_is_over_waits_and_lets_others_pass(self, own: Bench, bound: dict[str, int], reason: str) -> None:
        own.cluster.apply_limits([AccountLimits("e-optics", **bound)])
        first = own.run("#!/bin/sh\necho began\nsleep 2\n", cards=1, time_limit_s=60)
        own.wait_log(first, "began")
        second = own.run(QUICK, cards=1, time_limit_s=60)
        until(lambda: own.observe(second).reason == reason, reason)
        other = own.run(QUICK, account="e-other", cards=1)
        own.wait(other, ClusterState.SUCCEEDED)
        assert own.observe(second).state is ClusterState.QUEUED
        own.wait(second, ClusterState.SUCCEEDED)

    def test_users_are_added_and_only_known_accounts_are_read(self, own: Bench) -> None:
        own.cluster.apply_limits([AccountLimits("e-a", users=["one"], cards=2)])
        own.cluster.apply_limits([AccountLimits("e-a", users=["two"])])
        assert own.cluster.read_limits(accounts=["e-a", "e-b"]) == [AccountLimits("e-a", users=("one", "two"))]
        with pytest.raises(Rejected):
            own.cluster.apply_limits([AccountLimits("../e", cards=2)])
        with pytest.raises(Rejected):
            own.cluster.apply_limits([AccountLimits("e-a", cards=-1)])


class TestFiles:
    def test_what_was_staged_is_there_for_the_job_alone_and_comes_back(self, local: Bench) -> None:
        marker = new_marker()
        big = os.urandom(1 << 20)
        put = local.cluster.put_file
        assert put(marker=marker, user=local.user, path="in/数据 1.bin", offset=0, data=big) == 1 << 20
        assert put(marker=marker, user=local.user, path="in/数据 1.bin", offset=1 << 20, data=b"end") == (1 << 20) + 3
        put(marker=marker, user=local.user, path="key", offset=0, data=b"hush")
        script = "#!/bin/sh\nstat -c '%a %U' key | cut -d' ' -f1\nmkdir out\ncp 'in/数据 1.bin' out/copy\n"
        ref = local.submit(script, marker=marker)
        local.cluster.release(ref, user=local.user)
        local.wait(ref, ClusterState.SUCCEEDED)
        assert local.log(ref) == "600\n"
        entries = {entry.path: entry.size for entry in local.cluster.files(ref)}
        assert entries == {"in/数据 1.bin": (1 << 20) + 3, "key": 4, "out/copy": (1 << 20) + 3}
        chunk = local.cluster.read_file(ref, path="out/copy", offset=1 << 20, limit=100)
        assert (chunk.data, chunk.next_offset, chunk.eof) == (b"end", (1 << 20) + 3, True)
        with pytest.raises(Rejected):
            put(marker=marker, user=local.user, path="late", offset=0, data=b"x")

    @pytest.mark.parametrize(
        "path", ["../x", "/etc/x", "a//b", "a/../../x", "", ".", "a/./b", "x\0y", "script", "tmp/x"]
    )
    def test_no_path_leads_out(self, local: Bench, path: str) -> None:
        with pytest.raises(Rejected):
            local.cluster.put_file(marker=new_marker(), user=local.user, path=path, offset=0, data=b"x")
        ref = local.submit(QUICK)
        with pytest.raises(Rejected):
            local.cluster.read_file(ref, path=path, offset=0, limit=10)

    def test_an_offset_beyond_the_end_is_refused_and_the_same_bytes_twice_are_not(self, local: Bench) -> None:
        marker = new_marker()
        put = local.cluster.put_file
        assert put(marker=marker, user=local.user, path="a", offset=0, data=b"12345") == 5
        assert put(marker=marker, user=local.user, path="a", offset=0, data=b"12345") == 5
        with pytest.raises(Rejected):
            put(marker=marker, user=local.user, path="a", offset=6, data=b"x")

    def test_links_are_not_followed(self, local: Bench) -> None:
        script = "#!/bin/sh\nln -s /etc/hostname out\nln -s /etc dir\nmkfifo pipe\necho mine > real\nln real twin\n"
        ref = local.run(script)
        local.wait(ref, ClusterState.SUCCEEDED)
        assert local.cluster.files(ref) == []
        for path in ("out", "dir/hostname", "pipe", "twin", "nothing"):
            with pytest.raises(Rejected):
                local.cluster.read_file(ref, path=path, offset=0, limit=10)

    @pytest.mark.skipif(os.getuid() != 0, reason="only root gives every job a user of its own")
    def test_a_portal_that_is_another_user_reads_what_an_ended_job_left(self) -> None:
        with local_runner() as runner:
            runner.stop()
            for path in (*(runner.folder / name for name in ("jobs", "incoming", "staged", "limits")), runner.folder):
                os.chown(path, 65534, 65534)
            runner.start()
            own = bench_of(runner)
            if (portal := os.fork()) == 0:
                try:
                    os.setgroups([])
                    os.setresgid(65534, 65534, 65534)
                    os.setresuid(65534, 65534, 65534)
                    marker = new_marker()
                    own.cluster.put_file(marker=marker, user=own.user, path="in", offset=0, data=b"given")
                    ref = own.submit("#!/bin/sh\ncat in > out\n", marker=marker)
                    own.cluster.release(ref, user=own.user)
                    own.wait(ref, ClusterState.SUCCEEDED)
                    end = time.monotonic() + 5
                    while True:
                        try:
                            assert own.cluster.read_file(ref, path="out", offset=0, limit=9).data == b"given"
                            break
                        except (Unavailable, Rejected):  # the moment until the runner hands it over
                            assert time.monotonic() < end
                            time.sleep(0.05)
                    os._exit(0)
                finally:
                    os._exit(1)
            assert os.waitpid(portal, 0)[1] == 0


class TestFigures:
    def test_capabilities_name_everything_the_port_has(self, own: Bench) -> None:
        can = own.cluster.capabilities()
        assert can.features == frozenset(Feature)
        assert can.guard_s == 6

    def test_capacity_tells_what_is_used_by_partition(self, own: Bench) -> None:
        running = own.run("#!/bin/sh\necho began\nsleep 60\n", cards=3, cpus=2)
        own.wait_log(running, "began")
        own.run(QUICK, cards=4, partition="spare")
        until(lambda: own.cluster.capacity().pools[1].waiting == 1, "a fresh board")
        main, spare = own.cluster.capacity().pools
        assert (main.partition, main.running, main.waiting) == ("main", 1, 0)
        assert (spare.partition, spare.running, spare.waiting) == ("spare", 0, 1)
        assert (main.cards, main.cards_used, main.cpus, main.cpus_used, main.nodes) == (4, 3, 4, 2, 1)

    def test_capacity_of_a_silent_runner_is_not_known(self, runner: LocalRunner, own: Bench) -> None:
        board = spool.read(runner.folder / "board.json")
        assert board is not None
        runner.stop()
        spool.write(runner.folder / "board.json", {**board, "at": time.time() - 60})
        with pytest.raises(Unavailable):
            own.cluster.capacity()

    def test_a_waiting_job_is_told_when_it_starts_at_the_latest(self, own: Bench) -> None:
        running = own.run("#!/bin/sh\necho began\nsleep 60\n", cards=4, time_limit_s=120)
        own.wait_log(running, "began")
        first = own.run(QUICK, cards=4, time_limit_s=300)
        second = own.run(QUICK, cards=1)
        until(lambda: own.observe(second).expected_start_at, "an estimate")
        began = own.observe(running).started_at
        early, late = own.observe(first).expected_start_at, own.observe(second).expected_start_at
        assert began is not None and early is not None and late is not None
        assert abs((early - began).total_seconds() - 120) < 3
        assert abs((late - began).total_seconds() - 420) < 3

    def test_usage_holds_each_run_of_the_accounts_in_the_window(self, own: Bench) -> None:
        before = datetime.now(UTC)
        ref = own.run("#!/bin/sh\nsleep 1.2\n", array="0-1", cards=1)
        own.wait(ref, ClusterState.SUCCEEDED)
        own.wait(own.run(QUICK, account="e-other"), ClusterState.SUCCEEDED)
        after = datetime.now(UTC)
        rows = own.cluster.usage(accounts=["e-optics"], since=before, until=after)
        assert [(row.name, row.account, row.run.task, row.run.cards) for row in rows] == [
            (ref.marker, "e-optics", 0, 1),
            (ref.marker, "e-optics", 1, 1),
        ]
        assert all(row.run.confirmed and row.run.elapsed_s >= 1 for row in rows)
        assert own.cluster.usage(accounts=["e-optics"], since=before - timedelta(1), until=before) == []
        assert own.cluster.usage(accounts=["e-optics"], since=after + timedelta(1), until=after + timedelta(2)) == []


class TestForecast:
    def test_what_never_fits_holds_nobody_up(self) -> None:
        total = Share(4, 4, 100, 0)
        found = forecast.starts(
            total,
            [Share(4, 0, 10, 60)],
            {"giant": Share(9, 0, 10, 60), "next": Share(1, 0, 10, 30), "then": Share(4, 0, 10, 5)},
        )
        assert found == {"next": 60, "then": 90}
