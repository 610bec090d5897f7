"""A lab's instrument list as a file: looked at, taken in, given out."""

from __future__ import annotations

import secrets
from typing import Any

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal import links
from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.pages import shell, slots
from portal.pages.exports import xlsx_table
from scheduler.catalogue import queries, rules, services
from scheduler.resources import access

__all__ = ["list_export", "list_import", "list_template"]

KEPT_S = 1800
"""How long a list that was looked at waits for the word to take it, in seconds."""
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
SHOWN = 50
EXAMPLE = {
    "internal_no": "2020-0001",
    "name": "场发射扫描电子显微镜",
    "kind": "仪器",
    "category": "分析仪器",
    "value": "4500000.00",
    "in_service_on": "2020-05-01",
    "city": "杭州",
}


class ListForm(forms.Form):
    """A file of instruments."""

    file = forms.FileField(
        label=_("仪器清单"),
        help_text=_("xlsx 或 CSV，不超过 10 MB、2000 台。先检查，确认无误再导入。"),
        allow_empty_file=True,
        error_messages={"required": _("请选择一个文件。")},
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["file"].widget.attrs["accept"] = ".xlsx,.csv"


def _kept(user_id: int | None, organisation_id: int | None, token: str) -> str:
    return f"instruments:{user_id}:{organisation_id}:{token}"


@shell.needs(Permission.INSTRUMENT_MANAGE)
def list_import(request: HttpRequest) -> HttpResponse:
    """Take a list in two steps: look at what it would do, then take it."""
    actor, now = shell.actor_of(request), timezone.now()
    if request.method != "POST":
        return _page(request, ListForm())
    if token := request.POST.get("token"):
        return _take(request, token)
    form = ListForm(request.POST, request.FILES)
    if not form.is_valid():
        return _page(request, form)
    sent = form.cleaned_data["file"]
    name, content = (sent.name or "file")[:80], sent.read(services.LIST_LIMITS.size + 1)
    found, error = shell.attempt(lambda: services.look(actor=actor, content=content, name=name, now=now))
    if error is not None:
        return _page(request, form, error=slots.put_back(form, error))
    token = secrets.token_urlsafe(16)
    if not found.faults:
        cache.set(_kept(actor.user_id, actor.organisation_id, token), {"name": name, "content": content}, KEPT_S)
    context = {
        "file": name,
        "found": found,
        "new": found.new[:SHOWN],
        "changed": [
            {"line": line, "columns": [gettext(title) for title in line.changed]} for line in found.changed[:SHOWN]
        ],
        "faults": [
            {"row": fault.row, "column": gettext(fault.column) if fault.column else "", **explain_reason(fault.reason)}
            for fault in found.faults
        ],
        "token": token,
    }
    return shell.page(request, "lab/import_check.html", context, status=422 if found.faults else 200)


def _take(request: HttpRequest, token: str) -> HttpResponse:
    actor, now = shell.actor_of(request), timezone.now()
    key = _kept(actor.user_id, actor.organisation_id, token)
    kept = cache.get(key)
    if kept is None:
        text = gettext("检查结果已过期或已导入，请重新选择文件。")
        return _page(request, ListForm(), error=Explained(409, "list.expired", text, ()))
    done, error = shell.attempt(lambda: services.take(actor=actor, content=kept["content"], name=kept["name"], now=now))
    if error is not None:
        return _page(request, ListForm(), error=error)
    cache.delete(key)
    said = gettext("已导入：新增 %(new)s 台，修改 %(changed)s 台，%(same)s 台没有变化。")
    messages.success(request, said % {"new": len(done.new), "changed": len(done.changed), "same": done.same})
    return redirect("my_instruments")


def _page(request: HttpRequest, form: ListForm, *, error: Explained | None = None) -> HttpResponse:
    columns = [{"title": gettext(column.title), "required": column.required} for column in rules.COLUMNS]
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/import.html", {"form": form, "error": error, "columns": columns}, status=status)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def list_template(request: HttpRequest) -> HttpResponse:  # noqa: ARG001  the same for every lab
    """Return an empty list with the right headings, and one line that shows how it is filled in."""
    head = [gettext(column.title) for column in rules.COLUMNS]
    example = [EXAMPLE.get(column.key, "") for column in rules.COLUMNS]
    return _file("instrument-list-template", xlsx_table("instruments", head, [example]))


def _file(name: str, content: bytes) -> HttpResponse:
    response = HttpResponse(content, content_type=XLSX)
    response["Content-Disposition"] = f'attachment; filename="{name}.xlsx"'
    return response


@shell.needs(Permission.INSTRUMENT_MANAGE)
def list_export(request: HttpRequest, form: str) -> HttpResponse:
    """Return the lab's catalogue in the national platform's columns, as xlsx, csv or json; the sheets can be taken in again."""
    if form not in {"xlsx", "csv", "json"}:
        raise NotFound
    actor, now = shell.actor_of(request), timezone.now()
    rows = access.own_instruments(actor).order_by("pk")[: shell.EXPORT_LIMIT]
    lines = queries.reported(rows, at=now)
    for line in lines:
        line["url"] = links.absolute(request, f"/instruments/{line['number']}/")
    if form == "json":
        body = [{key: _plain(value) for key, value in line.items()} for line in lines]
        response: HttpResponse = JsonResponse({"instruments": body}, json_dumps_params={"ensure_ascii": False})
        response["Content-Disposition"] = 'attachment; filename="instruments.json"'
        return response
    extra = {
        "fees": gettext("参考收费标准"),
        "url": gettext("预约网址"),
        "number": gettext("编号"),
        "state": gettext("状态"),
    }
    head = [*(gettext(column.title) for column in rules.COLUMNS), *extra.values()]
    keys = [*(column.key for column in rules.COLUMNS), *extra]
    if form == "csv":
        return shell.csv_response("instruments", head, ([_cell(line[key]) for key in keys] for line in lines))
    cells = ([line[key] if key == "value" else _cell(line[key]) for key in keys] for line in lines)
    return _file("instruments", xlsx_table("instruments", head, cells))


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it: money as yuan in text, a day as ISO 8601."""
    if isinstance(value, Money):
        return value.yuan()
    return value.isoformat() if hasattr(value, "isoformat") else value


def _cell(value: Any) -> Any:
    """Return a value as one line of a sheet."""
    plain = _plain(value)
    return " ".join(plain.split()) if isinstance(plain, str) else plain
