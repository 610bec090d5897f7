"""Tokens that are short, late or not to be had, on a real Slurm with the isolated signer."""

from __future__ import annotations

import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import jwt
import pytest
from django.test import Client
from django.urls import reverse

from integrations.slurm import tokens
from integrations.slurm.wire import PERHAPS_TOKEN
from portal.kernel.errors import Unavailable
from scheduler.jobs import access, dispatching, rules
from scheduler.jobs.doubt_models import ClusterBreaker
from scheduler.jobs.models import Job
from scheduler.resources.models import Partition
from tests import make
from tests.adapters.bench import ROOT
from tests.adapters.faults import Proxy
from tests.jobs.scenarios import scenario
from tests.jobs.scenarios.submission import Clock, beat, held, partition_behind, state_of, submitted, told, withdraw
from tests.scenarios import is_full
from tests.slurm.cluster import KEY_ID, Info

OWN = "nobody"
"""The user the signer runs as: any that is not the tests'."""
TTL_S, AHEAD_S = 60, 45
PROGRAM = """
import sys, time
real, clock = time.time, sys.argv.pop(1)
time.time = lambda: real() + float(open(clock).read())
from integrations.slurm import signer
sys.exit(signer.main())
"""
"""The signer, by a clock that is as far from the real one as a file says."""
REFUSED = {1007, *PERHAPS_TOKEN}
SLOWER = 3.0
"""How many times as long a page may take without a signer as with one: what a loaded machine needs, not a deadline."""


@dataclass
class Signing:
    """A signer in a process and with a user of its own, which holds the cluster's key."""

    base: Path
    process: subprocess.Popen[str] | None = None

    @property
    def socket(self) -> Path:
        return self.base / "run" / "socket"

    @property
    def folder(self) -> Path:
        return self.base / "dir"

    def set_clock(self, seconds: float) -> None:
        (self.base / "clock").write_text(str(seconds))

    def start(self) -> None:
        argv = [f"--dir={self.folder}", f"--socket={self.socket}", f"--user={OWN}", "--client=root"]
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(self.base / "clock"), "serve", *argv],
            cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        assert self.process.stdout.readline().startswith("signer:"), self.process.communicate()[1]

    def stop(self) -> None:
        if self.process:
            self.process.terminate()
            self.process.communicate(timeout=10)
            self.process = None

    def minted(self, user: str) -> int:
        lines = map(json.loads, (self.folder / "signer.log").read_text().splitlines())
        return sum((line["act"], line["user"]) == ("minted", user) for line in lines)


@contextmanager
def signing(info: Info) -> Iterator[Signing]:
    """Set up a signer with the cluster's own key and enrol the cluster's users; it runs until the end of the block."""
    base = Path(tempfile.mkdtemp(prefix="gx-signer-"))
    one = Signing(base)
    try:
        base.chmod(0o755)
        (base / "run").mkdir()
        (one.folder / "keys").mkdir(parents=True)
        shutil.copy(info.private_key, one.folder / "keys" / f"{KEY_ID}.pem")
        (one.folder / "current").write_text(KEY_ID)
        (one.folder / "enrolled").write_text("\n".join((*info.users, info.reader, info.operator)))
        for path in (one.folder, one.folder / "keys"):
            path.chmod(0o700)
        for path in (base / "run", one.folder, *one.folder.rglob("*")):
            shutil.chown(path, OWN)
        one.set_clock(AHEAD_S)
        one.start()
        yield one
    finally:
        one.stop()
        shutil.rmtree(base)


@dataclass
class Door(Proxy):
    """The wire to slurmrestd: lets chosen requests arrive with a token that has ended, and counts who is turned away."""

    key: bytes = b""
    ended: set[str] = field(default_factory=set)
    """Tokens the cluster is to hold for ended: the real one gets one that has."""
    refused: int = 0

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, str]:
        if handler.headers["X-SLURM-USER-TOKEN"] in self.ended:
            now = int(time.time())
            claims = {"sun": handler.headers["X-SLURM-USER-NAME"], "iat": now - TTL_S, "exp": now - 1}
            token = jwt.encode(claims, self.key, algorithm="RS256", headers={"kid": KEY_ID})
            handler.headers.replace_header("X-SLURM-USER-TOKEN", token)
        status, content, content_type = super().forward(handler, body)
        if status == 401 or (b'"errors"' in content and self._numbers(content) & REFUSED):
            with self.lock:
                self.refused += 1
        return status, content, content_type

    def _numbers(self, content: bytes) -> set[int]:
        errors = json.loads(content).get("errors") or []
        return {
            int(number)
            for error in errors
            for name, number in error.items()
            if name in ("error_number", "error_code", "errno")
        }


