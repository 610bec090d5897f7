"""Tell teams about their visits: what is due, what is missing, what was cancelled, counted or decided. Each thing once.

Neither title nor samples are in a message; only the team gets it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from portal.kernel.errors import Reason, noop
from scheduler.beamtime import rules, visits
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamVisit
from scheduler.facilities.courses import ReportRule
from scheduler.proposals import steps

__all__ = ["cancelled", "counted", "decided", "remind_due"]

_ = noop
S = rules.VisitState
DAY: Final = timedelta(days=1)
LOOK_BACK: Final = 3 * DAY
"""How long after its moment a reminder is still sent: longer than any outage of the clock should last."""
REPORT_SOON, REPORT_LATE = 14 * DAY, 28 * DAY
FORMS_SOON, START_SOON = 7 * DAY, 3 * DAY


def _tell(visit: BeamVisit, reasons: list[Reason], *, key: str, now: datetime) -> None:
    steps.tell(visit.allocation.request.proposal, reasons, key=f"{visit.number}:{key}", now=now)


def cancelled(visit: BeamVisit, *, listed: bool, now: datetime) -> None:
    """Tell that the facility cancelled a visit, and why. Call in the transaction in which it happens."""
    said = {"visit": visit.number, "at": visits.clock(visit, visit.during.lower), "why": visit.cancel_reason}
    text = _("到访 %(visit)s（%(at)s 起）被装置取消，理由：%(why)s")
    remedy = _("已列入补偿名单，由装置主任决定；不会自动补偿。") if listed else _("机时将重新安排。")
    _tell(visit, [Reason("visit.cancelled", text, remedy, "", said)], key="cancelled", now=now)


def counted(visit: BeamVisit, *, now: datetime) -> None:
    """Tell what an ended visit had and lost, and until when its report is due."""
    assert visit.report_due is not None
    said = {
        "visit": visit.number,
        "had": visit.had_min,
        "lost": visit.lost_min,
        "until": visits.clock(visit, visit.report_due),
    }
    text = _("到访 %(visit)s 已结束：供束 %(had)s 分钟，失束 %(lost)s 分钟。")
    remedy = _("实验报告须在 %(until)s 前提交。")
    _tell(visit, [Reason("visit.counted", text, remedy, "", said)], key="counted", now=now)


def decided(visit: BeamVisit, *, shifts: int, why: str, now: datetime) -> None:
    """Tell what was decided about lost beam: so many shifts given back, or none, and why."""
    said = {"visit": visit.number, "shifts": shifts, "why": why}
    text = (
        _("到访 %(visit)s 的失束补偿 %(shifts)s 个班次：%(why)s")
        if shifts
        else _("到访 %(visit)s 的失束不予补偿：%(why)s")
    )
    _tell(visit, [Reason("visit.compensation", text, "", "", said)], key="compensation", now=now)


def _due(moment: datetime, *, now: datetime) -> bool:
    return now - LOOK_BACK < moment <= now


def _report_soon(visit: BeamVisit, *, now: datetime) -> None:
    assert visit.report_due is not None
    said = {"visit": visit.number, "until": visits.clock(visit, visit.report_due)}
    text = _("到访 %(visit)s 的实验报告须在 %(until)s 前提交。")
    _tell(visit, [Reason("visit.report_due", text, _("请在“我的机时”中提交。"), "", said)], key="report_soon", now=now)


def _report_overdue(visit: BeamVisit, *, now: datetime, key: str = "report_overdue") -> None:
    assert visit.report_due is not None
    said = {"visit": visit.number, "until": visits.clock(visit, visit.report_due)}
    text = _("到访 %(visit)s 的实验报告已逾期（期限 %(until)s）。")
    blocks = visit.beamline.facility.report_rule == ReportRule.BLOCK.value
    remedy = (
        _("提交之前，课题组不能在这个装置提交新的申请。")
        if blocks
        else _("提交之前，课题组的新申请会向评审组提示这一点。")
    )
    _tell(visit, [Reason("visit.report_overdue", text, remedy, "", said)], key=key, now=now)


def _report_late(visit: BeamVisit, *, now: datetime) -> None:
    _report_overdue(visit, now=now, key="report_late")


REPORTS: Final[tuple[tuple[timedelta, Callable[..., None]], ...]] = (
    (-REPORT_SOON, _report_soon),
    (timedelta(0), _report_overdue),
    (REPORT_LATE, _report_late),
)


def _remind_of_report(visit: BeamVisit, *, now: datetime) -> bool:
    assert visit.report_due is not None
    told = False
    for offset, tell in REPORTS:
        if _due(visit.report_due + offset, now=now):
            tell(visit, now=now)
            told = True
    return told


def _remind_of_start(visit: BeamVisit, missing: list[Reason], *, now: datetime) -> bool:
    by = visit.during.lower - timedelta(days=visit.beamline.facility.forms_days)
    # A visit that is moved is prepared anew: each of its days is reminded of once.
    day = f"{visit.during.lower:%Y%m%dT%H%M}"
    forms = [one for one in missing if one.code in {"visit.sample", "visit.safety"}]
    if forms and _due(by - FORMS_SOON, now=now):
        said = {"visit": visit.number, "until": visits.clock(visit, by)}
        text = _("到访 %(visit)s 的样品单和安全审查须在 %(until)s 前获批。")
        _tell(visit, [Reason("visit.forms_due", text, _("请尽快补交材料。"), "", said)], key=f"forms:{day}", now=now)
        return True
    if missing and _due(visit.during.lower - START_SOON, now=now):
        said = {"visit": visit.number, "until": visits.clock(visit, visit.during.lower)}
        head = Reason("visit.missing", _("到访 %(visit)s 将于 %(until)s 开始，还缺以下各项。"), "", "", said)
        _tell(visit, [head, *missing], key=f"missing:{day}", now=now)
        return True
    return False


def remind_due(*, now: datetime) -> int:
    """Remind teams of reports (14 days before, when overdue, four weeks later) and of what a coming visit lacks.

    Run by the clock, safe at any time: each reminder is told once, within three days of its moment. Returns how many
    visits were reminded of.
    """
    told = 0
    earliest, latest = now - REPORT_LATE - LOOK_BACK, now + REPORT_SOON
    ended = BeamVisit.objects.filter(state=S.DONE.value, report_due__gt=earliest, report_due__lte=latest)
    for one in ended.select_related(*access.RELATED).order_by("report_due", "pk")[:500]:
        with transaction.atomic():
            told += _remind_of_report(one, now=now)
    coming = BeamVisit.objects.filter(
        state__in=[S.SCHEDULED.value, S.READY.value],
        during__startswith__gt=now,
        during__startswith__lte=now + 120 * DAY,
    )
    found = list(coming.select_related(*access.RELATED).order_by("during", "pk")[:500])
    missing = visits.missing_of(found)
    for one in found:
        with transaction.atomic():
            told += _remind_of_start(one, missing[one.pk], now=now)
    return told
