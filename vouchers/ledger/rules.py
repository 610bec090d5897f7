"""What may be asked of the ledger: operations, postings, their fingerprint, and the errors it answers with.

Every movement of value is one row with a debit account, a credit account and a positive amount, so an unbalanced
book cannot be written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Invalid, PortalError, Unavailable, noop
from portal.kernel.idempotency import KeyReused
from portal.kernel.money import MAX_FEN
from vouchers.ledger.chart import ACCOUNT_KINDS, CNY, JOURNAL_KINDS, UNITS, AccountKind, JournalKind, Scope
from vouchers.ledger.units import show

__all__ = [
    "MAX_OPERATIONS",
    "AccountClosed",
    "AccountKey",
    "AccountKind",
    "AccountNotEmpty",
    "AccountRef",
    "AlreadyReversed",
    "BadPosting",
    "CaptureExceedsHold",
    "FlowNotAllowed",
    "HoldExpired",
    "HoldOp",
    "HoldResolved",
    "InsufficientFunds",
    "JournalKind",
    "LedgerBusy",
    "Operation",
    "Outcome",
    "PeriodClosed",
    "PeriodNotOver",
    "Posting",
    "RefundExceedsCapture",
    "ResolveOp",
    "SamePerson",
    "TransferOp",
    "YearClosed",
    "error_for",
    "fingerprint",
    "seal_hash",
    "show",
    "year_ends_at",
]

_ = noop

MAX_OPERATIONS = 5_000
"""Most operations one journal may carry, so that sums stay inside bigint and locks stay short."""


class Outcome(StrEnum):
    """How a hold ended. A hold ends once; the second attempt is `HoldResolved`."""

    CAPTURED = "captured"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, order=True)
class AccountKey:
    """Names an account by what it is for; the posting opens it when it does not exist yet.

    `owner` is text such as ``voucher:V2026-000123`` or ``organisation:7``. Accounts of programme money carry the
    programme's code and the budget's fiscal year, accounts of the enterprises' own money carry neither. `unit` is what
    the account counts (`chart.Unit`); the enterprises' own money is money.
    """

    kind: AccountKind
    owner: str
    programme: str = ""
    fiscal_year: int = 0
    unit: str = CNY

    def __post_init__(self) -> None:
        scope = ACCOUNT_KINDS[self.kind].scope
        if self.unit not in UNITS or (scope is Scope.CASH and self.unit != CNY):
            raise ValueError(f"{self.kind} cannot count {self.unit!r}")
        if not self.owner or bool(self.programme) != bool(self.fiscal_year):
            raise ValueError("an account needs an owner, and programme and fiscal year together")
        if scope is not Scope.EITHER and (scope is Scope.PROGRAMME) != bool(self.programme):
            raise ValueError(f"{self.kind} must {'' if scope is Scope.PROGRAMME else 'not '}carry a programme")


AccountRef = int | AccountKey


@dataclass(frozen=True, slots=True)
class TransferOp:
    """Move `amount_fen` (smallest steps of the accounts' unit) from `debit` to `credit`. `refunds_hold` names the captured hold a refund gives back."""

    debit: AccountRef
    credit: AccountRef
    amount_fen: int
    refunds_hold: int | None = None

    def __post_init__(self) -> None:
        _check_amount(self.amount_fen)


@dataclass(frozen=True, slots=True)
class HoldOp:
    """Set `amount_fen` aside on `debit` for `credit`; without `ttl_s` seconds the hold has no deadline."""

    debit: AccountRef
    credit: AccountRef
    amount_fen: int
    ttl_s: int | None = None

    def __post_init__(self) -> None:
        _check_amount(self.amount_fen)
        if self.ttl_s is not None and (type(self.ttl_s) is not int or self.ttl_s <= 0):
            raise ValueError("ttl_s must be a positive whole number of seconds")


@dataclass(frozen=True, slots=True)
class ResolveOp:
    """End a hold: capture `captured_fen` and release the remainder, or release everything."""

    hold: int
    outcome: Outcome
    captured_fen: int = 0

    def __post_init__(self) -> None:
        if self.outcome is Outcome.CAPTURED:
            _check_amount(self.captured_fen)
        elif self.captured_fen:
            raise ValueError("only a capture carries an amount")


Operation = TransferOp | HoldOp | ResolveOp


def _check_amount(amount_fen: int) -> None:
    if type(amount_fen) is not int or not 1 <= amount_fen <= MAX_FEN:
        raise ValueError(f"an amount is a whole number of steps from 1 to {MAX_FEN}, not {amount_fen!r}")


@dataclass(frozen=True, slots=True)
class Posting:
    """One journal: all of its operations happen, or none.

    `key` makes it idempotent: the same key with the same content answers with the stored journal, with other
    content it is an error. `source_type`/`source_id` name the record that caused it. `reverses` is given for
    `JournalKind.REVERSE` only, whose transfers the ledger mirrors itself. `effective_at` is when it counts (the
    value date of a bank line), by default when it is posted.
    """

    kind: JournalKind
    key: str
    operations: Sequence[Operation]
    actor: str
    source_type: str
    source_id: str
    reason: str = ""
    approved_by: str = ""
    effective_at: datetime | None = None
    reverses: int | None = None

    def __post_init__(self) -> None:
        if not (self.key and self.actor and self.source_type and self.source_id):
            raise ValueError("a posting needs a key, an actor and a source")
        if len(self.key) > 200:
            raise ValueError("a key has at most 200 characters")
        if (self.kind is JournalKind.REVERSE) != (self.reverses is not None):
            raise ValueError("a reversal, and only a reversal, names the journal it reverses")
        if bool(self.operations) == (self.kind is JournalKind.REVERSE) or len(self.operations) > MAX_OPERATIONS:
            raise ValueError(f"a posting has 1 to {MAX_OPERATIONS} operations, a reversal none")
        rule = JOURNAL_KINDS[self.kind]
        allowed = {TransferOp: rule.transfers, HoldOp: rule.holds, ResolveOp: rule.resolves}
        if not all(allowed[type(operation)] for operation in self.operations):
            raise ValueError(f"{self.kind} may not carry these operations")
        if rule.two_person and self.approved_by in {"", self.actor}:
            raise ValueError(f"{self.kind} needs the approval of a second person")


def fingerprint(posting: Posting) -> str:
    """Return the SHA-256 (hex) of what is moved and why: kind, operations, source, effective time, reversal.

    Who asked, who approved and the wording of the reason are left out: a retry by another hand is the same request.
    """
    content: list[Any] = [
        posting.kind.value,
        [_canonical(operation) for operation in posting.operations],
        posting.source_type,
        posting.source_id,
        posting.effective_at.timestamp() if posting.effective_at else None,
        posting.reverses,
    ]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


def _canonical(operation: Operation) -> list[Any]:
    match operation:
        case TransferOp(debit, credit, amount_fen, refunds_hold):
            return ["transfer", _reference(debit), _reference(credit), amount_fen, refunds_hold]
        case HoldOp(debit, credit, amount_fen, ttl_s):
            return ["hold", _reference(debit), _reference(credit), amount_fen, ttl_s]
        case ResolveOp(hold, outcome, captured_fen):
            return ["resolve", hold, outcome.value, captured_fen]


def _reference(ref: AccountRef) -> int | list[Any]:
    return ref if isinstance(ref, int) else [ref.kind.value, ref.unit, ref.owner, ref.programme, ref.fiscal_year]


class InsufficientFunds(Conflict):
    """`available_fen` is what the account could give, `needed_fen` what was asked of it."""

    code = "ledger.insufficient"
    message = _("余额不足：可用 %(available)s，需要 %(needed)s。")


class HoldResolved(Conflict):
    code = "ledger.resolved"
    message = _("该笔冻结已经结束，不能再次处理。")


class HoldExpired(Conflict):
    code = "ledger.expired"
    message = _("该笔冻结已到期，不能再核销。")


class CaptureExceedsHold(Conflict):
    code = "ledger.exceeds_hold"
    message = _("核销金额 %(needed)s 超过冻结金额 %(available)s。")


class RefundExceedsCapture(Conflict):
    code = "ledger.exceeds_capture"
    message = _("退回金额 %(needed)s 超过尚可退回的金额 %(available)s。")


class AccountClosed(Conflict):
    code = "ledger.closed"
    message = _("账户已关闭，不能再记账。")


class AccountNotEmpty(Conflict):
    code = "ledger.not_empty"
    message = _("账户仍有余额或冻结金额，不能关闭。")


class AlreadyReversed(Conflict):
    code = "ledger.reversed"
    message = _("该笔记账已经冲正。")


class FlowNotAllowed(Conflict):
    code = "ledger.flow_not_allowed"
    message = _("不允许在这两类账户之间进行此项记账。")


class PeriodClosed(Conflict):
    """`effective_at` lies in a year that was closed; corrections are dated into the open one."""

    code = "ledger.period_closed"
    message = _("该会计年度已经结账，不能再记入该年度。请记入当前年度。")


class YearClosed(Conflict):
    code = "ledger.year_closed"
    message = _("%(year)s 会计年度已经结账。")


class PeriodNotOver(Conflict):
    code = "ledger.period_not_over"
    message = _("%(year)s 会计年度尚未结束，不能结账。")


class SamePerson(Conflict):
    code = "ledger.same_person"
    message = _("提出人和批准人必须是两个人。")


class LedgerBusy(Unavailable):
    """The ledger was locked too long, several times over: nothing happened, and trying again is right."""

    code = "ledger.busy"
    message = _("记账繁忙，本次操作没有产生任何影响，请几秒钟后再试。")


class BadPosting(Invalid):
    """`what` names the part of the request that makes no sense: a mistake of the program, not of a person."""

    code = "ledger.bad_request"
    message = _("记账请求有误。")


ERRORS: Final[Mapping[str, type[PortalError]]] = {
    "insufficient": InsufficientFunds,
    "resolved": HoldResolved,
    "expired": HoldExpired,
    "exceeds_hold": CaptureExceedsHold,
    "exceeds_capture": RefundExceedsCapture,
    "closed": AccountClosed,
    "reversed": AlreadyReversed,
    "period_closed": PeriodClosed,
    "flow_not_allowed": FlowNotAllowed,
    "bad_request": BadPosting,
}


def error_for(answer: Mapping[str, Any]) -> PortalError:
    """Return the error a refused answer of ``ledger_post`` stands for."""
    if answer["error"] == "mismatch":
        return KeyReused(field="Idempotency-Key")
    params = {name: value for name, value in answer.items() if name != "error"}
    for name in ("available", "needed"):
        if f"{name}_fen" in params:
            params[name] = show(params.get("unit") or CNY, params[f"{name}_fen"])
    return ERRORS[answer["error"]](**params)


def year_ends_at(fiscal_year: int) -> datetime:
    """Return the instant at which a fiscal year is over, exclusive: 1 January, 00:00 in China.

    A budget year is a calendar year (预算法 2018, art. 18).
    """
    return datetime(fiscal_year + 1, 1, 1, tzinfo=ZoneInfo("Asia/Shanghai"))


def seal_hash(*, prev: bytes, n: int, from_txid: int, upto_txid: int, rows: int, digest: bytes) -> bytes:
    """Return the hash of block `n`: SHA-256 over the previous hash, the block's bounds and the digest of its rows.

    Every part is preceded by its length, so that no two different blocks read the same.
    """
    parts = [prev, *(str(number).encode() for number in (n, from_txid, upto_txid, rows)), digest]
    return hashlib.sha256(b"".join(b"%d:%b," % (len(part), part) for part in parts)).digest()
