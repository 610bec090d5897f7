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
from vouchers.ledger import queries as ledger
from vouchers.ledger.chart import AccountKind
from vouchers.ledger.models import Account
from vouchers.payments.rules import PaymentState
from vouchers.programmes.terms import RedeemMode
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


def offsets(payee_id: int, due: Sequence[Due]) -> dict[tuple[str, int], int]:
    """Return what a payee owes back and is taken from what it is owed: fen by programme and year, at most what is due.

    A provider owes what it refunded after a batch held it; offsets of batches not yet paid are spoken for. Cases of
    `recoveries` have accounts of their own and are paid in money.
    """
    accounts = Account.objects.filter(
        kind=AccountKind.RECEIVABLE_PROVIDER.value, owner=f"organisation:{payee_id}", closed_at__isnull=True
    )
    owed = {(row.programme, row.fiscal_year or 0): row.pk for row in accounts}
    if not owed:
        return {}
    balances = ledger.balances(account_ids=owed.values())
    pending = SettlementLine.objects.filter(
        batch__payee_id=payee_id,
        batch__state__in=[rules.BatchState.DRAFT.value, rules.BatchState.APPROVED.value],
        leg=rules.Leg.OFFSET.value,
        active=True,
    )
    spoken: dict[tuple[str, int], int] = {}
    for line in pending:
        spoken[line.programme_code, line.fiscal_year or 0] = (
            spoken.get((line.programme_code, line.fiscal_year or 0), 0) - line.amount_fen
        )
    payable = _payable_by_money(due)
    found = {
        money: min(balances[pk].posted_fen - spoken.get(money, 0), payable.get(money, 0)) for money, pk in owed.items()
    }
    return {money: fen for money, fen in sorted(found.items()) if fen > 0}


def _payable_by_money(due: Sequence[Due]) -> dict[tuple[str, int], int]:
    """Return what is due out of the provider's own accounts, by programme and year."""
    sums: dict[tuple[str, int], int] = {}
    for row in due:
        if row.leg is rules.Leg.VOUCHER and row.charge is not None:
            for part in row.charge.parts.select_related("voucher"):
                money = (part.voucher.programme_code, part.voucher.fiscal_year)
                sums[money] = sums.get(money, 0) + part.payable_fen
        elif row.claim is not None and row.claim.mode == RedeemMode.DEDUCT.value:
            money = (row.claim.version.programme.code, row.claim.fiscal_year)
            sums[money] = sums.get(money, 0) + row.amount_fen
    return sums


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
