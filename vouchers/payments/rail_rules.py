"""States of attempts to pay, of refunds and of notices on a payment rail. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Conflict, Invalid, noop
from vouchers.payments.ports import SeenState

__all__ = [
    "ATTEMPT_TRANSITIONS",
    "EVENT_TRANSITIONS",
    "LOOKS",
    "OPEN",
    "OPEN_REFUNDS",
    "REFUND_TRANSITIONS",
    "AttemptAction",
    "AttemptState",
    "EventAction",
    "EventState",
    "NoReason",
    "NoSuchRail",
    "NotOurs",
    "NothingToPay",
    "Purse",
    "RefundAction",
    "RefundState",
    "RefundUnderWay",
    "StillOpen",
    "TooLate",
    "TransferDeclared",
    "action_of",
    "next_look",
    "refund_action_of",
    "safe_url",
]

_ = noop


class AttemptState(StrEnum):
    CREATED = "created"
    """Written, not yet asked for: the row is the outbox."""
    REQUIRES_ACTION = "requires_action"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    """The gateway's answer was lost: left only by what the gateway says."""
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


class AttemptAction(StrEnum):
    ASK = "ask"
    PROCESS = "process"
    LOSE = "lose"
    SUCCEED = "succeed"
    FAIL = "fail"
    CANCEL = "cancel"


OPEN: Final = (AttemptState.CREATED, AttemptState.REQUIRES_ACTION, AttemptState.PROCESSING, AttemptState.UNKNOWN)
"""States in which money may still come; one such attempt a payment."""

_S, _A = AttemptState, AttemptAction
ATTEMPT_TRANSITIONS: Final[Mapping[tuple[AttemptState, AttemptAction], AttemptState]] = MappingProxyType(
    {
        **{(state, _A.ASK): _S.REQUIRES_ACTION for state in (_S.CREATED, _S.UNKNOWN, _S.REQUIRES_ACTION)},
        **{(state, _A.PROCESS): _S.PROCESSING for state in OPEN},
        **{(state, _A.LOSE): _S.UNKNOWN for state in (_S.CREATED, _S.UNKNOWN)},
        **{(state, _A.FAIL): _S.FAILED for state in OPEN},
        **{(state, _A.CANCEL): _S.CANCELLED for state in OPEN},
        **{(state, _A.SUCCEED): _S.SUCCEEDED for state in (*OPEN, _S.FAILED, _S.CANCELLED)},
    }
)
"""A success counts from whatever state: the money is there. Nothing leaves `succeeded`."""


class RefundState(StrEnum):
    CREATED = "created"
    PROCESSING = "processing"
    UNKNOWN = "unknown"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    """The gateway could not pay it back: finance does by bank transfer."""


class RefundAction(StrEnum):
    PROCESS = "process"
    LOSE = "lose"
    SUCCEED = "succeed"
    FAIL = "fail"


_R, _B = RefundState, RefundAction
OPEN_REFUNDS: Final = (_R.CREATED, _R.UNKNOWN, _R.PROCESSING)
"""States in which a refund may still go out."""
REFUND_TRANSITIONS: Final[Mapping[tuple[RefundState, RefundAction], RefundState]] = MappingProxyType(
    {
        **{(state, _B.PROCESS): _R.PROCESSING for state in OPEN_REFUNDS},
        **{(state, _B.LOSE): _R.UNKNOWN for state in (_R.CREATED, _R.UNKNOWN)},
        **{(state, _B.SUCCEED): _R.SUCCEEDED for state in OPEN_REFUNDS},
        **{(state, _B.FAIL): _R.FAILED for state in (*OPEN_REFUNDS, _R.SUCCEEDED)},
    }
)
"""A refund may fail after it seemed done: the payer's bank sends it back."""


class Purse(StrEnum):
    """Which account of a payer money goes back from."""

    DUE = "due"
    """``cash_due`` of the charge: what was refunded of a share already taken."""
    ADVANCE = "advance"
    """``unapplied_cash`` of the charge: what an advance was not used for."""
    UNAPPLIED = "unapplied"
    """``unapplied_cash`` of the payer: what came above, twice or too late."""


