"""What a statement line may be, and why: the one place that knows, for automatic matching and for the person who decides.

Reads in a constant number of queries, whatever the number of lines.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django.conf import settings
from django.db.models import F, Q

from portal.numbers.services import PORTAL_ZONE
from portal.organisations.models import Organisation
from vouchers.banking import claiming, outgoing, rules, spelling, tracing
from vouchers.banking.models import BankClaim, StatementLine
from vouchers.banking.parts import Part, Suggestion
from vouchers.banking.rules import PartKind
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.rules import PaymentState
from vouchers.recoveries.models import RecoveryPayment
from vouchers.settlements import repaying
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.rules import PAID

__all__ = ["Book", "load", "suggestions"]

OPEN = (PaymentState.DUE.value, PaymentState.DECLARED.value)
RETURNED = ("退票", "退汇", "退回", "账号不符", "户名不符")
MOST = 8
"""Suggestions shown of one line."""


@dataclass(slots=True)
class Book:
    """What lines are compared with: read once for many."""

    manual: dict[tuple[str, str], Arrival] = field(default_factory=dict)
    payments: dict[str, Payment] = field(default_factory=dict)
    """By payment reference and by number."""
    due: list[Payment] = field(default_factory=list)
    by_payer: dict[str, list[Payment]] = field(default_factory=lambda: defaultdict(list))
    by_left: dict[int, list[Payment]] = field(default_factory=lambda: defaultdict(list))
    out: outgoing.Book = field(default_factory=outgoing.Book)
    bounced: dict[int, list[SettlementBatch]] = field(default_factory=lambda: defaultdict(list))
    """By amount: batches that were paid, which may come back."""
    owing: dict[str, list[tuple[Organisation, int]]] = field(default_factory=lambda: defaultdict(list))
    """By name: payees that owe something back, and how much, in fen."""
    recovered: dict[str, RecoveryPayment] = field(default_factory=dict)
    """By bank reference: money of recoveries that finance recorded by hand."""
    spent: set[int] = field(default_factory=set)
    """Payments matched since this was read: what they lack is not known any more."""
    doubted: set[str] = field(default_factory=set)
    """Bank references of which somebody says that they were mistyped: a person decides."""


def load(lines: Sequence[StatementLine]) -> Book:
    """Read what lines may be about. Ten queries for what came in, a dozen and two for what went out, at most."""
    book = Book()
    doubted = BankClaim.objects.filter(reference__in={line.reference for line in lines}, released_at=None)
    book.doubted = set(doubted.exclude(doubter="").values_list("reference", flat=True))
    incoming = [line for line in lines if line.amount_fen > 0]
    went_out = [line for line in lines if line.amount_fen < 0]
    if incoming:
        _load_incoming(book, incoming)
        _load_bounced(book, incoming)
        _load_repaid(book, incoming)
    if went_out:
        book.out = outgoing.load(went_out)
    return book


def _load_incoming(book: Book, lines: Sequence[StatementLine]) -> None:
    sources = {f"manual:{name}": now for name, now in claiming.booked_as(line.reference for line in lines).items()}
    for arrival in Arrival.objects.filter(source__in=sources).select_related("payment__charge", "payment__payer"):
        book.manual[arrival.account, sources[arrival.source]] = arrival
    traced = {trace.reference for line in lines for trace in tracing.references(line.memo)}
    named = {number for line in lines for number in tracing.numbers(line.memo)}
    names = {spelling for line in lines for spelling in rules.spellings(line.name)}
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


def _load_bounced(book: Book, lines: Sequence[StatementLine]) -> None:
    amounts = {line.amount_fen for line in lines}
    batches = SettlementBatch.objects.filter(state__in=PAID, total_fen__in=amounts).select_related("payee", "account")
    for batch in batches.order_by("-paid_at"):
        book.bounced[batch.total_fen].append(batch)


def _load_repaid(book: Book, lines: Sequence[StatementLine]) -> None:
    """Read which payees the lines name that owe something back, and what of recoveries was recorded by hand. Five queries."""
    names = {spelling for line in lines for spelling in rules.spellings(line.name)}
    payees = {payee.pk: payee for payee in Organisation.objects.filter(name__in=names)}
    for pk, purses in (repaying.owed_by(payees) if payees else {}).items():
        book.owing[rules.name_key(payees[pk].name)].append((payees[pk], sum(purses.values())))
    rows = RecoveryPayment.objects.filter(bank_reference__in={line.reference for line in lines}, batch="")
    book.recovered = {row.bank_reference: row for row in rows.select_related("recovery__debtor")}


def _repaid(line: StatementLine, book: Book) -> list[Suggestion]:
    """Suggest that a payee whose name the line shows pays back what it owes, as far as it owes so much; a person decides."""
    found = []
    for payee, owed in book.owing.get(line.name_key, ()) if line.name_key else ():
        if line.amount_fen <= owed:
            why = ("payer", "owes", *(("amount",) if line.amount_fen == owed else ()))
            found.append(Suggestion((Part(PartKind.REPAYMENT, line.amount_fen, payer=payee),), why))
    return found


def _bounces(line: StatementLine, book: Book) -> list[Suggestion]:
    """Suggest that a payment came back: the whole sum of a batch, from its payee's name or account, soon after it was paid."""
    found, numbers = [], set(tracing.numbers(line.memo))
    words = any(word in f"{line.name}{line.memo}" for word in RETURNED)
    for batch in book.bounced.get(line.amount_fen, ()):
        account = batch.account is not None and line.counter_account == spelling.digits(batch.account.number)
        name = bool(line.name_key) and line.name_key == rules.name_key(batch.payee.name)
        if batch.paid_at is None or not (account or name or words or batch.number in numbers):
            continue
        near = rules.is_near(line.booked_on, batch.paid_at.astimezone(PORTAL_ZONE).date())
        why = ((words, "bounce_words"), (batch.number in numbers, "number"), (account, "account"), (name, "payer"))
        reasons = (*(code for holds, code in why if holds), "amount", *(() if near else ("day_differs",)))
        found.append(Suggestion((Part(PartKind.BOUNCE, line.amount_fen, batch=batch),), reasons))
    return found


