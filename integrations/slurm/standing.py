"""What a cluster is, has, and would refuse: health, capabilities, capacity, and a check that places nothing."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from integrations.slurm.codec import VERSION, minutes
from integrations.slurm.link import NO_ANSWER, Link, rows
from integrations.slurm.reading import Node, nodes, number, words
from integrations.slurm.wire import Answer, Kind
from portal.kernel.errors import Unavailable
from scheduler.jobs import arrays
from scheduler.jobs.ports import Capabilities, Capacity, ClusterState, Feature, Health, Pool, RejectedBy, Spec

__all__ = ["Bounds", "capabilities", "capacity", "grounds", "health", "never_fits"]

HEALTH_S: Final = 4.0
NODES_KEPT_S: Final = 60
COUNT_KEPT_S: Final = 60
MANY_JOBS: Final = 1_000
FEATURES: Final = frozenset({Feature.ARRAYS, Feature.DEPENDENCIES, Feature.REQUEUE, Feature.ESTIMATE})

_NODES: dict[str, tuple[float, list[Node]]] = {}
_COUNTS: dict[str, tuple[float, int, Counter[tuple[str, str, bool]]]] = {}


@dataclass(frozen=True, slots=True)
class Bounds:
    """What slurm.conf says and slurmrestd does not tell, from the cluster's configuration row."""

    guard_s: int = 120
    """Slurm looks at limits every 30 s and waits KillWait; OverTimeLimit comes on top. Seen: 46 s over a 60 s limit."""
    max_array_size: int = arrays.MAX_SIZE
    min_job_age_s: int = 300


# --- health


def health(link: Link) -> Health:
    """Ping the controller, 5 s at most: a silent controller makes slurmrestd block longer than that."""
    version, began = "", time.monotonic()
    try:
        spoken = link.codec(within_s=HEALTH_S / 2)
        left = max(0.5, HEALTH_S - (time.monotonic() - began))
        answer = link.wire.glance(f"/slurm/{spoken.version}/ping", user=link.reader, read_s=left)
        version = _release(answer)
        up = any(_is_up(ping) for ping in rows(answer, "pings"))
        ok, detail = answer.kind is Kind.FINE and up, "" if up else answer.words
        if answer.kind is Kind.NO_ENDPOINT:
            link.forget()
    except NO_ANSWER as error:
        ok, detail = False, str(error)
    return Health(ok=ok, version=version, detail=detail, as_of=datetime.now(UTC))


def _is_up(ping: Mapping[str, Any]) -> bool:
    """Read ``ping`` (v0.0.38 to 40), ``pinged`` (41, 42) or ``responding`` (42 on, alone from 45)."""
    if "responding" in ping:
        return ping["responding"] is True
    return "UP" in (ping.get("ping"), ping.get("pinged"))


def _release(answer: Answer) -> str:
    """Return Slurm's release; the key is spelled with a capital in v0.0.38."""
    meta = answer.body.get("meta") or {}
    return str((meta.get("slurm") or meta.get("Slurm") or {}).get("release") or "")


# --- capabilities


def capabilities(link: Link, bounds: Bounds) -> Capabilities:
    """Raises Unavailable."""
    try:
        ping = link.ask("/ping")
        meta = (ping.body.get("meta") or {}).get("slurm") or {}
        name = str(meta.get("cluster") or "")
        if not name:
            known = rows(link.ask("/clusters", db=True), "clusters")
            name = str(known[0].get("name") or "") if len(known) == 1 else ""
        return Capabilities(
            name=name,
            release=_release(ping),
            version=link.codec().version,
            # The limits are written for what 22.05 does (`limits`); nobody has seen them set on another version.
            features=FEATURES | {Feature.LIMITS} if link.codec().version == VERSION else FEATURES,
            guard_s=bounds.guard_s,
            offered=link.offered(),
            max_array_size=bounds.max_array_size,
            min_job_age_s=bounds.min_job_age_s,
        )
    except NO_ANSWER as error:
        raise Unavailable(detail=str(error)) from error


# --- capacity


def capacity(link: Link) -> Capacity:
    """Return what every partition has of each card type, from nodes and partitions. Raises Unavailable.

    Two small requests; the jobs are counted from their list once a minute, five minutes apart when it is long.
    """
    as_of = datetime.now(UTC)
    try:
        everything = nodes(rows(link.ask("/nodes"), "nodes"))
        counts = _counts(link)
        pools = [
            pool for row in rows(link.ask("/partitions"), "partitions") for pool in _pools(row, everything, counts)
        ]
    except NO_ANSWER as error:
        raise Unavailable(detail=str(error)) from error
    return Capacity(pools, as_of)


