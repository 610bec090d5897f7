"""Try on the live cluster whether two jobs of one name wait for each other. Places two tiny jobs and cancels them."""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from typing import Any

from integrations.slurm.doctor.snapshot import Unseen
from integrations.slurm.wire import Kind, Lost, NotReached, Wire

__all__ = ["singleton"]

PATIENCE_S = 30
SCRIPT = "#!/bin/sh\nsleep 60\n"


def singleton(wire: Wire, *, version: str, user: str, account: str, partition: str) -> str:
    """Return ``waits`` when the second job stays behind the first, or what it did. Raises Unseen."""
    name = f"gxdoctor{secrets.token_hex(6)}"
    placed: list[int] = []
    try:
        placed.append(_place(wire, version, user, _body(version, name, account, partition)))
        _until(wire, version, user, placed[0], {"RUNNING"})
        placed.append(_place(wire, version, user, _body(version, name, account, partition)))
        end = time.monotonic() + 8
        while time.monotonic() < end:  # Slurm looks at a singleton seconds after the submission
            state, reason = _state(wire, version, user, placed[1])
            if state == "PENDING" and reason == "Dependency":
                return "waits"
            if state in {"RUNNING", "COMPLETING", "COMPLETED"}:
                return f"{state} beside the first"
            time.sleep(0.5)
        return f"{state} {reason}"
    except (NotReached, Lost) as error:
        raise Unseen(f"probe: {error}") from error
    finally:
        for job_id in placed:
            wire.send("DELETE", f"/slurm/{version}/job/{job_id}", user=user)


def _body(version: str, name: str, account: str, partition: str) -> Mapping[str, Any]:
    job: dict[str, Any] = {
        "name": name,
        "account": account,
        "partition": partition,
        "time_limit": 2,
        "dependency": "singleton",
        "current_working_directory": "/tmp",  # noqa: S108 - it writes nothing
        "standard_output": "/dev/null",
        "standard_error": "/dev/null",
        "environment": {"PATH": "/usr/bin:/bin"},
    }
    if version == "v0.0.38":
        return {"job": job, "script": SCRIPT}
    number = {"set": True, "infinite": False, "number": 2}
    return {"job": {**job, "environment": ["PATH=/usr/bin:/bin"], "time_limit": number, "script": SCRIPT}}


def _place(wire: Wire, version: str, user: str, body: Mapping[str, Any]) -> int:
    answer = wire.send("POST", f"/slurm/{version}/job/submit", user=user, body=body)
    job_id = answer.body.get("job_id")
    if not isinstance(job_id, int) or job_id < 1:
        raise Unseen(f"probe: {answer.words}")
    return job_id


def _state(wire: Wire, version: str, user: str, job_id: int) -> tuple[str, str]:
    answer = wire.get(f"/slurm/{version}/job/{job_id}", user=user)
    jobs = answer.body.get("jobs") or []
    if answer.kind is not Kind.FINE or not jobs:
        raise Unseen(f"probe: {answer.words}")
    state = jobs[0].get("job_state")
    return str(state[0] if isinstance(state, list) and state else state), str(jobs[0].get("state_reason"))


def _until(wire: Wire, version: str, user: str, job_id: int, states: set[str]) -> None:
    end = time.monotonic() + PATIENCE_S
    while (found := _state(wire, version, user, job_id))[0] not in states:
        if time.monotonic() > end:
            raise Unseen(f"probe: the first job did not start: {' '.join(found)}")
        time.sleep(0.5)
