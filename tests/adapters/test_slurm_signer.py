"""The isolated signer: who gets a token, who does not, and how its key is changed."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import jwt
import pytest

from integrations.slurm import signer as signing
from integrations.slurm.doctor.rest import Fixed
from integrations.slurm.signer_keys import Faulty, Journal, Keys
from integrations.slurm.tokens import NoToken, SignerSocket, source_from
from integrations.slurm.wire import Kind, Wire
from tests.adapters.bench import ROOT
from tests.slurm import cluster as real

OWN = "nobody"
"""The user the signer under test runs as: any ordinary one that is not the tests'."""

pytestmark = pytest.mark.skipif(os.getuid() != 0, reason="a signer with a user of its own needs root to start")


@dataclass
class Running:
    folder: Path
    socket: Path
    processes: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "integrations.slurm.signer", "serve", f"--dir={self.folder}",
             f"--socket={self.socket}", *argv],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def up(self, *clients: str) -> None:
        process = self.start(f"--user={OWN}", *(f"--client={name}" for name in clients))
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("signer:"), process.communicate()[1]

    def enrol(self, *lines: str) -> None:
        (self.folder / "enrolled").write_text("\n".join(("# users of the portal", *lines, "")))

    def keys(self) -> Keys:
        return Keys(self.folder)

    def own(self) -> None:
        """Give the directory to the signer's user."""
        for path in [self.folder, *self.folder.rglob("*")]:
            shutil.chown(path, OWN)

    def log(self) -> list[dict[str, object]]:
        return [json.loads(line) for line in (self.folder / "signer.log").read_text().splitlines()]

    def act(self, name: str) -> str:
        said: str = getattr(self.keys(), name)()
        self.own()
        return said


@pytest.fixture
def signer() -> Iterator[Running]:
    base = Path(tempfile.mkdtemp(prefix="gx-signer-"))
    base.chmod(0o755)
    sockets = base / "run"
    sockets.mkdir()
    shutil.chown(sockets, OWN)
    running = Running(base / "dir", sockets / "socket")
    running.keys().init()
    running.enrol("optics:20001", "pharma:20002")
    running.own()
    yield running
    for process in running.processes:
        process.terminate()
        process.communicate(timeout=10)
    shutil.rmtree(base)


def published(running: Running) -> dict[str, jwt.PyJWK]:
    return {str(key.key_id): key for key in jwt.PyJWKSet.from_json(running.keys().jwks.read_text()).keys}


def kid_of(token: str) -> str:
    return str(jwt.get_unverified_header(token)["kid"])


