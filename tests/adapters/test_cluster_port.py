"""The contract beyond placing one job: arrays, dependencies, runs, use, capacity. The same for every adapter.

What an adapter does not offer by its capabilities it must refuse. The real Slurm is asked straight and through a wire
that loses answers: what the port says must not depend on it.
"""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from portal.kernel.errors import Rejected
from scheduler.jobs import arrays
from scheduler.jobs.ports import After, ClusterState, Feature, Found, Pool, RejectedBy
from tests.adapters.bench import Bench, new_marker, past, until

QUICK = "#!/bin/sh\necho done\n"
TWICE = "#!/bin/sh\n[ -e $JOB_MARKER.mark ] && sleep 1 && exit 3\ntouch $JOB_MARKER.mark\necho began\nsleep 60\n"


class TestCapabilities:
    def test_it_says_what_it_is(self, whole: Bench) -> None:
        able = whole.cluster.capabilities()
        assert able.name
        assert able.release
        assert 0 < able.guard_s <= 600
        assert able.max_array_size > 1
        assert able.min_job_age_s >= 60

    def test_what_it_does_not_offer_it_refuses(self, whole: Bench) -> None:
        if whole.has(Feature.FILES):
            return
        ref = whole.submit(QUICK)
        with pytest.raises(Rejected):
            whole.cluster.put_file(marker=new_marker(), user=whole.user, path="a", offset=0, data=b"x")
        with pytest.raises(Rejected):
            whole.cluster.files(ref)
        with pytest.raises(Rejected):
            whole.cluster.read_file(ref, path="a", offset=0, limit=1)


class TestCheck:
    def test_a_job_that_fits_meets_no_ground(self, whole: Bench) -> None:
        assert list(whole.cluster.check(whole.spec(QUICK))) == []

    def test_every_ground_is_named_at_once_and_nothing_is_placed(self, whole: Bench) -> None:
        spec = whole.spec("echo\n", partition=whole.cards_partition, cards=1000, time_limit_s=400 * 86_400)
        codes = {ground.code for ground in whole.cluster.check(spec)}
        assert {"script", "resources", "time_limit"} <= codes
        assert {"partition"} == {one.code for one in whole.cluster.check(whole.spec(QUICK, partition="nowhere"))}


