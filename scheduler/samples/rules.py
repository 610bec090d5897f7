"""States of sample orders and of single samples, hazard classes, and the grounds of refusals. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, noop

__all__ = [
    "BILL_AFTER",
    "MAX_SAMPLES",
    "QUOTE_DAYS",
    "SAMPLE_TRANSITIONS",
    "TRANSITIONS",
    "Feasibility",
    "Hazard",
    "NoReport",
    "NoteMissing",
    "PlaceMissing",
    "QuoteChanged",
    "QuoteEnded",
    "QuoteUnit",
    "SameEyes",
    "SampleAction",
    "SampleOrderAction",
    "SampleOrderState",
    "SampleState",
    "TooEarlyToBill",
    "TooManyCounted",
    "hazard_reasons",
    "may_bill",
]

_ = noop

MAX_SAMPLES: Final = 200
"""Most samples one order may hold."""
QUOTE_DAYS: Final = 30
"""How long a lab's quote stands, days."""
BILL_AFTER: Final = timedelta(days=7)
"""How long after its issue the enterprise alone decides on a report; then the lab may bill it too."""


class SampleOrderState(StrEnum):
    REQUESTED = "requested"
    NEEDS_METHOD = "needs_method"
    FEASIBLE = "feasible"
    QUOTED = "quoted"
    ACCEPTED = "accepted"
    SAMPLES_REJECTED = "samples_rejected"
    RECEIVED = "received"
    QUEUED = "queued"
    TESTING = "testing"
    DRAFTED = "drafted"
    REVIEWED = "reviewed"
    REPORTED = "reported"
    BILLED = "billed"
    CLOSED = "closed"
    DECLINED = "declined"
    CANCELLED = "cancelled"


class SampleOrderAction(StrEnum):
    ANSWER_CAN = "answer_can"
    ANSWER_METHOD = "answer_method"
    DECLINE = "decline"
    QUOTE = "quote"
    ACCEPT = "accept"
    CANCEL = "cancel"
    RECEIVE = "receive"
    REJECT = "reject"
    RESEND = "resend"
    QUEUE = "queue"
    START = "start"
    DRAFT = "draft"
    SEND_BACK = "send_back"
    REVIEW = "review"
    ISSUE = "issue"
    RETEST = "retest"
    BILL = "bill"
    CLOSE = "close"


S, A = SampleOrderState, SampleOrderAction

TRANSITIONS: Final[Mapping[tuple[SampleOrderState, SampleOrderAction], SampleOrderState]] = MappingProxyType(
    {
        (S.REQUESTED, A.ANSWER_CAN): S.FEASIBLE,
        (S.REQUESTED, A.ANSWER_METHOD): S.NEEDS_METHOD,
        (S.REQUESTED, A.DECLINE): S.DECLINED,
        (S.REQUESTED, A.CANCEL): S.CANCELLED,
        (S.NEEDS_METHOD, A.ANSWER_CAN): S.FEASIBLE,
        (S.NEEDS_METHOD, A.DECLINE): S.DECLINED,
        (S.NEEDS_METHOD, A.CANCEL): S.CANCELLED,
        (S.FEASIBLE, A.QUOTE): S.QUOTED,
        (S.FEASIBLE, A.DECLINE): S.DECLINED,
        (S.FEASIBLE, A.CANCEL): S.CANCELLED,
        (S.QUOTED, A.QUOTE): S.QUOTED,
        (S.QUOTED, A.ACCEPT): S.ACCEPTED,
        (S.QUOTED, A.DECLINE): S.DECLINED,
        (S.QUOTED, A.CANCEL): S.CANCELLED,
        (S.ACCEPTED, A.RECEIVE): S.RECEIVED,
        (S.ACCEPTED, A.REJECT): S.SAMPLES_REJECTED,
        (S.ACCEPTED, A.CANCEL): S.CANCELLED,
        (S.SAMPLES_REJECTED, A.RESEND): S.ACCEPTED,
        (S.SAMPLES_REJECTED, A.CANCEL): S.CANCELLED,
        (S.RECEIVED, A.QUEUE): S.QUEUED,
        (S.QUEUED, A.START): S.TESTING,
        (S.TESTING, A.DRAFT): S.DRAFTED,
        (S.DRAFTED, A.SEND_BACK): S.TESTING,
        (S.DRAFTED, A.REVIEW): S.REVIEWED,
        (S.REVIEWED, A.ISSUE): S.REPORTED,
        (S.REPORTED, A.RETEST): S.QUEUED,
        (S.REPORTED, A.BILL): S.BILLED,
        (S.BILLED, A.CLOSE): S.CLOSED,
    }
)
"""The whole way of a sample order. An enterprise may cancel until its samples have been received, not after."""


