"""Start, watch and end attempts to pay over a rail: the row first, the gateway outside any transaction, then what it said."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from django.db import transaction

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Unavailable, noop
from portal.kernel.money import Money
from portal.numbers.services import next_number
from vouchers.payments import alarms, arriving, ports, rail_rules, rails, refunding, rules
from vouchers.payments.models import Payment
from vouchers.payments.rail_models import PaymentAttempt
from vouchers.payments.rail_rules import AttemptAction, AttemptState

__all__ = ["Wanted", "cancel", "give_up", "look", "order_of", "see", "start"]

_ = noop

OPEN_FOR: Final = timedelta(hours=2)
"""How long a payer has: WeChat's codes last two hours, a page of a gateway up to a day."""
TITLES: Final = {"zh": "自付款", "en": "Own share"}
"""What the gateway shows beside the payment's number; a constant, since the same call must ask for the same again."""
OPEN: Final = frozenset(state.value for state in rail_rules.OPEN)


@dataclass(frozen=True, slots=True)
class Wanted:
    """How to pay. `return_url` is where the gateway sends the payer back to, `language` ``zh`` or ``en``."""

    rail: str
    method: ports.Method
    return_url: str
    language: str = "zh"


def start(*, actor: Actor, payment: Payment, wanted: Wanted, key: str, now: datetime) -> PaymentAttempt:
    """Start to pay what is left of a payment, or return the attempt that is open in the same way already.

    Idempotent on (payment, `key`). One attempt is open a payment (a constraint), whoever asks at the same time gets that
    one. One by another method, or of an amount that is wrong by now, is cancelled at the gateway first; where it has
    succeeded meanwhile it counts and is returned. An answer that is lost leaves the attempt `unknown`: the janitor finds
    out. Must not run in a transaction.

    Raises NothingToPay, TransferDeclared, TooLate, StillOpen, NoSuchRail, KeyReused, Unavailable, Forbidden.
    """
    actor.require(Permission.PAYMENT_DECLARE)
    if payment.payer_id != actor.organisation_id:
        raise Forbidden
    if wanted.method not in rails.rail(wanted.rail).capabilities.methods:
        raise rail_rules.NoSuchRail(field="method")
    for _round in range(3):
        found, is_new = _begin(actor, payment, wanted, key, now)
        if is_new:
            return look(attempt=found, now=now)
        if found.key == key or _fits(found, payment, wanted, now):
            return found
        ended = give_up(attempt=found, now=now)
        if ended.state == AttemptState.SUCCEEDED.value:
            return ended
        if ended.state in OPEN:
            raise rail_rules.StillOpen
    raise rail_rules.StillOpen


@transaction.atomic
def _begin(actor: Actor, payment: Payment, wanted: Wanted, key: str, now: datetime) -> tuple[PaymentAttempt, bool]:
    """Return the attempt of this key, the open one, or a new row (True). Locks the payment."""
    locked = arriving.lock(payment)
    if known := PaymentAttempt.objects.filter(payment=locked, key=key).select_related("payment").first():
        asked = (wanted.rail, wanted.method.value)
        if (known.rail, known.method) != asked:
            raise idempotency.KeyReused(field="Idempotency-Key")
        return known, False
    if locked.state == rules.PaymentState.DECLARED.value:
        raise rail_rules.TransferDeclared
    if locked.state != rules.PaymentState.DUE.value or not locked.left_fen:
        raise rail_rules.NothingToPay
    if locked.due_until is not None and locked.due_until <= now:
        raise rail_rules.TooLate
    if found := PaymentAttempt.objects.filter(payment=locked, state__in=OPEN).select_related("payment").first():
        return found, False
    ends_at = now + OPEN_FOR
    made = PaymentAttempt.objects.create(
        number=next_number(prefix="A", now=now),
        payment=locked,
        rail=wanted.rail,
        method=wanted.method.value,
        amount_fen=locked.left_fen,
        language=wanted.language,
        return_url=wanted.return_url,
        key=key,
        asked_by=actor.signature[:160],
        created_at=now,
        expires_at=min(ends_at, locked.due_until) if locked.due_until else ends_at,
        next_look_at=now + rail_rules.LOOKS[0],
    )
    _record(made, action="payment.attempt_started", actor=actor, now=now)
    return made, True


def _fits(attempt: PaymentAttempt, payment: Payment, wanted: Wanted, now: datetime) -> bool:
    left = Payment.objects.values_list("amount_fen", "paid_fen").get(pk=payment.pk)
    same = (attempt.rail, attempt.method) == (wanted.rail, wanted.method.value)
    return same and attempt.amount_fen == left[0] - left[1] and now < attempt.expires_at


def order_of(attempt: PaymentAttempt) -> ports.Order:
    """Return what the gateway is asked for: the same whenever it is asked again."""
    return ports.Order(
        number=attempt.number,
        payment=attempt.payment.number,
        amount=Money(attempt.amount_fen),
        method=ports.Method(attempt.method),
        title=f"{TITLES.get(attempt.language, TITLES['zh'])} {attempt.payment.number}",
        return_url=attempt.return_url,
        expires_at=attempt.expires_at,
        language=attempt.language,
    )


