"""Read what can be settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import F, QuerySet, Sum
from django.db.models.functions import Coalesce

from vouchers.charges.models import Charge
from vouchers.claims import paying
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.queries import on_claim
from vouchers.claims.rules import ClaimState
from vouchers.payments.rules import PaymentState
from vouchers.settlements import rules
from vouchers.settlements.models import SettlementLine


@dataclass(frozen=True, slots=True)
class Due:
    """What a payee is owed and no batch holds yet: one leg of one charge, or an approved claim."""

    leg: rules.Leg
    amount_fen: int
    charge: Charge | None = None
    claim: RedemptionClaim | None = None


VOUCHER_DUE = F("voucher_captured_fen") - F("voucher_refunded_fen") + F("voucher_owed_fen")
OWN_DUE = F("own_captured_fen") - F("own_refunded_fen")


def _unsettled(payee_id: int | None, leg: rules.Leg) -> QuerySet[Charge]:
    charges = Charge.objects.filter(state="captured")
    if payee_id is not None:
        charges = charges.filter(provider_id=payee_id)
    settled = SettlementLine.objects.filter(leg=leg.value, active=True).values("charge_id")
    charges = charges.exclude(pk__in=settled)
    if leg is rules.Leg.VOUCHER:
        claimed = on_claim().values("pk")
        return charges.annotate(due=VOUCHER_DUE).filter(due__gt=0).exclude(pk__in=claimed)
    return charges.annotate(due=OWN_DUE).filter(due__gt=0, payment__state=PaymentState.CONFIRMED.value)


def due_to(payee_id: int, *, now: datetime) -> Sequence[Due]:
    """Return everything a payee can be paid now.

    Captured voucher shares that need no claim, own shares that have arrived, and approved claims whose run is open.
    """
    found = [
        Due(rules.Leg.VOUCHER, charge.voucher_payable_fen, charge=charge)
        for charge in _unsettled(payee_id, rules.Leg.VOUCHER).select_related("voucher", "payer").order_by("pk")
    ]
    found += [
        Due(rules.Leg.OWN, charge.own_payable_fen, charge=charge)
        for charge in _unsettled(payee_id, rules.Leg.OWN).select_related("voucher", "payer").order_by("pk")
    ]
    found += [
        Due(rules.Leg.CLAIM, claim.approved_fen or 0, claim=claim) for claim in paying.eligible(payee_id, now=now)
    ]
    return found


def due_by_payee(*, now: datetime) -> dict[int, int]:
    """Return the fen due to each payee now, in three queries."""
    totals: dict[int, int] = {}
    for leg in (rules.Leg.VOUCHER, rules.Leg.OWN):
        rows = _unsettled(None, leg).values("provider_id").annotate(total=Coalesce(Sum("due"), 0)).order_by()
        for row in rows:
            totals[row["provider_id"]] = totals.get(row["provider_id"], 0) + row["total"]
    claims = RedemptionClaim.objects.filter(state=ClaimState.PAYABLE.value, eligible_at__lte=now)
    for payee_id, total in claims.values_list("payee_id").annotate(total=Sum("approved_fen")).order_by():
        totals[payee_id] = totals.get(payee_id, 0) + total
    return totals


def lines_of(batch_id: int) -> QuerySet[SettlementLine]:
    """Return a batch's lines with what a statement shows of them; those sent back come along, not active."""
    return (
        SettlementLine.objects.filter(batch_id=batch_id)
        .select_related(
            "charge",
            "charge__voucher",
            "charge__payer",
            "charge__payment",
            "claim",
            "claim__version",
            "claim__version__programme",
            "claim__claimant",
        )
        .prefetch_related("claim__parts")
        .order_by("charge__resolved_at", "pk")
    )
