"""What a person says a line is: kinds and what they point at, as text, read into parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q

from vouchers.banking import rules
from vouchers.banking.models import StatementLine
from vouchers.banking.rules import PartKind
from vouchers.banking.suggesting import Part
from vouchers.payments.models import Arrival, Payment
from vouchers.settlements.models import SettlementBatch

__all__ = ["Wanted", "parts_of"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One part: `target` is a payment's number or reference, a batch's number, a rail's code, a line's id; empty for fees.

    `amount_fen` None is the whole line.
    """

    kind: PartKind
    target: str = ""
    amount_fen: int | None = None


def parts_of(line: StatementLine, wanted: Sequence[Wanted]) -> list[Part]:
    """Return the parts of a line a person named. Raises NoSuchTarget naming what was not found."""
    return [_part(line, one) for one in wanted]


def _part(line: StatementLine, one: Wanted) -> Part:
    fen = abs(line.amount_fen) if one.amount_fen is None else one.amount_fen
    text = "".join(one.target.upper().split())
    if one.kind is PartKind.FEE:
        return Part(one.kind, fen)
    if one.kind is PartKind.PAYOUT:
        if one.target.strip() not in settings.PAYMENT_RAILS:
            raise rules.NoSuchTarget(field="parts", value=one.target[:60])
        return Part(one.kind, fen, rail=one.target.strip())
    if one.kind is PartKind.SETTLEMENT:
        batch = SettlementBatch.objects.filter(number=text).first()
        if batch is None:
            raise rules.NoSuchTarget(field="parts", value=one.target[:60])
        return Part(one.kind, fen, batch=batch)
    if one.kind is PartKind.RETURN:
        found = StatementLine.objects.filter(
            Q(reference=text) | Q(pk=int(text) if text.isdecimal() and len(text) < 19 else 0), account=line.account
        ).first()
        if found is None:
            raise rules.NoSuchTarget(field="parts", value=one.target[:60])
        return Part(one.kind, fen, returned=found)
    payment = Payment.objects.select_related("charge", "payer").filter(Q(number=text) | Q(reference=text)).first()
    if payment is None:
        raise rules.NoSuchTarget(field="parts", value=one.target[:60])
    arrival = None
    if one.kind is PartKind.MANUAL:
        arrival = Arrival.objects.filter(payment=payment, source=f"manual:{line.reference}").first()
        if arrival is None:
            raise rules.NoSuchTarget(field="parts", value=one.target[:60])
    return Part(one.kind, fen, payment=payment, arrival=arrival)