def suggestions(line: StatementLine, book: Book) -> list[Suggestion]:
    """Return what a line may be, the likeliest first. A certain one comes alone."""
    found = _incoming(line, book) if line.amount_fen > 0 else outgoing.suggestions(line, book.out)
    if line.reference in book.doubted:
        found = [replace(one, certain=False) for one in found]
    if found and found[0].certain:
        return found[:1]
    seen: set[tuple[Any, ...]] = set()
    kept = []
    for one in found:
        key = tuple(
            (
                part.kind,
                part.amount_fen,
                *(thing and thing.pk for thing in (part.payment, part.batch, part.payer, part.recovery)),
            )
            for part in one.parts
        )
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
            near = rules.is_near(line.booked_on, manual.arrived_at.astimezone(PORTAL_ZONE).date())
            return [Suggestion((part,), ("by_hand",) if near else ("by_hand", "day_differs"), certain=near)]
        return [Suggestion((part,), ("by_hand", "amount_differs"))]
    done = book.recovered.get(line.reference)
    if done is not None and line.state != rules.LineState.PARKED.value:
        part = Part(PartKind.RECOVERED, done.amount_fen, recovery=done.recovery)
        same = done.amount_fen == fen
        return [Suggestion((part,), ("by_hand",) if same else ("by_hand", "amount_differs"), certain=same)]
    found = _traced(line, book)
    if found and found[0].certain:
        return found
    found += _bounces(line, book)
    found += _repaid(line, book)
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
    """Suggest the payments whose reference the memo holds.

    Certain is one that still lacks as much: all of it, or an instalment of it by its payer; and several that add up
    exactly. What comes above, for a payment that lacks nothing, or long after it was asked for, a person decides.
    """
    traces = [trace for trace in tracing.references(line.memo) if trace.reference in book.payments]
    payments = [book.payments[trace.reference] for trace in traces]
    if not payments:
        return []
    exact = traces[0].exact
    reason = "reference" if exact else "look_alike"
    if len(payments) == 1:
        [payment] = payments
        same = not line.name_key or line.name_key == rules.name_key(payment.payer.name)
        known = payment.state in OPEN and payment.pk not in book.spent
        fits = known and payment.left_fen == line.amount_fen
        instalment = exact and same and known and line.amount_fen < payment.left_fen
        fresh = _is_fresh(line, payment)
        reasons = (reason, *(("payer",) if line.name_key and same else ()), *(("amount",) if fits else ()))
        doubts = ((same, "payer_differs"), (fits or instalment, "amount_differs"), (fresh, "day_differs"))
        reasons = (*reasons, *(doubt for ok, doubt in doubts if not ok))
        certain = fresh and ((fits and (same or exact)) or instalment)
        return [_whole(line, payment, reasons, certain=certain)]
    lacks = sum(payment.left_fen for payment in payments if payment.state in OPEN)
    known = not book.spent & {payment.pk for payment in payments}
    if exact and known and lacks == line.amount_fen and all(_is_fresh(line, payment) for payment in payments):
        parts = tuple(
            Part(PartKind.PAYMENT, payment.left_fen, payment=payment) for payment in payments if payment.state in OPEN
        )
        return [Suggestion(parts, (reason, "sum"), certain=True)]
    return [_whole(line, payment, (reason, "several")) for payment in payments]


def _is_fresh(line: StatementLine, payment: Payment) -> bool:
    return rules.is_fresh(line.booked_on, payment.created_at.astimezone(PORTAL_ZONE).date())
