"""Keep what was asked of a cluster about a job and what it answered: the record on which "it is not there" rests."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from scheduler.jobs import ports
from scheduler.jobs.doubt_models import JobEvidence
from scheduler.jobs.models import Job

__all__ = ["Asking", "Op", "Verdict", "ask", "last_asked", "proves_absence"]

Op, Verdict = JobEvidence.Op, JobEvidence.Verdict

APART = timedelta(seconds=30)
"""Absence counts when two clean answers at least this far apart say so (compute.md §3.5 step 5)."""


@dataclass(slots=True)
class Asking:
    """A question under way: the row exists before the call, its answer is added after it."""

    row: JobEvidence
    since: float = field(default_factory=time.monotonic)

    def answered(self, verdict: JobEvidence.Verdict, *, detail: str = "", refs: Sequence[str] = ()) -> JobEvidence:
        """Add the answer. The same answer to the same question again counts up the earlier row instead."""
        row = self.row
        at = row.asked_at + timedelta(seconds=time.monotonic() - self.since)
        row.verdict, row.detail, row.refs = verdict.value, detail[:500], list(refs)[:20]
        before = (
            JobEvidence.objects.filter(job_id=row.job_id, attempt=row.attempt, op=row.op, pk__lt=row.pk)
            .order_by("-pk")
            .first()
        )
        if before is not None and _same(before, row):
            row.delete()
            before.times += 1
            before.last_at = at
            before.save(update_fields=["times", "last_at"])
            return before
        row.answered_at = row.last_at = at
        row.save()
        return row

    def answer(self, said: Any) -> JobEvidence:
        """Add an answer of the port to ``submit`` or ``find``."""
        match said:
            case ports.Accepted(ref=ref):
                return self.answered(Verdict.ACCEPTED, refs=[ref.job_id])
            case ports.RejectedBy(code=code, detail=detail):
                return self.answered(Verdict.REJECTED, detail=f"{code}: {detail}")
            case ports.NotSent(detail=detail):
                return self.answered(Verdict.NOT_SENT, detail=detail)
            case ports.Unknown(detail=detail):
                return self.answered(Verdict.UNKNOWN, detail=detail)
            case ports.Found(refs=refs):
                return self.answered(Verdict.FOUND, refs=[ref.job_id for ref in refs])
            case ports.Absent():
                return self.answered(Verdict.ABSENT)
            case _:
                return self.answered(Verdict.CANNOT_TELL, detail=said.detail)


def _same(one: JobEvidence, other: JobEvidence) -> bool:
    return (one.verdict, one.detail, one.refs) == (other.verdict, other.detail, other.refs)


def ask(job: Job, op: JobEvidence.Op, *, now: datetime, **question: Any) -> Asking:
    """Write down that a question is put now. Call it before the call it tells of, outside any transaction."""
    return Asking(JobEvidence.objects.create(job=job, attempt=job.attempts, op=op, asked_at=now, question=question))


def last_asked(job: Job, op: JobEvidence.Op) -> datetime | None:
    """Return when this attempt's question was last answered, or put where it was not."""
    row = JobEvidence.objects.filter(job=job, attempt=job.attempts, op=op).order_by("-pk").first()
    return None if row is None else row.last_at or row.asked_at


def proves_absence(job: Job, *, asked_at: datetime) -> bool:
    """Say whether an absence answered to a question put at `asked_at` is the second one, far enough from the first."""
    first = (
        JobEvidence.objects.filter(job=job, attempt=job.attempts, op=Op.FIND, verdict=Verdict.ABSENT.value)
        .order_by("pk")
        .first()
    )
    return first is not None and first.answered_at is not None and asked_at - first.answered_at >= APART
