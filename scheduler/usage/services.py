"""Record measured use; the only writer of the metering table."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from portal.kernel.actors import Actor
from scheduler.usage.models import UsageRecord


def record_session(
    *,
    booking_id: int,
    started_at: datetime,
    ended_at: datetime,
    duration_s: int,
    actor: Actor,
    now: datetime,
    source: str = "manual",
) -> UsageRecord:
    """Record the measured session of a booking. One per booking: the database refuses a second.

    `duration_s` of the span were use. `source` is ``manual`` (the lab wrote it down), ``bench`` (the user checked out at
    the bench), ``meter`` or ``file`` (the instrument's own clock).
    """
    return UsageRecord.objects.create(
        booking_id=booking_id,
        started_at=started_at,
        ended_at=ended_at,
        duration_s=duration_s,
        source=source,
        recorded_at=now,
        recorded_by=actor.label,
    )


def record_visit(
    *, visit_id: int, span: tuple[datetime, datetime], duration_s: int, actor: Actor, now: datetime
) -> UsageRecord:
    """Record the beam a paid visit had, once: the database refuses a second. `duration_s` is what was delivered."""
    return UsageRecord.objects.create(
        visit_id=visit_id,
        started_at=span[0],
        ended_at=span[1],
        duration_s=duration_s,
        source="manual",
        recorded_at=now,
        recorded_by=actor.label,
    )


def correct_visit(*, visit_id: int, duration_s: int, actor: Actor, now: datetime) -> UsageRecord | None:
    """Record what a paid visit had as it is counted now, in a further row; None where that is nothing new.

    The caller holds the visit's lock.
    """
    last = UsageRecord.objects.filter(visit_id=visit_id).order_by("-run_no").first()
    if last is None or last.duration_s == duration_s:
        return None
    return UsageRecord.objects.create(
        visit_id=visit_id,
        run_no=last.run_no + 1,
        started_at=last.started_at,
        ended_at=last.ended_at,
        duration_s=duration_s,
        source="manual",
        recorded_at=now,
        recorded_by=actor.label,
    )


def record_run(
    *,
    job_id: int,
    span: tuple[datetime, datetime],
    duration_s: int,
    count: int,
    detail: Mapping[str, Any],
    now: datetime,
    run_no: int = 1,
) -> UsageRecord:
    """Record run `run_no` of a job from the scheduler's accounting, once. `duration_s` excludes suspension."""
    return UsageRecord.objects.create(
        job_id=job_id,
        run_no=run_no,
        started_at=span[0],
        ended_at=span[1],
        duration_s=duration_s,
        count=count,
        source="cluster",
        detail=dict(detail),
        recorded_at=now,
        recorded_by="cluster",
    )
