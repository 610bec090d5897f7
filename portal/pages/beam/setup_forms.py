"""Forms by which a user office sets up its facility: what it says of itself, its kinds of proposals, its things."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, time
from decimal import Decimal
from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from django.utils.dateparse import parse_datetime
from django.utils.functional import Promise, lazy
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from portal.http import explain_reason, sentences
from portal.kernel.errors import Reason
from portal.pages.slots import FIRST_DAY, LAST_DAY
from scheduler.availability import rules as clocks
from scheduler.facilities import values
from scheduler.facilities.grades import Direction
from scheduler.facilities.models import Facility
from scheduler.facilities.values import LIMITS, FacilityValues

__all__ = ["CODE_HINT", "FacilityForm", "SetupForm", "WallField", "area", "instant", "points", "told", "whole"]

DAY_MIN, MOST_SHIFTS = 1440, 24
DAY, MINUTE, CYCLES = _("天"), _("分钟"), _("个周期")
WEEK, YEAR, PERSON = pgettext_lazy("unit", "周"), pgettext_lazy("unit", "年"), pgettext_lazy("unit", "人")
SHIFT, POINTS = pgettext_lazy("unit", "班"), pgettext_lazy("unit", "分")
CODE_HINT = _("字母、数字和连字符，用在网址里；定下后不能改。")
Layout = Sequence[tuple[Promise | str, Sequence[Sequence[str]]]]


class SetupForm(forms.Form):
    """A form in sections: `LAYOUT` says which fields stand beside each other, `UNITS` what stands after a control."""

    LAYOUT: ClassVar[Layout] = ()
    UNITS: ClassVar[Mapping[str, Promise | str]] = {}
    QUIET: ClassVar[bool] = False
    """Whether no field says that it is optional: all of them are."""

    @property
    def sections(self) -> list[dict[str, Any]]:
        return [
            {
                "title": title,
                "quiet": self.QUIET,
                "rows": [
                    [{"bound": self[name], "unit": self.UNITS.get(name, "")} for name in row if name in self.fields]
                    for row in rows
                ],
            }
            for title, rows in self.LAYOUT
        ]

    def read(self, name: str, default: Any) -> Any:
        """Return what was typed, or `default` where it cannot be read: to judge everything else all the same."""
        found = self.cleaned_data.get(name)
        return default if found is None else found


def told(form: forms.Form, reasons: Iterable[Reason], names: Mapping[str, str] | None = None) -> None:
    """Say at each field what is wrong with it, with the remedy; fields that could not be read say that already."""
    for reason in reasons:
        said = explain_reason(reason)
        name = (names or {}).get(said["field"], said["field"])
        if name not in form.errors:
            form.add_error(name if name in form.fields else None, sentences(said["text"], said["remedy"]))


def _bounds(hint: str | Promise, least: object, most: object) -> str:
    bounds = gettext("%(least)s 至 %(most)s。") % {"least": least, "most": most}
    return sentences(str(hint), bounds) if hint else bounds


bounded = lazy(_bounds, str)
"""A hint with the bounds of a number, in the reader's language."""


def whole(label: Any, least: int, most: int, **more: Any) -> forms.IntegerField:
    """Return a field for a whole number, with its bounds in the hint."""
    hint = bounded(more.pop("help_text", ""), least, most)
    return forms.IntegerField(label=label, min_value=least, max_value=most, help_text=hint, **more)


def points(label: Any, least: Decimal, most: Decimal, **more: Any) -> forms.DecimalField:
    """Return a field for a grade or a percentage, at most two decimals."""
    hint = bounded(more.pop("help_text", ""), f"{least:f}", f"{most:f}")
    limits: dict[str, Any] = {"min_value": least, "max_value": most, "decimal_places": 2, "max_digits": 6}
    return forms.DecimalField(label=label, help_text=hint, **limits, **more)


def area(label: Any, most: int, **more: Any) -> forms.CharField:
    """Return a field for some lines of text nobody has to write."""
    widget = forms.Textarea(attrs={"rows": 4})
    return forms.CharField(label=label, max_length=most, required=False, widget=widget, **more)


class WallField(forms.Field):
    """A wall time of the facility's zone, cleaned to a naive datetime; the browser's own picker."""

    widget = forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M")

    def to_python(self, value: Any) -> datetime | None:
        text = str(value or "").strip()
        if not text:
            return None
        try:
            wall = parse_datetime(text)
        except ValueError:
            wall = None
        if wall is None or wall.tzinfo is not None:
            raise ValidationError(gettext("请填写日期和时间，如 2027-01-04 00:00。"))
        if not FIRST_DAY <= wall.date() < LAST_DAY:
            raise ValidationError(gettext("日期超出范围，请检查年份。"))
        return wall


