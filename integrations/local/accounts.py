"""Keep what an organisation's account may use of a local runner in the spool; the runner itself holds everyone to it."""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from integrations.local import spool, units
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.capabilities import AccountLimits

__all__ = ["apply", "locked", "read", "refusal"]

NAME = re.compile(r"[a-zA-Z][a-zA-Z0-9_.-]{0,39}")
BOUNDS = ("running_card_minutes", "running_cpu_minutes", "cards", "cpus", "submitted")


def _path(folder: Path, account: str) -> Path:
    if not NAME.fullmatch(account):
        raise Rejected(reason=f"account {account!r}")
    return folder / "limits" / f"{account}.json"


def read(folder: Path, accounts: Sequence[str]) -> list[AccountLimits]:
    """Return the limits of those of `accounts` that exist. Raises Unavailable, Rejected."""
    try:
        found = [(account, spool.read(_path(folder, account))) for account in accounts]
    except (OSError, ValueError) as error:
        raise Unavailable from error
    return [
        AccountLimits(account=account, users=tuple(value["users"]), **{name: value[name] for name in BOUNDS})
        for account, value in found
        if value is not None
    ]


def apply(folder: Path, wanted: Sequence[AccountLimits]) -> list[AccountLimits]:
    """Set limits and return them read back; users are only ever added. Raises Unavailable, Rejected."""
    for one in wanted:
        path = _path(folder, one.account)
        if any((bound := getattr(one, name)) is not None and bound < 0 for name in BOUNDS):
            raise Rejected(reason=f"negative limit for {one.account}")
        try:
            path.parent.mkdir(mode=0o755, exist_ok=True)
            known = spool.read(path) or {"users": []}
            users = sorted({*known["users"], *one.users})
            spool.write(path, {"users": users, **{name: getattr(one, name) for name in BOUNDS}})
        except (OSError, ValueError) as error:
            raise Unavailable from error
    return read(folder, [one.account for one in wanted])


def refusal(folder: Path, account: str, more: int) -> str:
    """Return why `account` may not have `more` jobs waiting or running, or "". Each task of an array counts."""
    value = spool.read(_path(folder, account)) if NAME.fullmatch(account) else None
    if value is None or value["submitted"] is None:
        return ""
    if value["submitted"] == 0 or _waiting_or_running(folder, account) + more > value["submitted"]:
        return "AssocGrpSubmitJobsLimit"
    return ""


def _waiting_or_running(folder: Path, account: str) -> int:
    count = 0
    for job in (folder / "jobs").iterdir():
        spec = spool.read(job / "spec.json")
        if spec is not None and spec["account"] == account:
            count += sum(units.last(job, spec, task).end is None for task in units.slots(spec))
    return count


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Let one submission at a time count and place."""
    with (folder / "limits.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
