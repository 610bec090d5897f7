"""Give money back the way it came: over its rail, by itself; what a rail cannot give back, finance pays by bank. Never both."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction
from django.db.models import Sum

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import InvalidTransition, Unavailable, noop
from portal.kernel.money import Money
from portal.numbers.services import next_number
from vouchers.ledger import queries as balances
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Account
from vouchers.ledger.rules import AccountKey, JournalKind, Posting, TransferOp
from vouchers.payments import alarms, arriving, ports, rail_rules, rails
from vouchers.payments.hints import hint
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.rail_models import PaymentAttempt, RefundAttempt
from vouchers.payments.rail_rules import AttemptState, Purse, RefundAction, RefundState

__all__ = [
    "REASONS",
    "advance_left",
    "ask_again",
    "look",
    "owe",
    "owed_by_bank",
    "purse_account",
    "record",
    "return_excess",
    "see",
    "send",
    "settle_failed",
    "under_way",
    "wake",
]

_ = noop

OPEN: Final = frozenset(state.value for state in rail_rules.OPEN_REFUNDS)
OWED: Final = (Purse.DUE.value, Purse.ADVANCE.value)
REASONS: Final = {
    Purse.DUE: _("服务退款"),
    Purse.ADVANCE: _("预付款未用完"),
    Purse.UNAPPLIED: _("重复、逾期或多付的款项"),
}


def purse_account(payment: Payment, purse: Purse) -> AccountKey:
    """Return the ledger account of a payer that money of a purse goes back from."""
    if purse is Purse.UNAPPLIED:
        return arriving.unapplied_account(payment)
    return arriving.advance_account(payment) if purse is Purse.ADVANCE else arriving.due_account(payment)


def _sum(payment: Payment, **wanted: object) -> int:
    rows = RefundAttempt.objects.filter(payment=payment, **wanted)
    return rows.aggregate(total=Sum("amount_fen"))["total"] or 0


def advance_left(payment: Payment) -> int:
    """Return what of a payment's advance waits unused and is promised to nobody, in fen. Under the payment's lock."""
    key = arriving.advance_account(payment)
    account = Account.objects.filter(kind=key.kind.value, owner=key.owner).values_list("pk", flat=True).first()
    if account is None:
        return 0
    held = balances.balances(account_ids=[account])[account].posted_fen
    return held - _sum(payment, state__in=OPEN, taken_from=Purse.ADVANCE.value)


def owed_by_bank(payment: Payment) -> int:
    """Return what is owed back that no refund over a rail is under way for, in fen. Under the payment's lock."""
    return payment.owed_back_fen - under_way(payment)


def under_way(payment: Payment) -> int:
    """Return what of money owed back is on its way over rails, in fen. Under the payment's lock."""
    return _sum(payment, state__in=OPEN, taken_from__in=OWED)


@transaction.atomic
def owe(*, payment: Payment, now: datetime) -> list[RefundAttempt]:
    """Ask back over the rails what is owed back of a payment, oldest attempt first; what did not come over one stays.

    The rows are written here; they are sent once this is committed. Idempotent: what is asked for, or has failed and
    waits for finance, is not asked for again. Locks the payment, then its attempts.
    """
    if not payment.owed_back_fen or not _came_over_rails(payment):
        return []
    locked = arriving.lock(payment)
    failed = _sum(locked, state=RefundState.FAILED.value, settled_as="", taken_from__in=OWED)
    left = owed_by_bank(locked) - failed
    in_advance, made = max(advance_left(locked), 0), []
    for attempt in _attempts(locked):
        room = min(left, _room(attempt, now=now))
        if room <= 0 or (room != attempt.amount_fen and not rails.rail(attempt.rail).capabilities.partial_refund):
            continue
        for purse, fen in ((Purse.ADVANCE, min(in_advance, room)), (Purse.DUE, room - min(in_advance, room))):
            if fen:
                number = RefundAttempt.objects.filter(payment=locked).count() + 1
                made.append(_ask(attempt, locked, purse, fen, key=f"owed:{locked.number}/{number}", now=now))
        in_advance, left = in_advance - min(in_advance, room), left - room
    for refund in made:
        wake(refund)
    return made


