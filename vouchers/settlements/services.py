"""Draft, approve, pay and discard settlement batches; the only writer of batches."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Organisation
from vouchers.claims import paying
from vouchers.claims.cases import payable_of
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.settlements import files, queries, rules
from vouchers.settlements.models import SettlementBatch, SettlementLine

_ = noop


class BankReferenceMissing(Invalid):
    code = "settlement.bank_reference"
    message = _("请填写付款凭证号。")


@transaction.atomic
def draft(*, actor: Actor, payee: Organisation, now: datetime) -> SettlementBatch:
    """Put everything a payee is owed into a new batch. Raises NothingToSettle, Forbidden.

    No money moves yet. Two drafts at once: the second finds nothing, by the payee's row lock and by constraint.
    """
    actor.require(Permission.SETTLEMENT_DRAFT)
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=payee.pk)
    due = queries.due_to(payee.pk, now=now)
    owed = queries.offsets(payee.pk, due)
    if sum(row.amount_fen for row in due) <= sum(owed.values()):
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
        SettlementLine(batch=batch, charge=row.charge, claim=row.claim, leg=row.leg.value, amount_fen=row.amount_fen)
        for row in due
    )
    SettlementLine.objects.bulk_create(
        SettlementLine(batch=batch, leg=rules.Leg.OFFSET.value, amount_fen=-fen, programme_code=code, fiscal_year=year)
        for (code, year), fen in owed.items()
    )
    _record(batch, action="settlement.drafted", actor=actor, now=now)
    return batch


def _lock(batch: SettlementBatch) -> SettlementBatch:
    return (
        SettlementBatch.objects.select_for_update(no_key=True, of=("self",))
        .select_related("created_by", "payee")
        .order_by("pk")
        .get(pk=batch.pk)
    )


def _refuse_payee(actor: Actor, batch: SettlementBatch) -> None:
    """Raises OwnPayee for a member of the organisation that is paid, in whichever organisation the person acts."""
    if people.belongs(user_id=actor.person, organisation_id=batch.payee_id):
        raise rules.OwnPayee


def _record(batch: SettlementBatch, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    audit.record(
        action=action,
        subject=f"settlement:{batch.number}",
        actor=actor,
        now=now,
        organisations=[batch.payee_id],
        data={"total_fen": batch.total_fen, "state": batch.state, **data},
    )


Leg = tuple[AccountKey, AccountKey, AccountKey]


def _legs(line: SettlementLine, batch: SettlementBatch) -> list[tuple[Leg, int]]:
    """Return the (payable, clearing, final) accounts of a line with their fen: one row for each voucher that paid."""
    payee, owner = f"organisation:{batch.payee_id}", f"batch:{batch.number}"
    if line.leg == rules.Leg.OWN.value:
        leg = (
            AccountKey(AccountKind.CASH_PROVIDER_PAYABLE, payee),
            AccountKey(AccountKind.SETTLEMENT_CLEARING, owner),
            AccountKey(AccountKind.BANK_CLEARING, "bank:main"),
        )
        return [(leg, line.amount_fen)]
    if line.claim is not None:
        return [(_public(payable_of(line.claim), owner), line.amount_fen)]
    if line.leg == rules.Leg.OFFSET.value:
        return [(_public(_provider_payable(line, payee), owner), line.amount_fen)]
    assert line.charge is not None
    return [
        (
            _public(
                AccountKey(AccountKind.PROVIDER_PAYABLE, payee, part.voucher.programme_code, part.voucher.fiscal_year),
                owner,
            ),
            part.payable_fen,
        )
        for part in line.charge.parts.all()
        if part.payable_fen
    ]


def _provider_payable(line: SettlementLine, payee: str) -> AccountKey:
    return AccountKey(AccountKind.PROVIDER_PAYABLE, payee, line.programme_code, line.fiscal_year or 0)


def _public(payable: AccountKey, owner: str) -> Leg:
    money = (payable.programme, payable.fiscal_year)
    return (
        payable,
        AccountKey(AccountKind.SETTLEMENT_CLEARING, owner, *money),
        AccountKey(AccountKind.SETTLED, f"programme:{money[0]}/{money[1]}", *money),
    )


def _sums(batch: SettlementBatch) -> dict[Leg, int]:
    """Return the batch's fen per (payable, clearing, final) accounts: one row a programme and year, one for cash."""
    sums: dict[Leg, int] = defaultdict(int)
    for line in queries.lines_of(batch.pk).filter(active=True).prefetch_related("charge__parts__voucher"):
        for leg, fen in _legs(line, batch):
            sums[leg] += fen
    assert sum(sums.values()) == batch.total_fen
    return {leg: fen for leg, fen in sums.items() if fen}


