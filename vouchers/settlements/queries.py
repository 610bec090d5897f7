"""Read what can be settled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Count, Exists, F, OuterRef, Q, QuerySet, Sum
from django.db.models.functions import Coalesce

from vouchers.charges.models import Charge, ChargePart
from vouchers.claims import paying
from vouchers.claims.cases import payable_of
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.queries import on_claim, unclaimed
from vouchers.claims.rules import ClaimState
from vouchers.ledger.chart import AccountKind
from vouchers.payments.rules import PaymentState
from vouchers.settlements import repaying, rules
from vouchers.settlements.models import SettlementBatch, SettlementLine
from vouchers.settlements.order_models import Discrepancy
from vouchers.settlements.order_rules import NOT_PAID, AnswerOutcome, DiscrepancyState, PaidPerhaps

LATE = Q(said=AnswerOutcome.PAID.value, line__state__in=NOT_PAID)
"""A bank says of a line that failed or was cancelled that it has paid it."""
CLOSED = DiscrepancyState.CLOSED.value


@dataclass(frozen=True, slots=True)
class Due:
    """What a payee is owed and no batch holds yet: a voucher's part of a charge, its own share, or an approved claim."""

    leg: rules.Leg
    amount_fen: int
    charge: Charge | None = None
    claim: RedemptionClaim | None = None
    part: ChargePart | None = None

    @property
    def purse(self) -> rules.Purse:
        """Which of the payee's accounts owes it."""
        if self.claim is not None:
            key = payable_of(self.claim)
            return rules.Purse(key.kind.value, key.programme, key.fiscal_year)
        if self.part is not None:
            voucher = self.part.voucher
            return rules.Purse(AccountKind.PROVIDER_PAYABLE.value, voucher.programme_code, voucher.fiscal_year)
        return rules.OWN_SHARES


PART_DUE = F("captured_fen") - F("refunded_fen") + F("owed_fen")
OWN_DUE = F("own_captured_fen") - F("own_written_off_fen") - F("own_refunded_fen") + F("own_owed_fen")


def _questioned() -> QuerySet[SettlementLine]:
    """Return the lines of batches of which a bank says, after all, that it paid them, while nobody has closed the case."""
    return SettlementLine.objects.filter(
        Q(active=True) | Q(given_up=True),
        batch__order_lines__discrepancies__in=Discrepancy.objects.filter(LATE).exclude(state=CLOSED),
    )


def _parts_due(payee_ids: Iterable[int] | None) -> QuerySet[ChargePart]:
    """Return what vouchers paid that needs no claim, is in none, in no batch and not perhaps paid already."""
    parts = ChargePart.objects.filter(charge__state="captured", charge__withheld_at__isnull=True)
    if payee_ids is not None:
        parts = parts.filter(charge__provider_id__in=payee_ids)
    batched = SettlementLine.objects.filter(charge=OuterRef("charge"), voucher=OuterRef("voucher"), active=True)
    return (
        parts.annotate(due=PART_DUE)
        .filter(~Exists(batched), unclaimed(), due__gt=0)
        .exclude(Exists(_questioned().filter(charge=OuterRef("charge"), voucher=OuterRef("voucher"))))
        .exclude(pk__in=on_claim().values("pk"))
    )


def _own_due(payee_ids: Iterable[int] | None) -> QuerySet[Charge]:
    """Return the charges whose own share has arrived and is in no batch."""
    charges = Charge.objects.filter(
        state="captured", withheld_at__isnull=True, payment__state=PaymentState.CONFIRMED.value
    )
    if payee_ids is not None:
        charges = charges.filter(provider_id__in=payee_ids)
    of_charge = {"charge": OuterRef("pk"), "leg": rules.Leg.OWN.value}
    batched = SettlementLine.objects.filter(**of_charge, active=True)
    return charges.annotate(due=OWN_DUE).filter(~Exists(batched), ~Exists(_questioned().filter(**of_charge)), due__gt=0)


def due_to(payee_id: int, *, now: datetime) -> Sequence[Due]:
    """Return everything a payee can be paid now; as `due_of`."""
    return due_of([payee_id], now=now).get(payee_id, [])


def due_of(payee_ids: Iterable[int], *, now: datetime) -> dict[int, list[Due]]:
    """Return everything each of these payees can be paid now, in at most four queries whatever their number.

    What vouchers paid without need of a claim, own shares that have arrived, and approved claims whose run is open. Left
    out is what a bank says it has paid after all: it waits until two persons have closed that case.
    """
    wanted = list(payee_ids)
    found: dict[int, list[Due]] = {}
    for part in _parts_due(wanted).select_related("charge__payer", "voucher").order_by("charge_id", "pk"):
        row = Due(rules.Leg.VOUCHER, part.payable_fen, charge=part.charge, part=part)
        found.setdefault(part.charge.provider_id, []).append(row)
    for charge in _own_due(wanted).select_related("payer").order_by("pk"):
        found.setdefault(charge.provider_id, []).append(Due(rules.Leg.OWN, charge.own_payable_fen, charge=charge))
    claims = paying.eligible(wanted, now=now)
    questioned = _questioned().filter(claim__in=claims) if claims else _questioned().none()
    held = set(questioned.values_list("claim_id", flat=True))
    for claim in claims:
        if claim.pk not in held:
            found.setdefault(claim.payee_id, []).append(Due(rules.Leg.CLAIM, claim.approved_fen or 0, claim=claim))
    return found


