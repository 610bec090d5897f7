"""The agent beside a real Slurm: what it does for the portal, and what it does for nobody."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import shutil
import ssl
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from integrations.slurm.agent import papers, signing
from integrations.slurm.agent_client import AgentClient, agent_from
from integrations.slurm.cluster import SlurmCluster
from integrations.slurm.signer_keys import Journal
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import Accepted, ClusterState, Feature, NotSent, RejectedBy
from tests.adapters.bench import ROOT, Bench, new_marker, until
from tests.adapters.conftest import slurm_config
from tests.slurm import cluster as real

pytestmark = pytest.mark.slurm


@dataclass
class Running:
    """One agent process and what the portal needs to reach it."""

    folder: Path
    port: int
    info: real.Info

    @property
    def client(self) -> AgentClient:
        return AgentClient(f"https://127.0.0.1:{self.port}", self.folder / "portal")

    @property
    def user(self) -> str:
        return self.info.users[0]

    @property
    def home(self) -> Path:
        return self.info.job_root / self.user

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "agent" / "agent.log").read_text().splitlines()]

    def send(
        self,
        path: str,
        body: bytes,
        headers: dict[str, str],
        *,
        context: ssl.SSLContext | None = None,
        method: str = "POST",
    ) -> tuple[int, dict[str, Any]]:
        """Send whatever a stranger with the portal's certificate might send."""
        link = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=30, context=context or self.client.context)
        with contextlib.closing(link):
            link.request(method, path, body=body, headers=headers)
            response = link.getresponse()
            raw = response.read()
        try:
            return response.status, json.loads(raw)
        except ValueError:
            return response.status, {}


