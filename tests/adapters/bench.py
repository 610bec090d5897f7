"""What the contract suite needs to drive any cluster: a spec it accepts, its limits, and patience."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from scheduler.jobs.ports import FINAL, Accepted, Cluster, ClusterState, Feature, Observation, Ref, Spec

ROOT = Path(__file__).resolve().parents[2]

OVER_LIMIT = "#!/bin/sh\ntrap 'echo warned; exit 0' TERM\nsleep 600 & wait\n"


@dataclass
class Bench:
    """One cluster under test."""

    kind: str
    cluster: Cluster
    base: Spec
    cards_partition: str
    cards_most: int
    card_type: str
    limit_s: int
    """The shortest wall limit it takes."""
    overrun_s: int
    """How far over it a job may get before it has ended: what a hold must leave room for."""
    patience_s: float
    interrupt: Callable[[Ref], None]
    """End a running job so that it begins again, where its spec allows that."""
    over_limit: Ref | None = None
    """A job started long ago that is to end by its wall limit, where the limit is too long to wait for it alone."""
    refs: list[Ref] = field(default_factory=list)

    @property
    def user(self) -> str:
        return self.base.user

    def spec(self, script: str, **changes: Any) -> Spec:
        values = {name: getattr(self.base, name) for name in Spec.__slots__}
        return Spec(**{**values, "script": script, **changes})

    def submit(self, script: str, *, marker: str = "", **changes: Any) -> Ref:
        answer = self.cluster.submit(self.spec(script, **changes), marker=marker or new_marker())
        assert isinstance(answer, Accepted), answer
        self.refs.append(answer.ref)
        return answer.ref

    def run(self, script: str, **changes: Any) -> Ref:
        ref = self.submit(script, **changes)
        self.cluster.release(ref, user=self.user)
        return ref

    def observe(self, ref: Ref) -> Observation:
        (observation,) = self.cluster.observe([ref])
        return observation

    def wait(self, ref: Ref, *states: ClusterState, seconds: float | None = None) -> Observation:
        """Watch until one of `states`; a final state that is not among them fails at once."""
        wanted = frozenset(states) or FINAL
        end = time.monotonic() + (seconds or self.patience_s)
        while True:
            observation = self.observe(ref)
            if observation.state in wanted:
                return observation
            assert observation.state not in FINAL, f"ended as {observation}, log: {self.log(ref)!r}"
            assert time.monotonic() < end, f"still {observation}"
            time.sleep(0.1)

    def confirm(self, ref: Ref) -> Observation:
        """Watch until nothing about it will change any more."""
        end = time.monotonic() + self.patience_s
        while not (observation := self.observe(ref)).confirmed:
            assert time.monotonic() < end, f"still {observation}"
            time.sleep(0.2)
        return observation

    def has(self, feature: Feature) -> bool:
        return feature in self.cluster.capabilities().features

    def log(self, ref: Ref) -> str:
        data, offset = b"", 0
        while True:
            chunk = self.cluster.log(ref, offset=offset, limit=65_536)
            data, offset = data + chunk.data, chunk.next_offset
            if chunk.eof:
                return data.decode()

    def wait_log(self, ref: Ref, text: str) -> str:
        end = time.monotonic() + self.patience_s
        while text not in (log := self.log(ref)):
            assert time.monotonic() < end, f"{text!r} not in {log!r}, {self.observe(ref)}"
            time.sleep(0.05)
        return log


def new_marker() -> str:
    return f"zj{secrets.token_hex(13)}"


def past(seconds: float = 0) -> datetime:
    return datetime.fromtimestamp(time.time() - seconds, UTC)


def kill_keeper(folder: Path) -> Callable[[Ref], None]:
    """Return how to lose the host of a local job: end the process that keeps it."""

    def interrupt(ref: Ref) -> None:
        claim = json.loads((folder / "jobs" / ref.marker / "claim.json").read_text())
        os.kill(int(claim["who"].partition("-")[0]), signal.SIGKILL)

    return interrupt


def requeue(command: Callable[..., str]) -> Callable[[Ref], None]:
    """Return how to requeue a Slurm job, and to spare the two minutes Slurm then lets it wait."""

    def interrupt(ref: Ref) -> None:
        command("scontrol", "requeue", ref.job_id)
        until(lambda: "BeginTime" in command("squeue", "-h", "-j", ref.job_id, "-o", "%r"), "its new begin time")
        time.sleep(2)  # begun again at once, it meets what its first run left on the node
        command("scontrol", "update", f"JobId={ref.job_id}", "StartTime=now")

    return interrupt


@dataclass
class LocalRunner:
    """A real runner of a spool of its own."""

    folder: Path
    options: tuple[str, ...]
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        argv = [sys.executable, "-m", "integrations.local.runner", "--dir", str(self.folder), *self.options]
        self.process = subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until((self.folder / "heartbeat.json").exists, "the runner's heartbeat")

    def start_as(self, user: str) -> None:
        """Start with another user's rights: on the spool it is given, a copy of the code, the system's interpreter."""
        code = self.folder / "code"
        shutil.copytree(ROOT / "integrations" / "local", code / "integrations" / "local")
        (code / "integrations" / "__init__.py").touch()
        self.give_to(user)
        python = ["/usr/bin/python3", "-m", "integrations.local.runner", "--dir", str(self.folder), *self.options]
        argv = ["setpriv", f"--reuid={user}", "--regid=nogroup", "--clear-groups", "--", *python]
        self.process = subprocess.Popen(argv, cwd=code, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        until((self.folder / "heartbeat.json").exists, "the runner's heartbeat")

    def give_to(self, user: str) -> None:
        for path in (self.folder, *self.folder.rglob("*")):
            shutil.chown(path, user)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        code = self.process.wait(20)
        self.process = None
        return code


def until(test: Callable[[], object], what: str, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not test():
        assert time.monotonic() < end, f"no {what} after {seconds} s"
        time.sleep(0.05)


@contextlib.contextmanager
def local_runner(*options: str) -> Iterator[LocalRunner]:
    # Not below pytest's directory, which only its owner may enter: the jobs run as other users.
    folder = Path(tempfile.mkdtemp(prefix="gx-runner-"))
    folder.chmod(0o711)
    runner = LocalRunner(folder, ("--cpus", "4", "--cards", "4", "--kill-wait-s", "1", *options))
    runner.start()
    try:
        yield runner
    finally:
        if runner.process is None:
            runner.start()
        runner.stop()
        shutil.rmtree(folder)


def processes_with(word: str) -> list[int]:
    """Return live processes whose command line or environment holds `word`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            text = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
            state = (entry / "stat").read_text().rpartition(")")[2].split()[0]
            if word.encode() in text and state not in "ZX" and int(entry.name) != os.getpid():
                found.append(int(entry.name))
    return found
