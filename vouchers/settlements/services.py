"""Draft, check, approve, pay, reconcile and discard settlement batches; with ``offsetting`` the only writer of batches."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Organisation
from vouchers.claims import paying
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.payments.rules import bank_reference as normal
from vouchers.settlements import files, offsetting, queries, routing, rules
from vouchers.settlements.cadences import needs_check
from vouchers.settlements.cases import end_line, first_signature, lock, paid_step, record
from vouchers.settlements.legs import leg_of, offset_line, sums
from vouchers.settlements.models import SettlementBatch, SettlementLine
from vouchers.settlements.order_models import PaymentOrderLine
from vouchers.settlements.order_rules import OrderLineAction, OrderLineState
from vouchers.settlements.payout_rules import PaidOverRail

_ = noop

ENDED = (OrderLineState.FAILED.value, OrderLineState.CANCELLED.value, OrderLineState.RETURNED.value)
"""A line of a payment order by which nothing is paid any more."""


class BankReferenceMissing(Invalid):
    code = "settlement.bank_reference"
    message = _("请填写付款凭证号。")


@transaction.atomic
def draft(
    *, actor: Actor, payee: Organisation, now: datetime, only: Callable[[queries.Due], bool] | None = None
) -> SettlementBatch:
    """Put everything a payee is owed, or what `only` says of it, into a new batch. Raises NothingToSettle, Forbidden.

    Of a payee that is paid own shares over a gateway they come into a batch of their own, what the bank pays into the next.

    The clock drafts as well; a person then checks what it drafted before another approves.

    What the payee refunded after an earlier batch held it comes as negative lines; a batch never falls below zero, and
    one of zero only clears what is owed both ways. No money moves yet. Two drafts at once: the second finds nothing, by the payee's row lock and by constraint.
    """
    actor.require(Permission.SETTLEMENT_DRAFT)
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=payee.pk)
    found = [row for row in queries.due_to(payee.pk, now=now) if only is None or only(row)]
    due = routing.one_way(payee.pk, found, now=now)
    owed = queries.refunds_owed(payee.pk, due)
    if not due:
        raise rules.NothingToSettle(field="payee")
    batch = SettlementBatch.objects.create(
        number=next_number(prefix="S", now=now),
        payee=payee,
        total_fen=sum(row.amount_fen for row in due) - sum(owed.values()),
        created_by_id=None if actor.is_system else actor.person,
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
    if not actor.is_system and people.belongs(user_id=actor.person, organisation_id=batch.payee_id):
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
def check(*, actor: Actor, batch: SettlementBatch, now: datetime) -> SettlementBatch:
    """Check a draft line by line as another person than drafted it; a third approves.

    Raises CheckerIsAnother, OwnPayee, InvalidTransition, Forbidden.
    """
    if not any(actor.may(permission) for permission in (Permission.SETTLEMENT_DRAFT, Permission.SETTLEMENT_APPROVE)):
        raise Forbidden
    locked = lock(batch)
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.CHECK).value
    if actor.person in (locked.created_by_id, locked.set_off_by_id):
        raise rules.CheckerIsAnother
    _refuse_payee(actor, locked)
    locked.checked_by_id, locked.checked_at = actor.person, now
    locked.save(update_fields=["state", "checked_by", "checked_at"])
    record(locked, action="settlement.checked", actor=actor, now=now)
    return locked


@transaction.atomic
def approve(*, actor: Actor, batch: SettlementBatch, now: datetime) -> SettlementBatch:
    """Approve a draft as another person than drafted it, took debts off it or checked it; moves payables into clearing.

    The payee's account in force now becomes the batch's. Of two who approve at once one wins, the other is told.
    Raises SamePerson, CheckerIsAnother, NotChecked, OwnPayee, ShareNotPaid, PaidPerhaps, InvalidTransition.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    locked = lock(batch)
    state = rules.BatchState(locked.state)
    after = next_state(rules.TRANSITIONS, state, rules.BatchAction.APPROVE)
    if actor.person in (locked.created_by_id, locked.set_off_by_id):
        raise rules.SamePerson
    if actor.person == locked.checked_by_id:
        raise rules.CheckerIsAnother
    if state is rules.BatchState.DRAFT and needs_check(locked):
        raise rules.NotChecked
    _refuse_payee(actor, locked)
    locked.state = after.value
    queries.refuse_unpaid_shares(locked.pk)
    queries.refuse_questioned(locked.pk)
    locked.approved_by_id = actor.user_id
    locked.approved_at = now
    locked.account = routing.account_for(locked, now=now)
    locked.save()
    operations = [TransferOp(payable, clearing, fen) for (payable, clearing, _end), fen in sums(locked).items()]
    _post(
        locked, JournalKind.BATCH_OPEN, "open", operations, actor=first_signature(locked), approved_by=actor.signature
    )
    digest = files.digest(files.statement(locked, list(queries.lines_of(locked.pk).filter(active=True))))
    record(locked, action="settlement.approved", actor=actor, now=now, sha256=digest)
    return locked


