"""Run the controls and raise what they notice as flags."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Final

from portal.controls import claiming, gathering, spending
from portal.controls.gathering import Noticed
from vouchers.flags import services as flags

__all__ = ["sweep"]

RECENT: Final = timedelta(days=8)
"""How far a sweep looks back: a daily run that fails for a week misses nothing."""
ACTING: Final = timedelta(days=30)


def _all(now: datetime) -> Iterator[Noticed]:
    since = now - RECENT
    yield from gathering.applications(since=since)
    yield from claiming.claims(since=since)
    yield from spending.charges(since=since)
    yield from spending.vouchers(since=since, now=now)
    yield from spending.holders(since=now - ACTING)
    yield from spending.use_of(since=since)


def sweep(*, now: datetime) -> int:
    """Look at everything recent and flag what is noticed; return how many findings there were.

    Idempotent: a pattern already flagged on a case is not flagged again. Nothing is refused or held back by it.
    """
    count = 0
    for noticed in _all(now):
        flags.raise_flag(
            subject=noticed.subject,
            pattern=noticed.finding.pattern,
            facts=noticed.finding.as_facts(),
            organisations=noticed.organisations,
            department_id=noticed.department_id,
            now=now,
        )
        count += 1
    return count
