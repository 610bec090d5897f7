"""Say what a statement line is, confirm or refuse it as a second person, park money of unknown payers.

With ``importing``, ``automatic`` and ``undoing`` the only writer of lines and matches. Locks: the bank reference, the line,
then what the money is for, the ledger last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.db.models import Max

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.organisations import access as people
from vouchers.banking import access, booking, claiming, outgoing, rules
from vouchers.banking.models import BankMatch, MatchPart, StatementLine
from vouchers.banking.parts import Part
from vouchers.banking.rules import LineAction, LineState, MatchAction, MatchState, PartKind
from vouchers.payments.rules import OwnPayment
from vouchers.settlements.models import SettlementBatch

__all__ = ["confirm", "lock", "match", "move", "needs_second", "park", "record", "refuse"]

BOOKS_NOTHING = frozenset(
    {PartKind.MANUAL, PartKind.PAID_BACK, PartKind.SETTLEMENT, PartKind.PAYOUT, PartKind.RECOVERED}
)
"""What has been booked before: a line only proves it."""


def lock(line: StatementLine) -> StatementLine:
    """Return a line under lock, its bank reference claimed before: nobody confirms the same money by hand meanwhile."""
    claiming.serialise(line.reference)
    rows = StatementLine.objects.select_for_update(no_key=True, of=("self",)).select_related("account")
    return rows.order_by("pk").get(pk=line.pk)


def move(line: StatementLine, action: LineAction) -> None:
    """Take a locked line one step further. Raises InvalidTransition."""
    line.state = next_state(rules.LINE_TRANSITIONS, LineState(line.state), action).value
    line.save(update_fields=["state", "parked_at", "hint"])


def record(line: StatementLine, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Write what was done to a line."""
    audit.record(
        action=action,
        subject=f"bank_line:{line.pk}",
        actor=actor,
        now=now,
        data={"reference": line.reference, "amount_fen": line.amount_fen, **data},
    )


def needs_second(*, line: StatementLine, parts: Sequence[Part], actor: Actor) -> bool:
    """Say whether a match takes a second person.

    It says that a payment to a payee came back; or it books money, and its line reaches the limit of the settings; or it
    shows what the person recorded as paid, or, without a person, what who brought the statement marked as paid by hand; or
    a payer's money went back to an account that it is not known to have come from.
    """
    total = sum(part.amount_fen for part in parts)
    if any(part.kind is PartKind.BOUNCE for part in parts):
        return True
    batches = [part.batch.pk for part in parts if part.batch is not None]
    recorded = SettlementBatch.objects.filter(pk__in=batches, paid_by__isnull=False)
    if actor.user_id and recorded.filter(paid_by=actor.person).exists():
        return True
    if actor.is_system and any(
        claiming.by_hand(batch) for batch in recorded.filter(paid_by=line.upload.imported_by_id)
    ):
        return True
    if any(part.kind is PartKind.EXCESS and not outgoing.came_from(line, part.payer) for part in parts):
        return True
    return total >= settings.BANK_TWO_PERSON_FEN and any(part.kind not in BOOKS_NOTHING for part in parts)


