"""Place jobs held, read them back, release and cancel them; look for one whose answer was lost.

A job is compared with what was asked before anybody may release it. What it waits for is looked up before it is sent:
22.05 drops a dependency on a job it has forgotten without a word, and the job would run at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from integrations.slurm import codec
from integrations.slurm.codec import Job
from integrations.slurm.link import NO_ANSWER, Link, Outage, rows
from integrations.slurm.observing import Seen, seen
from integrations.slurm.reading import from_controller
from integrations.slurm.wire import ALREADY_DONE, PERHAPS_TOKEN, Answer, Kind, Lost
from portal.kernel.errors import Rejected, Unavailable
from scheduler.jobs.ports import (
    FINAL,
    Absent,
    Accepted,
    CannotTell,
    ClusterState,
    Found,
    NotSent,
    Ref,
    RejectedBy,
    Spec,
    Unknown,
)

__all__ = ["cancel", "cancel_task", "dependency_refusals", "find", "place", "release"]

CLOCK_SKEW_S: Final = 600
LOOK_BACK_S: Final = 35 * 86_400

_CODES = {2000: "partition", 2002: "access", 2045: "account", 2051: "time_limit", 2066: "qos", 2050: "limit"}
_CODES |= {2081: "limit"}
_RESOURCES = frozenset({2004, 2005, 2006, 2014, 2015, 2016, 2047, 2057, 2072, 2113})


# --- placing


def place(
    link: Link, spec: Spec, *, marker: str, where: codec.Place, first: bool
) -> Accepted | RejectedBy | NotSent | Unknown:
    """Place the job held, read it back, and compare. Unless `first`, an earlier job of the marker is returned instead."""
    try:
        if not first and (earlier := _earlier(link, marker)):
            return _accepted([earlier])
        spec, refused = _with_open_dependencies(link, spec)
        if refused:
            return refused[0]
        body = link.codec().submission(spec, marker=marker, place=where)
    except (*NO_ANSWER, Unavailable) as error:
        return NotSent(_words(error))
    try:
        answer = link.send("POST", "/job/submit", user=spec.user, body=body)
        if answer.number in PERHAPS_TOKEN and not _job_id(answer) and _turned_away(link, spec.user):
            link.wire.renew(spec.user)
            answer = link.send("POST", "/job/submit", user=spec.user, body=body)
    except Lost as error:
        return Unknown(str(error))
    except NO_ANSWER as error:
        return NotSent(str(error))
    job_id = _job_id(answer)
    # A positive id is acceptance, whatever `errors` says: for a held job it says 2042.
    if job_id:
        return _read_back(link, job_id, spec, marker, first=first, ignored=answer.ignored)
    return _not_accepted(link, answer, spec)


def _job_id(answer: Answer) -> int:
    """Return the new job's id, 0 when there is none. Some versions give it beside an inner ``result`` only."""
    inner = answer.body.get("result")
    for body in (answer.body, inner if isinstance(inner, dict) else {}):
        one = body.get("job_id")
        if isinstance(one, int) and one > 0:
            return one
    return 0


def _read_back(
    link: Link, job_id: int, spec: Spec, marker: str, *, first: bool, ignored: str
) -> Accepted | RejectedBy | Unknown:
    """Compare the placed job with the request; yield to an older job of the same marker."""
    try:
        jobs = _of_id(link, job_id) if first else link.listed()
        jobs = codec.oldest_first([job for job in jobs if job.name == marker])
        ours = [job for job in jobs if job.id == job_id]
        if not ours:
            return Unknown(f"job {job_id} was accepted and is not there")
        if jobs[0].id != job_id:
            _delete(link, job_id, spec.user)
            return _accepted([job for job in jobs if job.id == jobs[0].id])
        found = [text for job in ours for text in codec.differences(job)]
        others = [f"fields ignored: {ignored}"] if ignored else _lost_dependencies(ours[0], spec)
        if found or others:
            _delete(link, job_id, spec.user)
            return RejectedBy("resources" if found else "other", "; ".join(dict.fromkeys(others + found)))
    except NO_ANSWER as error:
        return Unknown(f"job {job_id} was accepted, then: {error}")
    return _accepted(ours)


def _of_id(link: Link, job_id: int) -> list[Job]:
    return [from_controller(row) for row in rows(link.ask(f"/job/{job_id}"), "jobs")]


