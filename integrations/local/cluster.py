"""Answer the cluster port from the spool of a local runner. Reads and writes files; never waits for the runner."""

from __future__ import annotations

import contextlib
import fcntl
import math
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from integrations import beneath, logs, specs
from integrations.local import accounts as account_limits
from integrations.local import observing, spool, units
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import (
    Absent,
    Accepted,
    AccountLimits,
    CannotTell,
    Capabilities,
    Capacity,
    Feature,
    FileEntry,
    Found,
    Health,
    LogChunk,
    NotSent,
    Observation,
    Ref,
    RejectedBy,
    Spec,
    Unknown,
    UsageRow,
)

__all__ = ["LocalCluster"]

BEAT_MAX_AGE_S = 5.0
HIDDEN = frozenset({"script", "tmp"})
"""What the shim keeps in a job's directory for itself."""
CHECKED = "checked"
"""Stands for a marker where a spec is only looked at."""


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

    def capabilities(self) -> Capabilities:
        total = self._total()
        return Capabilities(
            name="local",
            release=f"runner {total['version']}",
            version="",
            features=frozenset(Feature),
            guard_s=math.ceil(total["kill_wait_s"]) + 5,
            max_array_size=units.MAX_ARRAY,
            min_job_age_s=365 * 86_400,
        )

    def check(self, spec: Spec) -> Sequence[RejectedBy]:
        total = self._total()
        try:
            return list(self._grounds(spec, total))
        except OSError as error:
            raise Unavailable from error

    def submit(self, spec: Spec, *, marker: str, first: bool = False) -> Accepted | RejectedBy | NotSent | Unknown:  # noqa: ARG002 - a look into the spool costs nothing
        """Place the job held. The directory's name is the marker, so a second call finds the first one's job."""
        if refused := specs.refusal(spec, marker):
            return refused
        try:
            total = spool.read(self.folder / "capacity.json")
            if total is None:
                return NotSent("no runner has worked on this spool yet")
            with account_limits.locked(self.folder):
                if known := self._accepted(self.jobs / marker):
                    return known
                for refused in self._grounds(spec, total):
                    return refused
                return self._place(spec, marker)
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
            board = self._board()
            return [
                observing.observation(ref, job, board) if (job := self._job(ref)) else observing.gone(ref)
                for ref in refs
            ]
        except OSError as error:
            raise Unavailable from error

    def cancel(self, ref: Ref, *, user: str) -> None:  # noqa: ARG002
        """Stop the job: what nothing has claimed yet at once, the rest by its shims within a moment."""
        job = self._job(ref)
        if job is None:
            return
        try:
            spec = spool.read(job / "spec.json") or {}
            newest = [units.last(job, spec, task) for task in units.slots(spec)]
            if all(seen.end is not None for seen in newest):
                return
            (job / "cancel").touch()
            for seen in newest:
                if seen.end is None:
                    _withdraw(seen.unit)
        except OSError as error:
            raise Unavailable from error

    def cancel_task(self, ref: Ref, *, user: str, task: int) -> bool:  # noqa: ARG002
        job = self._job(ref)
        if job is None:
            return True
        try:
            spec = spool.read(job / "spec.json") or {}
            if task in units.slots(spec):
                newest = units.last(job, spec, task)
                if newest.end is None:
                    (newest.unit.base / "cancel").touch()
                    _withdraw(newest.unit)
        except OSError as error:
            raise Unavailable from error
        return True

    def log(self, ref: Ref, *, offset: int, limit: int) -> LogChunk:
        """Read output: of an array that of its tasks in order, each once those before it have ended.

        With a number under ``task`` in the reference's data, only that task's.
        """
        if not specs.MARKER.fullmatch(ref.marker):
            raise ValueError(f"not a marker: {ref.marker!r}")
        spec = spool.read(self.jobs / ref.marker / "spec.json") or {}
        if not spec.get("array"):
            return logs.read(self.jobs, (ref.marker, "output"), offset=offset, limit=limit)
        if (task := ref.data.get("task")) is not None:
            return logs.read(self.jobs, (ref.marker, f"task-{int(task)}", "output"), offset=offset, limit=limit)
        return self._joined(ref, spec, offset=offset, limit=limit)

    def _joined(self, ref: Ref, spec: Mapping[str, Any], *, offset: int, limit: int) -> LogChunk:
        before = 0
        for task in units.tasks_of(spec["array"]):
            parts = (ref.marker, f"task-{task}", "output")
            ended = units.last(self.jobs / ref.marker, spec, task).end is not None
            path = self.jobs.joinpath(*parts)
            size = path.lstat().st_size if path.exists() else 0
            if offset < before + size or not ended:
                part = logs.read(self.jobs, parts, offset=max(0, offset - before), limit=limit)
                here = before + part.next_offset if offset >= before else offset
                return LogChunk(part.data, here, eof=part.eof and not (ended and task != units.slots(spec)[-1]))
            before += size
        if offset < 0 or not 1 <= limit <= logs.MAX_CHUNK:
            raise ValueError(f"offset {offset}, limit {limit}")
        return LogChunk(b"", offset, eof=True)

    def usage(self, *, accounts: Sequence[str], since: datetime, until: datetime) -> list[UsageRow]:
        if not self.jobs.is_dir():
            raise Unavailable
        try:
            return observing.usage(self.jobs, accounts, since, until)
        except (OSError, ValueError) as error:
            raise Unavailable from error

    def capacity(self) -> Capacity:
        board = self._board()
        if board is None or time.time() - board["at"] > BEAT_MAX_AGE_S:
            raise Unavailable
        return observing.capacity(self._total(), board)

    def read_limits(self, *, accounts: Sequence[str]) -> list[AccountLimits]:
        if not self.jobs.is_dir():
            raise Unavailable
        return account_limits.read(self.folder, accounts)

    def apply_limits(self, wanted: Sequence[AccountLimits]) -> list[AccountLimits]:
        if not self.jobs.is_dir():
            raise Unavailable
        return account_limits.apply(self.folder, wanted)

    def put_file(self, *, marker: str, user: str, path: str, offset: int, data: bytes) -> int:  # noqa: ARG002
        """Stage a file, 0600, for a job not yet released; the runner makes it the job's when it starts."""
        if not specs.MARKER.fullmatch(marker):
            raise ValueError(f"not a marker: {marker!r}")
        if beneath.parts_of(path)[0] in HIDDEN:
            raise Rejected(reason=f"path: {path.partition('/')[0]} is the runner's own")
        if (self.jobs / marker / "released").exists():
            raise Rejected(reason="the job has been released")
        root = self.folder / "staged" / marker
        try:
            root.mkdir(mode=0o700, parents=True, exist_ok=True)
            return beneath.put(root, path, offset=offset, data=data)
        except OSError as error:
            raise Unavailable from error

    def files(self, ref: Ref) -> list[FileEntry]:
        """List the job's directory. As another user than the runner's: once the job has ended."""
        try:
            return beneath.listed(self._work(ref), hidden=HIDDEN | self._scripts(ref))
        except FileNotFoundError:
            return []
        except OSError as error:
            raise Unavailable from error

    def read_file(self, ref: Ref, *, path: str, offset: int, limit: int) -> LogChunk:
        if beneath.parts_of(path)[0] in HIDDEN:
            raise Rejected(reason="path: not a file of the job")
        try:
            return beneath.read(self._work(ref), path, offset=offset, limit=limit)
        except FileNotFoundError as error:
            raise Rejected(reason="path: no such file") from error
        except OSError as error:
            raise Unavailable from error

    def remove_file(self, ref: Ref, *, user: str, path: str) -> None:  # noqa: ARG002
        job = self._job(ref)
        if job is None:
            return
        try:
            for root in (self.folder / "staged" / job.name, self._work(ref)):
                beneath.remove(root, path)
        except OSError as error:
            raise Unavailable from error

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

    def _total(self) -> dict[str, Any]:
        try:
            total = spool.read(self.folder / "capacity.json")
        except (OSError, ValueError) as error:
            raise Unavailable from error
        if total is None:
            raise Unavailable
        return {"kill_wait_s": 30.0, "work": str(self.folder / "work"), "version": "1", **total}

    def _board(self) -> dict[str, Any] | None:
        try:
            return spool.read(self.folder / "board.json")
        except ValueError:
            return None

    def _scripts(self, ref: Ref) -> frozenset[str]:
        spec = spool.read(self.jobs / ref.marker / "spec.json") or {}
        return frozenset(f"script.{task}" for task in units.slots(spec) if task is not None)

    def _work(self, ref: Ref) -> Path:
        job = self._job(ref)
        if job is None:
            raise Rejected(reason="gone")
        return Path(self._total()["work"]) / job.name

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
            value |= {"array": spec.array, "requeue": spec.requeue, "environment": dict(spec.environment)}
            value |= {"job_id": number, "submitted_at": time.time()}
            value["after"] = [{"marker": after.ref.marker, "kind": after.kind} for after in spec.after]
            for task in units.slots(value):
                if task is not None:
                    (incoming / f"task-{task}").mkdir(mode=0o755)
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

    def _grounds(self, spec: Spec, total: Mapping[str, Any]) -> Iterator[RejectedBy]:
        """Yield every ground on which `spec` is refused. Raises OSError."""
        if refused := specs.refusal(spec, CHECKED):
            yield refused
        yield from _over(spec, total)
        for after in spec.after:
            if self._job(after.ref) is None:
                yield RejectedBy("other", f"dependency on {after.ref.job_id}, which is not here")
        try:
            tasks = len(units.tasks_of(spec.array)) if spec.array else 1
            units.together(spec.array)
        except ValueError as error:
            yield RejectedBy("other", str(error))
            return
        if reason := account_limits.refusal(self.folder, spec.account, tasks):
            yield RejectedBy("limit", reason)


