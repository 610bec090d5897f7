"""Divide a pool among the claims of a round: who gets how much, in which order, and why. Pure, exact to the fen.

One call answers for a whole batch and for a single latecomer alike, so that nobody is judged by other rules than the
rest. Nothing here rounds up: an award is never above the claim, awards never add up to more than the pool, and what
rounding leaves stays in the pool.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from fractions import Fraction
from typing import Final

from portal.kernel.money import Money
from vouchers.programmes.ceilings import rounded
from vouchers.programmes.schemes import PoolShort, Rounding, RoundingMode
from vouchers.programmes.terms import AwardOrder, Leftovers

__all__ = [
    "Allocation",
    "Award",
    "AwardOutcome",
    "Claim",
    "Why",
    "allocate",
    "lot",
    "lottery_order",
]

NOTHING: Final = Money(0)
WHOLE: Final = Fraction(1)


@dataclass(frozen=True, slots=True)
class Claim:
    """What one application asks of the pool. `id` is what the public sees and lots are drawn by.

    `score` counts for ranked rounds only (None ranks last), `region` for quotas; an award below `floor` is none.
    """

    id: str
    amount: Money
    submitted_at: datetime
    score: Fraction | None = None
    region: str = ""
    floor: Money = NOTHING


class AwardOutcome(StrEnum):
    FULL = "full"
    LESS = "less"
    WAITS = "waits"
    NOTHING = "nothing"


class Why(StrEnum):
    """The one reason for each award; what a notice or a letter says in words."""

    COVERED = "covered"
    """The pool covers the whole claim."""
    PRORATED = "prorated"
    """Everybody's claim times the round's coefficient."""
    REST = "rest"
    """What the pool had left, less than the claim."""
    POOL_SHORT = "pool_short"
    """The pool has less left than the claim, and the programme pays whole claims or nothing."""
    EXHAUSTED = "exhausted"
    """The pool has nothing left."""
    QUEUED = "queued"
    """Waits, in order, until the pool holds money again."""
    BELOW_FLOOR = "below_floor"
    """What could be paid is below the least award."""
    NO_QUOTA = "no_quota"
    """The claim's region has no share of the pool."""


@dataclass(frozen=True, slots=True)
class Award:
    """What one claim gets. `place` counts from 1 in the order of service."""

    id: str
    place: int
    asked: Money
    amount: Money
    outcome: AwardOutcome
    why: Why


@dataclass(frozen=True, slots=True)
class Allocation:
    """The whole answer: `awards` in order of service, what is `left`, and the published coefficient k (1 = none)."""

    awards: tuple[Award, ...]
    left: Money
    coefficient: Fraction = WHOLE
    by_region: Mapping[str, Fraction] = field(default_factory=dict)
    """Each region's coefficient where quotas are prorated."""

    @property
    def order(self) -> tuple[str, ...]:
        return tuple(award.id for award in self.awards)

    @property
    def total(self) -> Money:
        return sum((award.amount for award in self.awards), NOTHING)

    def of(self, claim_id: str) -> Award:
        """Return the award of a claim. Raises KeyError for one that took no part."""
        found = next((award for award in self.awards if award.id == claim_id), None)
        if found is None:
            raise KeyError(claim_id)
        return found


def lot(seed: bytes, claim_id: str) -> str:
    """Return a claim's lot: SHA-256 of the seed followed by the id in UTF-8, as hexadecimal text.

    Anybody can recompute it: ``(cat seed; printf %s ID) | sha256sum``. The lowest lot is served first.
    """
    return hashlib.sha256(seed + claim_id.encode()).hexdigest()


def lottery_order(seed: bytes, ids: Sequence[str]) -> list[str]:
    """Return `ids` in the order of their lots."""
    return sorted(ids, key=lambda claim_id: lot(seed, claim_id))


def allocate(
    *,
    order: AwardOrder,
    pool: Money,
    short: PoolShort,
    claims: Sequence[Claim],
    quotas: Mapping[str, Fraction] | None = None,
    seed: bytes | None = None,
    rounding: Rounding | None = None,
    leftovers: Leftovers = Leftovers.STAY,
) -> Allocation:
    """Divide `pool` among `claims`. The order in which they are passed never matters.

    Served in order (first come: submission, then id; ranked: score from high, then submission, then id; lottery: by
    `lot`), a claim the pool covers is paid whole. One it does not cover is, by `short`: REJECT nothing, and the next in
    order is tried; PARTIAL what is left, down to a multiple of the rounding; QUEUE waits, and so does everybody behind
    it, so that nobody is overtaken; PRORATE: see below.

    ALL_THEN_PRORATE, and any order with PRORATE, pay everybody ``k · claim`` rounded down, with the one published
    ``k = min(1, pool ÷ Σ claims)``. All are rounded down and nobody gets a remainder: more money then never lowers any
    award (largest remainders could), and each applicant can check his own with k alone. A claim that k takes below its
    floor gets nothing, and its money stays in the pool: k is not raised for the others.

    REGION_QUOTA does this in each region with its share of the pool, rounded down to the fen, first come first served;
    `leftovers` says what becomes of the rest.

    Raises ValueError for a lottery without seed, quotas above the whole, a negative pool, an id twice or a claim of
    nothing. Source: payout = min(rate · base, caps) · k with k fixed for the batch and published; 武汉市资金管理办法
    2025 第十三条 and the intake rules of the published schemes.
    """
    _check(order, pool, claims, quotas or {}, seed)
    step = Rounding((rounding or Rounding()).to, RoundingMode.DOWN)
    queue = _ordered(order, claims, seed)
    if order is AwardOrder.REGION_QUOTA:
        return _by_region(queue, pool=pool, short=short, quotas=quotas or {}, step=step, leftovers=leftovers)
    if order is AwardOrder.ALL_THEN_PRORATE or short is PoolShort.PRORATE:
        amounts, k = _prorated(queue, pool, step)
        return _allocation(queue, amounts, pool, k)
    return _allocation(queue, _served(queue, pool, short, step), pool)


