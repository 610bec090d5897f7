"""Draft, approve, pay and discard settlement batches; with ``offsetting`` the only writer of batches."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Organisation
from vouchers.claims import paying
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.settlements import files, offsetting, queries, rules
from vouchers.settlements.cases import lock, record
from vouchers.settlements.legs import leg_of, offset_line, sums
from vouchers.settlements.models import SettlementBatch, SettlementLine

_ = noop


class BankReferenceMissing(Invalid):
    code = "settlement.bank_reference"
    message = _("请填写付款凭证号。")


@transaction.atomic
def draft(*, actor: Actor, payee: Organisation, now: datetime) -> SettlementBatch:
    """Put everything a payee is owed into a new batch. Raises NothingToSettle, Forbidden.

    What the payee refunded after an earlier batch held it comes as negative lines; a batch never falls below zero, and
    one of zero only clears what is owed both ways. No money moves yet. Two drafts at once: the second finds nothing, by the payee's row lock and by constraint.
    """
    actor.require(Permission.SETTLEMENT_DRAFT)
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=payee.pk)
    due = queries.due_to(payee.pk, now=now)
    owed = queries.refunds_owed(payee.pk, due)
    if not due:
        raise rules.NothingToSettle(field="payee")
    batch = SettlementBatch.objects.create(
        number=next_number(prefix="S", now=now),
        payee=payee,
        total_fen=sum(row.amount_fen for row in due) - sum(owed.values()),
        created_by_id=actor.person,
        created_at=now,
    )
    for row in due:
        if row.claim is not None:
            paying.put_in_batch(row.claim, actor=actor, now=now, batch=batch.number)
    SettlementLine.objects.bulk_create(
        SettlementLine(
            batch=batch,
            charge=row.charge,
            voucher=row.part.voucher if row.part else None,
            claim=row.claim,
            leg=row.leg.value,
            amount_fen=row.amount_fen,
        )
        for row in due
    )
    SettlementLine.objects.bulk_create(offset_line(batch, purse, fen) for purse, fen in owed.items())
    record(batch, action="settlement.drafted", actor=actor, now=now)
    return batch


def _refuse_payee(actor: Actor, batch: SettlementBatch) -> None:
    """Raises OwnPayee for a member of the organisation that is paid, in whichever organisation the person acts."""
    if people.belongs(user_id=actor.person, organisation_id=batch.payee_id):
        raise rules.OwnPayee


def _post(
    batch: SettlementBatch,
    kind: JournalKind,
    step: str,
    operations: Sequence[TransferOp],
    *,
    actor: str,
    approved_by: str = "",
    reason: str = "",
) -> None:
    """Post one step of a batch; one of zero moves nothing."""
    if not operations:
        return
    ledger.post(
        posting=Posting(
            kind=kind,
            key=f"settlement:{batch.number}/{step}",
            operations=operations,
            actor=actor,
            approved_by=approved_by,
            reason=reason[:200],
            source_type="settlement",
            source_id=batch.number,
        )
    )


@transaction.atomic
def approve(*, actor: Actor, batch: SettlementBatch, now: datetime) -> SettlementBatch:
    """Approve a draft as a second person; moves the payables into clearing.

    Raises SamePerson, OwnPayee, InvalidTransition.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    locked = lock(batch)
    if actor.person == locked.created_by_id:
        raise rules.SamePerson
    _refuse_payee(actor, locked)
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.APPROVE).value
    locked.approved_by_id = actor.user_id
    locked.approved_at = now
    locked.save()
    operations = [TransferOp(payable, clearing, fen) for (payable, clearing, _end), fen in sums(locked).items()]
    first = f"{locked.created_by} #{locked.created_by_id}"
    _post(locked, JournalKind.BATCH_OPEN, "open", operations, actor=first, approved_by=actor.signature)
    digest = files.digest(files.statement(locked, list(queries.lines_of(locked.pk).filter(active=True))))
    record(locked, action="settlement.approved", actor=actor, now=now, sha256=digest)
    return locked


