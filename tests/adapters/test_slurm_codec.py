"""The translation to v0.0.38 and from every version, and the reading of answers: pure, every case."""

from __future__ import annotations

import json
from itertools import permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations.slurm import codec, reading, states
from integrations.slurm.legacy import Legacy
from integrations.slurm.wire import Answer, Kind
from scheduler.jobs.ports import FINAL, ClusterState, Spec

SPEC = Spec(
    script="#!/bin/sh\n",
    partition="gpu",
    cpus=4,
    memory_mb=1000,
    cards=2,
    card_type="a100",
    time_limit_s=61,
    account="e-optics",
    user="optics",
    environment={"MODE": "快"},
)
BASES = {
    "PENDING": "queued",
    "RUNNING": "running",
    "SUSPENDED": "suspended",
    "COMPLETED": "succeeded",
    "CANCELLED": "cancelled",
    "FAILED": "failed",
    "TIMEOUT": "timed_out",
    "NODE_FAIL": "interrupted",
    "PREEMPTED": "interrupted",
    "BOOT_FAIL": "launch_failed",
    "DEADLINE": "expired",
    "OUT_OF_MEMORY": "out_of_memory",
}
FLAGS = {
    "COMPLETING": "finishing",
    "STAGE_OUT": "finishing",
    "CONFIGURING": "starting",
    "POWER_UP_NODE": "starting",
    "RESIZING": "running",
    "SIGNALING": "running",
    "STOPPED": "running",
    "UPDATE_DB": "running",
    "EXPEDITING": "running",
    "REQUEUED": "queued",
    "REQUEUE_FED": "queued",
    "REQUEUE_HOLD": "queued",
    "SPECIAL_EXIT": "queued",
    "RESV_DEL_HOLD": "queued",
}
ENDINGS = {"REVOKED": "cancelled", "LAUNCH_FAILED": "launch_failed", "RECONFIG_FAIL": "launch_failed"}
ENDED = set(BASES) - {"PENDING", "RUNNING", "SUSPENDED"}


class TestStates:
    @pytest.mark.parametrize(("word", "state"), [*BASES.items(), *FLAGS.items()])
    def test_one_word_alone_or_in_a_list(self, word: str, state: str) -> None:
        assert states.state(word) == states.state([word]) == state

    @pytest.mark.parametrize("word", [*FLAGS, *ENDINGS])
    def test_no_flag_alone_ends_a_job(self, word: str) -> None:
        assert states.state(word) not in FINAL

    @pytest.mark.parametrize(("base", "flag"), list(product(BASES, [*FLAGS, *ENDINGS])))
    def test_a_flag_beside_a_base_in_any_order(self, base: str, flag: str) -> None:
        wanted = FLAGS.get(flag) or (ENDINGS[flag] if base in ENDED else "unknown")
        for words in permutations([base, flag]):
            assert states.state(list(words)) == wanted

    @pytest.mark.parametrize(
        "raw", ["FUTURE_STATE", "", None, [], 3, {}, [None], ["RUNNING", "FUTURE"], ["RUNNING", "FAILED"], "running"]
    )
    def test_anything_else_is_unknown(self, raw: object) -> None:
        assert states.state(raw) is ClusterState.UNKNOWN

    @given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists))
    def test_nothing_raises(self, raw: object) -> None:
        assert states.state(raw) in ClusterState


