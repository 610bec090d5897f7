"""Compare what a gateway says moved with what we say, name each difference, and close months. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from portal.kernel.errors import Conflict, Forbidden, Invalid, Reason, noop
from portal.kernel.period import Period
from vouchers.payments.ports import BalanceKind

__all__ = [
    "EXPLANATION_TRANSITIONS",
    "Bucket",
    "Cause",
    "Entry",
    "ExplanationAction",
    "ExplanationKind",
    "ExplanationOpen",
    "ExplanationState",
    "NoSuchMonth",
    "NotOpen",
    "NotProposed",
    "Ours",
    "OwnExplanation",
    "ReasonMissing",
    "SamePerson",
    "Theirs",
    "compare",
    "day_of",
    "day_period",
    "figures_hash",
    "is_closed",
    "month_period",
    "not_over",
    "out_of_order",
    "proposed_before",
    "spans",
]

_ = noop

ZONE: Final = ZoneInfo("Asia/Shanghai")
"""Days and months of reconciliation are calendar days and months in China."""
ONE_DAY: Final = timedelta(days=1)
REPORTED_WITHIN: Final = timedelta(days=3)
"""How late a gateway may report what we know already."""
MATCHED_KINDS: Final = (BalanceKind.PAYMENT, BalanceKind.REFUND, BalanceKind.DISPUTE, BalanceKind.TRANSFER)
"""What is matched with rows of ours, by the gateway's id; fees and payouts are booked from the gateway's lines."""


class Bucket(StrEnum):
    MATCHED = "matched"
    DIFFERS = "differs"
    """Both know it, the amounts are not equal."""
    OURS = "ours"
    THEIRS = "theirs"


class Cause(StrEnum):
    """What an entry that does not match probably is; pages and the API say what to do."""

    NONE = "none"
    NOT_REPORTED = "not_reported"
    """Ours, younger than the gateway may take to report."""
    NEVER_REPORTED = "never_reported"
    AMOUNT = "amount"
    OPEN = "open"
    """Our row is there, and has not ended: what it waits for is known by the gateway."""
    FOREIGN = "foreign"
    """No row of ours: made outside the portal."""
    CURRENCY = "currency"
    NOT_BOOKED = "not_booked"
    """A fee or a payout that the ledger does not have yet."""
    UNKNOWN_KIND = "unknown_kind"


class ExplanationKind(StrEnum):
    """What a person says an entry that does not match is."""

    LATE = "late"
    FEE = "fee"
    MANUAL = "manual"
    OTHER = "other"


class ExplanationState(StrEnum):
    PROPOSED = "proposed"
    ACCEPTED = "accepted"
    RETURNED = "returned"
    """Not accepted by the second person, or taken back by who proposed it."""
    UNDONE = "undone"


class ExplanationAction(StrEnum):
    ACCEPT = "accept"
    RETURN = "return"
    UNDO = "undo"


EXPLANATION_TRANSITIONS: Final[Mapping[tuple[ExplanationState, ExplanationAction], ExplanationState]] = (
    MappingProxyType(
        {
            (ExplanationState.PROPOSED, ExplanationAction.ACCEPT): ExplanationState.ACCEPTED,
            (ExplanationState.PROPOSED, ExplanationAction.RETURN): ExplanationState.RETURNED,
            (ExplanationState.ACCEPTED, ExplanationAction.UNDO): ExplanationState.UNDONE,
        }
    )
)


@dataclass(frozen=True, slots=True)
class Theirs:
    """One line of the gateway: `amount_fen` signed, before its fee; `source` is the object that moved."""

    provider_id: str
    kind: BalanceKind
    amount_fen: int
    fee_fen: int
    source: str
    at: datetime
    currency: str = "CNY"


@dataclass(frozen=True, slots=True)
class Ours:
    """One row of ours: what of it is on the gateway's account (`amount_fen`, signed), known there as `provider_id`.

    `number` is the attempt's or refund's, or the dispute's id. One that has not succeeded has 0 there and `is_open`.
    """

    kind: BalanceKind
    number: str
    provider_id: str
    amount_fen: int
    at: datetime
    is_open: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that moved, as both say it. `difference_fen` is theirs less ours; `at` the earlier of both.

    `key` names it for good: by what moved where both can know it, by the gateway's line where only the gateway can.
    """

    kind: BalanceKind
    bucket: Bucket
    cause: Cause
    source: str
    number: str
    theirs_fen: int
    ours_fen: int
    at: datetime
    lines: tuple[str, ...] = ()
    key: str = ""

    @property
    def difference_fen(self) -> int:
        return self.theirs_fen - self.ours_fen

    @property
    def is_open(self) -> bool:
        return self.bucket is not Bucket.MATCHED

    def age_days(self, now: datetime) -> int:
        return max(0, (now - self.at).days)