class SampleState(StrEnum):
    EXPECTED = "expected"
    HELD = "held"
    REJECTED = "rejected"
    RETURNED = "returned"
    DISPOSED = "disposed"


class SampleAction(StrEnum):
    """What may be done with one sample; each leaves a row in its chain of custody."""

    RECEIVE = "receive"
    REJECT = "reject"
    RESEND = "resend"
    MOVE = "move"
    RETURN = "return"
    DISPOSE = "dispose"


_E, _D = SampleState, SampleAction

SAMPLE_TRANSITIONS: Final[Mapping[tuple[SampleState, SampleAction], SampleState]] = MappingProxyType(
    {
        (_E.EXPECTED, _D.RECEIVE): _E.HELD,
        (_E.EXPECTED, _D.REJECT): _E.REJECTED,
        (_E.REJECTED, _D.RESEND): _E.EXPECTED,
        (_E.REJECTED, _D.RETURN): _E.RETURNED,
        (_E.HELD, _D.MOVE): _E.HELD,
        (_E.HELD, _D.RETURN): _E.RETURNED,
        (_E.HELD, _D.DISPOSE): _E.DISPOSED,
    }
)


class Feasibility(StrEnum):
    """A lab's answer to whether it can do a test."""

    CAN = "can"
    NEEDS_METHOD = "needs_method"
    CANNOT = "cannot"


class QuoteUnit(StrEnum):
    """What a lab's price is for: one sample, or one test (several may be done on a sample)."""

    SAMPLE = "sample"
    TEST = "test"


class Hazard(StrEnum):
    """What a sender declares of a sample. Source: the nine classes of dangerous goods, GB 6944-2012 §4."""

    NONE = "none"
    EXPLOSIVE = "explosive"
    GAS = "gas"
    FLAMMABLE_LIQUID = "flammable_liquid"
    FLAMMABLE_SOLID = "flammable_solid"
    OXIDISING = "oxidising"
    TOXIC = "toxic"
    RADIOACTIVE = "radioactive"
    CORROSIVE = "corrosive"
    OTHER = "other"


class NoteMissing(Invalid):
    code = "sample.note"
    message = _("请写明原因或说明（400 字以内），对方会看到。")


class PlaceMissing(Invalid):
    code = "sample.place"
    message = _("请写明样品移到了哪里。")


class QuoteChanged(Conflict):
    code = "sample.quote_changed"
    message = _("实验室已修改报价，现在是 %(price)s。请核对后再接受。")


class QuoteEnded(Conflict):
    code = "sample.quote_ended"
    message = _("报价已过有效期。请联系实验室重新报价。")


class SameEyes(Forbidden):
    code = "sample.same_eyes"
    message = _("检测结果须由起草人以外的同事复核。请由另一位仪器管理员复核。")


class NoReport(Conflict):
    code = "sample.no_report"
    message = _("还没有报告文件。请先上传检测报告，再签发。")


class TooManyCounted(Invalid):
    code = "sample.too_many"
    message = _("计费数量须为 1 到 %(most)s。超出报价的部分不收费，请填写报价以内的数量。")


class TooEarlyToBill(Conflict):
    code = "sample.too_early"
    message = _("报告签发后 7 天内由送样单位确认；到期仍未答复的，实验室才可以结算。")


def may_bill(*, issued_at: datetime, by_payer: bool, now: datetime) -> bool:
    """Say whether an issued report may be billed: by the payer at once, by the lab after `BILL_AFTER` of silence."""
    return by_payer or now >= issued_at + BILL_AFTER


def hazard_reasons(hazards: Sequence[str], *, note: str, field: str) -> list[Reason]:
    """Return what is wrong with one sample's hazard declaration: it must be made, agree with itself, and be explained.

    Source: dangerous goods are declared by their sender (危险化学品安全管理条例 2013 §63-64).
    """
    reasons: list[Reason] = []
    known = {hazard.value for hazard in Hazard}
    if not hazards or not set(hazards) <= known:
        reasons.append(Reason("sample.hazard", _("请申报样品的危险性。"), _("没有危险性的，请选择“无”。"), field=field))
    elif Hazard.NONE.value in hazards and len(hazards) > 1:
        reasons.append(
            Reason("sample.hazard_both", _("不能同时选择“无”和危险类别。"), _("请去掉其中之一。"), field=field)
        )
    elif Hazard.NONE.value not in hazards and not note.strip():
        reasons.append(
            Reason(
                "sample.hazard_note",
                _("有危险性的样品须说明成分、防护和应急措施。"),
                _("请在“危险性说明”中填写，或写明随样附安全技术说明书。"),
                field=field,
            )
        )
    return reasons
