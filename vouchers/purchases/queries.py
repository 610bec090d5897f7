"""Read purchases joined with their payments, documents and tax invoices: narrowed, summed, each with its figures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from django.db.models import Exists, F, OuterRef, Prefetch, Q, QuerySet, Sum

from vouchers.charges.models import Charge
from vouchers.charges.rules import ChargeState
from vouchers.invoices.models import ChargeDocument, Fapiao
from vouchers.invoices.rules import Colour, DocumentKind, FapiaoState
from vouchers.payments.models import Payment
from vouchers.payments.rules import PaymentState
from vouchers.purchases.rules import Bought, Figures, Papers, Standing

__all__ = ["Narrowing", "Row", "Sums", "narrowed", "row", "sums", "with_papers"]

DUE: Final = Q(payment__state__in=[PaymentState.DUE.value, PaymentState.DECLARED.value])
OWED: Final = Q(payment__state=PaymentState.CONFIRMED.value, payment__refunded_fen__gt=F("payment__paid_back_fen"))
MONEY: Final = Q(payment__isnull=False) & (DUE | OWED)
STANDINGS: Final[Mapping[Standing, Q]] = MappingProxyType(
    {
        Standing.DUE: Q(payment__isnull=False) & DUE,
        Standing.OWED_BACK: Q(payment__isnull=False) & OWED,
        Standing.RUNNING: Q(state=ChargeState.HELD.value),
        Standing.SETTLED: Q(state=ChargeState.CAPTURED.value),
        Standing.FREE: Q(state=ChargeState.RELEASED.value),
    }
)
ASKED: Final = (FapiaoState.REQUESTED.value, FapiaoState.ACCEPTED.value)


@dataclass(frozen=True, slots=True)
class Narrowing:
    """What a list of purchases may be narrowed to. `text` is looked for in numbers and the provider's name."""

    standing: Standing | None = None
    kind: Bought | None = None
    papers: Papers | None = None
    since: datetime | None = None
    until: datetime | None = None
    """Exclusive."""
    text: str = ""


def narrowed(rows: QuerySet[Charge], by: Narrowing) -> QuerySet[Charge]:
    """Return the purchases that answer every condition; those another charge took the place of are left out."""
    later = Charge.objects.filter(subject=OuterRef("subject")).exclude(state=ChargeState.RELEASED.value)
    rows = rows.exclude(Q(state=ChargeState.RELEASED.value) & ~MONEY & Exists(later))
    if by.standing is not None:
        rows = rows.filter(STANDINGS[by.standing])
        if by.standing not in {Standing.DUE, Standing.OWED_BACK}:
            rows = rows.exclude(MONEY)
    if by.kind is not None:
        rows = rows.filter(subject__startswith=f"{by.kind.value}:")
    if by.papers is not None:
        rows = _by_papers(rows, by.papers)
    if by.since is not None:
        rows = rows.filter(created_at__gte=by.since)
    if by.until is not None:
        rows = rows.filter(created_at__lt=by.until)
    if text := by.text.strip():
        rows = rows.filter(
            Q(subject__icontains=text)
            | Q(number__icontains=text)
            | Q(payment__number__icontains=text)
            | Q(payment__reference__iexact=text)
            | Q(provider__name__icontains=text)
            | Q(provider__name_en__icontains=text)
        )
    return rows


def _by_papers(rows: QuerySet[Charge], wanted: Papers) -> QuerySet[Charge]:
    blue = Fapiao.objects.filter(charge=OuterRef("pk"), colour=Colour.BLUE.value)
    issued = Exists(blue.filter(state=FapiaoState.ISSUED.value))
    asked = Exists(blue.filter(state__in=ASKED))
    if wanted is Papers.ISSUED:
        return rows.filter(issued)
    return rows.filter(asked) if wanted is Papers.ASKED else rows.filter(~issued & ~asked)


