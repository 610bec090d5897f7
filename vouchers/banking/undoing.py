"""Undo a wrong match: one person says why, a second reverses it. The match, and what was booked, stay on record."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Q

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Reason, noop
from portal.kernel.states import next_state
from portal.organisations.models import Organisation
from vouchers.banking import access, booking, rules
from vouchers.banking.models import BankMatch, MatchPart, StatementLine
from vouchers.banking.rules import LineAction, LineState, MatchAction, MatchState, PartKind
from vouchers.banking.services import lock, move, record
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Journal
from vouchers.ledger.rules import InsufficientFunds, JournalKind, Posting
from vouchers.payments import taking_back, unapplied
from vouchers.payments.rules import CannotTakeBack
from vouchers.settlements import seeing
from vouchers.settlements.models import SettlementLine
from vouchers.settlements.rules import Leg

__all__ = ["doubt", "reverse", "stand"]

_ = noop

OWN_JOURNAL = frozenset({PartKind.PAYOUT, PartKind.FEE, PartKind.RETURN, PartKind.EXCESS, PartKind.REPAYMENT})


@transaction.atomic
def doubt(*, actor: Actor, match: BankMatch, reason: str, now: datetime) -> BankMatch:
    """Say that a match is wrong, and why. Raises ReasonMissing, CannotUndo, InvalidTransition, Forbidden."""
    actor.require(Permission.BANK_MATCH)
    if not reason.strip():
        raise rules.ReasonMissing(field="reason")
    line, locked = _locked(match)
    locked.state = next_state(rules.MATCH_TRANSITIONS, MatchState(locked.state), MatchAction.DOUBT).value
    _refuse_used(locked)
    locked.doubt, locked.doubted_by_id, locked.doubter = reason.strip()[:200], actor.person, actor.signature[:160]
    locked.doubted_at = now
    locked.save(update_fields=["state", "doubt", "doubted_by", "doubter", "doubted_at"])
    record(line, action="bank.doubted", actor=actor, now=now, reason=locked.doubt)
    return locked


@transaction.atomic
def stand(*, actor: Actor, match: BankMatch, now: datetime) -> BankMatch:
    """Let a doubted match stand. Raises InvalidTransition, Forbidden."""
    access.require_finance(actor)
    line, locked = _locked(match)
    locked.state = next_state(rules.MATCH_TRANSITIONS, MatchState(locked.state), MatchAction.STAND).value
    locked.save(update_fields=["state"])
    record(line, action="bank.stands", actor=actor, now=now)
    return locked


@transaction.atomic
def reverse(*, actor: Actor, match: BankMatch, now: datetime) -> BankMatch:
    """Reverse a doubted match as a second person: every journal is mirrored, the line is open, or parked, again.

    Raises SamePerson, CannotUndo, CannotTakeBack, InvalidTransition, Forbidden.
    """
    access.require_finance(actor)
    line, locked = _locked(match)
    state = next_state(rules.MATCH_TRANSITIONS, MatchState(locked.state), MatchAction.REVERSE)
    if actor.person == locked.doubted_by_id:
        raise rules.SamePerson
    unapplied.serialise(_payers(locked))
    _lock_providers(locked)
    _refuse_used(locked)
    locked.state, locked.reversed_by_id, locked.reversed_at = state.value, actor.user_id, now
    locked.save(update_fields=["state", "reversed_by", "reversed_at"])
    move(line, LineAction.UNDO_PARKED if locked.from_parked else LineAction.UNDO)
    record(line, action="bank.reversed", actor=actor, now=now, reason=locked.doubt)
    for part in locked.parts.select_related("arrival__payment", "returned", "batch").order_by("payment_id", "nth"):
        _undo(part, locked, actor=actor, now=now)
    return locked


def _locked(match: BankMatch) -> tuple[StatementLine, BankMatch]:
    line = lock(match.line)
    return line, BankMatch.objects.select_for_update(no_key=True).order_by("pk").get(pk=match.pk)


def _payers(match: BankMatch) -> set[int]:
    """Return whose unapplied money a match is about."""
    rows = match.parts.values_list("payment__payer", "payer")
    return {payer for row in rows for payer in row if payer is not None}


def _lock_providers(match: BankMatch) -> None:
    """Lock whom the payments' shares are owed, or who pays back, as a settlement does: a batch being drafted has them or does not."""
    owed = match.parts.filter(kind=PartKind.PAYMENT.value).values("payment__charge__provider")
    owes = match.parts.filter(kind=PartKind.REPAYMENT.value).values("payer")
    mine = Q(pk__in=owed) | Q(pk__in=owes)
    list(Organisation.objects.select_for_update(no_key=True).filter(mine).order_by("pk"))


