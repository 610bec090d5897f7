"""A job's log as it grows: an event stream, the same by asking again, and the whole file.

The stream is ``text/event-stream`` (WHATWG HTML §9.2). ``log`` carries a JSON string and, as its id, the byte offset
after it; ``state`` says that the status page has changed; ``end`` says that nothing more will come. A broken
connection resumes from ``Last-Event-ID``. No database connection is held while a stream waits.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import weakref
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from asgiref.sync import sync_to_async
from django.db import connections
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.views.decorators.http import require_GET

from portal.http import explain
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, PortalError, Rejected
from portal.pages import logtext, shell
from scheduler.jobs import access, logtails, rules
from scheduler.jobs.models import Job
from scheduler.jobs.ports import LogChunk

__all__ = ["Opening", "job_log", "job_log_raw", "job_stream", "mark", "opening"]

CHUNK: Final = logtails.CHUNK
TICK_S: Final = 1.0
STATE_S: Final = 2.0
HEARTBEAT_S: Final = 15.0
LIFE_S: Final = 600.0
QUIET_S: Final = 3.0
"""A finished job's log is complete when nothing came for this long: a shared file system shows the end late."""
RETRY_MS: Final = 2000
MAX_STREAMS: Final = 6
"""Streams one person may hold open in one web process; pages beyond that ask every few seconds instead."""
POLL_CHUNKS: Final = 8
SHOWN: Final = 32_768
"""How much of a log's end the page itself carries."""


def mark(job: Job) -> str:
    """Return a text that changes whenever what the status page says changes, the running clock aside."""
    seen = (
        job.state,
        job.reason,
        job.exit_code,
        *(str(at or "") for at in (job.cancel_asked_at, job.started_at, job.ended_at, job.settled_at)),
    )
    return "|".join(map(str, seen))


def is_over(job: Job) -> bool:
    """Say whether the job has ended, so that its log will."""
    return rules.JobState(job.state) in rules.FINAL


def offset_of(value: str | None) -> int:
    """Return the byte offset a reader names; anything else means the beginning."""
    return int(value) if value and value.isascii() and value.isdecimal() and len(value) <= 18 else 0


# ---- the page's own part of the log


@dataclass(frozen=True, slots=True)
class Opening:
    """The log as a page first shows it: the text so far (or its end, `cut`), the offset after it, and why not."""

    text: str
    after: int
    cut: bool = False
    problem: str = ""


def opening(job: Job, *, actor: Actor) -> Opening:
    """Read the end of a job's log for its page. A cluster that does not answer is said, never raised."""
    try:
        start = _start_of_tail(job, actor)
        data = _read_on(job, start, actor)
    except Rejected:
        return Opening("", 0, problem=gettext("日志不是普通文件（例如是链接），平台不读取，已记录在案。"))
    except PortalError:
        return Opening("", 0, problem=gettext("暂时读不到日志，集群恢复后会自动出现。"))
    kept = logtext.tail(data) if start else data
    text, used = logtext.readable(kept, final=is_over(job))
    problem = gettext("日志看起来是二进制内容，这里只能显示其中的文字；请下载全文。") if _is_binary(kept) else ""
    return Opening(text, start + len(data) - len(kept) + used, cut=start > 0, problem=problem)


def _is_binary(data: bytes) -> bool:
    """Say whether more than a tenth of `data` is neither text nor an escape sequence."""
    odd = data.decode("utf-8", errors="replace").count("\ufffd") + data.count(0)
    return odd * 10 > len(data)


def _read_on(job: Job, offset: int, actor: Actor) -> bytes:
    data = b""
    while len(data) < 2 * SHOWN:
        chunk = _chunk(job, offset + len(data), actor)
        data += chunk.data
        if chunk.eof or not chunk.data:
            break
    return data


def _chunk(job: Job, offset: int, actor: Actor, limit: int = CHUNK) -> LogChunk:
    return logtails.read(job, actor=actor, offset=offset, limit=limit, now=timezone.now())


