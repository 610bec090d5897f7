"""Slurm's words for a job's state in ours. Pure and total: nothing raises, what is not known is UNKNOWN."""

from __future__ import annotations

from scheduler.jobs.ports import ClusterState

__all__ = ["is_held", "raw", "state"]

_BASE = {
    "PENDING": ClusterState.QUEUED,
    "RUNNING": ClusterState.RUNNING,
    "SUSPENDED": ClusterState.SUSPENDED,
    "COMPLETED": ClusterState.SUCCEEDED,
    "CANCELLED": ClusterState.CANCELLED,
    "FAILED": ClusterState.FAILED,
    "TIMEOUT": ClusterState.TIMED_OUT,
    "NODE_FAIL": ClusterState.INTERRUPTED,
    "PREEMPTED": ClusterState.INTERRUPTED,
    "BOOT_FAIL": ClusterState.LAUNCH_FAILED,
    "DEADLINE": ClusterState.EXPIRED,
    "OUT_OF_MEMORY": ClusterState.OUT_OF_MEMORY,
}
"""enum job_states (slurm.h), all twelve."""

_FLAGS = {
    "COMPLETING": ClusterState.FINISHING,
    "STAGE_OUT": ClusterState.FINISHING,
    "CONFIGURING": ClusterState.STARTING,
    "POWER_UP_NODE": ClusterState.STARTING,
    "RESIZING": ClusterState.RUNNING,
    "SIGNALING": ClusterState.RUNNING,
    "STOPPED": ClusterState.RUNNING,
    "UPDATE_DB": ClusterState.RUNNING,
    "EXPEDITING": ClusterState.RUNNING,
    "REQUEUED": ClusterState.QUEUED,
    "REQUEUE_FED": ClusterState.QUEUED,
    "REQUEUE_HOLD": ClusterState.QUEUED,
    "SPECIAL_EXIT": ClusterState.QUEUED,
    "RESV_DEL_HOLD": ClusterState.QUEUED,
}
"""Flags that speak for the job while they are set: v0.0.38 shows them *instead of* the base state, so none may end it."""

_ENDINGS = {
    "REVOKED": ClusterState.CANCELLED,
    "LAUNCH_FAILED": ClusterState.LAUNCH_FAILED,
    "RECONFIG_FAIL": ClusterState.LAUNCH_FAILED,
}
"""Flags that say how a job ended: believed only beside a final base state (REVOKED alone may run on a sibling)."""

_ENDED = frozenset(_BASE.values()) - {ClusterState.QUEUED, ClusterState.RUNNING, ClusterState.SUSPENDED}


def state(raw: object) -> ClusterState:
    """Return the state for Slurm's word, or list of words. Total: anything not known is UNKNOWN, nothing raises."""
    words = raw if isinstance(raw, list) else [raw]
    if not words or not all(
        isinstance(word, str) and (word in _BASE or word in _FLAGS or word in _ENDINGS) for word in words
    ):
        return ClusterState.UNKNOWN
    bases = [_BASE[word] for word in words if word in _BASE]
    for word in words:
        if word in _FLAGS:
            return _FLAGS[word]
    if len(bases) != 1:
        return ClusterState.UNKNOWN
    endings = [_ENDINGS[word] for word in words if word in _ENDINGS]
    if endings:
        return endings[0] if bases[0] in _ENDED else ClusterState.UNKNOWN
    return bases[0]


_HELD = frozenset({"REQUEUE_HOLD", "SPECIAL_EXIT", "RESV_DEL_HOLD"})


def is_held(raw: object) -> bool:
    """Say whether a flag says that somebody must release it before it can start again."""
    return any(word in _HELD for word in (raw if isinstance(raw, list) else [raw]) if isinstance(word, str))


def raw(value: object) -> str:
    """Return Slurm's own word or words as one text, for people."""
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)