def _withdraw(unit: units.Unit) -> None:
    """Claim a run nobody has claimed yet, so that it never starts."""
    unit.folder.mkdir(mode=0o755, exist_ok=True)
    if spool.create(unit.folder / "claim.json", {"by": "cancel", "who": ""}):
        end = {"state": "cancelled", "exit_code": None, "reason": "", "elapsed_s": 0}
        spool.create(unit.folder / "exit.json", {**end, "at": time.time()})


def _rename_new(source: Path, target: Path) -> None:
    """Rename a directory to a name that must not exist; raises FileExistsError when it does (rename(2): not empty)."""
    try:
        source.rename(target)
    except OSError as error:
        if target.is_dir():
            raise FileExistsError(target) from error
        raise


def _over(spec: Spec, total: Mapping[str, Any]) -> Iterator[RejectedBy]:
    """Yield why the runner could never run `spec`."""
    if total["partitions"] and spec.partition not in total["partitions"]:
        yield RejectedBy("partition", spec.partition)
    if spec.work_dir:
        yield RejectedBy("access", "every local job has a private directory of its own")
    if spec.cards and spec.card_type and total["card_type"] not in ("", spec.card_type):
        yield RejectedBy("resources", f"card type {spec.card_type}")
    for name in ("cpus", "cards", "memory_mb"):
        if getattr(spec, name) > total[name]:
            yield RejectedBy("resources", f"{name} {getattr(spec, name)} > {total[name]}")
    if spec.time_limit_s > total["longest_s"]:
        yield RejectedBy("time_limit", f"{spec.time_limit_s} s > {total['longest_s']} s")