@transaction.atomic
def match(
    *,
    actor: Actor,
    line: StatementLine,
    parts: Sequence[Part],
    now: datetime,
    reasons: Sequence[str] = (),
    note: str = "",
) -> BankMatch:
    """Say what a line is; booked at once, or from the limit of the settings on left for a second person.

    Of two at once the second is refused: the line has moved on. Raises NothingChosen, WrongSide, SumDiffers, TargetDiffers,
    OwnPayment, InvalidTransition, Forbidden, and what the booking raises.
    """
    actor.require(Permission.BANK_MATCH)
    locked = lock(line)
    next_state(rules.LINE_TRANSITIONS, LineState(locked.state), LineAction.MATCH)
    if locked.state == LineState.PROPOSED.value:
        raise rules.AlreadyProposed
    _check(actor, locked, parts)
    last = BankMatch.objects.filter(line=locked).aggregate(last=Max("nth"))["last"] or 0
    made = BankMatch.objects.create(
        line=locked,
        nth=last + 1,
        reasons=list(reasons),
        from_parked=locked.state == LineState.PARKED.value,
        note=note.strip()[:200],
        proposed_by_id=actor.user_id,
        proposer=actor.signature[:160],
        proposed_at=now,
    )
    rows = MatchPart.objects.bulk_create(
        MatchPart(
            match=made,
            nth=nth,
            kind=part.kind.value,
            amount_fen=part.amount_fen,
            payment=part.payment,
            batch=part.batch,
            order_line=part.order_line,
            returned=part.returned,
            payer=part.payer,
            rail=part.rail,
            arrival=part.arrival,
            recovery=part.recovery,
        )
        for nth, part in enumerate(parts, 1)
    )
    if needs_second(line=locked, parts=parts, actor=actor):
        move(locked, LineAction.PROPOSE)
        record(locked, action="bank.proposed", actor=actor, now=now)
        return made
    _book(made, locked, rows, actor=actor, now=now)
    if not actor.is_system:
        record(locked, action="bank.matched", actor=actor, now=now, kinds=[part.kind.value for part in parts])
    return made


def _check(actor: Actor, line: StatementLine, parts: Sequence[Part]) -> None:
    if not parts:
        raise rules.NothingChosen(field="parts")
    side = rules.INCOMING if line.amount_fen > 0 else rules.OUTGOING
    if any(part.kind not in side for part in parts):
        raise rules.WrongSide(field="parts")
    total, whole = sum(part.amount_fen for part in parts), abs(line.amount_fen)
    if total != whole or any(part.amount_fen <= 0 for part in parts):
        sums = {"sum": Money(total), "amount": Money(whole), "difference": Money(total - whole)}
        raise rules.SumDiffers(field="parts", **sums)
    things = [
        (part.kind, type(thing).__name__, thing.pk)
        for part in parts
        for thing in (part.payment, part.batch, part.returned, part.payer, part.recovery)
        if thing is not None
    ]
    if len(things) != len(set(things)):
        raise rules.Twice(field="parts")
    payers = [part.payment.payer_id for part in parts if part.payment is not None]
    payers += [part.payer.pk for part in parts if part.payer is not None]
    _own(actor, payers + [part.recovery.debtor_id for part in parts if part.recovery is not None])
    by_hand = claiming.arrival_of(line)
    if by_hand is not None and all(part.arrival is None or part.arrival.pk != by_hand.pk for part in parts):
        raise rules.TargetDiffers(
            field="parts", target=f"{by_hand.payment.number} {Money(by_hand.amount_fen)}", amount=Money(whole)
        )
    _refuse_claimed(line, parts)
    for part in sorted(parts, key=lambda each: each.batch.pk if each.batch is not None else 0):
        booking.check(line, part)


def _refuse_claimed(line: StatementLine, parts: Sequence[Part]) -> None:
    """Raises Claimed where a person has said by hand what the line's reference is for, and a part is not that.

    Fees go with it; of money that came in, what is more than was confirmed by hand may be something else.
    """
    subject = claiming.claimed(line)
    said = [subject in claiming.subjects_of(part) for part in parts if part.kind is not PartKind.FEE]
    if subject and not (all(said) if line.amount_fen < 0 and said else any(said)):
        raise rules.Claimed(field="parts", value=line.reference, target=subject.partition(":")[2])


def _own(actor: Actor, payers: Sequence[int]) -> None:
    """Raises OwnPayment for somebody who belongs to a payer, in whichever organisation they act."""
    if actor.user_id is None:
        return
    for payer_id in set(payers):
        if actor.organisation_id == payer_id or people.belongs(user_id=actor.person, organisation_id=payer_id):
            raise OwnPayment


def _book(made: BankMatch, line: StatementLine, parts: Sequence[MatchPart], *, actor: Actor, now: datetime) -> None:
    made.state = next_state(rules.MATCH_TRANSITIONS, MatchState(made.state), MatchAction.BOOK).value
    made.save(update_fields=["state", "decided_by", "decided_at"])
    move(line, LineAction.MATCH)
    booking.book(made, line, parts, actor=replace(actor, permissions=frozenset(Permission)), now=now)