def _not_accepted(link: Link, answer: Answer, spec: Spec) -> RejectedBy | NotSent | Unknown:
    match answer.kind:
        case Kind.REFUSED:
            code = "resources" if answer.number in _RESOURCES else _CODES.get(answer.number, "other")
            return RejectedBy(code, answer.words)
        case Kind.UNAUTHENTICATED:
            return NotSent(answer.words)
        case Kind.NO_ENDPOINT:
            return NotSent(f"version no longer there: {answer.words}")
    if answer.number in PERHAPS_TOKEN and _turned_away(link, spec.user):
        return NotSent("token refused")
    return Unknown(answer.words)


def _turned_away(link: Link, user: str) -> bool:
    """Say whether the token was the fault: 22.05's accounting names the fault (1007) where its controller does not."""
    params = {"job_name": "zjnobody", "submit_time": f"uts{int(time.time())}", "skip_steps": "true"}
    try:
        answer = link.wire.glance(link.path("/jobs", db=True), user=user, params=params)
        return answer.kind is Kind.UNAUTHENTICATED
    except NO_ANSWER:
        return False


# --- dependencies


def _with_open_dependencies(link: Link, spec: Spec) -> tuple[Spec, list[RejectedBy]]:
    """Return `spec` without the dependencies that hold already, and what refuses it: one that can hold no more."""
    still, refused = [], []
    for after in spec.after:
        parent = seen(link, after.ref)
        if not parent.is_over and not parent.is_absent and parent.rows:
            still.append(after)
        elif not parent.rows and not parent.is_absent:
            raise Outage(f"no trace of job {after.ref.job_id} yet")
        elif not _holds(parent, after.kind):
            refused.append(RejectedBy("other", f"dependency: {after.kind} of job {after.ref.job_id} can never hold"))
    return replace(spec, after=tuple(still)), refused


def dependency_refusals(link: Link, spec: Spec) -> list[RejectedBy]:
    """Return one ground per dependency that can hold no more. Raises Unavailable, Outage."""
    return _with_open_dependencies(link, spec)[1]


def _holds(parent: Seen, kind: str) -> bool:
    good = bool(parent.rows) and all(job.state is ClusterState.SUCCEEDED for job in parent.rows)
    return {"ok": good, "notok": bool(parent.rows) and not good, "any": True}[kind]


def _lost_dependencies(job: Job, spec: Spec) -> list[str]:
    """Return the dependencies of `spec` that the job, still held, does not show."""
    shown = {part.partition("(")[0].removesuffix("_*") for part in job.waits_for.split(",")}  # 22_* is a whole array
    wanted = codec.dependencies(spec).split(",") if spec.after else []
    return [f"dependency: {part} not taken" for part in wanted if part not in shown]


def _forgotten(link: Link, job: Job) -> list[str]:
    """Return what a held job waits for and the controller has forgotten: released, it would start at once."""
    ids = [part.partition("(")[0].rpartition(":")[2] for part in job.waits_for.split(",") if ":" in part]
    gone = []
    for one in ids:
        answer = link.look(f"/job/{int(one.partition('_')[0])}")
        if answer.kind is Kind.NO_JOB:
            gone.append(f"dependency: job {one} is forgotten")
        elif answer.kind is not Kind.FINE:
            raise Outage(answer.words)
    return gone


# --- finding


def find(link: Link, *, marker: str, since: datetime) -> Found | Absent | CannotTell:
    """Ask controller and accounting. Absent only when both answered cleanly and neither knows the marker."""
    earliest = int(since.timestamp()) - CLOCK_SKEW_S
    try:
        jobs = [job for job in link.listed(earliest) if job.name == marker]
        jobs += link.accounted_under(marker, earliest)
    except NO_ANSWER as error:
        return CannotTell(str(error))
    refs = [_ref(one) for one in _submissions(jobs) if one[0].submitted_at >= earliest]
    return Found(refs) if refs else Absent()


def _submissions(jobs: Iterable[Job]) -> list[list[Job]]:
    """Return the rows of each submission, its first run first, oldest submission first; the controller's before others.

    One of several that gave way to an older one, or was cancelled before its start, is no candidate any more.
    """
    groups: dict[int, list[Job]] = {}
    for job in jobs:
        groups.setdefault(job.id, []).append(job)
    living = [group for group in groups.values() if not all(job.never_started for job in group)]
    ordered = [sorted(group, key=lambda job: job.submitted_at) for group in living or groups.values()]
    return sorted(ordered, key=lambda group: (group[0].submitted_at, group[0].id))


