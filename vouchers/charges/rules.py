"""How much of a price a voucher pays, and the states of a charge. Pure: no Django, no clock, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import Reason, noop
from portal.kernel.money import Money
from portal.kernel.period import Period

__all__ = ["TRANSITIONS", "ChargeAction", "ChargeState", "Split", "Terms", "split", "voucher_refusals"]

_ = noop


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


@dataclass(frozen=True, slots=True)
class Terms:
    """What a voucher may pay: `share` of each bill, 0 < share ≤ 1; within `valid`; for `services` (empty = any)."""

    share: Fraction
    valid: Period
    services: frozenset[str]


@dataclass(frozen=True, slots=True)
class Split:
    """`voucher` + `own` = the price, always."""

    voucher: Money
    own: Money


def split(price: Money, *, share: Fraction) -> Split:
    """Split `price`: the voucher's part rounds down to a whole fen, the holder pays the rest."""
    part = price.share(share)
    return Split(voucher=part, own=price - part)


def voucher_refusals(price: Money, *, terms: Terms, available: Money, service: str, at: datetime) -> list[Reason]:
    """Return every ground on which a voucher cannot pay its share of `price` at `at`; empty when it can."""
    reasons: list[Reason] = []
    if at not in terms.valid:
        reasons.append(
            Reason(
                "voucher.not_valid",
                _("该券不在有效期内。"),
                _("请选择其他券，或全部自付。"),
                field="voucher",
            )
        )
    if terms.services and service not in terms.services:
        reasons.append(
            Reason(
                "voucher.wrong_service",
                _("该券不能用于此类服务。"),
                _("请选择适用于此类服务的券，或全部自付。"),
                field="voucher",
            )
        )
    needed = price.share(terms.share)
    if needed > available:
        reasons.append(
            Reason(
                "voucher.too_small",
                _("该券可用余额 %(available)s，本次需要 %(needed)s。"),
                _("请缩短时长、减少资源，换一张余额足够的券，或全部自付。"),
                field="voucher",
                params={"available": str(available), "needed": str(needed)},
            )
        )
    return reasons
