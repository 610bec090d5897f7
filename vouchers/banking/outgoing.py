"""What a line that went out may be: paid to providers, back to payers or senders, a fee. Reads for many lines at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from django.db.models import F, Q

from portal.numbers.services import PORTAL_ZONE
from portal.organisations.models import Organisation
from vouchers.banking import claiming, rules, tracing
from vouchers.banking.models import BankClaim, MatchPart, StatementLine
from vouchers.banking.parts import Part, Suggestion
from vouchers.banking.rules import PartKind
from vouchers.ledger.chart import JournalKind
from vouchers.ledger.models import Transfer
from vouchers.payments import unapplied
from vouchers.payments.models import Payment
from vouchers.payments.rail_models import RefundAttempt
from vouchers.payments.rules import PaymentState
from vouchers.settlements import seeing
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import PaymentOrder, PaymentOrderLine
from vouchers.settlements.order_rules import OrderLineState

__all__ = ["Book", "came_from", "load", "paid_back", "paid_back_as", "suggestions"]

FEES = ("手续费", "工本费", "回单费", "账户管理费", "网银服务费", "汇款费")


@dataclass(slots=True)
class Excess:
    """A payer's unapplied money that came by bank, in fen: what of which arrival, and the accounts it came from."""

    payer: Organisation
    lefts: list[unapplied.Left] = field(default_factory=list)
    accounts: set[str] = field(default_factory=set)

    @property
    def total(self) -> int:
        return sum(left.free + left.asked for left in self.lefts)


@dataclass(slots=True)
class Book:
    """What lines that went out are compared with: read once for many."""

    by_owed: dict[int, list[Payment]] = field(default_factory=lambda: defaultdict(list))
    paid_back: dict[str, tuple[Payment, int]] = field(default_factory=dict)
    """By bank reference: what finance recorded by hand as paid back, and how much."""
    claims: dict[str, str] = field(default_factory=dict)
    """By bank reference: what finance said by hand it is for."""
    batches: list[SettlementBatch] = field(default_factory=list)
    seen: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    """By batch: what of it lines show already."""
    order_lines: dict[int, list[PaymentOrderLine]] = field(default_factory=lambda: defaultdict(list))
    """By batch: how it was paid."""
    orders: dict[int, list[PaymentOrderLine]] = field(default_factory=dict)
    """By payment order of which the bank has paid every line: those lines."""
    late: list[tuple[PaymentOrderLine, int]] = field(default_factory=list)
    """What the bank paid late, and how much of it was booked beside its batch."""
    parked: dict[int, list[StatementLine]] = field(default_factory=lambda: defaultdict(list))
    excess: list[Excess] = field(default_factory=list)


def load(lines: Sequence[StatementLine]) -> Book:
    """Read what lines that went out may be about. Eleven queries at most."""
    book = Book()
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
    claims = BankClaim.objects.filter(reference__in=references, released_at=None)
    book.claims = dict(claims.values_list("reference", "subject"))
    book.paid_back = paid_back(references)
    _load_settlements(book, lines, references, amounts)
    parked = StatementLine.objects.filter(state=rules.LineState.PARKED.value, amount_fen__in=amounts)
    for line in parked.order_by("pk"):
        book.parked[line.amount_fen].append(line)
    _load_excess(book, lines)
    return book


def _load_settlements(book: Book, lines: Sequence[StatementLine], references: set[str], amounts: set[int]) -> None:
    """Read the batches that were paid and no line shows whole, by reference, number or amount; and whole payment orders."""
    named = {number for line in lines for number in tracing.numbers(line.memo)}
    subjects = {subject.partition(":")[2] for subject in book.claims.values()}
    orders = PaymentOrder.objects.filter(
        Q(number__in=named | subjects) | Q(total_fen__in=amounts) | Q(lines__bank_reference__in=references)
    )
    found = SettlementBatch.objects.filter(
        Q(bank_reference__in=references)
        | Q(number__in=named | subjects)
        | Q(total_fen__in=amounts)
        | Q(order_lines__reference__in=named)
        | Q(order_lines__order__in=orders.values("pk")),
        paid_at__isnull=False,
        total_fen__gt=0,
    ).exclude(account__rail__gt="")  # a gateway pays those
    book.batches = list(found.select_related("payee").distinct().order_by("pk"))
    pks = [batch.pk for batch in book.batches]
    parts = MatchPart.objects.filter(batch__in=pks, kind=PartKind.SETTLEMENT.value, order_line=None)
    for pk, fen in parts.filter(match__state__in=rules.ACTIVE).values_list("batch", "amount_fen"):
        book.seen[pk] += fen
    late = PaymentOrderLine.objects.filter(state=OrderLineState.PAID_LATE.value).select_related("batch__payee")
    for row in late.filter(Q(bank_reference__in=references) | Q(reference__in=named)).order_by("pk"):
        book.late.append((row, seeing.late_fen(row)))
    paid = PaymentOrderLine.objects.filter(batch__in=pks, state=OrderLineState.PAID.value).select_related("order")
    for row in paid.order_by("pk"):
        book.order_lines[row.batch_id].append(row)
        book.orders.setdefault(row.order_id, []).append(row)
    book.batches = [batch for batch in book.batches if book.seen[batch.pk] < seeing.expected_fen(batch)]