@transaction.atomic
def mark_paid(*, actor: Actor, batch: SettlementBatch, bank_reference: str, now: datetime) -> SettlementBatch:
    """Record that the treasury has paid an approved or exported batch; one of zero needs no payment and no reference.

    Its line in a payment order ends with it. The bank reference is used for it, or for its payment order, alone. Raises
    InvalidTransition, BankReferenceMissing, OwnPayee, Forbidden, PaidPerhaps where a bank says that it has been paid
    before, PaidOverRail where a gateway pays it, and what `settings.BANK_REFERENCES` does.
    """
    actor.require(Permission.SETTLEMENT_PAY)
    _claim(batch, bank_reference, now=now)
    locked = lock(batch)
    if locked.account is not None and locked.account.rail and locked.total_fen:
        raise PaidOverRail
    queries.refuse_questioned(batch.pk)
    return book_paid(actor=actor, batch=batch, bank_reference=bank_reference, now=now)


def _claim(batch: SettlementBatch, bank_reference: str, *, now: datetime, shows: bool = False) -> None:
    """Use a bank reference for a batch by hand: for all batches of the payment order that the bank has it in, if any.

    Before any lock, as who matches the reference's line does it. `shows`: the line shows the whole batch.
    """
    value = normal(bank_reference)
    if value:
        order = PaymentOrderLine.objects.filter(batch=batch).exclude(state__in=ENDED).values_list("order__number")
        number = order.order_by("-pk").first()
        subject = f"order:{number[0]}" if number else f"batch:{batch.number}"
        shown = batch.number if shows else ""
        import_string(settings.BANK_REFERENCES)(value, subject=subject, now=now, batch=shown)


@transaction.atomic
def book_paid(*, actor: Actor, batch: SettlementBatch, bank_reference: str, now: datetime) -> SettlementBatch:
    """Book that a batch is paid. For `mark_paid`, a bank's answer and a closed case only; raises what `mark_paid` does."""
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
    _post(locked, JournalKind.BATCH_PAID, paid_step(locked), operations, actor=actor.signature)
    if not locked.returns:  # paid anew after it had bounced: what was set off and claimed ended the first time
        offsetting.book(locked, actor=actor, now=now)
        for line in _claim_lines(locked):
            paying.settle(line.claim, actor=actor, now=now)
    end_line(locked, OrderLineAction.PAY, now=now, bank_reference=locked.bank_reference)
    record(locked, action="settlement.paid", actor=actor, now=now)
    return locked


@transaction.atomic
def book_failed(*, actor: Actor, batch: SettlementBatch, reason: str, now: datetime) -> SettlementBatch:
    """Record that the bank did not pay an exported batch: everything in it is owed again and goes into a later one.

    One that had bounced before waits again until its payee's account was looked at. For a bank's answer and a closed case
    only. Raises InvalidTransition, OwnPayee.
    """
    locked = lock(batch)
    _refuse_payee(actor, locked)
    if locked.returns:
        action = rules.BatchAction.FAIL_AGAIN
        locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), action).value
        locked.account = None
        locked.save(update_fields=["state", "account"])
    else:
        _give_back(locked, rules.BatchAction.FAIL, "failed", actor=actor, reason=reason.strip()[:200], now=now)
    end_line(locked, OrderLineAction.FAIL, now=now, reason=reason.strip()[:200])
    record(locked, action="settlement.failed", actor=actor, now=now, reason=reason.strip()[:200])
    return locked


