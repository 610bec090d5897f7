"""What the wire to slurmrestd may do to us, tried on the real one, through a proxy where it would not do it by itself."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from integrations.slurm import wire
from integrations.slurm.cluster import SlurmCluster
from integrations.slurm.tokens import KeyFile
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import (
    Absent,
    Accepted,
    CannotTell,
    ClusterState,
    Found,
    NotSent,
    Ref,
    RejectedBy,
    Unknown,
)
from tests.adapters.bench import Bench, new_marker, past, until
from tests.adapters.conftest import slurm_config
from tests.adapters.faults import Fault, Proxy
from tests.slurm import cluster as real

pytestmark = pytest.mark.slurm
QUICK = "#!/bin/sh\necho done\n"
SUBMIT = "/job/submit"


def resolve(bench: Bench, marker: str, script: str = QUICK) -> Ref:
    """Do what the caller of the port does: submit, and let only `find` decide about a lost answer."""
    for _attempt in range(10):
        answer = bench.cluster.submit(bench.spec(script), marker=marker)
        if isinstance(answer, Unknown):
            found = bench.cluster.find(marker=marker, since=past(60))
            while isinstance(found, CannotTell):
                found = bench.cluster.find(marker=marker, since=past(60))
            if isinstance(found, Found):
                return found.refs[0]
            continue
        if isinstance(answer, Accepted):
            return answer.ref
        assert isinstance(answer, NotSent), answer
    raise AssertionError(f"{marker} not placed in ten attempts")


class TestLostSubmissions:
    @pytest.mark.parametrize(
        ("kind", "status", "arrived"),
        [
            ("drop_before", 0, False),
            ("drop_after", 0, True),
            ("status_before", 502, False),
            ("status_after", 504, True),
            ("cut", 0, True),
            ("cut_json", 0, True),
            ("forge", 200, False),
            ("slow", 0, False),
            ("half_open", 0, True),
        ],
    )
    def test_a_lost_answer_is_unknown_and_find_decides(
        self,
        faulty: Bench,
        proxy: Proxy,
        kind: str,
        status: int,
        arrived: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if kind in ("slow", "half_open"):
            monkeypatch.setattr(wire, "READ_S", 5.0)
        errors = {"errors": [{"error_number": 5004, "error": "Socket timed out on send/recv operation"}]}
        proxy.faults.append(Fault("POST", SUBMIT, kind, status=status, body=errors))
        marker = new_marker()
        answer = faulty.cluster.submit(faulty.spec(QUICK), marker=marker)
        assert isinstance(answer, Unknown), answer
        found = faulty.cluster.find(marker=marker, since=past(60))
        if not arrived:
            assert found == Absent()
        ref = found.refs[0] if isinstance(found, Found) else resolve(faulty, marker)
        assert isinstance(found, Found) is arrived
        assert proxy.count("POST", SUBMIT) == 1
        faulty.cluster.release(ref, user=faulty.user)
        faulty.wait(ref, ClusterState.SUCCEEDED)
        assert faulty.log(ref) == "done\n"

    def test_a_read_back_that_is_lost_is_unknown_too(self, faulty: Bench, proxy: Proxy) -> None:
        proxy.faults.append(Fault("GET", "/v0.0.38/jobs", "drop_before", times=2))
        proxy.faults.append(Fault("GET", "/slurmdb/", "forge", status=200, body={"errors": [], "jobs": []}))
        proxy.faults.reverse()
        marker = new_marker()
        answer = faulty.cluster.submit(faulty.spec(QUICK), marker=marker)
        assert isinstance(answer, Unknown)
        assert "was accepted" in answer.detail
        assert isinstance(faulty.cluster.find(marker=marker, since=past(60)), Found)

    def test_of_many_submissions_over_a_bad_wire_each_runs_exactly_once(
        self, faulty: Bench, proxy: Proxy, real_slurm: real.Info
    ) -> None:
        chance = random.Random(7)
        kinds = ["drop_after"] * 6 + ["drop_before"] * 2 + ["status_before", "status_after"] + [""] * 10
        markers = [new_marker() for _ in range(24)]
        for marker in markers:
            if kind := chance.choice(kinds):
                proxy.faults.append(Fault("POST", SUBMIT, kind))
            ref = resolve(faulty, marker, "#!/bin/sh\necho $JOB_MARKER\n")
            faulty.refs.append(ref)
            faulty.cluster.release(ref, user=faulty.user)
        for ref in faulty.refs:
            faulty.wait(ref, ClusterState.SUCCEEDED)
            assert faulty.log(ref) == f"{ref.marker}\n"
        rows = real_slurm.command("squeue", "-ht", "all", "-o", "%j").split()
        assert {marker: rows.count(marker) for marker in markers} == dict.fromkeys(markers, 1)

    def test_a_first_submission_that_is_lost_is_found_as_well(self, faulty: Bench, proxy: Proxy) -> None:
        proxy.faults.append(Fault("GET", "/v0.0.38/job/", "drop_before", times=2))
        marker = new_marker()
        answer = faulty.cluster.submit(faulty.spec(QUICK), marker=marker, first=True)
        assert isinstance(answer, Unknown)
        assert "was accepted" in answer.detail
        found = faulty.cluster.find(marker=marker, since=past(60))
        assert isinstance(found, Found)
        faulty.refs.append(found.refs[0])
        assert proxy.count("GET", "/slurm/v0.0.38/jobs") == 1, "only to find it"

    def test_what_never_left_here_is_not_sent(self, slurm: Bench, real_slurm: real.Info) -> None:
        nowhere = SlurmCluster({**slurm_config(real_slurm), "url": "http://127.0.0.1:9"})
        assert isinstance(nowhere.submit(slurm.spec(QUICK), marker=new_marker()), NotSent)
        assert isinstance(nowhere.find(marker=new_marker(), since=past()), CannotTell)
        assert not nowhere.health().ok
        with pytest.raises(Unavailable):
            nowhere.observe([Ref("1", past(), new_marker())])
        nowhere.close()

    def test_another_version_gets_no_job(self, faulty: Bench, proxy: Proxy) -> None:
        paths = {"/slurm/v0.0.99/ping": {}, "/slurm/v0.0.98/ping": {}, "/openapi": {}}
        proxy.faults.append(Fault("GET", "/openapi/v3", "forge", times=9, status=200, body={"paths": paths}))
        answer = faulty.cluster.submit(faulty.spec(QUICK), marker=new_marker())
        assert isinstance(answer, NotSent)
        assert "unsupported version: offered v0.0.98, v0.0.99; known v0.0.38, v0.0.40," in answer.detail
        health = faulty.cluster.health()
        assert not health.ok and "offered v0.0.98, v0.0.99" in health.detail
        assert proxy.count("POST", SUBMIT) == 0


class TestRefusals:
    def test_in_slurms_words(self, slurm: Bench) -> None:
        answer = slurm.cluster.submit(slurm.spec(QUICK, account="nobody-pays"), marker=new_marker())
        assert isinstance(answer, RejectedBy)
        assert (answer.code, "Invalid account" in answer.detail) == ("account", True)

    @pytest.mark.parametrize(
        ("change", "code"),
        [
            ({"user": "root"}, "access"),
            ({"user": "../etc"}, "access"),
            ({"work_dir": "/etc"}, "access"),
            ({"work_dir": "/tmp/../etc"}, "access"),
            ({"partition": "cpu,gpu"}, "partition"),
            ({"account": "007"}, "account"),
            ({"cards": 1, "card_type": "a100:4,gpu:h20"}, "resources"),
            ({"cards": 1, "card_type": "", "partition": "cpu"}, "resources"),
            ({"cards": 5, "card_type": "a100", "partition": "gpu"}, "resources"),
        ],
    )
    def test_before_anything_is_sent(self, faulty: Bench, proxy: Proxy, change: dict[str, Any], code: str) -> None:
        answer = faulty.cluster.submit(faulty.spec(QUICK, **change), marker=new_marker())
        assert isinstance(answer, RejectedBy)
        assert answer.code == code
        assert proxy.count("POST", SUBMIT) == 0

    def test_a_job_that_would_get_less_than_was_paid_for_is_cancelled(self, faulty: Bench, proxy: Proxy) -> None:
        def without_cards(body: bytes) -> bytes:
            sent = json.loads(body)
            del sent["job"]["gres"]
            return json.dumps(sent).encode()

        proxy.faults.append(Fault("POST", SUBMIT, "rewrite", rewrite=without_cards))
        marker = new_marker()
        spec = faulty.spec(QUICK, cards=2, card_type="a100", partition="gpu")
        answer = faulty.cluster.submit(spec, marker=marker)
        assert isinstance(answer, RejectedBy)
        assert "cards: asked 2, would get 0" in answer.detail
        found = faulty.cluster.find(marker=marker, since=past(60))
        assert isinstance(found, Found)
        assert faulty.observe(found.refs[0]).state is ClusterState.CANCELLED

    def test_such_a_job_found_after_a_lost_answer_is_not_released(self, faulty: Bench, proxy: Proxy) -> None:
        def longer(body: bytes) -> bytes:
            return body.replace(b'"time_limit": 1,', b'"time_limit": 90,')

        proxy.faults.append(Fault("POST", SUBMIT, "drop_after", rewrite=longer))
        marker = new_marker()
        assert isinstance(faulty.cluster.submit(faulty.spec(QUICK), marker=marker), Unknown)
        found = faulty.cluster.find(marker=marker, since=past(60))
        assert isinstance(found, Found)
        faulty.refs.append(found.refs[0])
        with pytest.raises(Rejected) as refusal:
            faulty.cluster.release(found.refs[0], user=faulty.user)
        assert refusal.value.params["reason"] == "time_limit_s: asked 60, would get 5400"
        assert faulty.observe(found.refs[0]).state is ClusterState.QUEUED


class TestSocket:
    def test_a_unix_socket_is_as_good_as_a_port(self, slurm: Bench, real_slurm: real.Info) -> None:
        config = {**slurm_config(real_slurm), "url": "http://slurmrestd", "socket": str(real_slurm.socket)}
        cluster = SlurmCluster(config)
        assert cluster.health().ok
        ref = slurm.submit(QUICK)
        assert cluster.observe([ref])[0].state is ClusterState.QUEUED
        cluster.close()


class TestTokens:
    def test_a_token_turned_away_is_not_sent(self, slurm: Bench, real_slurm: real.Info, tmp_path: Path) -> None:
        key = tmp_path / "other.pem"
        key.write_text(real_slurm.private_key.read_text())
        cluster = SlurmCluster({**slurm_config(real_slurm), "jwks_private_key_file": str(key), "key_id": "unknown"})
        assert isinstance(cluster.submit(slurm.spec(QUICK), marker=new_marker()), NotSent)
        assert isinstance(cluster.find(marker=new_marker(), since=past()), CannotTell)
        with pytest.raises(Unavailable):
            cluster.observe([slurm.submit(QUICK)])

    def test_a_token_turned_away_at_the_submission_itself_is_not_sent(self, faulty: Bench, proxy: Proxy) -> None:
        minus_one = {"errors": [{"error_number": -1, "error": "Unspecified error"}]}
        proxy.faults.append(Fault("POST", SUBMIT, "forge", times=2, status=500, body=minus_one))
        expired = {"errors": [{"error_number": 1007, "error": "Protocol authentication error"}], "jobs": []}
        proxy.faults.append(Fault("GET", "job_name=zjnobody", "forge", times=2, status=200, body=expired))
        answer = faulty.cluster.submit(faulty.spec(QUICK), marker=new_marker())
        assert answer == NotSent("token refused")
        assert len([path for method, path in proxy.seen if method == "POST" and SUBMIT in path]) == 2

    @pytest.mark.parametrize("number", [1007, -1])
    def test_a_submission_turned_away_once_is_made_with_a_fresh_token(
        self, faulty: Bench, proxy: Proxy, number: int
    ) -> None:
        body = {"errors": [{"error_number": number, "error": "x"}]}
        proxy.faults.append(Fault("POST", SUBMIT, "forge", status=500, body=body))
        expired = {"errors": [{"error_number": 1007, "error": "Protocol authentication error"}], "jobs": []}
        proxy.faults.append(Fault("GET", "job_name=zjnobody", "forge", status=200, body=expired))
        answer = faulty.cluster.submit(faulty.spec(QUICK), marker=new_marker())
        assert isinstance(answer, Accepted)
        faulty.refs.append(answer.ref)
        assert proxy.count("POST", SUBMIT) == 1

    def test_the_same_answer_with_a_good_token_is_unknown(self, faulty: Bench, proxy: Proxy) -> None:
        minus_one = {"errors": [{"error_number": -1, "error": "Unspecified error"}]}
        proxy.faults.append(Fault("POST", SUBMIT, "forge", status=500, body=minus_one))
        assert isinstance(faulty.cluster.submit(faulty.spec(QUICK), marker=new_marker()), Unknown)

    def test_an_expired_token_is_minted_anew_once(self, faulty: Bench, proxy: Proxy, real_slurm: real.Info) -> None:
        class Late(KeyFile):
            minted = 0

            def mint(self, user: str) -> tuple[str, float]:
                self.minted += 1
                token, ends_at = super().mint(user)
                return (token[:-8] + "AAAAAAAA" if self.minted == 1 else token), ends_at

        ref = faulty.submit(QUICK)
        late = Late(real_slurm.private_key, algorithm="RS256", key_id=real.KEY_ID)
        faulty.cluster.wire.tokens = late  # type: ignore[attr-defined]
        before = len(proxy.seen)
        assert faulty.observe(ref).state is ClusterState.QUEUED
        assert late.minted == 2
        assert len(proxy.seen) - before == 2


class TestWitnesses:
    def test_what_the_controller_forgot_accounting_remembers(self, faulty: Bench, proxy: Proxy) -> None:
        good = faulty.run("#!/bin/sh\nsleep 1\n", cards=1, card_type="a100", partition="gpu")
        bad = faulty.run("#!/bin/sh\nexit 3\n")
        faulty.wait(good, ClusterState.SUCCEEDED)
        assert faulty.wait(bad, ClusterState.FAILED).exit_code == 3
        forgotten = {"errors": [{"error_number": 2017, "error": "Invalid job id specified"}], "jobs": []}
        proxy.faults.append(Fault("GET", "/v0.0.38/job/", "forge", times=10**6, status=500, body=forgotten))
        until(lambda: faulty.observe(good).raw_state != "ABSENT", "accounting to hear of it")
        assert not faulty.observe(good).gone
        done = faulty.wait(good, ClusterState.SUCCEEDED)
        assert (done.exit_code, done.cpus, done.cards, done.memory_mb) == (0, 1, 1, 200)
        assert done.elapsed_s is not None
        assert 1 <= done.elapsed_s <= 5
        # 22.05 writes 0 into accounting for every exit code: better none than a wrong one.
        assert faulty.wait(bad, ClusterState.FAILED).exit_code is None

    @pytest.mark.parametrize(
        "body",
        [
            {"errors": [{"error_number": 7000, "error": "Unable to connect to database"}], "jobs": []},
            {"errors": [{"error_number": 1007, "error": "Protocol authentication error"}], "jobs": []},
            {"errors": [{"description": "something without a number"}], "jobs": []},
        ],
    )
    @pytest.mark.parametrize("witness", ["/slurmdb/v0.0.38/jobs", "/slurm/v0.0.38/jobs"])
    def test_a_200_with_errors_proves_nothing(
        self, faulty: Bench, proxy: Proxy, witness: str, body: dict[str, Any]
    ) -> None:
        proxy.faults.append(Fault("GET", witness, "forge", times=4, status=200, body=body))
        assert isinstance(faulty.cluster.find(marker=new_marker(), since=past(60)), CannotTell)

    def test_absence_is_not_believed_while_accounting_lags(self, faulty: Bench, proxy: Proxy) -> None:
        lost = Ref("999999", past(3600).replace(microsecond=0), new_marker())
        # Jobs of other tests may be on their way to accounting just now.
        until(lambda: faulty.observe(lost).gone, "accounting to know everything")
        behind = {"errors": [], "statistics": {"dbd_agent_queue_size": 12}}
        proxy.faults.append(Fault("GET", "/v0.0.38/diag", "forge", status=200, body=behind))
        assert not faulty.observe(lost).gone
        assert not faulty.observe(replace(lost, submitted_at=past(5).replace(microsecond=0))).gone

    def test_a_controller_too_slow_to_answer_is_not_well(self, faulty: Bench, proxy: Proxy) -> None:
        proxy.faults.append(Fault("GET", "/ping", "slow", times=2))
        assert not faulty.cluster.health().ok
        assert proxy.silent


class TestLog:
    def test_a_link_in_the_jobs_directory_is_not_followed(self, slurm: Bench, real_slurm: real.Info) -> None:
        ref = slurm.submit(QUICK)
        path = real_slurm.job_root / slurm.user / f"{ref.marker}.log"
        for make in (lambda: path.symlink_to("/etc/hostname"), lambda: path.hardlink_to(real_slurm.private_key)):
            make()
            with pytest.raises(Rejected):
                slurm.cluster.log(ref, offset=0, limit=100)
            path.unlink()
        with pytest.raises(Rejected):
            slurm.cluster.log(replace(ref, data={"user": "../keys"}), offset=0, limit=100)


class TestOutages:
    """These take daemons down, so no other test may run on the cluster meanwhile."""

    def test_without_accounting_nobody_can_tell_but_jobs_go_on(
        self, alone: Bench, real_slurm: real.Info, proxy: Proxy
    ) -> None:
        marker = new_marker()
        losing = SlurmCluster({**slurm_config(real_slurm), "url": proxy.url})
        with real_slurm.without("slurmdbd"):
            proxy.faults.append(Fault("POST", SUBMIT, "drop_before"))
            assert isinstance(losing.submit(alone.spec(QUICK), marker=marker), Unknown)
            assert isinstance(alone.cluster.find(marker=marker, since=past(60)), CannotTell)
            ref = alone.run(QUICK)
            alone.wait(ref, ClusterState.SUCCEEDED)
            assert alone.cluster.health().ok
        assert alone.cluster.find(marker=marker, since=past(60)) == Absent()
        assert alone.cluster.find(marker=ref.marker, since=past(60)) == Found([ref])
        losing.close()

    def test_without_the_controller_nothing_is_claimed(self, alone: Bench, real_slurm: real.Info) -> None:
        ref = alone.submit(QUICK)
        spec: Callable[[], Any] = lambda: alone.cluster.submit(alone.spec(QUICK), marker=ref.marker[:-1] + "z")
        with real_slurm.without("slurmctld"):
            answer = spec()
            assert isinstance(answer, Unknown | NotSent)
            assert not alone.cluster.health().ok
            with pytest.raises(Unavailable):
                alone.observe(ref)
        until(lambda: alone.cluster.health().ok, "the controller")
        again = spec()
        assert isinstance(again, Accepted)
        found = alone.cluster.find(marker=again.ref.marker, since=past(60))
        assert found == Found([again.ref])
        alone.refs.append(again.ref)
        alone.cluster.release(again.ref, user=alone.user)
        alone.wait(again.ref, ClusterState.SUCCEEDED)
