"""Read what a dry run found, in shapes of their own."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction

from portal.kernel.money import Money
from vouchers.dryruns import rules
from vouchers.dryruns.models import DryRun
from vouchers.programmes import documents
from vouchers.programmes.allocation import Allocation, Claim
from vouchers.programmes.schemes import PoolShort
from vouchers.programmes.terms import AwardOrder

__all__ = ["simulation"]

NEVER = datetime(1970, 1, 1, tzinfo=UTC)


def simulation(run: DryRun, *, pool: Money, order: AwardOrder, short: PoolShort, seed: str) -> Allocation:
    """Divide `pool` among what the run would grant, as a round of these rules would. One query for the cases.

    Cases left to people take part with the amount computed for them; cases without a time, from a file, stand in the
    order of the file. Raises NoQuotas, NotReady.
    """
    if run.state != DryRun.State.DONE.value:
        raise rules.NotReady
    scheme = documents.load(run.document)
    rows = run.cases.filter(after_fen__gt=0).order_by("pk")
    claims = [
        Claim(
            id=row.number,
            amount=Money(row.after_fen),
            submitted_at=row.submitted_at or NEVER.replace(microsecond=at % 1_000_000),
            score=None if row.score is None else Fraction(row.score, 100),
            region=row.region,
            floor=scheme.floor or Money(0),
        )
        for at, row in enumerate(rows)
    ]
    return rules.simulate(claims, pool=pool, order=order, short=short, terms=scheme.terms, seed=seed)
