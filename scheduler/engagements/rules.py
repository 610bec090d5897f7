"""States of engagements, quotes and milestones, what a plan must say, and the grounds of refusals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, noop
from portal.kernel.money import MAX_FEN

__all__ = [
    "ACCEPTANCE_DAYS",
    "DELIVERY_FILES",
    "LONGEST",
    "MILESTONE_TRANSITIONS",
    "MOST_ACCEPTANCE_DAYS",
    "MOST_MILESTONES",
    "QUOTE_DAYS",
    "QUOTE_TRANSITIONS",
    "TRANSITIONS",
    "AwaitsAcceptance",
    "AwaitsRuling",
    "BadAmount",
    "EngagementAction",
    "EngagementState",
    "FileMissing",
    "Involved",
    "Line",
    "MilestoneAction",
    "MilestoneState",
    "NoQuote",
    "NoteMissing",
    "PlanChanged",
    "QuoteAction",
    "QuoteEnded",
    "QuoteState",
    "ReturnedWork",
    "TooManyFiles",
    "deemed_at",
    "plan_reasons",
]

_ = noop

MOST_MILESTONES: Final = 20
"""Most milestones one quote may hold; each is a charge of its own."""
QUOTE_DAYS: Final = 30
"""How long a quote stands, days."""
ACCEPTANCE_DAYS: Final = 15
"""How many days for acceptance a quote starts from."""
MOST_ACCEPTANCE_DAYS: Final = 90
DELIVERY_FILES: Final = 5
"""Most files of one delivery."""
LONGEST: Final = timedelta(days=5 * 366)
"""How far ahead a milestone may be due."""


class EngagementState(StrEnum):
    REQUESTED = "requested"
    QUOTED = "quoted"
    RUNNING = "running"
    COMPLETED = "completed"
    STOPPED = "stopped"
    CLOSED = "closed"
    DECLINED = "declined"
    CANCELLED = "cancelled"


class EngagementAction(StrEnum):
    QUOTE = "quote"
    REFUSE = "refuse"
    DECLINE = "decline"
    CANCEL = "cancel"
    ACCEPT = "accept"
    COMPLETE = "complete"
    STOP = "stop"
    CLOSE = "close"


S, A = EngagementState, EngagementAction

TRANSITIONS: Final[Mapping[tuple[EngagementState, EngagementAction], EngagementState]] = MappingProxyType(
    {
        (S.REQUESTED, A.QUOTE): S.QUOTED,
        (S.REQUESTED, A.DECLINE): S.DECLINED,
        (S.REQUESTED, A.CANCEL): S.CANCELLED,
        (S.QUOTED, A.QUOTE): S.QUOTED,
        (S.QUOTED, A.REFUSE): S.REQUESTED,
        (S.QUOTED, A.DECLINE): S.DECLINED,
        (S.QUOTED, A.CANCEL): S.CANCELLED,
        (S.QUOTED, A.ACCEPT): S.RUNNING,
        (S.RUNNING, A.QUOTE): S.RUNNING,
        (S.RUNNING, A.REFUSE): S.RUNNING,
        (S.RUNNING, A.ACCEPT): S.RUNNING,
        (S.RUNNING, A.COMPLETE): S.COMPLETED,
        (S.RUNNING, A.STOP): S.STOPPED,
        (S.COMPLETED, A.CLOSE): S.CLOSED,
        (S.STOPPED, A.CLOSE): S.CLOSED,
    }
)
"""The whole way of an engagement. While it runs, another quote is a change of plan for what is not delivered yet."""


class QuoteState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    REFUSED = "refused"
    REPLACED = "replaced"
    LAPSED = "lapsed"


class QuoteAction(StrEnum):
    ACCEPT = "accept"
    REFUSE = "refuse"
    REPLACE = "replace"
    LAPSE = "lapse"


QUOTE_TRANSITIONS: Final[Mapping[tuple[QuoteState, QuoteAction], QuoteState]] = MappingProxyType(
    {
        (QuoteState.OPEN, QuoteAction.ACCEPT): QuoteState.ACCEPTED,
        (QuoteState.OPEN, QuoteAction.REFUSE): QuoteState.REFUSED,
        (QuoteState.OPEN, QuoteAction.REPLACE): QuoteState.REPLACED,
        (QuoteState.OPEN, QuoteAction.LAPSE): QuoteState.LAPSED,
    }
)
"""A quote is answered once, replaced by a newer one, or lapses with its engagement."""


class MilestoneState(StrEnum):
    PLANNED = "planned"
    DELIVERED = "delivered"
    RETURNED = "returned"
    DISPUTED = "disputed"
    ACCEPTED = "accepted"
    DROPPED = "dropped"


class MilestoneAction(StrEnum):
    DELIVER = "deliver"
    RETURN = "return"
    ACCEPT = "accept"
    DROP = "drop"
    DISPUTE = "dispute"
    RULE = "rule"
    QUASH = "quash"


M, _D = MilestoneState, MilestoneAction

MILESTONE_TRANSITIONS: Final[Mapping[tuple[MilestoneState, MilestoneAction], MilestoneState]] = MappingProxyType(
    {
        (M.PLANNED, _D.DELIVER): M.DELIVERED,
        (M.PLANNED, _D.DROP): M.DROPPED,
        (M.DELIVERED, _D.RETURN): M.RETURNED,
        (M.DELIVERED, _D.ACCEPT): M.ACCEPTED,
        (M.RETURNED, _D.DELIVER): M.DELIVERED,
        (M.RETURNED, _D.DROP): M.DROPPED,
        (M.RETURNED, _D.DISPUTE): M.DISPUTED,
        (M.DISPUTED, _D.ACCEPT): M.ACCEPTED,
        (M.DISPUTED, _D.RULE): M.ACCEPTED,
        (M.DISPUTED, _D.QUASH): M.DROPPED,
    }
)
"""Accepted is billed; dropped is freed, by a change of plan or by stopping. What was delivered is answered first.
A returned one may be put to a ruling: it counts, whole or in part, or not at all; the enterprise may still accept it."""


class NoteMissing(Invalid):
    code = "engagement.note"
    message = _("请写明原因或说明（400 字以内），对方会看到。")


class PlanChanged(Conflict):
    code = "engagement.plan_changed"
    message = _("实验室已修改方案或报价，现在的总价是 %(price)s。请核对最新报价后再接受。")


class QuoteEnded(Conflict):
    code = "engagement.quote_ended"
    message = _("报价已过有效期。请联系实验室重新报价。")


class NoQuote(Conflict):
    code = "engagement.no_quote"
    message = _("没有等待答复的报价，请刷新页面查看最新状态。")


class ReturnedWork(Conflict):
    """Work was delivered and returned: the enterprise alone does not free what was held for it."""

    code = "engagement.returned_work"
    message = _("里程碑“%(name)s”曾交付并被退回，贵单位不能单方终止。请等待重新交付后验收，或由实验室终止。")


class AwaitsAcceptance(Conflict):
    """Something delivered waits for an answer, and nothing may be freed beneath it."""

    code = "engagement.awaits_acceptance"
    message = _("里程碑“%(name)s”已交付，尚未验收。请先验收，或说明原因退回。")


class AwaitsRuling(Conflict):
    """Something is disputed, and nothing may be freed before it is ruled on."""

    code = "engagement.awaits_ruling"
    message = _("里程碑“%(name)s”正在等待裁定。请在裁定之后再操作。")


class BadAmount(Invalid):
    """`most` is the milestone's price."""

    code = "engagement.ruled_amount"
    message = _("认可的价款不能小于零，也不能超过该里程碑的价款 %(most)s。")


