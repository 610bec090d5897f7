"""A lab's own calendars: import a file after a look at what it blocks, block time for maintenance, share a feed."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import noop
from portal.kernel.period import Period, merge
from portal.pages import shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.templatetags.show import zone_of
from scheduler.availability import queries, services
from scheduler.availability.models import CalendarImport, Claim, ExternalCalendar
from scheduler.availability.ports import CalendarReport
from scheduler.bookings.models import Booking
from scheduler.resources import access
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["instrument_calendar", "instrument_feed", "instrument_maintenance"]

MAX_BYTES = 5 * 1024 * 1024
KEPT_S = 15 * 60
"""How long a file waits between the look and the import."""
SHOWN = 50
SKIPPED: Final[Mapping[str, str]] = {
    "cancelled": noop("日程已取消"),
    "transparent": noop("标记为“空闲”，不占用时间"),
    "declined": noop("本单位已谢绝参加"),
    "no_time": noop("没有时间"),
    "not_event": noop("不是日程（例如待办事项）"),
    "broken": noop("日程无法识别"),
}
"""Why an event does not block, in words."""


class UploadForm(forms.Form):
    """A calendar file and the name under which it is kept."""

    name = forms.CharField(
        label=_("日历名称"),
        max_length=80,
        help_text=_("例如“电镜室内部排班”。再次导入同名日历会替换它上一次的占用。"),
        error_messages={"required": _("请给这份日历起个名字，再次导入同名日历会更新它。")},
    )
    file = forms.FileField(
        label=_("日历文件"),
        help_text=_("从日历软件导出的 .ics 文件，不超过 5 MB。"),
        allow_empty_file=True,
        error_messages={"required": _("请选择一个 .ics 文件。")},
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["file"].widget.attrs["accept"] = ".ics,text/calendar"


def _kept(actor_id: int | None, resource: Resource, token: str) -> str:
    return f"calendar:{actor_id}:{resource.number}:{token}"


def skipped_words(rows: Sequence[Mapping[str, str]]) -> list[dict[str, str]]:
    """Return skipped events with the reason in words."""
    return [
        {
            "summary": row["summary"] or gettext("（无标题）"),
            "reason": gettext(SKIPPED.get(row["reason"], SKIPPED["broken"])),
        }
        for row in rows
    ]


def _preview(resource: Resource, report: CalendarReport, *, now: datetime) -> dict[str, Any]:
    """Return what importing would do: what blocks, what is skipped and why, which bookings it meets."""
    busy = merge(span.period for span in report.busy)
    window = Period(now, now + services.HORIZON)
    taken = queries.blocks([resource.pk], window=window).get(resource.pk, [])
    met = {
        block.booking_id
        for block in taken
        if block.blocks and block.booking_id is not None and any(block.blocked.overlaps(span) for span in busy)
    }
    conflicts = Booking.objects.filter(pk__in=met).select_related("organisation").order_by("starts_at")
    return {
        "events": report.events,
        "spans": report.busy[:SHOWN],
        "more": max(0, len(report.busy) - SHOWN),
        "count": len(report.busy),
        "hours": sum(span.duration.total_seconds() for span in busy),
        "skipped": skipped_words([{"summary": row.summary, "reason": row.reason} for row in report.skipped]),
        "conflicts": [
            {"number": row.number, "who": row.organisation, "period": Period(row.starts_at, row.ends_at)}
            for row in conflicts
        ],
    }


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_calendar(request: HttpRequest, number: str) -> HttpResponse:
    """Take a calendar file in two steps: look at what it would block, then import it."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    if request.method != "POST":
        return _calendars(request, resource, UploadForm())
    if token := request.POST.get("token"):
        return _import(request, resource, token, now=now)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _calendars(request, resource, form)
    # One byte beyond the limit is enough for the reader to refuse the file in its own words.
    raw = form.cleaned_data["file"].read(MAX_BYTES + 1)
    report, error = shell.attempt(lambda: services.read_calendar(raw, resource=resource, now=now))
    if error is not None:
        return _calendars(request, resource, form, error=slots.put_back(form, error))
    token = secrets.token_urlsafe(16)
    cache.set(_kept(actor.user_id, resource, token), {"name": form.cleaned_data["name"], "raw": raw}, KEPT_S)
    context = {
        "resource": resource,
        "name": form.cleaned_data["name"],
        "file": form.cleaned_data["file"].name,
        "token": token,
        "report": _preview(resource, report, now=now),
        "replaces": ExternalCalendar.objects.filter(resource=resource, name=form.cleaned_data["name"].strip()).first(),
    }
    return shell.page(request, "lab/calendar_check.html", context)


