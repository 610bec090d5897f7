"""Keep one job: start its script, watch limit, memory and cancel, end it with all its children, write how it ended.

``python -m integrations.local.shim JOB_DIR TASK NO WORK_DIR KILL_WAIT_S [HIDDEN…]``, started by the runner and independent of it:
it outlives a killed runner and a stopped portal. TASK is "" for a job that is no array, NO counts runs from 1. As root it stays root and only the script becomes another user, so a
job can neither end its keeper nor write its own result.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from integrations.local import sandbox, spool
from integrations.local.units import Unit, tasks_of

__all__ = ["main"]

TICK_S = 0.2
MEASURE_S = 1.0
PAGE = os.sysconf("SC_PAGE_SIZE")
REASONS = {"interrupted": "NodeDown", "cancelled": "", "timed_out": "TimeLimit", "out_of_memory": "OutOfMemory"}
"""Why a job was stopped, in the words Slurm has for it (job_reason_string, slurm_protocol_defs.c)."""


class Shim:
    """One run from claim to exit. `work` is the job's private directory, made by the runner; tasks share it."""

    def __init__(self, unit: Unit, work: Path, kill_wait_s: float, hidden: Sequence[str] = ()) -> None:
        self.unit, self.work, self.kill_wait_s, self.hidden = unit, work, kill_wait_s, hidden
        self.spec = spool.read(unit.job / "spec.json") or {}
        self.grant = spool.read(unit.folder / "grant.json") or {}
        self.status: int | None = None
        self.stopped_for = ""

    def run(self) -> None:
        """Claim the job; whoever claimed it before has decided its fate already."""
        claim = {"by": "shim", "who": spool.identity(os.getpid())}
        if not spool.create(self.unit.folder / "claim.json", claim):
            return
        sandbox.become_subreaper()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})
        script = self._place_script()
        failures, failed = os.pipe2(os.O_CLOEXEC)
        gate, opened = os.pipe2(os.O_CLOEXEC)
        output = self._open_output()
        self.child = os.fork()
        if self.child == 0:
            os.close(opened)
            self._become(script, output, gate, failed)
        for handle in (failed, gate, output):
            os.close(handle)
        began = time.monotonic()
        # The child waits at the gate until this is written: no started.json, then the script has not run.
        spool.create(self.unit.folder / "started.json", {"session": self.child, "at": time.time()})
        with contextlib.suppress(BrokenPipeError):  # it failed before the gate, and says why below
            os.write(opened, b"!")
        os.close(opened)
        with os.fdopen(failures, "rb") as pipe:
            failure = pipe.read().decode()
        self._watch(began)
        elapsed = time.monotonic() - began
        self._end_family()
        end = {**self._outcome(failure), "elapsed_s": int(elapsed), "at": time.time()}
        spool.create(self.unit.folder / "exit.json", end)

    # the start

    def _place_script(self) -> str:
        """Put the script into the work directory, 0700, owned by the user who will run it."""
        path = self.work / ("script" if self.unit.task is None else f"script.{self.unit.task}")
        path.unlink(missing_ok=True)  # the run before left it
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o700)
        with os.fdopen(handle, "wb") as target:
            target.write((self.unit.job / "script").read_bytes())
            if self.grant.get("uid") is not None:
                os.fchown(handle, self.grant["uid"], self.grant["uid"])
        return str(path)

    def _open_output(self) -> int:
        """Create the output file; owned by the job's user, who may reopen /dev/stdout, readable to the portal's group.

        A run after a lost one writes on where that one stopped, so that an offset into the log stays good.
        """
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        flags |= os.O_EXCL if self.unit.no == 1 else 0
        output = os.open(self.unit.base / "output", flags, 0o600)
        os.fchmod(output, 0o640)
        if self.grant.get("uid") is not None:
            os.fchown(output, self.grant["uid"], self.unit.job.stat().st_gid)
        return output

    def _become(self, script: str, output: int, gate: int, failed: int) -> None:
        """Turn the forked child into the script, through its own interpreter line; report errno when that fails."""
        try:
            os.setsid()
            null = os.open("/dev/null", os.O_RDONLY)
            for source, target in ((null, 0), (output, 1), (output, 2)):
                os.dup2(source, target)
            os.nice(5)
            os.umask(0o077)
            uid = self.grant.get("uid")
            os.chdir(self.work)
            sandbox.limit(memory_mb=self.spec["memory_mb"], alone=uid is not None)
            sandbox.own_ipc()
            sandbox.drop_user(uid)
            if self.hidden:
                sandbox.hide(self.hidden)
            sandbox.die_with_parent()
            sandbox.fence(self.work, alone=uid is not None)
            if os.read(gate, 1) != b"!":
                return
            signal.pthread_sigmask(signal.SIG_SETMASK, set())
            for number in (signal.SIGPIPE, signal.SIGXFSZ):
                signal.signal(number, signal.SIG_DFL)
            os.execve(script, [script], self._environment())  # noqa: S606 - no shell is the point
        except OSError as error:
            os.write(failed, os.strerror(error.errno or 0).encode())
        except Exception as error:
            os.write(failed, repr(error).encode())
        finally:
            os._exit(127)

    def _environment(self) -> dict[str, str]:
        cards = ",".join(map(str, self.grant["cards"]))
        return {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "LANG": "C.UTF-8",
            "HOME": str(self.work),
            "TMPDIR": str(self.work / "tmp"),
            "USER": "job",
            "LOGNAME": "job",
            "SHELL": "/bin/sh",
            "OMP_NUM_THREADS": str(self.spec["cpus"]),
            "JOB_ID": str(self.spec["job_id"]),
            "JOB_MARKER": self.unit.job.name,
            "CUDA_VISIBLE_DEVICES": cards,
            **self._task(),
            **self.spec["environment"],
        }

    def _task(self) -> dict[str, str]:
        """Return what a task of an array is told, under the names Slurm has for it (sbatch(1), output environment)."""
        if self.unit.task is None:
            return {}
        numbers = tasks_of(self.spec["array"])
        return {
            "SLURM_ARRAY_JOB_ID": str(self.spec["job_id"]),
            "SLURM_ARRAY_TASK_ID": str(self.unit.task),
            "SLURM_ARRAY_TASK_COUNT": str(len(numbers)),
            "SLURM_ARRAY_TASK_MIN": str(numbers[0]),
            "SLURM_ARRAY_TASK_MAX": str(numbers[-1]),
        }

    # the watch

    def _watch(self, began: float) -> None:
        """Wait until the script has ended, stopping it for the first of: cancel, wall limit, memory, runner's end."""
        deadline = began + self.spec["time_limit_s"]
        measure_at = began
        while not self._reap():
            now = time.monotonic()
            if self._asked_to_stop():
                self._stop("interrupted")
            elif self.unit.is_cancelled:
                self._stop("cancelled")
            elif now >= deadline:
                self._stop("timed_out")
            elif now >= measure_at:
                measure_at = now + MEASURE_S
                if sum(map(_resident, _family())) > self.spec["memory_mb"] << 20:
                    self._stop("out_of_memory")
            if not self.stopped_for:
                signal.sigtimedwait({signal.SIGCHLD, signal.SIGHUP}, TICK_S)

    def _asked_to_stop(self) -> bool:
        return bool(signal.sigpending() & {signal.SIGTERM})

    def _stop(self, reason: str) -> None:
        """TERM the whole family, wait, KILL what is left of it."""
        self.stopped_for = reason
        self._signal(signal.SIGTERM)
        end = time.monotonic() + self.kill_wait_s
        while not self._reap() and time.monotonic() < end:
            signal.sigtimedwait({signal.SIGCHLD}, TICK_S)
        self._end_family()

    def _end_family(self) -> None:
        """KILL every descendant until there is none; as their reaper no one of them escapes, whatever it forked."""
        while any(True for _ in _family()):
            self._signal(signal.SIGKILL)
            self._reap()
            signal.sigtimedwait({signal.SIGCHLD}, 0.02)
        self._reap()

    def _signal(self, number: signal.Signals) -> None:
        """Signal all descendants. Their pids cannot be recycled meanwhile: only this process reaps them."""
        for pid in _family():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, number)

    def _reap(self) -> bool:
        """Reap whoever ended; say whether the script itself has."""
        with contextlib.suppress(ChildProcessError):
            while True:
                pid, status = os.waitpid(-1, os.WNOHANG)
                if pid == 0:
                    break
                if pid == self.child:
                    self.status = status
        return self.status is not None

    def _outcome(self, failure: str) -> dict[str, Any]:
        if failure:
            return {"state": "launch_failed", "exit_code": None, "reason": f"JobLaunchFailure: {failure}"}
        if self.stopped_for:
            return {"state": self.stopped_for, "exit_code": None, "reason": REASONS[self.stopped_for]}
        code = os.waitstatus_to_exitcode(self.status or 0)
        if code == 0:
            return {"state": "succeeded", "exit_code": 0, "reason": ""}
        # As a shell says it: 128 + the signal that ended the script.
        return {"state": "failed", "exit_code": code if code > 0 else 128 - code, "reason": "NonZeroExitCode"}


def _family() -> Iterator[int]:
    """Yield this process's descendants, zombies left out."""
    children: dict[int, list[int]] = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                state, parent = Path(entry.path, "stat").read_text().rpartition(")")[2].split()[:2]
                if state not in "ZX":
                    children.setdefault(int(parent), []).append(int(entry.name))
    waiting = children.get(os.getpid(), [])
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting.extend(children.get(pid, []))


def _resident(pid: int) -> int:
    """Return resident bytes, pages shared with files left out."""
    try:
        _size, resident, shared = map(int, Path(f"/proc/{pid}/statm").read_text().split()[:3])
    except (OSError, ValueError):
        return 0
    return (resident - shared) * PAGE


def main(arguments: list[str]) -> int:
    job, task, number, work, kill_wait_s, *hidden = arguments
    os.umask(0o077)
    Shim(Unit(Path(job), int(task) if task else None, int(number)), Path(work), float(kill_wait_s), hidden).run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
