"""Book what a line is: each kind of part in its own way, money in through `payments.arriving` alone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime, time
from typing import Any

from django.db import connection
from django.db.models import Sum

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import PORTAL_ZONE
from portal.organisations.models import Organisation
from vouchers.banking import claiming, rules
from vouchers.banking.models import BankMatch, MatchPart, StatementLine
from vouchers.banking.outgoing import paid_back, paid_back_as
from vouchers.banking.parts import Part
from vouchers.banking.rules import LineAction, LineState, MatchState, PartKind
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Journal, Transfer
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Posting, TransferOp
from vouchers.payments import arriving, refunding, unapplied
from vouchers.payments import services as payments
from vouchers.payments.models import Payment
from vouchers.recoveries import collecting
from vouchers.settlements import bouncing, repaying, seeing

__all__ = ["book", "check", "key_of", "park", "parked_account", "parked_key", "part_of"]


def parked_account(line: StatementLine) -> AccountKey:
    """Return the account on which money of an unknown payer lies."""
    return AccountKey(AccountKind.UNAPPLIED_CASH, line.owner)


def key_of(part: MatchPart, made: BankMatch) -> str:
    """Return the key of the journal that books a part itself."""
    return f"line:{made.line_id}/{made.nth}.{part.nth}"


def source_of(part: MatchPart, made: BankMatch) -> str:
    """Return the source by which `arriving.receive` knows a part: the line's own for the first, so that it counts once."""
    return f"line:{made.line_id}" if (made.nth, part.nth) == (1, 1) else key_of(part, made)


def part_of(row: MatchPart) -> Part:
    """Return a stored part as a value."""
    return Part(
        kind=PartKind(row.kind),
        amount_fen=row.amount_fen,
        payment=row.payment,
        batch=row.batch,
        order_line=row.order_line,
        returned=row.returned,
        payer=row.payer,
        rail=row.rail,
        arrival=row.arrival,
        recovery=row.recovery,
    )


FROM_PARKED = frozenset({PartKind.PAYMENT, PartKind.PAYOUT, PartKind.BOUNCE, PartKind.REPAYMENT})


def check(line: StatementLine, part: Part) -> None:
    """Refuse a part that is not what it says, as things are now. Raises TargetDiffers, WrongSide, what `seeing` does."""
    target: int | None = None
    if part.kind is PartKind.MANUAL:
        fits = part.arrival is not None and part.arrival.source.removeprefix("manual:") in _names(line, part)
        target = part.arrival.amount_fen if part.arrival is not None and fits else 0
        if line.state == LineState.PARKED.value or _is_used(line, kind=part.kind.value, arrival=part.arrival):
            target = 0
    elif part.kind is PartKind.REFUND and part.payment is not None:
        target = refunding.owed_by_bank(type(part.payment).objects.select_related("charge").get(pk=part.payment.pk))
    elif part.kind is PartKind.PAID_BACK and part.payment is not None:
        found = paid_back([line.reference]).get(line.reference)
        target = found[1] if found is not None and found[0].pk == part.payment.pk else 0
        if not target and _released(part) is not None:
            target = part.amount_fen
        if _is_used(line, kind=part.kind.value, payment=part.payment, match__line__reference=line.reference):
            target = 0
    elif part.kind is PartKind.SETTLEMENT and part.order_line is not None:
        left = seeing.late_fen(part.order_line) - _late_shown(line, part.order_line.pk)
        if part.amount_fen > left:
            target = left
    elif part.kind is PartKind.SETTLEMENT and part.batch is not None:
        left = seeing.unseen_fen(part.batch, bank_line=line.reference) - _shown(line, part.batch.pk, ACTIVE)
        if part.amount_fen > left:
            target = left
    elif part.kind is PartKind.BOUNCE and part.batch is not None:
        target = bouncing.returnable_fen(part.batch)
    elif part.kind is PartKind.REPAYMENT and part.payer is not None:
        _refuse_more_than_owed(line, part, part.payer)
    elif part.kind is PartKind.RECOVERED and part.recovery is not None:
        target = _recovered_fen(line, part)
    elif part.kind is PartKind.RETURN and part.returned is not None:
        sender = StatementLine.objects.get(pk=part.returned.pk)
        is_parked = sender.state == LineState.PARKED.value and sender.account_id == line.account_id
        target = sender.amount_fen if is_parked else 0
    elif part.kind is PartKind.PAYOUT and not _payouts_left(line, part):
        raise rules.NoSuchPayout(field="parts", amount=Money(part.amount_fen))
    if line.state == LineState.PARKED.value and part.kind not in FROM_PARKED:
        raise rules.WrongSide(field="parts")
    if target is not None and target != part.amount_fen:
        raise rules.TargetDiffers(field="parts", target=Money(target), amount=Money(part.amount_fen))