def _refuse_used(match: BankMatch) -> None:
    """Raises CannotUndo with every ground on which others rely on what was booked."""
    reasons = []
    for part in match.parts.select_related("payment__charge"):
        if part.kind == PartKind.REFUND.value:
            reasons.append(
                Reason(
                    "banking.refund_booked",
                    _("退款已随这条流水登记为已退还。"),
                    _("请在该笔付款的页面核对；确需更正的，由财务另行登记。"),
                )
            )
        elif part.kind == PartKind.BOUNCE.value:
            reasons.append(
                Reason(
                    "banking.bounce_booked",
                    _("退票已入账，批次待重新付款。"),
                    _("如款项其实没有退回，请核实账户后在批次页面重新登记付款。"),
                )
            )
        elif part.kind == PartKind.PAYMENT.value and part.payment is not None:
            charge = part.payment.charge
            if SettlementLine.objects.filter(charge=charge, leg=Leg.OWN.value, active=True).exists():
                reasons.append(
                    Reason(
                        "banking.share_settled",
                        _("付款 %(number)s 的自付部分已编入兑付批次。"),
                        _("请先作废该批次；已兑付的，请改为办理退款。"),
                        params={"number": part.payment.number},
                    )
                )
    if reasons:
        raise rules.CannotUndo(reasons)


def _undo(part: MatchPart, match: BankMatch, *, actor: Actor, now: datetime) -> None:
    kind = PartKind(part.kind)
    if kind is PartKind.PAYMENT and part.arrival is not None:
        taking_back.take_back(arrival=part.arrival, asked_by=match.doubter, reason=match.doubt, actor=actor, now=now)
    elif kind is PartKind.SETTLEMENT:
        _unseen(part, match, actor=actor, now=now)
    elif kind in OWN_JOURNAL and (kind is not PartKind.PAYOUT or match.from_parked):
        if kind is PartKind.RETURN and part.returned_id is not None:
            sender = StatementLine.objects.select_for_update(no_key=True).order_by("pk").get(pk=part.returned_id)
            action = LineAction.UNDO_PARKED
            sender.state = next_state(rules.LINE_TRANSITIONS, LineState(sender.state), action).value
            sender.save(update_fields=["state"])
        if kind is PartKind.EXCESS:
            unapplied.take_back(source=booking.key_of(part, match), actor=actor, now=now)
        _mirror(booking.key_of(part, match), match, actor=actor)
        if kind is PartKind.REPAYMENT and match.from_parked:
            _mirror(f"{booking.key_of(part, match)}/unparked", match, actor=actor)


def _unseen(part: MatchPart, match: BankMatch, *, actor: Actor, now: datetime) -> None:
    if part.batch is not None and part.order_line_id is None:
        seeing.not_seen(actor=actor, batch=part.batch, bank_line=match.line.reference, now=now)


def _mirror(key: str, match: BankMatch, *, actor: Actor) -> None:
    try:
        ledger.post(
            posting=Posting(
                kind=JournalKind.REVERSE,
                key=f"{key}/reversed",
                reverses=Journal.objects.get(key=key).pk,
                operations=(),
                actor=match.doubter,
                approved_by=actor.signature,
                reason=match.doubt,
                source_type="bank_line",
                source_id=str(match.line_id),
            )
        )
    except InsufficientFunds as error:
        raise CannotTakeBack from error
