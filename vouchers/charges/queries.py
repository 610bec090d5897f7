"""What a provider earned, day by day."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from zoneinfo import ZoneInfo

from django.db.models import F, Sum
from django.db.models.functions import TruncDate

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.charges import access
from vouchers.charges.rules import ChargeState

__all__ = ["income_by_day"]


def income_by_day(actor: Actor, *, during: Period, zone: ZoneInfo, service: str) -> Mapping[date, Money]:
    """Return what the actor's organisation earned with `service` on each local day that has any, refunds taken off.

    By the day of settlement, not of use. One query.
    """
    rows = (
        access.visible_to(actor)
        .filter(
            provider_id=actor.organisation_id,
            service=service,
            state=ChargeState.CAPTURED.value,
            resolved_at__gte=during.start,
            resolved_at__lt=during.end,
        )
        .order_by()
        .annotate(day=TruncDate("resolved_at", tzinfo=zone))
        .values("day")
        .annotate(fen=Sum(F("actual_fen") - F("voucher_refunded_fen") - F("own_refunded_fen")))
        .order_by("day")
    )
    return {row["day"]: Money(row["fen"]) for row in rows}