@dataclass
class Pages:
    """Pages about jobs as an enterprise's person opens them, and how long each took, in seconds."""

    browser: Client
    paths: tuple[str, ...]
    took: dict[str, list[float]] = field(default_factory=dict)

    def look(self) -> None:
        for path in self.paths:
            began = time.perf_counter()
            assert self.browser.get(path).status_code == 200, path
            self.took.setdefault(path, []).append(time.perf_counter() - began)

    def typical(self, path: str) -> float:
        """Return the 95th percentile at full size; otherwise the shortest, which a busy machine moves least."""
        return statistics.quantiles(self.took[path], n=20)[-1] if is_full() else min(self.took[path])


def states() -> Counter[tuple[int, str]]:
    return Counter(Job.objects.values_list("pk", "state"))


@contextmanager
def once_more(door: Door, signer: Signing, user: str, method: str, path: str) -> Iterator[None]:
    """Let the token kept for `user` end before its time: one request more is made, with one token more."""
    door.ended.add(tokens.source_from({"signer_socket": str(signer.socket)}).token(user))
    refused, minted = door.refused, signer.minted(user)
    sent = sum(one == method and path in where for one, where in door.seen)
    yield
    assert sum(one == method and path in where for one, where in door.seen) - sent == 2
    assert door.refused - refused >= 1
    assert signer.minted(user) - minted == 1


@scenario("A6", commits=True)
def tokens_that_end_and_a_signer_that_is_away(w: make.World, real_slurm: Info, monkeypatch: pytest.MonkeyPatch) -> str:
    """Tokens of 60 s by a clock 45 s ahead, then no signer for 5 min: 1 re-mint and 1 retry a call, nothing else changes."""
    info = real_slurm
    away_s, clock = (300, Clock()) if is_full() else (6, Clock(speed=5))
    user = info.users[0]
    monkeypatch.setattr(tokens, "LIFETIME_S", TTL_S)
    tokens._signer.cache_clear()
    with held(info), signing(info) as signer, Door(info.url, key=info.private_key.read_bytes()) as door:
        config = {"jwks_private_key_file": "", "key_id": "", "signer_socket": str(signer.socket)}
        partition = partition_behind(w, info, door.url, **config)
        cluster = access.connect(partition.cluster)
        jobs = [submitted(w, partition, "#!/bin/sh\nsleep 900\n", now=clock.now()) for _ in range(3)]
        for job in jobs:
            dispatching.dispatch(job_id=job.pk, now=clock.now())
        until(lambda: state_of(jobs[-1]) == rules.JobState.RUNNING.value, 60, lambda: beat(partition, clock))
        assert door.refused == 0, "a clock that is ahead makes tokens end later, no more"

        again = submitted(w, partition, "#!/bin/sh\nsleep 900\n", now=clock.now())
        ref = access.ref_of(Job.objects.get(pk=jobs[0].pk))
        with once_more(door, signer, info.reader, "GET", "/job/"):
            cluster.observe([ref])
        with once_more(door, signer, user, "POST", "/job/submit"):
            dispatching.dispatch(job_id=again.pk, now=clock.now())
        assert Job.objects.get(pk=again.pk).released_at is not None
        with once_more(door, signer, user, "DELETE", "/job/"):
            cluster.cancel(access.ref_of(Job.objects.get(pk=again.pk)), user=user)
        assert not ClusterBreaker.objects.filter(failures__gt=0).exists()
        until(lambda: state_of(again) == rules.JobState.CANCELLED.value, 60, lambda: beat(partition, clock))

        person = make.user_of(w.researcher)
        up, away = (Pages(_client(person), _paths(jobs[0])) for _ in range(2))
        for _ in range(40 if is_full() else 12):
            up.look()

        before = states()
        late = refused_for_good(partition, info.reader, signer, door, before)
        until(lambda: not _open(partition.cluster_id), 90, lambda: beat(partition, clock))

        signer.stop()
        waiting = submitted(w, partition, "#!/bin/sh\ntrue\n", now=clock.now())
        before[waiting.pk, rules.JobState.PENDING.value] = 1
        if not is_full():
            tokens._signer.cache_clear()  # as a worker that has just begun, which keeps none
        dispatching.dispatch(job_id=waiting.pk, now=clock.now())
        opened_after = 0
        began = time.monotonic()
        while time.monotonic() - began < away_s or not opened_after:
            assert time.monotonic() - began < away_s + 60, "the circuit stays closed"
            away.look()
            beat(partition, clock)
            if not opened_after and _open(partition.cluster_id):
                opened_after, asked = _failures(partition.cluster_id), len(door.seen)
        assert 0 < opened_after <= 3
        assert len(door.seen) == asked, "nobody is asked without a token"
        assert states() == before

        signer.start()
        began = time.monotonic()
        done = {rules.JobState.RUNNING.value, rules.JobState.SUCCEEDED.value}
        until(lambda: state_of(waiting) in done, 90, lambda: beat(partition, clock))
        back_s = time.monotonic() - began
        assert not _open(partition.cluster_id)
        withdraw(info, set(Job.objects.values_list("marker", flat=True)))
    ratios = {path: away.typical(path) / up.typical(path) for path in up.paths}
    assert max(ratios.values()) <= SLOWER, ratios
    slowest = max(up.paths, key=away.typical)
    kind = "p95" if is_full() else "at best"
    return (
        f"a refused token: 1 re-mint and 1 retry each for GET, POST and DELETE; tokens already ended when minted: {late}; "
        f"signer away {away_s} s: circuit open after {opened_after} failures, {len(before)} jobs unchanged, slowest page {kind} "
        f"{1000 * up.typical(slowest):.0f} ms before and {1000 * away.typical(slowest):.0f} ms while away, at most "
        f"{max(ratios.values()):.2f} times as long; all well {back_s:.0f} s after its return{told(clock)}"
    )


