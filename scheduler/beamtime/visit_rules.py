"""What goes wrong with visits, when their reports are due, and how minutes of an early end count. Pure.

Sources: a report after every session (ESRF), block allocations report every six months (ESRF BAG); lost beam enters a list
and is credited by nobody but the facility (Diamond, E8). Weeks and months are the facility's data.
"""

from __future__ import annotations

import calendar
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from portal.kernel.errors import Conflict, Invalid, Reason, Refused, noop
from portal.kernel.period import Period
from scheduler.beamtime.rules import Delivered, Loss, LossCause, VisitState, delivered

__all__ = [
    "AHEAD",
    "BEFORE",
    "LATEST",
    "NOTE",
    "PENDING",
    "TO_COME",
    "WHOLE",
    "BadBack",
    "BadEnd",
    "BadLoss",
    "BadTraining",
    "CycleClosed",
    "NotInTeam",
    "NotLate",
    "NotOver",
    "NotPrepared",
    "NotYetThere",
    "ReasonMissing",
    "ReportMissing",
    "TeamNotThere",
    "VisitOver",
    "counted",
    "report_due",
    "unnamed",
]

_ = noop

NOTE: Final = 500
WHOLE: Final = timedelta(days=31)
"""Longest single loss."""
AHEAD: Final = timedelta(days=7)
"""How far ahead a loss that goes on may be logged; it can be voided."""
BEFORE: Final = timedelta(hours=24)
"""How long before its beam a team can be checked in."""
LATEST: Final = timedelta(days=1)
"""How long after its end the staff can still put a visit right before the clock ends it."""
PENDING: Final = (VisitState.SCHEDULED, VisitState.READY)
TO_COME: Final = (VisitState.OFFERED, *PENDING)
"""Not begun, answered or not."""


class NotPrepared(Refused):
    code = "visit.not_ready"
    message = _("实验还没有准备就绪，原因如下。")


class NotYetThere(Conflict):
    """`at` is in the facility's zone."""

    code = "visit.too_early"
    message = _("还没有到时间：%(at)s 起可以办理。")


class VisitOver(Conflict):
    code = "visit.over"
    message = _("这次实验的机时已经结束。")


class NotOver(Conflict):
    code = "visit.not_over"
    message = _("机时还没有结束，不能登记为未到场。")


class TeamNotThere(Conflict):
    code = "visit.not_checked_in"
    message = _("课题组还没有签到。请先办理签到。")


class BadEnd(Invalid):
    code = "visit.end"
    message = _("结束时间须在这次机时开始之后，且不晚于现在。")


class NotLate(Conflict):
    code = "visit.not_late"
    message = _("样品单和安全审查都没有逾期获批，不需要另行同意。")


class ReasonMissing(Invalid):
    code = "visit.reason"
    message = _("请写明理由（500 字以内），课题组会看到。")


class NotInTeam(Invalid):
    code = "visit.not_in_team"
    message = _("只能选择已加入课题组的成员；课题负责人可以确认全组，其他成员只能确认自己。")


class BadTraining(Invalid):
    code = "visit.training_until"
    message = _("培训有效期须晚于今天，最长三年。")


class BadLoss(Invalid):
    code = "loss.period"
    message = _("停束时段须在 31 天以内，不早于运行周期开始，最晚到七天之后。")


class CycleClosed(Conflict):
    code = "loss.cycle_closed"
    message = _("这个运行周期的统计已关闭，不能再修改。")


class BadBack(Invalid):
    """`most`: shifts of the visit."""

    code = "compensation.shifts"
    message = _("补偿班次须在 1 到 %(most)s 之间。")


class ReportMissing(Invalid):
    code = "report.summary"
    message = _("请填写实验报告摘要（3000 字以内）。")


def counted(visit: Period, losses: Iterable[Loss], *, ended_at: datetime) -> Delivered:
    """Add up a visit that ended at `ended_at`: beam it left unused is its own loss, unless the facility had none then."""
    known = list(losses)
    if ended_at < visit.end:
        known.append(Loss(Period(max(ended_at, visit.start), visit.end), LossCause.USER))
    return delivered(visit, known)


def months_on(since: datetime, months: int) -> datetime:
    """Return the corresponding day so many months on, the month's last where there is none (Civil Code 202)."""
    number = since.year * 12 + since.month - 1 + months
    year, month = divmod(number, 12)
    day = min(since.day, calendar.monthrange(year, month + 1)[1])
    return since.replace(year=year, month=month + 1, day=day)


def report_due(*, ended_at: datetime, weeks: int, months: int = 0, since: datetime | None = None) -> datetime:
    """Return when a visit's report is due: `weeks` after it, or with the next report a block allocation owes.

    Those come every `months` counted from `since`, one for all visits in between.
    """
    if not months or since is None:
        return ended_at + timedelta(weeks=weeks)
    turn = 1
    while months_on(since, months * turn) <= ended_at:
        turn += 1
    return months_on(since, months * turn)


def noted(text: str, *, field: str = "reason") -> str:
    """Return a reason without blanks around it. Raises ReasonMissing."""
    text = text.strip()
    if not text or len(text) > NOTE:
        raise ReasonMissing(field=field)
    return text


def unnamed(reasons: Sequence[Reason]) -> list[Reason]:
    """Return what is missing without saying who of the team it is, each thing once: for staff who may not know it."""
    somebody = Reason(
        "visit.training", _("有到场人员的培训不覆盖整个实验。"), _("请在开始前完成培训。"), "participants"
    )
    found = [one for one in reasons if "who" not in one.params]
    return found + [somebody] * (len(found) < len(reasons))


def same_people(one: Sequence[int], two: Sequence[int]) -> set[int]:
    """Return who is in one list only."""
    return set(one) ^ set(two)
