"""What a statement line may be, and why: the one place that knows, for automatic matching and for the person who decides.

Reads in a constant number of queries, whatever the number of lines.
"""

from __future__ import annotations

import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from portal.kernel.money import Money
from vouchers.banking import rules, tracing
from vouchers.banking.models import StatementLine
from vouchers.banking.rules import PartKind
from vouchers.ledger.chart import JournalKind
from vouchers.ledger.models import Transfer
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.rail_models import RefundAttempt
from vouchers.payments.rules import PaymentState
from vouchers.settlements.models import SettlementBatch

__all__ = ["Book", "Part", "Suggestion", "load", "paid_back", "suggestions"]

OPEN = (PaymentState.DUE.value, PaymentState.DECLARED.value)
FEES = ("手续费", "工本费", "回单费", "账户管理费", "网银服务费", "汇款费")
MOST = 8
"""Suggestions shown of one line."""


@dataclass(frozen=True, slots=True)
class Part:
    """So much of a line (fen, positive) is this."""

    kind: PartKind
    amount_fen: int
    payment: Payment | None = None
    batch: SettlementBatch | None = None
    returned: StatementLine | None = None
    rail: str = ""
    arrival: Arrival | None = None

    @property
    def yuan(self) -> str:
        return Money(self.amount_fen).yuan()


@dataclass(frozen=True, slots=True)
class Suggestion:
    """What a line may be. `reasons` are codes, the strongest first; `certain` ones need nobody to decide."""

    parts: tuple[Part, ...]
    reasons: tuple[str, ...]
    certain: bool = False


@dataclass(slots=True)
class Book:
    """What lines are compared with: read once for many."""

    manual: dict[tuple[str, str], Arrival] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    """By payment reference and by number."""
    due: list[Payment] = field(default_factory=list)
    by_payer: dict[str, list[Payment]] = field(default_factory=lambda: defaultdict(list))
    by_left: dict[int, list[Payment]] = field(default_factory=lambda: defaultdict(list))
    by_owed: dict[int, list[Payment]] = field(default_factory=lambda: defaultdict(list))
    paid_back: dict[str, tuple[Payment, int]] = field(default_factory=dict)
    """By bank reference: what finance recorded by hand as paid back, and how much."""
    batches: list[SettlementBatch] = field(default_factory=list)
    parked: dict[int, list[StatementLine]] = field(default_factory=lambda: defaultdict(list))
    spent: set[int] = field(default_factory=set)
    """Payments matched since this was read: what they lack is not known any more."""


def _spellings(name: str) -> set[str]:
    """Return how a bank or we may write the same name: brackets and letters of either width."""
    plain = unicodedata.normalize("NFKC", name)
    return {name, plain, plain.replace("(", "（").replace(")", "）"), plain.replace(" ", "")} - {""}


def load(lines: Sequence[StatementLine]) -> Book:
    """Read what lines may be about. Seven queries at most."""
    book = Book()
    incoming = [line for line in lines if line.amount_fen > 0]
    outgoing = [line for line in lines if line.amount_fen < 0]
    if incoming:
        _load_incoming(book, incoming)
    if outgoing:
        _load_outgoing(book, outgoing)
    return book


def _load_incoming(book: Book, lines: Sequence[StatementLine]) -> None:
    sources = [f"manual:{line.reference}" for line in lines]
    for arrival in Arrival.objects.filter(source__in=sources).select_related("payment__charge", "payment__payer"):
        book.manual[arrival.account, arrival.source.removeprefix("manual:")] = arrival
    traced = {trace.reference for line in lines for trace in tracing.references(line.memo)}
    named = {number for line in lines for number in tracing.numbers(line.memo)}
    names = {spelling for line in lines for spelling in _spellings(line.name)}
    left = {line.amount_fen for line in lines}
    rows = (
        Payment.objects.alias(left=F("amount_fen") - F("paid_fen"))
        .filter(
            Q(reference__in=traced)
            | Q(number__in=named)
            | Q(state__in=OPEN) & (Q(payer__name__in=names) | Q(left__in=left))
        )
        .select_related("charge", "payer")
        .order_by("pk")
    )
    for payment in rows:
        book.payments[payment.reference] = book.payments[payment.number] = payment
        if payment.state in OPEN:
            book.by_payer[rules.name_key(payment.payer.name)].append(payment)
            book.by_left[payment.left_fen].append(payment)