class TestSubmission:
    def body(self, **changes: Any) -> dict[str, Any]:
        values = {name: getattr(SPEC, name) for name in Spec.__slots__}
        spec = Spec(**{**values, **changes})
        return Legacy().submission(spec, marker="zjabcdefgh", place=codec.Place("/jobs/optics", "/jobs/optics/x.log"))

    def test_it_says_exactly_this(self) -> None:
        body = self.body()
        asked = json.loads(body["job"].pop("comment"))
        assert asked == {
            "cpus": 4,
            "cards": 2,
            "card_type": "a100",
            "memory_mb": 1000,
            "time_limit_s": 120,
            "account": "e-optics",
            "user": "optics",
            "requeue": False,
        }
        assert body == {
            "script": "#!/bin/sh\n",
            "job": {
                "name": "zjabcdefgh",
                "account": "e-optics",
                "partition": "gpu",
                "nodes": "1",
                "tasks": 1,
                "cpus_per_task": 4,
                "memory_per_node": 1000,
                "gres": "gpu:a100:2",
                "time_limit": 2,
                "hold": True,
                "no_requeue": True,
                "dependency": "singleton",
                "kill_on_invalid_dependency": True,
                "current_working_directory": "/jobs/optics",
                "standard_output": "/jobs/optics/x.log",
                "standard_error": "/jobs/optics/x.log",
                "open_mode": "append",
                "environment": {
                    "PATH": "/usr/local/bin:/usr/bin:/bin",
                    "LANG": "C.UTF-8",
                    "HOME": "/jobs/optics",
                    "USER": "optics",
                    "LOGNAME": "optics",
                    "SHELL": "/bin/sh",
                    "OMP_NUM_THREADS": "4",
                    "JOB_MARKER": "zjabcdefgh",
                    "MODE": "快",
                },
            },
        }

    @given(st.integers(min_value=1, max_value=10**8))
    def test_the_limit_is_never_zero_and_never_short(self, seconds: int) -> None:
        minutes = self.body(time_limit_s=seconds)["job"]["time_limit"]
        assert minutes >= 1
        assert 0 <= minutes * 60 - seconds < 60

    def test_what_would_crash_or_mislead_slurmrestd_is_not_among_the_keys(self) -> None:
        keys = set(self.body()["job"]) | set(self.body())
        assert not keys & {"argv", "batch_features", "test_only", "requeue", "priority"}

    def test_the_comment_stays_within_slurms_1024_bytes(self) -> None:
        comment = self.body(account="a" * 64, user="u" * 32, card_type="c" * 32)["job"]["comment"]
        assert len(comment.encode()) <= 1024


