"""Lists of judging: narrowed by words and a choice, taken away as a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext, pgettext
from django.utils.translation import gettext_lazy as _

from portal.pages import shell
from portal.pages.exports import FORMATS, exported
from portal.pages.labels import label_of
from portal.pages.templatetags.show import bilingual
from scheduler.panels.models import Grading, Panel, RankedRequest
from scheduler.proposals.models import BeamProposal

__all__ = ["ListFilter", "assessments_table", "panels_table", "rankings_table", "reviews_table", "wanted"]


class ListFilter(forms.Form):
    """Words to be found in any of some columns, and at most one choice; a value not on offer narrows nothing."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    pick = forms.ChoiceField(label=_("状态"), required=False)

    def __init__(
        self,
        data: Any,
        *,
        names: Sequence[str],
        hint: str,
        column: str = "",
        choices: Iterable[tuple[str, Any]] = (),
        label: Any = None,
    ) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.names, self.column = names, column
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": hint})
        pick = self.fields["pick"]
        assert isinstance(pick, forms.ChoiceField)
        pick.label = label or pick.label
        pick.choices = [("", gettext("全部")), *choices]
        if not column:
            del self.fields["pick"]
        self.full_clean()

    def narrow(self, found: QuerySet[Any]) -> QuerySet[Any]:
        if value := self.cleaned_data.get("pick"):
            found = found.filter(**{self.column: value})
        for word in (self.cleaned_data.get("q") or "").split():
            either = Q()
            for name in self.names:
                either |= Q(**{f"{name}__icontains": word})
            found = found.filter(either)
        return found


def wanted(request: HttpRequest) -> str:
    """Return which format a list is asked for as; empty for the page."""
    asked = request.GET.get("format", "")
    return asked if asked in FORMATS else ""


def panels_table(found: QuerySet[Panel], name: str) -> HttpResponse:
    head = (gettext("名称"), gettext("征集"), gettext("运行周期"), gettext("评审人"), pgettext("ranking", "排序"))
    rows = found.select_related("call__cycle").order_by("-call__number", "pk")[: shell.EXPORT_LIMIT]
    return exported(
        "panels",
        name,
        head,
        (
            (
                *(bilingual(row), row.call.number, row.call.cycle.code if row.call.cycle else ""),
                sum(1 for seat in row.panelists.all() if seat.left_at is None),
                "; ".join(f"{one.beamline.code} {label_of('ranking', one.state)[1]}" for one in row.rankings.all()),
            )
            for row in rows
        ),
    )


def reviews_table(found: QuerySet[Grading], name: str) -> HttpResponse:
    """A reviewer's own: no title, as on the page."""
    head = (
        pgettext("ranking", "申请"),
        gettext("装置"),
        gettext("评审组"),
        pgettext("ranking", "评分"),
        gettext("状态"),
    )
    rows = found.order_by("proposal__number", "pk")[: shell.EXPORT_LIMIT]
    return exported(
        "reviews",
        name,
        head,
        (
            (
                *(row.proposal.number, bilingual(row.proposal.facility), bilingual(row.panelist.panel)),
                "" if row.grade_c is None else f"{row.grade_c / 100:.2f}",
                label_of("grading", row.state)[1],
            )
            for row in rows
        ),
    )


def assessments_table(found: QuerySet[BeamProposal], name: str) -> HttpResponse:
    head = (
        *(pgettext("ranking", "申请"), gettext("题目"), gettext("课题类型"), gettext("申请单位")),
        *(gettext("线站"), gettext("班次"), gettext("已有结论"), gettext("提交时间")),
    )
    rows = found.order_by("sent_order", "pk")[: shell.EXPORT_LIMIT]
    return exported("assessments", name, head, (_assessed(row) for row in rows))


def _assessed(row: BeamProposal) -> tuple[object, ...]:
    wishes = list(row.requests.all())
    return (
        *(row.number, row.title, label_of("beam_kind", row.kind)[1], bilingual(row.organisation)),
        *("; ".join(one.beamline.code for one in wishes), sum(one.shifts for one in wishes)),
        "; ".join(label_of("assessment", one.kind)[1] for one in row.assessments.all()),
        f"{timezone.localtime(row.sent_at):%Y-%m-%d %H:%M:%S}" if row.sent_at else "",
    )


def rankings_table(row_id: int, rows: Sequence[RankedRequest], why: Any, name: str) -> HttpResponse:
    """A panel's list with the reason of each place."""
    head = (
        *(pgettext("ranking", "次序"), pgettext("ranking", "申请"), gettext("题目"), pgettext("ranking", "评分")),
        *(
            gettext("加分后"),
            gettext("等待周期"),
            gettext("依据"),
            gettext("申请班次"),
            gettext("分配班次"),
            gettext("理由"),
        ),
    )
    return exported(
        f"ranking-{row_id}",
        name,
        head,
        (
            (
                *(one.place, one.request.proposal.number, one.request.proposal.title, f"{one.grade_c / 100:.2f}"),
                *(f"{one.aged_c / 100:.2f}", one.request.waited, why(one), one.request.shifts, one.shifts),
                one.moved_note,
            )
            for one in rows
        ),
    )
