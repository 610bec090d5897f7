"""The spool that portal, runner and shims share. Every change of state is one atomic file; nothing is ever rewritten.

``jobs/<marker>/``
  ``spec.json``, ``script``  there before the directory gets its name: the job is on the cluster, held
  ``released``               the portal lets it start (its time is its place in the queue)
  ``cancel``                 the portal wants it stopped; in ``task-N/`` that task alone
and per run, in that directory or one beneath it (``units.py``)
  ``grant.json``             the runner gave it cpus, cards and a user, and starts its shim
  ``claim.json``             created exclusively by whoever decides its fate: its shim, or a cancel before the start
  ``started.json``           the script runs: its session, since when
  ``exit.json``              how it ended
  ``output``                 what it printed, both streams; later runs write on

``staged/<marker>/`` holds files for a job not yet released, ``limits/`` what accounts may use, ``board.json`` what the
runner says of its queue.

Because ``claim.json`` can be created only once, a run happens at most once however often runner and portal are killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["alive", "create", "identity", "read", "write"]

BOOT = Path("/proc/sys/kernel/random/boot_id")


def read(path: Path) -> dict[str, Any] | None:
    """Return the JSON object in `path`, None when there is no such file."""
    try:
        value: dict[str, Any] = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    return value


def write(path: Path, value: Mapping[str, Any]) -> None:
    """Write `path` whole or not at all, replacing what was there."""
    temporary = _written(path, value)
    temporary.replace(path)


def create(path: Path, value: Mapping[str, Any]) -> bool:
    """Create `path` whole; return False when it exists already. Exactly one of many callers gets True."""
    temporary = _written(path, value)
    try:
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink()
    return True


def _written(path: Path, value: Mapping[str, Any]) -> Path:
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    with temporary.open("x") as handle:
        # Portal and runner may be different users; who else may look in here, the directories say.
        os.fchmod(handle.fileno(), 0o644)
        json.dump(value, handle)
        handle.flush()
        os.fsync(handle.fileno())
    return temporary


def identity(pid: int) -> str | None:
    """Return ``pid-starttime-boot`` of a live process, None for none or a zombie: a recycled pid is another identity."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        boot = BOOT.read_text()[:8]
    except OSError:
        return None
    return None if fields[0] in "ZX" else f"{pid}-{fields[19]}-{boot}"


def alive(who: str) -> bool:
    with contextlib.suppress(ValueError):
        return bool(who) and identity(int(who.partition("-")[0])) == who
    return False
