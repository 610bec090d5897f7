"""What a lab says of a thing it shares, and everything that can be wrong with it. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portal.kernel.errors import Reason, noop
from scheduler.resources import profile, rules

__all__ = ["CATALOGUED", "InstrumentValues", "refusals"]

_ = noop

CATALOGUED: Final = tuple(
    kind
    for kind in rules.ResourceKind
    if kind not in {rules.ResourceKind.OPERATOR, rules.ResourceKind.BEAMLINE, rules.ResourceKind.DEVICE}
)
"""Kinds a lab enters by itself: an operator comes with an instrument, beamlines and devices with their facility."""
MAX_CAPACITY: Final = 200
FIRST_YEAR: Final = 1950


@dataclass(frozen=True, slots=True)
class InstrumentValues:
    """What a lab says of an instrument. Durations are whole seconds, the value is in fen."""

    name: str
    name_en: str
    category: str
    city: str
    site: str
    zone: str
    model: str
    manufacturer: str
    functions: str
    functions_en: str
    original_value_fen: int
    contact: str
    phone: str
    granularity_s: int
    min_duration_s: int
    max_duration_s: int
    lead_s: int
    horizon_s: int
    setup_s: int
    cleanup_s: int
    kind: str = rules.ResourceKind.INSTRUMENT.value
    modes: tuple[str, ...] = (profile.ServiceMode.SELF.value,)
    capacity: int = 1
    counting: str = rules.Counting.UNITS.value
    internal_no: str = ""
    profile: profile.Profile = profile.EMPTY


def refusals(values: InstrumentValues, *, today: date) -> list[Reason]:
    """Return everything that is wrong with the values, each at its field; `today` is the lab's local day."""
    return [*_said(values), *_shared(values), *_limits(values), *_dated(values, today)]


def _said(values: InstrumentValues) -> list[Reason]:
    reasons: list[Reason] = []
    if not values.name.strip():
        reasons.append(Reason("instrument.name", _("请填写仪器名称。"), field="name"))
    if values.category not in {category.value for category in rules.Category}:
        reasons.append(Reason("instrument.category", _("请从列表中选择仪器类别。"), field="category"))
    if not values.city.strip():
        reasons.append(Reason("instrument.city", _("请填写所在城市。"), field="city"))
    try:
        ZoneInfo(values.zone)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        reasons.append(
            Reason("instrument.zone", _("时区无效。"), _("请填写 IANA 时区名，例如 Asia/Shanghai。"), field="zone")
        )
    if values.original_value_fen < 0:
        reasons.append(Reason("instrument.value", _("原值不能为负数。"), field="original_value_fen"))
    return reasons + profile.refusals(values.profile)


def _shared(values: InstrumentValues) -> list[Reason]:
    """Judge kind, modes and how many places there are, numbered or counted."""
    reasons: list[Reason] = []
    if values.kind not in {kind.value for kind in CATALOGUED}:
        reasons.append(Reason("instrument.kind", _("请从列表中选择类型。"), field="kind"))
    known = {mode.value for mode in profile.ServiceMode}
    if not values.modes or not set(values.modes) <= known or len(set(values.modes)) != len(values.modes):
        reasons.append(Reason("instrument.modes", _("请至少选择一种服务方式。"), field="modes"))
    if values.counting not in {counting.value for counting in rules.Counting}:
        reasons.append(Reason("instrument.counting", _("请从列表中选择计数方式。"), field="counting"))
    if not 1 <= values.capacity <= MAX_CAPACITY:
        reasons.append(Reason("instrument.capacity", _("数量须在 1 到 200 之间。"), field="capacity"))
    return reasons


def _limits(values: InstrumentValues) -> list[Reason]:
    reasons: list[Reason] = []
    if values.granularity_s < 300 or 86400 % values.granularity_s:
        reasons.append(Reason("instrument.granularity", _("时间格须至少 5 分钟且能整除一天。"), field="granularity_s"))
    if not 0 < values.min_duration_s <= values.max_duration_s <= 31 * 86400:
        reasons.append(
            Reason(
                "instrument.durations", _("最短时长须大于零且不超过最长时长（最多 31 天）。"), field="max_duration_s"
            )
        )
    if values.lead_s < 0 or values.horizon_s <= values.lead_s or values.horizon_s > 400 * 86400:
        reasons.append(Reason("instrument.horizon", _("可预约天数须大于提前量，且不超过 400 天。"), field="horizon_s"))
    if not (0 <= values.setup_s <= 86400 and 0 <= values.cleanup_s <= 86400):
        reasons.append(Reason("instrument.buffers", _("准备与清理时间须在 0 到 24 小时之间。"), field="setup_s"))
    return reasons


def _dated(values: InstrumentValues, today: date) -> list[Reason]:
    """Nothing came into service or through customs tomorrow, nor before there were such instruments."""
    dated = {"in_service_on": values.profile.in_service_on, "customs_on": values.profile.customs_on}
    return [
        Reason(
            "instrument.date",
            _("日期 %(day)s 不可能：应在 1950 年之后、今天之前。"),
            _("请核对后填写。"),
            field=name,
            params={"day": day.isoformat()},
        )
        for name, day in dated.items()
        if day is not None and not (date(FIRST_YEAR, 1, 1) <= day <= today)
    ]