def _came_over_rails(payment: Payment) -> bool:
    return Arrival.objects.filter(payment=payment).exclude(rail=arriving.BANK).exists()


def _attempts(payment: Payment) -> Sequence[PaymentAttempt]:
    """Lock and return the attempts whose money arrived for a payment, oldest first."""
    sources = Arrival.objects.filter(payment=payment, source__startswith="attempt:").values_list("source", flat=True)
    numbers = [source.partition(":")[2] for source in sources]
    rows = PaymentAttempt.objects.select_for_update(no_key=True, of=("self",)).filter(number__in=numbers)
    return list(rows.order_by("pk"))


def _room(attempt: PaymentAttempt, *, now: datetime) -> int:
    """Return what may still be asked back of an attempt: not what was, what a dispute has taken, or what is too old."""
    if attempt.state != AttemptState.SUCCEEDED.value or attempt.ended_at is None:
        return 0
    try:
        days = rails.rail(attempt.rail).capabilities.refund_days
    except rail_rules.NoSuchRail:
        return 0
    if now >= attempt.ended_at + timedelta(days=days):
        return 0
    taken = attempt.disputes.aggregate(total=Sum("taken_fen"))["total"] or 0
    return attempt.amount_fen - attempt.refunded_fen - taken


def return_excess(*, attempt: PaymentAttempt, arrival: Arrival, now: datetime) -> list[RefundAttempt]:
    """Ask back what of an arrival pays nothing; once an arrival. In the transaction that booked it, attempt locked."""
    fen = min(arrival.amount_fen - arrival.applied_fen, attempt.amount_fen - attempt.refunded_fen)
    key = f"excess:{arrival.pk}"
    if fen <= 0 or RefundAttempt.objects.filter(key=key).exists():
        return []
    return [_ask(attempt, arrival.payment, Purse.UNAPPLIED, fen, key=key, now=now)]


def _ask(
    attempt: PaymentAttempt, payment: Payment, purse: Purse, fen: int, *, key: str, now: datetime
) -> RefundAttempt:
    attempt.refunded_fen += fen
    attempt.save(update_fields=["refunded_fen"])
    made = RefundAttempt.objects.create(
        number=next_number(prefix="B", now=now),
        attempt=attempt,
        payment=payment,
        amount_fen=fen,
        reason=REASONS[purse],
        key=key,
        taken_from=purse.value,
        asked_by=alarms.SYSTEM.signature[:160],
        created_at=now,
        next_look_at=now + rail_rules.LOOKS[0],
    )
    record(made, action="payment.refund_asked", actor=alarms.SYSTEM, now=now)
    return made


def settle_failed(payment: Payment, *, settled_as: str) -> None:
    """Note how what failed refunds of a payment were to give back went back. Under the payment's lock."""
    rows = RefundAttempt.objects.filter(payment=payment, state=RefundState.FAILED.value, settled_as="")
    rows.filter(taken_from__in=OWED).update(settled_as=settled_as[:120])


def ask_again(failed: RefundAttempt, *, now: datetime) -> RefundAttempt:
    """Write a new refund in the place of one that failed. Payment and attempt are locked. Raises InvalidTransition."""
    attempt, payment = failed.attempt, failed.payment
    if _room(attempt, now=now) < failed.amount_fen:
        raise InvalidTransition(state=failed.state, action="retry")
    key = f"retry:{failed.number}"
    return _ask(attempt, payment, Purse(failed.taken_from), failed.amount_fen, key=key, now=now)


def wake(refund: RefundAttempt) -> None:
    """Have a worker send a refund once this transaction is committed; without one the beat does."""
    transaction.on_commit(lambda: hint("payments.send_refund", refund_id=refund.pk))


