"""What a provider earned, day by day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from django.db.models import F, Sum
from django.db.models.functions import TruncDate

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.period import Period
from vouchers.charges import access
from vouchers.charges.models import ChargeProposal
from vouchers.charges.proposal_rules import ChargeProposalKind, ProposalState
from vouchers.charges.rules import ChargeState

__all__ = ["GivenUp", "given_up", "income_by_day"]


@dataclass(frozen=True, slots=True)
class GivenUp:
    """An own share that was given up last of a charge: how much of what, whose, and why."""

    number: str
    provider_id: int
    payer: str
    payer_en: str
    subject: str
    fen: int
    reason: str


def given_up(*, charge_id: int) -> GivenUp | None:
    """Return the newest write-off of a charge, also one that is just being approved. One query."""
    rows = ChargeProposal.objects.filter(charge_id=charge_id, kind=ChargeProposalKind.WRITE_OFF.value)
    found = rows.exclude(state=ProposalState.RETURNED.value).select_related("charge__payer").order_by("-pk").first()
    if found is None:
        return None
    charge = found.charge
    payer = charge.payer
    return GivenUp(
        found.number,
        charge.provider_id,
        payer.name,
        payer.name_en,
        charge.subject,
        found.amount_fen,
        found.reason,
    )


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
