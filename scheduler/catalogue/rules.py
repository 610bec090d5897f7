"""The columns of an instrument list, in the national platform's words, and what a row says. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from datetime import date
from enum import StrEnum
from typing import Any, Final

from portal.kernel.errors import Conflict, Reason, noop
from portal.tables.values import DAY, Column, Kind
from scheduler.resources.entries import InstrumentValues
from scheduler.resources.profile import LENGTHS, Profile

__all__ = [
    "CHOSEN",
    "COLUMNS",
    "DATED",
    "NEW",
    "PROFILE",
    "About",
    "BadOrder",
    "FilePurpose",
    "day_of",
    "file_refusals",
    "said",
    "too_many",
]

_ = noop

COLUMNS: Final = (
    Column("internal_no", _("单位内部编号"), names=("资产编号", "仪器编号"), max_length=60),
    Column("name", _("名称"), names=("仪器名称", "中文名称"), max_length=120),
    Column("name_en", _("英文名称"), required=False, max_length=160),
    Column("kind", _("类型"), required=False, max_length=40),
    Column("category", _("类别"), names=("仪器类别",), max_length=40),
    Column("class_code", _("分类编码"), required=False, max_length=6),
    Column("model", _("型号"), names=("规格型号",), required=False, max_length=80),
    Column("manufacturer", _("生产厂商"), names=("制造厂商", "生产厂家"), required=False, max_length=120),
    Column("country", _("产地国别"), required=False, max_length=40),
    Column("value", _("原值"), Kind.MONEY, names=("仪器原值", "原值（元）"), required=False),
    Column("source", _("来源"), required=False, max_length=20),
    Column("purpose", _("通用或专用"), required=False, max_length=20),
    Column("running_state", _("运行状态"), required=False, max_length=20),
    Column("share_mode", _("共享模式"), required=False, max_length=20),
    Column("fields_of_science", _("学科领域"), required=False, max_length=LENGTHS["fields_of_science"]),
    Column("in_service_on", _("启用日期"), required=False, max_length=30),
    Column("city", _("所在城市"), max_length=40),
    Column("site", _("放置地点"), names=("安放地址",), required=False, max_length=120),
    Column("attached_to", _("所属平台或服务单元"), required=False, max_length=LENGTHS["attached_to"]),
    Column("funding_source", _("经费来源"), required=False, max_length=LENGTHS["funding_source"]),
    Column("specs", _("主要技术指标"), required=False, max_length=LENGTHS["specs"]),
    Column("functions", _("主要功能"), required=False, max_length=900),
    Column("service_content", _("服务内容"), required=False, max_length=LENGTHS["service_content"]),
    Column("opening_rules", _("对外开放规定"), required=False, max_length=LENGTHS["opening_rules"]),
    Column("typical_results", _("服务典型成果"), required=False, max_length=LENGTHS["typical_results"]),
    Column("yearly_hours", _("年运行机时"), Kind.WHOLE, required=False),
    Column("yearly_service_hours", _("年对外服务机时"), Kind.WHOLE, required=False),
    Column("contact", _("联系人"), required=False, max_length=60),
    Column("phone", _("联系电话"), required=False, max_length=40),
    Column("customs_no", _("报关单号"), required=False, max_length=LENGTHS["customs_no"]),
    Column("customs_on", _("进口日期"), required=False, max_length=30),
    Column("customs_item", _("报关商品项号"), required=False, max_length=LENGTHS["customs_item"]),
    Column("customs_name", _("报关品名"), required=False, max_length=LENGTHS["customs_name"]),
)
"""Columns of the national network platform's instrument entity (国发〔2014〕70号), as labs keep them."""
CHOSEN: Final = ("kind", "category", "source", "purpose", "running_state", "share_mode")
"""Columns whose cells hold one of a list: its word in any of the portal's languages, or its code."""
DATED: Final = ("in_service_on", "customs_on")
PROFILE: Final = frozenset(field.name for field in fields(Profile))
NEW: Final = InstrumentValues(
    name="",
    name_en="",
    category="",
    city="",
    site="",
    zone="Asia/Shanghai",
    model="",
    manufacturer="",
    functions="",
    functions_en="",
    original_value_fen=0,
    contact="",
    phone="",
    granularity_s=1800,
    min_duration_s=3600,
    max_duration_s=8 * 3600,
    lead_s=0,
    horizon_s=60 * 86400,
    setup_s=0,
    cleanup_s=0,
)
"""What holds of a new instrument where the list says nothing: the same as in the form."""


