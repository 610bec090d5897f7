"""How much of a bill vouchers pay, what a refund gives back to whom, and the states of a charge. Pure.

Several vouchers may pay one bill. They burn in one order, the first to end first; each pays at most its share of the
*whole* bill, those of one programme together at most the greatest of their shares, all together at most the bill.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Final

from portal.kernel.errors import Conflict, Invalid, Reason, noop
from portal.kernel.money import Money
from portal.kernel.period import Period

__all__ = [
    "TRANSITIONS",
    "ChargeAction",
    "ChargeState",
    "Lot",
    "NotRefundable",
    "Part",
    "RefundTooLarge",
    "Split",
    "Terms",
    "apportion",
    "best_part",
    "burn_order",
    "means",
    "refund_split",
    "spent",
    "split",
    "voucher_refusals",
]

_ = noop

MAX_VOUCHERS: Final = 10
"""How many vouchers may pay one bill; more is a mistake, and every one is a lock."""


class ChargeState(StrEnum):
    HELD = "held"
    CAPTURED = "captured"
    RELEASED = "released"


class ChargeAction(StrEnum):
    CAPTURE = "capture"
    RELEASE = "release"


TRANSITIONS: Final[Mapping[tuple[ChargeState, ChargeAction], ChargeState]] = MappingProxyType(
    {
        (ChargeState.HELD, ChargeAction.CAPTURE): ChargeState.CAPTURED,
        (ChargeState.HELD, ChargeAction.RELEASE): ChargeState.RELEASED,
    }
)


class NotRefundable(Conflict):
    code = "charge.not_refundable"
    message = _("只有已结算的费用才能退款。未结算的预约或作业请取消。")


class RefundTooLarge(Invalid):
    """`limit` is what has not been given back yet."""

    code = "charge.refund_too_large"
    message = _("退款须大于零，且不超过尚未退回的 %(limit)s。")


@dataclass(frozen=True, slots=True)
class Terms:
    """What a voucher may pay: `share` of each bill, 0 < share ≤ 1; within `valid`; for `services` (empty = any).

    What is ordered in time must end before `grace`. An `exclusive` voucher pays no bill with another programme's. One
    that does not deduct pays no bill at all: it pays back on a claim (e.g. 廊坊算力券 2023: the user pays in full, then
    redeems; 武汉市资金管理办法 2025 §13 deducts instead).
    """

    number: str
    programme: str
    share: Fraction
    valid: Period
    services: frozenset[str]
    is_active: bool = True
    is_exclusive: bool = False
    used_once: bool = False
    """It may be used for one purchase only, and has been."""
    grace: datetime | None = None
    deducts: bool = True


@dataclass(frozen=True, slots=True)
class Lot:
    """A voucher's terms and what it can give."""

    terms: Terms
    available: Money


@dataclass(frozen=True, slots=True)
class Part:
    """What one voucher pays."""

    number: str
    amount: Money


@dataclass(frozen=True, slots=True)
class Split:
    """`voucher` + `own` = the price, always; `parts`, in the order they burn, add up to `voucher`."""

    voucher: Money
    own: Money
    parts: tuple[Part, ...] = ()


def means(vouchers: Sequence[Any]) -> str | list[str] | None:
    """Return by which vouchers a purchase is paid, as its fingerprint says it: one as it always was, several in order."""
    numbers = sorted(voucher.number for voucher in vouchers)
    return numbers if len(numbers) > 1 else next(iter(numbers), None)


def burn_order(lots: Sequence[Lot]) -> list[Lot]:
    """Return the lots in the order in which they pay: the first to end, then the lower number."""
    return sorted(lots, key=lambda lot: (lot.terms.valid.end, lot.terms.number))


def split(price: Money, *, lots: Sequence[Lot]) -> Split:
    """Split `price` among vouchers and the holder: every share rounds down to a whole fen, the holder pays the rest.

    A voucher with less than its share pays what it has; the next in order pays on. Parts of nothing are left out.
    """
    ceilings: dict[str, Fraction] = {}
    for lot in lots:
        ceilings[lot.terms.programme] = max(lot.terms.share, ceilings.get(lot.terms.programme, Fraction(0)))
    paid: dict[str, Money] = {}
    left = price
    parts = []
    for lot in burn_order(lots):
        programme = lot.terms.programme
        before = paid.get(programme, Money(0))
        room = price.share(ceilings[programme]) - before
        amount = min(price.share(lot.terms.share), lot.available, room, left)
        if amount.fen > 0:
            parts.append(Part(lot.terms.number, amount))
            paid[programme] = before + amount
            left -= amount
    return Split(voucher=price - left, own=left, parts=tuple(parts))


def spent(lots: Sequence[Lot], split: Split, *, once: AbstractSet[str] = frozenset()) -> list[Lot]:
    """Return the lots as a bill so split leaves them; those in `once` that paid of it may pay no other."""
    paid = {part.number: part.amount for part in split.parts}
    return [
        Lot(
            replace(lot.terms, used_once=lot.terms.used_once or lot.terms.number in once & paid.keys()),
            lot.available - paid.get(lot.terms.number, Money(0)),
        )
        for lot in lots
    ]


