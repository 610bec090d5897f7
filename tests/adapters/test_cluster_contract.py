"""The contract of ``scheduler.jobs.ports.Cluster``, the same for every adapter, on the real part behind it."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from portal.kernel.errors import Rejected
from scheduler.jobs.ports import Absent, Accepted, ClusterState, Found, RejectedBy
from tests.adapters.bench import Bench, new_marker, past

QUICK = "#!/bin/sh\necho done\n"
LONG = "#!/bin/sh\necho began\nsleep 60\n"


class TestLife:
    def test_a_job_waits_for_release_runs_grows_its_log_and_succeeds(self, bench: Bench) -> None:
        before = datetime.now(UTC).replace(microsecond=0)
        ref = bench.submit("#!/bin/sh\necho 第一步\nsleep 2\necho second\n")
        time.sleep(0.5)
        held = bench.observe(ref)
        assert (held.state, held.started_at, held.elapsed_s) == (ClusterState.QUEUED, None, None)
        assert (held.cpus, held.cards, held.exit_code) == (None, None, None)

        bench.cluster.release(ref, user=bench.user)
        bench.cluster.release(ref, user=bench.user)
        running = bench.wait(ref, ClusterState.RUNNING)
        assert running.started_at is not None
        assert before <= running.started_at <= running.as_of + timedelta(seconds=1)
        assert running.ended_at is None and running.exit_code is None
        early = bench.wait_log(ref, "第一步\n")
        assert "second" not in early

        done = bench.wait(ref, ClusterState.SUCCEEDED)
        assert bench.wait_log(ref, "second\n") == "第一步\nsecond\n"
        assert (done.exit_code, done.cpus, done.cards, done.memory_mb) == (0, 1, 0, 200)
        assert done.elapsed_s is not None and 1 <= done.elapsed_s <= 10
        assert done.ended_at is not None and done.ended_at >= running.started_at
        assert done.ref == ref and not done.gone
        bench.cluster.release(ref, user=bench.user)

    def test_what_is_granted_is_what_was_asked(self, bench: Bench) -> None:
        spec = bench.spec(QUICK, cpus=2, memory_mb=300, time_limit_s=120)
        answer = bench.cluster.submit(spec, marker=new_marker())
        assert isinstance(answer, Accepted)
        bench.refs.append(answer.ref)
        wanted = {"cpus": 2, "cards": 0, "memory_mb": 300, "time_limit_s": 120, "account": spec.account}
        assert answer.granted == wanted

    @pytest.mark.parametrize(
        ("script", "code"), [("#!/bin/sh\nexit 7\n", 7), ("#!/bin/bash\nkill -9 $$\n", 137)], ids=["exit", "signal"]
    )
    def test_a_failed_script_shows_its_exit_code(self, bench: Bench, script: str, code: int) -> None:
        failed = bench.wait(bench.run(script), ClusterState.FAILED)
        assert failed.exit_code == code

    def test_the_script_runs_by_its_own_interpreter_line_with_its_environment(self, bench: Bench) -> None:
        script = "#!/usr/bin/python3\nimport os\nprint(os.environ['GREETING'], os.getcwd() != '/')\n"
        ref = bench.run(script, environment={"GREETING": "你好 $(id) `id` ; '\"\n世界"})
        bench.wait(ref, ClusterState.SUCCEEDED)
        assert bench.wait_log(ref, "True") == "你好 $(id) `id` ; '\"\n世界 True\n"

    def test_cards_are_allocated_and_shown_to_the_script(self, bench: Bench) -> None:
        script = "#!/bin/sh\necho cards $CUDA_VISIBLE_DEVICES\n"
        ref = bench.run(script, cards=2, card_type=bench.card_type, partition=bench.cards_partition)
        assert bench.wait(ref, ClusterState.SUCCEEDED).cards == 2
        shown = bench.wait_log(ref, "\n").split()[1].split(",")
        assert len(set(shown)) == 2

    def test_a_full_cluster_queues_in_order(self, bench: Bench) -> None:
        whole = {"cards": bench.cards_most, "card_type": bench.card_type, "partition": bench.cards_partition}
        first = bench.run(LONG, **whole)
        bench.wait(first, ClusterState.RUNNING)
        second = bench.run(QUICK, **whole)
        time.sleep(1)
        assert bench.observe(second).state is ClusterState.QUEUED
        assert bench.observe(second).reason
        bench.cluster.cancel(first, user=bench.user)
        bench.wait(second, ClusterState.SUCCEEDED)


class TestCancel:
    def test_a_held_job_never_starts(self, bench: Bench) -> None:
        ref = bench.submit(LONG)
        bench.cluster.cancel(ref, user=bench.user)
        cancelled = bench.wait(ref, ClusterState.CANCELLED)
        assert not cancelled.elapsed_s
        assert bench.log(ref) == ""

    def test_a_running_job_ends_and_keeps_its_time(self, bench: Bench) -> None:
        ref = bench.run("#!/bin/sh\necho began\nsleep 60 & sleep 60\n")
        bench.wait_log(ref, "began")
        time.sleep(1)
        bench.cluster.cancel(ref, user=bench.user)
        cancelled = bench.wait(ref, ClusterState.CANCELLED)
        assert cancelled.elapsed_s is not None and 1 <= cancelled.elapsed_s < 15
        assert cancelled.exit_code is None
        bench.cluster.cancel(ref, user=bench.user)

    def test_a_finished_job_stays_finished(self, bench: Bench) -> None:
        ref = bench.run(QUICK)
        bench.wait(ref, ClusterState.SUCCEEDED)
        bench.cluster.cancel(ref, user=bench.user)
        assert bench.observe(ref).state is ClusterState.SUCCEEDED


class TestOnce:
    def test_the_same_marker_is_one_job(self, bench: Bench) -> None:
        marker = new_marker()
        first = bench.submit(QUICK, marker=marker)
        assert bench.submit(QUICK, marker=marker) == first
        bench.cluster.release(first, user=bench.user)
        bench.wait(first, ClusterState.SUCCEEDED)
        again = bench.submit(QUICK, marker=marker)
        bench.cluster.release(again, user=bench.user)
        time.sleep(0.5)
        assert again == first
        assert bench.log(first) == "done\n"

    def test_of_simultaneous_submissions_of_one_marker_one_job_remains(self, bench: Bench) -> None:
        marker, spec = new_marker(), bench.spec(QUICK)
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(lambda _: bench.cluster.submit(spec, marker=marker), range(4)))
        refs = {answer.ref.job_id for answer in answers if isinstance(answer, Accepted)}
        assert len(refs) == 1, answers
        found = bench.cluster.find(marker=marker, since=past(60))
        assert isinstance(found, Found)
        assert {ref.job_id for ref in found.refs} == refs
        bench.refs.extend(found.refs)

    def test_find_tells_absent_from_found(self, bench: Bench) -> None:
        marker = new_marker()
        assert bench.cluster.find(marker=marker, since=past(60)) == Absent()
        ref = bench.submit(QUICK, marker=marker)
        assert bench.cluster.find(marker=marker, since=past(60)) == Found([ref])
        bench.cluster.release(ref, user=bench.user)
        bench.wait(ref, ClusterState.SUCCEEDED)
        assert bench.cluster.find(marker=marker, since=past(60)) == Found([ref])
        assert bench.cluster.find(marker=marker, since=past(-3600)) == Absent()

    def test_another_job_under_the_same_id_is_gone_not_ours(self, bench: Bench) -> None:
        ref = bench.submit(LONG)
        stranger = replace(ref, submitted_at=ref.submitted_at - timedelta(hours=1))
        assert bench.observe(stranger).gone
        bench.cluster.cancel(stranger, user=bench.user)
        assert bench.observe(ref).state is ClusterState.QUEUED
        with pytest.raises(Rejected):
            bench.cluster.release(stranger, user=bench.user)

    def test_a_job_nobody_knows_is_gone(self, bench: Bench) -> None:
        ref = bench.submit(QUICK)
        nobody = replace(ref, job_id="999999", marker=new_marker(), submitted_at=past(3600).replace(microsecond=0))
        assert bench.observe(nobody).gone


class TestRefusals:
    def test_an_unknown_partition(self, bench: Bench) -> None:
        answer = bench.cluster.submit(bench.spec(QUICK, partition="nowhere"), marker=new_marker())
        assert isinstance(answer, RejectedBy)
        assert answer.code == "partition"

    @pytest.mark.parametrize(
        "change", [{"cards": 1000}, {"cpus": 1000}, {"memory_mb": 900_000_000}], ids=lambda change: next(iter(change))
    )
    def test_more_than_there_is(self, bench: Bench, change: dict[str, int]) -> None:
        marker = new_marker()
        spec = bench.spec(QUICK, partition=bench.cards_partition, card_type=bench.card_type, **change)
        answer = bench.cluster.submit(spec, marker=marker)
        assert isinstance(answer, RejectedBy)
        assert answer.code == "resources"
        assert bench.cluster.find(marker=marker, since=past(60)) == Absent()

    def test_too_long_a_limit(self, bench: Bench) -> None:
        answer = bench.cluster.submit(bench.spec(QUICK, time_limit_s=400 * 86_400), marker=new_marker())
        assert isinstance(answer, RejectedBy)
        assert answer.code == "time_limit"

    @pytest.mark.parametrize("script", ["echo no interpreter\n", "#!/bin/sh\r\necho\r\n", "#!/bin/sh\n\0"])
    def test_a_script_no_scheduler_can_start(self, bench: Bench, script: str) -> None:
        answer = bench.cluster.submit(bench.spec(script), marker=new_marker())
        assert isinstance(answer, RejectedBy)
        assert answer.code == "script"

    @pytest.mark.parametrize("name", ["LD_PRELOAD", "BASH_ENV", "PATH", "SLURM_CONF", "lower", "A-B"])
    def test_a_variable_that_redirects_loader_shell_or_scheduler(self, bench: Bench, name: str) -> None:
        answer = bench.cluster.submit(bench.spec(QUICK, environment={name: "x"}), marker=new_marker())
        assert isinstance(answer, RejectedBy)
        assert answer.code == "other"

    @pytest.mark.parametrize("marker", ["", "../../etc", "zj 1234567", "ZJABCDEFGH", "zj,abcdefg", "zj" + "a" * 60])
    def test_a_marker_that_could_not_be_looked_up(self, bench: Bench, marker: str) -> None:
        with pytest.raises(ValueError, match="marker"):
            bench.cluster.submit(bench.spec(QUICK), marker=marker)


class TestLog:
    def test_it_is_read_by_offset_and_limit_in_whole_characters(self, bench: Bench) -> None:
        ref = bench.run("#!/bin/sh\nfor i in 1 2 3 4 5 6 7 8; do printf 创新资源共享; done\n")
        bench.wait(ref, ClusterState.SUCCEEDED)
        whole = "创新资源共享" * 8
        bench.wait_log(ref, whole)
        text, offset, chunks = "", 0, 0
        while True:
            chunk = bench.cluster.log(ref, offset=offset, limit=10)
            assert len(chunk.data) <= 10
            assert chunk.next_offset == offset + len(chunk.data)
            text, offset, chunks = text + chunk.data.decode(), chunk.next_offset, chunks + 1
            if chunk.eof:
                break
        assert text == whole
        assert chunks == 16
        beyond = bench.cluster.log(ref, offset=offset + 1000, limit=10)
        assert (beyond.data, beyond.eof) == (b"", True)

    def test_both_streams_are_in_it_and_nothing_is_not_an_error(self, bench: Bench) -> None:
        ref = bench.submit("#!/bin/sh\necho out\necho err >&2\necho again >> /dev/stdout\n")
        assert bench.cluster.log(ref, offset=0, limit=100).eof
        bench.cluster.release(ref, user=bench.user)
        bench.wait(ref, ClusterState.SUCCEEDED)
        assert bench.wait_log(ref, "again\n") == "out\nerr\nagain\n"

    @pytest.mark.parametrize(("offset", "limit"), [(-1, 10), (0, 0), (0, 65_537)])
    def test_bounds(self, bench: Bench, offset: int, limit: int) -> None:
        ref = bench.submit(QUICK)
        with pytest.raises(ValueError, match="offset"):
            bench.cluster.log(ref, offset=offset, limit=limit)


class TestHealth:
    def test_a_working_cluster_says_so(self, bench: Bench) -> None:
        health = bench.cluster.health()
        assert health.ok, health
        assert health.version
