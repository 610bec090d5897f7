"""What if: one wish on every partition side by side, with price, limit, waiting and room, and the cheapest that fits.

Waiting is told from the portal's own jobs of the last 30 days, with how many they were: fewer than ten say nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

from django.db.models import Aggregate, Case, CharField, Count, DurationField, ExpressionWrapper, F, Value, When

from portal.kernel.errors import Reason
from scheduler.jobs import guards, quoting, rules
from scheduler.jobs.models import Job
from scheduler.resources import queries as rates
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Partition, Rate
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges

__all__ = ["FEW", "Choice", "Wait", "bucket_of", "side_by_side", "waits_of"]

WINDOW: Final = timedelta(days=30)
FEW: Final = 10
"""Fewer jobs than this say nothing about how long the next one waits."""
BUCKETS: Final = ((0, "0"), (1, "1"), (4, "2-4"), (8, "5-8"))
"""Jobs of about the same size wait about as long: the most cards of a bucket, and its name."""


def bucket_of(cards: int) -> str:
    """Return the bucket a number of cards belongs to."""
    return next((name for most, name in BUCKETS if cards <= most), "9+")


@dataclass(frozen=True, slots=True)
class Wait:
    """How long `sample` jobs of the last 30 days waited from submission to start: half of them, and nine in ten."""

    sample: int = 0
    half: timedelta | None = None
    most: timedelta | None = None

    @property
    def says(self) -> bool:
        """Say whether the sample is large enough to mean something."""
        return self.sample >= FEW


class _Percentile(Aggregate):
    """A percentile as PostgreSQL reckons it, between neighbours."""

    function = "percentile_cont"
    template = "%(function)s(%(at)s) WITHIN GROUP (ORDER BY %(expressions)s)"
    output_field = DurationField()


def waits_of(partition_ids: Sequence[int], *, cards: int, now: datetime) -> Mapping[int, Wait]:
    """Return how long jobs of about `cards` cards waited, by partition, in one query.

    Jobs that waited for other jobs are left out: that was their own wish.
    """
    sizes = [When(cards__lte=most, then=Value(name)) for most, name in BUCKETS]
    found = (
        Job.objects.filter(
            partition_id__in=partition_ids, started_at__gte=now - WINDOW, started_at__lte=now, dependencies__isnull=True
        )
        .order_by()
        .annotate(
            bucket=Case(*sizes, default=Value("9+"), output_field=CharField()),
            waited=ExpressionWrapper(F("started_at") - F("created_at"), output_field=DurationField()),
        )
        .filter(bucket=bucket_of(cards))
        .values("partition_id")
        .annotate(
            sample=Count("pk"),
            half=_Percentile("waited", at=0.5),
            most=_Percentile("waited", at=0.9),
        )
    )
    nothing = timedelta(0)
    return {
        row["partition_id"]: Wait(row["sample"], max(row["half"], nothing), max(row["most"], nothing)) for row in found
    }


@dataclass(frozen=True, slots=True)
class Choice:
    """One partition as an answer to a wish. `price` is what would be held there; None without a price list.

    `room` is what the last reading of the cluster counted as free, None where there is none or it is old; `wanted` the
    cards (cores where none) of all tasks.
    """

    partition: Partition
    rate: Rate | None
    price: resource_rules.Price | None
    limit_s: int
    longest_minutes: int | None
    reasons: Sequence[Reason]
    wait: Wait
    wanted: int = 0
    by_cards: bool = True
    room: guards.Room | None = None
    is_cheapest: bool = False

    @property
    def fits(self) -> bool:
        """Say whether the job could be submitted there as it is."""
        return self.price is not None and not self.reasons

    @property
    def idle(self) -> int | None:
        """Cards free, cores where no card is wanted; None where nobody counted lately."""
        return None if self.room is None else self.room.cards if self.by_cards else self.room.cpus

    @property
    def fits_now(self) -> bool:
        """Say whether it could start at once by what was counted: enough is free, and nobody waits for it."""
        room, idle = self.room, self.idle
        return self.fits and room is not None and room.is_open and not room.waiting and (idle or 0) >= self.wanted


def side_by_side(
    partitions: Sequence[Partition],
    *,
    ask: rules.Ask,
    vouchers: Sequence[Any],
    now: datetime,
    shorten: bool = False,
    tasks: int = 1,
) -> list[Choice]:
    """Price a wish on each partition, cheapest that fits first marked. As many queries for one as for many.

    The script is not judged. Where `shorten`, each partition shortens to what it allows and the vouchers buy there;
    the cheapest is then the one that costs least for a minute.
    """
    known = rates.rates_of_partitions([partition.pk for partition in partitions], at=now)
    waits = waits_of([partition.pk for partition in partitions], cards=ask.cards, now=now)
    lots = charges.lots_of(vouchers=vouchers)
    made = [
        _choice(
            partition,
            known.get(partition.pk),
            ask=ask,
            lots=lots,
            shorten=shorten,
            tasks=tasks,
            now=now,
            wait=waits.get(partition.pk, Wait()),
        )
        for partition in partitions
    ]
    room = guards.rooms(partitions, now=now)
    wanted = (ask.cards or ask.cpus) * max(tasks, 1)
    made = [replace(one, wanted=wanted, by_cards=bool(ask.cards), room=room.get(one.partition.pk)) for one in made]
    fitting = [choice for choice in made if choice.fits]
    if not fitting:
        return made
    least = min(map(_per_minute, fitting))
    first = next(choice for choice in fitting if _per_minute(choice) == least)
    return [replace(choice, is_cheapest=choice is first) for choice in made]


def _per_minute(choice: Choice) -> float:
    assert choice.price is not None
    return choice.price.amount.fen / max(choice.limit_s, 60)


def _choice(
    partition: Partition,
    rate: Rate | None,
    *,
    ask: rules.Ask,
    lots: Sequence[charge_rules.Lot],
    shorten: bool,
    tasks: int,
    now: datetime,
    wait: Wait,
) -> Choice:
    if rate is None:
        return Choice(partition, None, None, ask.time_limit_s, None, (), wait)
    offer = quoting.judged(partition, rate, ask=ask, lots=lots, now=now, shorten=shorten, tasks=tasks)
    reasons = [reason for reason in offer.reasons if reason.field != "script"]
    return Choice(partition, rate, offer.price, offer.limit_s, offer.longest_minutes, reasons, wait)
