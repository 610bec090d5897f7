"""Measure what jobs cost on a real Slurm: submissions against raw POSTs to the same slurmrestd, and polls of long queues.

    python -m portal.launch engines --exec python bench/jobs.py

Needs root and Slurm's packages (``python tests/slurm/cluster.py packages`` names them). Rounds of the reference and of the
portal alternate, so a noisy machine hurts both alike. A raw POST places a held job; the portal besides commits the intent,
holds the money, reads back what Slurm made of the request and releases the job.
"""

from __future__ import annotations

import os
import secrets
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
os.environ["DJANGO_SETTINGS_MODULE"] = "bench.serving"
os.environ.setdefault("GONGXIANG_LOG_LEVEL", "ERROR")

ROUNDS, SUBMISSIONS = 3, 24
QUEUES = (100, 1_000, 10_000)
OURS = (1, 24, 300)
"""How many of the queued jobs are asked about at once: one page, the most asked singly, a busy portal."""


def rate(act: Callable[[int], None], *, clients: int) -> float:
    """Return calls per second of `SUBMISSIONS` calls by `clients` closed loops."""
    began = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        list(pool.map(act, range(SUBMISSIONS)))
    return SUBMISSIONS / (time.perf_counter() - began)


@contextmanager
def counted(wire: Any) -> Iterator[Counter[str]]:
    """Count the requests and bytes of a wire."""
    seen: Counter[str] = Counter()
    client = wire._client
    hooks = client.event_hooks

    def count(response: Any) -> None:
        response.read()
        seen["requests"] += 1
        seen["bytes"] += len(response.content)

    client.event_hooks = {**hooks, "response": [count]}
    try:
        yield seen
    finally:
        client.event_hooks = hooks


def submissions(w: Any, partition: Any, cluster: Any, spec: Any) -> None:
    """Print submissions a second: raw, and through the portal."""
    from django.db import connections

    from integrations.slurm.codec import Place
    from scheduler.jobs import dispatching, rules, services
    from tests import make

    link, place = cluster.link, Place(directory="/tmp", output="/dev/null", qos="")

    def raw(_number: int) -> None:
        body = link.codec().submission(spec, marker=services.new_marker(), place=place)
        answer = link.send("POST", "/job/submit", user=spec.user, body=body)
        assert answer.body.get("job_id"), answer.words

    def ours(_number: int) -> None:
        now = datetime.now(UTC)
        ask = rules.Ask(cards=1, cpus=1, memory_mb=200, time_limit_s=60, script=spec.script)
        wanted = services.Wanted(partition=partition, title="bench", ask=ask)
        job = services.submit(actor=w.researcher, wanted=wanted, now=now, key=make.key(), dispatch=lambda _id: None)
        dispatching.dispatch(job_id=job.pk, now=now)
        job.refresh_from_db()
        assert job.state == rules.JobState.PLACED.value, (job.state, job.reason)
        connections.close_all()

    ours(0)
    print("\nsubmissions | raw POST/s | portal/s | raw ÷ portal")
    for clients in (1, 8):
        measured: dict[str, list[float]] = {"raw": [], "ours": []}
        for _round in range(ROUNDS):
            measured["raw"].append(rate(raw, clients=clients))
            measured["ours"].append(rate(ours, clients=clients))
        bare, whole = (statistics.median(measured[name]) for name in ("raw", "ours"))
        print(f"{clients:>11} | {bare:10.1f} | {whole:8.1f} | {bare / whole:6.1f}")


def polls(cluster: Any, spec: Any) -> None:
    """Print what one look costs while the controller knows so many jobs; all but a few belong to others."""
    from django.db import connections

    from scheduler.jobs import services

    def place(_number: int) -> Any:
        try:
            return cluster.submit(spec, marker=services.new_marker(), first=True).ref
        finally:
            connections.close_all()  # gives the thread's connection back to the pool

    refs: list[Any] = []
    print("\njobs in the queue |  asked about | requests | kB read | seconds")
    for queue in QUEUES:
        with ThreadPoolExecutor(8) as pool:
            refs += list(pool.map(place, range(queue - len(refs))))
        for count in OURS:
            if count > queue:
                continue
            for look in ("first", "again"):
                some = refs[:count]
                line(queue, f"{count}, {look}", cluster, partial(cluster.observe, some))
        line(queue, "capacity", cluster, cluster.capacity)


def line(queue: int, what: str, cluster: Any, act: Callable[[], object]) -> None:
    with counted(cluster.wire) as cost:
        began = time.perf_counter()
        act()
        spent = time.perf_counter() - began
    print(f"{queue:>17,} | {what:>12} | {cost['requests']:>8} | {cost['bytes'] / 1000:7.0f} | {spent:7.3f}", flush=True)


def main() -> None:
    import django

    django.setup()
    from django.core.management import call_command

    from scheduler.jobs import access
    from scheduler.jobs.ports import Spec
    from tests import make
    from tests.adapters.conftest import slurm_config
    from tests.slurm import cluster as real

    if lacking := real.missing():
        raise SystemExit(lacking)
    call_command("migrate", verbosity=0)
    info = real.join(Path(tempfile.mkdtemp(prefix="gx-bench-")))
    try:
        w = make.world()
        config = {**slurm_config(info), "account": info.accounts[0], "message_timeout_s": 3}
        partition = make.partition(w, adapter="slurm", config=config, name="gpu", card_type="h20", max_cards=4)
        partition.cluster.posix_user = info.users[0]
        partition.cluster.save()
        cluster = access.connect(partition.cluster)
        script = f"#!/bin/sh\n# {secrets.token_hex(4)}\ntrue\n"
        spec = Spec(script, "gpu", 1, 200, 1, "h20", 60, info.accounts[0], info.users[0])
        submissions(w, partition, cluster, spec)
        info.command("scancel", f"--user={info.users[0]}")
        polls(cluster, spec)
    finally:
        real.leave(info)


if __name__ == "__main__":
    main()
