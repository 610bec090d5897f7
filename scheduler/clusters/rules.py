"""How often a cluster is asked, when an incident begins and ends, what needs a person. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final

__all__ = [
    "Alert",
    "AlertKind",
    "IncidentKind",
    "Probe",
    "RotationStep",
    "bucket",
    "next_pause",
]

SHORTEST: Final = timedelta(seconds=20)
LONGEST: Final = timedelta(seconds=60)
QUICK_MS, SLOW_MS = 500, 2_000
"""A poll answered within the first is repeated after `SHORTEST`, one as slow as the second after `LONGEST`."""
HEALTH_EVERY: Final = timedelta(seconds=60)
"""Capacity that is answered proves the cluster there; its version is asked for this often."""
CAPABILITIES_EVERY: Final = timedelta(hours=1)
SWEEP_EVERY: Final = timedelta(minutes=2)
"""How often accounting is asked for jobs the portal does not know."""
SWEEP_OVERLAP: Final = timedelta(hours=1)
SWEEP_FIRST: Final = timedelta(hours=24)
STALE_AFTER: Final = timedelta(minutes=3)
"""What was seen longer ago than this is not the present."""
UNRESOLVED_AFTER: Final = timedelta(minutes=15)
"""A submission whose fate is unknown this long needs a person (compute.md: A3)."""
BUCKET: Final = timedelta(minutes=5)
KEPT_READINGS: Final = timedelta(days=7)
UNMANAGED_WITHIN: Final = timedelta(days=7)
STUCK_AFTER: Final = timedelta(minutes=2)
"""How long a job may stay in a state that passes by itself."""
KEPT_USE: Final = timedelta(days=31)
FAILURES: Final = 2
"""Readings in a row that must fail before an incident is opened: one lost packet is none."""


class IncidentKind(StrEnum):
    """What was away."""

    AWAY = "away"
    """The cluster answered nothing: no job could be placed or observed."""
    ACCOUNTING = "accounting"
    """Accounting answered nothing: jobs run, but nothing is settled for good and no absence can be proven."""


class AlertKind(StrEnum):
    """What needs a person."""

    AWAY = "away"
    ACCOUNTING = "accounting"
    STALE = "stale"
    """Nothing has been heard of the cluster for `STALE_AFTER`: the poller itself may be down."""
    UNRESOLVED = "unresolved"
    UNKNOWN_STATE = "unknown_state"
    DUPLICATE = "duplicate"
    UNCONFIRMED = "unconfirmed"
    """Jobs that ended and accounting has not confirmed for long."""
    QUARANTINE = "quarantine"
    DRIFT = "drift"
    ORPHAN = "orphan"
    HELD = "held"
    """Jobs held on the cluster by somebody: they will not start by themselves."""
    STUCK = "stuck"
    """Jobs long in a state that passes by itself, or not seen for long."""
    REFUSED = "refused"
    """Limits the cluster does not take over."""
    UNMANAGED = "unmanaged"
    """Runs of the last week that went past the portal."""
    AUDIT = "audit"
    """Jobs of which the three books do not agree, by the last audit."""
    BREAKER = "breaker"
    """A channel nobody calls at present."""
    MAINTENANCE = "maintenance"
    """A window that is on, or ahead."""


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that needs a person. `subjects` are numbers of jobs or names, at most ten of `number`."""

    kind: AlertKind
    since: datetime | None
    number: int = 1
    subjects: Sequence[str] = ()
    params: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """What one poll of a cluster brought. `took_ms` is how long its slowest call took."""

    ok: bool
    at: datetime
    took_ms: int
    version: str = ""
    detail: str = ""


def next_pause(took_ms: int) -> timedelta:
    """Return how long to leave the cluster alone: the slower it answers, the longer, between `SHORTEST` and `LONGEST`."""
    share = min(max((took_ms - QUICK_MS) / (SLOW_MS - QUICK_MS), 0), 1)
    return SHORTEST + (LONGEST - SHORTEST) * share


def bucket(at: datetime) -> datetime:
    """Return the beginning of the five minutes `at` lies in: use is kept once for each."""
    seconds = int(BUCKET.total_seconds())
    return at - timedelta(seconds=at.timestamp() % seconds)


class RotationStep(StrEnum):
    """The steps of exchanging a cluster's signing key, in order: both keys are known while they change places."""

    CREATED = "created"
    PUBLISHED = "published"
    RELOADED = "reloaded"
    SWITCHED = "switched"
    TESTED = "tested"
    WITHDRAWN = "withdrawn"


STEPS: Final = tuple(RotationStep)
SIGNERS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "signer": "signer",
        "token_command": "signer",
        "jwks_private_key_file": "key_file",
        "jwt_key_file": "shared_key",
    }
)
"""Which kind of signing an entry of the configuration means."""