class TestArrays:
    def test_every_task_is_a_run_and_all_together_one_job(self, whole: Bench) -> None:
        assert whole.has(Feature.ARRAYS)
        script = "#!/bin/sh\nsleep 1\nexit $((SLURM_ARRAY_TASK_ID / 2))\n"
        ref = whole.submit(script, array="0-3%2")
        held = whole.observe(ref)
        assert (held.state, held.held, list(held.runs)) == (ClusterState.QUEUED, True, [])
        whole.cluster.release(ref, user=whole.user)
        whole.wait(ref, ClusterState.RUNNING)
        assert not whole.observe(ref).held
        most, ended = 0, whole.observe(ref)
        while not ended.confirmed:
            most = max(most, sum(run.ended_at is None for run in ended.runs))
            assert len({run.task for run in ended.runs}) == len(ended.runs)
            time.sleep(0.2)
            ended = whole.observe(ref)
        assert most <= 2
        assert (ended.state, ended.exit_code) == (ClusterState.FAILED, 1)
        assert [
            (run.task, run.exit_code, run.state.value) for run in sorted(ended.runs, key=lambda run: run.task or 0)
        ] == [
            (0, 0, "succeeded"),
            (1, 0, "succeeded"),
            (2, 1, "failed"),
            (3, 1, "failed"),
        ]
        assert {run.job_id for run in ended.runs} == {ref.job_id}
        assert all(run.confirmed and run.cpus == 1 and 1 <= run.elapsed_s <= 5 for run in ended.runs)
        assert ended.elapsed_s == sum(run.elapsed_s for run in ended.runs)

    def test_its_log_is_that_of_its_tasks_in_their_order(self, whole: Bench) -> None:
        script = "#!/bin/sh\n[ $SLURM_ARRAY_TASK_ID = 0 ] && sleep 2\necho task $SLURM_ARRAY_TASK_ID\n"
        ref = whole.run(script, array="0-2")
        read, offset, end = "", 0, time.monotonic() + whole.patience_s
        while "task 2\n" not in read:
            assert time.monotonic() < end, read
            chunk = whole.cluster.log(ref, offset=offset, limit=9)
            read, offset = read + chunk.data.decode(), chunk.next_offset
            time.sleep(0.05)
        assert read == "task 0\ntask 1\ntask 2\n"
        whole.wait(ref, ClusterState.SUCCEEDED)
        assert whole.log(ref) == read
        assert whole.log(replace(ref, data={**ref.data, "task": 1})) == "task 1\n"

    def test_it_is_found_under_its_marker_and_cancelled_whole(self, whole: Bench) -> None:
        marker = new_marker()
        ref = whole.submit("#!/bin/sh\necho began\nsleep 60\n", array="1,3,5-6%1", marker=marker)
        assert whole.cluster.find(marker=marker, since=past(60)) == Found([ref])
        assert whole.submit(QUICK, array="1,3,5-6%1", marker=marker) == ref
        whole.cluster.release(ref, user=whole.user)
        whole.wait_log(ref, "began")
        whole.cluster.cancel(ref, user=whole.user)
        ended = whole.wait(ref, ClusterState.CANCELLED)
        ended = whole.confirm(ref)
        assert [run.task for run in ended.runs] == [1]

    def test_one_of_its_tasks_is_cancelled_and_no_other(self, whole: Bench) -> None:
        ref = whole.run("#!/bin/sh\nsleep $((3 + 57 * ($SLURM_ARRAY_TASK_ID == 1)))\n", array="0-2")
        until(lambda: 1 in {run.task for run in whole.observe(ref).runs if not run.ended_at}, "task 1 to run", 60)
        if Feature.TASKS not in whole.cluster.capabilities().features:
            assert not whole.cluster.cancel_task(ref, user=whole.user, task=1)
            assert {run.task for run in whole.observe(ref).runs if not run.ended_at} == {0, 1, 2}, "none was stopped"
        until(lambda: whole.cluster.cancel_task(ref, user=whole.user, task=1), "task 1 to be stopped", 60)
        ended = whole.confirm(ref)
        assert {run.task: run.state.value for run in ended.runs} == {0: "succeeded", 1: "cancelled", 2: "succeeded"}
        assert ended.state is ClusterState.CANCELLED
        assert whole.cluster.cancel_task(ref, user=whole.user, task=1)
        assert whole.cluster.cancel_task(ref, user=whole.user, task=7), "one that is not there"

    def test_a_task_that_waits_is_cancelled_at_the_latest_when_it_is_left_alone(self, whole: Bench) -> None:
        ref = whole.run("#!/bin/sh\nsleep $((3 + 57 * ($SLURM_ARRAY_TASK_ID == 2)))\n", array="0-2%1")
        whole.wait(ref, ClusterState.RUNNING)
        until(lambda: whole.cluster.cancel_task(ref, user=whole.user, task=2), "task 2 to be stopped", 90)
        states = {run.task: run.state.value for run in whole.confirm(ref).runs}
        assert {task: state for task, state in states.items() if task != 2} == {0: "succeeded", 1: "succeeded"}
        assert states.get(2, "cancelled") == "cancelled"

    @pytest.mark.parametrize("array", ["3-1", "a", "0-3%0", "0-3%x", "1,,2", "0-9999999"])
    def test_text_that_is_no_array_is_refused(self, whole: Bench, array: str) -> None:
        with pytest.raises(arrays.BadArray):
            arrays.canonical(array)
        answer = whole.cluster.submit(whole.spec(QUICK, array=array), marker=new_marker())
        assert isinstance(answer, RejectedBy)


