"""The forms of projects: a quote row by row, without a script; a delivery with its files; what to pay with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.money import Money
from portal.pages import purses
from portal.pages.fields import DayInput, YuanField
from scheduler.engagements import quoting, rules, steps
from scheduler.engagements.models import Engagement, EngagementQuoteLine

__all__ = ["DeliverForm", "PayForm", "PlanForm", "initial_of", "rows_of", "unjudged"]

FIRST = 3
STEP = 2


def rows_of(data: Mapping[str, Any], *, least: int = FIRST) -> int:
    """Return how many rows a sent form has, and `STEP` more where that was asked for."""
    said = str(data.get("rows", ""))
    rows = int(said) if said.isascii() and said.isdigit() and len(said) < 5 else least
    return max(1, min(rows + (STEP if data.get("act") == "more" else 0), rules.MOST_MILESTONES))


class PlanForm(forms.Form):
    """A lab's quote: milestones, one a row (rows left empty count for nothing), and the days for acceptance."""

    acceptance_days = forms.IntegerField(
        label=_("验收期（天）"),
        min_value=1,
        max_value=rules.MOST_ACCEPTANCE_DAYS,
        initial=rules.ACCEPTANCE_DAYS,
        help_text=_("交付后到期未答复的，视为验收通过并结算。"),
    )
    note = forms.CharField(label=_("说明"), max_length=400, required=False, widget=forms.Textarea(attrs={"rows": 3}))

    def __init__(self, data: Any = None, *, rows: int, **more: Any) -> None:
        super().__init__(data, **more)
        self.rows = rows
        for at in range(rows):
            self.fields[f"name{at}"] = forms.CharField(label=_("名称"), max_length=60, required=False)
            self.fields[f"due_on{at}"] = forms.DateField(label=_("交付日期"), required=False, widget=DayInput)
            self.fields[f"price{at}"] = YuanField(label=_("价款"), least_fen=0, required=False)
            self.fields[f"deliverable{at}"] = forms.CharField(label=_("交付物"), max_length=300, required=False)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the rows with their fields, to show."""
        names = ("name", "due_on", "price", "deliverable")
        return [{"no": at + 1, **{name: self[f"{name}{at}"] for name in names}} for at in range(self.rows)]

    def clean(self) -> dict[str, Any]:
        said = super().clean() or {}
        for at in self._filled():
            for name, text in (("due_on", gettext("请填写交付日期。")), ("price", gettext("请填写价款。"))):
                if said.get(f"{name}{at}") is None and f"{name}{at}" not in self.errors:
                    self.add_error(f"{name}{at}", text)
        return said

    def _filled(self) -> list[int]:
        names = ("name", "due_on", "price", "deliverable")
        return [at for at in range(self.rows) if any(self.cleaned_data.get(f"{name}{at}") for name in names)]

    def plan(self) -> quoting.Plan:
        """Return the plan of the rows in which anything is said."""
        said = self.cleaned_data
        return quoting.Plan(
            [
                rules.Line(said[f"name{at}"], said[f"deliverable{at}"], said[f"due_on{at}"], said[f"price{at}"].fen)
                for at in self._filled()
            ],
            said["acceptance_days"],
            said["note"],
        )


def initial_of(engagement: Engagement) -> tuple[int, dict[str, Any]]:
    """Return how many rows and which values a quote starts from: the quote that waits, else what is left of the plan."""
    waiting = steps.open_quote(engagement)
    lines = (
        list(waiting.lines.all())
        if waiting
        else list(
            EngagementQuoteLine.objects.filter(
                milestone__engagement=engagement, milestone__state__in=steps.OPEN_MILESTONES
            ).order_by("milestone__position")
        )
    )
    latest = waiting or engagement.quotes.last()
    values: dict[str, Any] = {} if latest is None else {"acceptance_days": latest.acceptance_days}
    if waiting is not None:
        values["note"] = waiting.note
    for at, line in enumerate(lines):
        values |= {
            f"name{at}": line.name,
            f"deliverable{at}": line.deliverable,
            f"due_on{at}": line.due_on,
            f"price{at}": Money(line.price_fen),
        }
    return len(lines) or FIRST, values


def unjudged(data: Mapping[str, Any], *, rows: int) -> PlanForm:
    """Return the form as it stands, with no verdict on what nobody has had the time to type."""
    sent = PlanForm(data, rows=rows)
    return PlanForm(rows=rows, initial={name: sent[name].value() for name in sent.fields})


class PayForm(forms.Form):
    """What to pay with; the version and the total seen go with it."""

    voucher = purses.PayWith()
    more = purses.MoreVouchers()
    version = forms.IntegerField(widget=forms.HiddenInput)
    seen = forms.IntegerField(widget=forms.HiddenInput)


class SeveralFiles(forms.FileInput):
    """A file input that takes several files; the field judges the first, the service all of them."""

    allow_multiple_selected = True

    def value_from_datadict(self, data: Any, files: Any, name: str) -> Any:  # noqa: ARG002
        return files.get(name)


class DeliverForm(forms.Form):
    """The files of a delivery and a word."""

    file = forms.FileField(
        label=_("交付文件"),
        widget=SeveralFiles(attrs={"multiple": True}),
        help_text=_("PDF、OFD、docx、xlsx 或图片，最多 5 个，每个不超过 20 MB。"),
    )
    note = forms.CharField(label=_("说明"), max_length=400, required=False, widget=forms.Textarea(attrs={"rows": 3}))
