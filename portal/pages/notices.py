"""Public notices: the list, one notice with its files, and objecting to an item. Open to everybody."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.cache import cache
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from redis.exceptions import RedisError

from portal.http import Explained
from portal.pages import noticepaper
from portal.pages.acts import attempt_on
from portal.pages.files import upload_of
from portal.pages.shell import guarded, key_of, listing, new_key, page
from vouchers.notices import access, objecting, rules
from vouchers.notices.models import Notice, NoticeItem
from vouchers.notices.objecting import Statement

SORTS = {"published": ["published_at"], "title": ["title"], "ends": ["ends_at"]}
MOST_OBJECTIONS = 10
"""Objections one network address may file in an hour: enough for an office, too few for a flood."""
HOUR_S = 3600


class Filters(forms.Form):
    """What the list may be narrowed to."""

    q = forms.CharField(label=_("标题或公示号"), required=False, max_length=60)
    running = forms.BooleanField(label=_("只看公示中"), required=False)


class ReceiptForm(forms.Form):
    """The receipt of an objection."""

    receipt = forms.CharField(
        label=_("回执号"), max_length=40, widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false"})
    )


class ObjectionForm(forms.Form):
    """What somebody holds against an item, and who they are."""

    name = forms.CharField(label=_("姓名或单位"), max_length=60, help_text=_("只供核查，不公开。"))
    contact = forms.CharField(label=_("联系方式"), max_length=120, help_text=_("电话或邮箱，只供核查，不公开。"))
    text = forms.CharField(
        label=_("事实和理由"),
        max_length=4000,
        widget=forms.Textarea(attrs={"rows": 6}),
        help_text=_("请写明具体事实、时间和依据，至少 10 个字。"),
    )
    file = forms.FileField(label=_("证据（PDF、图片或表格，可不附）"), required=False)


@guarded
def notices(request: HttpRequest) -> HttpResponse:
    """List the published notices, those running first."""
    filters = Filters(request.GET or None)
    values = filters.cleaned_data if filters.is_valid() else {}
    rows = access.public()
    if values.get("running"):
        rows = rows.filter(state=rules.NoticeState.PUBLISHED.value)
    if text := values.get("q"):
        rows = rows.filter(title__icontains=text) | rows.filter(number__icontains=text)
    found = listing(request, rows, sorts=SORTS, default="-published")
    return page(
        request,
        "notices/list.html",
        {
            "listing": found,
            "rows": [(row, noticepaper.title_of(row)) for row in found.rows],
            "filters": filters,
            "filtered": any(values.values()),
            "receipt": ReceiptForm(),
        },
    )


def table(notice: Notice, items: Iterable[NoticeItem]) -> list[tuple[NoticeItem, list[dict[str, Any]]]]:
    """Return a notice's rows: the item and its printed cells."""
    return [(item, noticepaper.shown(notice, item)) for item in items]


@guarded
def notice(request: HttpRequest, number: str) -> HttpResponse:
    """Show a notice as it is printed; ``?format=csv|xlsx|pdf`` takes it away."""
    found = access.get_public(number)
    if file := noticepaper.taken_away(found, request.GET.get("format", "")):
        return file
    items = listing(request, found.items.all(), sorts={"position": ["position"]}, default="position")
    now = timezone.now()
    return page(
        request,
        "notices/notice.html",
        {
            "notice": found,
            "title": noticepaper.title_of(found),
            "heads": [(name, gettext(noticepaper.HEADS[name])) for name in found.fields],
            "rows": table(found, items.rows),
            "listing": items,
            "period": noticepaper.period_text(found),
            "is_running": found.state == rules.NoticeState.PUBLISHED.value
            and found.ends_at is not None
            and now < found.ends_at,
        },
    )


@guarded
def object_to(request: HttpRequest, number: str, position: int) -> HttpResponse:
    """Take an objection to an item from anybody; the receipt is shown once and works for ever."""
    item = access.get_public_item(number, position)
    if request.method != "POST":
        return _form_page(request, item, ObjectionForm(), key=new_key())
    form = ObjectionForm(request.POST, request.FILES)
    if not form.is_valid():
        return _form_page(request, item, form, key=request.POST.get("idempotency_key") or new_key(), status=422)
    filed, error = attempt_on("objection", lambda: _file(request, item, form))
    if error:
        return _form_page(request, item, form, key=new_key(), error=error, status=error.status)
    messages.success(request, gettext("异议已提交。请记下回执号，凭它查询处理结果。"))
    return redirect(f"{reverse('objection_result')}?receipt={filed.receipt}")


def _file(request: HttpRequest, item: NoticeItem, form: ObjectionForm) -> Any:
    key = key_of(request)
    _count(request)
    upload = upload_of(request)
    values = form.cleaned_data
    return objecting.file(
        item=item,
        statement=Statement(values["name"], values["contact"], values["text"], [upload] if upload else []),
        key=key,
        now=timezone.now(),
    )


def _count(request: HttpRequest) -> None:
    """Count an address's objections in the hour. Raises TooManyObjections. Without a cache everybody is let through."""
    key = f"objections:{request.META.get('REMOTE_ADDR', '')}:{int(timezone.now().timestamp() // HOUR_S)}"
    try:
        cache.add(key, 0, timeout=2 * HOUR_S)
        sent = int(cache.incr(key))
    except (RedisError, ValueError):
        return
    if sent > MOST_OBJECTIONS:
        raise rules.TooManyObjections


def _form_page(
    request: HttpRequest,
    item: NoticeItem,
    form: ObjectionForm,
    *,
    key: str,
    error: Explained | None = None,
    status: int = 200,
) -> HttpResponse:
    context = {
        "item": item,
        "notice": item.notice,
        "title": noticepaper.title_of(item.notice),
        "cells": noticepaper.shown(item.notice, item),
        "form": form,
        "error": error,
        "key": key,
    }
    return page(request, "notices/object.html", context, status=status)


@guarded
def result(request: HttpRequest) -> HttpResponse:
    """Say what became of an objection, to whoever holds its receipt."""
    form = ReceiptForm(request.GET or None)
    found, error, status = None, None, 200
    if form.is_bound and form.is_valid():
        found, error = attempt_on("objection", lambda: access.objection_by_receipt(form.cleaned_data["receipt"]))
        status = error.status if error else 200
    return page(
        request,
        "notices/result.html",
        {
            "form": form,
            "objection": found,
            "title": noticepaper.title_of(found.item.notice) if found else "",
            "error": error,
        },
        status=status,
    )