class TestDependencies:
    @pytest.mark.parametrize(
        ("code", "kind", "state"),
        [
            (0, "ok", ClusterState.SUCCEEDED),
            (1, "ok", ClusterState.CANCELLED),
            (1, "notok", ClusterState.SUCCEEDED),
            (1, "any", ClusterState.SUCCEEDED),
        ],
    )
    def test_one_waits_for_the_other_or_never_starts(
        self, whole: Bench, code: int, kind: str, state: ClusterState
    ) -> None:
        assert whole.has(Feature.DEPENDENCIES)
        first = whole.submit(f"#!/bin/sh\nexit {code}\n")
        second = whole.run(QUICK, after=[After(first, kind)])
        time.sleep(0.5)
        assert whole.observe(second).state is ClusterState.QUEUED
        whole.cluster.release(first, user=whole.user)
        whole.wait(second, state)
        ended = whole.confirm(second)
        assert len(ended.runs) == (state is ClusterState.SUCCEEDED)

    def test_on_an_array_it_waits_for_every_task(self, whole: Bench) -> None:
        first = whole.submit("#!/bin/sh\nsleep $SLURM_ARRAY_TASK_ID\nexit $SLURM_ARRAY_TASK_ID\n", array="0-2")
        after_all = whole.run(QUICK, after=[After(first, "any")])
        never = whole.run(QUICK, after=[After(first, "ok"), After(after_all, "ok")])
        whole.cluster.release(first, user=whole.user)
        ended = whole.wait(after_all, ClusterState.SUCCEEDED)
        tasks = whole.observe(first)
        assert tasks.state is ClusterState.FAILED
        assert ended.started_at is not None
        assert all(run.ended_at is not None and run.ended_at <= ended.started_at for run in tasks.runs)
        whole.wait(never, ClusterState.CANCELLED)

    def test_on_what_has_ended_it_is_decided_at_once(self, whole: Bench) -> None:
        failed = whole.run("#!/bin/sh\nexit 1\n")
        whole.wait(failed, ClusterState.FAILED)
        late = whole.run(QUICK, after=[After(failed, "notok")])
        whole.wait(late, ClusterState.SUCCEEDED)
        answer = whole.cluster.submit(whole.spec(QUICK, after=[After(failed, "ok")]), marker=new_marker())
        if not isinstance(answer, RejectedBy):
            never = whole.run(QUICK, after=[After(failed, "ok")])
            whole.wait(never, ClusterState.CANCELLED)

    def test_on_a_job_nobody_knows_it_is_refused(self, whole: Bench) -> None:
        known = whole.submit(QUICK)
        nobody = replace(known, job_id="999999", marker=new_marker(), submitted_at=past(3600).replace(microsecond=0))
        marker = new_marker()
        answer = whole.cluster.submit(whole.spec(QUICK, after=[After(nobody)]), marker=marker)
        assert isinstance(answer, RejectedBy)


class TestRuns:
    def test_a_job_begun_again_has_a_run_for_each_time(self, whole: Bench) -> None:
        assert whole.has(Feature.REQUEUE)
        ref = whole.run(TWICE, requeue=True)
        whole.wait_log(ref, "began")
        whole.interrupt(ref)
        ended = whole.wait(ref, ClusterState.FAILED, seconds=60)
        ended = whole.confirm(ref)
        first, second = ended.runs
        assert (first.submitted_at, first.exit_code, first.confirmed) == (ref.submitted_at, None, True)
        assert first.state in (ClusterState.INTERRUPTED, ClusterState.CANCELLED)
        assert second.submitted_at > first.submitted_at
        assert (second.state, second.exit_code, second.confirmed) == (ClusterState.FAILED, 3, True)
        assert ended.ref == ref
        assert ended.exit_code == 3
        found = whole.cluster.find(marker=ref.marker, since=past(300))
        assert isinstance(found, Found)
        assert [(one.job_id, one.submitted_at) for one in found.refs] == [(ref.job_id, ref.submitted_at)]
        used = whole.cluster.usage(accounts=[whole.base.account], since=past(300), until=past(-5))
        assert [row.run.submitted_at for row in used if row.name == ref.marker] == [
            first.submitted_at,
            second.submitted_at,
        ]

    def test_nothing_is_confirmed_before_its_end(self, whole: Bench) -> None:
        ref = whole.run("#!/bin/sh\necho began\nsleep 60\n")
        whole.wait_log(ref, "began")
        seen = whole.wait(ref, ClusterState.RUNNING)
        assert not seen.confirmed
        (run,) = seen.runs
        assert (run.ended_at, run.confirmed, run.state) == (None, False, ClusterState.RUNNING)
        whole.cluster.cancel(ref, user=whole.user)
        ended = whole.confirm(ref)
        assert ended.state is ClusterState.CANCELLED
        assert ended.runs[0].confirmed
        assert ended.elapsed_s == ended.runs[0].elapsed_s


