"""Endpoints of jobs."""

from __future__ import annotations

import codecs
from datetime import datetime
from typing import Annotated, Any, Self

import structlog
from django.utils import timezone
from ninja import Path, Query, Router, Schema, Status
from pydantic import Field

from portal.http import explain_reason
from portal.kernel.actors import Actor, Permission
from portal.wire import (
    ActorRequest,
    Cursor,
    IdempotencyKey,
    Line,
    MoneyOut,
    Number,
    PageOut,
    ReasonOut,
    StrictIn,
    Text,
    Whole,
    key_from,
    money,
    paged,
    problems,
)
from scheduler.jobfiles.rules import Attachment
from scheduler.jobs import access, arraytasks, logtails, queries, services, tasks
from scheduler.jobs.directives import DirectiveRule, Form, has_any, offered_by, settle
from scheduler.jobs.models import Job
from scheduler.jobs.options import Options, WaitFor, check
from scheduler.jobs.ports import LogChunk
from scheduler.jobs.rules import Ask, JobState
from scheduler.resources import access as resources
from scheduler.resources.rules import Unit
from vouchers.charges.api import ChargeOut, charged
from vouchers.wallets import access as wallet

logger = structlog.get_logger(__name__)
router = Router(tags=["jobs"])

Count = Annotated[Whole, Field(ge=0, le=10**7)]


class JobAfterIn(StrictIn):
    """Another job that must have ended first: ``ok`` well, ``notok`` otherwise, ``any`` in any way."""

    job: Number
    kind: Annotated[Line, Field(max_length=8)] = "ok"


class JobQuoteIn(StrictIn):
    """What a job asks for. `time_limit_s` is whole minutes; `vouchers` pay, `voucher` being short for one; none pays everything oneself."""

    cluster: Number
    partition: Number
    cards: Count = 0
    cpus: Count = 1
    memory_mb: Count = 1000
    time_limit_s: Annotated[Whole, Field(ge=0, le=10**8)]
    script: Text
    """At most 1 MB; a longer one is refused like everything else that is wrong with a script (``job.script_size``)."""
    voucher: Number | None = None
    vouchers: Annotated[list[Number], Field(max_length=10)] = []
    shorten: bool = False
    """Take the longest time limit the vouchers buy and the partition allows, where that is less than asked for."""
    directives: DirectiveRule = DirectiveRule.REFUSE
    """Who is right where ``#SBATCH`` lines differ from the fields: nobody (422 lists them), the script, or the form."""
    array: Annotated[Line, Field(max_length=200)] = ""
    """Task numbers, ``0-9%2`` or ``1,3,7``: each task has the resources and the limit, and the hold is for all of them."""
    after: Annotated[list[JobAfterIn], Field(max_length=100)] = []
    requeue: bool = False
    """Let the cluster run the job again after losing a node; each run is charged by itself."""
    environment: dict[str, Annotated[str, Field(max_length=4096)]] = {}

    def form(self) -> Form:
        """Return the fields that were given, as a form; what was left out is open to the script's word."""
        said = {name: getattr(self, name) for name in Form.__slots__ if name in self.model_fields_set}
        if "after" in said:
            said["after"] = tuple((one.kind, one.job) for one in self.after)
        return Form(**said)

    def settled(self) -> Self:
        """Return this with the script's directives settled and made remarks. Raises DirectivesDiffer, NotFound."""
        if not has_any(self.script):
            return self
        partition = resources.get_partition(self.cluster, self.partition)
        diff = settle(
            self.script,
            self.form(),
            rule=self.directives,
            card_type=partition.card_type,
            offered=offered_by(partition.cluster.features) & type(self).model_fields.keys(),
        )
        said = {name: value for name, value in diff.sent.as_json().items() if name in type(self).model_fields}
        if "after" in said:
            said["after"] = [JobAfterIn(job=number, kind=kind) for kind, number in said["after"]]
        return self.model_copy(update={**said, "script": diff.script})

    def options(self) -> Options:
        return Options(
            array=self.array,
            after=[WaitFor(one.job, one.kind) for one in self.after],
            requeue=self.requeue,
            environment=self.environment,
        )

    def paying(self, actor: Actor) -> list[Any]:
        """Return the vouchers to pay with. Raises NotFound."""
        numbers = [*([self.voucher] if self.voucher else []), *self.vouchers]
        return wallet.get_vouchers(actor, numbers)

    def ask(self) -> Ask:
        return Ask(
            cards=self.cards,
            cpus=self.cpus,
            memory_mb=self.memory_mb,
            time_limit_s=self.time_limit_s,
            script=self.script,
        )


