"""What a runner has to hand out and remembers of who holds it."""

from __future__ import annotations

import pwd
import subprocess
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from integrations.local.units import Unit

__all__ = ["Capacity", "Held", "Job", "uid_range"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """What the runner hands out. `cards` may be pretended; `memory_mb` should not be."""

    cpus: int
    cards: int
    card_type: str
    memory_mb: int
    partitions: tuple[str, ...]
    longest_s: int


@dataclass(slots=True)
class Held:
    """What one granted run holds, and until when at most (seconds of the epoch)."""

    unit: Unit
    cpus: int
    memory_mb: int
    cards: tuple[int, ...]
    uid: int | None
    account: str
    until: float
    shim: subprocess.Popen[bytes] | None = None
    launches: int = 0


@dataclass(slots=True)
class Job:
    """A job not yet over: what was asked, and the present run of each task that has not ended."""

    spec: Mapping[str, Any]
    current: dict[int | None, Unit] = field(default_factory=dict)
    queued_since: dict[int | None, int] = field(default_factory=dict)
    """For a run after the first its place in the queue: when the one before ended, in nanoseconds."""


def uid_range(folder: Path) -> list[int]:
    """Return this spool's user ids: up to 64 of those systemd keeps for services without an account (61184 … 65519)."""
    first = 61_184 + zlib.crc32(bytes(folder)) % 66 * 64
    taken = {entry.pw_uid for entry in pwd.getpwall()}
    return [uid for uid in range(first, first + 64) if uid not in taken]
