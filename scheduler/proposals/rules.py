"""Kinds of proposals, their course, deadlines, limits of forms, and what reports of earlier visits are worth. Pure.

Sources: user guides of ESRF (standard, long-term, block allocation; a method form of more than two pages is refused by
the program), Diamond (rapid access, partner), APS (proposal and beam-time request are two objects; rapid requests do not
roll over), SSRF (urgent proposals are evaluated afterwards and filed). All numbers are the facility's data.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Reason, Refused, noop
from portal.kernel.period import Period
from scheduler.facilities.courses import COURSES, Course, ProposalKind, ReportRule

__all__ = [
    "INVITATION_TRANSITIONS",
    "REQUEST_TRANSITIONS",
    "TRANSITIONS",
    "BadFile",
    "BeamProposalAction",
    "BeamProposalState",
    "FormKind",
    "FormLimit",
    "Hazard",
    "InvitationAction",
    "InvitationState",
    "Late",
    "NotOpen",
    "NotReady",
    "PastVisit",
    "RequestAction",
    "RequestState",
    "Submission",
    "barred",
    "check_file",
    "check_open",
    "lapses",
    "missing",
    "reports_owed",
]

_ = noop


class BeamProposalState(StrEnum):
    """What became of a proposal; what became of its wishes for a cycle is the request's state."""

    DRAFT = "draft"
    SUBMITTED = "submitted"
    RETURNED = "returned"
    ADMITTED = "admitted"
    NOT_FEASIBLE = "not_feasible"
    FEASIBLE = "feasible"
    GRADED = "graded"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    WITHDRAWN = "withdrawn"
    CLOSED = "closed"


class BeamProposalAction(StrEnum):
    """SUBMIT and WITHDRAW are the team's, RETURN and ADMIT the user office's, the next two the staff's, the rest the panel's.

    ACCEPT without GRADE is for kinds without peer review. APPEAL is the office's, when an appeal is upheld: graded anew.
    """

    SUBMIT = "submit"
    RETURN = "return"
    ADMIT = "admit"
    FIND_FEASIBLE = "find_feasible"
    FIND_NOT_FEASIBLE = "find_not_feasible"
    GRADE = "grade"
    ACCEPT = "accept"
    REFUSE = "refuse"
    APPEAL = "appeal"
    WITHDRAW = "withdraw"
    CLOSE = "close"


S, A = BeamProposalState, BeamProposalAction

TRANSITIONS: Final[Mapping[tuple[BeamProposalState, BeamProposalAction], BeamProposalState]] = MappingProxyType(
    {
        (S.DRAFT, A.SUBMIT): S.SUBMITTED,
        (S.RETURNED, A.SUBMIT): S.SUBMITTED,
        (S.SUBMITTED, A.RETURN): S.RETURNED,
        (S.SUBMITTED, A.ADMIT): S.ADMITTED,
        (S.ADMITTED, A.FIND_FEASIBLE): S.FEASIBLE,
        (S.ADMITTED, A.FIND_NOT_FEASIBLE): S.NOT_FEASIBLE,
        (S.FEASIBLE, A.GRADE): S.GRADED,
        (S.FEASIBLE, A.ACCEPT): S.ACCEPTED,
        (S.FEASIBLE, A.REFUSE): S.REFUSED,
        (S.GRADED, A.ACCEPT): S.ACCEPTED,
        (S.GRADED, A.REFUSE): S.REFUSED,
        (S.REFUSED, A.APPEAL): S.FEASIBLE,
        (S.NOT_FEASIBLE, A.APPEAL): S.ADMITTED,
        (S.ACCEPTED, A.CLOSE): S.CLOSED,
        **{
            (state, A.WITHDRAW): S.WITHDRAWN
            for state in (S.DRAFT, S.SUBMITTED, S.RETURNED, S.ADMITTED, S.FEASIBLE, S.GRADED, S.ACCEPTED)
        },
    }
)


class FormKind(StrEnum):
    PDF = "pdf"
    TEXT = "text"


class InvitationState(StrEnum):
    """Where somebody stands who was asked into a team."""

    INVITED = "invited"
    JOINED = "joined"
    DECLINED = "declined"
    REMOVED = "removed"


class InvitationAction(StrEnum):
    JOIN = "join"
    DECLINE = "decline"
    INVITE = "invite"
    REMOVE = "remove"