def _earlier(link: Link, marker: str) -> Job | None:
    """Return the oldest job accounting knows under `marker`. Its silence is no obstacle to a first submission."""
    try:
        jobs = link.accounted_under(marker, int(time.time()) - LOOK_BACK_S)
    except (Lost, Outage):
        link.codec()  # an unsupported version is one, though
        return None
    return next(iter(codec.oldest_first(jobs)), None)


# --- one job


def release(link: Link, ref: Ref, *, user: str) -> None:
    """Compare the job with what was asked, from its own comment, and let it start. Raises Rejected if they differ."""
    one = seen(link, ref)
    if not one.rows:
        raise Rejected(reason=f"no job {ref.job_id} of {ref.marker}")
    held = [job for job in one.live if job.held]
    if not held:
        return
    try:
        found = [text for job in held for text in codec.differences(job)] + _forgotten(link, held[0])
    except NO_ANSWER as error:
        raise Unavailable(detail=str(error)) from error
    if found:
        raise Rejected(reason="; ".join(dict.fromkeys(found)))
    try:
        _change(link, "POST", ref, user, {"hold": False})
    except Unavailable:
        # 22.05 releases an array and says that it failed: the row decides.
        if any(job.held for job in seen(link, ref).live):
            raise


def cancel(link: Link, ref: Ref, *, user: str) -> None:
    """Stop the job, every task of it. Idempotent. Raises Unavailable, Rejected."""
    one = seen(link, ref)
    if not one.rows and not one.is_absent:
        raise Unavailable(detail=f"no trace of job {ref.job_id} yet")
    if one.rows and not one.is_over:
        _change(link, "DELETE", ref, user)


def cancel_task(link: Link, ref: Ref, task: int, *, user: str, stop: Callable[[int, int], None] | None) -> bool:
    """Stop one task; `stop`, where there is an agent, does it by array and task number. Raises Unavailable, Rejected.

    slurmrestd 22.05 cannot: it takes ``ARRAY_TASK`` for the array's own id while the task waits, which stops every task,
    and a running task's own id is "invalid" to it [seen]. Without an agent only a task that is left alone is stopped.
    """
    one = seen(link, ref)
    if not one.rows and not one.is_absent:
        raise Unavailable(detail=f"no trace of job {ref.job_id} yet")
    alive = [job for job in one.rows if job.state not in FINAL]
    ours = [job for job in alive if task in job.tasks]
    if not ours:
        return True
    if stop is not None:
        stop(int(ref.job_id), task)
        return True
    if len(alive) > 1 or ours[0].tasks != [task]:
        return False
    _change(link, "DELETE", ref, user)
    return True


def _change(link: Link, method: str, ref: Ref, user: str, body: dict[str, Any] | None = None) -> None:
    try:
        answer = link.send(method, f"/job/{int(ref.job_id)}", user=user, body=body, repeatable=True)
    except NO_ANSWER as error:
        raise Unavailable(detail=str(error)) from error
    if answer.kind in (Kind.FINE, Kind.NO_JOB) or answer.number in ALREADY_DONE:
        return
    if answer.kind is Kind.REFUSED:
        raise Rejected(reason=answer.words)
    raise Unavailable(detail=answer.words)


def _delete(link: Link, job_id: int, user: str) -> None:
    """Cancel a job of ours that must not stay. Raises Outage when it may still be there."""
    answer = link.send("DELETE", f"/job/{job_id}", user=user, repeatable=True)
    if answer.kind not in (Kind.FINE, Kind.NO_JOB) and answer.number not in ALREADY_DONE:
        raise Outage(f"cancel: {answer.words}")


# --- references


def _ref(group: Sequence[Job]) -> Ref:
    job = group[0]
    asked = next((one.asked for one in group if one.asked), {})
    data: dict[str, Any] = {"user": job.user}
    if job.array_id:
        data["array"] = str(asked.get("array") or job.tasks_left)
    if asked.get("requeue"):
        data["requeue"] = True
    return Ref(str(job.id), datetime.fromtimestamp(job.submitted_at, UTC), job.name, data)


def _accepted(group: Sequence[Job]) -> Accepted:
    job = group[0]
    granted = {
        "cpus": job.requested.get("cpu", 0),
        "cards": job.requested.get("gres/gpu", 0),
        "memory_mb": job.requested.get("mem", 0),
        "time_limit_s": job.time_limit_s,
        "account": job.account,
    }
    return Accepted(_ref(group), granted)


def _words(error: Exception) -> str:
    return str(error.params.get("detail") or error) if isinstance(error, Unavailable) else str(error)
