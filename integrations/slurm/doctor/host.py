"""Look at this machine: what runs slurmrestd, who exists, what the job root looks like. Standard library only.

Run beside the cluster: by the agent, or by `doctor` where slurmrestd is on the portal's own host.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

__all__ = ["look"]


def look(*, job_root: str, users: Sequence[str], jwks: str = "") -> dict[str, Any]:
    """Return facts as JSON-able values; nothing is changed. `jwks` is a path, "" for none."""
    return {
        "rest": _daemons("slurmrestd"),
        "uids": {name: _uid(name) for name in users},
        "job_root": {
            "path": job_root,
            "is_dir": Path(job_root).is_dir(),
            "users": {name: _folder(Path(job_root) / name) for name in users},
        },
        "jwks": _keys(jwks),
        "zone_offset_s": time.localtime().tm_gmtoff,
        "now": time.time(),
    }


def _daemons(name: str) -> list[dict[str, Any]]:
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, KeyError):
            argv = (entry / "cmdline").read_bytes().decode(errors="replace").rstrip("\0").split("\0")
            if os.path.basename(argv[0]) == name:  # noqa: PTH119 - a word of a command line, no path of ours
                found.append({"user": pwd.getpwuid(entry.stat().st_uid).pw_name, "argv": argv})
    return found


def _uid(name: str) -> int | None:
    try:
        return pwd.getpwnam(name).pw_uid
    except KeyError:
        return None


def _folder(path: Path) -> dict[str, Any]:
    try:
        status = path.lstat()
        owner = pwd.getpwuid(status.st_uid).pw_name
    except (OSError, KeyError):
        return {"is_dir": False}
    return {"is_dir": stat.S_ISDIR(status.st_mode), "owner": owner, "mode": stat.S_IMODE(status.st_mode)}


def _keys(path: str) -> list[dict[str, str]] | None:
    """Return the keys' names and kinds; of a private part only that it is there."""
    if not path:
        return None
    try:
        keys = json.loads(Path(path).read_text())["keys"]
        return [
            {name: str(key[name]) if name in {"kid", "alg", "kty"} else "…" for name in key}
            for key in keys
            if isinstance(key, dict)
        ]
    except (OSError, ValueError, KeyError, TypeError):
        return None