def _refusals(lot: Lot, *, service: str, at: datetime, ends_at: datetime | None) -> list[Reason]:
    terms = lot.terms
    params = {"number": terms.number}
    found: list[tuple[str, str]] = []
    if at not in terms.valid:
        found.append(("voucher.not_valid", _("券 %(number)s 不在有效期内。")))
    elif ends_at is not None and terms.grace is not None and ends_at > terms.grace:
        found.append(("voucher.grace", _("服务结束时已超过券 %(number)s 的宽限期。")))
    if not terms.is_active:
        found.append(("voucher.not_active", _("券 %(number)s 正在核查、已过期或已追回，不能使用。")))
    if terms.used_once:
        found.append(("voucher.used_once", _("券 %(number)s 限用一次，已使用。")))
    reasons = [Reason(code, text, OTHER, field="voucher", params=params) for code, text in found]
    if not terms.deducts:
        reasons.append(
            Reason(
                "voucher.pays_back",
                _("券 %(number)s 所属政策为先付后补，不能在购买时抵扣。"),
                _("请先全部自付，取得发票后在“申领”中用该券申领；或选择其他券。"),
                field="voucher",
                params=params,
            )
        )
    if terms.services and service not in terms.services:
        reasons.append(
            Reason(
                "voucher.wrong_service",
                _("券 %(number)s 不能用于此类服务。"),
                _("请选择适用于此类服务的券，或全部自付。"),
                field="voucher",
                params=params,
            )
        )
    return reasons


OTHER: Final = _("请选择其他券，或全部自付。")


def voucher_refusals(
    price: Money, *, lots: Sequence[Lot], service: str, at: datetime, ends_at: datetime | None = None
) -> list[Reason]:
    """Return every ground on which vouchers cannot pay their shares of `price` at `at`; empty when they can.

    Vouchers that could not cover the shares they stand for are refused, so that nobody is surprised by the rest.
    """
    reasons = [reason for lot in burn_order(lots) for reason in _refusals(lot, service=service, at=at, ends_at=ends_at)]
    programmes = {lot.terms.programme for lot in lots}
    if len(programmes) > 1 and any(lot.terms.is_exclusive for lot in lots):
        reasons.append(
            Reason(
                "voucher.not_together",
                _("所选券的政策不允许与其他政策的券支付同一笔费用。"),
                _("请只选同一政策的券。"),
                field="voucher",
            )
        )
    if len(lots) > MAX_VOUCHERS:
        reasons.append(
            Reason(
                "voucher.too_many",
                _("一笔费用最多使用 %(limit)s 张券。"),
                _("请减少所选的券。"),
                field="voucher",
                params={"limit": MAX_VOUCHERS},
            )
        )
    needed = split(price, lots=[Lot(lot.terms, price) for lot in lots]).voucher
    payable = split(price, lots=lots).voucher
    if needed > payable:
        available = min(sum((lot.available for lot in lots), Money(0)), payable)
        reasons.append(
            Reason(
                "voucher.too_small",
                _("该券可用余额 %(available)s，本次需要 %(needed)s。")
                if len(lots) == 1
                else _("所选各券本次可支付 %(available)s，需要 %(needed)s。"),
                _("请缩短时长、减少资源，换一张余额足够的券，或全部自付。"),
                field="voucher",
                params={"available": str(available), "needed": str(needed)},
            )
        )
    return reasons


def best_part(
    price: Money, *, lots: Sequence[Lot], service: str, at: datetime, ends_at: datetime | None = None
) -> Part | None:
    """Return what the one voucher would pay that pays most of `price` and may; None when none may pay anything.

    Of vouchers that pay alike, the first to burn.
    """
    best: Part | None = None
    for lot in burn_order(lots):
        if voucher_refusals(price, lots=[lot], service=service, at=at, ends_at=ends_at):
            continue
        for part in split(price, lots=[lot]).parts:
            if best is None or part.amount.fen > best.amount.fen:
                best = part
    return best


def apportion(amount: int, weights: Sequence[int]) -> list[int]:
    """Divide whole `amount` in proportion to `weights` by the largest remainder; ties go to the earlier.

    No part is above its weight while `amount` is not above their sum. All weights zero: nobody gets anything.
    """
    total = sum(weights)
    if total == 0:
        return [0] * len(weights)
    parts = [amount * weight // total for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda at: (-(amount * weights[at] % total), at))
    for at in by_remainder[: amount - sum(parts)]:
        parts[at] += 1
    return parts


def refund_split(amount: int, *, actual: int, voucher: int, refunded: int, voucher_refunded: int) -> tuple[int, int]:
    """Return how many fen of a refund go back to the vouchers and to the payer.

    Refunds are apportioned cumulatively: after `refunded` + `amount` of `actual`, the vouchers have got that part of
    their `voucher` share, rounded down. However it is cut, the whole refund restores the original split exactly. Where a
    claim's cut gave vouchers more than their part before, the payer's comes first; neither ever gets back below nothing or
    above what it paid.
    """
    owed = (refunded + amount) * voucher // actual - voucher_refunded
    own_left = (actual - voucher) - (refunded - voucher_refunded)
    back = min(amount, max(owed, amount - own_left, 0))
    return back, amount - back