@transaction.atomic
def reconcile(*, actor: Actor, batch: SettlementBatch, bank_line: str, now: datetime) -> SettlementBatch:
    """Record that the bank's statement shows a paid batch, as another person than recorded the payment, or by matching.

    `bank_line` names the line of the statement, which is used for it alone; the same again changes nothing. Raises
    ReconciledBySame, BankLineMissing, InvalidTransition, OwnPayee, Forbidden, and what `settings.BANK_REFERENCES` does.
    """
    _claim(batch, bank_line, now=now, shows=True)
    return book_reconciled(actor=actor, batch=batch, bank_line=bank_line, now=now)


@transaction.atomic
def book_reconciled(*, actor: Actor, batch: SettlementBatch, bank_line: str, now: datetime) -> SettlementBatch:
    """Book that the statement shows a batch. For `reconcile` and `seeing` only; raises what `reconcile` does."""
    if not any(actor.may(permission) for permission in (Permission.SETTLEMENT_APPROVE, Permission.SETTLEMENT_PAY)):
        raise Forbidden
    locked = lock(batch)
    wanted = bank_line.strip()[:80]
    if locked.total_fen and not wanted:
        raise rules.BankLineMissing(field="bank_line")
    if locked.state == rules.BatchState.RECONCILED.value and locked.bank_line == wanted:
        return locked
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.RECONCILE).value
    if not actor.is_system:
        if actor.person == locked.paid_by_id:
            raise rules.ReconciledBySame
        _refuse_payee(actor, locked)
    locked.bank_line, locked.reconciled_by_id, locked.reconciled_at = wanted, actor.user_id, now
    locked.save(update_fields=["state", "bank_line", "reconciled_by", "reconciled_at"])
    record(locked, action="settlement.reconciled", actor=actor, now=now, bank_line=wanted)
    return locked


@transaction.atomic
def discard(*, actor: Actor, batch: SettlementBatch, now: datetime) -> SettlementBatch:
    """Give a batch up before it is paid: its lines can go into another one. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.SETTLEMENT_DRAFT)
    locked = lock(batch)
    _give_back(locked, rules.BatchAction.DISCARD, "discarded", actor=actor, reason="", now=now)
    record(locked, action="settlement.discarded", actor=actor, now=now)
    return locked


def _give_back(
    locked: SettlementBatch, action: rules.BatchAction, step: str, *, actor: Actor, reason: str, now: datetime
) -> None:
    """End a batch unpaid: what it holds is owed again, in the ledger where it was in clearing, and free for a later batch."""
    if locked.returns:
        raise rules.PaidBefore
    was_cleared = locked.state in (rules.BatchState.APPROVED.value, rules.BatchState.EXPORTED.value)
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), action).value
    locked.save(update_fields=["state"])
    if was_cleared:
        operations = [TransferOp(clearing, payable, fen) for (payable, clearing, _end), fen in sums(locked).items()]
        _post(locked, JournalKind.BATCH_REJECTED, step, operations, actor=actor.signature, reason=reason)
    for line in _claim_lines(locked):
        paying.take_from_batch(line.claim, actor=actor, now=now, reason=reason)
    lines = SettlementLine.objects.filter(batch=locked, active=True)
    lines.update(active=False, given_up=True, **({"reason": reason} if reason else {}))


def _claim_lines(batch: SettlementBatch) -> list[Any]:
    """Return the batch's active lines that settle claims, in the order their claims are locked."""
    return list(queries.lines_of(batch.pk).filter(active=True, claim__isnull=False).order_by("claim_id"))


@transaction.atomic
def reject_line(*, actor: Actor, batch: SettlementBatch, line_id: int, reason: str, now: datetime) -> SettlementBatch:
    """Send one line of an unpaid batch back: it is owed again and can go into a later batch. The last one discards it.

    Raises ReasonMissing, LineSettled, InvalidTransition for a batch already paid or discarded, WasSent for one that was in
    a payment order, OwnPayee, Forbidden.
    """
    if not any(actor.may(permission) for permission in (Permission.SETTLEMENT_APPROVE, Permission.SETTLEMENT_PAY)):
        raise Forbidden
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    locked = lock(batch)
    _refuse_payee(actor, locked)
    state = rules.BatchState(locked.state)
    next_state(rules.TRANSITIONS, state, rules.BatchAction.DISCARD)
    if locked.returns:
        raise rules.PaidBefore
    if locked.order_lines.exists():
        raise rules.WasSent
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
