"""The form that declares samples, row by row, without a script."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from scheduler.samples import rules, services
from scheduler.samples.models import Sample

__all__ = ["SampleForm", "rows_of", "unjudged"]

FIRST = 3
STEP = 5


def rows_of(data: Mapping[str, Any]) -> int:
    """Return how many rows a sent form has, and `STEP` more where that was asked for."""
    said = str(data.get("rows", ""))
    rows = int(said) if said.isascii() and said.isdigit() and len(said) < 5 else FIRST
    return max(1, min(rows + (STEP if data.get("act") == "more" else 0), rules.MAX_SAMPLES))


class SampleForm(forms.Form):
    """What is to be tested, and each sample with its hazards; rows left empty count for nothing."""

    title = forms.CharField(
        label=_("检测名称"), max_length=120, help_text=_("例如“电解液成分分析”。仅贵单位和实验室可见。")
    )
    wanted = forms.CharField(
        label=_("检测要求"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("项目、方法或标准、样品前处理、希望的完成时间。"),
    )
    project = forms.CharField(label=_("项目名称"), max_length=120, required=False)

    def __init__(self, data: Any = None, *, rows: int, **more: Any) -> None:
        super().__init__(data, **more)
        self.rows = rows
        choices = [("", _("请选择")), *Sample.Hazard.choices]
        for at in range(rows):
            self.fields[f"label{at}"] = forms.CharField(label=_("样品标识"), max_length=60, required=False)
            self.fields[f"material{at}"] = forms.CharField(label=_("材质与数量"), max_length=120, required=False)
            self.fields[f"hazard{at}"] = forms.ChoiceField(label=_("危险性"), choices=choices, required=False)
            self.fields[f"hazard_note{at}"] = forms.CharField(label=_("危险性说明"), max_length=400, required=False)
            self.fields[f"back{at}"] = forms.BooleanField(label=_("检测后退回"), required=False)

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Return the rows with their fields, to show."""
        names = ("label", "material", "hazard", "hazard_note", "back")
        return [{"no": at + 1, **{name: self[f"{name}{at}"] for name in names}} for at in range(self.rows)]

    def samples(self) -> list[services.Declared]:
        """Return the samples of the rows in which anything is said."""
        said = self.cleaned_data
        return [
            services.Declared(
                label=said[f"label{at}"],
                material=said[f"material{at}"],
                hazards=[said[f"hazard{at}"]] if said[f"hazard{at}"] else [],
                hazard_note=said[f"hazard_note{at}"],
                return_wanted=said[f"back{at}"],
            )
            for at in range(self.rows)
            if any(said[f"{name}{at}"] for name in ("label", "material", "hazard", "hazard_note"))
        ]


def unjudged(data: Mapping[str, Any] | None, *, rows: int) -> SampleForm:
    """Return the form as it stands, with no verdict on what nobody has had the time to type."""
    if data is None:
        return SampleForm(rows=rows)
    sent = SampleForm(data, rows=rows)
    return SampleForm(rows=rows, initial={name: sent[name].value() for name in sent.fields})
