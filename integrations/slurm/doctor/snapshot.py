"""What was seen of one cluster, part by part, and why a part could not be seen."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

__all__ = ["DEFAULTS", "Host", "PartitionFacts", "Portal", "PortalPartition", "Qos", "Snapshot", "Unseen", "parse_conf"]

DEFAULTS = {
    "accountingstorageenforce": "none",
    "accountingstoragetype": "none",
    "authalttypes": "",
    "authaltparameters": "",
    "enforcepartlimits": "NO",
    "jobacctgathertype": "jobacct_gather/none",
    "jobrequeue": "1",
    "killwait": "30",
    "maxarraysize": "1001",
    "maxjobcount": "10000",
    "messagetimeout": "10",
    "minjobage": "300",
    "overtimelimit": "0",
    "prioritydecayhalflife": "7-00:00:00",
    "prioritytype": "priority/basic",
    "priorityusageresetperiod": "NONE",
    "privatedata": "none",
    "proctracktype": "proctrack/cgroup",
    "schedulertype": "sched/backfill",
    "selecttype": "select/cons_tres",
    "slurmdtimeout": "300",
}
"""What Slurm takes where slurm.conf says nothing (slurm.conf(5), 22.05); `scontrol show config` says everything."""

_NULL = frozenset({"(null)", "N/A", "none", "NONE", "(none)"})
_UNITS = {"sec": 1, "secs": 1, "s": 1, "min": 60, "mins": 60, "usec": 0}
_LINE = re.compile(r"\s*([A-Za-z][\w]*)(?:\[\d+\])?\s*=\s*(.*?)\s*")
_MANY = ("nodename", "partitionname", "frontendname", "nodeset", "downnodes")


class Unseen(Exception):
    """A part of the snapshot was not seen; the text says why."""


def parse_conf(text: str) -> dict[str, str]:
    """Read slurm.conf, slurmdbd.conf, or what `scontrol`/`sacctmgr show config` print; keys in lower case.

    Lines that describe nodes or partitions are left out. Of a setting named twice the last counts, as in Slurm.
    """
    found: dict[str, str] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.partition("#")[0])
        if match and match[1].lower() not in _MANY:
            found[match[1].lower()] = match[2]
    return found


def seconds(value: str, *, unit: int = 1) -> int | None:
    """Read ``90``, ``3 sec``, ``5 min`` or ``1-00:00:00`` as seconds; a bare number counts `unit`. None is unlimited."""
    text = value.strip().lower()
    if not text or text in {"unlimited", "infinite", "-1", "(null)", "none"}:
        return None
    number, _space, word = text.partition(" ")
    if ":" in number or "-" in number:
        days, _dash, clock = number.rpartition("-")
        parts = [int(part) for part in clock.split(":")]
        if not days and len(parts) == 2:
            parts = [0, *parts]  # minutes:seconds
        hours, minutes, rest = [*parts, 0, 0][:3]
        return int(days or 0) * 86_400 + hours * 3600 + minutes * 60 + rest
    return int(number) * _UNITS.get(word, unit) if word else int(number) * unit


@dataclass(frozen=True, slots=True)
class PortalPartition:
    """What the portal offers of a partition; prices in fen by unit (``card_hour``, ``core_hour``)."""

    name: str
    card_type: str
    max_cards: int
    max_time_s: int
    prices: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Portal:
    """What the portal's side of the cluster says."""

    url: str
    reader: str
    operator: str
    users: Sequence[str]
    """POSIX users jobs run as."""
    accounts: Sequence[str]
    partitions: Sequence[PortalPartition]
    zone_offset_s: int
    """East of UTC, now."""
    read_timeout_s: float = 30
    guard_s: int = 120
    look_back_s: int = 35 * 86_400
    qos: str = ""
    qos_prefix: str = "gx-"
    key_id: str = ""
    versions: Sequence[str] = ()
    """Versions of the REST interface the portal speaks."""


@dataclass(frozen=True, slots=True)
class Qos:
    name: str
    flags: frozenset[str]
    """As sacctmgr writes them, lower case: ``denyonlimit``, ``nodecay``."""
    has_minutes: bool
    """Whether it bounds GrpTRESMins."""


@dataclass(frozen=True, slots=True)
class PartitionFacts:
    name: str
    state: str
    max_time_s: int | None
    tres: Mapping[str, int]
    weights: Mapping[str, float]
    over_time_s: int | None = 0


@dataclass(frozen=True, slots=True)
class Host:
    """What the machine beside the cluster shows of itself."""

    rest: Sequence[Mapping[str, Any]]
    """Running slurmrestd: `user`, `argv`."""
    uids: Mapping[str, int | None]
    job_root: Mapping[str, Any]
    """`path`, `is_dir`, and `users`: name to `is_dir`, `owner`, `mode`."""
    jwks: Sequence[Mapping[str, str]] | None
    """Public keys the daemons hold: `kid`, `alg`, `kty`."""
    zone_offset_s: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All that was seen. A part that is None was not seen; `why` says why, by the part's name."""

    portal: Portal
    conf: Mapping[str, str] | None = None
    dbd: Mapping[str, str] | None = None
    offered: Sequence[str] | None = None
    controller: str | None = None
    """``UP``, ``DOWN``."""
    accounting: str | None = None
    """``UP``, or what accounting said instead."""
    queue: int | None = None
    """Messages the controller still has for slurmdbd."""
    skew_s: float | None = None
    """The cluster's clock minus the portal's."""
    partitions: Sequence[PartitionFacts] | None = None
    qos: Sequence[Qos] | None = None
    admins: Mapping[str, str] | None = None
    """Every user known to accounting, with the admin level in lower case."""
    associations: frozenset[tuple[str, str]] | None = None
    """(account, user)."""
    token: str | None = None
    """``accepted``, or what was said to a good token."""
    expired: str | None = None
    """``refused`` or ``accepted``: an expired token."""
    forged: str | None = None
    """``refused`` or ``accepted``: a token signed with a key of our own making."""
    singleton: str | None = None
    """``waits`` or what the second job of a name did instead."""
    host: Host | None = None
    why: Mapping[str, str] = field(default_factory=dict)

    def need(self, part: str) -> Any:
        """Return a part. Raises Unseen."""
        value = getattr(self, part)
        if value is None:
            raise Unseen(self.why.get(part, "?"))
        return value

    def value(self, name: str, *, part: str = "conf") -> str:
        """Return a setting's value, "" where there is none. Raises Unseen when the part was not seen."""
        found = self.need(part).get(name.lower())
        if found is None:
            found = DEFAULTS.get(name.lower(), "") if part == "conf" else ""
        return "" if found in _NULL and name.lower() != "priorityusageresetperiod" else str(found)

    def words(self, name: str, *, part: str = "conf") -> set[str]:
        return {word.strip().lower() for word in self.value(name, part=part).split(",") if word.strip()}

    def seconds(self, name: str, *, unit: int = 1, part: str = "conf") -> int | None:
        return seconds(self.value(name, part=part), unit=unit)