def day_of(text: str) -> date | None:
    """Return the day a cell names, as ``1998-03-01``, ``1998/3/1`` or ``1998年3月1日``; None where it names none."""
    match = DAY.fullmatch(text.split("T", maxsplit=1)[0].split(" ", maxsplit=1)[0])
    try:
        return date(*map(int, match.groups())) if match else None
    except ValueError:
        return None


def said(
    row: Mapping[str, Any], words: Mapping[str, Mapping[str, str]], before: InstrumentValues
) -> tuple[InstrumentValues, list[Reason]]:
    """Return what a row says of an instrument, over what was known `before`; an empty cell leaves what is known.

    `words` gives, for each column of `CHOSEN`, the code of each word. Reasons name the column as `field`.
    """
    changes: dict[str, Any] = {}
    reasons: list[Reason] = []
    for name, cell in row.items():
        if cell is None:
            continue
        value = cell
        if name in CHOSEN:
            value = words[name].get(str(cell).strip().casefold())
        elif name in DATED:
            value = day_of(str(cell))
        if value is None:
            reasons.append(
                Reason(
                    "list.unknown_cell",
                    _("“%(value)s”不能识别。"),
                    _("请按模板填写：日期写成 2026-11-25，其余从列表中选择。"),
                    field=name,
                    params={"value": str(cell)[:40]},
                )
            )
            continue
        changes[name] = value
    if "value" in changes:
        changes["original_value_fen"] = changes.pop("value").fen
    profile = {name: changes.pop(name) for name in PROFILE & changes.keys()}
    return replace(before, **changes, profile=replace(before.profile, **profile)), reasons


class FilePurpose(StrEnum):
    """What a file beside an instrument is."""

    PICTURE = "picture"
    FEES = "fees"
    SOP = "sop"
    CALIBRATION = "calibration"


MOST_WORDS: Final = 120
MOST_WORDS_EN: Final = 200
MOST_FILES: Final = {
    FilePurpose.PICTURE: 8,
    FilePurpose.FEES: 5,
    FilePurpose.SOP: 5,
    FilePurpose.CALIBRATION: 5,
}
"""How many an instrument may have of each; a rule of this portal."""


@dataclass(frozen=True, slots=True)
class About:
    """What a file is, what it shows in words of both languages, and of a calibration certificate its last valid day."""

    purpose: FilePurpose
    words: str
    words_en: str = ""
    valid_until: date | None = None


def file_refusals(about: About, *, today: date) -> list[Reason]:
    """Return everything that is wrong with a file's words and validity."""
    reasons = []
    if not about.words.strip():
        reasons.append(
            Reason(
                "file.words",
                _("请用文字说明它的内容。"),
                _("看不到图片的人听到的就是这段文字。"),
                field="words",
            )
        )
    if len(about.words) > MOST_WORDS:
        reasons.append(Reason("file.words_long", _("说明最多 120 个字。"), _("请缩短。"), field="words"))
    if len(about.words_en) > MOST_WORDS_EN:
        reasons.append(Reason("file.words_en_long", _("英文说明最多 200 个字符。"), _("请缩短。"), field="words_en"))
    certificate = about.purpose is FilePurpose.CALIBRATION
    if certificate and (about.valid_until is None or about.valid_until < today):
        reasons.append(
            Reason(
                "file.valid_until",
                _("校准证书须有今天或以后的有效期截止日。"),
                _("请按证书填写；已过期的证书不必上传。"),
                field="valid_until",
            )
        )
    if not certificate and about.valid_until is not None:
        reasons.append(Reason("file.no_validity", _("只有校准证书有有效期。"), _("请留空。"), field="valid_until"))
    return reasons


def too_many(purpose: FilePurpose, *, present: int) -> list[Reason]:
    """Say that one more file of a purpose is too many where as many as may be are there already."""
    if present < MOST_FILES[purpose]:
        return []
    return [
        Reason(
            "file.too_many",
            _("这一类文件最多 %(most)s 个。"),
            _("请先删除不再需要的。"),
            field="file",
            params={"most": MOST_FILES[purpose]},
        )
    ]


class BadOrder(Conflict):
    """The order names other files than there are."""

    code = "file.order"
    message = _("图片已有变动，请刷新页面后再调整顺序。")
