"""Every version tells the same: one story, told in the shapes of each, is the same to the domain."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from integrations.slurm import observing
from integrations.slurm.cluster import SlurmCluster
from integrations.slurm.link import Link
from portal.kernel.errors import Unavailable
from scheduler.jobs.ports import Accepted, After, CannotTell, ClusterState, NotSent, RejectedBy
from tests.adapters.bench import new_marker
from tests.adapters.dialects import SUBMITTED, Daemon, Told
from tests.adapters.story import SINCE, SPEC, cluster_of, story

LATER = [(40,), (41,), (42,), (43,), (44,), (45,)]


@pytest.fixture
def daemon(request: pytest.FixtureRequest) -> Iterator[Daemon]:
    with Daemon(request.param) as one:
        yield one


@pytest.fixture
def cluster(daemon: Daemon, tmp_path: Path) -> Iterator[SlurmCluster]:
    one = cluster_of(daemon, tmp_path)
    yield one
    one.close()


class TestSameStory:
    @pytest.mark.parametrize("daemon", LATER, indirect=True, ids=str)
    def test_in_every_version(self, daemon: Daemon, cluster: SlurmCluster, tmp_path: Path) -> None:
        with Daemon((36, 37, 38)) as old:
            legacy = cluster_of(old, tmp_path)
            expected = story(old, legacy)
            legacy.close()
            assert (old.wrong, old.count("DELETE", "/job/")) == ([], 1)
        assert story(daemon, cluster) == expected
        assert daemon.count("POST", "/job/submit") == 5  # one gave way to the first of its marker
        assert daemon.wrong == []

    @pytest.mark.parametrize("daemon", LATER, indirect=True, ids=str)
    def test_accounting_keeps_exit_codes_from_v40_on(self, daemon: Daemon, cluster: SlurmCluster) -> None:
        placed = cluster.submit(SPEC, marker="zjexitcodes", first=True)
        assert isinstance(placed, Accepted)
        (job,) = daemon.live
        job.state, job.start, job.end, job.exit = ("FAILED",), SUBMITTED + 1, SUBMITTED + 2, 3
        daemon.accounted, daemon.live = [job], []
        assert cluster.observe([placed.ref])[0].exit_code == 3
        job.exit, job.signal = 0, 9
        assert cluster.observe([placed.ref])[0].exit_code == 137


class TestChoice:
    @pytest.mark.parametrize(
        ("offered", "spoken"),
        [
            ((36, 37, 38), 38),
            ((37, 38, 39), 38),
            ((38, 39, 40), 40),
            ((39, 40, 41), 41),
            ((40, 41, 42), 42),
            ((42, 43, 44, 45), 45),
            ((44, 45, 46, 47), 45),
        ],
    )
    def test_the_highest_both_know_but_never_39(self, tmp_path: Path, offered: tuple[int, ...], spoken: int) -> None:
        with Daemon(offered) as daemon:
            cluster = cluster_of(daemon, tmp_path)
            able = cluster.capabilities()
            assert able.version == f"v0.0.{spoken}"
            assert able.offered == tuple(f"v0.0.{one}" for one in offered)
            assert able.name == "elsewhere"
            assert cluster.health().ok
            assert daemon.count("GET", "/openapi/v3") == 1
            cluster.close()

    def test_with_none_in_common_no_job_call_is_made(self, tmp_path: Path) -> None:
        with Daemon((99,)) as daemon:
            cluster = cluster_of(daemon, tmp_path)
            for first in (True, False):
                answer = cluster.submit(SPEC, marker="zjnoversion", first=first)
                assert isinstance(answer, NotSent)
                assert answer.detail.startswith("unsupported version: offered v0.0.99; known v0.0.38, v0.0.40")
            health = cluster.health()
            assert (health.ok, "unsupported version: offered v0.0.99" in health.detail) == (False, True)
            assert isinstance(cluster.find(marker="zjnoversion", since=SINCE), CannotTell)
            with pytest.raises(Unavailable):
                cluster.capabilities()
            assert daemon.count("GET", "/openapi/v3") == len(daemon.asked)
            cluster.close()

    def test_an_upgraded_cluster_is_spoken_to_anew(self, tmp_path: Path) -> None:
        with Daemon((36, 37, 38)) as daemon:
            cluster = cluster_of(daemon, tmp_path)
            placed = cluster.submit(SPEC, marker="zjupgraded", first=True)
            assert isinstance(placed, Accepted)
            daemon.versions = (42, 43)
            assert cluster.observe([placed.ref])[0].state is ClusterState.QUEUED
            assert cluster.capabilities().version == "v0.0.43"
            daemon.versions = (41,)
            assert isinstance(cluster.submit(SPEC, marker="zjupgradedtoo", first=True), NotSent)
            assert isinstance(cluster.submit(SPEC, marker="zjupgradedtoo", first=True), Accepted)
            assert len(daemon.live) == 2
            cluster.close()

    def test_it_is_asked_again_after_ten_minutes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with Daemon((41, 42)) as daemon:
            cluster = cluster_of(daemon, tmp_path)
            cluster.health()
            at, codec, offered = Link._chosen[daemon.url]
            monkeypatch.setitem(Link._chosen, daemon.url, (at - 601, codec, offered))
            cluster.health()
            assert daemon.count("GET", "/openapi/v3") == 2
            cluster.close()


class TestIgnoredFields:
    @pytest.mark.parametrize("daemon", LATER, indirect=True, ids=str)
    def test_a_job_of_which_a_field_was_ignored_is_cancelled_and_refused(
        self, daemon: Daemon, cluster: SlurmCluster
    ) -> None:
        daemon.drops = frozenset({"tres_per_node"})
        answer = cluster.submit(SPEC, marker="zjignored", first=True)
        assert isinstance(answer, RejectedBy)
        assert 'Ignoring unknown field "tres_per_node"' in answer.detail
        assert [one.state for one in daemon.live] == [("CANCELLED",)]

    @pytest.mark.parametrize("daemon", LATER, indirect=True, ids=str)
    def test_so_is_one_that_would_get_other_cards(self, daemon: Daemon, cluster: SlurmCluster) -> None:
        one = Daemon.submit

        def fewer(self: Daemon, tell: Any, body: dict[str, Any], user: str) -> Any:
            body["job"]["tres_per_node"] = "gres/gpu:a100:1"
            return one(self, tell, body, user)

        daemon.submit = fewer.__get__(daemon)  # type: ignore[method-assign]
        answer = cluster.submit(SPEC, marker="zjfewercards", first=True)
        assert isinstance(answer, RejectedBy)
        assert "cards: asked 2, would get 1" in answer.detail


class TestModernBody:
    def test_it_says_exactly_this(self) -> None:
        from integrations.slurm.codec import Place
        from integrations.slurm.modern import VERSIONS, Modern

        spec = replace(SPEC, environment={"MODE": "快"}, array="0-3%2", requeue=True)
        bodies = [
            Modern(version).submission(
                spec, marker="zjabcdefgh", place=Place("/jobs/optics", "/jobs/optics/x.log", "short")
            )
            for version in VERSIONS
        ]
        assert all(body == bodies[0] for body in bodies)
        job = bodies[0]["job"]
        assert json.loads(job.pop("comment"))["array"] == "0-3%2"
        assert "MODE=快" in job.pop("environment")
        assert job == {
            "script": "#!/bin/sh\n",
            "name": "zjabcdefgh",
            "account": "e-optics",
            "partition": "gpu",
            "qos": "short",
            "nodes": "1",
            "tasks": 1,
            "cpus_per_task": 2,
            "memory_per_node": {"set": True, "infinite": False, "number": 400},
            "time_limit": {"set": True, "infinite": False, "number": 2},
            "hold": True,
            "requeue": True,
            "array": "0-3%2",
            "dependency": "singleton",
            "flags": ["KILL_INVALID_DEPENDENCY"],
            "tres_per_node": "gres/gpu:a100:2",
            "current_working_directory": "/jobs/optics",
            "standard_output": "/jobs/optics/x.log",
            "standard_error": "/jobs/optics/x.log",
            "open_mode": "append",
        }


class TestDoubt:
    """What newer versions say when they do not know."""

    @pytest.mark.parametrize("daemon", [(40,), (42,), (45,)], indirect=True, ids=str)
    @pytest.mark.parametrize(
        ("status", "number"), [(502, 7000), (500, 7000), (511, 1007), (500, 1800), (200, 7000), (500, -1)]
    )
    def test_it_is_no_absence_and_no_empty_use(
        self, daemon: Daemon, cluster: SlurmCluster, status: int, number: int
    ) -> None:
        daemon.broken["/slurmdb/"] = (status, {"errors": [{"error_number": number, "error": "x"}], "jobs": []})
        assert isinstance(cluster.find(marker=new_marker(), since=SINCE), CannotTell)
        with pytest.raises(Unavailable):
            cluster.usage(accounts=["e-optics"], since=SINCE, until=datetime.fromtimestamp(SUBMITTED, UTC))

    @pytest.mark.parametrize("daemon", [(38,), (43,)], indirect=True, ids=str)
    def test_without_accounting_a_job_is_seen_and_never_confirmed(self, daemon: Daemon, cluster: SlurmCluster) -> None:
        placed = cluster.submit(SPEC, marker="zjnoaccounts", first=True)
        assert isinstance(placed, Accepted)
        (job,) = daemon.live
        job.state, job.start, job.end = ("COMPLETED",), SUBMITTED + 1, SUBMITTED + 2
        daemon.broken["/slurmdb/"] = (502, {"errors": [{"error_number": 7000, "error": "x"}]})
        seen = cluster.observe([placed.ref])[0]
        assert (seen.state, seen.confirmed, len(seen.runs)) == (ClusterState.SUCCEEDED, False, 1)
        assert not seen.runs[0].confirmed

    @pytest.mark.parametrize("daemon", [(38,), (43,)], indirect=True, ids=str)
    def test_a_dependency_the_cluster_has_forgotten_is_not_released(
        self, daemon: Daemon, cluster: SlurmCluster
    ) -> None:
        from portal.kernel.errors import Rejected

        first = cluster.submit(SPEC, marker="zjfirstone", first=True)
        assert isinstance(first, Accepted)
        second = cluster.submit(replace(SPEC, after=[After(first.ref)]), marker="zjsecondone", first=True)
        assert isinstance(second, Accepted)
        daemon.live.pop(0)
        with pytest.raises(Rejected) as refusal:
            cluster.release(second.ref, user="optics")
        assert "is forgotten" in refusal.value.params["reason"]


class TestCost:
    def many(self, daemon: Daemon, cluster: SlurmCluster, count: int) -> list[Any]:
        first = cluster.submit(SPEC, marker="zjmanyjobs0", first=True)
        assert isinstance(first, Accepted)
        refs = [first.ref]
        for number in range(1, count):
            told = replace(
                daemon.live[0], job_id=1000 + number, body={**daemon.live[0].body, "name": f"zjmanyjobs{number}"}
            )
            daemon.live.append(told)
            refs.append(replace(first.ref, job_id=str(told.job_id), marker=f"zjmanyjobs{number}"))
        daemon.asked.clear()
        observing._KEPT.clear()
        return refs

    @pytest.mark.parametrize("daemon", [(38,), (41,), (45,)], indirect=True, ids=str)
    def test_a_submission_reads_one_job_and_no_list(self, daemon: Daemon, cluster: SlurmCluster) -> None:
        cluster.health()
        daemon.asked.clear()
        assert isinstance(cluster.submit(SPEC, marker="zjonlyonce", first=True), Accepted)
        asked = [f"{method} {path.split('/', 3)[3].partition('?')[0]}" for method, path in daemon.asked]
        assert asked == ["GET nodes", "POST job/submit", "GET job/7"]

    @pytest.mark.parametrize("daemon", [(38,), (41,), (45,)], indirect=True, ids=str)
    def test_few_jobs_cost_one_small_request_each(self, daemon: Daemon, cluster: SlurmCluster) -> None:
        refs = self.many(daemon, cluster, 5)
        assert {one.state for one in cluster.observe(refs)} == {ClusterState.QUEUED}
        assert (daemon.count("GET", "/job/"), len(daemon.asked)) == (5, 5)

    @pytest.mark.parametrize("daemon", [(41,), (45,)], indirect=True, ids=str)
    def test_many_cost_one_list_of_states_and_what_changed(self, daemon: Daemon, cluster: SlurmCluster) -> None:
        refs = self.many(daemon, cluster, 60)
        cluster.observe(refs)
        daemon.asked.clear()
        daemon.live[5].state, daemon.live[5].start = ("RUNNING",), SUBMITTED + 3
        seen = cluster.observe(refs)
        assert [one.state for one in seen].count(ClusterState.RUNNING) == 1
        assert [path.split("/", 3)[3].partition("?")[0] for _method, path in daemon.asked] == ["jobs/state", "job/1005"]

    @pytest.mark.parametrize("daemon", [(38,), (40,)], indirect=True, ids=str)
    def test_before_that_one_list_if_it_is_not_much_longer(self, daemon: Daemon, cluster: SlurmCluster) -> None:
        refs = self.many(daemon, cluster, 60)
        assert len(cluster.observe(refs)) == 60
        assert (daemon.count("GET", "/jobs"), daemon.count("GET", "/job/")) == (1, 0)
        daemon.nothing_new = True
        daemon.asked.clear()
        assert {one.state for one in cluster.observe(refs)} == {ClusterState.QUEUED}
        assert [path.partition("?")[2][:12] for _method, path in daemon.asked] == ["", "update_time="]
        daemon.live += [replace(daemon.live[0], job_id=number) for number in range(2000, 2300)]
        daemon.asked.clear()
        assert {one.state for one in cluster.observe(refs)} == {ClusterState.QUEUED}
        assert (daemon.count("GET", "/jobs"), daemon.count("GET", "/job/")) == (0, 60)


def test_a_told_job_reads_its_cards_from_either_field() -> None:
    assert Told(1, {"gres": "gpu:a100:2"}, "", "").cards == ("a100", 2)
    assert Told(1, {"tres_per_node": "gres/gpu:3"}, "", "").cards == ("", 3)