def _load_outgoing(book: Book, lines: Sequence[StatementLine]) -> None:
    references = {line.reference for line in lines}
    amounts = {-line.amount_fen for line in lines}
    owed = (
        Payment.objects.alias(owed=F("refunded_fen") - F("paid_back_fen"))
        .filter(state=PaymentState.CONFIRMED.value, refunded_fen__gt=F("paid_back_fen"), owed__in=amounts)
        .select_related("charge", "payer")
        .order_by("pk")
    )
    for payment in owed:
        if payment.owed_back_fen:
            book.by_owed[payment.owed_back_fen].append(payment)
    book.paid_back = paid_back(references)
    named = {number for line in lines for number in tracing.numbers(line.memo)}
    batches = SettlementBatch.objects.filter(
        Q(bank_reference__in=references) | Q(number__in=named) | Q(total_fen__in=amounts, paid_at__isnull=False)
    )
    book.batches = list(batches.exclude(bank_parts__match__state__in=rules.ACTIVE).select_related("payee"))
    parked = StatementLine.objects.filter(state=rules.LineState.PARKED.value, amount_fen__in=amounts)
    for line in parked.order_by("pk"):
        book.parked[line.amount_fen].append(line)


def paid_back(references: Iterable[str]) -> dict[str, tuple[Payment, int]]:
    """Return by bank reference what finance recorded by hand as paid back, and how much. Three queries."""
    wanted = set(references)
    found: dict[str, tuple[Payment, int]] = {}
    payments = {
        payment.number: payment
        for payment in Payment.objects.filter(paid_back_reference__in=wanted).select_related("charge", "payer")
    }
    journals = Transfer.objects.filter(
        journal__source_type="payment", journal__source_id__in=payments, journal__kind=JournalKind.CASH_OUT.value
    )
    for number, key, fen in journals.values_list("journal__source_id", "journal__key", "amount"):
        reference = key.removeprefix(f"payment:{number}/back/").rpartition("/")[0]
        if key.startswith(f"payment:{number}/back/") and reference in wanted:
            found[reference] = (payments[number], found.get(reference, (None, 0))[1] + fen)
    refunds = RefundAttempt.objects.filter(settled_as__in=[f"bank:{reference}" for reference in wanted])
    for refund in refunds.select_related("payment__charge", "payment__payer"):
        found[refund.settled_as.removeprefix("bank:")] = (refund.payment, refund.amount_fen)
    return found


def suggestions(line: StatementLine, book: Book) -> list[Suggestion]:
    """Return what a line may be, the likeliest first. A certain one comes alone."""
    found = _incoming(line, book) if line.amount_fen > 0 else _outgoing(line, book)
    if found and found[0].certain:
        return found[:1]
    seen: set[tuple[Any, ...]] = set()
    kept = []
    for one in found:
        key = tuple((part.kind, part.payment and part.payment.pk, part.batch and part.batch.pk) for part in one.parts)
        if key not in seen:
            seen.add(key)
            kept.append(one)
    return kept[:MOST]


def _incoming(line: StatementLine, book: Book) -> list[Suggestion]:
    fen = line.amount_fen
    manual = book.manual.get((line.account.owner, line.reference))
    if manual is not None and line.state != rules.LineState.PARKED.value:
        part = Part(PartKind.MANUAL, manual.amount_fen, payment=manual.payment, arrival=manual)
        if manual.amount_fen == fen:
            return [Suggestion((part,), ("by_hand",), certain=True)]
        return [Suggestion((part,), ("by_hand", "amount_differs"))]
    found = _traced(line, book)
    if found and found[0].certain:
        return found
    payer = line.name_key
    for payment in book.by_payer.get(payer, ()) if payer else ():
        if payment.left_fen == fen:
            found.append(_whole(line, payment, ("payer", "amount")))
    numbered = [book.payments[number] for number in tracing.numbers(line.memo) if number in book.payments]
    found += [_whole(line, payment, ("number",)) for payment in numbered]
    found += _pairs(line, book.by_payer.get(payer, []) if payer else [])
    if any(code in f"{line.name} {line.memo}".casefold() for code in settings.PAYMENT_RAILS):
        code = next(code for code in settings.PAYMENT_RAILS if code in f"{line.name} {line.memo}".casefold())
        found.append(Suggestion((Part(PartKind.PAYOUT, fen, rail=code),), ("rail",)))
    found += [_whole(line, payment, ("amount",)) for payment in book.by_left.get(fen, ())]
    found += [_whole(line, payment, ("payer",)) for payment in (book.by_payer.get(payer, ()) if payer else ())]
    return found


