"""What a cluster's operator says of its partitions: limits, open or closed, and prices, which are never changed backwards."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime

from django.db import transaction
from django.db.backends.postgresql.psycopg_any import DateTimeTZRange

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Invalid, NotFound, Reason, Refused, noop
from portal.kernel.money import Money
from scheduler.resources import access, rules
from scheduler.resources.models import Partition, Rate
from scheduler.resources.pricing import Announced, PriceNegative

__all__ = ["PartitionTerms", "PriceInThePast", "change_partition", "set_partition_price", "withdraw_partition_price"]

_ = noop
MOST = {"max_cards": 10_000, "max_cpus": 100_000, "max_memory_mb": 10**9, "max_time_s": 30 * 86_400}
LEAST = {"max_cards": 0, "max_cpus": 1, "max_memory_mb": 1, "max_time_s": 60}


class PriceInThePast(Invalid):
    code = "rate.past"
    message = _("价格不能从过去开始生效。请选择今天以后的日期，或留空即刻生效。")


@dataclass(frozen=True, slots=True)
class PartitionTerms:
    """What one job may ask of a partition at most, and whether it takes jobs. Seconds are whole minutes."""

    max_cards: int
    max_cpus: int
    max_memory_mb: int
    max_time_s: int
    is_open: bool


def _wrong(terms: PartitionTerms) -> list[Reason]:
    reasons = [
        Reason(
            "partition.limit",
            _("数值须在 %(least)s 到 %(most)s 之间。"),
            _("请修改。"),
            field=name,
            params={"least": LEAST[name], "most": most},
        )
        for name, most in MOST.items()
        if not LEAST[name] <= getattr(terms, name) <= most
    ]
    if terms.max_time_s % 60:
        reasons.append(Reason("partition.minutes", _("时限须为整分钟。"), _("请修改最长时限。"), field="max_time_s"))
    return reasons


def _lock(actor: Actor, partition: Partition) -> Partition:
    access.require_managed(actor, partition.cluster)
    return (
        Partition.objects.select_for_update(no_key=True, of=("self",))
        .select_related("cluster")
        .order_by("pk")
        .get(pk=partition.pk)
    )


@transaction.atomic
def change_partition(*, actor: Actor, partition: Partition, terms: PartitionTerms, now: datetime) -> Partition:
    """Set what new jobs may ask for. Jobs already submitted stay. Idempotent. Raises Refused with all that is wrong."""
    locked = _lock(actor, partition)
    if reasons := _wrong(terms):
        raise Refused(reasons)
    wanted = asdict(terms)
    changed = {name: value for name, value in wanted.items() if getattr(locked, name) != value}
    if not changed:
        return locked
    for name, value in changed.items():
        setattr(locked, name, value)
    locked.save(update_fields=list(changed))
    _record(locked, action="partition.changed", actor=actor, now=now, data={"name": locked.name, **changed})
    return locked


@transaction.atomic
def set_partition_price(
    *, actor: Actor, partition: Partition, amount: Money, since: datetime | None, now: datetime
) -> Rate:
    """Make `amount` the price of a card-hour (without cards: of a core-hour) from `since` on, by default from now.

    The price in force ends where it begins; every quote and charge keeps the one it was made under. Setting the same
    again returns it. Raises PriceNegative, PriceInThePast, Announced.
    """
    locked = _lock(actor, partition)
    start = since or now
    if amount.fen < 0:
        raise PriceNegative(field="amount")
    if start < now:
        raise PriceInThePast(field="since")
    unit = rules.Unit.CARD_HOUR if locked.max_cards else rules.Unit.CORE_HOUR
    alike = Rate.objects.select_for_update(no_key=True).filter(partition=locked, valid__overlap=(start, None))
    for rate in alike.order_by("pk"):
        if rate.amount_fen == amount.fen and rate.unit == unit.value and rate.valid.upper is None:
            return rate
        if rate.valid.lower > start:
            raise Announced(field="since")
        if rate.valid.lower == start:
            rate.delete()
        else:
            rate.valid = DateTimeTZRange(rate.valid.lower, start)
            rate.save(update_fields=["valid"])
    made = Rate.objects.create(
        partition=locked, unit=unit.value, amount_fen=amount.fen, valid=DateTimeTZRange(start, None)
    )
    _record(locked, action="partition.price_set", actor=actor, now=now, data=_about(locked, made))
    return made


@transaction.atomic
def withdraw_partition_price(*, actor: Actor, partition: Partition, rate_id: int, now: datetime) -> None:
    """Take back a price announced for later; the one before it goes on. Raises NotFound for any other."""
    locked = _lock(actor, partition)
    rate = Rate.objects.filter(partition=locked, pk=rate_id, valid__startswith__gt=now).first()
    if rate is None:
        raise NotFound
    _record(locked, action="partition.price_withdrawn", actor=actor, now=now, data=_about(locked, rate))
    before = Rate.objects.filter(partition=locked, valid__endswith=rate.valid.lower).first()
    rate.delete()
    if before is not None:
        before.valid = DateTimeTZRange(before.valid.lower, None)
        before.save(update_fields=["valid"])


def _about(partition: Partition, rate: Rate) -> dict[str, object]:
    return {
        "name": partition.name,
        "amount_fen": rate.amount_fen,
        "unit": rate.unit,
        "since": rate.valid.lower.isoformat(),
    }


def _record(partition: Partition, *, action: str, actor: Actor, now: datetime, data: dict[str, object]) -> None:
    audit.record(
        action=action,
        subject=f"cluster:{partition.cluster.code}",
        actor=actor,
        now=now,
        organisations=[partition.cluster.owner_id],
        data=data,
    )