def _load_excess(book: Book, lines: Sequence[StatementLine]) -> None:
    """Read the unapplied money of payers the lines name, or from whose accounts it came. Two queries."""
    names = {spelling for line in lines for spelling in rules.spellings(line.name)}
    accounts = {line.counter_account for line in lines} - {""}
    came_from = Q(bank_parts__match__line__counter_account__in=accounts)
    by_payer: dict[int, Excess] = {}
    for left in unapplied.lefts(Q(payment__payer__name__in=names) | came_from):
        payer = left.arrival.payment.payer
        by_payer.setdefault(payer.pk, Excess(payer)).lefts.append(left)
    arrivals = [left.arrival.pk for one in by_payer.values() for left in one.lefts]
    senders = MatchPart.objects.filter(arrival__in=arrivals).exclude(match__line__counter_account="")
    for payer_id, account in senders.values_list("arrival__payment__payer", "match__line__counter_account"):
        by_payer[payer_id].accounts.add(account)
    book.excess = list(by_payer.values())


def came_from(line: StatementLine, payer: Organisation | None) -> bool:
    """Say whether a line goes to an account that money of the payer is known to have come from. One query."""
    booked = (rules.MatchState.BOOKED, rules.MatchState.REVERSING)
    rows = MatchPart.objects.filter(arrival__payment__payer=payer, match__state__in=booked)
    return bool(line.counter_account) and rows.filter(match__line__counter_account=line.counter_account).exists()


def paid_back(references: Iterable[str]) -> dict[str, tuple[Payment, int]]:
    """Return by bank reference what finance recorded by hand as paid back, and how much. Five queries."""
    return paid_back_as(claiming.booked_as(references))


def paid_back_as(names: Mapping[str, str]) -> dict[str, tuple[Payment, int]]:
    """Return by the values of `names` what finance recorded by hand as paid back under its keys, and how much. Four queries.

    A payment shows its last reference only; those before are known by what was claimed (`claiming`).
    """
    wanted = set(names)
    found: dict[str, tuple[Payment, int]] = {}
    claims = BankClaim.objects.filter(subject__startswith="back:")
    claims = claims.filter(Q(reference__in={*wanted, *names.values()}) | Q(key__in=wanted))
    numbers = {subject.partition(":")[2] for subject in claims.values_list("subject", flat=True)}
    refunds = list(RefundAttempt.objects.filter(settled_as__in=[f"bank:{reference}" for reference in wanted]))
    settled = {f"refund-attempt:{row.number}/bank": row.settled_as.removeprefix("bank:") for row in refunds}
    rows = Payment.objects.filter(
        Q(paid_back_reference__in=wanted) | Q(number__in=numbers) | Q(pk__in=[row.payment_id for row in refunds])
    )
    payments = {payment.number: payment for payment in rows.select_related("charge", "payer")}
    journals = Transfer.objects.filter(
        journal__source_type="payment", journal__source_id__in=payments, journal__kind=JournalKind.CASH_OUT.value
    )
    for number, key, fen in journals.values_list("journal__source_id", "journal__key", "amount"):
        mine = key.removeprefix(f"payment:{number}/back/").rpartition("/")[0]
        reference = mine if key.startswith(f"payment:{number}/back/") else settled.get(key, "")
        if reference in wanted:
            now = names[reference]
            found[now] = (payments[number], found.get(now, (None, 0))[1] + fen)
    return found


def suggestions(line: StatementLine, book: Book) -> list[Suggestion]:
    """Return what a line that went out may be, the likeliest first."""
    fen = -line.amount_fen
    if line.reference in book.paid_back:
        paid, amount = book.paid_back[line.reference]
        part = Part(PartKind.PAID_BACK, amount, payment=paid)
        return [Suggestion((part,), ("by_hand",) if amount == fen else ("by_hand", "amount_differs"), amount == fen)]
    found = [*_late(line, book), *_orders(line, book), *_batches(line, book)]
    found.sort(key=lambda one: (not one.certain, -len(one.reasons)))
    if found and found[0].certain:
        return found
    numbers = set(tracing.numbers(line.memo))
    for payment in book.by_owed.get(fen, ()):
        named = line.name_key == rules.name_key(payment.payer.name) or payment.number in numbers
        part = Part(PartKind.REFUND, fen, payment=payment)
        found.append(Suggestion((part,), ("owed_back", "payer") if named else ("owed_back",)))
    back = _excess(line, book)
    if back and back[0].certain:
        return back
    found = [*back, *found]
    for parked in book.parked.get(fen, ()):
        same = bool(line.counter_account) and line.counter_account == parked.counter_account
        if same or (line.name_key and line.name_key == parked.name_key):
            part = Part(PartKind.RETURN, fen, returned=parked)
            found.insert(0, Suggestion((part,), ("sender", "amount")))
    if any(word in f"{line.memo}{line.name}" for word in FEES):
        found.insert(0, Suggestion((Part(PartKind.FEE, fen),), ("fee_words",)))
    return found