def _whole(line: StatementLine, payment: Payment, reasons: tuple[str, ...], *, certain: bool = False) -> Suggestion:
    return Suggestion((Part(PartKind.PAYMENT, abs(line.amount_fen), payment=payment),), reasons, certain=certain)


def _pairs(line: StatementLine, due: Sequence[Payment]) -> list[Suggestion]:
    """Suggest two payments of the payer that come to the line together."""
    by_left = {payment.left_fen: payment for payment in due}
    for payment in due:
        other = by_left.get(line.amount_fen - payment.left_fen)
        if other is not None and other.pk != payment.pk:
            both = (payment, other)
            parts = tuple(Part(PartKind.PAYMENT, each.left_fen, payment=each) for each in both)
            return [Suggestion(parts, ("payer", "sum"))]
    return []


def _traced(line: StatementLine, book: Book) -> list[Suggestion]:
    """Suggest the payments whose reference the memo holds; one alone, or several that add up exactly, are certain."""
    traces = [trace for trace in tracing.references(line.memo) if trace.reference in book.payments]
    payments = [book.payments[trace.reference] for trace in traces]
    if not payments:
        return []
    exact = traces[0].exact
    reason = "reference" if exact else "look_alike"
    if len(payments) == 1:
        [payment] = payments
        same = not line.name_key or line.name_key == rules.name_key(payment.payer.name)
        fits = payment.left_fen == line.amount_fen and payment.state in OPEN
        fresh = payment.pk not in book.spent
        reasons = (reason, *(("payer",) if line.name_key and same else ()), *(("amount",) if fits and fresh else ()))
        if not same:
            reasons = (*reasons, "payer_differs")
        certain = (same or (fits and fresh)) if exact else fits and fresh and same
        return [_whole(line, payment, reasons, certain=certain)]
    lacks = sum(payment.left_fen for payment in payments if payment.state in OPEN)
    if exact and lacks == line.amount_fen and not book.spent & {payment.pk for payment in payments}:
        parts = tuple(
            Part(PartKind.PAYMENT, payment.left_fen, payment=payment) for payment in payments if payment.state in OPEN
        )
        return [Suggestion(parts, (reason, "sum"), certain=True)]
    return [_whole(line, payment, (reason, "several")) for payment in payments]


def _outgoing(line: StatementLine, book: Book) -> list[Suggestion]:
    fen = -line.amount_fen
    if line.reference in book.paid_back:
        paid, amount = book.paid_back[line.reference]
        return [Suggestion((Part(PartKind.PAID_BACK, amount, payment=paid),), ("by_hand",), certain=amount == fen)]
    found: list[Suggestion] = []
    numbers = set(tracing.numbers(line.memo))
    for batch in book.batches:
        known = batch.bank_reference and batch.bank_reference.upper().replace(" ", "") == line.reference
        reasons = [
            *(["batch_reference"] if known else []),
            *(["number"] if batch.number in numbers else []),
            *(["amount"] if batch.total_fen == fen else []),
        ]
        if reasons and batch.paid_at is not None:
            part = Part(PartKind.SETTLEMENT, fen, batch=batch)
            certain = batch.total_fen == fen and bool(known or batch.number in numbers)
            found.append(Suggestion((part,), tuple(reasons), certain=certain))
    found.sort(key=lambda one: (not one.certain, -len(one.reasons)))
    if found and found[0].certain:
        return found
    for payment in book.by_owed.get(fen, ()):
        named = line.name_key == rules.name_key(payment.payer.name) or payment.number in numbers
        part = Part(PartKind.REFUND, fen, payment=payment)
        found.append(Suggestion((part,), ("owed_back", "payer") if named else ("owed_back",)))
    for parked in book.parked.get(fen, ()):
        same = bool(line.counter_account) and line.counter_account == parked.counter_account
        if same or (line.name_key and line.name_key == parked.name_key):
            part = Part(PartKind.RETURN, fen, returned=parked)
            found.insert(0, Suggestion((part,), ("sender", "amount")))
    if any(word in f"{line.memo}{line.name}" for word in FEES):
        found.insert(0, Suggestion((Part(PartKind.FEE, fen),), ("fee_words",)))
    return found
