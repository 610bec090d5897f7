"""Money that comes in for recoveries, and what is given up: finance's part, by two persons where value is lost."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils.module_loading import import_string

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.organisations import access as people
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.payments.rules import bank_reference as bank_number
from vouchers.recoveries import queries, rules
from vouchers.recoveries.cases import lock, move, receivable_key, record, said
from vouchers.recoveries.models import Recovery, RecoveryPayment


def _financial(actor: Actor, recovery: Recovery, permission: Permission) -> Recovery:
    """Lock a case for a person of finance. Raises Forbidden, Involved for a member of the debtor."""
    actor.require(permission)
    locked = lock(recovery)
    if people.belongs(user_id=actor.person, organisation_id=locked.debtor_id):
        raise rules.Involved
    return locked


@transaction.atomic
def receive(*, actor: Actor, recovery: Recovery, amount: Money, bank_reference: str, now: datetime) -> Recovery:
    """Book money found on the bank statement; the case closes when nothing is owed any more.

    Once a bank reference, which is used for it alone: its line on the statement shows it. Raises Involved, TooMuch,
    TextMissing, BankReferenceTaken, InvalidTransition, and what `settings.BANK_REFERENCES` does.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    reference = bank_number(said(bank_reference, "bank_reference", 60))
    if RecoveryPayment.objects.filter(bank_reference=reference).exists():
        raise rules.BankReferenceTaken(field="bank_reference")
    subject = f"recovery:{recovery.number}"
    name: str = import_string(settings.BANK_REFERENCES)(reference, subject=subject, now=now)
    locked = _financial(actor, recovery, Permission.PAYMENT_CONFIRM)
    if locked.state != rules.RecoveryState.RECOVERING.value:
        move(locked, rules.RecoveryAction.COMPLETE)
    limit = locked.outstanding_fen - queries.promised_fen(locked)
    if not 0 < amount.fen <= limit:
        raise rules.TooMuch(field="amount", limit=str(Money(limit)))
    try:
        with transaction.atomic():
            RecoveryPayment.objects.create(
                recovery=locked,
                amount_fen=amount.fen,
                bank_reference=reference,
                received_by_id=actor.person,
                received_at=now,
            )
    except IntegrityError as error:
        raise rules.BankReferenceTaken(field="bank_reference") from error
    code, year = locked.version.programme.code, locked.fiscal_year
    bank = AccountKey(AccountKind.BANK_CLEARING, "bank:main", code, year)
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_IN,
            key=f"recovery:{locked.number}/in/{name}",
            operations=[TransferOp(bank, receivable_key(locked), amount.fen)],
            actor=actor.signature,
            source_type="recovery",
            source_id=locked.number,
        )
    )
    _came_in(locked, amount, now=now)
    record(locked, action="recovery.received", actor=actor, now=now, received_fen=amount.fen, bank_reference=reference)
    return locked


@transaction.atomic
def shown_by(*, recovery: Recovery, amount: Money, bank_reference: str) -> str:
    """Note which line of the statement shows money that was recorded by hand; return the name its booking bears.

    Recorded under a reference that was released, it takes the line's from now on. For matching lines only.
    """
    rows = RecoveryPayment.objects.select_for_update(no_key=True).filter(recovery=recovery, batch="")
    if rows.filter(bank_reference=bank_reference).exists():
        return bank_reference
    found = rows.filter(bank_reference__startswith="~", amount_fen=amount.fen).order_by("pk").first()
    if found is None:
        return ""
    name = found.bank_reference[1:]
    found.bank_reference = bank_reference[:60]
    found.save(update_fields=["bank_reference"])
    return name


def _came_in(recovery: Recovery, amount: Money, *, now: datetime) -> None:
    recovery.received_fen += amount.fen
    if not recovery.outstanding_fen:
        move(recovery, rules.RecoveryAction.COMPLETE)
        recovery.closed_at = now
    recovery.save()


@transaction.atomic
def set_off(*, recovery: Recovery, amount: Money, batch: str, actor: Actor, now: datetime) -> Recovery:
    """Note that a paid settlement batch has set `amount` off, whose ledger posting is the batch's. For settlements only."""
    locked = lock(recovery)
    RecoveryPayment.objects.create(
        recovery=locked,
        amount_fen=amount.fen,
        bank_reference=f"{batch}/{locked.number}",
        batch=batch,
        received_by_id=actor.person,
        received_at=now,
    )
    _came_in(locked, amount, now=now)
    record(locked, action="recovery.set_off", actor=actor, now=now, received_fen=amount.fen, batch=batch)
    return locked


@transaction.atomic
def ask_write_off(*, actor: Actor, recovery: Recovery, reason: str, now: datetime) -> Recovery:
    """Ask to give up what cannot be collected; another person approves. Raises Involved, TextMissing."""
    locked = _financial(actor, recovery, Permission.PAYMENT_CONFIRM)
    if locked.state != rules.RecoveryState.RECOVERING.value:
        move(locked, rules.RecoveryAction.WRITE_OFF)
    locked.write_off_asked_by_id = actor.person
    locked.reason = said(reason, "reason", 600)
    locked.save()
    record(locked, action="recovery.write_off_asked", actor=actor, now=now, reason=locked.reason)
    return locked


@transaction.atomic
def write_off(*, actor: Actor, recovery: Recovery, now: datetime) -> Recovery:
    """Give up what is outstanding, as another person than the one who asked. Raises SamePerson, TextMissing, SetOffPending."""
    locked = _financial(actor, recovery, Permission.SETTLEMENT_APPROVE)
    if locked.write_off_asked_by_id is None:
        raise rules.TextMissing(field="reason")
    if actor.person == locked.write_off_asked_by_id:
        raise rules.SamePerson
    if queries.promised_fen(locked):
        raise rules.SetOffPending
    move(locked, rules.RecoveryAction.WRITE_OFF)
    code, year = locked.version.programme.code, locked.fiscal_year
    lost = AccountKey(AccountKind.WRITE_OFF, f"programme:{code}/{year}", code, year)
    ledger.post(
        posting=Posting(
            kind=JournalKind.WRITE_OFF,
            key=f"recovery:{locked.number}/write-off",
            operations=[TransferOp(lost, receivable_key(locked), locked.outstanding_fen)],
            actor=f"{locked.write_off_asked_by} #{locked.write_off_asked_by_id}",
            approved_by=actor.signature,
            reason=locked.reason,
            source_type="recovery",
            source_id=locked.number,
        )
    )
    locked.written_off_fen = locked.outstanding_fen
    locked.closed_at = now
    locked.save()
    record(locked, action="recovery.written_off", actor=actor, now=now, reason=locked.reason)
    return locked