V, J = InvitationState, InvitationAction

INVITATION_TRANSITIONS: Final[Mapping[tuple[InvitationState, InvitationAction], InvitationState]] = MappingProxyType(
    {
        (V.INVITED, J.JOIN): V.JOINED,
        (V.INVITED, J.DECLINE): V.DECLINED,
        (V.DECLINED, J.INVITE): V.INVITED,
        (V.INVITED, J.INVITE): V.INVITED,
        **{(state, J.REMOVE): V.REMOVED for state in (V.INVITED, V.JOINED, V.DECLINED)},
    }
)


class Hazard(StrEnum):
    """What can be dangerous about a sample (safety declarations of user facilities)."""

    TOXIC = "toxic"
    FLAMMABLE = "flammable"
    EXPLOSIVE = "explosive"
    CORROSIVE = "corrosive"
    RADIOACTIVE = "radioactive"
    BIOLOGICAL = "biological"
    NANO = "nano"
    PRESSURE = "pressure"
    CRYOGENIC = "cryogenic"
    MAGNETIC = "magnetic"


class RequestState(StrEnum):
    """What became of the shifts asked for in one run cycle."""

    OPEN = "open"
    ALLOCATED = "allocated"
    RESERVE = "reserve"
    REFUSED = "refused"
    LAPSED = "lapsed"
    SERVED = "served"
    WITHDRAWN = "withdrawn"


class RequestAction(StrEnum):
    ALLOCATE = "allocate"
    RESERVE = "reserve"
    REFUSE = "refuse"
    LAPSE = "lapse"
    SERVE = "serve"
    GIVE_UP = "give_up"
    REOPEN = "reopen"
    WITHDRAW = "withdraw"


R, D = RequestState, RequestAction

REQUEST_TRANSITIONS: Final[Mapping[tuple[RequestState, RequestAction], RequestState]] = MappingProxyType(
    {
        (R.OPEN, D.ALLOCATE): R.ALLOCATED,
        (R.OPEN, D.RESERVE): R.RESERVE,
        (R.OPEN, D.REFUSE): R.REFUSED,
        (R.OPEN, D.LAPSE): R.LAPSED,
        (R.OPEN, D.WITHDRAW): R.WITHDRAWN,
        (R.RESERVE, D.ALLOCATE): R.ALLOCATED,
        (R.RESERVE, D.LAPSE): R.LAPSED,
        (R.RESERVE, D.WITHDRAW): R.WITHDRAWN,
        # Who declines what was offered goes back to the reserve list; the shifts are free for the next on it.
        (R.ALLOCATED, D.GIVE_UP): R.RESERVE,
        # An appeal was upheld: the panel looks at it anew.
        (R.REFUSED, D.REOPEN): R.OPEN,
        (R.ALLOCATED, D.SERVE): R.SERVED,
        # Beam it lost is given back.
        (R.SERVED, D.ALLOCATE): R.ALLOCATED,
        (R.ALLOCATED, D.WITHDRAW): R.WITHDRAWN,
    }
)


class NotOpen(Conflict):
    code = "proposal.not_open"
    message = _("征集尚未开始。")


class Late(Conflict):
    """The call has ended. `closed_at` is aware; the page shows it in the facility's zone."""

    code = "proposal.late"
    message = _("征集已于 %(closed_at)s 截止。草稿已保留，可用于下一次征集。")


class BadFile(Refused):
    code = "proposal.file"
    message = _("文件不符合要求，没有上传。")


class NotReady(Refused):
    code = "proposal.not_ready"
    message = _("申请还不能提交，原因如下。")


def check_open(call: Period, *, now: datetime, closed_at: str) -> None:
    """Raise NotOpen before a call and Late from its very end on: half-open, a second late is late.

    `closed_at` is the end in words, with its zone.
    """
    if now < call.start:
        raise NotOpen
    if now >= call.end:
        raise Late(closed_at=closed_at)


@dataclass(frozen=True, slots=True)
class FormLimit:
    """What a form takes: at most so many pages of PDF and bytes."""

    pages: int
    size: int


