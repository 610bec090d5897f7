"""Write the end of a run whose shim is gone: a killed host, an out-of-memory kill."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from integrations.local import spool
from integrations.local.units import Unit

__all__ = ["bury", "session_of"]


def bury(unit: Unit, spec: Mapping[str, Any], claim: Mapping[str, Any]) -> None:
    """End the processes the run left behind, then write how it ended; until they are gone, write nothing."""
    if (unit.folder / "exit.json").exists():
        return
    started = spool.read(unit.folder / "started.json")
    cancelled = unit.is_cancelled
    if claim["by"] == "cancel":
        end = {"state": "cancelled", "reason": claim.get("reason", "")}
    elif started is None:
        again = bool(spec.get("requeue")) and claim["by"] == "shim" and not cancelled
        end = {"state": "interrupted" if again else "launch_failed", "reason": "JobLaunchFailure: shim"}
    else:
        orphans = session_of(started["session"], unit)
        for pid in orphans:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        if orphans:
            return  # look again when they are gone
        end = {"state": "cancelled", "reason": ""} if cancelled else {"state": "interrupted", "reason": "NodeDown"}
    elapsed = min(int(time.time() - started["at"]), spec["time_limit_s"]) if started else 0
    spool.create(unit.folder / "exit.json", {**end, "exit_code": None, "elapsed_s": elapsed, "at": time.time()})


def session_of(session: int, unit: Unit) -> list[int]:
    """Return live processes of a run whose shim is gone: same session *and* the job's marker (and task) in the environment.

    Both, because a session number alone may have been given to somebody else since.
    """
    wanted = {f"JOB_MARKER={unit.job.name}".encode()}
    if unit.task is not None:
        wanted.add(f"SLURM_ARRAY_TASK_ID={unit.task}".encode())
    found = []
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                fields = Path(entry.path, "stat").read_text().rpartition(")")[2].split()
                marked = wanted <= set(Path(entry.path, "environ").read_bytes().split(b"\0"))
                if fields[0] not in "ZX" and marked and (int(fields[3]) == session or int(fields[1]) == 1):
                    found.append(int(entry.name))
    return found
