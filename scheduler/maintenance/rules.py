"""What a maintenance window may be, and what it has against a job. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta, tzinfo
from typing import Final

from portal.kernel.errors import Conflict, Invalid, Reason, noop
from portal.kernel.period import Period

__all__ = [
    "LONGEST",
    "MaintenanceBegun",
    "MaintenanceOver",
    "MaintenanceOverlaps",
    "MaintenancePast",
    "MaintenanceTooLong",
    "check",
    "is_on",
    "refusals",
]

_ = noop

LONGEST: Final = timedelta(days=31)
"""Longer than this a cluster is out of service, which is another switch."""


class MaintenancePast(Invalid):
    code = "maintenance.past"
    message = _("维护的结束时间已经过去。请检查日期和时间。")


class MaintenanceTooLong(Invalid):
    code = "maintenance.too_long"
    message = _("一次维护最长 %(days)s 天。更久的停用请关闭分区。")


class MaintenanceOverlaps(Conflict):
    code = "maintenance.overlaps"
    message = _("该集群在这段时间已有公告的维护。请先提前结束或取消那一次，或改时间。")


class MaintenanceBegun(Conflict):
    code = "maintenance.begun"
    message = _("维护已经开始，不能取消。请提前结束。")


class MaintenanceOver(Conflict):
    code = "maintenance.over"
    message = _("这次维护已经结束或取消。")


def check(period: Period, *, now: datetime) -> None:
    """Raises MaintenancePast, MaintenanceTooLong. What began a while ago may still be announced, as long as it lasts."""
    if period.end <= now:
        raise MaintenancePast(field="ends_at")
    if period.end - period.start > LONGEST:
        raise MaintenanceTooLong(field="ends_at", days=LONGEST.days)


def is_on(periods: Sequence[Period], *, now: datetime) -> Period | None:
    """Return the window that contains `now`. Half-open: at its end the cluster is back."""
    return next((period for period in periods if period.start <= now < period.end), None)


def refusals(periods: Sequence[Period], *, now: datetime, limit_s: int, guard_s: int, zone: tzinfo) -> list[Reason]:
    """Say what announced windows have against a job that starts now and may run `limit_s` seconds and `guard_s` beyond.

    A job that waits may still meet a window it would have missed; then the cluster's own reservation holds it back.
    """
    if on := is_on(periods, now=now):
        until = _stamp(on.end, zone)
        return [
            Reason(
                "cluster.maintenance",
                _("集群正在维护，%(until)s（北京时间）结束。"),
                _("请在维护结束后再提交，或换一个集群。"),
                field="partition",
                params={"until": until},
            )
        ]
    ends = now + timedelta(seconds=limit_s + guard_s)
    ahead = sorted((period for period in periods if now < period.start < ends), key=lambda period: period.start)
    if not ahead:
        return []
    window = ahead[0]
    minutes = int((window.start - now).total_seconds() - guard_s) // 60
    return [
        Reason(
            "cluster.maintenance_ahead",
            _("集群将于 %(start)s 至 %(until)s（北京时间）维护，这个时限的作业届时可能尚未结束。"),
            _("请把时限缩短到 %(minutes)s 分钟以内，或在维护结束后再提交，或换一个集群。"),
            field="time_limit_min",
            params={
                "start": _stamp(window.start, zone),
                "until": _stamp(window.end, zone),
                "minutes": max(minutes, 0),
            },
        )
    ]


def _stamp(at: datetime, zone: tzinfo) -> str:
    return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"