def spans(days: Iterable[date]) -> list[Period]:
    """Return days in China as the fewest periods, oldest first."""
    found: list[Period] = []
    for day in sorted(set(days)):
        period = day_period(day)
        if found and found[-1].end == period.start:
            period = Period(found.pop().start, period.end)
        found.append(period)
    return found


def day_of(moment: datetime) -> date:
    """Return the day in China on which something moved."""
    return moment.astimezone(ZONE).date()


def day_period(day: date) -> Period:
    """Return a day in China, half-open."""
    return Period(_midnight(day), _midnight(day + timedelta(days=1)))


def _midnight(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=ZONE)


def month_period(month: date) -> Period:
    """Return the calendar month in China that `month` lies in, half-open."""
    first = month.replace(day=1)
    return Period(_midnight(first), _midnight((first + timedelta(days=32)).replace(day=1)))


def compare(theirs: Iterable[Theirs], ours: Iterable[Ours], *, booked: Mapping[str, int], now: datetime) -> list[Entry]:
    """Return what moved, oldest first: each line of theirs and each row of ours is in exactly one entry.

    Lines of one payment, refund or dispute are added up by its id: a dispute is taken and given back. `booked` is what
    the ledger has of fees and payouts, signed as the gateway says it, by the line's id; a fee taken off a line is an entry
    of its own. The differences of all entries add up to theirs (net of fees) less ours and what is booked.
    """
    rows = {(row.kind, row.provider_id): row for row in ours}
    grouped: dict[tuple[BalanceKind, str], list[Theirs]] = {}
    entries = []
    for line in theirs:
        if line.currency == "CNY" and line.kind in MATCHED_KINDS:
            grouped.setdefault((line.kind, line.source), []).append(line)
        else:
            entries.append(_alone(line, booked))
        if line.fee_fen and line.currency == "CNY":
            fee = Theirs(f"{line.provider_id}/fee", BalanceKind.FEE, -line.fee_fen, 0, line.source, line.at)
            entries.append(_alone(fee, booked))
    for key, lines in grouped.items():
        entries.append(_paired(lines, rows.pop(key, None)))
    entries += [_ours_only(row, now=now) for row in rows.values() if row.amount_fen]
    return sorted(entries, key=lambda entry: (entry.at, entry.kind.value, entry.source))


def _paired(lines: Sequence[Theirs], row: Ours | None) -> Entry:
    fen = sum(line.amount_fen for line in lines)
    mine = row.amount_fen if row else 0
    if row is None:
        bucket, cause = Bucket.THEIRS, Cause.FOREIGN
    elif mine == fen:
        bucket, cause = Bucket.MATCHED, Cause.NONE
    elif row.is_open:
        bucket, cause = Bucket.THEIRS, Cause.OPEN
    else:
        bucket, cause = Bucket.DIFFERS, Cause.AMOUNT
    return Entry(
        kind=lines[0].kind,
        bucket=bucket,
        cause=cause,
        source=lines[0].source,
        number=row.number if row else "",
        theirs_fen=fen,
        ours_fen=mine,
        at=min(line.at for line in lines),
        lines=tuple(line.provider_id for line in lines),
        key=f"{lines[0].kind.value}:{lines[0].source}",
    )