class TestMinting:
    def test_an_enrolled_user_gets_a_short_token_signed_with_a_published_key(self, signer: Running) -> None:
        signer.up("root")
        token = source_from({"signer_socket": str(signer.socket)}).token("optics")
        claims = jwt.decode(token, published(signer)[kid_of(token)], algorithms=["RS256"])
        assert claims["sun"] == "optics"
        assert claims["exp"] - claims["iat"] == 120
        minted = signer.log()[-1]
        assert (minted["act"], minted["user"], minted["jti"]) == ("minted", "optics", claims["jti"])
        assert (minted["uid"], minted["pid"]) == (0, os.getpid())

    @pytest.mark.parametrize(
        ("user", "ttl", "code"),
        [
            ("root", 60, "user"),
            ("slurm", 60, "user"),
            ("Optics", 60, "user"),
            ("op;tics", 60, "user"),
            ("optics\n", 60, "user"),
            ("", 60, "user"),
            ("stranger", 60, "not_enrolled"),
            ("daemon", 60, "user"),
            ("www-data", 60, "user"),
            ("ghost", 60, "unknown"),
            ("low", 60, "system"),
            ("garbled", 60, "system"),
            ("optics", 121, "ttl"),
            ("optics", 0, "ttl"),
            ("optics", -5, "ttl"),
            ("optics", True, "ttl"),
            ("optics", 60.5, "ttl"),
            ("optics", "60", "ttl"),
        ],
    )
    def test_nobody_else_does_and_every_refusal_is_kept(
        self, signer: Running, user: str, ttl: object, code: str
    ) -> None:
        signer.enrol("optics:20001", "root", "slurm", "www-data", "ghost", "low:999", "garbled:12x", "daemon:20009")
        one = signing.Signer(signer.folder, clients=frozenset({0}))
        answer = one.answer(json.dumps({"user": user, "ttl": ttl}).encode(), signing.Peer(1, 0))
        assert answer["error"] == code, answer
        assert "token" not in answer
        assert signer.log()[-1]["code"] == code

    @pytest.mark.parametrize(
        "line", [b"", b"\n", b"[]", b"{", b'{"user": 7}', b'{"user": "optics", "ttl": 60, "sun": "root"}', b"\xff\xfe"]
    )
    def test_what_is_no_request_gets_nothing(self, signer: Running, line: bytes) -> None:
        one = signing.Signer(signer.folder, clients=frozenset({0}))
        assert one.answer(line, signing.Peer(1, 0))["error"] == "request"

    def test_a_name_that_is_a_system_account_here_is_refused_whatever_the_list_says(self, signer: Running) -> None:
        low = next(
            one for one in pwd.getpwall() if 0 < one.pw_uid < 1000 and one.pw_name.islower() and len(one.pw_name) > 2
        )
        signer.enrol(f"{low.pw_name}:20005")
        one = signing.Signer(signer.folder, clients=frozenset({0}))
        answer = one.answer(json.dumps({"user": low.pw_name, "ttl": 60}).encode(), signing.Peer(1, 0))
        assert answer["error"] in {"user", "system"}

    def test_enrolling_and_striking_off_need_no_restart(self, signer: Running) -> None:
        signer.up("root")
        assert signing.ask(signer.socket, "newcomer", 60)["error"] == "not_enrolled"
        signer.enrol("newcomer:20003")
        assert "token" in signing.ask(signer.socket, "newcomer", 60)
        signer.enrol()
        assert signing.ask(signer.socket, "newcomer", 60)["error"] == "not_enrolled"

    def test_only_named_clients_may_ask(self, signer: Running) -> None:
        signer.up("daemon")
        assert signing.ask(signer.socket, "optics", 60)["error"] == "client"
        with pytest.raises(NoToken, match="client"):
            source_from({"signer_socket": str(signer.socket)}).token("optics", fresh=True)
        program = (
            f"import socket; s=socket.socket(socket.AF_UNIX); s.connect({str(signer.socket)!r});"
            'import json; s.sendall(json.dumps({"user": "optics", "ttl": 5}).encode() + b"\\n"); print(s.recv(9999).decode())'
        )
        drop = ["setpriv", "--reuid=daemon", "--regid=daemon", "--clear-groups"]
        asked = subprocess.run([*drop, "/usr/bin/python3", "-c", program], capture_output=True, text=True, check=True)
        assert "token" in json.loads(asked.stdout)
        assert signer.log()[-1]["uid"] == pwd.getpwnam("daemon").pw_uid

    def test_without_a_log_there_is_no_token(self, signer: Running) -> None:
        one = signing.Signer(signer.folder, clients=frozenset({0}))
        (signer.folder / "signer.log").unlink(missing_ok=True)
        (signer.folder / "signer.log").mkdir()
        answer = one.answer(b'{"user": "optics", "ttl": 60}', signing.Peer(1, 0))
        assert answer["error"] == "log"

    def test_a_signer_that_is_gone_is_no_token(self, signer: Running) -> None:
        with pytest.raises(NoToken, match="signer"):
            source_from({"signer_socket": str(signer.socket.with_name("nothing"))}).token("optics")


class TestRotation:
    def test_old_and_new_are_published_until_the_old_is_retired_and_nothing_restarts(self, signer: Running) -> None:
        signer.up("root")
        first = kid_of(signing.ask(signer.socket, "optics")["token"])
        signer.act("rotate")
        assert len(published(signer)) == 2
        assert kid_of(signing.ask(signer.socket, "optics")["token"]) == first
        with pytest.raises(Faulty, match="still signs"):
            signer.act("retire")
        with pytest.raises(Faulty, match="under way"):
            signer.act("rotate")
        signer.act("activate")
        second = signing.ask(signer.socket, "optics")["token"]
        assert kid_of(second) != first
        assert set(published(signer)) == {first, kid_of(second)}
        signer.act("retire")
        assert set(published(signer)) == {kid_of(second)}
        with pytest.raises(Faulty, match="no next key"):
            signer.act("activate")

    def test_what_is_published_holds_no_private_part(self, signer: Running) -> None:
        signer.act("rotate")
        keys = json.loads(signer.keys().jwks.read_text())["keys"]
        assert all(set(key) == {"alg", "kty", "use", "kid", "n", "e"} and key["alg"] == "RS256" for key in keys)
        assert signer.keys().jwks.stat().st_mode & 0o777 == 0o644
        assert {path.stat().st_mode & 0o777 for path in (signer.folder / "keys").iterdir()} == {0o600}

    def test_a_second_init_touches_nothing(self, signer: Running) -> None:
        before = signer.keys().status()
        with pytest.raises(Faulty, match="already"):
            signer.keys().init()
        assert signer.keys().status() == before