def look(*, attempt: PaymentAttempt, now: datetime) -> PaymentAttempt:
    """Ask the gateway for an open attempt and write what it says: start it once more by its key, fetch it, or find it.

    One that is over, by its time or because its payment is paid or cancelled, is given up there. Proof that there is none
    is a failure. Lost answers leave it `unknown`. Must not run in a transaction.
    """
    attempt = PaymentAttempt.objects.select_related("payment").get(pk=attempt.pk)
    if attempt.state not in OPEN:
        return attempt
    rail = rails.rail(attempt.rail)
    try:
        seen = _asked(rail, attempt, now)
        if seen is not None and seen.state is ports.SeenState.REQUIRES_ACTION and _is_over(attempt, now):
            seen = rail.cancel(seen.provider_id, key=f"attempt:{attempt.number}/cancel")
        if seen is not None:
            return see(attempt=attempt, seen=seen, now=now)
    except Unavailable:
        return _moved(attempt, AttemptAction.LOSE, now=now)
    except ports.RailRefused as error:
        if attempt.provider_id:
            return attempt
        return _moved(attempt, AttemptAction.FAIL, now=now, failure=_failure(error))
    except rail_rules.NotOurs as error:
        return _suspect(attempt, error, now)
    return _moved(attempt, AttemptAction.FAIL, now=now, failure=ports.Failure("not_found"))


def _asked(rail: ports.Rail, attempt: PaymentAttempt, now: datetime) -> ports.Seen | None:
    if attempt.provider_id:
        return rail.fetch(attempt.provider_id)
    key_until = attempt.created_at + timedelta(hours=rail.capabilities.key_hours)
    if now < key_until and not _is_over(attempt, now):
        return rail.start(order_of(attempt), key=f"attempt:{attempt.number}")
    return rail.find(attempt.number, since=attempt.created_at - timedelta(minutes=5))


def _is_over(attempt: PaymentAttempt, now: datetime) -> bool:
    """Say whether its money is not wanted any more: too late, or its payment was paid otherwise, lowered or cancelled."""
    payment = attempt.payment
    is_due = payment.state in {rules.PaymentState.DUE.value, rules.PaymentState.DECLARED.value}
    return now >= attempt.expires_at or not is_due or payment.left_fen < attempt.amount_fen


def _failure(error: ports.RailRefused) -> ports.Failure:
    return ports.Failure(str(error.params.get("reason") or "refused"), str(error.params.get("text") or ""))


def cancel(*, actor: Actor, attempt: PaymentAttempt, now: datetime) -> PaymentAttempt:
    """Give an open attempt up, as its payer; one that has succeeded meanwhile counts and is returned as it is.

    Raises StillOpen where the gateway is at it, Unavailable where it does not answer, Forbidden.
    """
    actor.require(Permission.PAYMENT_DECLARE)
    if attempt.payment.payer_id != actor.organisation_id:
        raise Forbidden
    ended = give_up(attempt=attempt, now=now)
    if ended.state in OPEN:
        raise rail_rules.StillOpen
    with transaction.atomic():
        _record(ended, action="payment.attempt_given_up", actor=actor, now=now)
    return ended


def give_up(*, attempt: PaymentAttempt, now: datetime) -> PaymentAttempt:
    """Cancel an open attempt at the gateway and write what became of it. Raises Unavailable. Not in a transaction."""
    attempt = PaymentAttempt.objects.select_related("payment").get(pk=attempt.pk)
    if attempt.state in OPEN and not attempt.provider_id:
        attempt = look(attempt=attempt, now=now)
    if attempt.state not in OPEN:
        return attempt
    if not attempt.provider_id:
        raise Unavailable
    rail = rails.rail(attempt.rail)
    try:
        seen = rail.cancel(attempt.provider_id, key=f"attempt:{attempt.number}/cancel")
    except ports.RailRefused:
        seen = rail.fetch(attempt.provider_id)
    try:
        return see(attempt=attempt, seen=seen, now=now)
    except rail_rules.NotOurs as error:
        return _suspect(attempt, error, now)


