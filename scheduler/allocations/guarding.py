"""Say why a job would exceed what its enterprise was granted; answers ``scheduler.jobs.guards.Guard``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from portal.kernel.errors import Reason
from scheduler.allocations import queries, rules
from scheduler.jobs.guards import Asked

__all__ = ["refusals"]


def refusals(asked: Asked, *, lock: bool, now: datetime) -> Sequence[Reason]:
    """Return every grant the job would exceed.

    With `lock`, the grants stay locked to the end of the transaction: two jobs under one grant are judged one after the
    other, the second when the first is committed.
    """
    if not asked.cards:
        return ()
    programmes = {voucher.programme_code for voucher in asked.vouchers}
    rows = queries.in_force(
        organisation_id=asked.organisation_id, partition=asked.partition, programmes=programmes, at=now
    )
    if lock:
        rows = rows.select_for_update(no_key=True, of=("self",))
    found = list(rows)
    if not found:
        return ()
    standings = queries.standings(found)
    most = rules.demand(cards=asked.cards, time_limit_s=asked.time_limit_s, array=asked.array)
    return rules.refusals([standings[row.pk] for row in found], most)