def _names(line: StatementLine, part: Part) -> set[str]:
    """Return as what money confirmed by hand may be booked that a line shows: its reference, or one that was released."""
    mine = claiming.loose(f"in:{part.payment.number}") if part.payment is not None else set()
    return {*claiming.booked_as([line.reference]), *mine}


def _released(part: Part | MatchPart) -> str | None:
    """Return the name of a refund recorded by hand of a part's amount whose reference was released and is not known."""
    if part.payment is None:
        return None
    for name in sorted(claiming.loose(f"back:{part.payment.number}")):
        found = paid_back_as({name: name}).get(name)
        if found is not None and found[1] == part.amount_fen:
            return name
    return None


def _refuse_more_than_owed(line: StatementLine, part: Part, payee: Organisation) -> None:
    """Raises MoreThanOwed where a payee owes less than a part, what other lines are proposed to repay set aside."""
    waiting = MatchPart.objects.filter(
        kind=PartKind.REPAYMENT.value, payer=payee, match__state=MatchState.PROPOSED.value
    ).exclude(match__line=line)
    reserved = waiting.aggregate(fen=Sum("amount_fen"))["fen"] or 0
    left = max(sum(repaying.owed_by([payee.pk]).get(payee.pk, {}).values()) - reserved, 0)
    if part.amount_fen > left:
        raise repaying.MoreThanOwed(field="parts", payee=payee.name, left=Money(left), amount=Money(part.amount_fen))


def _recovered_fen(line: StatementLine, part: Part) -> int:
    """Return what finance recorded by hand for a case that a line may show, in fen: under its reference, or a released one."""
    if part.recovery is None or _is_used(line, recovery=part.recovery, match__line__reference=line.reference):
        return 0
    rows = part.recovery.payments.filter(batch="")
    mine = rows.filter(bank_reference=line.reference).first()
    mine = mine or rows.filter(bank_reference__startswith="~", amount_fen=part.amount_fen).first()
    return mine.amount_fen if mine is not None else 0


def _shown(line: StatementLine, batch_id: int, states: Sequence[str]) -> int:
    """Return what of a batch other lines show by matches in some states, in fen: BOOKED does, a proposal only reserves."""
    rows = MatchPart.objects.filter(
        kind=PartKind.SETTLEMENT.value, batch=batch_id, order_line=None, match__state__in=states
    )
    return rows.exclude(match__line=line).aggregate(fen=Sum("amount_fen"))["fen"] or 0


def _late_shown(line: StatementLine, order_line_id: int) -> int:
    """Return what other lines show, or are proposed to show, of a payment that the bank made late, in fen."""
    rows = MatchPart.objects.filter(order_line=order_line_id, match__state__in=ACTIVE)
    return rows.exclude(match__line=line).aggregate(fen=Sum("amount_fen"))["fen"] or 0


def _is_used(line: StatementLine, **target: object) -> bool:
    """Say whether another line's match explains itself by the same thing."""
    return MatchPart.objects.filter(**target, match__state__in=ACTIVE).exclude(match__line=line).exists()


def _payouts_left(line: StatementLine, part: Part) -> int:
    """Return how many payouts of a gateway of this amount are booked by its own report and matched by no other line."""
    booked = Transfer.objects.filter(
        journal__kind=JournalKind.GATEWAY_PAYOUT.value,
        journal__key__startswith=f"payout:{part.rail}:",
        amount=part.amount_fen,
    )
    reversed_ = Journal.objects.filter(reverses__in=booked.values("journal")).count()
    same = MatchPart.objects.filter(kind=PartKind.PAYOUT.value, rail=part.rail, amount_fen=part.amount_fen)
    return booked.count() - reversed_ - same.filter(match__state__in=ACTIVE).exclude(match__line=line).count()


ACTIVE = [state.value for state in rules.ACTIVE]
BOOKED = [MatchState.BOOKED.value, MatchState.REVERSING.value]


