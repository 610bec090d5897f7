"""Who has which share of a beamline's time, in whole shifts, and whether it was kept to. Pure.

Source of the pools: open peer review, partner (CRG, 1/3 at ESRF; HLS: a partner that paid for the line keeps 35 %),
industry paid, urgent, director's. Every share is the facility's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from portal.kernel.errors import Reason, Refused, noop

__all__ = ["BadShares", "Pool", "PoolUse", "apportioned", "check_shares", "compliance", "most_own"]

_ = noop


class Pool(StrEnum):
    """Whose time it is."""

    OPEN = "open"
    PARTNER = "partner"
    INDUSTRY = "industry"
    URGENT = "urgent"
    DIRECTOR = "director"


class BadShares(Refused):
    code = "facility.shares"
    message = _("机时份额有误。")


@dataclass(frozen=True, slots=True)
class PoolUse:
    """How a pool stands: what it was given, what is allocated, what was delivered, in shifts. `left` may be negative."""

    pool: Pool
    given: int
    allocated: int
    delivered: int

    @property
    def left(self) -> int:
        return self.given - self.allocated


def check_shares(shares: Mapping[Pool, Fraction]) -> None:
    """Raise BadShares unless every share is from 0 to 1 and together they are exactly the whole."""
    found = [
        Reason("facility.share_range", _("份额须在 0 到 100% 之间。"), "", f"shares.{pool.value}")
        for pool, share in shares.items()
        if not 0 <= share <= 1
    ]
    if not found and (total := sum(shares.values(), Fraction(0))) != 1:
        text = _("各类份额合计为 %(total)s，须等于 100%%。")
        found = [
            Reason("facility.share_sum", text, _("请调整各类份额。"), "shares", {"total": f"{float(total) * 100:g}%"})
        ]
    if found:
        raise BadShares(found)


def apportioned(shifts: int, shares: Mapping[Pool, Fraction]) -> dict[Pool, int]:
    """Divide `shifts` by the largest remainder, ties in the order of `Pool`: the parts add up to `shifts` exactly."""
    check_shares(shares)
    quotas = {pool: shifts * shares.get(pool, Fraction(0)) for pool in Pool if pool in shares}
    parts = {pool: int(quota) for pool, quota in quotas.items()}
    order = sorted(quotas, key=lambda pool: (parts[pool] - quotas[pool], list(Pool).index(pool)))
    for pool in order[: shifts - sum(parts.values())]:
        parts[pool] += 1
    return parts


def compliance(
    shares: Mapping[Pool, Fraction], *, shifts: int, allocated: Mapping[Pool, int], delivered: Mapping[Pool, int]
) -> list[PoolUse]:
    """Return how each pool stands to the shift, in the order of `Pool`, pools without a share included once they have time."""
    given = apportioned(shifts, shares)
    return [
        PoolUse(pool, given.get(pool, 0), allocated.get(pool, 0), delivered.get(pool, 0))
        for pool in Pool
        if pool in given or allocated.get(pool) or delivered.get(pool)
    ]


def most_own(offered: int, *, share: Fraction) -> int:
    """Return how much a partner keeps, rounded down; the rest is for others: 35 % of 4,000 h are 1,400 (E6)."""
    return int(offered * share)