class JobFileIn(StrictIn):
    """An upload (F…) or a secret (K…) and where in the job's directory it goes; its own name where `path` is left out."""

    number: Number
    path: Annotated[Line, Field(max_length=200)] = ""


class JobIn(JobQuoteIn):
    """`title` and `script` are read by the submitting organisation only."""

    title: Annotated[Line, Field(max_length=120)]
    files: Annotated[list[JobFileIn], Field(max_length=200)] = []


class JobQuoteOut(Schema):
    """What would be held and who would pay: never is more charged. With `reasons`, the job cannot be submitted.

    `price` is that of `time_limit_s` and `guard_s` together: the cluster may end a run that much late. `longest_s` is the
    longest limit the vouchers carry, null without any.
    """

    acceptable: bool
    tasks: int
    time_limit_s: int
    guard_s: int
    longest_s: int | None
    shortened: bool
    price: MoneyOut
    unit: Unit
    unit_price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    reasons: list[ReasonOut]


class JobOut(Schema):
    """One job. `cost_so_far` is that of all its runs, over all its charges; before it is settled, derived from the time run."""

    number: str
    cluster: str
    partition: str
    title: str
    cards: int
    cpus: int
    memory_mb: int
    time_limit_s: int
    array: str
    requeue: bool
    state: JobState
    state_label: str
    reason: str
    held: bool
    expected_start_at: datetime | None
    exit_code: int | None
    cluster_job_id: str
    cost_so_far: MoneyOut
    charge: ChargeOut | None
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    cancel_asked_at: datetime | None
    settled_at: datetime | None


class JobAfterOut(Schema):
    """A job this one waits for, and how that one is."""

    job: str
    kind: str
    state: JobState


class JobDetailOut(JobOut):
    """A job with its script, its environment and what it waits for."""

    script: str
    environment: dict[str, str]
    after: list[JobAfterOut]
    tasks_cancelled: list[int]
    """Tasks of the array somebody cancelled by themselves."""


class LogIn(Schema):
    """Bytes of output to read; ask again from `next_offset`."""

    offset: Annotated[int, Field(ge=0, le=2**53)] = 0
    limit: Annotated[int, Field(ge=16, le=65536)] = 65536


class LogOut(Schema):
    """Output as text. No character is ever cut in two: `next_offset` stays before one not written in full yet."""

    text: str
    next_offset: int
    eof: bool


class JobFilter(Cursor):
    """``?state=running``."""

    state: JobState | None = None


def _shown(request: ActorRequest, job: Job, now: datetime) -> dict[str, Any]:
    return {
        "number": job.number,
        "cluster": job.partition.cluster.code,
        "partition": job.partition.name,
        "title": job.title,
        "cards": job.cards,
        "cpus": job.cpus,
        "memory_mb": job.memory_mb,
        "time_limit_s": job.time_limit_s,
        "array": job.array,
        "requeue": job.requeue,
        "held": job.held,
        "expected_start_at": job.expected_start_at,
        "state": job.state,
        "state_label": job.get_state_display(),
        "reason": job.reason,
        "exit_code": job.exit_code,
        "cluster_job_id": job.cluster_job_id,
        "cost_so_far": money(queries.cost_so_far_fen(job, now=now)),
        "charge": charged(job.charge, actor=request.actor),
        "created_at": job.created_at,
        "started_at": job.started_at,
        "ended_at": job.ended_at,
        "cancel_asked_at": job.cancel_asked_at,
        "settled_at": job.settled_at,
    }


def _detail(request: ActorRequest, number: str) -> dict[str, Any]:
    job = access.get_job(request.actor, number)
    links = job.dependencies.select_related("after").order_by("pk")
    after = [{"job": link.after.number, "kind": link.kind, "state": link.after.state} for link in links]
    shown = _shown(request, job, timezone.now())
    return {
        **shown,
        "script": job.script,
        "environment": job.environment,
        "after": after,
        "tasks_cancelled": sorted(arraytasks.wished(job)),
    }


