"""Price a run without the portal at its partition's price, or say why that cannot be done."""

from __future__ import annotations

from datetime import datetime

from portal.kernel.money import Money
from scheduler.jobs import guards, refunds, settling
from scheduler.jobs import rules as job_rules
from scheduler.metering.models import UnmanagedRun
from scheduler.resources import queries as rates
from scheduler.resources import rules as resource_rules

__all__ = ["price_unmanaged"]


def price_unmanaged(found: UnmanagedRun, *, now: datetime) -> None:
    """Price an ended run at its partition's price when it started, or note why that cannot be done. Saves nothing."""
    found.doubt = ""
    if found.not_billed != settling.RULED:
        found.not_billed = refunds.why_not_billed(
            state=job_rules.JobState(found.state),
            raw_state=found.raw_state,
            started=found.started_at is not None,
            elapsed_s=found.elapsed_s,
            in_incident=_in_incident(found),
        )
    if found.not_billed:
        found.amount_fen, found.priced_at = 0, now
        return
    assert found.started_at is not None
    rate = rates.rate_of_partition(found.partition.pk, at=found.started_at) if found.partition else None
    if found.partition is None or rate is None:
        found.doubt = "no_rate"
        return
    unit = resource_rules.Unit(rate.unit)
    by_cards = unit is resource_rules.Unit.CARD_HOUR
    held = refunds.Allocation(found.cards, found.cpus, found.card_type)
    doubts = refunds.doubts(held, by_cards=by_cards, asked_cards=0, card_type=found.partition.card_type)
    count = found.ruled_count
    if count is None:
        if doubts:
            found.doubt = doubts[0]
            return
        count = (held.cards if by_cards else held.cpus) or 0
        if not count:
            found.doubt = "allocation_none"
            return
    price = resource_rules.price(unit=unit, unit_price=Money(rate.amount_fen), duration_s=found.elapsed_s, count=count)
    found.unit, found.unit_price_fen, found.rate_id, found.count = unit.value, rate.amount_fen, rate.pk, count
    found.amount_fen, found.priced_at = price.amount.fen, now


def _in_incident(found: UnmanagedRun) -> bool:
    """Say whether a run that failed did so while the controller was away. Who cancelled it is not known: that is billed."""
    if found.ended_at is None or found.state != job_rules.JobState.FAILED.value:
        return False
    away = guards.outages(cluster_id=found.cluster_id, since=found.ended_at, until=found.ended_at)
    return refunds.within(found.ended_at, away)