def see(*, attempt: PaymentAttempt, seen: ports.Seen, now: datetime) -> PaymentAttempt:
    """Write what the gateway says of an attempt; repetition and order do not matter.

    A success books the money (`arriving.receive`, once an attempt); what of it pays nothing (twice, too late, above) is
    asked back in the same transaction and goes back before this returns. Locks what is paid for, the payment, then the
    attempt. Raises NotOurs where number, amount, currency or object are not those of the row: nothing is written.
    """
    _check(attempt, seen)
    with transaction.atomic():
        arrival = None
        if seen.state is ports.SeenState.SUCCEEDED:
            arrival = arriving.receive(
                payment=attempt.payment,
                amount=seen.amount,
                source=f"attempt:{attempt.number}",
                account=arriving.rail_account(attempt.rail),
                actor=alarms.SYSTEM,
                now=now,
            )
        locked = _lock(attempt)
        locked.provider_id = seen.provider_id
        locked.session_id = seen.session_id or locked.session_id
        _show_next(locked, seen.next_action)
        _move(locked, rail_rules.action_of(seen.state), now=now, failure=seen.failure)
        refunds = refunding.return_excess(attempt=locked, arrival=arrival, now=now) if arrival else []
    for refund in refunds:
        refunding.send(refund=refund, now=now)
    if arrival is not None:
        refunding.owe(payment=arrival.payment, now=now)
    return locked


def _check(attempt: PaymentAttempt, seen: ports.Seen) -> None:
    """Raises NotOurs unless the gateway's object is the attempt's."""
    notes = []
    if seen.number != attempt.number:
        notes.append(f"number {seen.number or '-'} != {attempt.number}")
    if seen.amount.fen != attempt.amount_fen:
        notes.append(f"amount {seen.amount.fen} != {attempt.amount_fen}")
    if seen.currency != "CNY":
        notes.append(f"currency {seen.currency or '-'} != CNY")
    if seen.state is ports.SeenState.SUCCEEDED and seen.received.fen != seen.amount.fen:
        notes.append(f"received {seen.received.fen} != {seen.amount.fen}")
    known = {attempt.provider_id, attempt.session_id} - {""}
    if known and not known & {seen.provider_id, seen.session_id}:
        notes.append(f"object {seen.provider_id} != {attempt.provider_id}")
    if notes:
        raise rail_rules.NotOurs(note="; ".join(notes))


def _lock(attempt: PaymentAttempt) -> PaymentAttempt:
    rows = PaymentAttempt.objects.select_for_update(no_key=True, of=("self",)).select_related("payment")
    return rows.order_by("pk").get(pk=attempt.pk)


def _show_next(attempt: PaymentAttempt, action: ports.NextAction | None) -> None:
    if action is None:
        return
    is_code = action.kind is ports.NextKind.QR
    attempt.next_kind = action.kind.value
    attempt.next_url = action.url if is_code else rail_rules.safe_url(action.url)


@transaction.atomic
def _moved(
    attempt: PaymentAttempt, action: AttemptAction, *, now: datetime, failure: ports.Failure | None = None
) -> PaymentAttempt:
    locked = _lock(attempt)
    _move(locked, action, now=now, failure=failure)
    return locked


def _move(attempt: PaymentAttempt, action: AttemptAction, *, now: datetime, failure: ports.Failure | None) -> None:
    """Go on to the next state, or stay where the table lists none: what was seen before something newer changes nothing."""
    before = attempt.state
    target = rail_rules.ATTEMPT_TRANSITIONS.get((AttemptState(before), action))
    if target is not None:
        attempt.state = target.value
        if target.value in OPEN:
            until = attempt.expires_at if target is not AttemptState.PROCESSING else None
            again = rail_rules.next_look(attempt.looks, now=now, before=until)
            attempt.next_look_at = again or attempt.next_look_at  # after the last one the janitor tells a person
        else:
            attempt.ended_at, attempt.next_look_at = now, None
            attempt.next_kind = attempt.next_url = ""
        if failure is not None and target is AttemptState.FAILED:
            attempt.failure_code, attempt.failure_text = failure.code[:60], failure.text[:300]
    attempt.save()
    if attempt.state != before:
        _record(attempt, action="payment.attempt_changed", actor=alarms.SYSTEM, now=now, was=before)


@transaction.atomic
def _suspect(attempt: PaymentAttempt, error: rail_rules.NotOurs, now: datetime) -> PaymentAttempt:
    """Leave an attempt whose object is not as ours to a person: no money was booked."""
    locked = _lock(attempt)
    locked.state = rail_rules.ATTEMPT_TRANSITIONS.get(
        (AttemptState(locked.state), AttemptAction.LOSE), AttemptState(locked.state)
    ).value
    locked.next_look_at = None
    locked.failure_text = str(error.params["note"])[:300]
    locked.save()
    alarms.tell(
        what=_("支付机构的记录与本平台的支付不一致，没有入账，请人工核对。"),
        about=f"payment:{locked.payment.number}",
        now=now,
        attempt=locked.number,
        note=locked.failure_text,
    )
    return locked


def _record(attempt: PaymentAttempt, *, action: str, actor: Actor, now: datetime, was: str = "") -> None:
    audit.record(
        action=action,
        subject=f"payment:{attempt.payment.number}",
        actor=actor,
        now=now,
        organisations=[attempt.payment.payer_id],
        data={
            "attempt": attempt.number,
            "rail": attempt.rail,
            "method": attempt.method,
            "amount_fen": attempt.amount_fen,
            "was": was,
            "state": attempt.state,
            "failure": attempt.failure_code,
        },
    )
