"""The board half of A10: what many browsers that look at clusters cost those clusters, and us."""

from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta
from urllib.parse import urlencode

from django.test import Client
from django.urls import reverse

from scheduler.clusters import orphans, polling
from scheduler.clusters.models import ClusterPool
from scheduler.jobs import ports
from tests import make
from tests.jobs.scenarios import scenario
from tests.scenarios import is_full
from tests.scheduler.clusters import asked

REQUESTS = {"capacity": 2, "health": 1, "usage": 1, "capabilities": 3}
"""Requests to slurmrestd one call costs (nodes and partitions; ping; jobs of the database; openapi, ping, config)."""
JOB_LISTS_A_MINUTE = 1
"""Besides, capacity counts the jobs from their list once a minute."""
MOST_REQUESTS = 120


def look(browser: Client, seen: str, path: str) -> tuple[int, str]:
    """Ask for the board as the page's htmx does; return the status and the digest now shown."""
    answer = browser.get(f"{path}?{urlencode({'board': seen})}")
    assert answer.status_code in {200, 204}, answer.status_code
    return answer.status_code, answer["ETag"].strip('"')


@scenario("A10b")
def many_browsers_on_the_board(w, settings, monkeypatch):
    """50 browsers refresh the board every 5 s for 10 min: ≤ 120 requests to slurmrestd, whoever looks."""
    count, minutes = (50, 10) if is_full() else (5, 2)
    asked.install(settings)
    cluster = make.partition(w, adapter="asked").cluster
    cluster.config = {"account": "portal"}
    cluster.save()
    clock = {"now": make.NOW}
    monkeypatch.setattr("django.utils.timezone.now", lambda: clock["now"])
    browsers = [
        (Client(), reverse("clusters") if n % 2 else reverse("cluster", args=[cluster.code])) for n in range(count)
    ]
    shown = [""] * count
    answers: Counter[int] = Counter()
    cpu, slowest, told = time.process_time(), 0.0, set()
    for second in range(0, minutes * 60, 5):
        clock["now"] = make.NOW + timedelta(seconds=second)
        used = second // 60 % 8
        asked.POOLS[:] = [ports.Pool("gpu", "a100", 8, used, 0, 64, used * 8, 2, 0, running=used, waiting=3)]
        for cluster_id in polling.due(now=clock["now"]):
            polling.poll(cluster_id=cluster_id, now=clock["now"])
            orphans.sweep(cluster_id=cluster_id, now=clock["now"])
        for at, (browser, path) in enumerate(browsers):
            began = time.perf_counter()
            status, shown[at] = look(browser, shown[at], path)
            slowest = max(slowest, time.perf_counter() - began)
            answers[status] += 1
        told.add(ClusterPool.objects.get(cluster=cluster).cards_used)
        assert clock["now"] - ClusterPool.objects.get(cluster=cluster).as_of <= timedelta(seconds=60)
    looks = sum(answers.values())
    spent = time.process_time() - cpu
    calls = {name: asked.CALLS[name] for name in REQUESTS}
    requests = sum(calls[name] * price for name, price in REQUESTS.items()) + JOB_LISTS_A_MINUTE * minutes
    assert requests <= MOST_REQUESTS * minutes / 10, calls
    assert len(told) >= min(minutes, 8), "the board did not follow the cluster"
    assert answers[204] > answers[200]
    return (
        f"{looks} looks, {requests} requests to slurmrestd ({calls['capacity']} polls), "
        f"{answers[204]} answered empty, {1000 * spent / looks:.1f} ms CPU a look, slowest {1000 * slowest:.0f} ms"
    )
