"""Read what can be settled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.db.models import F, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from vouchers.charges.models import Charge
from vouchers.payments.rules import PaymentState
from vouchers.settlements import rules
from vouchers.settlements.models import SettlementLine


@dataclass(frozen=True, slots=True)
class Due:
    """One leg of one charge that a provider is owed and no batch holds yet."""

    charge: Charge
    leg: rules.Leg
    amount_fen: int


def _unsettled(provider_id: int | None, leg: rules.Leg) -> QuerySet[Charge]:
    charges = Charge.objects.filter(state="captured")
    if provider_id is not None:
        charges = charges.filter(provider_id=provider_id)
    settled = SettlementLine.objects.filter(leg=leg.value, active=True).values("charge_id")
    charges = charges.exclude(pk__in=settled)
    if leg is rules.Leg.VOUCHER:
        return charges.filter(voucher_captured_fen__gt=0)
    return charges.filter(own_captured_fen__gt=0, payment__state=PaymentState.CONFIRMED.value)


def due_to(provider_id: int) -> Sequence[Due]:
    """Return everything a provider can be paid now: captured voucher shares, and own shares that have arrived."""
    found = [
        Due(charge, rules.Leg.VOUCHER, charge.voucher_captured_fen)
        for charge in _unsettled(provider_id, rules.Leg.VOUCHER).select_related("voucher", "payer").order_by("pk")
    ]
    found += [
        Due(charge, rules.Leg.OWN, charge.own_captured_fen)
        for charge in _unsettled(provider_id, rules.Leg.OWN).select_related("voucher", "payer").order_by("pk")
    ]
    return found


def due_by_provider() -> dict[int, int]:
    """Return the fen due to each provider now, in two queries."""
    totals: dict[int, int] = {}
    for leg, column in ((rules.Leg.VOUCHER, "voucher_captured_fen"), (rules.Leg.OWN, "own_captured_fen")):
        rows = _unsettled(None, leg).values("provider_id").annotate(total=Coalesce(Sum(F(column)), 0)).order_by()
        for row in rows:
            totals[row["provider_id"]] = totals.get(row["provider_id"], 0) + row["total"]
    return totals


def lines_of(batch_id: int) -> QuerySet[SettlementLine]:
    """Return a batch's lines with what a statement shows of them."""
    return (
        SettlementLine.objects.filter(Q(batch_id=batch_id))
        .select_related("charge", "charge__voucher", "charge__payer", "charge__payment")
        .order_by("charge__resolved_at", "pk")
    )