def _start_of_tail(job: Job, actor: Actor) -> int:
    """Return where the last `SHOWN` bytes or so begin: the port knows no size, so gallop and halve (about 2 log₂ n)."""

    def reaches(offset: int) -> bool:
        return bool(_chunk(job, offset, actor, 4).data)

    if not reaches(2 * SHOWN):
        return 0
    low, high = 2 * SHOWN, 4 * SHOWN
    while reaches(high):
        low, high = high, 2 * high
    while high - low > SHOWN:
        middle = (low + high) // 2
        low, high = (middle, high) if reaches(middle) else (low, middle)
    return low - SHOWN


# ---- the stream


class Streams:
    """Who holds how many streams in this process. A stream nobody refers to any more counts no longer."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._open: dict[int, weakref.WeakSet[Live]] = {}

    def admit(self, user_id: int, live: Live) -> bool:
        """Take `live` in, or say that this person has enough."""
        with self._lock:
            mine = self._open.setdefault(user_id, weakref.WeakSet())
            if len(mine) >= MAX_STREAMS:
                return False
            mine.add(live)
            return True

    def leave(self, user_id: int, live: Live) -> None:
        """Forget `live`. Idempotent."""
        with self._lock:
            mine = self._open.get(user_id)
            if mine is not None:
                mine.discard(live)
                if not mine:
                    del self._open[user_id]


STREAMS: Final = Streams()


class Live:
    """The body of one stream. Django closes it with the response, whether or not it was ever read."""

    def __init__(self, *, actor: Actor, job: Job, after: int) -> None:
        self.actor, self.job, self.after = actor, job, after
        self.mark = mark(job)
        self.tail = logtails.tail_of(job.pk)

    def close(self) -> None:
        STREAMS.leave(self.actor.user_id or 0, self)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Yield events until the log has ended, the stream is old, or the reader goes away."""
        born = spoke = grew = looked = time.monotonic()
        # The connection the request came in with would stay checked out for as long as the stream lives.
        await sync_to_async(connections.close_all)()
        yield b"retry: %d\n\n" % RETRY_MS
        while (now := time.monotonic()) - born < LIFE_S:
            news: list[bytes] = []
            if now - looked >= STATE_S:
                looked = now
                news += await sync_to_async(self._look)()
            told, more = await sync_to_async(self._read)(final=is_over(self.job) and now - grew >= QUIET_S)
            if told:
                news.append(event("log", told, id_=self.after))
                grew = now
            elif is_over(self.job) and now - grew >= QUIET_S:
                yield event("end", "")
                return
            if news:
                spoke = now
                yield b"".join(news)
            elif now - spoke >= HEARTBEAT_S:
                spoke = now
                yield b": waiting\n\n"
            if not more:
                await asyncio.sleep(TICK_S)

    def _look(self) -> list[bytes]:
        """Read the job again, as the same actor; return what changed."""
        try:
            self.job = access.get_job(self.actor, self.job.number)
        finally:
            connections.close_all()
        before, self.mark = self.mark, mark(self.job)
        return [] if before == self.mark else [event("state", self.job.state)]

    def _read(self, *, final: bool) -> tuple[str, bool]:
        """Read on; return the new text as JSON and whether more is there already. An absent cluster is waited for."""
        try:
            over = is_over(self.job)
            chunk = self.tail.read(self.job, actor=self.actor, offset=self.after, now=timezone.now(), is_ending=over)
        except PortalError:
            return "", False
        told, used = _told(chunk.data, final=final and chunk.eof)
        self.after += used
        return told, bool(used) and not chunk.eof


@lru_cache(maxsize=64)
def _told(data: bytes, *, final: bool) -> tuple[str, int]:
    """Return `data` as JSON text and how many bytes of it that stands for: once for all who read the same piece."""
    text, used = logtext.readable(data, final=final)
    return json.dumps(text, ensure_ascii=False) if text else "", used