def check_file(*, pages: int | None, size: int, limit: FormLimit, field: str) -> None:
    """Raise BadFile with all that is wrong. `pages` is None for what is not a PDF that can be read (E2: 3 where 2 may be)."""
    found: list[Reason] = []
    if size > limit.size:
        text = _("文件大小 %(size)s MB，最多 %(most)s MB。")
        params = {"size": f"{size / 1e6:.1f}", "most": f"{limit.size / 1e6:g}"}
        found.append(Reason("proposal.file_size", text, _("请压缩后重新上传。"), field, params))
    if pages is None:
        text = _("这不是可以读取的 PDF。")
        found.append(Reason("proposal.file_kind", text, _("请导出为未加密的 PDF 后重新上传。"), field))
    elif pages > limit.pages:
        text = _("文件有 %(pages)s 页，最多 %(most)s 页。")
        counted = {"pages": pages, "most": limit.pages}
        found.append(Reason("proposal.file_pages", text, _("请删减后重新上传。"), field, counted))
    elif pages == 0:
        found.append(Reason("proposal.file_empty", _("文件没有内容。"), "", field))
    if found:
        raise BadFile(found)


@dataclass(frozen=True, slots=True)
class PastVisit:
    """A visit of the team that has ended: until when its report is due, and whether it was handed in."""

    number: str
    report_due: datetime
    reported: bool


def reports_owed(visits: Sequence[PastVisit], *, now: datetime) -> list[str]:
    """Return the numbers of visits whose report is overdue, in order."""
    return [one.number for one in visits if not one.reported and one.report_due <= now]


@dataclass(frozen=True, slots=True)
class Submission:
    """What stands in a proposal that is to be sent: texts that are empty, forms that are missing, who has not answered."""

    empty: tuple[str, ...] = ()
    missing_forms: tuple[str, ...] = ()
    unanswered: tuple[str, ...] = ()
    has_leader: bool = True
    shifts: int = 0
    least: int = 1
    most: int = 0
    """Most shifts the call gives to one request; 0: no limit."""
    samples: int = 0
    is_barred: bool = False


def barred(remedy: str) -> Reason:
    """Return that the applicant may not apply now."""
    return Reason("proposal.barred", _("本单位目前被暂停申请资格。"), remedy, "organisation")


def missing(
    sent: Submission, *, owed: Sequence[str] = (), rule: ReportRule = ReportRule.TELL
) -> tuple[list[Reason], list[str]]:
    """Return everything that keeps a proposal from being sent, and what is only told to the panel: reports owed (E9)."""
    found = [
        *(Reason("proposal.empty", _("此项未填写。"), _("请填写。"), name) for name in sent.empty),
        *(
            Reason("proposal.form_missing", _("缺少文件：%(form)s。"), _("请上传。"), f"forms.{name}", {"form": name})
            for name in sent.missing_forms
        ),
        *(
            Reason(
                "proposal.unanswered",
                _("%(who)s 尚未接受邀请。"),
                _("请提醒对方接受，或移出课题组。"),
                "team",
                {"who": who},
            )
            for who in sent.unanswered
        ),
    ]
    if not sent.has_leader:
        found.append(Reason("proposal.leader", _("没有课题负责人。"), _("请指定一名已加入的成员。"), "leader"))
    if sent.shifts < sent.least or (sent.most and sent.shifts > sent.most):
        text = (
            _("申请 %(shifts)s 个班次，须在 %(least)s 到 %(most)s 之间。")
            if sent.most
            else _("至少申请 %(least)s 个班次。")
        )
        params = {"shifts": sent.shifts, "least": sent.least, "most": sent.most}
        found.append(Reason("proposal.shifts", text, _("请修改班次数。"), "shifts", params))
    if not sent.samples:
        text = _("没有填报样品。")
        found.append(Reason("proposal.samples", text, _("请填报样品及其安全信息；不带样品请注明“无样品”。"), "samples"))
    if sent.is_barred:
        found.append(barred(_("请联系主管部门；草稿会保留。")))
    if owed and rule is ReportRule.BLOCK:
        text = _("以前的实验报告未提交：%(visits)s。")
        visits = {"visits": "、".join(owed)}
        found.append(Reason("proposal.report_owed", text, _("请先提交报告。"), "reports", visits))
    return found, list(owed) if rule is ReportRule.TELL else []


def lapses(
    kind: ProposalKind, *, cycle_ends: datetime, now: datetime, courses: Mapping[ProposalKind, Course] = COURSES
) -> bool:
    """Say whether a request of this kind that got no time is over: rapid ones end with their cycle (E4)."""
    return courses[kind].lapses and now >= cycle_ends