def _check(
    order: AwardOrder, pool: Money, claims: Sequence[Claim], quotas: Mapping[str, Fraction], seed: bytes | None
) -> None:
    if order is AwardOrder.LOTTERY and not seed:
        raise ValueError("a lottery needs its seed")
    if pool.fen < 0:
        raise ValueError("a pool is never negative")
    if any(share < 0 for share in quotas.values()) or sum(quotas.values(), Fraction(0)) > 1:
        raise ValueError("quotas are shares of one pool")
    if len({claim.id for claim in claims}) != len(claims):
        raise ValueError("a claim takes part once")
    if any(claim.amount.fen <= 0 for claim in claims):
        raise ValueError("a claim asks for something")


def _ordered(order: AwardOrder, claims: Sequence[Claim], seed: bytes | None) -> list[Claim]:
    by_time = sorted(claims, key=lambda claim: (claim.submitted_at, claim.id))
    if order is AwardOrder.LOTTERY:
        assert seed is not None
        return sorted(by_time, key=lambda claim: lot(seed, claim.id))
    if order is AwardOrder.RANKED:
        return sorted(by_time, key=lambda claim: (claim.score is None, -(claim.score or Fraction(0))))
    return by_time


Amounts = dict[str, tuple[Money, Why]]


def _served(queue: Sequence[Claim], pool: Money, short: PoolShort, step: Rounding) -> Amounts:
    """Serve one after the other until the pool is dry."""
    found: Amounts = {}
    left, is_closed = pool, False
    for claim in queue:
        if claim.amount < claim.floor:
            found[claim.id] = (NOTHING, Why.BELOW_FLOOR)
        elif is_closed:
            found[claim.id] = (NOTHING, Why.QUEUED)
        elif claim.amount <= left:
            found[claim.id] = (claim.amount, Why.COVERED)
        elif short is PoolShort.QUEUE:
            found[claim.id], is_closed = (NOTHING, Why.QUEUED), True
        elif short is PoolShort.PARTIAL:
            found[claim.id] = _rest(claim, left, step)
        else:
            found[claim.id] = (NOTHING, Why.POOL_SHORT if left else Why.EXHAUSTED)
        left -= found[claim.id][0]
    return found


def _rest(claim: Claim, left: Money, step: Rounding) -> tuple[Money, Why]:
    rest = Money(int(rounded(Fraction(left.fen), step)))
    if not rest:
        return NOTHING, Why.EXHAUSTED
    if rest < claim.floor:
        return NOTHING, Why.BELOW_FLOOR
    return rest, Why.REST


def _prorated(queue: Sequence[Claim], pool: Money, step: Rounding) -> tuple[Amounts, Fraction]:
    asked = sum(claim.amount.fen for claim in queue)
    k = WHOLE if asked <= pool.fen else Fraction(pool.fen, asked)
    found: Amounts = {}
    for claim in queue:
        part = claim.amount if k == 1 else Money(int(rounded(k * claim.amount.fen, step)))
        if part < claim.floor or not part:
            found[claim.id] = (NOTHING, Why.BELOW_FLOOR if part or claim.floor else Why.EXHAUSTED)
        else:
            found[claim.id] = (part, Why.COVERED if k == 1 else Why.PRORATED)
    return found, k


def _by_region(
    queue: Sequence[Claim],
    *,
    pool: Money,
    short: PoolShort,
    quotas: Mapping[str, Fraction],
    step: Rounding,
    leftovers: Leftovers,
) -> Allocation:
    found: Amounts = {claim.id: (NOTHING, Why.NO_QUOTA) for claim in queue}
    by_region: dict[str, Fraction] = {}
    for region, share in sorted(quotas.items()):
        own = [claim for claim in queue if claim.region == region]
        if short is PoolShort.PRORATE:
            amounts, by_region[region] = _prorated(own, pool.share(share), step)
        else:
            amounts = _served(own, pool.share(share), short, step)
        found |= amounts
    if leftovers is Leftovers.SHARE:
        _share_leftovers(queue, pool, short, step, found)
    return _allocation(queue, found, pool, by_region=by_region)


def _share_leftovers(queue: Sequence[Claim], pool: Money, short: PoolShort, step: Rounding, found: Amounts) -> None:
    """Serve from what all regions left those who got nothing, in order of submission."""
    left = pool - sum((amount for amount, _why in found.values()), NOTHING)
    unserved = [claim for claim in queue if not found[claim.id][0] and found[claim.id][1] is not Why.BELOW_FLOOR]
    if short is PoolShort.PRORATE:
        found |= _prorated(unserved, left, step)[0]
    else:
        found |= _served(unserved, left, short, step)


def _allocation(
    queue: Sequence[Claim],
    found: Amounts,
    pool: Money,
    k: Fraction = WHOLE,
    by_region: Mapping[str, Fraction] | None = None,
) -> Allocation:
    awards = []
    for place, claim in enumerate(queue, start=1):
        amount, why = found[claim.id]
        if amount == claim.amount:
            outcome = AwardOutcome.FULL
        elif amount:
            outcome = AwardOutcome.LESS
        else:
            outcome = AwardOutcome.WAITS if why is Why.QUEUED else AwardOutcome.NOTHING
        awards.append(Award(claim.id, place, claim.amount, amount, outcome, why))
    total = sum((award.amount for award in awards), NOTHING)
    return Allocation(tuple(awards), pool - total, k, dict(by_region or {}))
