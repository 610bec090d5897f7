"""Set debts of recoveries off against what the same party is paid: the explicit step in a batch, and its booking.

Civil Code 2020, Article 568: debts of the same kind that two parties owe each other may be set off by notice to the
other. The notice is the line in the statement, with the case and what remains. Money of one programme and year is never
used for another's (Budget Law 2018, Article 13: by the budget only), so a debt is set off against the same purse only.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import InvalidTransition
from portal.kernel.money import Money
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.recoveries import collecting
from vouchers.recoveries import queries as recoveries
from vouchers.recoveries.cases import lock as lock_case
from vouchers.recoveries.cases import money
from vouchers.settlements import queries, rules
from vouchers.settlements.cases import first_signature, lock, record
from vouchers.settlements.legs import debt_of, offset_line, purse_of
from vouchers.settlements.models import SettlementBatch, SettlementLine

__all__ = ["book", "possible", "set_off"]


def possible(batch: SettlementBatch) -> dict[rules.Debt, rules.Purse]:
    """Return what could be set off in a draft: each debt of the payee's open cases that a purse of the batch can bear."""
    open_cases = recoveries.outstanding_of(batch.payee_id)
    if batch.state != rules.BatchState.DRAFT.value or not open_cases:
        return {}
    lines = queries.lines_of(batch.pk).filter(active=True)
    payable = queries.by_purse((purse_of(line), line.amount_fen) for line in lines)
    debts = [rules.Debt(case.number, *money(case), fen=fen) for case, fen in open_cases]
    return rules.set_off(debts, payable)


@transaction.atomic
def set_off(*, actor: Actor, batch: SettlementBatch, now: datetime) -> SettlementBatch:
    """Take what the payee owes in open cases off a draft, oldest case first; never below zero of any purse.

    Another person approves it with the batch, never who set off; the debt falls once the batch is paid. Raises
    NothingToSetOff, SetOffByAnother, InvalidTransition for a batch that is no draft, Forbidden.
    """
    actor.require(Permission.SETTLEMENT_DRAFT)
    locked = lock(batch)
    if locked.state != rules.BatchState.DRAFT.value:
        raise InvalidTransition(state=locked.state, action="set_off")
    if locked.set_off_by_id not in (None, actor.person):
        raise rules.SetOffByAnother
    for case, _fen in recoveries.outstanding_of(locked.payee_id):
        lock_case(case)
    cases = {case.number: (case, fen) for case, fen in recoveries.outstanding_of(locked.payee_id)}
    found = possible(locked)
    if not found:
        raise rules.NothingToSetOff
    SettlementLine.objects.bulk_create(
        offset_line(locked, purse, debt.fen, recovery=cases[debt.case][0]) for debt, purse in found.items()
    )
    locked.total_fen -= sum(debt.fen for debt in found)
    locked.set_off_by_id = actor.person
    locked.save(update_fields=["total_fen", "set_off_by"])
    told: dict[str, int] = {}
    for debt in found:
        told[debt.case] = told.get(debt.case, 0) + debt.fen
    remaining = {number: str(Money(cases[number][1] - fen)) for number, fen in told.items()}
    record(locked, action="settlement.set_off", actor=actor, now=now, set_off=told, remaining=remaining)
    return locked


def book(batch: SettlementBatch, *, actor: Actor, now: datetime) -> None:
    """Take what the payee owes back from what it is owed, at the moment it is paid the rest. For `mark_paid` only."""
    lines = list(
        queries.lines_of(batch.pk).filter(active=True, leg=rules.Leg.OFFSET.value).order_by("recovery_id", "pk")
    )
    if not lines:
        return
    ledger.post(
        posting=Posting(
            kind=JournalKind.BATCH_OPEN,
            key=f"settlement:{batch.number}/offset",
            operations=[TransferOp(*debt_of(line, batch), -line.amount_fen) for line in lines],
            actor=first_signature(batch),
            approved_by=f"{batch.approved_by} #{batch.approved_by_id}",
            source_type="settlement",
            source_id=batch.number,
        )
    )
    owed = queries.by_purse((rules.Purse(line.recovery.number), -line.amount_fen) for line in lines if line.recovery)
    for line in lines:
        if line.recovery is not None and (fen := owed.pop(rules.Purse(line.recovery.number), 0)):
            collecting.set_off(recovery=line.recovery, amount=Money(fen), batch=batch.number, actor=actor, now=now)
