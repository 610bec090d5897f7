"""Follow the calendar of working days: what a changed public holiday or make-up day does to open time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta

from celery import current_app
from django.db import transaction

from portal.kernel.period import Period, subtract
from portal.workdays.queries import workdays
from scheduler.availability import impacts, opening, patterns, queries, rules
from scheduler.availability.models import BLOCKING
from scheduler.resources.models import Resource

__all__ = ["follow"]

TASK = "availability.follow_holidays"


def follow(*, days: Sequence[date], accepts: Sequence[str], now: datetime) -> None:
    """Answer a change of `days` already written in the caller's transaction; open time is rewritten after it commits.

    Answers ``portal.workdays.ports.Follower``. Raises BookingsAffected with the bookings the new days would leave
    outside open time, unless they are in `accepts`; they stay booked. Only resources with bookings about those days
    are looked at.
    """
    ahead = [day for day in days if datetime.combine(day + timedelta(days=2), time.min, UTC) > now]
    if not ahead:
        return
    window = Period(
        max(datetime.combine(min(ahead) - timedelta(days=2), time.min, UTC), now),
        datetime.combine(max(ahead) + timedelta(days=3), time.min, UTC),
    )
    booked = list(
        Resource.objects.filter(
            follows_holidays=True,
            claims__state__in=BLOCKING,
            claims__booking__isnull=False,
            claims__blocked__overlap=(window.start, window.end),
        )
        .distinct()
        .order_by("pk")
    )
    before = queries.open_periods(booked, window=window)
    after = opening.pattern_of(booked, window=window, calendar=workdays())
    broken = [
        affected
        for resource in booked
        for affected in impacts.impact(
            resource,
            lost=subtract(
                before[resource.pk],
                patterns.open_to(patterns.expand(after[resource.pk], window=window), rules.Audience.ENTERPRISES),
            ),
            now=now,
        )
    ]
    impacts.refuse_unseen(broken, accepts=accepts)
    transaction.on_commit(lambda: current_app.send_task(TASK))
