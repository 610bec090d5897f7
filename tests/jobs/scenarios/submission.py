"""Submissions whose answers are lost, on a real Slurm: the effect of each happens exactly once."""

from __future__ import annotations

import json
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from django.db import connections
from django.db.models import Q

from scheduler.clusters import polling
from scheduler.jobs import dispatching, reconciling, resolving, rules, services
from scheduler.jobs.doubt_models import JobAlert, JobEvidence
from scheduler.jobs.models import Job
from scheduler.resources.models import Partition
from tests import make
from tests.adapters.conftest import slurm_config
from tests.adapters.faults import Fault, Proxy
from tests.jobs.scenarios import scenario
from tests.scenarios import is_full
from tests.slurm.cluster import Info, locked
from vouchers.charges.models import Charge
from vouchers.wallets.models import Voucher

BLOCK = ["drop_after"] * 6 + ["drop_before"] * 2 + ["status_before", "status_after"] + [""] * 10
"""What becomes of twenty changes sent: 30 % of answers lost, 10 % of requests lost, 10 % answered 502, half of those
after all was done; the other half goes well."""
UNSENT = [rules.JobState.PENDING.value, rules.JobState.SUBMITTING.value]
UNSETTLED = [*UNSENT, rules.JobState.UNKNOWN.value, rules.JobState.PLACED.value, rules.JobState.REJECTED.value]
"""Everything before "queued or later"."""
ADOPTED_S = 90
"""How long after accounting is back a submission that arrived may stay unclear."""
SWEEP_S = 2.0
"""How often the portal looks at each cluster's jobs by itself (``CELERY_BEAT_SCHEDULE``)."""


@dataclass
class Clock:
    """The portal's time: it runs `speed` times as fast as the real one, and leaps when told to."""

    speed: float = 1.0
    leapt: timedelta = timedelta()
    began: datetime = field(default_factory=lambda: datetime.now(UTC))

    def now(self) -> datetime:
        return self.began + (datetime.now(UTC) - self.began) * self.speed + self.leapt

    def leap_to(self, moment: datetime) -> None:
        self.leapt += max(moment - self.now(), timedelta())


@dataclass
class Weather(Proxy):
    """The wire to slurmrestd: while foul it deals with changes of jobs by `BLOCK`; it keeps what accounting said."""

    foul: bool = False
    chance: random.Random = field(default_factory=lambda: random.Random(2))
    deck: list[str] = field(default_factory=list)
    dealt: Counter[str] = field(default_factory=Counter)
    told: Counter[tuple[int, int]] = field(default_factory=Counter)
    """How often accounting answered a question about jobs with (status, error number)."""

    def fault_for(self, method: str, path: str) -> Fault | None:
        if not (self.foul and method == "POST" and "/job/" in path):
            return super().fault_for(method, path)
        with self.lock:
            self.seen.append((method, path))
            if not self.deck:
                self.deck = self.chance.sample(BLOCK, len(BLOCK))
            kind = self.deck.pop()
            self.dealt[kind] += 1
        return Fault(method, path, kind) if kind else None

    def forward(self, handler: BaseHTTPRequestHandler, body: bytes) -> tuple[int, bytes, str]:
        status, content, content_type = super().forward(handler, body)
        if "/slurmdb/" in handler.path and "job_name=" in handler.path:
            errors = json.loads(content).get("errors") or [{}]
            with self.lock:
                self.told[status, int(errors[0].get("error_number", 0))] += 1
        return status, content, content_type


@contextmanager
def held(info: Info, *, alone: bool = False) -> Iterator[None]:
    """Keep the shared cluster whole, or have it alone, for what other test processes do with it."""
    with locked(Path(info.dir) / "whole.lock", shared=not alone):
        yield


def partition_behind(w: make.World, info: Info, url: str, **config: object) -> Partition:
    """Return four cards of the real cluster, reached under `url`."""
    made = make.partition(
        w,
        adapter="slurm",
        config={**slurm_config(info), "url": url, "account": info.accounts[0], "message_timeout_s": 3, **config},
        name="gpu",
        card_type="h20",
        max_cards=4,
    )
    made.cluster.posix_user = info.users[0]
    made.cluster.save()
    return made


def submitted(
    w: make.World, partition: Partition, script: str, *, now: datetime, vouchers: Sequence[Voucher] = ()
) -> Job:
    ask = rules.Ask(cards=1, cpus=1, memory_mb=100, time_limit_s=60, script=script)
    wanted = services.Wanted(partition=partition, title="答复会丢失的作业", ask=ask, vouchers=vouchers)
    return services.submit(actor=w.researcher, wanted=wanted, now=now, key=make.key(), dispatch=lambda _id: None)