def as_text(chunk: LogChunk, after: int, *, final: bool) -> tuple[str, int, bool]:
    """Return a piece read from `after`: its text, the offset after it, and whether more can be had at once."""
    text, used = logtext.readable(chunk.data, final=final and chunk.eof)
    return text, after + used, bool(used) and not chunk.eof


def event(name: str, data: str, *, id_: int | None = None) -> bytes:
    """Return one event; `data` holds no line break."""
    lines = [f"event: {name}", *([f"id: {id_}"] if id_ is not None else []), f"data: {data}"]
    return ("\n".join(lines) + "\n\n").encode()


def refused(error: PortalError) -> HttpResponse:
    """Say in one plain line why there is no stream: nobody reads a page here."""
    problem = explain(error)
    return HttpResponse(problem.text, status=problem.status, content_type="text/plain; charset=utf-8")


def found(request: HttpRequest, number: str) -> tuple[Actor, Job]:
    """Return who asks and the job. Raises Forbidden for strangers and the wrong role, NotFound for foreign jobs."""
    actor = shell.stranger_or_actor(request)
    if actor is None:
        raise Forbidden
    actor.require(Permission.JOB_SUBMIT)
    shell.no_nul({"number": number})
    return actor, access.get_job(actor, number)


@require_GET
def job_stream(request: HttpRequest, number: str) -> HttpResponseBase:
    """Stream a job's log and say when its state changes. 403, 404, and 429 beyond `MAX_STREAMS`."""
    try:
        actor, job = found(request, number)
    except PortalError as error:
        return refused(error)
    after = request.headers.get("Last-Event-ID") or request.GET.get("after")
    live = Live(actor=actor, job=job, after=offset_of(after))
    if not STREAMS.admit(actor.user_id or 0, live):
        text = gettext("同时打开的实时日志太多，请关闭几个页面。")
        return HttpResponse(text, status=429, content_type="text/plain; charset=utf-8")
    response = StreamingHttpResponse(live, content_type="text/event-stream; charset=utf-8")
    # A compressing middleware or proxy would hold events back until its block is full.
    response["Content-Encoding"] = "identity"
    response["X-Accel-Buffering"] = "no"
    response["Cache-Control"] = "no-cache, no-transform"
    return response


# ---- without a stream


@require_GET
def job_log(request: HttpRequest, number: str) -> HttpResponse:
    """Answer ``?after=N`` with what came since: ``{"text", "after", "state", "ended"}``."""
    try:
        actor, job = found(request, number)
    except PortalError as error:
        problem = explain(error)
        return JsonResponse({"code": problem.code, "message": problem.text}, status=problem.status)
    after, more = offset_of(request.GET.get("after")), True
    parts: list[str] = []
    try:
        while more and len(parts) < POLL_CHUNKS:
            text, after, more = as_text(_chunk(job, after, actor), after, final=is_over(job))
            parts.append(text)
    except PortalError:
        more = True
    text = "".join(parts)
    answer: dict[str, Any] = {"text": text, "after": after, "state": mark(job)}
    return JsonResponse({**answer, "ended": is_over(job) and not text and not more})


@shell.needs(Permission.JOB_SUBMIT)
def job_log_raw(request: HttpRequest, number: str) -> HttpResponse:
    """Hand over the log as it is, byte for byte, up to its present end."""
    actor = shell.actor_of(request)
    job = access.get_job(actor, number)
    first = _chunk(job, 0, actor)
    response = StreamingHttpResponse(
        _file(job, actor, first.data, ended=first.eof), content_type="text/plain; charset=utf-8"
    )
    response["Content-Disposition"] = f'attachment; filename="{job.number}.log"'
    return response  # type: ignore[return-value]


async def _file(job: Job, actor: Actor, data: bytes, *, ended: bool) -> AsyncIterator[bytes]:
    await sync_to_async(connections.close_all)()
    offset = len(data)
    yield data
    while not ended:
        chunk = await sync_to_async(_chunk)(job, offset, actor)
        ended = chunk.eof or not chunk.data
        offset += len(chunk.data)
        yield chunk.data
