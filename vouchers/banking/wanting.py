"""What a person says a line is: kinds and what they point at, as text, read into parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from django.conf import settings
from django.db.models import Q

from portal.organisations.models import Organisation
from vouchers.banking import claiming, rules
from vouchers.banking.models import StatementLine
from vouchers.banking.parts import Part
from vouchers.banking.rules import PartKind
from vouchers.payments.models import Arrival, Payment
from vouchers.recoveries.models import Recovery
from vouchers.settlements import seeing
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import PaymentOrderLine
from vouchers.settlements.order_rules import OrderLineState

__all__ = ["Wanted", "parts_of"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One part: `target` is a payment's number or reference, a batch's number, a rail's code, a line's id; empty for fees.

    A batch is named by the reference of its line in a payment order, too; all batches of an order by the order's number. A
    payer or payee is named by credit code, name, or a payment of its own, a case of recovery by its number. `amount_fen` None is the whole line.
    """

    kind: PartKind
    target: str = ""
    amount_fen: int | None = None


def parts_of(line: StatementLine, wanted: Sequence[Wanted]) -> list[Part]:
    """Return the parts of a line a person named. Raises NoSuchTarget naming what was not found."""
    return [part for one in wanted for part in (_order(one) or [_part(line, one)])]


def _order(one: Wanted) -> list[Part]:
    """Return the parts of a whole payment order, where one is named: each batch the bank has paid by it."""
    if one.kind is not PartKind.SETTLEMENT:
        return []
    number = "".join(one.target.upper().split())
    rows = PaymentOrderLine.objects.filter(order__number=number, state=OrderLineState.PAID.value)
    return [
        Part(one.kind, row.amount_fen, batch=row.batch) for row in rows.select_related("batch").order_by("position")
    ]


def _part(line: StatementLine, one: Wanted) -> Part:
    fen = abs(line.amount_fen) if one.amount_fen is None else one.amount_fen
    text = "".join(one.target.upper().split())
    if one.kind is PartKind.FEE:
        return Part(one.kind, fen)
    if one.kind is PartKind.PAYOUT:
        if one.target.strip() not in settings.PAYMENT_RAILS:
            raise rules.NoSuchTarget(field="parts", value=one.target[:60])
        return Part(one.kind, fen, rail=one.target.strip())
    if one.kind in {PartKind.SETTLEMENT, PartKind.BOUNCE}:
        late = PaymentOrderLine.objects.filter(reference=text, state=OrderLineState.PAID_LATE.value)
        paid_late = late.select_related("batch").first() if one.kind is PartKind.SETTLEMENT else None
        if paid_late is not None and seeing.late_fen(paid_late):
            return Part(one.kind, fen, batch=paid_late.batch, order_line=paid_late)
        batch = SettlementBatch.objects.filter(Q(number=text) | Q(order_lines__reference=text)).first()
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
    if one.kind is PartKind.RECOVERED:
        case = Recovery.objects.select_related("debtor").filter(number=text).first()
        if case is None:
            raise rules.NoSuchTarget(field="parts", value=one.target[:60])
        return Part(one.kind, fen, recovery=case)
    if one.kind in {PartKind.EXCESS, PartKind.REPAYMENT}:
        return Part(one.kind, fen, payer=_payer(one.target))
    payment = Payment.objects.select_related("charge", "payer").filter(Q(number=text) | Q(reference=text)).first()
    if payment is None:
        raise rules.NoSuchTarget(field="parts", value=one.target[:60])
    arrival = None
    if one.kind is PartKind.MANUAL:
        sources = [f"manual:{name}" for name in claiming.booked_as([line.reference])]
        released = [f"manual:{name}" for name in claiming.loose(f"in:{payment.number}")]
        arrivals = Arrival.objects.filter(payment=payment, source__in=[*sources, *released]).order_by("pk")
        found_by_hand = {each.source: each for each in arrivals}
        arrival = next((found_by_hand[each] for each in (*sources, *released) if each in found_by_hand), None)
        if arrival is None:
            raise rules.NoSuchTarget(field="parts", value=one.target[:60])
    return Part(one.kind, fen, payment=payment, arrival=arrival)


def _payer(target: str) -> Organisation:
    """Return the organisation a person named. Raises NoSuchTarget."""
    text = target.strip()
    names = Q(name__in=rules.spellings(text)) | Q(credit_code=text.upper())
    found = list(Organisation.objects.filter(names).order_by("pk")[:2])
    if not found:
        payments = Payment.objects.filter(Q(number=text.upper()) | Q(reference=text.upper()))
        found = [payment.payer for payment in payments.select_related("payer")[:1]]
    if len(found) != 1:
        raise rules.NoSuchTarget(field="parts", value=target[:60])
    return found[0]
