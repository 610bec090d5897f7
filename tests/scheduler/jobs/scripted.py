"""A cluster that answers exactly as a test says: for faults no real scheduler produces on demand.

The real ones run in ``tests/adapters``; this one only decides which answer arrives and which is lost.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from portal.kernel.errors import Unavailable
from scheduler.jobs import ports

TRUTH: dict[str, dict[str, Any]] = {}
"""What is really on the cluster, by marker."""
PLAN: list[str] = []
"""How the next submissions end: ok, lost (placed, answer lost), dropped (never arrived), away, rejected."""
USAGE: list[ports.UsageRow] = []
"""What accounting has, whoever submitted it."""
DOUBT = {"find": False, "observe": False, "usage": False, "limits": False, "deaf": False, "waits": False}
"""What does not answer; ``deaf`` takes limits and changes nothing."""
LIMITS: dict[str, ports.AccountLimits] = {}
"""What accounts are held to, by name."""
COPIES: dict[str, list[ports.Ref]] = {}
"""Further jobs of a marker, which no submission of the portal should ever make."""
CALLS: list[str] = []
"""What was asked, in order."""
HOOKS: dict[str, Callable[[], object]] = {}
"""What happens meanwhile, by call: for races."""


def reset() -> None:
    TRUTH.clear()
    PLAN.clear()
    USAGE.clear()
    DOUBT.update(dict.fromkeys(DOUBT, False))
    LIMITS.clear()
    COPIES.clear()
    CALLS.clear()
    HOOKS.clear()


def called(name: str) -> None:
    CALLS.append(name)
    if hook := HOOKS.get(name):
        hook()


def ref(marker: str) -> ports.Ref:
    """Return how the cluster knows the job of a marker."""
    return ports.Ref(
        job_id=f"7{len(marker)}", submitted_at=datetime.fromisoformat("2026-11-25T02:00:00+00:00"), marker=marker
    )


class ScriptedCluster:
    def __init__(self, config: Mapping[str, Any]) -> None:
        self.config = config

    def submit(self, spec: ports.Spec, *, marker: str, first: bool = False):
        called("submit")
        step = PLAN.pop(0) if PLAN else "ok"
        if step == "away":
            return ports.NotSent("connection refused")
        if step == "rejected":
            return ports.RejectedBy("partition", "invalid partition")
        if step in {"ok", "lost"}:
            TRUTH.setdefault(marker, {"held": True, "spec": spec, "state": ports.ClusterState.QUEUED, "count": 0})
            TRUTH[marker]["count"] += 1
        if step in {"lost", "dropped"}:
            return ports.Unknown("read timed out")
        return ports.Accepted(ref(marker))

    def find(self, *, marker: str, since: datetime):
        called("find")
        if DOUBT["find"]:
            return ports.CannotTell("accounting does not answer")
        refs = [*COPIES.get(marker, []), *([ref(marker)] if marker in TRUTH else [])]
        return ports.Found(refs) if refs else ports.Absent()

    def release(self, ref: ports.Ref, *, user: str) -> None:
        called("release")
        TRUTH[ref.marker]["held"] = False

    def observe(self, refs: Sequence[ports.Ref]) -> list[ports.Observation]:
        called("observe")
        if DOUBT["observe"]:
            raise Unavailable
        return [TRUTH[ref.marker].get("seen") or self._queued(ref) for ref in refs]

    def _queued(self, ref: ports.Ref) -> ports.Observation:
        return ports.Observation(
            ref=ref,
            state=ports.ClusterState.QUEUED,
            raw_state="PENDING",
            as_of=datetime.now().astimezone(),
            reason="Resources",
        )

    def cancel(self, ref: ports.Ref, *, user: str) -> None:
        called("cancel")
        if ref in (copies := COPIES.get(ref.marker, [])):
            copies.remove(ref)
        else:
            TRUTH[ref.marker]["cancelled"] = True

    def cancel_task(self, ref: ports.Ref, *, user: str, task: int) -> bool:
        called("cancel_task")
        if DOUBT["waits"]:
            return False
        TRUTH[ref.marker].setdefault("tasks_cancelled", []).append(task)
        return True

    def usage(self, *, accounts: Sequence[str], since: datetime, until: datetime) -> list[ports.UsageRow]:
        if DOUBT["usage"]:
            raise Unavailable
        return [
            row
            for row in USAGE
            if row.account in accounts and (row.run.ended_at or until) >= since and row.run.submitted_at < until
        ]

    def log(self, ref: ports.Ref, *, offset: int, limit: int) -> ports.LogChunk:
        return ports.LogChunk(b"", offset, True)

    def health(self) -> ports.Health:
        return ports.Health(True, "scripted", "", datetime.now().astimezone())

    def read_limits(self, *, accounts: Sequence[str]) -> list[ports.AccountLimits]:
        if DOUBT["limits"]:
            raise Unavailable(detail="accounting does not answer")
        return [LIMITS[name] for name in accounts if name in LIMITS]

    def apply_limits(self, wanted: Sequence[ports.AccountLimits]) -> list[ports.AccountLimits]:
        names = [each.account for each in wanted]
        if not DOUBT["deaf"]:
            LIMITS.update({each.account: each for each in wanted})
        return self.read_limits(accounts=names)
