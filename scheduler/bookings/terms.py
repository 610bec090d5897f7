"""Say, as a lab, what every booking of an instrument needs besides it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, noop
from scheduler.bookings import rules
from scheduler.bookings.models import BookingTerms
from scheduler.resources import services as resources
from scheduler.resources.models import Resource

__all__ = ["BadBench", "Terms", "set_terms"]

_ = noop


class BadBench(Invalid):
    code = "terms.bench"
    message = _("制样台须是本单位的另一个资源，占用时间为 5 分钟到 24 小时，名额不超过它的容量。")


@dataclass(frozen=True, slots=True)
class Terms:
    """`bench` is needed for `bench_s` seconds just before the use, `bench_units` places of it."""

    self_use: rules.SelfUse = rules.SelfUse.OPEN
    bench: Resource | None = None
    bench_s: int = 0
    bench_units: int = 1
    free_cancel_s: int = 0
    late_percent: int = 0
    """Cancelling is free until `free_cancel_s` before the start; later it costs so much of the price, 0 to 100."""


@transaction.atomic
def set_terms(*, actor: Actor, resource: Resource, terms: Terms, now: datetime) -> BookingTerms:
    """Set what bookings of an instrument need from now on; those already made stay. Raises BadBench, Forbidden."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden
    if (bench := terms.bench) is not None:
        places = bench.capacity if bench.counting == "fungible" else 1
        own = bench.owner_id == resource.owner_id and bench.pk != resource.pk
        if not (own and 300 <= terms.bench_s <= 86400 and 1 <= terms.bench_units <= places):
            raise BadBench(field="bench")
    resources.lock(resource_ids=[resource.pk])
    row, _created = BookingTerms.objects.update_or_create(
        resource=resource,
        defaults={
            "self_use": terms.self_use.value,
            "bench": bench,
            "bench_s": terms.bench_s if bench else 0,
            "bench_units": terms.bench_units,
            "free_cancel_s": terms.free_cancel_s,
            "late_percent": terms.late_percent,
        },
    )
    audit.record(
        action="terms.set",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={
            "self_use": row.self_use,
            "bench": bench.number if bench else "",
            "bench_s": row.bench_s,
            "late_percent": row.late_percent,
            "free_cancel_s": row.free_cancel_s,
        },
    )
    return row
