"""Take in what a bank answers to a payment order: each line is paid or failed once; what does not agree becomes a case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict
from portal.numbers.services import next_number
from vouchers.payments.rules import bank_reference
from vouchers.settlements import answers, files, services
from vouchers.settlements import order_rules as rules
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrder, PaymentOrderLine, ReturnFile
from vouchers.settlements.ordering import lock_order, record

__all__ = ["import_answer", "settle_line"]

PAID, FAILED = rules.AnswerOutcome.PAID, rules.AnswerOutcome.FAILED
L = rules.OrderLineState
AGREES: Final = {PAID: (L.OPEN, L.PAID, L.PAID_LATE), FAILED: (L.OPEN, *rules.NOT_PAID)}
"""In which states a line agrees with what the bank says of it; a line of an order taken back has not been paid."""


@transaction.atomic
def import_answer(
    *, actor: Actor, order: PaymentOrder, content: bytes, name: str, format_code: str, now: datetime
) -> ReturnFile:
    """Take in a bank's answer: all of the file or, where it cannot be read, nothing.

    Paid lines settle their batch, unless their reference at the bank is used for something else; what failed is owed again with the bank's reason and goes into a later batch. A wrong
    amount, a line the order does not have, or the opposite of what was said before opens a case and moves no money.
    An order that was taken back is answered too: what the bank has paid of it is a case. The same file again changes
    nothing. Raises BadAnswer with every fault, UnknownFormat, OwnPayee, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_PAY)
    wanted = answers.ANSWER_FORMATS.get(format_code)
    if wanted is None:
        raise rules.UnknownFormat(field="format")
    said = answers.read_answer(content, name, wanted)
    used = _used_otherwise(order, said, now=now)
    batches = {
        batch.pk: batch
        for batch in SettlementBatch.objects.select_for_update(no_key=True, of=("self",))
        .filter(order_lines__order=order)
        .order_by("pk")
    }
    locked = lock_order(order)
    sha256 = files.digest(content)
    before = ReturnFile.objects.filter(order=locked, sha256=sha256).first()
    if before is not None:
        return before
    lines = {line.reference: line for line in locked.lines.order_by("pk")}
    counts = _apply(locked, said, lines, batches, used=used, actor=actor, now=now)
    made = ReturnFile.objects.create(
        order=locked,
        name=name[:120],
        format=wanted.code,
        content=content,
        sha256=sha256,
        rows=len(said),
        paid=counts["paid"],
        failed=counts["failed"],
        unchanged=counts["unchanged"],
        discrepancies=counts["discrepancies"],
        imported_by_id=actor.person,
        imported_at=now,
    )
    locked.refresh_from_db(fields=["state"])
    record(locked, action="payment_order.answer_imported", actor=actor, now=now, sha256=sha256, **counts)
    return made


def _used_otherwise(order: PaymentOrder, said: Sequence[answers.Answer], *, now: datetime) -> frozenset[str]:
    """Return the bank's references of payments that a person said, or a line shows, to be for something else.

    Each is decided about under its lock, in one order and before any row's.
    """
    used = set()
    for value in sorted({bank_reference(each.bank_reference) for each in said if each.outcome is PAID} - {""}):
        try:
            import_string(settings.BANK_REFERENCES)(value, subject=f"order:{order.number}", now=now, keep=False)
        except Conflict:
            used.add(value)
    return frozenset(used)


def _apply(
    order: PaymentOrder,
    said: Sequence[answers.Answer],
    lines: Mapping[str, PaymentOrderLine],
    batches: Mapping[int, SettlementBatch],
    *,
    used: frozenset[str],
    actor: Actor,
    now: datetime,
) -> dict[str, int]:
    counts: Counter[str] = Counter(paid=0, failed=0, unchanged=0, discrepancies=0)
    for answer in sorted(said, key=lambda each: (each.reference not in lines, each.reference)):
        line = lines.get(answer.reference)
        kind = _disagrees(answer, line, used)
        if kind is not None:
            counts["discrepancies"] += _open_case(order, answer, line, kind, actor=actor, now=now)
        elif line is None or line.state != rules.OrderLineState.OPEN.value:
            counts["unchanged"] += 1
        else:
            batch = batches[line.batch_id]
            settle_line(
                actor,
                batch,
                answer.outcome,
                bank_reference=answer.bank_reference or line.reference,
                reason=answer.reason,
                now=now,
            )
            counts[answer.outcome.value] += 1
    return dict(counts)


def _disagrees(
    answer: answers.Answer, line: PaymentOrderLine | None, used: frozenset[str]
) -> rules.DiscrepancyKind | None:
    if line is None:
        return rules.DiscrepancyKind.UNKNOWN_LINE
    if answer.amount_fen != line.amount_fen:
        return rules.DiscrepancyKind.WRONG_AMOUNT
    if line.state == L.OPEN.value and answer.outcome is PAID and bank_reference(answer.bank_reference) in used:
        return rules.DiscrepancyKind.CONTRADICTS
    return None if line.state in AGREES[answer.outcome] else rules.DiscrepancyKind.CONTRADICTS


def settle_line(
    actor: Actor,
    batch: SettlementBatch,
    outcome: rules.AnswerOutcome,
    *,
    bank_reference: str,
    reason: str,
    now: datetime,
) -> None:
    """Settle the batch of an order's open line as the bank says. Whoever calls has checked the permission."""
    if outcome is PAID:
        services.book_paid(actor=actor, batch=batch, bank_reference=bank_reference, now=now)
    else:
        services.book_failed(actor=actor, batch=batch, reason=reason or "—", now=now)


def _open_case(
    order: PaymentOrder,
    answer: answers.Answer,
    line: PaymentOrderLine | None,
    kind: rules.DiscrepancyKind,
    *,
    actor: Actor,
    now: datetime,
) -> int:
    """Open a case, once for the same words of the bank while it is not closed; return how many were opened.

    A closed one silences nothing: what was explained away may be paid again by now, and the bank then says it anew.
    """
    same = {
        "order": order,
        "kind": kind.value,
        "reference": answer.reference,
        "found_fen": answer.amount_fen,
        "said": answer.outcome.value,
    }
    if Discrepancy.objects.filter(**same).exclude(state=rules.DiscrepancyState.CLOSED.value).exists():
        return 0
    case = Discrepancy.objects.create(
        **same,
        number=next_number(prefix="DF", now=now),
        line=line,
        expected_fen=line.amount_fen if line else None,
        bank_reason=answer.reason,
        bank_reference=answer.bank_reference,
        opened_at=now,
    )
    record(
        order,
        action="discrepancy.opened",
        actor=actor,
        now=now,
        case=case.number,
        kind=kind.value,
        found_fen=case.found_fen,
    )
    return 1
