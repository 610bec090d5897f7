"""Answer the cluster port from the spool of a local runner. Reads and writes files; never waits for the runner."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import time
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations import logs, specs
from integrations.local import spool
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import (
    Absent,
    Accepted,
    CannotTell,
    ClusterState,
    Found,
    Health,
    LogChunk,
    NotSent,
    Observation,
    Ref,
    RejectedBy,
    Spec,
    Unknown,
)

__all__ = ["LocalCluster"]

BEAT_MAX_AGE_S = 5.0


class LocalCluster:
    """Config: `dir`, the runner's spool (default: the setting ``LOCAL_RUNNER_DIR``). Nothing else.

    A job placed while the runner is down waits in the spool; `health` says that it is down. `account` and `user` are
    recorded only: every job runs as a user id of its own, or as the runner's user where that is not root.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        if not (folder := config.get("dir")):
            from django.conf import settings

            folder = settings.LOCAL_RUNNER_DIR
        self.folder = Path(folder)
        self.jobs = self.folder / "jobs"

    def submit(self, spec: Spec, *, marker: str, first: bool = False) -> Accepted | RejectedBy | NotSent | Unknown:  # noqa: ARG002 - a look into the spool costs nothing
        """Place the job held. The directory's name is the marker, so a second call finds the first one's job."""
        if refused := specs.refusal(spec, marker):
            return refused
        try:
            capacity = spool.read(self.folder / "capacity.json")
            if capacity is None:
                return NotSent("no runner has worked on this spool yet")
            if refused := _over(spec, capacity):
                return refused
            return self._accepted(self.jobs / marker) or self._place(spec, marker)
        except OSError as error:
            # A directory gets its name last and at once: whatever failed, the job is not there.
            return NotSent(str(error))

    def find(self, *, marker: str, since: datetime) -> Found | Absent | CannotTell:
        try:
            if not self.jobs.is_dir():
                return CannotTell("no spool")
            accepted = self._accepted(self.jobs / marker)
        except OSError as error:
            return CannotTell(str(error))
        if accepted is None or accepted.ref.submitted_at < since:
            return Absent()
        return Found([accepted.ref])

    def release(self, ref: Ref, *, user: str) -> None:  # noqa: ARG002 - the spool knows no users
        job = self._job(ref)
        if job is None:
            raise Rejected(reason="gone")
        try:
            with contextlib.suppress(FileExistsError):
                (job / "released").touch(exist_ok=False)  # the first release keeps its place in the queue
        except OSError as error:
            raise Unavailable from error

    def observe(self, refs: Sequence[Ref]) -> list[Observation]:
        if not self.jobs.is_dir():
            raise Unavailable
        try:
            return [self._observe(ref) for ref in refs]
        except OSError as error:
            raise Unavailable from error

    def cancel(self, ref: Ref, *, user: str) -> None:  # noqa: ARG002
        """Stop the job: at once if nothing has claimed it yet, else by its shim within a moment."""
        job = self._job(ref)
        if job is None:
            return
        try:
            if spool.create(job / "claim.json", {"by": "cancel", "who": ""}):
                end = {"state": "cancelled", "exit_code": None, "reason": "", "elapsed_s": 0}
                spool.create(job / "exit.json", {**end, "at": time.time()})
            else:
                (job / "cancel").touch()
        except OSError as error:
            raise Unavailable from error

    def log(self, ref: Ref, *, offset: int, limit: int) -> LogChunk:
        if not specs.MARKER.fullmatch(ref.marker):
            raise ValueError(f"not a marker: {ref.marker!r}")
        return logs.read(self.jobs, (ref.marker, "output"), offset=offset, limit=limit)

    def health(self) -> Health:
        now = datetime.now(UTC)
        try:
            beat = spool.read(self.folder / "heartbeat.json")
        except (OSError, ValueError) as error:
            return Health(ok=False, version="", detail=str(error), as_of=now)
        if beat is None:
            return Health(ok=False, version="", detail="no runner", as_of=now)
        age = now.timestamp() - beat["at"]
        ok = age <= BEAT_MAX_AGE_S
        detail = f"isolation {beat['isolation']}, {beat['running']} running" if ok else f"silent for {age:.0f} s"
        return Health(ok=ok, version=f"runner {beat['version']}", detail=detail, as_of=now)

    # the spool

    def _job(self, ref: Ref) -> Path | None:
        """Return the job's directory; None when the spool holds no such job, or another one under this marker."""
        accepted = self._accepted(self.jobs / ref.marker) if specs.MARKER.fullmatch(ref.marker) else None
        same = accepted and (accepted.ref.job_id, accepted.ref.submitted_at) == (ref.job_id, ref.submitted_at)
        return self.jobs / ref.marker if same else None

    def _accepted(self, job: Path) -> Accepted | None:
        spec = spool.read(job / "spec.json")
        if spec is None:
            return None
        granted = {name: spec[name] for name in ("cpus", "cards", "memory_mb", "time_limit_s", "account")}
        submitted_at = datetime.fromtimestamp(spec["submitted_at"], UTC)
        return Accepted(Ref(str(spec["job_id"]), submitted_at, job.name), granted)

    def _place(self, spec: Spec, marker: str) -> Accepted | NotSent:
        number = self._next_number()
        incoming = self.folder / "incoming" / f"{marker}.{uuid.uuid4().hex}"
        incoming.mkdir(mode=0o700)
        try:
            (incoming / "script").write_text(spec.script, encoding="utf-8", newline="")
            fields = ("partition", "cpus", "memory_mb", "cards", "card_type", "time_limit_s", "account", "user")
            value = {name: getattr(spec, name) for name in fields}
            value |= {"job_id": number, "submitted_at": time.time(), "environment": dict(spec.environment)}
            spool.write(incoming / "spec.json", value)
            with contextlib.suppress(FileExistsError, NotADirectoryError):
                _rename_new(incoming, self.jobs / marker)
        finally:
            shutil.rmtree(incoming, ignore_errors=True)
        return self._accepted(self.jobs / marker) or NotSent("the spool was emptied meanwhile")

    def _next_number(self) -> int:
        with (self.folder / "sequence").open("a+") as handle:
            fcntl.flock(handle, fcntl.LOCK_EX)
            handle.seek(0)
            number = int(handle.read() or 0) + 1
            handle.seek(0)
            handle.truncate()
            handle.write(str(number))
        return number

    def _observe(self, ref: Ref) -> Observation:
        as_of = datetime.now(UTC)
        job = self._job(ref)
        if job is None:
            return Observation(ref, ClusterState.UNKNOWN, "ABSENT", as_of, gone=True)
        # In this order: whoever writes does so in the opposite one, so nothing is seen half.
        end, started = spool.read(job / "exit.json"), spool.read(job / "started.json")
        claim, grant = spool.read(job / "claim.json"), spool.read(job / "grant.json")
        share = {"cpus": grant["cpus"], "cards": len(grant["cards"]), "memory_mb": grant["memory_mb"]} if grant else {}
        started_at = datetime.fromtimestamp(started["at"], UTC) if started else None
        if end is not None:
            return Observation(
                ref,
                ClusterState(end["state"]),
                end["state"].upper(),
                as_of,
                reason=end["reason"],
                started_at=started_at,
                ended_at=datetime.fromtimestamp(end["at"], UTC),
                elapsed_s=end["elapsed_s"] if started else None,
                exit_code=end["exit_code"],
                **(share if started else {}),
            )
        if started_at is not None:
            elapsed = max(0, int((as_of - started_at).total_seconds()))
            return Observation(
                ref, ClusterState.RUNNING, "RUNNING", as_of, started_at=started_at, elapsed_s=elapsed, **share
            )
        if claim is not None or grant is not None:
            return Observation(ref, ClusterState.STARTING, "STARTING", as_of, **share)
        reason = "Resources" if (job / "released").exists() else "JobHeldUser"
        return Observation(ref, ClusterState.QUEUED, "QUEUED", as_of, reason=reason)


def _rename_new(source: Path, target: Path) -> None:
    """Rename a directory to a name that must not exist; raises FileExistsError when it does (rename(2): not empty)."""
    try:
        source.rename(target)
    except OSError as error:
        if target.is_dir():
            raise FileExistsError(target) from error
        raise


def _over(spec: Spec, capacity: Mapping[str, Any]) -> RejectedBy | None:
    """Return why the runner could never run `spec`, or None."""
    if capacity["partitions"] and spec.partition not in capacity["partitions"]:
        return RejectedBy("partition", spec.partition)
    if spec.work_dir:
        return RejectedBy("access", "every local job has a private directory of its own")
    if spec.cards and spec.card_type and capacity["card_type"] not in ("", spec.card_type):
        return RejectedBy("resources", f"card type {spec.card_type}")
    for name in ("cpus", "cards", "memory_mb"):
        if getattr(spec, name) > capacity[name]:
            return RejectedBy("resources", f"{name} {getattr(spec, name)} > {capacity[name]}")
    if spec.time_limit_s > capacity["longest_s"]:
        return RejectedBy("time_limit", f"{spec.time_limit_s} s > {capacity['longest_s']} s")
    return None