def instant(wall: datetime, zone: str, field: str) -> datetime:
    """Return the moment of a wall time. Raises LocalTimeMissing."""
    return clocks.localise(wall.date(), wall.time(), zone, field=field)


ROWS = {
    "names": "shift_0",
    "lowest_c": "lowest",
    "highest_c": "highest",
    "step_c": "step",
    "first_min": "first",
    "ageing_c": "ageing",
}


class FacilityForm(SetupForm):
    """What a facility says of itself. The names of its shifts stand in rows, as many as its day has shifts."""

    code = forms.CharField(label=_("代码"), max_length=24, help_text=CODE_HINT)
    name = forms.CharField(label=_("名称"), max_length=120)
    name_en = forms.CharField(label=_("英文名称"), max_length=160, required=False)
    city = forms.CharField(label=_("所在城市"), max_length=40)
    summary = area(_("简介"), 900, help_text=_("公开页面上的介绍，至多 900 字。"))
    summary_en = area(_("英文简介"), 1500)
    zone = forms.CharField(
        label=_("时区"), max_length=40, initial="Asia/Shanghai", help_text=_("IANA 名称；国内装置均为 Asia/Shanghai。")
    )
    first = forms.TimeField(
        label=_("第一班开始"),
        initial=time(0),
        input_formats=["%H:%M", "%H:%M:%S"],
        widget=forms.TimeInput(attrs={"type": "time"}, format="%H:%M"),
        help_text=_("零点起、一个班次时长之内，如 00:00 或 07:00。"),
    )
    length_min = whole(_("班次时长"), 60, DAY_MIN, initial=480, help_text=_("须能整分一天：480 是 8 小时。"))
    multiple = whole(_("班次倍数"), 1, 99, initial=3, help_text=_("机时按几班一起给；企业预订也按它。"))
    lowest = points(_("最低分"), Decimal(-100), Decimal(100), initial="0")
    highest = points(_("最高分"), Decimal(-100), Decimal(100), initial="5.5")
    step = points(_("评分步长"), Decimal("0.01"), Decimal(100), initial="0.1")
    best = forms.ChoiceField(
        label=_("评分方向"), choices=Facility.Best.choices, widget=forms.RadioSelect, initial="high"
    )
    ageing = points(
        _("每等一个周期加分"), Decimal(0), Decimal(10), initial="0", help_text=_("没有排上的申请再等时加给它。")
    )
    ageing_cycles = whole(_("加分周期上限"), *LIMITS["ageing_cycles"], initial=0)
    graders = whole(_("每项申请最少评审人数"), *LIMITS["graders"], initial=2)
    together_years = whole(
        _("合作回避年限"), *LIMITS["together_years"], initial=3, help_text=_("近几年共同申请过的人不评审对方。")
    )
    answer_days = whole(_("答复安排的天数"), *LIMITS["answer_days"], initial=10, help_text=_("逾期未答复，安排失效。"))
    forms_days = whole(_("样品与安全表提前天数"), *LIMITS["forms_days"], initial=14, help_text=_("到访开始之前。"))
    report_weeks = whole(_("实验报告期限"), *LIMITS["report_weeks"], initial=12, help_text=_("到访结束之后。"))
    report_rule = forms.ChoiceField(
        label=_("未交报告的后果"), choices=Facility.ReportRule.choices, widget=forms.RadioSelect, initial="tell"
    )
    market_days = whole(
        _("提前多少天释放未分配班次"),
        *LIMITS["market_days"],
        initial=14,
        help_text=_("没人用的班次从这天起自动开放给企业；0 是不开放。"),
    )
    UNITS: ClassVar[Mapping[str, Promise | str]] = {
        "length_min": MINUTE,
        "multiple": SHIFT,
        "ageing_cycles": CYCLES,
        "graders": PERSON,
        "together_years": YEAR,
        "answer_days": DAY,
        "forms_days": DAY,
        "report_weeks": WEEK,
        "market_days": DAY,
        **dict.fromkeys(("lowest", "highest", "step", "ageing"), POINTS),
    }
    LAYOUT: ClassVar[Layout] = (
        (_("装置"), [("code",), ("name",), ("name_en",), ("city", "zone"), ("summary",), ("summary_en",)]),
        (_("班次"), [("first", "length_min", "multiple"), ("shifts",)]),
        (
            _("评审"),
            [("lowest", "highest", "step"), ("best",), ("ageing", "ageing_cycles"), ("graders", "together_years")],
        ),
        (
            _("期限"),
            [("answer_days", "forms_days"), ("report_weeks", "market_days"), ("report_rule",)],
        ),
    )

    def __init__(self, data: Any = None, *, facility: Facility | None = None, **more: Any) -> None:
        names = list(facility.shift_names) if facility else []
        initial = _said_by(facility) if facility else {}
        super().__init__(data, initial={**initial, **{f"shift_{at}": name for at, name in enumerate(names)}}, **more)
        if facility:
            del self.fields["code"]
        self.shift_rows = _rows(data, facility.length_min if facility else 480, len(names))
        for at in range(self.shift_rows):
            label = gettext("第 %(no)s 班的名称") % {"no": at + 1}
            self.fields[f"shift_{at}"] = forms.CharField(label=label, max_length=24, required=False)

    @property
    def sections(self) -> list[dict[str, Any]]:
        found = super().sections
        names = [{"bound": self[f"shift_{at}"], "unit": ""} for at in range(self.shift_rows)]
        found[1]["rows"] = [found[1]["rows"][0], names]
        found[1] |= {"act": "shifts", "quiet": True}
        return found

    def _names(self) -> tuple[str, ...]:
        found = [str(self.cleaned_data.get(f"shift_{at}") or "").strip() for at in range(self.shift_rows)]
        while found and not found[-1]:
            found.pop()
        return tuple(found)

    def clean(self) -> dict[str, Any]:
        """Judge everything at once, also where something else cannot be read."""
        reasons = values.refusals(self.said())
        if "code" in self.fields and "code" in self.cleaned_data:
            reasons += values.code_refusals(self.cleaned_data["code"])
        told(self, reasons, ROWS)
        return self.cleaned_data

    def said(self) -> FacilityValues:
        """Return what was typed; what cannot be read stands as usual, its field says so."""
        first = self.read("first", time(0))
        texts = {name: self.read(name, "") for name in ("name", "name_en", "city", "summary", "summary_en")}
        numbers = {
            name: self.read(name, FacilityValues.__dataclass_fields__[name].default)
            for name in ("length_min", "multiple", *LIMITS)
            if name != "ageing_c"
        }
        return FacilityValues(
            **texts,
            **numbers,
            zone=self.read("zone", "Asia/Shanghai").strip(),
            first_min=first.hour * 60 + first.minute,
            shift_names=self._names(),
            lowest_c=_hundredths(self.read("lowest", Decimal(0))),
            highest_c=_hundredths(self.read("highest", Decimal(100))),
            step_c=_hundredths(self.read("step", Decimal("0.01"))),
            ageing_c=_hundredths(self.read("ageing", Decimal(0))),
            best=self.read("best", Direction.HIGH.value),
            report_rule=self.read("report_rule", "tell"),
        )