def refused_for_good(
    partition: Partition, reader: str, signer: Signing, door: Door, before: Counter[tuple[int, str]]
) -> str:
    """Let the signer's clock fall behind, so that every token has ended when it is minted; put it right afterwards."""
    signer.set_clock(-2 * TTL_S)
    tokens._signer.cache_clear()
    cluster = access.connect(partition.cluster)
    ref = access.ref_of(Job.objects.filter(state=rules.JobState.RUNNING.value)[0])
    calls, seen, minted = 0, len(door.seen), signer.minted(reader)
    while not _open(partition.cluster_id):
        with pytest.raises(Unavailable):
            cluster.observe([ref])
        calls += 1
        assert calls <= 3
    requests, mints = len(door.seen) - seen, signer.minted(reader) - minted
    assert (requests, mints) == (2 * calls, 2 * calls)
    asked = len(door.seen)
    with pytest.raises(Unavailable):
        cluster.observe([ref])
    assert len(door.seen) == asked
    assert states() == before
    signer.set_clock(AHEAD_S)
    return f"{requests // calls} requests and {mints // calls} mints a call, circuit open after {calls}"


def until(test: Callable[[], bool], seconds: float, step: Callable[[], object]) -> None:
    began = time.monotonic()
    while not test():
        step()
        assert time.monotonic() - began < seconds, list(Job.objects.values_list("state", "reason"))


def _open(cluster_id: int) -> bool:
    return ClusterBreaker.objects.filter(cluster_id=cluster_id, opened_at__isnull=False).exists()


def _failures(cluster_id: int) -> int:
    return int(ClusterBreaker.objects.get(cluster_id=cluster_id, opened_at__isnull=False).failures)


def _client(person) -> Client:
    client = Client()
    client.force_login(person)
    return client


def _paths(job: Job) -> tuple[str, ...]:
    return (reverse("jobs"), reverse("job", args=[job.number]), reverse("job_new"), reverse("clusters"))