def _decided(actor: Actor, found: BankMatch) -> tuple[BankMatch, StatementLine]:
    """Return a match and its line under lock, for a second person. Raises Forbidden, SamePerson."""
    access.require_finance(actor)
    line = lock(found.line)
    locked = BankMatch.objects.select_for_update(no_key=True).order_by("pk").get(pk=found.pk)
    if actor.person == locked.proposed_by_id:
        raise rules.SamePerson
    return locked, line


@transaction.atomic
def confirm(*, actor: Actor, match: BankMatch, now: datetime) -> BankMatch:
    """Confirm a proposed match as a second person; books it. What it is for is judged as it is now.

    Raises SamePerson, OwnPayment, TargetDiffers, InvalidTransition, Forbidden.
    """
    locked, line = _decided(actor, match)
    next_state(rules.MATCH_TRANSITIONS, MatchState(locked.state), MatchAction.BOOK)
    rows = list(
        locked.parts.select_related(
            "payment__charge", "payment__payer", "batch", "order_line", "returned", "payer", "arrival", "recovery"
        )
    )
    parts = [booking.part_of(row) for row in rows]
    recorded = {part.batch.paid_by_id for part in parts if part.batch is not None}
    if locked.proposed_by_id is None and actor.person in recorded:
        raise rules.SamePerson
    line.state = LineState.PARKED.value if locked.from_parked else LineState.OPEN.value
    _check(actor, line, parts)
    line.state = LineState.PROPOSED.value
    locked.decided_by_id, locked.decided_at = actor.user_id, now
    _book(locked, line, rows, actor=actor, now=now)
    record(line, action="bank.confirmed", actor=actor, now=now)
    return locked


@transaction.atomic
def refuse(*, actor: Actor, match: BankMatch, note: str, now: datetime) -> BankMatch:
    """Refuse a proposed match, or take one's own back; nothing is booked. Raises ReasonMissing, InvalidTransition, Forbidden."""
    access.require_finance(actor)
    if not note.strip():
        raise rules.ReasonMissing(field="note")
    line = lock(match.line)
    locked = BankMatch.objects.select_for_update(no_key=True).order_by("pk").get(pk=match.pk)
    locked.state = next_state(rules.MATCH_TRANSITIONS, MatchState(locked.state), MatchAction.REFUSE).value
    locked.note, locked.decided_at = note.strip()[:200], now
    locked.decided_by_id = actor.user_id if actor.user_id != locked.proposed_by_id else None
    locked.save(update_fields=["state", "note", "decided_by", "decided_at"])
    move(line, LineAction.KEEP if locked.from_parked else LineAction.DROP)
    record(line, action="bank.refused", actor=actor, now=now, note=locked.note)
    return locked


@transaction.atomic
def park(*, actor: Actor, line: StatementLine, now: datetime) -> StatementLine:
    """Book money nobody can place as unapplied cash of its line, until its payer is known or it goes back.

    Parking a parked line changes nothing. Raises WrongSide for money that went out, TargetDiffers where finance has
    confirmed the same bank reference by hand, InvalidTransition, Forbidden.
    """
    actor.require(Permission.BANK_MATCH)
    locked = lock(line)
    if locked.state == LineState.PARKED.value:
        return locked
    if locked.amount_fen < 0:
        raise rules.WrongSide
    by_hand = claiming.arrival_of(locked)
    if by_hand is not None:
        raise rules.TargetDiffers(
            target=f"{by_hand.payment.number} {Money(by_hand.amount_fen)}", amount=Money(locked.amount_fen)
        )
    if subject := claiming.claimed(locked):
        raise rules.Claimed(value=locked.reference, target=subject.partition(":")[2])
    locked.parked_at = now
    move(locked, LineAction.PARK)
    record(locked, action="bank.parked", actor=actor, now=now)
    booking.park(locked, actor=actor)
    return locked