class EventState(StrEnum):
    STORED = "stored"
    DONE = "done"
    IGNORED = "ignored"
    """Of a kind or an object that is none of ours."""
    QUARANTINED = "quarantined"
    """Amount, currency or order are not ours: a person looks at it."""


class EventAction(StrEnum):
    FINISH = "finish"
    IGNORE = "ignore"
    QUARANTINE = "quarantine"
    RELEASE = "release"


_E, _C = EventState, EventAction
EVENT_TRANSITIONS: Final[Mapping[tuple[EventState, EventAction], EventState]] = MappingProxyType(
    {
        (_E.STORED, _C.FINISH): _E.DONE,
        (_E.STORED, _C.IGNORE): _E.IGNORED,
        (_E.STORED, _C.QUARANTINE): _E.QUARANTINED,
        (_E.QUARANTINED, _C.RELEASE): _E.STORED,
        (_E.QUARANTINED, _C.IGNORE): _E.IGNORED,
    }
)

LOOKS: Final = (
    timedelta(seconds=15),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(hours=1),
    timedelta(hours=24),
)
"""After how long what is unknown or open is looked for again; after the last a person is told."""


class NoSuchRail(Invalid):
    code = "payment.no_such_rail"
    message = _("没有开通这种支付方式。请选择页面上列出的方式，或对公转账。")


class TransferDeclared(Conflict):
    code = "payment.transfer_declared"
    message = _(
        "这笔款项已登记为银行转账，正在等待财务核对，不能再在线支付，以免重复付款。登记有误的，请联系财务退回登记。"
    )


class TooLate(Conflict):
    code = "payment.too_late"
    message = _("付款时限已过，为您保留的服务已经释放，现在付款不能恢复。请重新预约或下单。")


class StillOpen(Conflict):
    code = "payment.attempt_open"
    message = _("上一次支付仍在支付机构处理中，不能同时再付一次。请等待结果；页面会自动更新。")


class RefundUnderWay(Conflict):
    code = "payment.refund_under_way"
    message = _("这笔款项正在原路退回，不能再由银行转账退还，以免重复退款。退款失败后才可以转账退还。")


class NoReason(Invalid):
    code = "payment.no_reason"
    message = _("请写明原因，会进入审计记录。")


class NotOurs(Conflict):
    """What a gateway says of an object does not fit our row; `note` says in what. Nothing was booked."""

    code = "payment.not_ours"
    message = _("支付机构的记录与本平台不一致：%(note)s")


class NothingToPay(Conflict):
    code = "payment.nothing_to_pay"
    message = _("这笔款项已付清或已取消，不需要再支付。请刷新页面查看最新状态。")


def action_of(state: SeenState) -> AttemptAction:
    """Return what an attempt does when the gateway says `state`."""
    return {
        SeenState.REQUIRES_ACTION: AttemptAction.ASK,
        SeenState.PROCESSING: AttemptAction.PROCESS,
        SeenState.REQUIRES_CAPTURE: AttemptAction.PROCESS,
        SeenState.SUCCEEDED: AttemptAction.SUCCEED,
        SeenState.FAILED: AttemptAction.FAIL,
        SeenState.CANCELLED: AttemptAction.CANCEL,
    }[state]


def refund_action_of(state: SeenState) -> RefundAction:
    """Return what a refund does when the gateway says `state`."""
    return {
        SeenState.SUCCEEDED: RefundAction.SUCCEED,
        SeenState.FAILED: RefundAction.FAIL,
        SeenState.CANCELLED: RefundAction.FAIL,
    }.get(state, RefundAction.PROCESS)


def next_look(looks: int, *, now: datetime, before: datetime | None = None) -> datetime | None:
    """Return when to look again after so many looks, at `before` at the latest where that is to come; None: no more."""
    wait = LOOKS[looks] if looks < len(LOOKS) else None
    if before is not None and before > now:
        return before if wait is None else min(before, now + wait)
    return None if wait is None else now + wait


def safe_url(text: str) -> str:
    """Return an address a payer may be sent to, or "": a gateway that answers ``javascript:`` leads nowhere."""
    return text if text.startswith(("https://", "http://")) else ""
