"""Forms for what a facility has: kinds of proposals, beamlines, devices, partners, run cycles, and closing one beamline."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any, ClassVar

from django import forms
from django.utils.functional import Promise
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.pages.beam.setup_forms import (
    CODE_HINT,
    CYCLES,
    SHIFT,
    Layout,
    SetupForm,
    WallField,
    area,
    points,
    told,
    whole,
)
from portal.pages.beam_words import POOLS
from portal.pages.labels import label_of
from portal.pages.slots import DayField
from portal.pages.templatetags.show import bilingual
from scheduler.facilities import beamlines, services
from scheduler.facilities import courses as kinds
from scheduler.facilities.courses import COURSES, Course, ProposalKind
from scheduler.facilities.models import Beamline, Device, Partner
from scheduler.facilities.shares import Pool

__all__ = ["BeamlineForm", "CoursesForm", "CycleForm", "DeviceForm", "LineClosingForm", "PartnerForm"]

SHORT_CODE = 16
MOST_USES = 12
FLAGS: Mapping[str, tuple[Any, Any]] = {
    "peer_review": (_("先经评审组评分"), ""),
    "reviewed_after": (_("事后评审并归档"), _("紧急课题先做，结果事后评审。")),
    "lapses": (_("本周期没有排上就作废"), _("不顺延到下一周期。")),
    "own_schedule": (_("课题组自己安排样品"), _("给整段机时，由课题组决定测哪些样品。")),
    "paid": (_("按机时付费"), _("按价目报价，接受报价即成立合同。")),
    "confidential": (_("保密"), _("题目和结果只有课题组和为它服务的人看得到。")),
}


class CoursesForm(SetupForm):
    """Which kinds of proposals are taken and how each goes: one block for each kind there is."""

    def __init__(self, data: Any = None, *, courses: Mapping[ProposalKind, Course], **more: Any) -> None:
        initial: dict[str, Any] = {}
        for kind in ProposalKind:
            stands = asdict(courses.get(kind, COURSES[kind]))
            initial |= {f"{kind.value}_{name}": value for name, value in stands.items()}
            initial[f"{kind.value}_pool"] = str(stands["pool"])
            initial[f"{kind.value}_taken"] = kind in courses
        super().__init__(data, initial=initial, **more)
        for kind in ProposalKind:
            self._kind(f"{kind.value}_")

    def _kind(self, at: str) -> None:
        pools = [(one.value, gettext(POOLS[one.value])) for one in Pool]
        self.fields[f"{at}taken"] = forms.BooleanField(label=_("受理这一类"), required=False)
        self.fields[f"{at}pool"] = forms.ChoiceField(label=_("使用的机时份额"), choices=pools)
        self.fields[f"{at}cycles"] = whole(_("有效的周期数"), 1, 20)
        self.fields[f"{at}report_months"] = whole(_("报告间隔"), 0, 60, help_text=_("0 是每次到访后交一份。"))
        for name, (label, hint) in FLAGS.items():
            self.fields[f"{at}{name}"] = forms.BooleanField(label=label, required=False, help_text=hint)

    @property
    def sections(self) -> list[dict[str, Any]]:
        found = []
        for kind in ProposalKind:
            at = f"{kind.value}_"
            numbers: list[tuple[str, Any]] = [("pool", ""), ("cycles", CYCLES), ("report_months", _("个月"))]
            rows: list[list[tuple[str, Any]]] = [[("taken", "")], numbers, [(name, "") for name in FLAGS]]
            rows_said = [[{"bound": self[f"{at}{name}"], "unit": unit} for name, unit in row] for row in rows]
            found.append({"title": label_of("beam_kind", kind.value)[1], "rows": rows_said, "quiet": True})
        return found

    def courses(self) -> dict[ProposalKind, Course]:
        """Return the kinds that are taken; what cannot be read stands as usual, its field says so."""
        return {kind: self._course(kind) for kind in ProposalKind if self.cleaned_data.get(f"{kind.value}_taken")}

    def _course(self, kind: ProposalKind) -> Course:
        usual, at = COURSES[kind], f"{kind.value}_"
        return Course(
            pool=Pool(self.read(f"{at}pool", usual.pool.value)),
            cycles=self.read(f"{at}cycles", 1),
            report_months=self.read(f"{at}report_months", 0),
            **{name: bool(self.cleaned_data.get(f"{at}{name}")) for name in FLAGS},
        )

    def clean(self) -> dict[str, Any]:
        reasons = kinds.refusals(self.courses())
        told(self, reasons, {reason.field: reason.field.replace(".", "_") for reason in reasons})
        return self.cleaned_data


def _code(hint: Any = "") -> forms.CharField:
    return forms.CharField(label=_("代码"), max_length=SHORT_CODE, help_text=hint or CODE_HINT)


class ThingForm(SetupForm):
    """What is said of a beamline or device."""

    code = _code()
    name = forms.CharField(label=_("名称"), max_length=120)
    name_en = forms.CharField(label=_("英文名称"), max_length=160, required=False)

    def __init__(self, data: Any = None, *, is_new: bool, **more: Any) -> None:
        super().__init__(data, **more)
        if not is_new:
            del self.fields["code"]

    def clean(self) -> dict[str, Any]:
        if "code" in self.cleaned_data:
            told(self, beamlines.refusals(self.cleaned_data["code"]))
        return self.cleaned_data


class BeamlineForm(ThingForm):
    """What is said of a beamline, and how it is planned."""

    code = _code(_("如 BL01；字母、数字和连字符，定下后不能改。"))
    techniques = forms.CharField(
        label=_("实验方法"), max_length=300, required=False, help_text=_("逗号分开，如：吸收谱，原位电化学。")
    )
    functions = area(_("主要功能"), 2000, help_text=_("目录里显示，也用来查找。"))
    functions_en = area(_("英文功能说明"), 3000)
    contact = forms.CharField(label=_("联系人"), max_length=60, required=False)
    phone = forms.CharField(label=_("联系电话"), max_length=40, required=False)
    changeover_shifts = whole(
        _("换装班次"), 0, 30, initial=0, help_text=_("两次到访的实验布置不同时，中间空出的班次。")
    )
    needs_operator = forms.BooleanField(
        label=_("须有线站人员在场"), required=False, help_text=_("排班时只排在有人值班的班次。")
    )
    UNITS: ClassVar[Mapping[str, Promise | str]] = {"changeover_shifts": SHIFT}
    LAYOUT: ClassVar[Layout] = (
        (_("线站"), [("code",), ("name",), ("name_en",), ("techniques",), ("functions",), ("functions_en",)]),
        (_("联系"), [("contact", "phone")]),
        (_("排班"), [("changeover_shifts",), ("needs_operator",)]),
    )

    @staticmethod
    def stands(line: Beamline) -> dict[str, Any]:
        about = line.resource.instrument
        return {
            "name": line.resource.name,
            "name_en": line.resource.name_en,
            **{name: getattr(about, name) for name in ("functions", "functions_en", "contact", "phone")},
            **{name: getattr(line, name) for name in ("techniques", "changeover_shifts", "needs_operator")},
        }


class DeviceForm(ThingForm):
    """What is said of a device or sample environment, where it fits and what it cannot be with."""

    code = _code(_("如 CRYO；字母、数字和连字符，定下后不能改。"))
    LAYOUT: ClassVar[Layout] = (
        (_("样品环境"), [("code",), ("name",), ("name_en",)]),
        (_("兼容"), [("fits",), ("clashes",)]),
    )

    def __init__(
        self, data: Any = None, *, lines: Sequence[Beamline], others: Sequence[Device], is_new: bool, **more: Any
    ) -> None:
        super().__init__(data, is_new=is_new, **more)
        self.fields["fits"] = _ticks(
            _("可用的线站"), lines, _("没有勾选的线站不能用它；一次到访独占一台。"), gettext("还没有线站。")
        )
        self.fields["clashes"] = _ticks(
            _("不能同时使用的"), others, _("同一次到访里不能一起申请。"), gettext("没有其他样品环境。")
        )


def _ticks(label: Any, things: Iterable[Beamline | Device], hint: Any, none: str) -> forms.MultipleChoiceField:
    choices = [(one.code, f"{one.code} {bilingual(one.resource)}") for one in things]
    return forms.MultipleChoiceField(
        label=label,
        choices=choices,
        required=False,
        widget=forms.CheckboxSelectMultiple,
        help_text=hint if choices else none,
    )


USE = ("code", "name", "name_en", "most")


class PartnerForm(SetupForm):
    """What a partner keeps of a beamline's time; its uses stand in rows, rows left empty count for nothing."""

    organisation = forms.CharField(
        label=_("统一社会信用代码"), min_length=18, max_length=18, help_text=_("合作单位的 18 位代码。")
    )
    share = points(_("占该线站机时的份额"), Decimal("0.01"), Decimal(100), help_text=_("由各周期的用户机时计算。"))
    since = DayField(label=_("起始日期"))
    until = DayField(label=_("截止日期"), required=False, help_text=_("含当天；空着是没有期限。"))
    UNITS: ClassVar[Mapping[str, Promise | str]] = {"share": "%"}
    LAYOUT: ClassVar[Layout] = ((_("合作方"), [("organisation",), ("share",), ("since", "until")]),)

    def __init__(self, data: Any = None, *, partner: Partner | None = None, **more: Any) -> None:
        kept = list(partner.parts.all()) if partner else []
        initial = self.stands(partner) if partner else {}
        super().__init__(data, initial=initial, **more)
        if partner:
            del self.fields["organisation"]
        self.rows = _use_rows(data, len(kept))
        for at in range(self.rows):
            self._use(f"u{at}_")

    @staticmethod
    def stands(partner: Partner) -> dict[str, Any]:
        said: dict[str, Any] = {
            "share": _percent(partner.num, partner.den),
            "since": partner.valid.lower,
            "until": partner.valid.upper - timedelta(days=1) if partner.valid.upper else None,
        }
        for at, one in enumerate(partner.parts.all()):
            said |= {f"u{at}_{name}": getattr(one, name) for name in ("code", "name", "name_en")}
            said[f"u{at}_most"] = _percent(one.num, one.den)
        return said

    def _use(self, at: str) -> None:
        self.fields[f"{at}name"] = forms.CharField(label=_("用途"), max_length=60, required=False)
        self.fields[f"{at}name_en"] = forms.CharField(label=_("英文名称"), max_length=80, required=False)
        self.fields[f"{at}code"] = forms.SlugField(label=_("代码"), max_length=24, required=False)
        self.fields[f"{at}most"] = points(_("至多占合作机时"), Decimal("0.01"), Decimal(100), required=False)

    @property
    def sections(self) -> list[dict[str, Any]]:
        found = super().sections
        names = (("name", ""), ("name_en", ""), ("code", ""), ("most", "%"))
        for at in range(self.rows):
            row = [{"bound": self[f"u{at}_{name}"], "unit": unit} for name, unit in names]
            found.append({"title": gettext("用途 %(no)s") % {"no": at + 1}, "rows": [row[:2], row[2:]], "quiet": True})
        found[1]["hint"] = gettext("合作机时可以用在哪里、各至多多少；空行不计，清空一行即删去。都空着是不限用途。")
        found[-1]["act"] = "more"
        return found

    def clean(self) -> dict[str, Any]:
        names = {f"parts.{code}": f"u{at}_most" for at, code in self._codes().items()}
        for at in self._used():
            for name in ("name", "code", "most"):
                if f"u{at}_{name}" not in self.errors and not self.cleaned_data.get(f"u{at}_{name}"):
                    self.add_error(f"u{at}_{name}", gettext("请填写，或清空这一行。"))
        if "since" in self.cleaned_data:
            last = {"parts": f"u{self._used()[-1]}_code"} if self._used() else {}
            told(self, services.partner_refusals(terms=self.terms()), names | last)
        return self.cleaned_data

    def _used(self) -> list[int]:
        return [at for at in range(self.rows) if any(self[f"u{at}_{name}"].data for name in USE)]

    def _codes(self) -> dict[int, str]:
        return {at: str(self.read(f"u{at}_code", "")) for at in self._used()}

    def terms(self) -> services.PartnerTerms:
        """Return what was typed; what cannot be read stands as all of it, its field says so."""
        return services.PartnerTerms(
            share=_part(self.read("share", Decimal(100))),
            since=self.cleaned_data["since"],
            until=self.cleaned_data.get("until"),
            parts=tuple(
                (
                    code or f"use{at + 1}",
                    str(self.read(f"u{at}_name", "")),
                    str(self.read(f"u{at}_name_en", "")),
                    _part(self.read(f"u{at}_most", Decimal(100))),
                )
                for at, code in self._codes().items()
            ),
        )


