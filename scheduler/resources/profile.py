"""What the national network platform asks of an instrument beyond its name and its times. Pure.

The fields, their lengths and their words follow the instrument entity of the national network platform for large
research instruments (国发〔2014〕70号), as open laboratory systems report to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from typing import Final

from portal.kernel.errors import Reason, noop

__all__ = [
    "EMPTY",
    "LENGTHS",
    "Profile",
    "Purpose",
    "RunningState",
    "ServiceMode",
    "ShareMode",
    "Source",
    "refusals",
]

_ = noop


class ServiceMode(StrEnum):
    """How a user is served: operating alone, handing in samples, or with the lab's technical service on top."""

    SELF = "self"
    SAMPLE = "sample"
    TECHNICAL = "technical"


class Source(StrEnum):
    """Where an instrument came from."""

    PURCHASED = "purchased"
    DEVELOPED = "developed"
    DONATED = "donated"
    TRANSFERRED = "transferred"
    OTHER = "other"


class Purpose(StrEnum):
    """General or special instrument."""

    GENERAL = "general"
    SPECIAL = "special"


class RunningState(StrEnum):
    """Whether the thing itself works, whatever is published of it."""

    NORMAL = "normal"
    REPAIR = "repair"
    IDLE = "idle"
    SCRAPPED = "scrapped"


class ShareMode(StrEnum):
    """Whom the holder shares with: those outside, those inside, nobody."""

    OUTSIDE = "outside"
    INSIDE = "inside"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Profile:
    """An instrument as the national platform describes it. Hours are those of a year, whole."""

    class_code: str = ""
    """Class in the national code list: two, four or six digits. The list itself is the platform's data."""
    source: str = Source.PURCHASED.value
    purpose: str = Purpose.GENERAL.value
    running_state: str = RunningState.NORMAL.value
    share_mode: str = ShareMode.OUTSIDE.value
    fields_of_science: str = ""
    country: str = ""
    in_service_on: date | None = None
    attached_to: str = ""
    """The centre, facility or service unit it belongs to."""
    funding_source: str = ""
    specs: str = ""
    opening_rules: str = ""
    service_content: str = ""
    typical_results: str = ""
    yearly_hours: int = 0
    yearly_service_hours: int = 0
    customs_no: str = ""
    customs_on: date | None = None
    customs_item: str = ""
    customs_name: str = ""


EMPTY: Final = Profile()
LENGTHS: Final = {
    "class_code": 6,
    "fields_of_science": 200,
    "country": 40,
    "attached_to": 120,
    "funding_source": 120,
    "specs": 1500,
    "opening_rules": 900,
    "service_content": 900,
    "typical_results": 900,
    "customs_no": 18,
    "customs_item": 10,
    "customs_name": 120,
}
"""The most characters of each text."""
YEAR_HOURS: Final = 8784
CHOICES: Final = {
    "source": Source,
    "purpose": Purpose,
    "running_state": RunningState,
    "share_mode": ShareMode,
}


def refusals(profile: Profile) -> list[Reason]:
    """Return everything that is wrong with a profile, each at its field."""
    reasons = [
        Reason(
            "instrument.too_long",
            _("这一项最多 %(most)s 个字，现在是 %(length)s 个。"),
            _("请缩短后再保存。"),
            field=name,
            params={"most": most, "length": len(getattr(profile, name))},
        )
        for name, most in LENGTHS.items()
        if len(getattr(profile, name)) > most
    ]
    reasons += [
        Reason("instrument.unknown_choice", _("请从列表中选择。"), field=name)
        for name, choices in CHOICES.items()
        if getattr(profile, name) not in {choice.value for choice in choices}
    ]
    if profile.class_code and not re.fullmatch(r"(\d{2}){1,3}", profile.class_code, re.ASCII):
        reasons.append(
            Reason(
                "instrument.class_code",
                _("分类编码应为 2、4 或 6 位数字。"),
                _("请按国家网络管理平台的分类表填写，不确定时可留空。"),
                field="class_code",
            )
        )
    for name in ("yearly_hours", "yearly_service_hours"):
        if not 0 <= getattr(profile, name) <= YEAR_HOURS:
            reasons.append(Reason("instrument.hours", _("全年机时须在 0 到 8784 小时之间。"), field=name))
    if profile.yearly_service_hours > profile.yearly_hours:
        reasons.append(
            Reason(
                "instrument.service_hours",
                _("对外服务机时不能超过运行机时。"),
                _("请核对两项年度机时。"),
                field="yearly_service_hours",
            )
        )
    reasons += _customs(profile)
    return reasons


def _customs(profile: Profile) -> list[Reason]:
    """A customs record is whole or empty: number, date and name on the declaration belong together."""
    parts = {
        "customs_no": profile.customs_no,
        "customs_on": profile.customs_on,
        "customs_name": profile.customs_name,
    }
    if not any((*parts.values(), profile.customs_item)) or all(parts.values()):
        return []
    return [
        Reason(
            "instrument.customs",
            _("海关记录不完整：报关单号、进口日期和报关品名须一起填写。"),
            _("请补全，或全部留空。"),
            field=name,
        )
        for name, value in parts.items()
        if not value
    ]