def book(made: BankMatch, line: StatementLine, parts: Sequence[MatchPart], *, actor: Actor, now: datetime) -> None:
    """Book every part of a match; those booked before only point at what they were booked as.

    Every lock that a part takes before it posts is taken before the first one posts: the ledger's come last.
    """
    _serialise([row.payment_id for row in parts if row.payment_id and row.kind == PartKind.PAYMENT.value])
    unapplied.serialise(row.payer_id for row in parts if row.payer_id and row.kind == PartKind.EXCESS.value)
    repaying.serialise(row.payer_id for row in parts if row.payer_id and row.kind == PartKind.REPAYMENT.value)
    refunds = [row.payment_id for row in parts if row.payment_id and row.kind == PartKind.REFUND.value]
    list(Payment.objects.select_for_update(no_key=True).filter(pk__in=refunds).order_by("pk"))
    for row in sorted(parts, key=lambda part: (part.payment_id or 0, part.nth)):
        if booker := BOOKERS.get(PartKind(row.kind)):
            booker(row, made, line, actor, now)


def _serialise(payments_: Sequence[int]) -> None:
    """Take the locks of several payments' arrivals in one order, before the ledger's."""
    with connection.cursor() as cursor:
        for pk in sorted(set(payments_)):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [arriving.ARRIVING, pk % 2**31])


def _payment(row: MatchPart, made: BankMatch, line: StatementLine, actor: Actor, now: datetime) -> None:
    assert row.payment is not None
    row.arrival = arriving.receive(
        payment=row.payment,
        amount=Money(row.amount_fen),
        source=source_of(row, made),
        account=line.owner if made.from_parked else line.account.owner,
        actor=actor,
        now=now,
        proof=arriving.Proof(_reference(line, row, made), _end_of(line.booked_on)),
    )
    row.save(update_fields=["arrival"])


def _end_of(day: date) -> datetime:
    """Return the last second of a bank's day: a statement names the day alone, and by its end the money was there."""
    return datetime.combine(day, time(23, 59, 59), tzinfo=PORTAL_ZONE)


def _reference(line: StatementLine, row: MatchPart, made: BankMatch) -> str:
    """Return the bank's number as the payment shows it: a line that pays several ends in which part of it this is."""
    if made.parts.count() == 1:
        return "" if line.reference.startswith("~") else line.reference[:60]
    return f"{f'~{line.pk}' if line.reference.startswith('~') else line.reference[:56]}/{row.nth}"


def _refund(row: MatchPart, _made: BankMatch, line: StatementLine, actor: Actor, now: datetime) -> None:
    assert row.payment is not None
    before = type(row.payment).objects.get(pk=row.payment.pk).paid_back_fen
    done = payments.pay_back(
        actor=actor, payment=row.payment, bank_reference=line.reference[:60], now=now, by_line=True
    )
    if done.paid_back_fen - before != row.amount_fen:
        raise rules.TargetDiffers(
            field="parts", target=Money(done.paid_back_fen - before), amount=Money(row.amount_fen)
        )


def _by_hand(row: MatchPart, _made: BankMatch, line: StatementLine, _actor: Actor, now: datetime) -> None:
    """Book nothing: a person did. Where its reference had been released, the line's is the right one from now on."""
    assert row.payment is not None
    if row.kind == PartKind.MANUAL.value and row.arrival is not None:
        subject, name = f"in:{row.payment.number}", row.arrival.source.removeprefix("manual:")
    else:
        subject, name = f"back:{row.payment.number}", _released(row) or ""
    claiming.found_again(line, subject=subject, name=name, now=now)


def _payout(row: MatchPart, made: BankMatch, line: StatementLine, actor: Actor, _now: datetime) -> None:
    """Book nothing: the gateway's report did (`payout:…`). What was parked for want of it is taken off again."""
    if made.from_parked:
        _post(JournalKind.CASH_OUT, (parked_account(line), _money(line)), row, made, actor)


def _fee(row: MatchPart, made: BankMatch, line: StatementLine, actor: Actor, _now: datetime) -> None:
    _post(JournalKind.FEE, (AccountKey(AccountKind.FEES, line.account.owner), _money(line)), row, made, actor)


def _excess(row: MatchPart, made: BankMatch, line: StatementLine, actor: Actor, now: datetime) -> None:
    assert row.payer_id is not None
    unapplied.go_back(
        payer_id=row.payer_id,
        amount=Money(row.amount_fen),
        source=key_of(row, made),
        account=line.account.owner,
        actor=actor,
        now=now,
    )