@router.post("/quote", response={200: JobQuoteOut, **problems(404, 409, 422)})
def quote(request: ActorRequest, payload: JobQuoteIn) -> dict[str, Any]:
    """Price a job's time limit and say every reason against it. Nothing is held."""
    actor = request.actor
    actor.require(Permission.JOB_SUBMIT)
    payload = payload.settled()
    partition = resources.get_partition(payload.cluster, payload.partition)
    checked = check(payload.options(), actor=actor, cluster=partition.cluster)
    wanted = services.Wanted(
        partition=partition,
        title="",
        ask=payload.ask(),
        vouchers=payload.paying(actor),
        shorten=payload.shorten,
        options=payload.options(),
    )
    found = services.quoted(actor=actor, wanted=wanted, now=timezone.now())
    reasons = found.reasons
    return {
        "acceptable": not reasons,
        "tasks": checked.tasks,
        "time_limit_s": found.limit_s,
        "guard_s": found.guard_s,
        "longest_s": None if found.longest_minutes is None else found.longest_minutes * 60,
        "shortened": found.is_shortened,
        "price": money(found.price.amount),
        "unit": found.price.unit,
        "unit_price": money(found.price.unit_price),
        "voucher_share": money(found.split.voucher),
        "own_share": money(found.split.own),
        "reasons": [explain_reason(reason) for reason in reasons],
    }


@router.post("", response={201: JobDetailOut, **problems(404, 409, 422)})
def submit(request: ActorRequest, payload: JobIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Submit a job: the price of its time limit and guard is held, then a worker places it on the cluster."""
    actor = request.actor
    actor.require(Permission.JOB_SUBMIT)
    payload = payload.settled()
    wanted = services.Wanted(
        partition=resources.get_partition(payload.cluster, payload.partition),
        title=payload.title,
        ask=payload.ask(),
        vouchers=payload.paying(actor),
        shorten=payload.shorten,
        files=[Attachment(one.number, one.path) for one in payload.files],
        options=payload.options(),
    )
    job = services.submit(
        actor=actor, wanted=wanted, now=timezone.now(), key=key_from(key), dispatch=tasks.hint(tasks.dispatch)
    )
    return Status(201, _detail(request, job.number))


@router.get("", response={200: PageOut[JobOut], **problems()})
def list_jobs(request: ActorRequest, wanted: Query[JobFilter]) -> dict[str, Any]:
    """List the caller's jobs, without their scripts."""
    rows, now = (
        access.visible_to(request.actor).prefetch_related(access.PARTS, *access.COST).defer("script"),
        timezone.now(),
    )
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, lambda job: _shown(request, job, now))


@router.get("/{number}", response={200: JobDetailOut, **problems(404)})
def get_job(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one job."""
    return _detail(request, number)


@router.post("/{number}/cancel", response={200: JobDetailOut, **problems(404, 409)})
def cancel(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Cancel: at once before the job has left the portal, else by asking the cluster."""
    services.cancel(
        actor=request.actor,
        job=access.get_job(request.actor, number),
        now=timezone.now(),
        ask_cluster=tasks.hint(tasks.ask_cancel),
    )
    return _detail(request, number)


@router.post("/{number}/tasks/{task}/cancel", response={200: JobDetailOut, **problems(404, 409)})
def cancel_task(request: ActorRequest, number: Number, task: Annotated[int, Path(ge=0, le=10**7)]) -> dict[str, Any]:
    """Cancel one task of an array; the others go on. Of the last one left, the job is cancelled."""
    arraytasks.cancel_task(
        actor=request.actor,
        job=access.get_job(request.actor, number),
        task=task,
        now=timezone.now(),
        ask_cluster=tasks.hint(tasks.ask_cancel),
    )
    return _detail(request, number)


@router.get("/{number}/log", response={200: LogOut, **problems(404, 502)})
def read_log(request: ActorRequest, number: Number, wanted: Query[LogIn]) -> dict[str, Any]:
    """Read the job's output from a byte offset. What is not UTF-8 shows as U+FFFD."""
    job = access.get_job(request.actor, number)
    chunk = logtails.read(job, actor=request.actor, offset=wanted.offset, limit=wanted.limit, now=timezone.now())
    return as_text(chunk, complete=chunk.eof and job.settled_at is not None)


def as_text(chunk: LogChunk, *, complete: bool) -> dict[str, Any]:
    """Return a chunk as `LogOut`; a character whose rest may still come is left for the next call."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(chunk.data, final=complete)
    waiting, _state = decoder.getstate()
    return {"text": text, "next_offset": chunk.next_offset - len(waiting), "eof": chunk.eof and not waiting}