def sent(job_id: int, now: datetime) -> None:
    """Dispatch a job as a worker's process does, with a connection of its own."""
    try:
        dispatching.dispatch(job_id=job_id, now=now)
    finally:
        connections.close_all()


def beat(partition: Partition, clock: Clock) -> None:
    """Do once what the portal does by itself: poll the cluster when due, look after every open job."""
    for cluster_id in polling.due(now=clock.now()):
        polling.poll(cluster_id=cluster_id, now=clock.now())
    reconciling.reconcile(cluster_id=partition.cluster_id, now=clock.now())
    time.sleep(SWEEP_S / clock.speed)


def state_of(job: Job) -> str:
    return str(Job.objects.values_list("state", flat=True).get(pk=job.pk))


def runs_of(info: Info, markers: set[str]) -> tuple[Counter[str], Counter[str]]:
    """Return how many submissions of each marker accounting knows, and how many of them ever started.

    Accounting hears of a job seconds after the controller: it is waited for until it knows each marker.
    """
    words = ("sacct", "-aXDnP", "-S", "now-2hours", "-o", "JobName%40,JobID,Start")
    began = time.monotonic()
    while True:
        rows = [line.split("|") for line in info.command(*words).splitlines()]
        ours = [(name, start) for name, _id, start in rows if name in markers]
        if {name for name, _start in ours} == markers:
            break
        assert time.monotonic() - began < 40, "accounting never heard of some"
        time.sleep(1)
    return Counter(name for name, _start in ours), Counter(name for name, start in ours if start[:1].isdigit())


def withdraw(info: Info, markers: set[str]) -> None:
    """Cancel what still waits or runs under our markers."""
    rows = [line.split() for line in info.command("squeue", "-h", "-o", "%i %j").splitlines()]
    for job_id in (one for one, name in rows if name in markers):
        info.command("scancel", job_id)


@scenario("A2", commits=True)
def every_second_change_is_disturbed(w: make.World, real_slurm: Info) -> str:
    """200 submissions, 30 % of answers lost, 10 % of requests lost, 10 % 502: each placed once, queued ≤ 3 min after."""
    info = real_slurm
    count, clock = (200, Clock()) if is_full() else (12, Clock(speed=8))
    with held(info), Weather(info.url, foul=True) as wire:
        partition = partition_behind(w, info, wire.url)
        ran = info.job_root / info.users[0] / f"ran-{make.key()}"
        script = f'#!/bin/sh\necho "$SLURM_JOB_NAME" >> {ran}\n'
        voucher = make.voucher(w)
        jobs = [submitted(w, partition, script, now=clock.now(), vouchers=[voucher]) for _ in range(count)]
        markers = {job.marker for job in jobs}
        start = datetime.now(UTC)
        with ThreadPoolExecutor(4) as workers:
            list(workers.map(lambda job: sent(job.pk, clock.now()), jobs))
        while Job.objects.filter(attempted_at__isnull=True).exists():
            beat(partition, clock)
            assert datetime.now(UTC) - start < timedelta(minutes=15), "not every submission was sent"
        foul_s = (datetime.now(UTC) - start).total_seconds()
        wire.foul, calm = False, clock.now()
        while Job.objects.filter(Q(state__in=UNSETTLED) | Q(released_at=None)).exists():
            beat(partition, clock)
            assert clock.now() - calm <= timedelta(minutes=3), list(Job.objects.values_list("state", "reason"))
        after_s = (clock.now() - calm).total_seconds()
        placed = info.command("squeue", "-h", "-t", "pending,running", "-o", "%j").split()
        assert max(Counter(name for name in placed if name in markers).values(), default=1) == 1
        withdraw(info, markers)
        submissions, started = runs_of(info, markers)
        posts = wire.count("POST", "/job/submit")
    assert len(markers) == Job.objects.values("marker").distinct().count() == count
    assert Charge.objects.count() == Charge.objects.filter(pk__in=Job.objects.values("charge")).count() == count
    assert set(submissions) == markers
    assert max(started.values(), default=0) <= 1
    wrote = Counter(ran.read_text().split()) if ran.exists() else Counter()
    assert max(wrote.values(), default=0) <= 1
    doubted = JobEvidence.objects.filter(op="submit", verdict="unknown").values("job").distinct().count()
    assert doubted > 0
    again = Job.objects.filter(attempts__gt=1).count()
    faults = ", ".join(f"{number} {kind or 'fine'}" for kind, number in sorted(wire.dealt.items()))
    return (
        f"{count} markers and holds; {foul_s:.0f} s of faults, of changes: {faults}; {doubted} unclear, {again} proven absent and sent again, "
        f"{posts} submissions arrived, {sum(started.values())} had run by then, none twice; all queued {after_s:.0f} s after the "
        f"faults{told(clock)}"
    )