def _import(request: HttpRequest, resource: Resource, token: str, *, now: datetime) -> HttpResponse:
    actor = shell.actor_of(request)
    kept = cache.get(_kept(actor.user_id, resource, token))
    if kept is None:
        text = gettext("检查结果已过期或已导入，请重新选择文件。")
        gone = Explained(409, "calendar.expired", text, ({"code": "", "text": text, "remedy": "", "field": "file"},))
        return _calendars(request, resource, UploadForm(), error=gone)
    done, error = shell.attempt(
        lambda: services.import_calendar(actor=actor, resource=resource, name=kept["name"], raw=kept["raw"], now=now)
    )
    if error is not None:
        return _calendars(request, resource, UploadForm(initial={"name": kept["name"]}), error=error)
    cache.delete(_kept(actor.user_id, resource, token))
    messages.success(request, gettext("已导入“%(name)s”。") % {"name": kept["name"]})
    return redirect(f"{reverse('instrument_calendar', args=[resource.number])}?import={done.pk}")


def _calendars(
    request: HttpRequest, resource: Resource, form: UploadForm, *, error: Explained | None = None
) -> HttpResponse:
    imports = CalendarImport.objects.filter(calendar__resource=resource).select_related("calendar")
    page = shell.listing(request, imports, sorts={"at": ["at"]}, default="-at")
    rows = list(page.rows)
    asked = request.GET.get("import", "")
    shown = imports.filter(pk=int(asked)).first() if asked.isascii() and asked.isdigit() and len(asked) < 19 else None
    context = {
        "resource": resource,
        "form": form,
        "error": error,
        "listing": page,
        "imports": rows,
        "shown": shown,
        "report": _done(shown) if shown else None,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/calendar.html", context, status=status)


def _done(shown: CalendarImport) -> dict[str, Any]:
    """Return what an import did, in words."""
    report = shown.report
    return {
        **report,
        "skipped": skipped_words(report["skipped"]),
        "conflicts": [
            {
                "number": row["booking"],
                "period": Period(datetime.fromisoformat(row["from"]), datetime.fromisoformat(row["to"])),
            }
            for row in report["conflicts"]
        ],
    }


class MaintenanceForm(forms.Form):
    """A span to block, in the instrument's wall time, and why."""

    day = slots.DayField(label=_("开始日期"))
    start = slots.ClockField(label=_("开始时间"), widget=slots.time_input())
    end_day = slots.DayField(label=_("结束日期"))
    end = slots.ClockField(label=_("结束时间"), widget=slots.time_input())
    note = forms.CharField(label=_("原因"), max_length=120, help_text=_("仅本单位可见；企业只看到“维护”。"))

    def period(self, zone: str) -> Period:
        """Return the span. Raises LocalTimeMissing, BadPeriod."""
        said = self.cleaned_data
        return slots.local_period(
            (said["day"], said["start"]), (said["end_day"], said["end"]), zone, fields=("start", "end")
        )


NAMES = {"starts_at": "start", "ends_at": "end"}


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_maintenance(request: HttpRequest, number: str) -> HttpResponse:
    """Block time for maintenance, or lift a block."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    lifted = request.POST.get("lift", "")
    if lifted.isascii() and lifted.isdigit() and len(lifted) < 19:
        services.lift_maintenance(actor=actor, resource=resource, claim_id=int(lifted), now=now)
        messages.success(request, gettext("已取消该维护时段，时间重新开放预约。"))
        return redirect("instrument_maintenance", number)
    local = now.astimezone(zone_of(resource.zone)).date()
    initial = {"day": local, "end_day": local, "start": 8 * 60, "end": 18 * 60}
    form = MaintenanceForm(request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        _claim, error = shell.attempt(
            lambda: services.block_for_maintenance(
                actor=actor,
                resource=resource,
                period=form.period(resource.zone),
                note=form.cleaned_data["note"],
                now=now,
            )
        )
        if error is None:
            messages.success(request, gettext("维护时段已登记，企业不能预约这段时间。"))
            return arrived(request, reverse("instrument_maintenance", args=[number]))
        error = slots.put_back(form, error, NAMES)
    blocked = Claim.objects.filter(resource=resource, state=Claim.State.OUTAGE, blocked__endswith__gt=now).order_by(
        "blocked"
    )
    context = {
        "resource": resource,
        "form": form,
        "error": error,
        "blocks": [
            {"id": row.pk, "note": row.note, "period": Period(row.during.lower, row.during.upper)} for row in blocked
        ],
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/maintenance.html", context, status=status)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_feed(request: HttpRequest, number: str) -> HttpResponse:
    """Make the instrument's secret feed address: shown this once, the address before it ends at once."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    links: list[dict[str, str]] = []
    if request.method == "POST":
        secret = resources.publish_feed(actor=actor, resource=resource, now=now)
        for kind, name in (("events", gettext("日程订阅")), ("freebusy", gettext("忙闲信息"))):
            url = request.build_absolute_uri(reverse("feed", args=[secret, kind]))
            links.append({"name": name, "url": url, "webcal": "webcal://" + url.partition("://")[2]})
    context = {"resource": resource, "links": links, "exists": bool(resource.feed_digest)}
    response = shell.page(request, "lab/feed.html", context)
    response["Cache-Control"] = "no-store"
    return response
