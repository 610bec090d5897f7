"""What a job's directory holds: list it, and hand a file out whole or from where a broken download stopped."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from urllib.parse import quote

from asgiref.sync import sync_to_async
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse

from portal.kernel.errors import Conflict, NotFound, Rejected, noop
from scheduler.jobs import access, ports
from scheduler.jobs.models import Job
from vouchers.evidence.rules import clean_name

__all__ = ["NothingThere", "handed_out", "listed"]

_ = noop

PIECE = 1 << 20


class NothingThere(Conflict):
    code = "jobfile.nothing_there"
    message = _("作业还没有送达集群，没有文件。")


def listed(job: Job) -> list[ports.FileEntry]:
    """Return the files of a job's directory, secrets left out. Raises NothingThere, Unavailable."""
    hidden = _secrets(job)
    try:
        return [entry for entry in _connect(job).files(access.ref_of(job)) if entry.path not in hidden]
    except Rejected as error:
        raise NothingThere from error


def _connect(job: Job) -> ports.Cluster:
    if not job.cluster_job_id or job.cluster_submitted_at is None:
        raise NothingThere
    return access.connect(job.partition.cluster)


def _secrets(job: Job) -> frozenset[str]:
    return frozenset(job.files.filter(secret__isnull=False).values_list("path", flat=True))


def handed_out(job: Job, path: str, *, asked: str = "", unless: str = "") -> HttpResponseBase:
    """Return a file as a download, or the part `asked` for (a ``Range`` header, one range of bytes, RFC 9110 §14).

    `unless` is ``If-Range``: with another version's tag the whole is sent. Raises NotFound, NothingThere, Unavailable.
    """
    entry = next((entry for entry in listed(job) if entry.path == path), None)
    if entry is None:
        raise NotFound
    tag = f'"{entry.size:x}-{int(entry.modified_at.timestamp()):x}"'
    part = _range(asked, entry.size) if not unless or unless == tag else None
    if part is not None and part[0] >= part[1]:
        response: HttpResponseBase = HttpResponse(status=416)
        response["Content-Range"] = f"bytes */{entry.size}"
    else:
        start, end = part or (0, entry.size)
        response = StreamingHttpResponse(_bytes(job, path, start, end), status=206 if part else 200)
        response["Content-Length"] = str(end - start)
        if part:
            response["Content-Range"] = f"bytes {start}-{end - 1}/{entry.size}"
    name = clean_name(path)
    response["Content-Type"] = "application/octet-stream"
    response["Content-Disposition"] = f"attachment; filename*=UTF-8''{quote(name, safe='')}"
    response["X-Content-Type-Options"] = "nosniff"
    response["Accept-Ranges"] = "bytes"
    response["ETag"] = tag
    response["Cache-Control"] = "private, no-store"
    return response


def _range(asked: str, size: int) -> tuple[int, int] | None:
    """Return the half-open range asked for, cut to the file; None for no or a malformed header; empty when beyond."""
    match = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", asked.strip())
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) else (size, size)
    if last and int(last) < int(first):
        return None
    return (int(first), min(size, int(last) + 1) if last else size)


async def _bytes(job: Job, path: str, start: int, end: int) -> AsyncIterator[bytes]:
    """Yield [start, end) of a file as the cluster gives it. One that became shorter meanwhile ends early.

    Asynchronous, because a server would gather all of a synchronous one in memory before it sends the first byte.
    """
    cluster, ref = await sync_to_async(_connect)(job), access.ref_of(job)
    while start < end:
        chunk = await sync_to_async(cluster.read_file)(ref, path=path, offset=start, limit=min(PIECE, end - start))
        if not chunk.data:
            return
        yield chunk.data
        start = chunk.next_offset