def _hundredths(grade: Decimal) -> int:
    return int(grade * 100)


def _rows(data: Any, length_min: int, names: int) -> int:
    """Return how many rows for names there are: the day's shifts, and whatever else was typed."""
    if data is not None:
        said = str(data.get("length_min", ""))
        length_min = int(said) if said.isascii() and said.isdigit() and len(said) < 5 else 0
        names = max((at + 1 for at in range(MOST_SHIFTS) if str(data.get(f"shift_{at}", "")).strip()), default=0)
    per_day = DAY_MIN // length_min if length_min >= 60 and DAY_MIN % length_min == 0 else 1
    return min(max(per_day, names), MOST_SHIFTS)


def _said_by(facility: Facility) -> dict[str, Any]:
    fields = (
        "name",
        "name_en",
        "city",
        "summary",
        "summary_en",
        "zone",
        "length_min",
        "multiple",
        "best",
        "report_rule",
    )
    said: dict[str, Any] = {name: getattr(facility, name) for name in (*fields, *LIMITS) if name != "ageing_c"}
    grades = {"lowest": "lowest_c", "highest": "highest_c", "step": "step_c", "ageing": "ageing_c"}
    said |= {name: f"{(Decimal(getattr(facility, column)) / 100).normalize():f}" for name, column in grades.items()}
    return {**said, "first": time(*divmod(facility.first_min, 60))}