class TestJournal:
    def test_a_changed_a_removed_and_a_cut_line_are_found(self, tmp_path: Path) -> None:
        journal = Journal(tmp_path / "log")
        for number in range(5):
            journal.write(act="minted", user=f"user{number}")
        assert journal.verify() == 5
        lines = journal.path.read_bytes().splitlines(keepends=True)
        journal.path.write_bytes(b"".join([lines[0], lines[1].replace(b"user1", b"user9"), *lines[2:]]))
        with pytest.raises(Faulty, match="line 3"):
            journal.verify()
        journal.path.write_bytes(b"".join([*lines[:2], *lines[3:]]))
        with pytest.raises(Faulty, match="line 3"):
            journal.verify()
        journal.path.write_bytes(b"".join(lines)[:-10])
        with pytest.raises(Faulty, match="line 5"):
            journal.verify()


class TestStarting:
    def fails(self, signer: Running, *argv: str) -> str:
        process = signer.start(*argv)
        _out, words = process.communicate(timeout=30)
        assert process.returncode == 1
        return words

    def test_not_as_root_not_as_a_client_not_with_open_keys(self, signer: Running) -> None:
        assert "not as root" in self.fails(signer, "--client=root")
        assert "must not be a client's" in self.fails(signer, f"--user={OWN}", f"--client={OWN}")
        (signer.folder / "keys").chmod(0o755)
        assert "closed to others" in self.fails(signer, f"--user={OWN}", "--client=root")

    def test_a_second_signer_on_the_same_directory_ends(self, signer: Running) -> None:
        signer.up("root")
        assert "another signer" in self.fails(signer, f"--user={OWN}", "--client=root")

    def test_it_does_not_remove_what_is_no_socket(self, signer: Running) -> None:
        signer.socket.write_text("precious")
        assert "no socket" in self.fails(signer, f"--user={OWN}", "--client=root")
        assert signer.socket.read_text() == "precious"


def test_the_commands_words(signer: Running, capsys: pytest.CaptureFixture[str]) -> None:
    signer.up("root")
    assert signing.main(["token", "optics", f"--socket={signer.socket}"]) == 0
    assert capsys.readouterr().out.count(".") == 2
    assert signing.main(["token", "root", f"--socket={signer.socket}"]) == 1
    assert "user: not a user to act for" in capsys.readouterr().err
    assert signing.main(["verify", f"--dir={signer.folder}"]) == 0
    assert signing.main(["status", f"--dir={signer.folder}"]) == 0
    command = [sys.executable, "-m", "integrations.slurm.signer", "token", f"--socket={signer.socket}"]
    assert (
        time.time()
        < jwt.decode(source_from({"token_command": command}).token("pharma"), options={"verify_signature": False})[
            "exp"
        ]
    )


@pytest.mark.slurm
def test_a_real_cluster_follows_a_rotation_and_refuses_what_has_ended(signer: Running, real_slurm: real.Info) -> None:
    """Slurm reads jwks.json when slurmctld and slurmdbd start; `scontrol reconfigure` does not [seen, 22.05.8]."""
    published_there = Path(real_slurm.dir) / "keys" / "jwks.json"
    before = published_there.read_text()
    signer.enrol(f"{real_slurm.reader}")
    signer.up("root")
    source = source_from({"signer_socket": str(signer.socket)})
    assert isinstance(source, SignerSocket)

    def publish() -> None:
        keys = json.loads(before)["keys"] + json.loads(signer.keys().jwks.read_text())["keys"]
        published_there.write_text(json.dumps({"keys": keys}))
        for daemon in ("slurmctld", "slurmdbd"):
            with real_slurm.without(daemon):
                pass
        real.wait_until(lambda: "UP" in real_slurm.command("scontrol", "ping"), seconds=20, what="slurmctld")

    def is_taken(token: str) -> bool:
        wire = Wire(real_slurm.url, Fixed(token))
        answers = [
            wire.glance(path, user=real_slurm.reader) for path in ("/slurm/v0.0.38/partitions", "/slurmdb/v0.0.38/tres")
        ]
        assert len({answer.kind is Kind.FINE for answer in answers}) == 1, answers
        return answers[0].kind is Kind.FINE

    with real.locked(Path(real_slurm.dir) / "whole.lock"):
        try:
            assert not is_taken(source.token(real_slurm.reader))
            publish()
            old = source.token(real_slurm.reader, fresh=True)
            assert is_taken(old)
            ended = source.shortest(real_slurm.reader)
            signer.act("rotate")
            publish()
            assert is_taken(source.token(real_slurm.reader, fresh=True))
            signer.act("activate")
            new = source.token(real_slurm.reader, fresh=True)
            assert kid_of(new) != kid_of(old)
            assert is_taken(new)
            assert is_taken(old)
            assert not is_taken(ended)
            signer.act("retire")
            publish()
            assert is_taken(new)
            assert not is_taken(old)
        finally:
            published_there.write_text(before)