def send(*, refund: RefundAttempt, now: datetime) -> RefundAttempt:
    """Ask the gateway for a refund that it was not asked for, or whose answer was lost. Not in a transaction."""
    return look(refund=refund, now=now) if refund.state == RefundState.CREATED.value else refund


def look(*, refund: RefundAttempt, now: datetime) -> RefundAttempt:
    """Ask the gateway for an open refund and write what it says: by the same key, by its id, or find it by our number.

    Proof that there is none where an answer was lost is a failure: finance pays by bank. One that nobody has asked for yet
    is asked for, however late. A lost answer leaves it `unknown`. Not in a transaction.
    """
    refund = RefundAttempt.objects.select_related("attempt", "payment").get(pk=refund.pk)
    if refund.state not in OPEN:
        return refund
    try:
        found = _asked(rails.rail(refund.attempt.rail), refund, now=now)
    except Unavailable:
        return _moved(refund, RefundAction.LOSE, now=now)
    except ports.RailRefused as error:
        if refund.provider_id:
            return refund
        code, text = str(error.params.get("reason") or "refused"), str(error.params.get("text") or "")
        return _moved(refund, RefundAction.FAIL, now=now, failure=ports.Failure(code, text))
    if found is None:
        return _moved(refund, RefundAction.FAIL, now=now, failure=ports.Failure("not_found"))
    try:
        return see(refund=refund, seen=found, now=now)
    except rail_rules.NotOurs as error:
        return _suspect(refund, error, now=now)


def _asked(rail: ports.Rail, refund: RefundAttempt, *, now: datetime) -> ports.SeenRefund | None:
    paid = refund.attempt.provider_id
    if refund.provider_id:
        return rail.fetch_refund(refund.provider_id)
    is_young = now < refund.created_at + timedelta(hours=rail.capabilities.key_hours)
    if not is_young:
        found = rail.find_refund(refund.number, payment_id=paid)
        if found is not None or refund.state != RefundState.CREATED.value:
            return found
    return rail.refund(
        paid,
        number=refund.number,
        amount=Money(refund.amount_fen),
        reason=refund.reason,
        key=f"refund:{refund.number}",
    )


def see(*, refund: RefundAttempt, seen: ports.SeenRefund, now: datetime) -> RefundAttempt:
    """Write what the gateway says of a refund; repetition and order do not matter.

    A success posts the money out; a failure after it posts it back in (the payer's bank has returned it) and leaves it to
    finance. Raises NotOurs where it is not the row's, or has succeeded though finance was told that it failed.
    """
    notes = []
    if seen.number != refund.number or seen.payment_id != refund.attempt.provider_id:
        notes.append(f"refund {seen.number or '-'} of {seen.payment_id} != {refund.number}")
    if seen.amount.fen != refund.amount_fen or seen.currency != "CNY":
        notes.append(f"amount {seen.amount.fen} {seen.currency} != {refund.amount_fen} CNY")
    if refund.provider_id and refund.provider_id != seen.provider_id:
        notes.append(f"object {seen.provider_id} != {refund.provider_id}")
    action = rail_rules.refund_action_of(seen.state)
    if refund.state == RefundState.FAILED.value and action is RefundAction.SUCCEED:
        notes.append("succeeded after it had failed")
    if notes:
        raise rail_rules.NotOurs(note="; ".join(notes))
    return _moved(refund, action, now=now, provider_id=seen.provider_id, failure=seen.failure)