class Involved(Forbidden):
    code = "engagement.involved"
    message = _("您是其中一方单位的成员，不能裁定这一争议。")


class FileMissing(Invalid):
    code = "engagement.file"
    message = _("请至少上传一个交付文件。")


class TooManyFiles(Invalid):
    code = "engagement.files"
    message = _("一次交付最多上传 %(limit)s 个文件，请合并后再上传。")


@dataclass(frozen=True, slots=True)
class Line:
    """One milestone as quoted: what it is called, what is handed over, by which local day, for how much (fen)."""

    name: str
    deliverable: str
    due_on: date
    price_fen: int


def deemed_at(*, delivered_at: datetime, days: int) -> datetime:
    """Return when a delivery counts as accepted if nobody answers: so many times 24 hours later, as the quote said.

    Source: an inspection period the parties agreed on; silence within it is acceptance (Civil Code 2020, Articles 621, 646).
    """
    return delivered_at + timedelta(days=days)


def plan_reasons(lines: Sequence[Line], *, acceptance_days: int, today: date) -> list[Reason]:
    """Return everything that is wrong with a quote's plan; `today` is the lab's local day."""
    reasons: list[Reason] = []
    if not 1 <= len(lines) <= MOST_MILESTONES:
        limit = {"limit": MOST_MILESTONES}
        reasons.append(
            Reason("engagement.milestones", _("请填写 1 到 %(limit)s 个里程碑。"), field="milestones", params=limit)
        )
    if not 1 <= acceptance_days <= MOST_ACCEPTANCE_DAYS:
        reasons.append(
            Reason(
                "engagement.acceptance_days",
                _("验收期须为 1 到 %(limit)s 天。"),
                _("到期未答复即视为验收通过，请给委托单位留出足够的时间。"),
                field="acceptance_days",
                params={"limit": MOST_ACCEPTANCE_DAYS},
            )
        )
    found: dict[str, Reason] = {}
    for no, line in enumerate(lines, start=1):
        for reason in _line_reasons(line, no=no, today=today):
            found.setdefault(reason.code, reason)
    names = [line.name.strip() for line in lines]
    if len(set(names)) < len(names):
        reasons.append(
            Reason("engagement.name_twice", _("里程碑名称不能重复。"), _("请为每个里程碑写不同的名称。"), field="name")
        )
    if lines and sum(line.price_fen for line in lines) <= 0:
        reasons.append(
            Reason("engagement.price_none", _("各里程碑价款合计须大于零。"), _("请填写价款。"), field="price")
        )
    return [*reasons, *found.values()]


def _line_reasons(line: Line, *, no: int, today: date) -> list[Reason]:
    params = {"no": no}
    reasons = []
    if not 1 <= len(line.name.strip()) <= 60:
        reasons.append(
            Reason("engagement.name", _("第 %(no)s 个里程碑须有名称（60 字以内）。"), field="name", params=params)
        )
    if not 1 <= len(line.deliverable.strip()) <= 300:
        reasons.append(
            Reason(
                "engagement.deliverable",
                _("第 %(no)s 个里程碑须写明交付物（300 字以内）。"),
                _("写明交付什么、按什么标准验收。"),
                field="deliverable",
                params=params,
            )
        )
    if not today <= line.due_on <= today + LONGEST:
        reasons.append(
            Reason(
                "engagement.due",
                _("第 %(no)s 个里程碑的交付日期须在今天之后、五年以内。"),
                _("请核对日期。"),
                field="due_on",
                params=params,
            )
        )
    if not 0 <= line.price_fen <= MAX_FEN:
        reasons.append(
            Reason("engagement.price", _("第 %(no)s 个里程碑的价款不能小于零。"), field="price", params=params)
        )
    return reasons
