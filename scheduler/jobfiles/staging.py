"""Bring a job's files to its directory before it may start. Nothing here runs inside a transaction while it talks."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from datetime import datetime

from portal.kernel.errors import Rejected
from scheduler.jobfiles import keeping, ports
from scheduler.jobfiles.models import JobFile
from scheduler.jobfiles.rules import FileGone

__all__ = ["stage"]

PIECE = 1 << 20
"""What a cluster takes at a time (``Cluster.put_file``)."""


def stage(*, job_id: int, marker: str, user: str, cluster: ports.Takes, now: datetime) -> None:
    """Put every file of a job that is not there yet into the directory of the job to be. Safe to repeat at any point.

    Goes on where a broken attempt stopped. Raises Unavailable (try again), Rejected (the job cannot have its files, also
    when their bytes are gone here).
    """
    waiting = JobFile.objects.filter(job_id=job_id, staged_at__isnull=True).select_related("upload", "secret")
    for file in waiting.order_by("pk"):
        try:
            if file.upload is not None:
                _stage_upload(file, marker=marker, user=user, cluster=cluster)
            elif file.secret is not None:
                value = keeping.unseal(bytes(file.secret.sealed))
                cluster.put_file(marker=marker, user=user, path=file.path, offset=0, data=value)
        except FileGone as error:
            # By its number: operators read this, and names of files are the enterprise's.
            thing = file.upload or file.secret
            raise Rejected(reason=f"{thing.number if thing else ''}: {error}") from error
        JobFile.objects.filter(pk=file.pk).update(staged_at=now)


def _stage_upload(file: JobFile, *, marker: str, user: str, cluster: ports.Takes) -> None:
    assert file.upload is not None
    digest, offset = hashlib.sha256(), 0
    with keeping.opened(file.upload.sha256) as handle:
        for data in _pieces(handle):
            digest.update(data)
            if offset >= file.staged_bytes or not data:
                cluster.put_file(marker=marker, user=user, path=file.path, offset=offset, data=data)
                JobFile.objects.filter(pk=file.pk).update(staged_bytes=offset + len(data))
            offset += len(data)
    if digest.hexdigest() != file.upload.sha256:
        raise FileGone


def _pieces(handle: int) -> Iterator[bytes]:
    """Yield the file in pieces; one empty piece for an empty file."""
    data = os.read(handle, PIECE)
    yield data
    while data and (data := os.read(handle, PIECE)):
        yield data
