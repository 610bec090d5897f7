"""The form in which a lab describes an instrument."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from django import forms
from django.utils.translation import gettext_lazy as _

from portal.kernel.money import Money
from portal.pages.fields import DayInput, YuanField
from scheduler.resources import entries, profile, services
from scheduler.resources.models import Instrument, Resource

__all__ = ["NAMES", "InstrumentForm", "initial"]

KINDS = [(kind.value, Resource.Kind(kind.value).label) for kind in entries.CATALOGUED]
BLANKS = asdict(profile.EMPTY)
"""The national platform's fields, and what each is where nothing was filled in."""


def _block(label: Any, length: int, *, rows: int = 4) -> forms.CharField:
    return forms.CharField(label=label, max_length=length, required=False, widget=forms.Textarea(attrs={"rows": rows}))


class InstrumentForm(forms.Form):
    """What a lab says of an instrument, in the units people think in."""

    kind = forms.ChoiceField(
        label=_("类型"), choices=KINDS, initial=Resource.Kind.INSTRUMENT.value, help_text=_("按它被预约的方式选择。")
    )
    internal_no = forms.CharField(
        label=_("单位内部编号"),
        max_length=60,
        required=False,
        help_text=_("如资产编号；批量导入按它对应，只有本单位可见。"),
    )
    name = forms.CharField(label=_("名称"), max_length=120)
    name_en = forms.CharField(label=_("英文名称"), max_length=160, required=False)
    category = forms.ChoiceField(
        label=_("类别"),
        choices=[("", _("请选择")), *Instrument.Category.choices],
        required=False,
        help_text=_("仪器必选；工位、房间等可不选。"),
    )
    model = forms.CharField(label=_("型号"), max_length=80, required=False)
    manufacturer = forms.CharField(label=_("生产厂商"), max_length=120, required=False)
    value = YuanField(label=_("原值"), least_fen=0, required=False)
    functions = forms.CharField(
        label=_("主要功能"), max_length=900, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    functions_en = forms.CharField(
        label=_("英文功能说明"), max_length=1500, required=False, widget=forms.Textarea(attrs={"rows": 4})
    )
    city = forms.CharField(label=_("所在城市"), max_length=40)
    site = forms.CharField(label=_("放置地点"), max_length=120, required=False)
    zone = forms.CharField(
        label=_("时区"), max_length=40, initial="Asia/Shanghai", help_text=_("IANA 名称；国内仪器均为 Asia/Shanghai。")
    )
    contact = forms.CharField(label=_("联系人"), max_length=60, required=False)
    phone = forms.CharField(label=_("联系电话"), max_length=40, required=False)
    modes = forms.MultipleChoiceField(
        label=_("服务方式"),
        choices=Resource.ServiceMode.choices,
        initial=[Resource.ServiceMode.SELF.value],
        widget=forms.CheckboxSelectMultiple,
    )
    capacity = forms.IntegerField(
        label=_("数量"), initial=1, min_value=1, max_value=200, help_text=_("同样的工位、房间或仪器有几个。")
    )
    counting = forms.ChoiceField(label=_("计数方式"), choices=Resource.Counting.choices, initial="units")
    granularity = forms.TypedChoiceField(
        label=_("时间格（分钟）"),
        coerce=int,
        initial=30,
        choices=[(minutes, minutes) for minutes in (5, 10, 15, 20, 30, 60, 120, 240)],
        help_text=_("起止时间须为它的整数倍。"),
    )
    shortest = forms.DecimalField(
        label=_("每次最短"), initial=1, min_value=0, max_value=744, max_digits=6, decimal_places=2
    )
    longest = forms.DecimalField(
        label=_("每次最长"), initial=8, min_value=0, max_value=744, max_digits=6, decimal_places=2
    )
    lead = forms.DecimalField(
        label=_("至少提前"), initial=0, min_value=0, max_value=2400, max_digits=6, decimal_places=2
    )
    horizon = forms.IntegerField(label=_("最多提前"), initial=60, min_value=1, max_value=400)
    setup = forms.IntegerField(
        label=_("使用前准备"), initial=0, min_value=0, max_value=1440, help_text=_("占用时间，不计费。")
    )
    cleanup = forms.IntegerField(
        label=_("使用后清理"), initial=0, min_value=0, max_value=1440, help_text=_("占用时间，不计费。")
    )

    class_code = forms.CharField(
        label=_("分类编码"), max_length=6, required=False, help_text=_("国家网络管理平台的仪器分类，2、4 或 6 位数字。")
    )
    source = forms.ChoiceField(label=_("来源"), choices=Instrument.Source.choices, initial="purchased")
    purpose = forms.ChoiceField(label=_("通用或专用"), choices=Instrument.Purpose.choices, initial="general")
    running_state = forms.ChoiceField(label=_("运行状态"), choices=Instrument.RunningState.choices, initial="normal")
    share_mode = forms.ChoiceField(label=_("共享模式"), choices=Instrument.ShareMode.choices, initial="outside")
    fields_of_science = forms.CharField(
        label=_("学科领域"), max_length=200, required=False, help_text=_("多个用顿号隔开。")
    )
    country = forms.CharField(label=_("产地国别"), max_length=40, required=False)
    in_service_on = forms.DateField(widget=DayInput(), input_formats=["%Y-%m-%d"], label=_("启用日期"), required=False)
    attached_to = forms.CharField(label=_("所属平台或服务单元"), max_length=120, required=False)
    funding_source = forms.CharField(label=_("经费来源"), max_length=120, required=False)
    specs = _block(_("主要技术指标"), 1500, rows=6)
    opening_rules = _block(_("对外开放规定"), 900)
    service_content = _block(_("服务内容"), 900)
    typical_results = _block(_("服务典型成果"), 900)
    yearly_hours = forms.IntegerField(label=_("年运行机时"), min_value=0, max_value=8784, required=False)
    yearly_service_hours = forms.IntegerField(label=_("年对外服务机时"), min_value=0, max_value=8784, required=False)
    customs_no = forms.CharField(label=_("报关单号"), max_length=18, required=False)
    customs_on = forms.DateField(widget=DayInput(), input_formats=["%Y-%m-%d"], label=_("进口日期"), required=False)
    customs_item = forms.CharField(label=_("报关商品项号"), max_length=10, required=False)
    customs_name = forms.CharField(label=_("报关品名"), max_length=120, required=False)

    def clean(self) -> dict[str, Any]:
        """Put things that are no instruments into the last category where none was chosen; an instrument has one."""
        said: dict[str, Any] = super().clean() or self.cleaned_data
        if not said.get("category") and "category" not in self.errors:
            if said.get("kind") == Resource.Kind.INSTRUMENT.value:
                self.add_error("category", forms.ValidationError(_("这个字段是必填项。"), code="required"))
            else:
                said["category"] = Instrument.Category.OTHER.value
        return said

    def values(self) -> services.InstrumentValues:
        """Return the form as the service's values: seconds and fen."""
        said: dict[str, Any] = self.cleaned_data
        text = (
            *("kind", "internal_no", "name", "name_en", "category", "city", "site", "zone", "model", "manufacturer"),
            *("functions", "capacity", "counting"),
        )
        return services.InstrumentValues(
            **{name: said[name] for name in (*text, "functions_en", "contact", "phone")},
            original_value_fen=(said["value"] or Money(0)).fen,
            granularity_s=said["granularity"] * 60,
            min_duration_s=int(said["shortest"] * 3600),
            max_duration_s=int(said["longest"] * 3600),
            lead_s=int(said["lead"] * 3600),
            horizon_s=said["horizon"] * 86400,
            setup_s=said["setup"] * 60,
            cleanup_s=said["cleanup"] * 60,
            modes=tuple(said["modes"]),
            profile=profile.Profile(**{name: said[name] or blank for name, blank in BLANKS.items()}),
        )


NAMES = {
    "original_value_fen": "value",
    "granularity_s": "granularity",
    "max_duration_s": "longest",
    "horizon_s": "horizon",
    "setup_s": "setup",
}
"""What the domain calls a value, and what the form calls it."""


def initial(resource: Resource) -> dict[str, Any]:
    """Return what is stored of an instrument, as its form shows it."""
    facts = resource.instrument
    return {
        **{name: getattr(resource, name) for name in ("name", "name_en", "city", "site", "zone", "internal_no")},
        **{name: getattr(resource, name) for name in ("kind", "modes", "capacity", "counting")},
        **{name: getattr(facts, name) for name in BLANKS},
        **{
            name: getattr(facts, name)
            for name in ("category", "model", "manufacturer", "functions", "functions_en", "contact", "phone")
        },
        "value": Money(facts.original_value_fen),
        "granularity": resource.granularity_s // 60,
        "shortest": _hours(resource.min_duration_s),
        "longest": _hours(resource.max_duration_s),
        "lead": _hours(resource.lead_s),
        "horizon": resource.horizon_s // 86400,
        "setup": resource.setup_s // 60,
        "cleanup": resource.cleanup_s // 60,
    }


def _hours(seconds: int) -> str:
    return f"{seconds / 3600:.2f}".rstrip("0").rstrip(".")
