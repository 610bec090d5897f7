"""Draft, approve, pay and discard settlement batches; the only writer of batches."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.organisations.models import Organisation
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.settlements import queries, rules
from vouchers.settlements.models import SettlementBatch, SettlementLine

_ = noop


class BankReferenceMissing(Invalid):
    code = "settlement.bank_reference"
    message = _("请填写付款凭证号。")


@transaction.atomic
def draft(*, actor: Actor, provider: Organisation, now: datetime) -> SettlementBatch:
    """Put everything a provider is owed into a new batch. Raises NothingToSettle, Forbidden.

    No money moves yet. Two drafts at once: the second finds nothing, by the provider's row lock and by constraint.
    """
    actor.require(Permission.SETTLEMENT_DRAFT)
    Organisation.objects.select_for_update(no_key=True).order_by("pk").get(pk=provider.pk)
    due = queries.due_to(provider.pk)
    if not due:
        raise rules.NothingToSettle(field="provider")
    batch = SettlementBatch.objects.create(
        number=next_number(prefix="S", now=now),
        provider=provider,
        total_fen=sum(row.amount_fen for row in due),
        created_by_id=actor.person,
        created_at=now,
    )
    SettlementLine.objects.bulk_create(
        SettlementLine(batch=batch, charge=row.charge, leg=row.leg.value, amount_fen=row.amount_fen) for row in due
    )
    _record(batch, action="settlement.drafted", actor=actor, now=now)
    return batch


def _lock(batch: SettlementBatch) -> SettlementBatch:
    return (
        SettlementBatch.objects.select_for_update(no_key=True, of=("self",))
        .select_related("created_by", "provider")
        .order_by("pk")
        .get(pk=batch.pk)
    )


def _refuse_payee(actor: Actor, batch: SettlementBatch) -> None:
    """Raises OwnPayee for a member of the provider that is paid, in whichever organisation the person acts."""
    if people.belongs(user_id=actor.person, organisation_id=batch.provider_id):
        raise rules.OwnPayee


def _record(batch: SettlementBatch, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"settlement:{batch.number}",
        actor=actor,
        now=now,
        organisations=[batch.provider_id],
        data={"total_fen": batch.total_fen, "state": batch.state},
    )


Leg = tuple[AccountKey, AccountKey, AccountKey]


def _sums(batch: SettlementBatch) -> dict[Leg, int]:
    """Return the batch's fen per (payable, clearing, final) accounts: one row a programme and year, one for cash."""
    provider, owner = f"organisation:{batch.provider_id}", f"batch:{batch.number}"
    sums: dict[Leg, int] = defaultdict(int)
    for line in queries.lines_of(batch.pk).filter(active=True):
        if line.leg == rules.Leg.VOUCHER.value:
            voucher = line.charge.voucher
            assert voucher is not None
            money = (voucher.programme_code, voucher.fiscal_year)
            leg = (
                AccountKey(AccountKind.PROVIDER_PAYABLE, provider, *money),
                AccountKey(AccountKind.SETTLEMENT_CLEARING, owner, *money),
                AccountKey(AccountKind.SETTLED, f"programme:{voucher.programme_code}/{voucher.fiscal_year}", *money),
            )
        else:
            leg = (
                AccountKey(AccountKind.CASH_PROVIDER_PAYABLE, provider),
                AccountKey(AccountKind.SETTLEMENT_CLEARING, owner),
                AccountKey(AccountKind.BANK_CLEARING, "bank:main"),
            )
        sums[leg] += line.amount_fen
    assert sum(sums.values()) == batch.total_fen
    return sums


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
    _record(locked, action="settlement.approved", actor=actor, now=now)
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
    _record(locked, action="settlement.paid", actor=actor, now=now)
    return locked


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
    SettlementLine.objects.filter(batch=locked).update(active=False)
    _record(locked, action="settlement.discarded", actor=actor, now=now)
    return locked
