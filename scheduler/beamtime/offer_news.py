"""Tell a team what became of its offers, and the facility what came back. Neither title nor work is in a message; times
show their zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from portal.kernel.actors import Permission
from portal.kernel.errors import Reason, noop
from scheduler.beamtime.models import BeamVisit
from scheduler.messages import services as messages
from scheduler.messages.rules import MessageKind
from scheduler.proposals import steps

__all__ = ["came_back", "lapsed", "moved", "offered"]

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


def came_back(visit: BeamVisit, *, lapsed: bool, made: Sequence[BeamVisit], now: datetime) -> None:
    """Tell the planners that an offer was declined or lapsed, why, and who of the reserve list was offered the time.

    The user office is told of what lapsed, too: nobody there heard from the team. A confidential team's words stay where
    only those who serve it read them. Call in the transaction in which it happens.
    """
    proposal = visit.allocation.request.proposal
    said = {**_params(visit), "number": proposal.number}
    if not proposal.is_confidential:
        said["note"] = visit.answer_note
    reasons = [Reason("visit.came_back", _what(visit, lapsed=lapsed), "", "", said)]
    for one in made:
        text = _("候补申请 %(number)s 收到了机时 %(visit)s：%(from)s 至 %(to)s（%(zone)s），%(until)s 前答复。")
        moved_up = {**_params(one), "number": one.allocation.request.proposal.number}
        reasons.append(Reason("visit.reserve_offered", text, "", "", moved_up))
    if not made:
        text = _("候补名单上没有可排入的申请，这些班次空着。")
        reasons.append(Reason("visit.reserve_none", text, _("请在排班页面安排，或留给企业预订。")))
    facility = visit.beamline.facility
    for permission in (Permission.BEAMTIME_PLAN, *([Permission.FACILITY_MANAGE] if lapsed else [])):
        messages.tell(
            told=messages.Told(
                kind=MessageKind.BEAM_NEWS,
                organisation_id=facility.owner_id,
                user_id=None,
                key=f"beam_news:{visit.number}:{now.isoformat()}",
                instrument=facility.name,
                instrument_en=facility.name_en,
                about=visit.number,
                params={"visit": visit.number},
                reasons=messages.said(reasons=reasons),
                permission=permission,
            ),
            now=now,
        )


def _what(visit: BeamVisit, *, lapsed: bool) -> str:
    """Return what happened to an offer, with the team's own reason where there is one to be read."""
    if lapsed:
        return _(
            "申请 %(number)s 的机时（线站 %(line)s，%(from)s 至 %(to)s，%(zone)s）在 %(until)s 前没有答复，已失效。"
        )
    if visit.allocation.request.proposal.is_confidential or not visit.answer_note:
        return _("申请 %(number)s 谢绝了机时（线站 %(line)s，%(from)s 至 %(to)s，%(zone)s）。")
    return _("申请 %(number)s 谢绝了机时（线站 %(line)s，%(from)s 至 %(to)s，%(zone)s），理由：%(note)s")
