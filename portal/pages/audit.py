"""The audit trail for auditors: search, read in words, take away."""

from __future__ import annotations

import json
from datetime import datetime, time, timedelta
from typing import Any

from django import forms
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from portal.audit import queries
from portal.audit.models import Record
from portal.kernel.actors import Permission
from portal.pages.actions import ACTIONS, event, events, subject_link
from portal.pages.fields import DayInput
from portal.pages.shell import EXPORT_LIMIT, actor_of, csv_response, listing, needs, page, wants_csv

SORTS = {"at": ["pk"]}


class Filters(forms.Form):
    """What the trail may be narrowed to. Days are Beijing days, both included."""

    action = forms.ChoiceField(label=_("操作"), required=False)
    subject = forms.CharField(label=_("编号"), required=False, max_length=80)
    actor = forms.CharField(label=_("操作人或单位"), required=False, max_length=80)
    since = forms.DateField(label=_("起始日"), required=False, widget=DayInput())
    until = forms.DateField(label=_("截止日"), required=False, widget=DayInput())

    def __init__(self, data: Any = None) -> None:
        super().__init__(data)
        field = self.fields["action"]
        assert isinstance(field, forms.ChoiceField)
        field.choices = [("", _("全部")), *((code, str(text)) for code, text in ACTIONS.items())]


def _midnight(day: Any) -> datetime:
    return timezone.make_aware(datetime.combine(day, time()))


def _narrowed(rows: QuerySet[Record], values: dict[str, Any]) -> QuerySet[Record]:
    if values.get("action"):
        rows = rows.filter(action=values["action"])
    if values.get("subject"):
        rows = rows.filter(subject__icontains=values["subject"].strip())
    if values.get("actor"):
        rows = rows.filter(actor_label__icontains=values["actor"].strip())
    if values.get("since"):
        rows = rows.filter(at__gte=_midnight(values["since"]))
    if values.get("until"):
        rows = rows.filter(at__lt=_midnight(values["until"] + timedelta(days=1)))
    return rows


@needs(Permission.AUDIT_READ)
def trail(request: HttpRequest) -> HttpResponse:
    """List what was done by whom, newest first."""
    filters = Filters(request.GET or None)
    is_fit = not filters.is_bound or filters.is_valid()
    values = filters.cleaned_data if filters.is_bound and is_fit else {}
    rows = _narrowed(queries.visible_to(actor_of(request)), values)
    if wants_csv(request):
        return _csv(rows.order_by("-pk")[:EXPORT_LIMIT])
    found = listing(request, rows, sorts=SORTS, default="-at")
    return page(
        request,
        "audit/trail.html",
        {
            "filters": filters,
            "listing": found,
            "events": events(found.rows),
            "filtered": any(values.values()),
        },
        status=200 if is_fit else 422,
    )


def _csv(rows: QuerySet[Record]) -> HttpResponse:
    """Return the whole record, codes and all: this file is evidence, not a page."""
    texts = (_("时间"), _("操作"), _("操作代码"), _("对象"), _("操作人"), _("请求编号"), _("内容"))
    return csv_response(
        "audit",
        texts,
        (
            [
                timezone.localtime(row.at).isoformat(timespec="milliseconds"),
                event(row).what,
                row.action,
                subject_link(row.subject)[0],
                row.actor_label,
                row.request_id,
                json.dumps(row.data, ensure_ascii=False, sort_keys=True),
            ]
            for row in rows
        ),
    )