def refunds_owed(payee_id: int, due: Sequence[Due]) -> dict[rules.Purse, int]:
    """Return what a payee owes back and is taken from what it is owed: fen by purse, at most what is due.

    A payee owes what it refunded after a batch held it, and what a bank paid it though it had said that it failed; offsets
    of batches not yet paid are spoken for. Cases of `recoveries` have accounts of their own: finance sets them off by `offsetting.set_off`.
    """
    left = dict(repaying.owed_by([payee_id]).get(payee_id, {}))
    found: dict[rules.Purse, int] = {}
    for purse, fen in sorted(by_purse((row.purse, row.amount_fen) for row in due).items(), reverse=True):
        taken = min(left.get((purse.programme, purse.fiscal_year), 0), fen)
        if taken > 0:
            found[purse] = taken
            left[purse.programme, purse.fiscal_year] -= taken
    return dict(sorted(found.items()))


def by_purse(rows: Iterable[tuple[rules.Purse, int]]) -> dict[rules.Purse, int]:
    """Add amounts up by the account that owes them."""
    sums: dict[rules.Purse, int] = {}
    for purse, fen in rows:
        sums[purse] = sums.get(purse, 0) + fen
    return sums


def due_by_payee(*, now: datetime) -> dict[int, int]:
    """Return the fen due to each payee now, in three queries."""
    totals: dict[int, int] = {}
    parts = _parts_due(None).values_list("charge__provider_id").annotate(total=Coalesce(Sum("due"), 0))
    own = _own_due(None).values_list("provider_id").annotate(total=Coalesce(Sum("due"), 0))
    claims = RedemptionClaim.objects.filter(state=ClaimState.PAYABLE.value, eligible_at__lte=now)
    claims = claims.exclude(pk__in=_questioned().filter(claim__isnull=False).values("claim"))
    claimed = claims.values_list("payee_id").annotate(total=Coalesce(Sum("approved_fen"), 0))
    for rows in (parts, own, claimed):
        for payee_id, total in rows.order_by():
            totals[payee_id] = totals.get(payee_id, 0) + total
    return totals


def standing() -> QuerySet[SettlementBatch, tuple[str, int, int]]:
    """Return each state with how many batches stand in it and the fen they come to, in one query."""
    rows = SettlementBatch.objects.order_by().values_list("state")
    return rows.annotate(count=Count("pk"), fen=Coalesce(Sum("total_fen"), 0))


def own_standing(payee_id: int) -> dict[str, int]:
    """Return what a payee's batches come to by state, in fen, in one query."""
    rows = SettlementBatch.objects.filter(payee_id=payee_id).order_by().values_list("state")
    return dict(rows.annotate(fen=Coalesce(Sum("total_fen"), 0)))


def refuse_unpaid_shares(batch_id: int) -> None:
    """Raises ShareNotPaid where an own share of a batch is not with us any more: taken back by a gateway or the bank."""
    lines = SettlementLine.objects.filter(batch_id=batch_id, leg=rules.Leg.OWN.value, active=True)
    gone = lines.exclude(charge__payment__state=PaymentState.CONFIRMED.value).order_by("pk")
    numbers = list(gone.values_list("charge__payment__number", flat=True)[:10])
    if numbers:
        raise rules.ShareNotPaid(numbers=", ".join(numbers))


def open_cases_about(batch_id: int) -> list[str]:
    """Return the numbers of open cases whose money may be a batch's: its own, or of a batch that held the same lines."""
    lines = SettlementLine.objects.filter(batch_id=batch_id, active=True)
    same = _questioned().filter(
        Exists(lines.filter(charge=OuterRef("charge"), voucher=OuterRef("voucher")))
        | Exists(lines.filter(charge=OuterRef("charge"), leg=OuterRef("leg"), voucher=None))
        | Exists(lines.filter(claim=OuterRef("claim")))
    )
    about = Q(line__batch=batch_id) | Q(line__batch__in=same.values("batch"))
    cases = Discrepancy.objects.filter(LATE, about).exclude(state=CLOSED).order_by("pk")
    return list(cases.values_list("number", flat=True).distinct())


def refuse_questioned(batch_id: int) -> None:
    """Raises PaidPerhaps where a bank says it has paid a batch's lines already and the case is not closed."""
    if numbers := open_cases_about(batch_id):
        raise PaidPerhaps(numbers=", ".join(numbers[:10]))


def lines_of(batch_id: int) -> QuerySet[SettlementLine]:
    """Return a batch's lines with what a statement shows of them; those sent back come along, not active."""
    return (
        SettlementLine.objects.filter(batch_id=batch_id)
        .select_related(
            "charge",
            "voucher",
            "recovery__version__programme",
            "batch__payee",
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