@pytest.fixture(scope="module")
def agent(real_slurm: real.Info) -> Iterator[Running]:
    base = Path(tempfile.mkdtemp(prefix="gx-agent-"))
    papers.make(base, host="127.0.0.1", client="portal")
    (base / "enrolled").write_text(
        f"# users\n{real_slurm.users[0]}\n{real_slurm.users[1]}:20001\nghost-of-nobody\ndaemon\n"
    )
    config = {
        "dir": str(base / "agent"),
        "port": 0,
        "job_root": str(real_slurm.job_root),
        "enrolled": str(base / "enrolled"),
        "clients": ["portal"],
        "qos_prefix": "gx-",
        "slurm_conf": f"{real_slurm.dir}/conf/slurm.conf",
        "jwks": f"{real_slurm.dir}/keys/jwks.json",
    }
    (base / "agent.json").write_text(json.dumps(config))
    process = subprocess.Popen(
        [sys.executable, "-m", "integrations.slurm.agent", "serve", f"--config={base / 'agent.json'}"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    port = int(line.split(":")[2].split(",")[0])
    yield Running(base, port, real_slurm)
    process.terminate()
    process.communicate(timeout=20)
    shutil.rmtree(base)


def release(agent: Running) -> str:
    return agent.info.command("scontrol", "--version").split()[-1]


class TestFiles:
    def test_files_are_staged_listed_and_read_as_the_user(self, agent: Running) -> None:
        marker, client = new_marker(), agent.client
        data = bytes(range(256)) * 1200
        place = {"marker": marker, "user": agent.user, "path": "input/deep/数据.bin"}
        assert client.put_file(**place, offset=0, data=data[:100_000]) == 100_000
        assert client.put_file(**place, offset=100_000, data=data[100_000:]) == len(data)
        assert client.put_file(**place, offset=100_000, data=data[100_000:]) == len(data)
        path = agent.home / marker / "input/deep/数据.bin"
        assert path.read_bytes() == data
        assert path.owner() == agent.user
        assert path.stat().st_mode & 0o777 == 0o600
        (entry,) = client.files(marker=marker, user=agent.user)
        assert (entry.path, entry.size) == ("input/deep/数据.bin", len(data))
        assert abs(entry.modified_at - datetime.now(UTC)) < timedelta(minutes=2)
        first = client.read_file(**place, offset=0, limit=100_000)
        assert (first.data, first.eof) == (data[:100_000], False)
        rest = client.read_file(**place, offset=first.next_offset, limit=1 << 20)
        assert (first.data + rest.data, rest.eof) == (data, True)

    def test_a_shorter_file_over_a_longer_one_leaves_nothing_of_it(self, agent: Running) -> None:
        marker, put = new_marker(), agent.client.put_file
        put(marker=marker, user=agent.user, path="in.csv", offset=0, data=b"a,b,c\n" * 1000)
        assert put(marker=marker, user=agent.user, path="in.csv", offset=0, data=b"x,y\n") == 4
        assert put(marker=marker, user=agent.user, path="in.csv", offset=4, data=b"1,2\n") == 8
        assert (agent.home / marker / "in.csv").read_bytes() == b"x,y\n1,2\n"
        assert put(marker=marker, user=agent.user, path="in.csv", offset=4, data=b"1,2\n") == 8, "the same again"

    def test_a_file_is_removed_a_link_itself_and_nothing_outside(self, agent: Running) -> None:
        marker, remove = new_marker(), agent.client.remove_file
        agent.client.put_file(marker=marker, user=agent.user, path="in/key", offset=0, data=b"hush")
        remove(marker=marker, user=agent.user, path="in/key")
        remove(marker=marker, user=agent.user, path="in/key")
        assert agent.client.files(marker=marker, user=agent.user) == []
        outside = agent.home / f"{marker}.txt"
        outside.write_text("stays")
        (agent.home / marker / "key").symlink_to(outside)
        remove(marker=marker, user=agent.user, path="key")
        assert outside.read_text() == "stays"
        for path in ("../x", "in", f"../{marker}.txt"):
            with pytest.raises(Rejected):
                remove(marker=marker, user=agent.user, path=path)

    def test_a_mebibyte_fits_and_no_more(self, agent: Running) -> None:
        marker = new_marker()
        size = agent.client.put_file(marker=marker, user=agent.user, path="big", offset=0, data=b"x" * (1 << 20))
        assert size == 1 << 20
        with pytest.raises(Rejected):
            agent.client.put_file(marker=marker, user=agent.user, path="big", offset=0, data=b"x" * ((1 << 20) + 1))
        with pytest.raises(Rejected, match="beyond the end"):
            agent.client.put_file(marker=marker, user=agent.user, path="big", offset=(1 << 20) + 1, data=b"y")

    @pytest.mark.parametrize(
        "path",
        [
            "", "/", "/etc/passwd", "..", ".", "../x", "a/../../x", "a/./b", "a//b", "a/", "./a", "a/..", "..\\x",
            "a\0b", "a\nb", "a\x7fb", "\ud800", "x" * 256, "/".join("d" * 17), "a/" * 600 + "b",
        ],
    )  # fmt: skip
    def test_paths_that_lead_elsewhere_or_nowhere_are_refused(self, agent: Running, path: str) -> None:
        marker = new_marker()
        with pytest.raises(Rejected):
            agent.client.put_file(marker=marker, user=agent.user, path=path, offset=0, data=b"x")
        with pytest.raises(Rejected):
            agent.client.read_file(marker=marker, user=agent.user, path=path, offset=0, limit=10)
        assert not (agent.home / marker).exists()

    def test_no_link_leads_out(self, agent: Running, tmp_path: Path) -> None:
        """A job may plant what it likes in its directory: links to files and directories, hard links, pipes."""
        marker, client = new_marker(), agent.client
        secret = tmp_path / "secret"
        secret.write_text("of somebody else")
        tmp_path.chmod(0o777)
        home = agent.home / marker
        client.prepare(user=agent.user, marker=marker)
        (home / "file").symlink_to(secret)
        (home / "folder").symlink_to(tmp_path)
        (home / "relative").symlink_to("../../..")
        (home / "self").symlink_to("self")
        (home / "magic").symlink_to("/proc/self/root/etc/passwd")
        (home / "inside").symlink_to("plain")
        (home / "plain").write_text("mine")
        os.link(secret, home / "hard")
        os.mkfifo(home / "pipe")
        for path in ("file", "folder/secret", "relative/secret", "self", "magic", "inside", "hard", "pipe"):
            with pytest.raises(Rejected):
                client.read_file(marker=marker, user=agent.user, path=path, offset=0, limit=10)
        for path in ("file", "folder/new", "inside", "hard", "pipe", "folder/a/b"):
            with pytest.raises((Rejected, Unavailable)):
                client.put_file(marker=marker, user=agent.user, path=path, offset=0, data=b"changed")
        assert secret.read_text() == "of somebody else"
        assert sorted(one.name for one in tmp_path.iterdir()) == ["secret"]
        assert [one.path for one in client.files(marker=marker, user=agent.user)] == ["plain"]

    def test_a_job_directory_that_is_a_link_is_refused(self, agent: Running, tmp_path: Path) -> None:
        marker = new_marker()
        tmp_path.chmod(0o777)
        (agent.home / marker).symlink_to(tmp_path)
        with pytest.raises(Rejected):
            agent.client.put_file(marker=marker, user=agent.user, path="x", offset=0, data=b"x")
        with pytest.raises(Rejected):
            agent.client.files(marker=marker, user=agent.user)
        assert list(tmp_path.iterdir()) == []

    def test_a_race_between_name_and_link_wins_nothing(self, agent: Running, tmp_path: Path) -> None:
        marker = new_marker()
        tmp_path.chmod(0o755)
        (tmp_path / "x").write_text("secret")
        home = Path(agent.client.prepare(user=agent.user, marker=marker))
        (home / "real").mkdir()
        (home / "real" / "x").write_text("mine")
        swapping = subprocess.Popen(
            [
                "/bin/sh",
                "-c",
                f"cd {home}; while :; do ln -sfn {tmp_path} d; rm -f d; mv real d 2>/dev/null; mv d real; done",
            ],
            stderr=subprocess.DEVNULL,
        )
        try:
            for _attempt in range(20):
                with contextlib.suppress(Rejected, Unavailable):
                    got = agent.client.read_file(marker=marker, user=agent.user, path="d/x", offset=0, limit=10)
                    assert got.data == b"mine"
        finally:
            swapping.kill()
            swapping.wait()

    def test_another_users_files_are_out_of_reach(self, agent: Running) -> None:
        other, marker = agent.info.users[1], new_marker()
        agent.client.put_file(marker=marker, user=other, path="x", offset=0, data=b"theirs")
        path = agent.info.job_root / other / marker / "x"
        assert path.owner() == other
        (agent.home / marker).mkdir(exist_ok=True)
        with pytest.raises(Rejected):
            agent.client.read_file(marker=marker, user=agent.user, path="x", offset=0, limit=9)

    @pytest.mark.parametrize("user", ["root", "daemon", "nobody", "stranger", "ghost-of-nobody", "Root", "../root", ""])
    def test_nobody_but_enrolled_ordinary_users(self, agent: Running, user: str) -> None:
        with pytest.raises(Rejected):
            agent.client.put_file(marker=new_marker(), user=user, path="x", offset=0, data=b"x")

    @pytest.mark.parametrize("marker", ["", "..", "a/b", "UPPER1", "short", "x" * 41, "abcdef\n", "abc.def"])
    def test_markers_are_markers(self, agent: Running, marker: str) -> None:
        with pytest.raises(Rejected):
            agent.client.prepare(user=agent.user, marker=marker)


class TestLog:
    def test_a_log_is_followed_while_the_job_writes_it(self, agent: Running, slurm: Bench) -> None:
        ref = slurm.run("#!/bin/sh\nfor n in 1 2 3; do echo line $n; sleep 0.3; done\n")
        text, offset = b"", 0
        end = time.monotonic() + 40
        while text.count(b"\n") < 3 and time.monotonic() < end:
            chunk = agent.client.log(marker=ref.marker, user=slurm.user, offset=offset, limit=7)
            text, offset = text + chunk.data, chunk.next_offset
        assert text == b"line 1\nline 2\nline 3\n"
        slurm.wait(ref, ClusterState.SUCCEEDED)

    def test_a_log_that_is_not_there_yet_is_empty_and_one_that_is_a_link_refused(self, agent: Running) -> None:
        marker = new_marker()
        assert agent.client.log(marker=marker, user=agent.user, offset=0, limit=100).data == b""
        (agent.home / f"{marker}.log").symlink_to("/etc/passwd")
        with pytest.raises(Rejected):
            agent.client.log(marker=marker, user=agent.user, offset=0, limit=100)
        assert agent.log()[-1]["outcome"] == "declined"


class TestEstimate:
    def test_a_dry_run_says_when_and_places_nothing(self, agent: Running, slurm: Bench) -> None:
        before = agent.info.command("squeue", "-h", "-o", "%i")
        at = agent.client.estimate(slurm.spec("#!/bin/sh\n"))
        assert isinstance(at, datetime)
        assert timedelta(minutes=-1) < at - datetime.now(UTC) < timedelta(hours=2)
        cards = agent.client.estimate(slurm.spec("", partition="gpu", cards=2, card_type="h20"))
        assert isinstance(cards, datetime)
        assert set(agent.info.command("squeue", "-h", "-o", "%i").split()) <= set(before.split())

    @pytest.mark.parametrize(
        ("changes", "code"),
        [
            ({"cards": 5, "card_type": "h20", "partition": "gpu"}, "resources"),
            ({"cpus": 999}, "resources"),
            ({"partition": "nowhere"}, "partition"),
            ({"account": "nobody"}, "account"),
            ({"time_limit_s": 86_400 * 30}, "time_limit"),
        ],
    )
    def test_what_the_cluster_would_refuse_is_refused(
        self, agent: Running, slurm: Bench, changes: dict[str, Any], code: str
    ) -> None:
        answer = agent.client.estimate(slurm.spec("", **changes))
        assert isinstance(answer, RejectedBy)
        assert "allocation failure" in answer.detail
        assert answer.code == code, answer

    @pytest.mark.parametrize(
        "changes", [{"partition": "gpu --wrap=id"}, {"account": "a;id"}, {"card_type": "$(id)"}, {"partition": "-x"}]
    )
    def test_words_that_are_no_names_never_reach_a_command(
        self, agent: Running, slurm: Bench, changes: dict[str, Any]
    ) -> None:
        with pytest.raises(Rejected):
            agent.client.estimate(slurm.spec("", **{"cards": 1, **changes}))


class TestQos:
    def test_a_bound_rest_cannot_write_is_written_and_read_back(self, agent: Running) -> None:
        name = f"gx-{new_marker()[:8]}"
        agent.info.command("sacctmgr", "-iQ", "add", "qos", name)
        assert agent.client.bound_qos(name, {"gres/gpu": 120, "cpu": 5000}) == {"gres/gpu": 120, "cpu": 5000}
        assert agent.client.bound_qos(name, {"gres/gpu": 120}) == {"gres/gpu": 120, "cpu": 5000}
        assert agent.client.bound_qos(name, {"cpu": -1}) == {"gres/gpu": 120}
        assert "NoDecay" in agent.info.command("sacctmgr", "-nP", "show", "qos", name, "format=flags")

    @pytest.mark.parametrize(
        ("qos", "minutes"),
        [
            ("normal", {"cpu": 1}),
            ("gx-none", {"cpu": 1}),
            ("gx-none where name=normal", {"cpu": 1}),
            ("gx-none", {"cpu": "1 Priority=9"}),
            ("gx-none", {"license/x": 1}),
            ("gx-none", {}),
        ],
    )
    def test_a_qos_that_is_not_ours_is_left_alone(self, agent: Running, qos: str, minutes: dict[str, Any]) -> None:
        with pytest.raises(Rejected):
            agent.client.bound_qos(qos, minutes)
        assert agent.info.command("sacctmgr", "-nP", "show", "qos", "normal", "format=grptresmins").strip() == ""


class TestTheAdapter:
    def cluster(self, agent: Running, **more: Any) -> SlurmCluster:
        beside = {"url": f"https://127.0.0.1:{agent.port}", "dir": str(agent.folder / "portal")}
        return SlurmCluster({**slurm_config(agent.info), "agent": beside, **more})

    def test_a_job_finds_its_files_and_its_results_come_back(self, agent: Running, slurm: Bench) -> None:
        cluster, marker = self.cluster(agent), new_marker()
        assert {Feature.FILES, Feature.ESTIMATE} <= cluster.capabilities().features
        cluster.put_file(marker=marker, user=slurm.user, path="in/数.txt", offset=0, data="三\n".encode())
        script = "#!/bin/sh\nmkdir out\ncat in/*.txt in/*.txt > out/result\npwd\nprintf 完成\n"
        answer = cluster.submit(slurm.spec(script), marker=marker)
        assert isinstance(answer, Accepted), answer
        slurm.refs.append(answer.ref)
        cluster.release(answer.ref, user=slurm.user)
        slurm.wait(answer.ref, ClusterState.SUCCEEDED)
        assert [entry.path for entry in cluster.files(answer.ref)] == ["in/数.txt", "out/result"]
        result = cluster.read_file(answer.ref, path="out/result", offset=0, limit=100)
        assert (result.data.decode(), result.eof) == ("三\n三\n", True)
        unmounted = self.cluster(agent, job_root="/nowhere")
        whole = unmounted.log(answer.ref, offset=0, limit=1000).data.decode()
        assert whole == f"{agent.home}/{marker}\n完成"
        first = unmounted.log(answer.ref, offset=0, limit=len(whole.encode()) - 1)
        assert first.data.decode().endswith("完")
        assert unmounted.log(answer.ref, offset=first.next_offset, limit=9).data.decode() == "成"
        with pytest.raises(Rejected):
            cluster.read_file(answer.ref, path="../../etc/passwd", offset=0, limit=9)

    def test_the_log_of_an_array_is_that_of_its_tasks_in_their_order(self, agent: Running, slurm: Bench) -> None:
        unmounted = self.cluster(agent, job_root="/nowhere")
        ref = slurm.run(
            "#!/bin/sh\n[ $SLURM_ARRAY_TASK_ID = 0 ] && sleep 2\necho task $SLURM_ARRAY_TASK_ID\n", array="0-2"
        )
        slurm.wait(ref, ClusterState.SUCCEEDED)
        read, offset, end = "", 0, time.monotonic() + 30
        while "task 2\n" not in read:
            assert time.monotonic() < end, read
            chunk = unmounted.log(ref, offset=offset, limit=9)
            read, offset = read + chunk.data.decode(), chunk.next_offset
        assert read == "task 0\ntask 1\ntask 2\n"
        one = replace(ref, data={**ref.data, "task": 1})
        assert unmounted.log(one, offset=0, limit=100).data == b"task 1\n"

    def test_one_task_of_an_array_is_cancelled_running_or_waiting(self, agent: Running, slurm: Bench) -> None:
        cluster = self.cluster(agent)
        assert Feature.TASKS in cluster.capabilities().features
        ref = slurm.run("#!/bin/sh\nsleep $((3 + 57 * ($SLURM_ARRAY_TASK_ID % 2)))\n", array="0-3%2")
        until(lambda: 1 in {run.task for run in slurm.observe(ref).runs if not run.ended_at}, "task 1 to run", 60)
        assert cluster.cancel_task(ref, user=slurm.user, task=3)
        assert cluster.cancel_task(ref, user=slurm.user, task=1)
        ended = slurm.confirm(ref)
        states = {run.task: run.state.value for run in ended.runs}
        assert ended.state is ClusterState.CANCELLED
        assert states.pop(3, "cancelled") == "cancelled"
        assert states == {0: "succeeded", 1: "cancelled", 2: "succeeded"}
        assert cluster.cancel_task(ref, user=slurm.user, task=1), "one that has ended is success"

    def test_nobody_stops_a_task_of_somebody_elses_job(self, agent: Running, slurm: Bench) -> None:
        ref = slurm.run("#!/bin/sh\nsleep 30\n", array="0-1")
        slurm.wait(ref, ClusterState.RUNNING)
        with pytest.raises(Unavailable):
            agent.client.cancel_task(user=agent.info.users[1], job_id=int(ref.job_id), task=0)
        assert slurm.observe(ref).state is ClusterState.RUNNING
        slurm.cluster.cancel(ref, user=slurm.user)

    def test_without_an_answer_from_the_agent_nothing_is_submitted(self, agent: Running, slurm: Bench) -> None:
        away = SlurmCluster(
            {
                **slurm_config(agent.info),
                "agent": {"url": "https://127.0.0.1:9", "dir": str(agent.folder / "portal")},
            }
        )
        marker = new_marker()
        assert isinstance(away.submit(slurm.spec("#!/bin/sh\n"), marker=marker), NotSent)
        assert marker not in agent.info.command("squeue", "-h", "-o", "%j")

    def test_a_check_asks_the_scheduler_itself(self, agent: Running, slurm: Bench) -> None:
        spec = slurm.spec("#!/bin/sh\n")
        assert list(self.cluster(agent).check(spec)) == []
        (ground,) = self.cluster(agent, qos="gx-unheard-of").check(spec)
        assert (ground.code, "qos" in ground.detail.lower()) == ("qos", True)

    def test_a_user_the_agent_does_not_serve_is_refused(self, agent: Running, slurm: Bench) -> None:
        answer = self.cluster(agent).submit(slurm.spec("#!/bin/sh\n", user=agent.info.reader), marker=new_marker())
        assert isinstance(answer, RejectedBy)
        assert answer.code == "access"


class TestWhoMayAsk:
    PATH, BODY = "/1/ping", b"{}"

    def headers(self, agent: Running, *, path: str = PATH, body: bytes = BODY) -> dict[str, str]:
        return signing.headers_for(agent.client.key, "POST", path, body)

    def test_a_signed_request_is_answered_once(self, agent: Running) -> None:
        headers = self.headers(agent)
        status, answer = agent.send(self.PATH, self.BODY, headers)
        assert (status, answer["release"]) == (200, release(agent))
        assert agent.send(self.PATH, self.BODY, headers) == (401, {"error": "replayed", "detail": ""})

    def test_what_was_not_signed_as_it_is_is_forged(self, agent: Running) -> None:
        headers = self.headers(agent)
        assert agent.send(self.PATH, b"{ }", headers)[1]["error"] == "forged"
        assert agent.send("/1/config", self.BODY, headers)[1]["error"] == "forged"
        later = {**headers, signing.TIME: str(int(headers[signing.TIME]) + 1)}
        assert agent.send(self.PATH, self.BODY, later)[1]["error"] == "forged"
        other = {**headers, signing.NONCE: "0" * 32}
        assert agent.send(self.PATH, self.BODY, other)[1]["error"] == "forged"
        stranger = signing.headers_for(Ed25519PrivateKey.generate(), "POST", self.PATH, self.BODY)
        assert agent.send(self.PATH, self.BODY, stranger)[1]["error"] == "forged"
        assert agent.send(self.PATH, self.BODY, headers)[0] == 200

    def test_an_unsigned_one_is_not_looked_at(self, agent: Running) -> None:
        assert agent.send(self.PATH, self.BODY, {})[1] == {"error": "unsigned", "detail": ""}
        for name, value in ((signing.NONCE, "../../x"), (signing.TIME, "now"), (signing.SIGNATURE, "")):
            assert agent.send(self.PATH, self.BODY, {**self.headers(agent), name: value})[1]["error"] == "unsigned"

    @pytest.mark.parametrize("off_s", [-61, 61, -86_400])
    def test_a_request_outside_the_minute_is_expired(
        self, agent: Running, off_s: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        now = time.time()
        monkeypatch.setattr(
            "integrations.slurm.agent.signing.time.time", lambda: now + off_s + (1 if off_s > 0 else -1)
        )
        headers = self.headers(agent)
        assert agent.send(self.PATH, self.BODY, headers)[1]["error"] == "clock"

    def test_an_unknown_operation_does_not_exist(self, agent: Running) -> None:
        for path in ("/1/shell", "/1/", "/1/ping/", "/2/ping", "/ping", "/1/__class__", "/1/../1/ping"):
            assert agent.send(path, self.BODY, self.headers(agent, path=path))[0] == 404, path
        with pytest.raises(Rejected, match="operation"):
            agent.client.call("sbatch", argv=["id"])

    @pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"extra": 1}', b"[" * 9000, b"\xff"])
    def test_a_body_that_is_not_the_operations_is_declined(self, agent: Running, body: bytes) -> None:
        assert agent.send(self.PATH, body, self.headers(agent, body=body))[0] == 422

    def test_nothing_but_a_post_of_decent_size(self, agent: Running) -> None:
        assert agent.send(self.PATH, b"", self.headers(agent), method="GET")[0] == 501
        assert agent.send(self.PATH, b"{}", {**self.headers(agent), "Content-Length": "99999999"})[0] == 413

    def test_without_a_certificate_of_the_authority_there_is_no_connection(
        self, agent: Running, tmp_path: Path
    ) -> None:
        bare = ssl.create_default_context(cafile=str(agent.folder / "portal" / "authority.pem"))
        papers.make(tmp_path, host="127.0.0.1", client="portal")
        foreign = ssl.create_default_context(cafile=str(agent.folder / "portal" / "authority.pem"))
        foreign.load_cert_chain(tmp_path / "portal" / "certificate.pem", tmp_path / "portal" / "key.pem")
        for context in (bare, foreign):
            with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
                agent.send(self.PATH, self.BODY, self.headers(agent), context=context)

    def test_the_agents_own_certificate_is_no_clients(self, agent: Running) -> None:
        context = ssl.create_default_context(cafile=str(agent.folder / "portal" / "authority.pem"))
        context.load_cert_chain(agent.folder / "agent" / "certificate.pem", agent.folder / "agent" / "key.pem")
        with pytest.raises((ssl.SSLError, ConnectionError, http.client.HTTPException)):
            agent.send(self.PATH, self.BODY, self.headers(agent), context=context)

    def test_a_stranger_who_calls_itself_the_agent_is_not_believed(self, agent: Running, tmp_path: Path) -> None:
        papers.make(tmp_path, host="127.0.0.1", client="portal")
        shutil.copy(agent.folder / "portal" / "requests.key", tmp_path / "portal" / "requests.key")
        with pytest.raises(Unavailable) as raised:
            AgentClient(f"https://127.0.0.1:{agent.port}", tmp_path / "portal").call("ping")
        assert "certificate verify failed" in raised.value.params["detail"]

    def test_a_silent_stranger_holds_up_nobody(self, agent: Running) -> None:
        import socket

        with contextlib.ExitStack() as stack:
            for _number in range(8):
                link = stack.enter_context(socket.create_connection(("127.0.0.1", agent.port)))
                link.sendall(b"\x16\x03\x01")
            assert agent.client.call("ping")["release"] == release(agent)

    def test_everything_asked_is_in_an_unbroken_log(self, agent: Running) -> None:
        marker = new_marker()
        agent.client.put_file(marker=marker, user=agent.user, path="x", offset=0, data=b"content")
        line = next(line for line in reversed(agent.log()) if line.get("marker") == marker)
        assert (line["client"], line["operation"], line["outcome"]) == ("portal", "put", "done")
        assert "content" not in json.dumps(line)
        assert Journal(agent.folder / "agent" / "agent.log").verify() == len(agent.log())


def test_an_agent_that_is_away_is_unavailable(agent: Running) -> None:
    away = agent_from({"agent": {"url": "https://127.0.0.1:9", "dir": str(agent.folder / "portal")}})
    assert away is not None
    with pytest.raises(Unavailable) as raised:
        away.call("ping")
    assert "ConnectionRefusedError" in raised.value.params["detail"]
    assert agent_from({}) is None
    with pytest.raises(ValueError, match="https"):
        agent_from({"agent": {"url": "http://127.0.0.1:9", "dir": str(agent.folder / "portal")}})


def test_the_doctor_sees_through_the_agent(agent: Running) -> None:
    client = agent.client
    assert "AccountingStorageEnforce" in client.config()
    assert "SlurmDBD configuration:" in client.accounting()
    assert client.qos().startswith("normal|")
    seen = client.host(job_root="", users=list(agent.info.users), jwks="")
    assert seen["job_root"]["users"][agent.user]["owner"] == agent.user
    assert [key["kid"] for key in seen["jwks"]] == [real.KEY_ID]
    assert any(one["user"] == "nobody" for one in seen["rest"])
