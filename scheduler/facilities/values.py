"""What a facility says of itself, and everything that can be wrong with it. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from portal.kernel.errors import Reason, Refused, noop
from scheduler.facilities.courses import ReportRule
from scheduler.facilities.grades import Direction, Scale
from scheduler.facilities.grid import ShiftGrid

__all__ = ["BadFacility", "FacilityValues", "check", "code_refusals", "refusals"]

_ = noop

CODE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,23}")
LIMITS: Final = {
    "ageing_c": (0, 1000),
    "ageing_cycles": (0, 20),
    "graders": (1, 20),
    "together_years": (0, 20),
    "forms_days": (0, 365),
    "answer_days": (1, 90),
    "report_weeks": (1, 208),
    "market_days": (0, 365),
}
"""Least and most of the numbers a facility says."""


class BadFacility(Refused):
    code = "facility.invalid"
    message = _("装置资料填写有误。")


@dataclass(frozen=True, slots=True)
class FacilityValues:
    """Grades are hundredths, minutes count from local midnight; the fields are those of the table `Facility`."""

    name: str
    city: str
    shift_names: tuple[str, ...]
    name_en: str = ""
    summary: str = ""
    summary_en: str = ""
    zone: str = "Asia/Shanghai"
    first_min: int = 0
    length_min: int = 480
    multiple: int = 1
    lowest_c: int = 0
    highest_c: int = 550
    step_c: int = 10
    best: str = Direction.HIGH.value
    ageing_c: int = 0
    ageing_cycles: int = 0
    graders: int = 2
    together_years: int = 3
    forms_days: int = 14
    answer_days: int = 10
    report_weeks: int = 12
    report_rule: str = ReportRule.TELL.value
    market_days: int = 14

    def grid(self) -> ShiftGrid:
        """Raises BadGrid."""
        return ShiftGrid(self.zone, self.first_min, self.length_min, self.shift_names, self.multiple)

    def scale(self) -> Scale:
        """Raises BadScale."""
        ends = (Decimal(self.lowest_c) / 100, Decimal(self.highest_c) / 100, Decimal(self.step_c) / 100)
        return Scale(*ends, Direction(self.best))


def code_refusals(code: str) -> list[Reason]:
    """Say why `code` cannot name a facility, beamline, device or cycle in an address."""
    if CODE.fullmatch(code):
        return []
    text = _("代码“%(code)s”只能用字母、数字和连字符，最多 24 个字符。")
    return [Reason("facility.code", text, _("请填写如 BL01。"), "code", {"code": code[:40]})]


def check(values: FacilityValues) -> None:
    """Raise BadFacility with everything that is wrong, each at its field."""
    if found := refusals(values):
        raise BadFacility(found)


def refusals(values: FacilityValues) -> list[Reason]:
    """Say everything that is wrong with what a facility says of itself, each at its field."""
    found: list[Reason] = []
    if not values.name.strip():
        found.append(Reason("facility.name", _("请填写装置名称。"), field="name"))
    if not values.city.strip():
        found.append(Reason("facility.city", _("请填写所在城市。"), field="city"))
    found += _raised(values.grid)
    if values.best not in {one.value for one in Direction}:
        found.append(Reason("facility.best", _("请选择评分方向。"), field="best"))
    else:
        found += _raised(values.scale)
    if values.report_rule not in {one.value for one in ReportRule}:
        found.append(Reason("facility.report_rule", _("请选择未交报告的后果。"), field="report_rule"))
    for name, (least, most) in LIMITS.items():
        if not least <= getattr(values, name) <= most:
            text = _("数值须在 %(least)s 到 %(most)s 之间。")
            found.append(Reason("facility.number", text, field=name, params={"least": least, "most": most}))
    return found


def _raised(make: Callable[[], object]) -> list[Reason]:
    try:
        make()
    except Refused as error:
        return list(error.reasons)
    return []