def _settlement(row: MatchPart, _made: BankMatch, line: StatementLine, actor: Actor, now: datetime) -> None:
    """Book nothing: the payment was. Once lines show all of a batch, it is reconciled; what was paid late is beside it."""
    assert row.batch is not None
    if row.order_line_id is not None:
        return
    if _shown(line, row.batch.pk, BOOKED) + row.amount_fen == seeing.expected_fen(row.batch):
        seeing.seen(actor=actor, batch=row.batch, bank_line=line.reference, now=now)


def _bounce(row: MatchPart, made: BankMatch, line: StatementLine, actor: Actor, now: datetime) -> None:
    """Book the payment back; what was parked for want of it is taken off again."""
    assert row.batch is not None
    bouncing.bounce(
        actor=actor,
        batch=row.batch,
        amount=Money(row.amount_fen),
        asked_by=made.proposer,
        person=made.proposed_by_id,
        line=line.reference,
        now=now,
    )
    if made.from_parked:
        _post(JournalKind.CASH_OUT, (parked_account(line), _money(line)), row, made, actor)


def _repayment(row: MatchPart, made: BankMatch, line: StatementLine, actor: Actor, _now: datetime) -> None:
    """Book that a payee pays back; what was parked for want of it is taken off again."""
    assert row.payer is not None
    repaying.repay(
        payee=row.payer,
        amount=Money(row.amount_fen),
        source=key_of(row, made),
        account=line.account.owner,
        actor=actor,
    )
    if made.from_parked:
        _post(JournalKind.CASH_OUT, (parked_account(line), _money(line)), row, made, actor, step="/unparked")


def _recovered(row: MatchPart, _made: BankMatch, line: StatementLine, _actor: Actor, now: datetime) -> None:
    """Book nothing: a person did. Where its reference had been released, the line's is the right one from now on."""
    assert row.recovery is not None
    subject = f"recovery:{row.recovery.number}"
    name = collecting.shown_by(recovery=row.recovery, amount=Money(row.amount_fen), bank_reference=line.reference)
    claiming.found_again(line, subject=subject, name=name, now=now)


def _return(row: MatchPart, made: BankMatch, line: StatementLine, actor: Actor, _now: datetime) -> None:
    assert row.returned_id is not None
    sender = StatementLine.objects.select_for_update(no_key=True).order_by("pk").get(pk=row.returned_id)
    sender.state = next_state(rules.LINE_TRANSITIONS, LineState(sender.state), LineAction.RETURN).value
    sender.save(update_fields=["state"])
    _post(JournalKind.CASH_OUT, (parked_account(sender), _money(line)), row, made, actor)


Booker = Callable[[MatchPart, BankMatch, StatementLine, Actor, datetime], Any]
BOOKERS: Mapping[PartKind, Booker] = {
    PartKind.PAYMENT: _payment,
    PartKind.MANUAL: _by_hand,
    PartKind.PAID_BACK: _by_hand,
    PartKind.REFUND: _refund,
    PartKind.PAYOUT: _payout,
    PartKind.FEE: _fee,
    PartKind.RETURN: _return,
    PartKind.EXCESS: _excess,
    PartKind.SETTLEMENT: _settlement,
    PartKind.BOUNCE: _bounce,
    PartKind.REPAYMENT: _repayment,
    PartKind.RECOVERED: _recovered,
}


def _money(line: StatementLine) -> AccountKey:
    return arriving.in_account(line.account.owner)


def _post(
    kind: JournalKind,
    flow: tuple[AccountKey, AccountKey],
    row: MatchPart,
    made: BankMatch,
    actor: Actor,
    *,
    step: str = "",
) -> None:
    ledger.post(
        posting=Posting(
            kind=kind,
            key=f"{key_of(row, made)}{step}",
            operations=[TransferOp(*flow, row.amount_fen)],
            actor=actor.signature,
            source_type="bank_line",
            source_id=str(made.line_id),
        )
    )


def park(line: StatementLine, *, actor: Actor) -> None:
    """Book a line as unapplied cash of its own."""
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_IN,
            key=parked_key(line),
            operations=[TransferOp(_money(line), parked_account(line), line.amount_fen)],
            actor=actor.signature,
            source_type="bank_line",
            source_id=str(line.pk),
        )
    )


def parked_key(line: StatementLine) -> str:
    """Return the key of the journal that parked a line: it is parked once at most."""
    return f"line:{line.pk}/parked"