def told(clock: Clock) -> str:
    return "" if clock.speed == 1 else f" (the portal's clock at {clock.speed:g} times the real one)"


@scenario("A3", commits=True)
def accounting_away_is_not_absence(w: make.World, real_slurm: Info) -> str:
    """An answer is lost, then slurmdbd stops for 10 min: unclear, never sent again, alarm at 15 min, adopted ≤ 90 s after."""
    info = real_slurm
    outage_s, clock = (600, Clock()) if is_full() else (8, Clock(speed=6))
    script = "#!/bin/sh\ntrue\n"
    with held(info, alone=True), Weather(info.url) as wire:
        partition = partition_behind(w, info, wire.url)
        arrived = submitted(w, partition, script, now=clock.now())
        never = submitted(w, partition, script, now=clock.now())
        for job, kind in ((arrived, "drop_after"), (never, "drop_before")):
            wire.faults.append(Fault("POST", "/job/submit", kind))
            dispatching.dispatch(job_id=job.pk, now=clock.now())
        assert wire.count("POST", "/job/submit") == 1
        with info.without("slurmdbd"):
            down = time.monotonic()
            wire.told.clear()
            if not is_full():
                clock.leap_to(_attempted(arrived) + timedelta(seconds=30))
            unclear(partition, clock, lambda: time.monotonic() - down >= outage_s)
            alarm_at = _attempted(arrived) + resolving.ALARM_AFTER
            clock.leap_to(alarm_at - 2 * resolving.PATIENT)
            assert not JobAlert.objects.exists()
            unclear(partition, clock, lambda: JobAlert.objects.count() == 2)
            alerts = {alert.job_id: alert for alert in JobAlert.objects.all()}
            late_s = max(
                (alerts[job.pk].raised_at - _attempted(job) - resolving.ALARM_AFTER).total_seconds()
                for job in (arrived, never)
            )
            assert late_s <= 5 * SWEEP_S * clock.speed, "some sweeps late at most"
            assert {alert.kind for alert in alerts.values()} == {JobAlert.Kind.UNRESOLVED.value}
            assert wire.told[200, 7000] > 0, f"accounting away was to be heard as 200 with 7000: {wire.told}"
            assert set(wire.told) == {(200, 7000)}
            down_s, asked = time.monotonic() - down, wire.told[200, 7000]
        back = time.monotonic()
        assert not JobEvidence.objects.filter(op="find").exclude(verdict="cannot_tell").exists()
        while state_of(arrived) == rules.JobState.UNKNOWN.value:
            beat(partition, clock)
            assert time.monotonic() - back <= ADOPTED_S, list(JobEvidence.objects.values_list("verdict", "detail"))
        adopted_s = time.monotonic() - back
        while Job.objects.filter(Q(state__in=UNSETTLED) | Q(released_at=None)).exists():
            beat(partition, clock)
            assert time.monotonic() - back <= 180, state_of(never)
        submissions, _started = runs_of(info, {arrived.marker, never.marker})
        withdraw(info, {arrived.marker, never.marker})
    assert wire.count("POST", "/job/submit") == 2
    assert submissions == {arrived.marker: 1, never.marker: 1}
    assert Job.objects.get(pk=arrived.pk).attempts == 1
    assert not JobAlert.objects.filter(cleared_at__isnull=True).exists()
    leapt = f"; {clock.leapt.total_seconds():.0f} s of the portal's clock were leapt over{told(clock)}"
    return (
        f"slurmdbd away {down_s:.0f} s, {asked} answers 200 with 7000 and none read as absence, 0 sent again; alarm {late_s:+.0f} s "
        f"from 15 min; adopted {adopted_s:.0f} s after it was back, the one that never arrived sent once more{leapt}"
    )


def _attempted(job: Job) -> datetime:
    at = Job.objects.values_list("attempted_at", flat=True).get(pk=job.pk)
    assert at is not None
    return at


def unclear(partition: Partition, clock: Clock, over: Callable[[], bool]) -> None:
    """Go on as the portal does until `over`; every job stays unclear all the while and is never sent again."""
    began = time.monotonic()
    while not over():
        beat(partition, clock)
        assert set(Job.objects.values_list("state", "attempts")) == {(rules.JobState.UNKNOWN.value, 1)}
        assert time.monotonic() - began < 700