class TestUsage:
    def test_it_is_what_ran_and_reads_the_same_again(self, whole: Bench) -> None:
        ref = whole.run("#!/bin/sh\nsleep 1\n", cards=1, card_type=whole.card_type, partition=whole.cards_partition)
        waiting = whole.submit(QUICK)
        whole.wait(ref, ClusterState.SUCCEEDED)
        seen = whole.confirm(ref)
        since, until_ = past(600), datetime.now(UTC) + timedelta(seconds=2)
        rows = whole.cluster.usage(accounts=[whole.base.account], since=since, until=until_)
        (row,) = [one for one in rows if one.name == ref.marker]
        assert row.run == seen.runs[0]
        assert (row.account, row.user, row.partition) == (whole.base.account, whole.user, whole.cards_partition)
        assert (row.run.cards, row.run.card_type, row.time_limit_s) == (1, whole.card_type, 60)
        assert waiting.marker not in {one.name for one in rows}
        again = whole.cluster.usage(accounts=[whole.base.account], since=since, until=until_)
        assert row in again

    def test_a_run_across_the_edge_of_the_period_is_told_whole(self, whole: Bench) -> None:
        ref = whole.run("#!/bin/sh\nsleep 3\n")
        whole.wait(ref, ClusterState.SUCCEEDED)
        (run,) = whole.confirm(ref).runs
        assert run.started_at is not None
        edge = run.started_at + timedelta(seconds=1)
        for since, end in ((past(600), edge), (edge, datetime.now(UTC) + timedelta(seconds=2))):
            rows = whole.cluster.usage(accounts=[whole.base.account], since=since, until=end)
            assert [one.run for one in rows if one.name == ref.marker] == [run]

    def test_of_accounts_without_any_it_is_cleanly_empty(self, whole: Bench) -> None:
        now = datetime.now(UTC)
        assert whole.cluster.usage(accounts=["e-nobody"], since=past(86_400 * 3), until=now) == []
        assert whole.cluster.usage(accounts=[], since=past(60), until=now) == []
        assert whole.cluster.usage(accounts=[whole.base.account], since=now, until=now) == []


class TestCapacity:
    def test_it_counts_what_is_there_and_in_use(self, whole: Bench) -> None:
        ref = whole.run(
            "#!/bin/sh\necho began\nsleep 60\n", cards=2, card_type=whole.card_type, partition=whole.cards_partition
        )
        whole.wait_log(ref, "began")
        capacity = whole.cluster.capacity()
        assert abs(datetime.now(UTC) - capacity.as_of) < timedelta(minutes=1)

        def pool() -> Pool:
            kind = (whole.cards_partition, whole.card_type)
            return next(one for one in whole.cluster.capacity().pools if (one.partition, one.card_type) == kind)

        until(lambda: pool().cards_used >= 2, "its cards to be counted: a runner tells once a second")
        seen = pool()
        assert seen.cards == whole.cards_most
        assert 2 <= seen.cards_used <= seen.cards
        assert 1 <= seen.cpus_used <= seen.cpus
        assert (seen.is_open, seen.nodes_down, seen.cards_down) == (True, 0, 0)
        assert seen.nodes == 1


class TestEstimate:
    def test_a_waiting_job_is_told_when_it_will_start(self, whole: Bench) -> None:
        assert whole.has(Feature.ESTIMATE)
        all_of_it = {"cards": whole.cards_most, "card_type": whole.card_type, "partition": whole.cards_partition}
        first = whole.run("#!/bin/sh\necho began\nsleep 60\n", **all_of_it)
        whole.wait_log(first, "began")
        second = whole.run(QUICK, **all_of_it)
        until(lambda: whole.observe(second).expected_start_at, "its expected start")
        expected = whole.observe(second).expected_start_at
        assert expected is not None
        assert datetime.now(UTC) < expected < datetime.now(UTC) + timedelta(minutes=30)
        whole.cluster.cancel(second, user=whole.user)
        whole.cluster.cancel(first, user=whole.user)
