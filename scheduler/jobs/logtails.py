"""Read a job's output: once for all who follow it, and with a record of what was refused.

A job may put a link or a device in the place of its log; the adapters refuse to follow it, and the refusal is recorded.
"""

from __future__ import annotations

import threading
import time
import weakref
from datetime import datetime
from typing import Final

from django.core.cache import cache
from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import Rejected
from scheduler.jobs import ports, queries, services
from scheduler.jobs.models import Job

__all__ = ["CHUNK", "Tail", "read", "tail_of"]

CHUNK: Final = 65_536
WINDOW: Final = 4 * 1024 * 1024
"""How much of a log's end one process keeps for its readers, in bytes."""
FRESH_S: Final = 0.4
"""A log found at its end is looked at again after this long, however many follow it."""
NOTED_S: Final = 3600
"""A refusal is recorded once an hour for a job."""


def read(job: Job, *, actor: Actor, offset: int, limit: int = CHUNK, now: datetime) -> ports.LogChunk:
    """Read output from `offset`. Raises Unavailable, Rejected; a refusal is recorded with who asked."""
    try:
        return queries.log(job, offset=offset, limit=limit)
    except Rejected as error:
        if cache.add(f"job-log-refused:{job.pk}", 1, NOTED_S):
            with transaction.atomic():
                services.record(job, action="job.log_refused", actor=actor, now=now, detail=str(error)[:200])
        raise


class Tail:
    """The latest bytes of one log, read from the file once for all its readers in this process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._start, self._data = -1, bytearray()
        self._eof, self._looked = False, 0.0

    def read(self, job: Job, *, actor: Actor, offset: int, now: datetime, is_ending: bool = False) -> ports.LogChunk:
        """Return at most `CHUNK` bytes from `offset`: from memory where they are there. Raises as `read` does.

        `is_ending`: look even if somebody has just done so.
        """
        with self._lock:
            if self._start < 0:
                self._start = offset
            end = self._start + len(self._data)
            if self._start <= offset <= end:
                if offset == end:
                    self._read_on(job, actor=actor, at=end, now=now, is_ending=is_ending)
                here = offset - self._start
                # Up to the next multiple of a piece: readers meet at the same places, wherever each began.
                piece = bytes(self._data[here : here + CHUNK - offset % CHUNK])
                after = offset + len(piece)
                self._forget()
                return ports.LogChunk(piece, after, eof=self._eof and after >= self._start + len(self._data))
        return read(job, actor=actor, offset=offset, now=now)

    def _read_on(self, job: Job, *, actor: Actor, at: int, now: datetime, is_ending: bool) -> None:
        if self._eof and not is_ending and time.monotonic() - self._looked < FRESH_S:
            return
        chunk = read(job, actor=actor, offset=at, now=now)
        self._data += chunk.data
        self._eof, self._looked = chunk.eof, time.monotonic()

    def _forget(self) -> None:
        if (surplus := len(self._data) - WINDOW) > 0:
            del self._data[:surplus]
            self._start += surplus


_tails: weakref.WeakValueDictionary[int, Tail] = weakref.WeakValueDictionary()
_tails_lock = threading.Lock()


def tail_of(job_id: int) -> Tail:
    """Return the shared end of a job's log; it lives as long as somebody holds it."""
    with _tails_lock:
        found = _tails.get(job_id)
        if found is None:
            found = _tails[job_id] = Tail()
        return found
