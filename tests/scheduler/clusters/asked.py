"""A cluster that counts who asks it what, and answers or is silent as a test says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from django.utils import timezone

from portal.kernel.errors import Unavailable
from scheduler.jobs import ports
from tests import make
from tests.scheduler.jobs.scripted import ScriptedCluster

POOLS: list[ports.Pool] = []
USAGE: list[ports.UsageRow] = []
AWAY: set[str] = set()
"""What does not answer: names of calls, or ``all``."""
CALLS: Counter[str] = Counter()
CANCELLED: list[str] = []
AT: list[Any] = []


def install(settings) -> None:
    """Let the adapter ``asked`` answer, from a clean slate."""
    for kept in (POOLS, USAGE, AWAY, CALLS, CANCELLED, AT):
        kept.clear()
    settings.CLUSTER_ADAPTERS = {**settings.CLUSTER_ADAPTERS, "asked": f"{__name__}.AskedCluster"}


class AskedCluster(ScriptedCluster):
    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__(config)
        CALLS["connect"] += 1

    def _count(self, name: str) -> None:
        CALLS[name] += 1
        if AWAY & {name, "all"}:
            raise Unavailable(detail="asked and silent")

    def capacity(self) -> ports.Capacity:
        self._count("capacity")
        return ports.Capacity(list(POOLS), AT[0] if AT else self._now())

    def health(self) -> ports.Health:
        CALLS["health"] += 1
        ok = "all" not in AWAY
        return ports.Health(ok, "asked 1" if ok else "", "" if ok else "asked and silent", make.NOW)

    def capabilities(self) -> ports.Capabilities:
        self._count("capabilities")
        return ports.Capabilities("asked", "1", "v1", frozenset({ports.Feature.ARRAYS}), 120)

    def usage(self, *, accounts, since, until) -> list[ports.UsageRow]:
        self._count("usage")
        return list(USAGE)

    def cancel(self, ref: ports.Ref, *, user: str) -> None:
        self._count("cancel")
        CANCELLED.append(ref.job_id)

    def _now(self):
        return timezone.now()