@transaction.atomic
def mark_paid(*, actor: Actor, batch: SettlementBatch, bank_reference: str, now: datetime) -> SettlementBatch:
    """Record that the treasury has paid an approved batch; one of zero needs no payment and no reference.

    Raises InvalidTransition, BankReferenceMissing.
    """
    actor.require(Permission.SETTLEMENT_PAY)
    locked = lock(batch)
    if locked.total_fen and not bank_reference.strip():
        raise BankReferenceMissing(field="bank_reference")
    _refuse_payee(actor, locked)
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.PAY).value
    locked.paid_by_id = actor.user_id
    locked.paid_at = now
    locked.bank_reference = bank_reference.strip()[:60]
    locked.save()
    operations = [TransferOp(clearing, end, fen) for (_payable, clearing, end), fen in sums(locked).items()]
    _post(locked, JournalKind.BATCH_PAID, "paid", operations, actor=actor.signature)
    offsetting.book(locked, actor=actor, now=now)
    for line in _claim_lines(locked):
        paying.settle(line.claim, actor=actor, now=now)
    record(locked, action="settlement.paid", actor=actor, now=now)
    return locked


@transaction.atomic
def discard(*, actor: Actor, batch: SettlementBatch, now: datetime) -> SettlementBatch:
    """Give a batch up before it is paid: its lines can go into another one. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.SETTLEMENT_DRAFT)
    locked = lock(batch)
    was_approved = locked.state == rules.BatchState.APPROVED.value
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.DISCARD).value
    locked.save(update_fields=["state"])
    if was_approved:
        operations = [TransferOp(clearing, payable, fen) for (payable, clearing, _end), fen in sums(locked).items()]
        _post(locked, JournalKind.BATCH_REJECTED, "discarded", operations, actor=actor.signature)
    for line in _claim_lines(locked):
        paying.take_from_batch(line.claim, actor=actor, now=now)
    SettlementLine.objects.filter(batch=locked).update(active=False)
    record(locked, action="settlement.discarded", actor=actor, now=now)
    return locked


def _claim_lines(batch: SettlementBatch) -> list[Any]:
    """Return the batch's active lines that settle claims, in the order their claims are locked."""
    return list(queries.lines_of(batch.pk).filter(active=True, claim__isnull=False).order_by("claim_id"))


@transaction.atomic
def reject_line(*, actor: Actor, batch: SettlementBatch, line_id: int, reason: str, now: datetime) -> SettlementBatch:
    """Send one line of an unpaid batch back: it is owed again and can go into a later batch. The last one discards it.

    Raises ReasonMissing, LineSettled, InvalidTransition for a batch already paid or discarded, OwnPayee, Forbidden.
    """
    if not any(actor.may(permission) for permission in (Permission.SETTLEMENT_APPROVE, Permission.SETTLEMENT_PAY)):
        raise Forbidden
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    locked = lock(batch)
    _refuse_payee(actor, locked)
    state = rules.BatchState(locked.state)
    next_state(rules.TRANSITIONS, state, rules.BatchAction.DISCARD)
    lines = queries.lines_of(locked.pk).filter(active=True)
    line = lines.exclude(leg=rules.Leg.OFFSET.value).filter(pk=line_id).first()
    if line is None:
        raise rules.LineSettled
    if lines.filter(leg=rules.Leg.OFFSET.value).exists():
        raise rules.OffsetInBatch
    if state is rules.BatchState.APPROVED:
        payable, clearing, _end = leg_of(line, locked)
        back = [TransferOp(clearing, payable, line.amount_fen)]
        _post(locked, JournalKind.BATCH_REJECTED, f"line/{line.pk}", back, actor=actor.signature, reason=reason.strip())
    if line.claim is not None:
        paying.take_from_batch(line.claim, actor=actor, now=now, reason=reason.strip()[:200])
    line.active, line.reason = False, reason.strip()[:200]
    line.save(update_fields=["active", "reason"])
    locked.total_fen -= line.amount_fen
    if not locked.total_fen:
        locked.state = next_state(rules.TRANSITIONS, state, rules.BatchAction.DISCARD).value
    locked.save(update_fields=["total_fen", "state"])
    record(
        locked, action="settlement.line_rejected", actor=actor, now=now, amount_fen=line.amount_fen, reason=line.reason
    )
    return locked
