"""A lab's own calendars: look at what a file or an address would change, take it over, see what blocks, remove it."""

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
from django.utils.text import format_lazy
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from integrations.ics.refusals import DETAILS, UNREACHABLE
from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import noop
from portal.kernel.period import Period
from portal.organisations.models import Organisation
from portal.pages import shell, slots
from scheduler.calendars import access as calendars
from scheduler.calendars import polling, queries, services
from scheduler.calendars.models import CalendarImport, ExternalCalendar
from scheduler.resources import access
from scheduler.resources.models import Resource

__all__ = ["instrument_calendar", "one_calendar"]

MAX_BYTES = 5 * 1024 * 1024
KEPT_S = 15 * 60
"""How long a file waits between the look and the import."""
SHOWN = 50
IMPORTS_SHOWN = 10
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


class AddressForm(forms.Form):
    """A calendar's address and the name under which it is kept."""

    calendar_name = forms.CharField(
        label=_("日历名称"),
        max_length=80,
        error_messages={"required": _("请给这份日历起个名字，再次导入同名日历会更新它。")},
    )
    url = forms.CharField(
        label=_("日历地址"),
        max_length=2000,
        help_text=_("以 https:// 或 webcal:// 开头的 iCalendar 地址。地址只用于同步，不会显示给任何人。"),
        error_messages={"required": _("请填写日历地址。")},
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["url"].widget.attrs.update({"inputmode": "url", "autocomplete": "off", "spellcheck": "false"})


EMPTIED = _("日历中不再有任何日程。为避免误放时间，上次的占用保持不变；如果确实如此，请按空日历更新。")


def problem_words(calendar: ExternalCalendar) -> str:
    """Return in words why the last poll failed; "" when it did not."""
    if not calendar.problem:
        return ""
    template = {**UNREACHABLE, **DETAILS, "emptied": EMPTIED}.get(calendar.problem, UNREACHABLE["connection"])
    return str(format_lazy(template, **calendar.problem_values))


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
    if "url" in request.POST:
        return _look(request, resource, now=now)
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
    return _checked(request, resource, {"name": name, "raw": raw}, found, form.cleaned_data["file"].name)


def _look(request: HttpRequest, resource: Resource, *, now: datetime) -> HttpResponse:
    """Fetch a calendar from its address and show what subscribing would change."""
    actor, form = shell.actor_of(request), AddressForm(request.POST)
    if not form.is_valid():
        return _calendars(request, resource, UploadForm(), address=form)
    said = form.cleaned_data
    looked, error = shell.attempt(
        lambda: polling.look(actor=actor, resource=resource, name=said["calendar_name"], url=said["url"], now=now)
    )
    if error is not None:
        error = slots.put_back(form, error, {"file": "url", "name": "calendar_name"})
        return _calendars(request, resource, UploadForm(), address=form, error=error)
    reading, found = looked
    return _checked(
        request, resource, {"name": said["calendar_name"], "reading": reading}, found, polling.host_of(reading.url)
    )


def _checked(
    request: HttpRequest, resource: Resource, kept: Mapping[str, Any], found: queries.Preview, source: str
) -> HttpResponse:
    """Keep what was looked at for a while, and show what taking it over would change."""
    token = secrets.token_urlsafe(16)
    cache.set(_kept(shell.actor_of(request).user_id, resource, token), dict(kept), KEPT_S)
    context = {
        "resource": resource,
        "name": kept["name"],
        "file": source,
        "subscribes": "reading" in kept,
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
    more = {"actor": actor, "resource": resource, "name": kept["name"], "now": now}
    done, error = shell.attempt(
        lambda: (
            polling.subscribe(**more, reading=kept["reading"])
            if "reading" in kept
            else services.import_calendar(**more, raw=kept["raw"])
        )
    )
    if error is not None:
        return _calendars(request, resource, UploadForm(initial={"name": kept["name"]}), error=error)
    cache.delete(_kept(actor.user_id, resource, token))
    done_words = gettext("已订阅“%(name)s”。") if "reading" in kept else gettext("已导入“%(name)s”。")
    messages.success(request, done_words % {"name": kept["name"]})
    return redirect(f"{reverse('instrument_calendar', args=[resource.number])}?import={done.pk}")


def _calendars(
    request: HttpRequest,
    resource: Resource,
    form: UploadForm,
    *,
    address: AddressForm | None = None,
    error: Explained | None = None,
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
        "address": address or AddressForm(),
        "error": error,
        "fault": address is not None,
        "listing": page,
        "imports": rows,
        "shown": shown,
        "report": _done(shown) if shown else None,
    }
    status = error.status if error else 422 if form.errors or (address and address.errors) else 200
    return shell.page(request, "lab/calendar.html", context, status=status)


def _standing(resource: Resource, *, now: datetime) -> list[dict[str, Any]]:
    """Return each calendar with what it blocks and the bookings it meets. Four queries, whatever the number."""
    blocks = queries.blocks_of(resource, now=now)
    conflicts = queries.conflicts_of(resource, now=now)
    return [
        {
            "calendar": calendar,
            "synced_at": calendar.checked_at or calendar.imported_at,
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
    """Show what one calendar blocks, by which event, and which bookings it meets; poll it, remove it."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    calendar = calendars.get_calendar(resource, calendar_id)
    error: Explained | None = None
    if request.method == "POST":
        act = shell.act_of(request, "poll", "accept", "remove")
        if act == "remove":
            services.remove_calendar(actor=actor, calendar=calendar, now=now)
            messages.success(request, gettext("已移除“%(name)s”，它占用的时间重新开放预约。") % {"name": calendar.name})
            return redirect("instrument_calendar", number)
        polled, error = shell.attempt(
            lambda: polling.poll_now(actor=actor, calendar=calendar, accept_empty=act == "accept", now=now)
        )
        if error is None:
            if not polled.problem:
                messages.success(request, gettext("已同步“%(name)s”。") % {"name": calendar.name})
            return redirect("one_calendar", number, calendar_id)
    last = CalendarImport.objects.filter(calendar=calendar)[:IMPORTS_SHOWN]
    context = {
        "resource": resource,
        "calendar": calendar,
        "error": error,
        "host": polling.host_of(calendar.url),
        "problem": problem_words(calendar),
        "imports": last,
        "blocks": _part(queries.blocks_of(resource, now=now).get(calendar.pk, [])),
        "conflicts": _met(queries.conflicts_of(resource, now=now).get(calendar.pk, [])),
    }
    return shell.page(request, "lab/calendar_one.html", context, status=error.status if error else 200)
