"""Tell a team what became of its beam time. Neither title nor work is in a message; times show their zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from portal.kernel.errors import Reason, noop
from scheduler.beamtime.models import BeamVisit
from scheduler.proposals import steps

__all__ = ["lapsed", "moved", "offered"]

_ = noop


def _params(visit: BeamVisit) -> dict[str, str]:
    zone = ZoneInfo(visit.beamline.facility.zone)

    def clock(at: datetime) -> str:
        return f"{at.astimezone(zone):%Y-%m-%d %H:%M}"

    return {
        "visit": visit.number,
        "line": visit.beamline.code,
        "from": clock(visit.during.lower),
        "to": clock(visit.during.upper),
        "zone": visit.beamline.facility.zone,
        "until": clock(visit.answer_by),
    }


def _tell(visit: BeamVisit, code: str, text: str, remedy: str, *, now: datetime) -> None:
    reason = Reason(code, text, remedy, params=_params(visit))
    key = f"{visit.number}:{code}:{now.isoformat()}"
    steps.tell(visit.allocation.request.proposal, [reason], key=key, now=now)


def offered(visit: BeamVisit, *, now: datetime) -> None:
    """Tell the team of an offer. Call in the transaction in which it is made, as for the others."""
    text = _("发给课题组的机时 %(visit)s：线站 %(line)s，%(from)s 至 %(to)s（%(zone)s）。请在 %(until)s 前答复。")
    _tell(visit, "visit.offered", text, _("请在“我的机时”里接受或谢绝；逾期未答复的转给候补课题。"), now=now)


def moved(visit: BeamVisit, *, now: datetime) -> None:
    """Tell the team that its visit was moved and is an offer again."""
    text = _("机时 %(visit)s 改期：线站 %(line)s，%(from)s 至 %(to)s（%(zone)s）。请在 %(until)s 前重新答复。")
    _tell(visit, "visit.moved", text, _("原因见“我的机时”；逾期未答复的转给候补课题。"), now=now)


def lapsed(visit: BeamVisit, *, now: datetime) -> None:
    """Tell the team that it did not answer in time."""
    text = _("机时 %(visit)s（%(from)s，%(zone)s）在 %(until)s 前没有答复，已转给候补课题。")
    _tell(visit, "visit.lapsed", text, _("如仍需要，请联系用户办公室。"), now=now)