@transaction.atomic
def _moved(
    refund: RefundAttempt,
    action: RefundAction,
    *,
    now: datetime,
    provider_id: str = "",
    failure: ports.Failure | None = None,
) -> RefundAttempt:
    """Go on to the next state and book it. Locks the payment, the attempt, the refund."""
    payment = arriving.lock(refund.payment)
    PaymentAttempt.objects.select_for_update(no_key=True).order_by("pk").get(pk=refund.attempt_id)
    rows = RefundAttempt.objects.select_for_update(no_key=True, of=("self",)).select_related("attempt")
    locked = rows.order_by("pk").get(pk=refund.pk)
    locked.payment = payment
    locked.provider_id = provider_id or locked.provider_id
    before = RefundState(locked.state)
    target = rail_rules.REFUND_TRANSITIONS.get((before, action))
    if target is not None:
        locked.state = target.value
        if target.value in OPEN:
            # after the last look the janitor tells a person
            locked.next_look_at = rail_rules.next_look(locked.looks, now=now) or locked.next_look_at
        else:
            locked.ended_at, locked.next_look_at = now, None
    if target is RefundState.FAILED:
        _failed(locked, failure, now=now)
    locked.save()
    if target is RefundState.SUCCEEDED and before is not target:
        _book(locked, JournalKind.CASH_OUT)
    elif target is RefundState.FAILED and before is RefundState.SUCCEEDED:
        _book(locked, JournalKind.CASH_IN)
    if target is not None and target is not before:
        record(locked, action="payment.refund_changed", actor=alarms.SYSTEM, now=now, was=before.value)
    return locked


def _failed(refund: RefundAttempt, failure: ports.Failure | None, *, now: datetime) -> None:
    attempt = refund.attempt
    attempt.refunded_fen -= refund.amount_fen
    attempt.save(update_fields=["refunded_fen"])
    if failure is not None:
        refund.failure_code, refund.failure_text = failure.code[:60], failure.text[:300]
    alarms.tell(
        what=_("原路退款失败，请由财务对公转账退还，或重试。"),
        about=f"payment:{refund.payment.number}",
        now=now,
        refund=refund.number,
        code=refund.failure_code,
    )


def _book(refund: RefundAttempt, kind: JournalKind) -> None:
    """Post the money out of the payer's purse, or back into it."""
    payment, purse = refund.payment, Purse(refund.taken_from)
    account = purse_account(payment, purse)
    clearing = arriving.in_account(arriving.rail_account(refund.attempt.rail))
    is_out = kind is JournalKind.CASH_OUT
    if purse is not Purse.UNAPPLIED:
        payment.paid_back_fen += refund.amount_fen if is_out else -refund.amount_fen
        payment.save(update_fields=["paid_back_fen"])
    debit, credit = (account, clearing) if is_out else (clearing, account)
    ledger.post(
        posting=Posting(
            kind=kind,
            key=f"refund-attempt:{refund.number}/{'out' if is_out else 'returned'}",
            operations=[TransferOp(debit, credit, refund.amount_fen)],
            actor=alarms.SYSTEM.signature,
            source_type="payment",
            source_id=payment.number,
        )
    )


@transaction.atomic
def _suspect(refund: RefundAttempt, error: rail_rules.NotOurs, *, now: datetime) -> RefundAttempt:
    """Leave a refund whose object is not as ours to a person: nothing was booked."""
    locked = RefundAttempt.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=refund.pk)
    locked.next_look_at = None
    locked.failure_text = str(error.params["note"])[:300]
    locked.save(update_fields=["next_look_at", "failure_text"])
    alarms.tell(
        what=_("支付机构的退款记录与本平台不一致，没有入账，请人工核对。"),
        about=f"payment:{refund.payment.number}",
        now=now,
        refund=refund.number,
        note=locked.failure_text,
    )
    return locked


def record(refund: RefundAttempt, *, action: str, actor: Actor, now: datetime, was: str = "") -> None:
    """Write what was done about a refund on the record of its payment; `was` is the state it left."""
    audit.record(
        action=action,
        subject=f"payment:{refund.payment.number}",
        actor=actor,
        now=now,
        organisations=[refund.payment.payer_id],
        data={
            "refund": refund.number,
            "amount_fen": refund.amount_fen,
            "was": was,
            "state": refund.state,
            "taken_from": refund.taken_from,
            "failure": refund.failure_code,
            "settled_as": refund.settled_as,
        },
    )
