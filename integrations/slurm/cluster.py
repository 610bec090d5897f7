"""Answer the cluster port through slurmrestd.

A job is placed held under its marker, read back and compared with what was asked, and only then released. Its
identity is (job id, submit time, marker): after a crash of slurmctld ids are given again. Whether a lost submission
arrived is decided by two witnesses, controller and accounting, and only their clean answers count.
"""

from __future__ import annotations

import shlex
import threading
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from integrations import logs, specs
from integrations.slurm import codec
from integrations.slurm.limits import Limits
from integrations.slurm.tokens import NoToken, check_user, source_from
from integrations.slurm.wire import ALREADY_DONE, PERHAPS_TOKEN, Answer, Kind, Lost, NotReached, Wire
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import (
    FINAL,
    Absent,
    Accepted,
    AccountLimits,
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

__all__ = ["SlurmCluster"]

SLURM, SLURMDB = f"/slurm/{codec.VERSION}", f"/slurmdb/{codec.VERSION}"
CHECK_AGAIN_S = 600
CLOCK_SKEW_S = 600
LOOK_BACK_S = 35 * 86_400
SETTLE_S = 60
"""Accounting shows a job five seconds after its submission [measured]; absence is believed a good while later."""

_CODES = {2000: "partition", 2002: "access", 2045: "account", 2051: "time_limit", 2066: "qos", 2050: "limit"}
_RESOURCES = frozenset({2004, 2005, 2006, 2014, 2015, 2016, 2047, 2057, 2072, 2113})


class Outage(Exception):
    """The cluster did not give a usable answer to a question (never used for a submission)."""


class SlurmCluster:
    """Config: `url`, `reader`, `job_root`, one way to tokens (see `tokens.source_from`); optional `socket`, `qos`, `operator`, `cluster`.

    `operator` is the POSIX user, a Slurm Operator, whose token sets limits and does nothing else; `cluster` the name in
    accounting where that knows several. `reader` is the POSIX user whose token reads, an ordinary one; jobs are placed, released and cancelled with a token
    of their own user. ``job_root/<user>/`` must exist, writable to that user and readable to the portal: jobs start
    there and their output is ``<marker>.log`` in it.
    """

    _checked: ClassVar[dict[str, float]] = {}
    _nodes: ClassVar[dict[str, tuple[float, list[Mapping[str, Any]]]]] = {}
    _lock: ClassVar[threading.Lock] = threading.Lock()

    def __init__(self, config: Mapping[str, Any]) -> None:
        default: Sequence[str] = ()
        if not any(config.get(name) for name in ("token_command", "jwks_private_key_file", "jwt_key_file")):
            from django.conf import settings

            default = shlex.split(settings.SLURM_TOKEN_COMMAND)
        self.reader, self.qos = str(config["reader"]), str(config.get("qos", ""))
        self.job_root = Path(config["job_root"])
        tokens = source_from(config, default_command=default)
        self.wire = Wire(str(config["url"]), tokens, socket=str(config.get("socket", "")))
        operator, name = str(config.get("operator", "portal-ops")), str(config.get("cluster", ""))
        self.limits = Limits(self.wire, operator=operator, cluster=name)

    def close(self) -> None:
        """Close this process's connections."""
        self.wire.close()

    # --- submitting

    def submit(self, spec: Spec, *, marker: str, first: bool = False) -> Accepted | RejectedBy | NotSent | Unknown:
        """Place the job held, read it back, and compare. An earlier job of the same marker is returned instead."""
        refused = specs.refusal(spec, marker) or codec.refusal(spec) or self._outside(spec)
        if refused:
            return refused
        try:
            self._check_version(spec.user)
            if refused := self._never_fits(spec):
                return refused
            if not first and (earlier := self._earlier(marker)):
                return _accepted(earlier)
            body = codec.submission(
                spec,
                marker=marker,
                directory=spec.work_dir or str(self.job_root / spec.user),
                output=str(self.job_root / spec.user / f"{marker}.log"),
                qos=self.qos,
            )
        except (NotReached, NoToken, Lost, Outage) as error:
            return NotSent(str(error))
        try:
            answer = self.wire.send("POST", f"{SLURM}/job/submit", user=spec.user, body=body)
        except (NotReached, NoToken) as error:
            return NotSent(str(error))
        except Lost as error:
            return Unknown(str(error))
        job_id = answer.body.get("job_id")
        # A positive id is acceptance, whatever `errors` says: for a held job it says 2042.
        if isinstance(job_id, int) and job_id > 0:
            return self._read_back(job_id, spec, marker)
        return self._not_accepted(answer, spec)

    def _read_back(self, job_id: int, spec: Spec, marker: str) -> Accepted | RejectedBy | Unknown:
        """Compare the placed job with the request; yield to an older job of the same marker."""
        try:
            jobs = self._of_marker(marker)
            job = next((job for job in jobs if job.job_id == job_id), None)
            if job is None:
                return Unknown(f"job {job_id} was accepted and is not there")
            if jobs[0] is not job:
                self._delete(job, spec.user)
                return _accepted(jobs[0])
            if found := codec.differences(job):
                self._delete(job, spec.user)
                return RejectedBy("resources", "; ".join(found))
        except (NotReached, NoToken, Lost, Outage) as error:
            return Unknown(f"job {job_id} was accepted, then: {error}")
        return _accepted(job)

    def _not_accepted(self, answer: Answer, spec: Spec) -> RejectedBy | NotSent | Unknown:
        match answer.kind:
            case Kind.REFUSED:
                code = "resources" if answer.number in _RESOURCES else _CODES.get(answer.number, "other")
                return RejectedBy(code, answer.words)
            case Kind.UNAUTHENTICATED:
                return NotSent(answer.words)
            case Kind.NO_ENDPOINT:
                self._checked.pop(self.wire.url, None)
                return NotSent(f"no {codec.VERSION} here: {answer.words}")
        if answer.number in PERHAPS_TOKEN and self._turned_away(spec.user):
            return NotSent("token refused")
        return Unknown(answer.words)

    def _turned_away(self, user: str) -> bool:
        """Say whether the token was the fault: 22.05's accounting names the fault (1007) where its controller does not."""
        params = {"job_name": "zjnobody", "submit_time": f"uts{int(time.time())}", "skip_steps": "true"}
        try:
            answer = self.wire.glance(f"{SLURMDB}/jobs", user=user, params=params)
            return answer.kind is Kind.UNAUTHENTICATED
        except (NotReached, NoToken, Lost):
            return False

    def _outside(self, spec: Spec) -> RejectedBy | None:
        """Refuse a directory outside the user's own; a name no token may be had for is refused before anything else."""
        try:
            check_user(spec.user)
        except NoToken as error:
            return RejectedBy("access", str(error))
        own = str(self.job_root / spec.user)
        if spec.work_dir and spec.work_dir != own and not spec.work_dir.startswith(f"{own}/"):
            return RejectedBy("access", f"{spec.work_dir} is not below {own}")
        return None

    def _never_fits(self, spec: Spec) -> RejectedBy | None:
        """Refuse what no node of the partition could hold: Slurm does not look at that while a job is held."""
        known_at, rows = self._nodes.get(self.wire.url, (0.0, []))
        if time.monotonic() - known_at > 60 or not rows:
            rows = self._ask(f"{SLURM}/nodes").body.get("nodes") or []
            self._nodes[self.wire.url] = (time.monotonic(), rows)
        sizes = codec.node_sizes(rows, spec.partition)
        cards = f"gres/gpu:{spec.card_type}" if spec.card_type else "gres/gpu"
        needs = {"cpu": spec.cpus, "mem": spec.memory_mb} | ({cards: spec.cards} if spec.cards else {})
        if sizes and not any(all(size.get(name, 0) >= need for name, need in needs.items()) for size in sizes):
            return RejectedBy("resources", f"no node of {spec.partition} has {needs}")
        return None

    def _check_version(self, user: str) -> None:
        """Ask every ten minutes whether this slurmrestd speaks our version. Raises Outage when it does not."""
        with self._lock:
            if time.monotonic() - self._checked.get(self.wire.url, -CHECK_AGAIN_S) < CHECK_AGAIN_S:
                return
        answer = self.wire.get("/openapi/v3", user=user)
        offered = sorted(
            {part for path in answer.body.get("paths") or {} for part in path.split("/") if _is_version(part)}
        )
        if codec.VERSION not in offered:
            raise Outage(f"unsupported version: {codec.VERSION} needed, offered {', '.join(offered) or answer.words}")
        with self._lock:
            self._checked[self.wire.url] = time.monotonic()

    # --- limits

    def read_limits(self, *, accounts: Sequence[str]) -> list[AccountLimits]:
        return self.limits.read(accounts)

    def apply_limits(self, wanted: Sequence[AccountLimits]) -> list[AccountLimits]:
        return self.limits.apply(wanted)

    # --- finding

    def find(self, *, marker: str, since: datetime) -> Found | Absent | CannotTell:
        """Ask controller and accounting. Absent only when both answered cleanly and neither knows the marker."""
        earliest = int(since.timestamp()) - CLOCK_SKEW_S
        try:
            jobs = self._of_marker(marker, changed_since=earliest)
            known = {(job.job_id, job.submitted_at) for job in jobs}
            jobs += [job for job in self._accounted(marker, earliest) if (job.job_id, job.submitted_at) not in known]
        except (NotReached, NoToken, Lost, Outage) as error:
            return CannotTell(str(error))
        jobs = [job for job in jobs if job.submitted_at >= earliest]
        # One of several that gave way to an older one, or was cancelled before its start, is no candidate any more.
        living = [job for job in jobs if not job.never_started] or jobs
        refs = [_ref(job) for job in sorted(living, key=_age)]
        return Found(refs) if refs else Absent()

    def _earlier(self, marker: str) -> codec.Job | None:
        """Return the oldest job accounting knows under `marker`. Its silence is no obstacle to a first submission."""
        try:
            jobs = self._accounted(marker, int(time.time()) - LOOK_BACK_S)
        except (Lost, Outage):
            return None
        return min(jobs, key=_age, default=None)

    def _of_marker(self, marker: str, *, changed_since: int | None = None) -> list[codec.Job]:
        """Return the controller's jobs named `marker`, oldest first. v0.0.38 has no filter: this is the whole list.

        With `changed_since` (epoch) the controller answers 304 and no list when nothing at all changed since then.
        """
        params = {"update_time": str(changed_since)} if changed_since is not None else None
        rows = self._ask(f"{SLURM}/jobs", params).body.get("jobs") or []
        return sorted((codec.from_controller(row) for row in rows if row.get("name") == marker), key=_age)

    def _accounted(self, marker: str, earliest: int) -> list[codec.Job]:
        """Return accounting's jobs named `marker` submitted at or after `earliest` (epoch).

        ``submit_time`` also finds jobs that never started, ``uts`` keeps the cluster's time zone out of it.
        """
        params = {"job_name": marker, "submit_time": f"uts{earliest}", "skip_steps": "true"}
        rows = self._ask(f"{SLURMDB}/jobs", params).body.get("jobs") or []
        return [codec.from_accounting(row) for row in rows if row.get("name") == marker]

    def _ask(self, path: str, params: Mapping[str, str] | None = None) -> Answer:
        answer = self.wire.get(path, user=self.reader, params=params)
        if answer.kind is not Kind.FINE:
            raise Outage(f"{path}: {answer.words}")
        return answer

    # --- one job

    def release(self, ref: Ref, *, user: str) -> None:
        """Compare the job with what was asked, from its own comment, and let it start. Raises Rejected if they differ."""
        job, _gone = self._look_up(ref)
        if job is None:
            raise Rejected(reason=f"no job {ref.job_id} of {ref.marker}")
        if not job.held:
            return
        if found := codec.differences(job):
            raise Rejected(reason="; ".join(found))
        self._change("POST", ref, user, {"hold": False})

    def cancel(self, ref: Ref, *, user: str) -> None:
        job, gone = self._look_up(ref)
        if job is None and not gone:
            raise Unavailable(detail=f"no trace of job {ref.job_id} yet")
        if job is not None and job.state not in FINAL:
            self._change("DELETE", ref, user)

    def _change(self, method: str, ref: Ref, user: str, body: Mapping[str, Any] | None = None) -> None:
        try:
            answer = self.wire.send(method, f"{SLURM}/job/{int(ref.job_id)}", user=user, body=body)
        except (NotReached, NoToken, Lost) as error:
            raise Unavailable(detail=str(error)) from error
        if answer.kind in (Kind.FINE, Kind.NO_JOB) or answer.number in ALREADY_DONE:
            return
        if answer.kind is Kind.REFUSED:
            raise Rejected(reason=answer.words)
        raise Unavailable(detail=answer.words)

    def _delete(self, job: codec.Job, user: str) -> None:
        """Cancel a job of ours that must not stay. Raises Outage when it may still be there."""
        answer = self.wire.send("DELETE", f"{SLURM}/job/{job.job_id}", user=user)
        if answer.kind not in (Kind.FINE, Kind.NO_JOB) and answer.number not in ALREADY_DONE:
            raise Outage(f"cancel: {answer.words}")

    def observe(self, refs: Sequence[Ref]) -> list[Observation]:
        return [self._observe(ref) for ref in refs]

    def _observe(self, ref: Ref) -> Observation:
        as_of = datetime.now(UTC)
        job, gone = self._look_up(ref)
        if job is None:
            return Observation(ref, ClusterState.UNKNOWN, "ABSENT", as_of, gone=gone)
        started = bool(job.started_at and job.allocated)
        over = bool(job.ended_at) and (job.state in FINAL or job.state is ClusterState.FINISHING)
        until = job.ended_at if over else int(as_of.timestamp())
        allocated = job.allocated if started else {}
        return Observation(
            ref,
            job.state,
            job.raw_state,
            as_of,
            reason=job.reason,
            started_at=codec.moment(job.started_at) if started else None,
            ended_at=codec.moment(job.ended_at) if over else None,
            elapsed_s=job.elapsed_s(until) if started else None,
            exit_code=job.exit_code,
            cpus=allocated.get("cpu"),
            cards=allocated.get("gres/gpu", 0) if started else None,
            memory_mb=allocated.get("mem"),
        )

    def _look_up(self, ref: Ref) -> tuple[codec.Job | None, bool]:
        """Return the job and False, or None and whether its absence is proven. Raises Unavailable.

        The controller first: only there is the exit code right. It forgets a job `MinJobAge` after its end.
        """
        submitted_at = int(ref.submitted_at.timestamp())
        try:
            answer = self.wire.get(f"{SLURM}/job/{int(ref.job_id)}", user=self.reader)
            if answer.kind is Kind.FINE:
                for job in map(codec.from_controller, answer.body.get("jobs") or []):
                    if (job.name, job.submitted_at) == (ref.marker, submitted_at):
                        return job, False
            elif answer.kind is not Kind.NO_JOB:
                raise Outage(answer.words)
            for job in self._accounted(ref.marker, submitted_at - 1):
                if (job.job_id, job.submitted_at) == (int(ref.job_id), submitted_at):
                    return job, False
            return None, time.time() - submitted_at > SETTLE_S and self._accounting_is_current()
        except (NotReached, NoToken, Lost, Outage) as error:
            raise Unavailable(detail=str(error)) from error

    def _accounting_is_current(self) -> bool:
        """Say whether the controller has nothing left to tell accounting."""
        statistics = self._ask(f"{SLURM}/diag").body.get("statistics") or {}
        return statistics.get("dbd_agent_queue_size") == 0

    # --- log and health

    def log(self, ref: Ref, *, offset: int, limit: int) -> LogChunk:
        user = str(ref.data.get("user", ""))
        try:
            check_user(user)
        except NoToken as error:
            raise Rejected(reason=str(error)) from error
        if not specs.MARKER.fullmatch(ref.marker):
            raise Rejected(reason="not a marker")
        return logs.read(self.job_root, (user, f"{ref.marker}.log"), offset=offset, limit=limit)

    def health(self) -> Health:
        """Ping the controller, 4 s at most: a silent controller makes slurmrestd block longer than that."""
        version = ""
        try:
            answer = self.wire.glance(f"{SLURM}/ping", user=self.reader)
            meta = answer.body.get("meta") or {}
            version = str((meta.get("Slurm") or {}).get("release") or "")
            up = [ping for ping in answer.body.get("pings") or [] if ping.get("ping") == "UP"]
            ok, detail = answer.kind is Kind.FINE and bool(up), answer.words if not up else ""
        except (NotReached, NoToken, Lost) as error:
            ok, detail = False, str(error)
        return Health(ok=ok, version=version, detail=detail, as_of=datetime.now(UTC))


def _is_version(part: str) -> bool:
    return part.startswith("v0.0.") and part[5:].isdigit()


def _age(job: codec.Job) -> tuple[int, int]:
    return job.submitted_at, job.job_id


def _ref(job: codec.Job) -> Ref:
    return Ref(str(job.job_id), datetime.fromtimestamp(job.submitted_at, UTC), job.name, {"user": job.user})


def _accepted(job: codec.Job) -> Accepted:
    granted = {
        "cpus": job.requested.get("cpu", 0),
        "cards": job.requested.get("gres/gpu", 0),
        "memory_mb": job.requested.get("mem", 0),
        "time_limit_s": job.time_limit_s,
        "account": job.account,
    }
    return Accepted(_ref(job), granted)
