"""A lab's own calendars: look at what a file would change, import it, see what each calendar blocks, remove it."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping, Sequence
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
from portal.kernel.period import Period
from portal.organisations.models import Organisation
from portal.pages import shell, slots
from scheduler.calendars import access as calendars
from scheduler.calendars import queries, services
from scheduler.calendars.models import CalendarImport
from scheduler.resources import access
from scheduler.resources.models import Resource

__all__ = ["instrument_calendar", "one_calendar"]

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


def _part(rows: Sequence[queries.Row]) -> dict[str, Any]:
    return {
        "rows": rows[:SHOWN],
        "count": len(rows),
        "more": max(0, len(rows) - SHOWN),
        "hours": sum(row.period.duration.total_seconds() for row in rows),
    }


def _met(conflicts: Iterable[queries.Conflict]) -> list[dict[str, Any]]:
    found = list(conflicts)
    people = Organisation.objects.in_bulk({row.organisation_id for row in found})
    return [{"number": row.number, "who": people[row.organisation_id], "period": row.period} for row in found]


def _preview(found: queries.Preview) -> dict[str, Any]:
    """Return what importing would do: what is blocked anew, freed, unchanged, skipped and why, and what it meets."""
    return {
        "events": found.report.events,
        "anew": _part(found.anew),
        "freed": _part(found.freed),
        "kept": _part(found.kept),
        "skipped": skipped_words([{"summary": row.summary, "reason": row.reason} for row in found.report.skipped]),
        "conflicts": _met(found.conflicts),
    }


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_calendar(request: HttpRequest, number: str) -> HttpResponse:
    """Take a calendar file in two steps: look at what it would change, then import it."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    if request.method != "POST":
        return _calendars(request, resource, UploadForm())
    if token := request.POST.get("token"):
        return _import(request, resource, token, now=now)
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _calendars(request, resource, form)
    name = form.cleaned_data["name"]
    # One byte beyond the limit is enough for the reader to refuse the file in its own words.
    raw = form.cleaned_data["file"].read(MAX_BYTES + 1)
    found, error = shell.attempt(
        lambda: services.preview_calendar(actor=actor, resource=resource, name=name, raw=raw, now=now)
    )
    if error is not None:
        return _calendars(request, resource, form, error=slots.put_back(form, error))
    token = secrets.token_urlsafe(16)
    cache.set(_kept(actor.user_id, resource, token), {"name": name, "raw": raw}, KEPT_S)
    context = {
        "resource": resource,
        "name": name,
        "file": form.cleaned_data["file"].name,
        "token": token,
        "report": _preview(found),
        "replaces": found.replaces,
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
        "calendars": _standing(resource, now=timezone.now()),
        "form": form,
        "error": error,
        "listing": page,
        "imports": rows,
        "shown": shown,
        "report": _done(shown) if shown else None,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/calendar.html", context, status=status)


def _standing(resource: Resource, *, now: datetime) -> list[dict[str, Any]]:
    """Return each calendar with what it blocks and the bookings it meets. Four queries, whatever the number."""
    blocks = queries.blocks_of(resource, now=now)
    conflicts = queries.conflicts_of(resource, now=now)
    return [
        {
            "calendar": calendar,
            "blocks": len(blocks.get(calendar.pk, [])),
            "conflicts": len(conflicts.get(calendar.pk, [])),
        }
        for calendar in calendars.calendars_of(resource)
    ]


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


@shell.needs(Permission.INSTRUMENT_MANAGE)
def one_calendar(request: HttpRequest, number: str, calendar_id: int) -> HttpResponse:
    """Show what one calendar blocks, by which event, and which bookings it meets; remove it."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    calendar = calendars.get_calendar(resource, calendar_id)
    if request.method == "POST":
        shell.act_of(request, "remove")
        services.remove_calendar(actor=actor, calendar=calendar, now=now)
        messages.success(request, gettext("已移除“%(name)s”，它占用的时间重新开放预约。") % {"name": calendar.name})
        return redirect("instrument_calendar", number)
    context = {
        "resource": resource,
        "calendar": calendar,
        "blocks": _part(queries.blocks_of(resource, now=now).get(calendar.pk, [])),
        "conflicts": _met(queries.conflicts_of(resource, now=now).get(calendar.pk, [])),
    }
    return shell.page(request, "lab/calendar_one.html", context)