def _alone(line: Theirs, booked: Mapping[str, int]) -> Entry:
    """Return the entry of a fee, a payout, or of what nothing of ours can answer; another currency counts as 0 fen."""
    mine = booked.get(line.provider_id, 0)
    if line.currency != "CNY":
        bucket, cause, mine, line = Bucket.THEIRS, Cause.CURRENCY, 0, replace(line, amount_fen=0)
    elif line.kind not in {BalanceKind.FEE, BalanceKind.PAYOUT}:
        bucket, cause, mine = Bucket.THEIRS, Cause.UNKNOWN_KIND, 0
    elif mine == line.amount_fen:
        bucket, cause = Bucket.MATCHED, Cause.NONE
    elif mine:
        bucket, cause = Bucket.DIFFERS, Cause.AMOUNT
    else:
        bucket, cause = Bucket.THEIRS, Cause.NOT_BOOKED
    return Entry(
        kind=line.kind,
        bucket=bucket,
        cause=cause,
        source=line.source,
        number="",
        theirs_fen=line.amount_fen,
        ours_fen=mine,
        at=line.at,
        lines=(line.provider_id,),
        key=f"line:{line.provider_id}",
    )


def _ours_only(row: Ours, *, now: datetime) -> Entry:
    late = now - row.at > REPORTED_WITHIN
    return Entry(
        kind=row.kind,
        bucket=Bucket.OURS,
        cause=Cause.NEVER_REPORTED if late else Cause.NOT_REPORTED,
        source=row.provider_id,
        number=row.number,
        theirs_fen=0,
        ours_fen=row.amount_fen,
        at=row.at,
        key=f"{row.kind.value}:{row.provider_id}",
    )


def figures_hash(month: date, previous: str, figures: Iterable[Sequence[Any]]) -> str:
    """Return the SHA-256 (hex) of a month's figures in order, behind the hash of the month before: one cannot be redone alone."""
    content = [f"{month:%Y-%m}", previous, [list(row) for row in figures]]
    return hashlib.sha256(json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()).hexdigest()


class NoSuchMonth(Invalid):
    code = "month.unknown"
    message = _("没有这个月份。请写 2000 到 2099 年的年份和 1 到 12 的月份。")


def not_over(month: date) -> Reason:
    """Return the ground against closing a month before its end."""
    return _month_ground("not_over", _("%(month)s 还没有结束，不能结账。"), _("请在月份结束后再提出。"), month)


def is_closed(month: date) -> Reason:
    """Return the ground against closing a month again."""
    return _month_ground("closed", _("%(month)s 已结账，数字不再变动。"), _("以后记的账计入没有结账的月份。"), month)


def out_of_order(due: date) -> Reason:
    """Return the ground against closing a month before `due`, which comes first."""
    return _month_ground("out_of_order", _("月份须依次结账：请先结 %(month)s。"), _("从最早没有结账的月份开始。"), due)


def proposed_before(month: date) -> Reason:
    """Return the ground against asking twice."""
    said = _("%(month)s 已有人提出结账，正待另一人批准。")
    return _month_ground("proposed_before", said, _("请批准或退回它。"), month)


def _month_ground(code: str, message: str, remedy: str, month: date) -> Reason:
    return Reason(f"month.{code}", message, remedy, params={"month": f"{month:%Y-%m}"})


class NotProposed(Conflict):
    code = "month.not_proposed"
    message = _("%(month)s 还没有人提出结账，或提出的已被退回。")


class SamePerson(Forbidden):
    code = "month.same_person"
    message = _("提出人不能批准自己提出的月结。请由另一位同事批准。")


class ReasonMissing(Invalid):
    code = "month.reason"
    message = _("请写明退回的原因。")


class NotOpen(Conflict):
    code = "reconciliation.entry_not_open"
    message = _("这一笔已核对相符，或不在这一天。请刷新页面查看。")


class ExplanationOpen(Conflict):
    code = "reconciliation.explained_before"
    message = _("这一笔已有人说明。请先退回或撤销原来的说明。")


class OwnExplanation(Forbidden):
    code = "reconciliation.own_explanation"
    message = _("说明人不能复核自己的说明。请由另一位同事复核。")