def _pools(
    row: Mapping[str, Any], everything: Sequence[Node], counts: Counter[tuple[str, str, bool]]
) -> Iterable[Pool]:
    name = str(row.get("name") or "")
    own = [node for node in everything if name in node.partitions]
    types = sorted({node.card_type for node in own}) or [""]
    for place, kind in enumerate(types):
        part = [node for node in own if node.card_type == kind]
        cards = [node.has.get("gres/gpu", 0) for node in part]
        used = [node.used.get("gres/gpu", 0) for node in part]
        # A job that asked for any card is counted with the first type, one that asked for none likewise.
        also = "" if place == 0 and kind else kind
        running, waiting = (sum(counts[name, one, is_running] for one in {kind, also}) for is_running in (True, False))
        yield Pool(
            partition=name,
            card_type=kind,
            cards=sum(cards),
            cards_used=sum(used),
            cards_down=sum(
                max(0, has - taken) for node, has, taken in zip(part, cards, used, strict=True) if node.is_down
            ),
            cpus=sum(node.has.get("cpu", 0) for node in part),
            cpus_used=sum(node.used.get("cpu", 0) for node in part),
            nodes=len(part),
            nodes_down=sum(node.is_down for node in part),
            is_open=is_open(row),
            running=running,
            waiting=waiting,
        )


def is_open(row: Mapping[str, Any]) -> bool:
    """Say whether a partition takes and starts jobs: ``state`` in v0.0.38, ``partition.state`` later."""
    return "UP" in words(row["state"] if "state" in row else (row.get("partition") or {}).get("state"))


def _counts(link: Link) -> Counter[tuple[str, str, bool]]:
    """Return jobs by (partition, card type, whether they run), at most `COUNT_KEPT_S` old, older for a long list."""
    known_at, size, counts = _COUNTS.get(link.wire.url, (0.0, 0, Counter()))
    keep = COUNT_KEPT_S * (5 if size > MANY_JOBS else 1)
    if known_at and time.monotonic() - known_at < keep:
        return counts
    jobs = link.listed()
    counts = Counter()
    for job in jobs:
        if job.state in (ClusterState.QUEUED, ClusterState.RUNNING, ClusterState.STARTING):
            has = job.requested if job.state is ClusterState.QUEUED else job.allocated
            types = sorted(name for name in has if name.startswith("gres/gpu:"))
            kind = types[0].removeprefix("gres/gpu:") if types else ""
            counts[job.partition, kind, job.state is not ClusterState.QUEUED] += max(1, len(job.tasks))
    _COUNTS[link.wire.url] = (time.monotonic(), len(jobs), counts)
    return counts


# --- what it would refuse


def never_fits(link: Link, spec: Spec) -> RejectedBy | None:
    """Refuse what no node of the partition could hold: Slurm does not look at that while a job is held.

    Nodes are kept for a minute. Raises as `Link.ask`.
    """
    known_at, everything = _NODES.get(link.wire.url, (0.0, []))
    if time.monotonic() - known_at > NODES_KEPT_S or not everything:
        everything = nodes(rows(link.ask("/nodes"), "nodes"))
        _NODES[link.wire.url] = (time.monotonic(), everything)
    sizes = [node.has for node in everything if spec.partition in node.partitions]
    cards = f"gres/gpu:{spec.card_type}" if spec.card_type else "gres/gpu"
    needs = {"cpu": spec.cpus, "mem": spec.memory_mb} | ({cards: spec.cards} if spec.cards else {})
    if sizes and not any(all(size.get(name, 0) >= need for name, need in needs.items()) for size in sizes):
        return RejectedBy("resources", f"no node of {spec.partition} has {needs}")
    return None


def grounds(link: Link, spec: Spec, bounds: Bounds) -> list[RejectedBy]:
    """Return every ground the cluster itself would have against `spec`. Raises as `Link.ask`."""
    found = []
    partitions = {str(row.get("name")): row for row in rows(link.ask("/partitions"), "partitions")}
    row = partitions.get(spec.partition)
    if row is None:
        found.append(RejectedBy("partition", f"no partition {spec.partition}"))
    else:
        found += _against(row, spec)
    if fit := never_fits(link, spec):
        found.append(fit)
    if spec.array and max(arrays.tasks(spec.array), default=0) >= bounds.max_array_size:
        found.append(RejectedBy("limit", f"array: task numbers end at {bounds.max_array_size - 1}"))
    own = rows(link.ask("/associations", {"user": spec.user}, db=True), "associations")
    accounts = {str(one.get("account")) for one in own if one.get("user") == spec.user}
    # A reader who may see no associations sees none: that is no ground.
    if accounts and spec.account not in accounts:
        found.append(RejectedBy("account", f"{spec.user} has no association with {spec.account}"))
    return found


def _against(row: Mapping[str, Any], spec: Spec) -> Iterable[RejectedBy]:
    if not is_open(row):
        yield RejectedBy("partition", f"partition {spec.partition} is not up")
    most = number(row["max_time_limit"] if "max_time_limit" in row else (row.get("maximums") or {}).get("time"))
    if most and minutes(spec.time_limit_s) > most:
        yield RejectedBy("time_limit", f"at most {most} minutes in {spec.partition}")
    inner = row.get("accounts") or {}
    allowed = str(row.get("allowed_accounts") or inner.get("allowed") or "")
    denied = str(row.get("denied_accounts") or inner.get("deny") or "")
    if (allowed and spec.account not in allowed.split(",")) or spec.account in denied.split(","):
        yield RejectedBy("account", f"{spec.account} may not use {spec.partition}")
