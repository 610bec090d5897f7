"""The log half of A10: many who follow one fast log miss nothing, read nothing twice, and are never far behind."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from asgiref.sync import sync_to_async
from django.core.cache import cache
from django.db import connections
from django.test import AsyncClient, Client
from django.urls import reverse

from portal.audit.models import Record
from portal.organisations import rules as roles
from scheduler.jobs import dispatching, reconciling, rules, services
from scheduler.jobs.models import Job
from tests import make
from tests.adapters.bench import local_runner
from tests.jobs.scenarios import scenario
from tests.scenarios import is_full

SCRIPT = """#!/bin/bash
pad=$(printf 'x%.0s' {{1..970}})
n=0
while [ $SECONDS -lt {seconds} ]; do
  for _ in {{1..100}}; do n=$((n+1)); printf '%09d %s %s\\n' $n "$EPOCHREALTIME" "$pad"; done
  sleep 0.08
done
"""
"""About a thousand lines of a thousand bytes a second, each with its number and the moment it was written."""
STAMP = re.compile(r"^\d{9} (\d+\.\d+) x{970}$", re.MULTILINE)
LINE = 1000
MOST_LAG_S = 3.0


@dataclass
class Follower:
    """One browser on the job's stream, whose line is cut every few seconds. What it read is kept as a digest."""

    client: AsyncClient
    chance: random.Random
    digest: hashlib._Hash = field(default_factory=hashlib.sha256)
    read: int = 0
    lags: list[float] = field(default_factory=list)
    behind_at_first: float = 0.0
    cuts: int = 0
    last: str = ""

    async def follow(self, path: str) -> None:
        while not await self._connection(path, for_s=self.chance.uniform(1, 4)):
            self.cuts += 1

    async def _connection(self, path: str, *, for_s: float) -> bool:
        """Read one connection until it is cut; say whether the stream came to its end."""
        response = await self.client.get(path, headers={"Last-Event-ID": self.last} if self.last else {})
        assert response.status_code == 200, response.status_code
        began = time.monotonic()
        try:
            async for piece in response.streaming_content:
                if any(self._heard(block) for block in piece.decode().split("\n\n")):
                    return True
                if time.monotonic() - began > for_s:
                    return False
            return False
        finally:
            await sync_to_async(response.close)()

    def _heard(self, block: str) -> bool:
        fields = dict(line.partition(": ")[::2] for line in block.split("\n") if ": " in line)
        if fields.get("event") == "log":
            text = json.loads(fields["data"])
            self.digest.update(text.encode())
            self.read, self.last = self.read + len(text), fields["id"]
            if stamp := STAMP.search(text, text.rfind("\n", 0, len(text) - LINE) + 1):
                self._behind(time.time() - float(stamp[1]))
        return fields.get("event") == "end"

    def _behind(self, lag: float) -> None:
        """Note how far behind it is, from when it has caught up with what was there before it came."""
        if self.lags or lag <= MOST_LAG_S:
            self.lags.append(lag)
        else:
            self.behind_at_first = max(self.behind_at_first, lag)


def submitted(w: make.World, partition, script: str) -> Job:
    now = datetime.now(UTC)
    ask = rules.Ask(cards=1, cpus=1, memory_mb=200, time_limit_s=600, script=script)
    wanted = services.Wanted(partition=partition, title="长日志", ask=ask)
    job = services.submit(actor=w.researcher, wanted=wanted, now=now, key=make.key(), dispatch=lambda _id: None)
    dispatching.dispatch(job_id=job.pk, now=now)
    return job


def followed(followers: list[Follower], path: str, cluster_id: int) -> None:
    """Let everybody follow to the end, in one event loop as browsers of one web process, while the reconciler works."""
    over = threading.Event()

    def keep_up() -> None:
        try:
            while not over.wait(1):
                reconciling.reconcile(cluster_id=cluster_id, now=datetime.now(UTC))
        finally:
            connections.close_all()

    async def all_of_them() -> None:
        await asyncio.wait_for(asyncio.gather(*(one.follow(path) for one in followers)), timeout=300)
        await sync_to_async(connections.close_all)()

    with ThreadPoolExecutor(1) as pool:
        keeper = pool.submit(keep_up)
        try:
            asyncio.run(all_of_them())
        finally:
            over.set()
    keeper.result()


@scenario("A10a", commits=True)
def many_followers_of_one_fast_log(w) -> str:
    """20 people follow a log that grows by 1 MB/s, cut off every second to fourth; a link in its place is refused."""
    count, seconds = (20, 60) if is_full() else (6, 8)
    followers = []
    for number in range(count):
        client = AsyncClient()
        client.force_login(make.user_of(make.actor(w.enterprise, roles.Role.RESEARCHER)))
        followers.append(Follower(client, random.Random(number)))
    with local_runner("--partition", "main") as runner:
        partition = make.partition(w, config={"dir": str(runner.folder)}, name="main")
        job = submitted(w, partition, SCRIPT.format(seconds=seconds))
        followed(followers, reverse("job_stream", args=[job.number]), partition.cluster_id)

        output = runner.folder / "jobs" / job.marker / "output"
        whole = output.read_bytes()
        assert len(whole) >= 200_000 * seconds, "the log did not grow as fast as this is about"
        wanted = (len(whole), hashlib.sha256(whole).hexdigest())
        assert {(one.read, one.digest.hexdigest()) for one in followers} == {wanted}
        assert sum(one.cuts for one in followers) >= count, "too few were cut off"

        cache.delete(f"job-log-refused:{job.pk}")  # another test's job may have had this number
        output.unlink()
        output.symlink_to("/etc/hostname")
        client = Client()
        client.force_login(make.user_of(w.researcher))
        answer = client.get(reverse("job_log", args=[job.number])).json()
        assert answer["text"] == ""
        (refused,) = Record.objects.filter(action="job.log_refused")
        assert refused.subject == f"job:{job.number}"
    lags = sorted(lag for one in followers for lag in one.lags)
    late = lags[-1 - len(lags) // 100]
    if is_full():
        assert late <= MOST_LAG_S, lags[-5:]
    return (
        f"{count} followers, {len(whole) / 1e6 / seconds:.2f} MB/s for {seconds} s, {sum(one.cuts for one in followers)} cuts, "
        f"no byte lost or twice, lag p50 {lags[len(lags) // 2]:.2f} s, p99 {late:.2f} s, most {lags[-1]:.2f} s "
        f"(before they caught up {max(one.behind_at_first for one in followers):.1f} s); link refused and recorded"
    )