class TestReading:
    ROW: dict[str, Any] = {
        "job_id": 7,
        "name": "zjabcdefgh",
        "submit_time": 1000,
        "job_state": "PENDING",
        "state_reason": "JobHeldUser",
        "user_name": "optics",
        "account": "e-optics",
        "time_limit": 2,
        "tres_req_str": "cpu=4,mem=1000M,node=1,billing=4,gres/gpu=2,gres/gpu:a100=2",
        "tres_alloc_str": "",
        "start_time": 0,
        "end_time": 0,
        "suspend_time": 0,
        "pre_sus_time": 0,
        "exit_code": 0,
        "priority": 0,
        "comment": TestSubmission().body()["job"]["comment"],
    }

    def job(self, **changes: Any) -> codec.Job:
        return reading.from_controller({**self.ROW, **changes})

    def test_a_held_job_as_asked(self) -> None:
        job = self.job()
        assert (job.job_id, job.state, job.held, job.exit_code) == (7, ClusterState.QUEUED, True, None)
        assert codec.differences(job) == []

    @pytest.mark.parametrize(
        ("changes", "name"),
        [
            ({"tres_req_str": "cpu=4,mem=1000M,node=1"}, "cards"),
            ({"tres_req_str": "cpu=4,mem=1000M,gres/gpu=2,gres/gpu:h20=2"}, "card_type"),
            ({"tres_req_str": "cpu=8,mem=1000M,gres/gpu=2,gres/gpu:a100=2"}, "cpus"),
            ({"tres_req_str": "cpu=4,mem=1G,gres/gpu=2,gres/gpu:a100=2"}, "memory_mb"),
            ({"time_limit": 3}, "time_limit_s"),
            ({"time_limit": 4_294_967_295}, "time_limit_s"),
            ({"account": "e-pharma"}, "account"),
            ({"user_name": "pharma"}, "user"),
            ({"comment": "by hand"}, "no record"),
            ({"comment": None}, "no record"),
        ],
    )
    def test_every_difference_is_seen(self, changes: dict[str, Any], name: str) -> None:
        found = codec.differences(self.job(**changes))
        assert found
        assert found[0].startswith(name)

    @pytest.mark.parametrize(
        ("state", "status", "code"),
        [
            ("COMPLETED", 0, 0),
            ("FAILED", 768, 3),
            ("FAILED", 32_512, 127),
            ("FAILED", 9, 137),
            ("FAILED", 139, 139),
            ("FAILED", None, None),
            ("TIMEOUT", 15, None),
            ("CANCELLED", 15, None),
            ("RUNNING", 0, None),
        ],
    )
    def test_exit_codes_are_wait_statuses(self, state: str, status: int | None, code: int | None) -> None:
        assert self.job(job_state=state, exit_code=status).exit_code == code

    @pytest.mark.parametrize(("status", "state"), [(53, "launch_failed"), (9, "failed")])
    def test_a_failed_launch_is_told_from_a_script_ended_by_a_signal(self, status: int, state: str) -> None:
        row = {"job_state": "FAILED", "state_reason": "JobLaunchFailure", "exit_code": status}
        assert self.job(**row).state == state

    @pytest.mark.parametrize(
        ("row", "until", "seconds"),
        [
            ({"job_state": "RUNNING", "start_time": 1010}, 1070, 60),
            ({"job_state": "SUSPENDED", "start_time": 1010, "suspend_time": 1040, "pre_sus_time": 30}, 1500, 30),
            ({"job_state": "RUNNING", "start_time": 1010, "suspend_time": 1400, "pre_sus_time": 30}, 1420, 50),
            ({"job_state": "COMPLETED", "start_time": 1010, "end_time": 1020}, 1020, 10),
        ],
    )
    def test_suspension_is_not_running_time(self, row: dict[str, Any], until: int, seconds: int) -> None:
        assert self.job(**row).elapsed_s(until) == seconds

    def test_cancelled_while_waiting_is_never_started(self) -> None:
        assert self.job(job_state="CANCELLED", start_time=1500, end_time=1500).never_started
        assert not self.job(job_state="CANCELLED", tres_alloc_str="cpu=1").never_started

    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("cpu=1,mem=1.50G,gres/gpu:a100=2", {"cpu": 1, "mem": 1536, "gres/gpu:a100": 2}),
            ("mem=2T", {"mem": 2 * 1024**2}),
            ("mem=512K", {"mem": 0}),
            ("", {}),
            (None, {}),
            ("nonsense,x=y", {}),
        ],
    )
    def test_tres(self, text: str | None, found: dict[str, int]) -> None:
        assert reading.tres(text) == found

    @pytest.mark.parametrize(
        ("array", "tasks"),
        [
            ({"job_id": 0, "task_id": None, "task": None}, [None]),
            ({"job_id": 7, "task_id": 3, "task": None}, [3]),
            ({"job_id": 7, "task_id": None, "task": "0x68"}, [3, 5, 6]),
            ({"job_id": 7, "task_id": None, "task": "1,3-4%2"}, [1, 3, 4]),
            ({"job_id": 7, "task_id": {"set": False, "infinite": False, "number": 0}, "task": "0x1%1"}, [0]),
            ({"job_id": 7, "task_id": None, "task": "0xzz"}, []),
            ({"job_id": 7, "task_id": None, "task": ""}, []),
        ],
    )
    def test_tasks_that_never_ran_are_one_row_of_bits(self, array: dict[str, Any], tasks: list[int | None]) -> None:
        assert reading.from_accounting({"job_id": 7, "array": array}).tasks == tasks

    def test_a_requeued_run_has_ended_and_its_job_has_not(self) -> None:
        row = {"job_id": 7, "state": {"current": "REQUEUED"}, "time": {"start": 10, "end": 40, "elapsed": 30}}
        job = reading.from_accounting(row)
        assert (job.state, job.was_requeued) == (ClusterState.QUEUED, True)
        assert not reading.from_accounting({**row, "time": {"start": 10, "end": 0}}).was_requeued

    def test_a_requeued_job_that_waits_does_not_keep_its_last_resources(self) -> None:
        job = self.job(job_state="PENDING", restart_cnt=1, tres_alloc_str="cpu=4", start_time=2000, priority=1)
        assert (job.has_run, job.expected_at, job.restarts, job.ended_at) == (False, 2000, 1, 0)

    def test_nor_when_it_is_cancelled_before_it_starts_again(self) -> None:
        stale = {"job_state": "CANCELLED", "tres_alloc_str": "cpu=4", "start_time": 2000, "end_time": 2000}
        assert not self.job(**stale, nodes="").has_run
        assert self.job(**stale, nodes="n1").has_run
        count = [{"type": "cpu", "name": None, "count": 4}]
        row = {"time": {"start": 9, "end": 9}, "tres": {"allocated": count}, "state": {"current": "CANCELLED"}}
        assert not reading.from_accounting({**row, "nodes": "None assigned"}).has_run
        assert reading.from_accounting({**row, "nodes": "n1"}).has_run

    @pytest.mark.parametrize(
        "row", [{"job_state": ["RUNNING", "COMPLETING"]}, {"job_state": "COMPLETING"}, {"job_state": "REQUEUED"}]
    )
    def test_a_flag_that_hides_the_base_state_is_no_end(self, row: dict[str, Any]) -> None:
        assert self.job(**row).state not in FINAL

    @pytest.mark.parametrize("state", ["REQUEUE_HOLD", "SPECIAL_EXIT", ["PENDING", "RESV_DEL_HOLD"]])
    def test_held_after_a_requeue_is_held(self, state: object) -> None:
        job = self.job(job_state=state, priority=1, state_reason="BadConstraints")
        assert (job.state, job.held) == (ClusterState.QUEUED, True)

    @given(
        st.dictionaries(
            st.sampled_from(sorted(ROW)), st.none() | st.integers() | st.text() | st.lists(st.text()), max_size=8
        )
    )
    def test_a_strange_row_never_raises(self, row: dict[str, Any]) -> None:
        codec.differences(reading.from_controller(row))
        reading.from_accounting(row)