def _day(moment: datetime | None) -> date:
    return moment.astimezone(PORTAL_ZONE).date() if moment else date.min


def _batches(line: StatementLine, book: Book) -> list[Suggestion]:
    """Suggest batches by the payment's number at the bank, by what the memo names, or by the amount they still lack."""
    fen, found = -line.amount_fen, []
    numbers, subject = set(tracing.numbers(line.memo)), book.claims.get(line.reference, "")
    for batch in book.batches:
        paid = book.order_lines.get(batch.pk, ())
        references = {batch.bank_reference, *(row.bank_reference for row in paid)}
        known = subject == f"batch:{batch.number}" or line.reference in {
            reference.upper().replace(" ", "") for reference in references
        }
        named = bool(numbers & {batch.number, *(row.reference for row in paid)})
        left = seeing.expected_fen(batch) - book.seen[batch.pk]
        whole = fen in {left, batch.total_fen}
        reasons = [
            *(["batch_reference"] if known else []),
            *(["number"] if named else []),
            *(["amount"] if whole else []),
        ]
        near = rules.is_near(line.booked_on, _day(batch.paid_at))
        if reasons and fen <= left:
            certain = whole and (known or named) and near
            why = reasons if near else [*reasons, "day_differs"]
            part = Part(PartKind.SETTLEMENT, fen, batch=batch)
            found.append(Suggestion((part,), tuple(why), certain=certain))
    return found


def _late(line: StatementLine, book: Book) -> list[Suggestion]:
    """Suggest what the bank paid late, by its reference or what the memo names; a person decides."""
    numbers, found = set(tracing.numbers(line.memo)), []
    for row, fen in book.late:
        known = line.reference == row.bank_reference.upper().replace(" ", "")
        if fen == -line.amount_fen and (known or row.reference in numbers):
            part = Part(PartKind.SETTLEMENT, fen, batch=row.batch, order_line=row)
            found.append(Suggestion((part,), ("batch_reference" if known else "number", "amount")))
    return found


def _orders(line: StatementLine, book: Book) -> list[Suggestion]:
    """Suggest every batch of a payment order whose lines the bank has paid in one sum."""
    fen, found = -line.amount_fen, []
    numbers, subject = set(tracing.numbers(line.memo)), book.claims.get(line.reference, "")
    batches: Mapping[int, SettlementBatch] = {batch.pk: batch for batch in book.batches}
    for rows in book.orders.values():
        order = rows[0].order
        mine = [row for row in rows if row.batch_id in batches and not book.seen[row.batch_id]]
        if len(mine) < 2 or sum(row.amount_fen for row in mine) != fen:
            continue
        known = subject == f"order:{order.number}" or all(row.bank_reference == line.reference for row in mine)
        named = order.number in numbers
        near = all(rules.is_near(line.booked_on, _day(row.ended_at)) for row in mine)
        reasons = [*(["batch_reference"] if known else []), *(["number"] if named else []), "order_sum"]
        parts = tuple(Part(PartKind.SETTLEMENT, row.amount_fen, batch=batches[row.batch_id]) for row in mine)
        why = reasons if near else [*reasons, "day_differs"]
        found.append(Suggestion(parts, tuple(why), certain=near and (known or named)))
    return found


def _excess(line: StatementLine, book: Book) -> list[Suggestion]:
    """Suggest unapplied money of the payer whose name or account the line shows, as far as there is so much of it.

    Certain only what finance has said goes back, to the very account it came from, in the same sum, soon after.
    """
    fen, found = -line.amount_fen, []
    for one in book.excess:
        account = bool(line.counter_account) and line.counter_account in one.accounts
        name = bool(line.name_key) and line.name_key == rules.name_key(one.payer.name)
        if not (account or name) or fen > one.total:
            continue
        asked = sum(left.asked for left in one.lefts)
        days = [_day(left.asked_at) for left in one.lefts if left.asked]
        near = bool(days) and all(rules.is_near(line.booked_on, day) for day in days)
        exact = fen in {asked, one.total, *(left.free + left.asked for left in one.lefts)}
        reasons = (
            *(("sender",) if account else ()),
            *(("payer",) if name else ()),
            *(("amount",) if exact else ()),
            *(("asked_back",) if asked else ()),
        )
        part = Part(PartKind.EXCESS, fen, payer=one.payer)
        found.append(Suggestion((part,), reasons, certain=fen == asked and account and near))
    found.sort(key=lambda each: (not each.certain, -len(each.reasons)))
    return found
