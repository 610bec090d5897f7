"""What the clock keeps of open time: extend it every night, and prove that free time is what it should be."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

import structlog
from django.db import connection, transaction
from django.db.models import Exists, OuterRef, Q

from portal.audit import services as audit
from portal.kernel.actors import Actor
from scheduler.availability import opening
from scheduler.availability.models import FreeGap, OpenPeriod
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["differs", "drop_past", "extend", "fill", "keep", "verify"]

log = structlog.get_logger("availability")

BATCH: Final = 20
"""Resources rewritten in one transaction: their locks are held for about a second."""
PARTS: Final = 50
"""A night proves one resource in so many, by turns: each is proved every fifty days."""
GAPS_KEPT: Final = timedelta(days=1)
PERIODS_KEPT: Final = timedelta(days=180)
"""How long the calendars can look back at what was open."""


def keep(*, now: datetime) -> None:
    """Prove, extend and clear up; run every night, safe at any time, in transactions of their own."""
    verify(now=now)
    extend(now=now)
    drop_past(now=now)


def extend(*, now: datetime, only_holidays: bool = False) -> int:
    """Write open time anew for all resources (or those that follow public holidays); return how many."""
    chosen = Resource.objects.filter(follows_holidays=True) if only_holidays else Resource.objects.all()
    return _rebuild(list(chosen.order_by("pk").values_list("pk", flat=True)), now=now)


def _rebuild(ids: list[int], *, now: datetime) -> int:
    for at in range(0, len(ids), BATCH):
        batch = ids[at : at + BATCH]
        with transaction.atomic():
            resources.lock(resource_ids=batch)
            opening.rebuild(list(Resource.objects.filter(pk__in=batch)), now=now)
    return len(ids)


def fill(*, now: datetime) -> int:
    """Write open time of what has hours and none written ahead; return of how many. Run at every start, safe at any time.

    A database of a version that did not write open time would be closed until the first night.
    """
    written = OpenPeriod.objects.filter(resource=OuterRef("pk"), during__endswith__gt=now)
    stated = Q(opening_hours__isnull=False) | Q(special_openings__during__endswith__gt=now)
    ids = list(Resource.objects.filter(stated, ~Exists(written)).order_by("pk").values_list("pk", flat=True).distinct())
    return _rebuild(ids, now=now)


def drop_past(*, now: datetime) -> None:
    """Delete free time that ended over a day ago, and open time nobody looks back at."""
    FreeGap.objects.filter(ends_at__lt=now - GAPS_KEPT).delete()
    OpenPeriod.objects.filter(during__endswith__lt=now - PERIODS_KEPT).delete()


def verify(*, now: datetime) -> list[int]:
    """Recompute the free time of one resource in fifty and return those where it was not as written.

    What differs is put right at once, recorded and logged as an error: a search showed time that was not free, or hid
    time that was.
    """
    turn = now.toordinal() % PARTS
    found = []
    for resource in Resource.objects.order_by("pk").extra(where=["id %% %s = %s"], params=[PARTS, turn]):
        with transaction.atomic():
            if differs(resource, now=now):
                found.append(resource.pk)
    return found


def differs(resource: Resource, *, now: datetime) -> bool:
    """Recompute one resource's free time; tell whether what was written from now on differed, and say so for good.

    Locks the resource. Runs in the caller's transaction.
    """
    resources.lock(resource_ids=[resource.pk])
    written = _gaps(resource, now)
    with connection.cursor() as cursor:
        cursor.execute("SELECT free_gap_rebuild(%s)", [resource.pk])
    right = _gaps(resource, now)
    if written == right:
        return False
    log.error("free_gap.differs", resource=resource.number, missing=len(right - written), wrong=len(written - right))
    audit.record(
        action="availability.gaps_differed",
        subject=f"instrument:{resource.number}",
        actor=Actor.system("自动处理"),
        now=now,
        organisations=[resource.owner_id],
        data={"missing": _said(right - written), "wrong": _said(written - right)},
    )
    return True


Gap = tuple[int, datetime, datetime]


def _gaps(resource: Resource, now: datetime) -> set[Gap]:
    """Return what is free from `now` on: unit, start, end."""
    rows = FreeGap.objects.filter(resource=resource, ends_at__gt=now).values_list("unit_no", "starts_at", "ends_at")
    return {(unit, max(start, now), end) for unit, start, end in rows}


def _said(gaps: set[Gap]) -> list[list[object]]:
    return [[unit, start.isoformat(), end.isoformat()] for unit, start, end in sorted(gaps)[:20]]