def answer(status: int, *errors: dict[str, Any], text: str = "") -> Answer:
    return Answer(status, {"errors": list(errors)} if errors else {}, text)


class TestAnswers:
    @pytest.mark.parametrize(
        ("given", "kind"),
        [
            (Answer(200, {"errors": [], "jobs": []}, ""), "fine"),
            (answer(200, {"error_number": 9003}), "fine"),
            (answer(304), "fine"),
            (answer(401, text="Authentication failure"), "unauthenticated"),
            (answer(200, {"error_number": 1007}), "unauthenticated"),
            (answer(511, {"error_number": 6000}), "unauthenticated"),
            (answer(500, {"error_number": 2017}), "no_job"),
            (answer(500, {"error_code": 2000}), "refused"),
            (answer(500, {"errno": 2045}), "refused"),
            (answer(422, {"error_number": 2050}), "refused"),
            (answer(400, {"description": 'Unknown key "x"'}, {"error_code": 9001}), "refused"),
            (answer(400, text="Unable to parse query."), "refused"),
            (answer(406), "refused"),
            (answer(413, text="too large"), "refused"),
            (answer(404, text="not found"), "no_endpoint"),
            (answer(405, text="no"), "no_endpoint"),
            (answer(500, {"error_number": -1}), "uncertain"),
            (answer(500, {"error_number": 1800}), "uncertain"),
            (answer(200, {"error_number": 7000}), "uncertain"),
            (answer(500, {"error_number": 2027}), "uncertain"),
            (answer(500, {"error_number": 5004}), "uncertain"),
            (answer(200, {"description": "who knows"}), "uncertain"),
            (answer(502, text="<html>"), "uncertain"),
            (answer(503), "uncertain"),
            (answer(500), "uncertain"),
            (answer(418, {"error_number": 77}), "uncertain"),
        ],
    )
    def test_the_body_decides(self, given: Answer, kind: str) -> None:
        assert given.kind is Kind(kind)

    def test_slurms_words_are_kept_short(self) -> None:
        assert answer(500, {"error_code": 2000, "error": "Invalid partition"}).words == "2000 Invalid partition"
        assert len(answer(500, {"error_code": 2000, "error": "x" * 9999}).words) == 500
        assert answer(400, text=" Unable to parse query.\n").words == "HTTP 400 Unable to parse query."


class TestAccountingSince2311:
    """What accounting of 24.11.5 tells otherwise than 22.05 [seen on a running one]."""

    @pytest.mark.parametrize(("most", "array"), [(1, "1,3,5-6%1"), (0, "1,3,5-6")])
    def test_tasks_told_as_a_mask_read_as_they_were_asked_for(self, most: int, array: str) -> None:
        told = {
            "job_id": 3,
            "limits": {"max": {"running": {"tasks": most}}},
            "task_id": {"set": False, "infinite": False, "number": 0},
            "task": "0x6A",
        }
        assert reading.from_accounting({"job_id": 3, "array": told}).tasks_left == array

    def test_the_present_told_as_the_end_of_a_running_job_is_no_end(self) -> None:
        time = {"submission": 100, "start": 110, "end": 150, "elapsed": 40}
        assert reading.from_accounting({"time": time, "state": {"current": ["RUNNING"]}}).ended_at == 0
        assert reading.from_accounting({"time": time, "state": {"current": ["COMPLETED"]}}).ended_at == 150
        again = reading.from_accounting({"time": time, "state": {"current": ["PENDING", "REQUEUED"]}})
        assert (again.ended_at, again.was_requeued) == (150, True)