def with_papers(rows: QuerySet[Charge]) -> QuerySet[Charge]:
    """Return purchases with receipts and tax invoices: two further queries, whatever their number."""
    kinds = [DocumentKind.RECEIPT.value, DocumentKind.CANCELLATION.value]
    receipts = ChargeDocument.objects.filter(kind__in=kinds).only("number", "kind", "charge_id", "cancels_id")
    blue = Fapiao.objects.filter(colour=Colour.BLUE.value)
    return rows.prefetch_related(
        Prefetch("documents", queryset=receipts.order_by("pk"), to_attr="receipts"),
        Prefetch("fapiaos", queryset=blue.order_by("-pk"), to_attr="blues"),
    )


@dataclass(frozen=True, slots=True)
class Row:
    """One purchase as a list shows it. `receipt` is the number of the one that stands; empty: none does."""

    charge: Charge
    payment: Payment | None
    kind: str
    subject: str
    standing: Standing
    figures: Figures
    receipt: str
    fapiao: Fapiao | None


def row(charge: Charge) -> Row:
    """Return a purchase reached by `access` and `with_papers` with its figures. No query."""
    payment: Payment | None = getattr(charge, "payment", None)
    kind, _colon, number = charge.subject.partition(":")
    figures = _figures(charge, payment)
    papers: Any = charge
    cancelled = {one.cancels_id for one in papers.receipts if one.cancels_id}
    standing = [one.number for one in papers.receipts if one.kind == DocumentKind.RECEIPT and one.pk not in cancelled]
    return Row(
        charge=charge,
        payment=payment,
        kind=kind,
        subject=number,
        standing=_standing(charge, figures),
        figures=figures,
        receipt=standing[-1] if standing else "",
        fapiao=papers.blues[0] if papers.blues else None,
    )


def _standing(charge: Charge, figures: Figures) -> Standing:
    if figures.due:
        return Standing.DUE
    if figures.owed_back:
        return Standing.OWED_BACK
    state = ChargeState(charge.state)
    if state is ChargeState.HELD:
        return Standing.RUNNING
    return Standing.SETTLED if state is ChargeState.CAPTURED else Standing.FREE


def _figures(charge: Charge, payment: Payment | None) -> Figures:
    state = ChargeState(charge.state)
    price = voucher = own = 0
    if state is ChargeState.HELD:
        price, voucher, own = charge.price_fen, charge.voucher_held_fen, charge.own_held_fen
    elif state is ChargeState.CAPTURED:
        price = charge.actual_fen or 0
        voucher = charge.voucher_captured_fen - charge.voucher_refunded_fen
        own = charge.own_captured_fen - charge.own_refunded_fen - charge.own_written_off_fen
    is_open = payment is not None and payment.state in {PaymentState.DUE.value, PaymentState.DECLARED.value}
    return Figures(
        price=price,
        voucher=voucher,
        own=own,
        paid=payment.paid_fen if payment else 0,
        due=payment.left_fen if payment and is_open else 0,
        back=payment.paid_back_fen if payment else 0,
        owed_back=payment.owed_back_fen if payment else 0,
        refunded=charge.refunded_fen,
    )


@dataclass(frozen=True, slots=True)
class Sums:
    """What an enterprise is to pay, is to get back, and has held for what runs, in fen."""

    due_fen: int
    owed_back_fen: int
    held_voucher_fen: int
    held_own_fen: int


def sums(rows: QuerySet[Charge]) -> Sums:
    """Add up an enterprise's purchases. One query."""
    held = Q(state=ChargeState.HELD.value)
    found = rows.aggregate(
        due=Sum(F("payment__amount_fen") - F("payment__paid_fen"), filter=DUE),
        back=Sum(F("payment__refunded_fen") - F("payment__paid_back_fen"), filter=OWED),
        voucher=Sum("voucher_held_fen", filter=held),
        own=Sum("own_held_fen", filter=held),
    )
    return Sums(found["due"] or 0, found["back"] or 0, found["voucher"] or 0, found["own"] or 0)
