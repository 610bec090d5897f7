"""Answer the cluster port through slurmrestd.

A job is placed held under its marker, read back and compared with what was asked, and only then released. Its
identity is (job id, submit time, marker): after a crash of slurmctld ids are given again. Whether a lost submission
arrived is decided by two witnesses, controller and accounting, and only their clean answers count.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from integrations import logs, specs
from integrations.slurm import codec, history, observing, standing, submitting
from integrations.slurm.agent_client import AgentClient, agent_from
from integrations.slurm.limits import Limits
from integrations.slurm.link import NO_ANSWER, Link
from integrations.slurm.tokens import NoToken, check_user, source_from
from integrations.slurm.wire import Wire
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs import arrays
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

__all__ = ["SlurmCluster"]

_NO_FILES = "slurmrestd moves no files: this needs the agent beside the cluster"


@dataclass(frozen=True, slots=True)
class Output:
    """The output of one job, or of a task of its array: how to read a piece, and how long it is by now."""

    read: Callable[[int | None, int, int], LogChunk]
    size: Callable[[int], int]


class SlurmCluster:
    """Config: `url`, `reader`, `job_root`, one way to tokens (see `tokens.source_from`); optional `socket`, `qos`,
    `operator`, `cluster`, `agent`.

    `operator` is the POSIX user, a Slurm Operator, whose token sets limits and does nothing else; `cluster` the name in
    accounting where that knows several. `reader` is the POSIX user whose token reads, an ordinary one; jobs are placed, released and cancelled with a token
    of their own user. ``job_root/<user>/`` must exist, writable to that user and readable to the portal: jobs start
    there and their output is ``<marker>.log`` in it, for a task of an array ``<marker>_<task>.log``. `guard_s`,
    `max_array_size` and `min_job_age_s` say what slurm.conf holds, because slurmrestd does not (`standing.Bounds`). With an
    `agent` a job starts in ``job_root/<user>/<marker>/`` and files are staged and read there; its output is read through
    the agent where `job_root` is not mounted here.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        default: Sequence[str] = ()
        if not any(
            config.get(name) for name in ("signer_socket", "token_command", "jwks_private_key_file", "jwt_key_file")
        ):
            from django.conf import settings

            default = shlex.split(settings.SLURM_TOKEN_COMMAND)
        self.qos = str(config.get("qos", ""))
        self.job_root = Path(config["job_root"])
        tokens = source_from(config, default_command=default)
        self.wire = Wire(str(config["url"]), tokens, socket=str(config.get("socket", "")))
        self.link = Link(self.wire, str(config["reader"]))
        operator, name = str(config.get("operator", "portal-ops")), str(config.get("cluster", ""))
        self.agent = agent_from(config)
        self.limits = Limits(self.link, operator=operator, cluster=name)
        names = ("guard_s", "max_array_size", "min_job_age_s")
        self.bounds = standing.Bounds(**{name: int(config[name]) for name in names if name in config})

    def close(self) -> None:
        """Close this process's connections."""
        self.wire.close()

    # --- what it is and has

    def capabilities(self) -> Capabilities:
        able = standing.capabilities(self.link, self.bounds)
        more = {Feature.FILES, Feature.ESTIMATE, Feature.TASKS} if self.agent else set()
        return replace(able, features=able.features | more)

    def capacity(self) -> Capacity:
        return standing.capacity(self.link)

    def health(self) -> Health:
        return standing.health(self.link)

    # --- submitting

    def check(self, spec: Spec) -> Sequence[RejectedBy]:
        first = specs.refusal(spec, "zjcheck")
        found = [*([first] if first else []), *codec.refusals(spec), *self._outside(spec)]
        if any(one.code in ("partition", "account") for one in found):
            return list(dict.fromkeys(found))
        try:
            found += standing.grounds(self.link, spec, self.bounds)
            found += submitting.dependency_refusals(self.link, spec)
        except NO_ANSWER as error:
            raise Unavailable(detail=str(error)) from error
        return list(dict.fromkeys(found)) or self._dry_run(spec)

    def _dry_run(self, spec: Spec) -> list[RejectedBy]:
        """Ask the scheduler itself, through the agent, about a job nothing else speaks against. Silence is no ground."""
        if self.agent is None:
            return []
        try:
            answer = self.agent.estimate(spec, qos=self.qos)
        except Unavailable:
            return []
        except Rejected as error:
            return [RejectedBy("access", str(error.params.get("reason", error)))]
        return [answer] if isinstance(answer, RejectedBy) else []

    def submit(self, spec: Spec, *, marker: str, first: bool = False) -> Accepted | RejectedBy | NotSent | Unknown:
        """Place the job held, read it back, and compare. An earlier job of the same marker is returned instead."""
        refused = specs.refusal(spec, marker) or codec.refusal(spec) or next(iter(self._outside(spec)), None)
        if refused:
            return refused
        try:
            if refused := standing.never_fits(self.link, spec):
                return refused
        except NO_ANSWER as error:
            return NotSent(str(error))
        own = self.job_root / spec.user
        try:
            start = spec.work_dir or self._start(spec.user, marker)
        except Unavailable as error:
            return NotSent(str(error.params.get("detail", error)))
        except Rejected as error:
            return RejectedBy("access", str(error.params.get("reason", error)))
        where = codec.Place(start, str(own / (f"{marker}_%a.log" if spec.array else f"{marker}.log")), self.qos)
        return submitting.place(self.link, spec, marker=marker, where=where, first=first)

    def _start(self, user: str, marker: str) -> str:
        """Return where a job starts: in a directory of its own where an agent can make one, else in its user's."""
        return self.agent.prepare(user=user, marker=marker) if self.agent else str(self.job_root / user)

    def _outside(self, spec: Spec) -> list[RejectedBy]:
        """Refuse a directory outside the user's own; a name no token may be had for is refused before anything else."""
        try:
            check_user(spec.user)
        except NoToken as error:
            return [RejectedBy("access", str(error))]
        own = str(self.job_root / spec.user)
        if spec.work_dir and spec.work_dir != own and not spec.work_dir.startswith(f"{own}/"):
            return [RejectedBy("access", f"{spec.work_dir} is not below {own}")]
        return []

    def find(self, *, marker: str, since: datetime) -> Found | Absent | CannotTell:
        return submitting.find(self.link, marker=marker, since=since)

    # --- one job

    def release(self, ref: Ref, *, user: str) -> None:
        submitting.release(self.link, ref, user=user)

    def observe(self, refs: Sequence[Ref]) -> list[Observation]:
        return observing.observe(self.link, refs)

    def cancel(self, ref: Ref, *, user: str) -> None:
        submitting.cancel(self.link, ref, user=user)

    def cancel_task(self, ref: Ref, *, user: str, task: int) -> bool:
        agent = self.agent
        stop = None if agent is None else lambda job_id, one: agent.cancel_task(user=user, job_id=job_id, task=one)
        return submitting.cancel_task(self.link, ref, task, user=user, stop=stop)

    def log(self, ref: Ref, *, offset: int, limit: int) -> LogChunk:
        user = str(ref.data.get("user", ""))
        try:
            check_user(user)
        except NoToken as error:
            raise Rejected(reason=str(error)) from error
        if not specs.MARKER.fullmatch(ref.marker):
            raise Rejected(reason="not a marker")
        output = self._output(ref.marker, user)
        if (task := ref.data.get("task")) is not None:
            return output.read(int(task), offset, limit)
        if tasks := arrays.tasks(str(ref.data.get("array") or "")):
            return self._joined(ref, output, tasks, offset=offset, limit=limit)
        return output.read(None, offset, limit)

    def _output(self, marker: str, user: str) -> Output:
        """Return how a job's output is read: where `job_root` is mounted here, else through the agent."""
        if (agent := self.agent) and not self.job_root.is_dir():
            return Output(
                lambda task, offset, limit: agent.log(
                    marker=marker, user=user, task=-1 if task is None else task, offset=offset, limit=limit
                ),
                lambda task: agent.log_size(marker=marker, user=user, task=task),
            )

        def parts(task: int | None) -> tuple[str, str]:
            return user, f"{marker}.log" if task is None else f"{marker}_{task}.log"

        return Output(
            lambda task, offset, limit: logs.read(self.job_root, parts(task), offset=offset, limit=limit),
            lambda task: logs.size(self.job_root, parts(task)),
        )

    def _joined(self, ref: Ref, output: Output, tasks: Sequence[int], *, offset: int, limit: int) -> LogChunk:
        """Read the output of an array's tasks one after the other, so that what was read never changes.

        The next task's begins when this one has ended; the cluster is asked only at the end of one.
        """
        ended: set[int | None] | None = None

        def has_ended(task: int) -> bool:
            nonlocal ended
            if ended is None:
                (seen,) = self.observe([ref])
                ended = {run.task for run in seen.runs if run.ended_at} - {
                    run.task for run in seen.runs if not run.ended_at
                }
            return task in ended

        before = 0
        for task in tasks:
            if offset < before + output.size(task) or task == tasks[-1] or not has_ended(task):
                break
            # Measured again now that it has ended: it may have written its last since the look before.
            size = output.size(task)
            if offset < before + size:
                break
            before += size
        chunk = output.read(task, offset - before, limit)
        over = chunk.eof and (task == tasks[-1] or not has_ended(task))
        return LogChunk(chunk.data, chunk.next_offset + before, eof=over)

    # --- use and limits

    def usage(self, *, accounts: Sequence[str], since: datetime, until: datetime) -> list[UsageRow]:
        return history.usage(self.link, accounts=accounts, since=since, until=until)

    def read_limits(self, *, accounts: Sequence[str]) -> list[AccountLimits]:
        return self.limits.read(accounts)

    def apply_limits(self, wanted: Sequence[AccountLimits]) -> list[AccountLimits]:
        return self.limits.apply(wanted)

    # --- files: without an agent beside the cluster there is no way to them

    def put_file(self, *, marker: str, user: str, path: str, offset: int, data: bytes) -> int:
        return self._beside().put_file(marker=marker, user=user, path=path, offset=offset, data=data)

    def files(self, ref: Ref) -> list[FileEntry]:
        return self._beside().files(marker=ref.marker, user=str(ref.data.get("user", "")))

    def read_file(self, ref: Ref, *, path: str, offset: int, limit: int) -> LogChunk:
        user = str(ref.data.get("user", ""))
        return self._beside().read_file(marker=ref.marker, user=user, path=path, offset=offset, limit=limit)

    def remove_file(self, ref: Ref, *, user: str, path: str) -> None:
        self._beside().remove_file(marker=ref.marker, user=user, path=path)

    def _beside(self) -> AgentClient:
        if self.agent is None:
            raise Rejected(reason=_NO_FILES)
        return self.agent
