"""Let a writer of a booking in to the locks, unless its time is certainly taken: then refuse it without them.

Most of many rivals for one slot are too late. They neither wait for each other nor make each other wait: a glance of one
statement tells, before the locks and again as the first thing behind them, and who has lost gives the locks back before
the reasons and the free times in place of it are put together.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from django.db import connection, transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import Reason, Refused
from portal.kernel.period import Period
from scheduler.bookings import bundles, queries
from scheduler.bookings.bundles import Wanted
from scheduler.resources import rules as resource_rules
from scheduler.resources import services as resources

__all__ = ["enter", "refused"]

GLANCE: Final = """
    SELECT r.calendar_version,
        EXISTS (SELECT FROM booking b WHERE b.organisation_id = %(organisation)s AND b.key = %(key)s),
        r.counting = %(numbered)s AND r.capacity <= (
            SELECT count(DISTINCT c.unit_no) FROM claim c
            WHERE c.resource_id = r.id AND claim_blocks(c.state) AND (c.hold_until IS NULL OR c.hold_until > %(now)s)
                AND c.blocked && tstzrange(%(start)s, %(end)s) AND c.during && tstzrange(%(start)s, %(end)s)
        )
    FROM resource r WHERE r.id = %(resource)s
"""
"""Changeover is left aside: neighbours of one organisation may do without it, so only use itself is certain."""


@dataclass(frozen=True, slots=True)
class Glance:
    """What one statement tells. `is_taken`: others use every unit for part of the time, whoever asks.

    `is_known`: the organisation has used the key before, so this is a replay. `version`: the calendar's, as it was.
    """

    version: int
    is_known: bool
    is_taken: bool

    @property
    def is_lost(self) -> bool:
        """Whether there is nothing left to try for."""
        return self.is_taken and not self.is_known


class _Lost(Exception):
    """Undoes the savepoint, and with it the locks taken in it."""


def enter(*, actor: Actor, wanted: Wanted, key: str, now: datetime) -> set[int]:
    """Take the locks on all that may be occupied, lowest id first; return the ids. Raises Refused for who is too late."""

    def glance() -> Glance:
        return _glance(actor, wanted, key=key, now=now)

    seen = glance()
    ids: list[int] = []
    if not seen.is_lost:
        ids = bundles.needed(wanted)[2]
        seen = _take(ids, glance)
    if seen.is_lost:
        _explain(actor, wanted, version=seen.version, now=now)
        # It was given back meanwhile.
        ids = ids or bundles.needed(wanted)[2]
        resources.lock(resource_ids=ids)
    return set(ids)


def _take(ids: Sequence[int], glance: Callable[[], Glance]) -> Glance:
    """Lock, and look once more; who has lost keeps no lock."""
    try:
        with transaction.atomic():
            resources.lock(resource_ids=ids)
            seen = glance()
            if seen.is_lost:
                raise _Lost
    except _Lost:
        pass
    return seen


def _glance(actor: Actor, wanted: Wanted, *, key: str, now: datetime) -> Glance:
    during = wanted.period
    with connection.cursor() as cursor:
        cursor.execute(
            GLANCE,
            {
                "resource": wanted.resource.pk,
                "organisation": actor.acting_for,
                "key": key,
                "numbered": resource_rules.Counting.UNITS.value,
                "start": during.start,
                "end": during.end,
                "now": now,
            },
        )
        return Glance(*cursor.fetchone())


def _explain(actor: Actor, wanted: Wanted, *, version: int, now: datetime) -> None:
    """Raises Refused with all reasons there are; none when the time has just been given back."""
    found = queries.quote(wanted, organisation_id=actor.acting_for, user_id=actor.user_id, now=now)
    if found.reasons:
        free = queries.elsewhere(found, now=now, version=version)
        raise refused(found.reasons, wanted=wanted, free=free, now=now)


def refused(reasons: Sequence[Reason], *, wanted: Wanted, free: Sequence[Period], now: datetime) -> Refused:
    """Return the refusal with free times in place of it or, where there are none, instruments like it that are free."""
    twins = [] if free else queries.twins(wanted, now=now)
    told = [{"instrument": twin.resource.number, "name": twin.resource.name, "period": twin.period} for twin in twins]
    return Refused(reasons, data={"alternatives": free, "twins": told})