@transaction.atomic
def approve(*, actor: Actor, batch: SettlementBatch, now: datetime) -> SettlementBatch:
    """Approve a draft as a second person; moves the payables into clearing.

    Raises SamePerson, OwnPayee, InvalidTransition.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    locked = _lock(batch)
    if actor.person == locked.created_by_id:
        raise rules.SamePerson
    _refuse_payee(actor, locked)
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.APPROVE).value
    locked.approved_by_id = actor.user_id
    locked.approved_at = now
    locked.save()
    ledger.post(
        posting=Posting(
            kind=JournalKind.BATCH_OPEN,
            key=f"settlement:{locked.number}/open",
            operations=[TransferOp(payable, clearing, fen) for (payable, clearing, _end), fen in _sums(locked).items()],
            actor=f"{locked.created_by} #{locked.created_by_id}",
            approved_by=actor.signature,
            source_type="settlement",
            source_id=locked.number,
        )
    )
    digest = files.digest(files.statement(locked, list(queries.lines_of(locked.pk).filter(active=True))))
    _record(locked, action="settlement.approved", actor=actor, now=now, sha256=digest)
    return locked


@transaction.atomic
def mark_paid(*, actor: Actor, batch: SettlementBatch, bank_reference: str, now: datetime) -> SettlementBatch:
    """Record that the treasury has paid an approved batch. Raises InvalidTransition, BankReferenceMissing."""
    actor.require(Permission.SETTLEMENT_PAY)
    if not bank_reference.strip():
        raise BankReferenceMissing(field="bank_reference")
    locked = _lock(batch)
    _refuse_payee(actor, locked)
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.PAY).value
    locked.paid_by_id = actor.user_id
    locked.paid_at = now
    locked.bank_reference = bank_reference.strip()[:60]
    locked.save()
    ledger.post(
        posting=Posting(
            kind=JournalKind.BATCH_PAID,
            key=f"settlement:{locked.number}/paid",
            operations=[TransferOp(clearing, end, fen) for (_payable, clearing, end), fen in _sums(locked).items()],
            actor=actor.signature,
            source_type="settlement",
            source_id=locked.number,
        )
    )
    _set_off(locked)
    for line in _claim_lines(locked):
        paying.settle(line.claim, actor=actor, now=now)
    _record(locked, action="settlement.paid", actor=actor, now=now)
    return locked


def _set_off(batch: SettlementBatch) -> None:
    """Take what the payee owes back from what it is owed, at the moment it is paid the rest."""
    payee = f"organisation:{batch.payee_id}"
    operations = [
        TransferOp(
            _provider_payable(line, payee),
            AccountKey(AccountKind.RECEIVABLE_PROVIDER, payee, line.programme_code, line.fiscal_year or 0),
            -line.amount_fen,
        )
        for line in queries.lines_of(batch.pk).filter(active=True, leg=rules.Leg.OFFSET.value)
    ]
    if operations:
        ledger.post(
            posting=Posting(
                kind=JournalKind.BATCH_OPEN,
                key=f"settlement:{batch.number}/offset",
                operations=operations,
                actor=f"{batch.created_by} #{batch.created_by_id}",
                approved_by=f"{batch.approved_by} #{batch.approved_by_id}",
                source_type="settlement",
                source_id=batch.number,
            )
        )


@transaction.atomic
def discard(*, actor: Actor, batch: SettlementBatch, now: datetime) -> SettlementBatch:
    """Give a batch up before it is paid: its lines can go into another one. Raises InvalidTransition, Forbidden."""
    actor.require(Permission.SETTLEMENT_DRAFT)
    locked = _lock(batch)
    was_approved = locked.state == rules.BatchState.APPROVED.value
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.DISCARD).value
    locked.save(update_fields=["state"])
    if was_approved:
        ledger.post(
            posting=Posting(
                kind=JournalKind.BATCH_REJECTED,
                key=f"settlement:{locked.number}/discarded",
                operations=[
                    TransferOp(clearing, payable, fen) for (payable, clearing, _end), fen in _sums(locked).items()
                ],
                actor=actor.signature,
                source_type="settlement",
                source_id=locked.number,
            )
        )
    for line in _claim_lines(locked):
        paying.take_from_batch(line.claim, actor=actor, now=now)
    SettlementLine.objects.filter(batch=locked).update(active=False)
    _record(locked, action="settlement.discarded", actor=actor, now=now)
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
    locked = _lock(batch)
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
        ledger.post(
            posting=Posting(
                kind=JournalKind.BATCH_REJECTED,
                key=f"settlement:{locked.number}/line/{line.pk}",
                operations=[
                    TransferOp(clearing, payable, fen) for (payable, clearing, _end), fen in _legs(line, locked)
                ],
                actor=actor.signature,
                source_type="settlement",
                source_id=locked.number,
                reason=reason.strip()[:200],
            )
        )
    if line.claim is not None:
        paying.take_from_batch(line.claim, actor=actor, now=now, reason=reason.strip()[:200])
    line.active, line.reason = False, reason.strip()[:200]
    line.save(update_fields=["active", "reason"])
    locked.total_fen -= line.amount_fen
    if not locked.total_fen:
        locked.state = next_state(rules.TRANSITIONS, state, rules.BatchAction.DISCARD).value
    locked.save(update_fields=["total_fen", "state"])
    _record(
        locked, action="settlement.line_rejected", actor=actor, now=now, amount_fen=line.amount_fen, reason=line.reason
    )
    return locked