def _part(percent: Decimal) -> Fraction:
    return Fraction(percent) / 100


def _percent(num: int, den: int) -> str:
    exact = (Decimal(num * 100) / Decimal(den)).quantize(Decimal("0.01"))
    return f"{exact.normalize():f}"


def _use_rows(data: Any, kept: int) -> int:
    said = str(data.get("rows", "")) if data is not None else ""
    rows = int(said) if said.isascii() and said.isdigit() and len(said) < 3 else kept + 1
    more = 2 if data is not None and data.get("act") == "more" else 0
    return max(1, min(rows + more, MOST_USES))


class CycleForm(SetupForm):
    """A new run cycle; times are wall times of the facility's zone."""

    code = _code(_("如 2027-I；字母、数字和连字符，定下后不能改。"))
    starts = WallField(label=_("开始"))
    ends = WallField(label=_("结束"), help_text=_("不含这一刻；一个周期最长 400 天，不能与其他周期重叠。"))
    LAYOUT: ClassVar[Layout] = ((_("运行周期"), [("code",), ("starts", "ends")]),)

    def clean(self) -> dict[str, Any]:
        if "code" in self.cleaned_data:
            told(self, beamlines.refusals(self.cleaned_data["code"]))
        return self.cleaned_data


class LineClosingForm(SetupForm):
    """When one beamline is closed by itself, and why."""

    starts = WallField(label=_("开始"))
    ends = WallField(label=_("结束"), help_text=_("不含这一刻；一次最长 400 天。"))
    reason = forms.CharField(label=_("原因"), max_length=120, help_text=_("受影响的课题组和企业会看到，至多 120 字。"))
    LAYOUT: ClassVar[Layout] = ((_("关闭一段时间"), [("starts", "ends"), ("reason",)]),)
