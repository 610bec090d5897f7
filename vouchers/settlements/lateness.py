"""Book that a bank has paid what it had said had failed, or what had been taken back: no fen is paid twice unseen.

While the case is open nothing of the same lines is drafted, approved, exported or paid. Once it is closed as paid, a batch
that still waits becomes paid; where the batch has ended otherwise, the payee has the money on top of what it is owed: it
owes it back, and the next batch takes it off by itself.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime

from portal.kernel.actors import Actor
from portal.kernel.states import next_state
from portal.organisations import access as people
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.settlements import order_rules, queries, rules, services
from vouchers.settlements.cases import lock, record
from vouchers.settlements.legs import leg_of
from vouchers.settlements.models import SettlementBatch, SettlementLine
from vouchers.settlements.order_models import Discrepancy, PaymentOrderLine

__all__ = ["book", "elsewhere"]

Flow = tuple[AccountKey, AccountKey]


def _sent(batch: SettlementBatch) -> list[SettlementLine]:
    """Return the lines a batch held when it went to the bank."""
    lines = queries.lines_of(batch.pk)
    return [line for line in lines if line.active or line.given_up]


def elsewhere(line: PaymentOrderLine) -> list[str]:
    """Return the batches, not paid yet, that hold what a line of an order paid: they have to stop before it is booked."""
    held = SettlementLine.objects.filter(active=True, batch__state__in=rules.OPEN)
    charges, claims = set(), set()
    for each in _sent(line.batch):
        charges.add((each.charge_id, each.leg, each.voucher_id))
        claims.add(each.claim_id)
    found = held.filter(batch__payee=line.batch.payee_id).select_related("batch").order_by("batch_id")
    numbers = {
        each.batch.number
        for each in found
        if (each.charge_id and (each.charge_id, each.leg, each.voucher_id) in charges)
        or (each.claim_id and each.claim_id in claims)
    }
    if line.batch.state == rules.BatchState.APPROVED.value:
        numbers.discard(line.batch.number)
    return sorted(numbers)


def _as_found(owed: Mapping[Flow, int], found_fen: int) -> list[tuple[Flow, int]]:
    """Return what of each purse a sum paid: one after the other as far as it goes, what is more with the first."""
    left, shares = found_fen, dict[Flow, int]()
    for flow, fen in owed.items():
        shares[flow] = min(fen, left)
        left -= shares[flow]
    first = next(iter(shares))
    shares[first] += left
    return list(shares.items())


def book(case: Discrepancy, *, actor: Actor, now: datetime) -> None:
    """Book the payment of a line that was thought unpaid. For `discrepancies.close`, which holds the batch's lock.

    What the bank says it has paid is booked, not what the line asked for: with another sum a batch that waits still waits,
    and the payee owes back what it has. Raises HeldElsewhere naming the batches that would pay it again, OwnPayee.
    """
    assert case.line is not None
    assert case.answered_by is not None
    line = PaymentOrderLine.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=case.line.pk)
    batch = lock(line.batch)
    if people.belongs(user_id=actor.person, organisation_id=batch.payee_id):
        raise rules.OwnPayee
    if numbers := elsewhere(line):
        raise order_rules.HeldElsewhere(numbers=", ".join(numbers))
    reference = (case.bank_reference or line.reference)[:60]
    line.state = next_state(
        order_rules.LINE_TRANSITIONS, order_rules.OrderLineState(line.state), order_rules.OrderLineAction.PAY_LATE
    ).value
    line.bank_reference, line.ended_at = reference, now
    line.save(update_fields=["state", "bank_reference", "ended_at"])
    if batch.state == rules.BatchState.APPROVED.value and case.found_fen == line.amount_fen:
        services.book_paid(actor=actor, batch=batch, bank_reference=reference, now=now)
        return
    owed: dict[Flow, int] = defaultdict(int)
    for each in _sent(batch):
        payable, _clearing, end = leg_of(each, batch)
        debt = AccountKey(AccountKind.RECEIVABLE_PROVIDER, payable.owner, payable.programme, payable.fiscal_year)
        owed[debt, end] += each.amount_fen
    if sum(owed.values()) != line.amount_fen:
        raise order_rules.NotToBePaid
    ledger.post(
        posting=Posting(
            kind=JournalKind.BATCH_PAID,
            key=f"settlement:{batch.number}/late/{line.reference}",
            operations=[TransferOp(debt, end, fen) for (debt, end), fen in _as_found(owed, case.found_fen) if fen],
            actor=f"{case.answered_by} #{case.answered_by.pk}",
            approved_by=actor.signature,
            reason=case.number,
            source_type="settlement",
            source_id=batch.number,
        )
    )
    record(
        batch,
        action="settlement.paid_late",
        actor=actor,
        now=now,
        line=line.reference,
        case=case.number,
        amount_fen=case.found_fen,
    )
