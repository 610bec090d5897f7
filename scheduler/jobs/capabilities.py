"""What a cluster is, what it has and what it lets an organisation use, in words every scheduler shares."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

__all__ = ["AccountLimits", "Capabilities", "Capacity", "Feature", "FileEntry", "Pool"]


class Feature(StrEnum):
    """What an adapter can do beyond placing, observing and cancelling; what it cannot, the portal does not offer."""

    ARRAYS = "arrays"
    DEPENDENCIES = "dependencies"
    REQUEUE = "requeue"
    FILES = "files"
    LIMITS = "limits"
    ESTIMATE = "estimate"
    """Says when a waiting job is expected to start."""
    TASKS = "tasks"
    """Stops one task of an array, waiting or running, and no other."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a cluster is and can do, as it says itself. `guard_s`: how far a run may exceed its limit before it is ended."""

    name: str
    release: str
    version: str
    """The interface version spoken, "" where there is only one."""
    features: frozenset[Feature]
    guard_s: int
    offered: Sequence[str] = ()
    """Interface versions the cluster offers."""
    max_array_size: int = 1001
    min_job_age_s: int = 300


@dataclass(frozen=True, slots=True)
class Pool:
    """What one partition has of one card type ("" = none) at present, on whose behalf ever."""

    partition: str
    card_type: str
    cards: int
    cards_used: int
    cards_down: int
    cpus: int
    cpus_used: int
    nodes: int
    nodes_down: int
    is_open: bool = True
    running: int = 0
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class Capacity:
    pools: Sequence[Pool]
    as_of: datetime


@dataclass(frozen=True, slots=True)
class AccountLimits:
    """What an organisation's account may use on a cluster; None sets no bound. What is not ours is left alone.

    `running_card_minutes` and `running_cpu_minutes` bound the *planned* minutes of all running jobs together
    (GrpTRESRunMins: does not decay), `cards` and `cpus` what runs at once, `submitted` jobs waiting or running; 0
    submitted stops new work and lets running jobs end.
    """

    account: str
    users: Sequence[str] = ()
    running_card_minutes: int | None = None
    running_cpu_minutes: int | None = None
    cards: int | None = None
    cpus: int | None = None
    submitted: int | None = None


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a job's directory; `path` is relative, with ``/``."""

    path: str
    size: int
    modified_at: datetime
