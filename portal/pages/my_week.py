"""What an enterprise has ahead: its bookings as a week, what comes next for each, and how long a request may be undone."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext

from portal.pages import shell, slots, weekgrid, weeks
from portal.pages.advances import until_text
from portal.pages.templatetags.show import duration
from scheduler.bookings.models import Booking
from scheduler.resources.models import Resource
from vouchers.payments.rules import Collect

__all__ = ["LIVE", "WAITED_FOR", "my_week", "next_step", "undo_s"]

S = Booking.State
LIVE: Final = (S.REQUESTED.value, S.CONFIRMED.value, S.IN_USE.value)
WAITED_FOR: Final = (S.REQUESTED.value, S.CONFIRMED.value)
"""States in which a booking that has not begun may be moved or cancelled."""
UNDO_S: Final = 10
"""How long after a request one button takes it back, while no money has moved."""
MOST: Final = 200
"""More bookings of one organisation than a week's page shows."""
SHOWN: Final = (*LIVE, S.COMPLETED.value)


def undo_s(made: Booking, *, now: datetime) -> int:
    """Return for how many more seconds a fresh request may be undone with one press; 0 for none."""
    left = (made.created_at + timedelta(seconds=UNDO_S) - now).total_seconds()
    return max(min(int(left), UNDO_S), 0) if made.state == S.REQUESTED.value else 0


def next_step(made: Booking, *, now: datetime, offered: bool = False) -> str:
    """Say in a few words what comes next for a booking; empty where nothing does. `offered`: the lab has another time."""
    if made.state == S.HELD.value and made.hold_until is not None and made.hold_until > now:
        until = {"until": until_text(made)}
        asked = made.collect == Collect.BEFORE.value
        return (gettext("请在 %(until)s 前付款") if asked else gettext("请在 %(until)s 前提交")) % until
    if made.state == S.DISPLACED.value:
        return gettext("时段被停机占用，请选择改期或退回")
    if made.state == S.REQUESTED.value and offered:
        return gettext("实验室建议另一时段，请答复")
    if made.state == S.REQUESTED.value:
        return gettext("等待实验室确认") if made.starts_at > now else gettext("开始时间已过，等待实验室处理")
    if made.state == S.CONFIRMED.value and made.starts_at > now:
        return gettext("%(left)s后到场") % {"left": duration(_rounded(made.starts_at - now))}
    if made.state == S.CONFIRMED.value:
        return gettext("请到场并请实验室登记开始")
    if made.state == S.IN_USE.value:
        return gettext("使用结束后由实验室登记")
    return ""


def _rounded(left: timedelta) -> timedelta:
    """Return a wait as people say it: days beyond two, hours beyond two, else minutes."""
    unit = 86400 if left >= timedelta(days=2) else 3600 if left >= timedelta(hours=2) else 60
    return timedelta(seconds=max(int(left.total_seconds()) // unit, 1) * unit)


def my_week(
    request: HttpRequest,
    found: QuerySet[Booking],
    *,
    now: datetime,
    filters: Any,
    tabs: Sequence[dict[str, Any]],
) -> HttpResponse:
    """Show one week of the instruments booked in it: one's own time, and what else is free. Seven queries."""
    actor = shell.actor_of(request)
    local = timezone.localtime(now)
    chosen = slots.day_of(request.GET.get("day", ""))
    days = weekgrid.week_of(chosen or local.date())
    window = weeks.week_window(days)
    inside = found.filter(starts_at__lt=window.end, ends_at__gt=window.start, state__in=SHOWN)
    ids = set(inside.values_list("resource_id", flat=True)[:MOST])
    resources = list(Resource.objects.filter(pk__in=ids).select_related("owner").order_by("name", "pk"))
    rows = weeks.rows(resources, weeks.look(resources, window=window, now=now), actor=actor, now=now)
    whole_day = request.GET.get("hours") == "all"
    grid = weekgrid.shape(rows, days, now=local, chosen=chosen, window=(0, 48) if whole_day else weekgrid.DAYTIME)
    context = {"filters": filters, "tabs": tabs, "grid": grid, "hours": "all" if whole_day else "day"}
    return shell.page(request, "bookings/week.html", context)
