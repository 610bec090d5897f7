"""Money of a payer that pays nothing: apply it to what the same payer owes, or let it go back by bank.

What came over a gateway goes back by itself (`refunding.return_excess`) and is never offered here. Under one lock a payer,
so that of two who use the same money the second finds it gone; the ledger would refuse it as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import BigIntegerField, CharField, F, OuterRef, Q, QuerySet, Subquery, Sum, Value
from django.db.models.functions import Cast, Coalesce, Concat

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, InvalidTransition
from portal.kernel.money import Money
from portal.kernel.states import next_state
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import JournalKind, Posting, TransferOp
from vouchers.payments import arriving, rules, services, unapplied_rules
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.rail_models import RefundAttempt
from vouchers.payments.rail_rules import RefundState
from vouchers.payments.unapplied_models import UnappliedUse
from vouchers.payments.unapplied_rules import UseAction, UseKind, UseState

__all__ = [
    "Left",
    "apply",
    "ask_back",
    "confirm",
    "excess",
    "go_back",
    "keep",
    "lefts",
    "refuse",
    "serialise",
    "take_back",
]

UNAPPLIED = 0x756E6170
"""First key of the advisory lock under which a payer's unapplied money is decided about."""
OPEN_PAYMENT = frozenset({rules.PaymentState.DUE.value, rules.PaymentState.DECLARED.value})


@dataclass(frozen=True, slots=True)
class Left:
    """What of an arrival by bank pays nothing yet, in fen: `free`, and `asked` to go back."""

    arrival: Arrival
    free: int
    asked: int
    asked_at: datetime | None = None


def serialise(payer_ids: Iterable[int]) -> None:
    """Let nobody else decide about the unapplied money of payers until the transaction ends. Before payments' locks."""
    with connection.cursor() as cursor:
        for pk in sorted(set(payer_ids)):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [UNAPPLIED, pk % 2**31])


def _summed(rows: QuerySet[Any], by: str) -> Coalesce:
    """Return the fen of rows that belong to the arrival of an outer query."""
    summed = rows.order_by().values(by).annotate(fen=Sum("amount_fen")).values("fen")
    return Coalesce(Subquery(summed, output_field=BigIntegerField()), 0)


def excess() -> QuerySet[Any]:
    """Return the arrivals of which a part pays nothing, with what became of that part, in fen.

    ``excess_fen`` = ``applied_later_fen`` + ``proposed_fen`` (a second person decides) + ``returned_fen`` + ``asked_fen`` (to go back by bank) + ``on_rail_fen`` (the
    gateway gives it back, or finance settles that it could not) + ``free_fen``. One query.
    """
    uses = UnappliedUse.objects.filter(arrival=OuterRef("pk"))
    key = Concat(Value("excess:"), Cast(OuterRef("pk"), CharField()))
    refunds = RefundAttempt.objects.filter(key=key)
    waits = Q(
        state__in=[state.value for state in RefundState if state not in {RefundState.SUCCEEDED, RefundState.FAILED}]
    )
    waits |= Q(state=RefundState.FAILED.value, settled_as="")
    rows = Arrival.objects.filter(amount_fen__gt=F("applied_fen"), reversal__isnull=True)
    rows = rows.annotate(
        excess_fen=F("amount_fen") - F("applied_fen"),
        applied_later_fen=_summed(uses.filter(state=UseState.DONE.value, kind=UseKind.APPLIED.value), "arrival"),
        proposed_fen=_summed(uses.filter(state=UseState.PROPOSED.value), "arrival"),
        asked_fen=_summed(uses.filter(state=UseState.ASKED.value), "arrival"),
        asked_at=Subquery(uses.filter(state=UseState.ASKED.value).values("recorded_at")[:1]),
        by_bank_fen=_summed(uses.filter(state=UseState.DONE.value, kind=UseKind.RETURNED.value), "arrival"),
        by_rail_fen=_summed(refunds.exclude(waits), "key"),
        on_rail_fen=_summed(refunds.filter(waits), "key"),
    )
    return rows.annotate(
        returned_fen=F("by_bank_fen") + F("by_rail_fen"),
        free_fen=F("excess_fen")
        - F("applied_later_fen")
        - F("proposed_fen")
        - F("asked_fen")
        - F("by_bank_fen")
        - F("by_rail_fen")
        - F("on_rail_fen"),
    )


def lefts(payers: Q) -> list[Left]:
    """Return what came by bank for the payers of a condition on arrivals and pays nothing yet, oldest first. One query."""
    rows = excess().filter(payers, rail=arriving.BANK).filter(Q(free_fen__gt=0) | Q(asked_fen__gt=0))
    rows = rows.select_related("payment__payer").order_by("pk").distinct()
    return [Left(row, row.free_fen, row.asked_fen, row.asked_at) for row in rows]


def _left(arrival: Arrival) -> Left:
    """Return what is left of one arrival, under its payer's lock. Raises NotFree."""
    serialise([arrival.payment.payer_id])
    found = lefts(Q(pk=arrival.pk))
    if not found or not found[0].free:
        raise unapplied_rules.NotFree
    return found[0]


@transaction.atomic
def apply(*, actor: Actor, arrival: Arrival, payment: Payment, now: datetime) -> UnappliedUse:
    """Let what of an arrival pays nothing pay another payment of the same payer, as far as both reach.

    From the limit of the settings on it is left for a second person (`confirm`); asked again, it changes nothing. Raises OtherPayer, NotFree, OwnPayment, InvalidTransition for a payment nothing lacks of, Forbidden.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    services.refuse_own(actor=actor, payment=payment)
    if payment.payer_id != arrival.payment.payer_id:
        raise unapplied_rules.OtherPayer(field="payment")
    serialise([arrival.payment.payer_id])
    known = UnappliedUse.objects.filter(arrival=arrival, payment=payment, state=UseState.PROPOSED.value).first()
    if known is not None:
        return known
    left = _left(arrival)
    meant = Payment.objects.get(pk=payment.pk)
    if meant.state not in OPEN_PAYMENT or not meant.left_fen:
        raise InvalidTransition(state=meant.state, action="apply")
    amount = min(left.free, meant.left_fen)
    if amount >= settings.BANK_TWO_PERSON_FEN:
        use = _use(arrival, UseKind.APPLIED, UseState.PROPOSED, amount, payment=meant, actor=actor, now=now)
        use.proposed_by_id = actor.person
        use.save(update_fields=["proposed_by"])
        return use
    source = f"unapplied:{arrival.pk}/{UnappliedUse.objects.filter(arrival=arrival).count() + 1}"
    made = _pay(meant, amount, source=source, actor=actor, now=now)
    return _use(
        arrival, UseKind.APPLIED, UseState.DONE, amount, payment=made.payment, source=source, actor=actor, now=now
    )


def _pay(meant: Payment, amount: int, *, source: str, actor: Actor, now: datetime) -> Arrival:
    made = arriving.receive(
        payment=meant,
        amount=Money(amount),
        source=source,
        account=arriving.unapplied_account(meant).owner,
        actor=actor,
        now=now,
    )
    if made.applied_fen != amount:
        raise InvalidTransition(state=made.payment.state, action="apply")
    return made


@transaction.atomic
def confirm(*, actor: Actor, use: UnappliedUse, now: datetime) -> UnappliedUse:
    """Let it pay as proposed, as a second person, as far as the payment still lacks so much.

    Raises NotProposed, SecondPerson, OwnPayment, InvalidTransition for a payment nothing lacks of any more, Forbidden.
    """
    locked, payment = _proposed(actor, use)
    if actor.person == locked.proposed_by_id:
        raise unapplied_rules.SecondPerson
    if payment.state not in OPEN_PAYMENT or not payment.left_fen:
        raise InvalidTransition(state=payment.state, action="apply")
    amount, source = min(locked.amount_fen, payment.left_fen), f"unapplied:{locked.arrival.pk}/p{locked.pk}"
    locked.state = next_state(unapplied_rules.TRANSITIONS, UseState.PROPOSED, UseAction.CONFIRM).value
    locked.amount_fen, locked.source, locked.confirmed_by_id = amount, source, actor.person
    locked.save(update_fields=["state", "amount_fen", "source", "confirmed_by"])
    _record(locked, actor=actor, now=now)
    _pay(payment, amount, source=source, actor=actor, now=now)
    return locked


@transaction.atomic
def refuse(*, actor: Actor, use: UnappliedUse, now: datetime) -> UnappliedUse:
    """Refuse what was proposed, or take one's own back: the money is free again. Raises NotProposed, OwnPayment, Forbidden."""
    locked, _payment = _proposed(actor, use)
    _end(locked, UseAction.REFUSE, now=now)
    _record(locked, actor=actor, now=now)
    return locked


def _proposed(actor: Actor, use: UnappliedUse) -> tuple[UnappliedUse, Payment]:
    """Return a proposed use and what it is to pay, under its payer's lock, for finance. Raises NotProposed, OwnPayment."""
    if not any(actor.may(each) for each in (Permission.BANK_MATCH, Permission.BANK_APPROVE)):
        raise Forbidden
    serialise([use.arrival.payment.payer_id])
    rows = UnappliedUse.objects.select_related("arrival__payment", "payment__charge")
    found = rows.filter(pk=use.pk, state=UseState.PROPOSED.value).first()
    if found is None or found.payment is None:
        raise unapplied_rules.NotProposed
    services.refuse_own(actor=actor, payment=found.payment)
    return found, found.payment


@transaction.atomic
def ask_back(*, actor: Actor, arrival: Arrival, now: datetime) -> UnappliedUse:
    """Say that what of an arrival pays nothing goes back to its payer by bank; the statement's line books it.

    From then on nothing else uses it; said again, it changes nothing. Raises NotFree, OwnPayment, Forbidden.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    services.refuse_own(actor=actor, payment=arrival.payment)
    serialise([arrival.payment.payer_id])
    known = UnappliedUse.objects.filter(arrival=arrival, state=UseState.ASKED.value).first()
    if known is not None:
        return known
    return _use(arrival, UseKind.RETURNED, UseState.ASKED, _left(arrival).free, actor=actor, now=now)


@transaction.atomic
def keep(*, actor: Actor, arrival: Arrival, now: datetime) -> None:
    """Take back that money goes back by bank: nothing was transferred. Nothing asked changes nothing. Raises Forbidden."""
    actor.require(Permission.PAYMENT_CONFIRM)
    services.refuse_own(actor=actor, payment=arrival.payment)
    serialise([arrival.payment.payer_id])
    for use in UnappliedUse.objects.filter(arrival=arrival, state=UseState.ASKED.value):
        _end(use, UseAction.DROP, now=now)
        _record(use, actor=actor, now=now)


@transaction.atomic
def go_back(*, payer_id: int, amount: Money, source: str, account: str, actor: Actor, now: datetime) -> None:
    """Book that the bank has transferred unapplied money back to its payer; what was asked to go back goes first.

    `source` names the part of the statement line that shows it, and keys the journal. Whoever calls has checked the
    permission. Raises MoreThanUnapplied: never what a gateway is giving back.
    """
    serialise([payer_id])
    found = lefts(Q(payment__payer_id=payer_id))
    able = sum(left.free + left.asked for left in found)
    if amount.fen > able:
        raise unapplied_rules.MoreThanUnapplied(field="parts", left=Money(able), amount=amount)
    rest = amount.fen
    for left in sorted(found, key=lambda each: (not each.asked, each.arrival.pk)):
        taken = min(rest, left.asked + left.free)
        if taken:
            _gone(left, taken, source=source, actor=actor, now=now)
        rest -= taken
    purse = arriving.unapplied_account(found[0].arrival.payment)
    ledger.post(
        posting=Posting(
            kind=JournalKind.CASH_OUT,
            key=source,
            operations=[TransferOp(purse, arriving.in_account(account), amount.fen)],
            actor=actor.signature,
            source_type="organisation",
            source_id=str(payer_id),
        )
    )


def _gone(left: Left, fen: int, *, source: str, actor: Actor, now: datetime) -> None:
    """Note that so much of an arrival went back: what was asked of it is done, or split into what is done and what is not."""
    asked = UnappliedUse.objects.filter(arrival=left.arrival, state=UseState.ASKED.value).first()
    if asked is not None and asked.amount_fen == fen:
        asked.state = next_state(unapplied_rules.TRANSITIONS, UseState.ASKED, UseAction.DO).value
        asked.source = source
        asked.save(update_fields=["state", "source"])
        _record(asked, actor=actor, now=now)
        return
    if asked is not None:
        _end(asked, UseAction.DROP, now=now)
        _record(asked, actor=actor, now=now)
    _use(left.arrival, UseKind.RETURNED, UseState.DONE, fen, source=source, actor=actor, now=now)
    if asked is not None and asked.amount_fen > fen:
        rest = asked.amount_fen - fen
        kept = _use(left.arrival, UseKind.RETURNED, UseState.ASKED, rest, actor=actor, now=now)
        kept.recorded_by, kept.recorded_at = asked.recorded_by, asked.recorded_at
        kept.save(update_fields=["recorded_by", "recorded_at"])


def take_back(*, source: str, actor: Actor, now: datetime) -> None:
    """Note that what a statement line's part showed as gone back was none of it: it is unapplied again.

    The mirror of the journal is the caller's. Idempotent.
    """
    rows = UnappliedUse.objects.filter(source=source, state=UseState.DONE.value).select_related("arrival__payment")
    serialise(rows.values_list("arrival__payment__payer_id", flat=True))
    for use in rows.order_by("pk"):
        _end(use, UseAction.UNDO, now=now)
        _record(use, actor=actor, now=now)


def _use(
    arrival: Arrival,
    kind: UseKind,
    state: UseState,
    fen: int,
    *,
    actor: Actor,
    now: datetime,
    payment: Payment | None = None,
    source: str = "",
) -> UnappliedUse:
    made = UnappliedUse.objects.create(
        arrival=arrival,
        kind=kind.value,
        state=state.value,
        amount_fen=fen,
        payment=payment,
        source=source,
        recorded_by=actor.signature[:160],
        recorded_at=now,
    )
    _record(made, actor=actor, now=now)
    return made


def _end(use: UnappliedUse, action: UseAction, *, now: datetime) -> None:
    use.state = next_state(unapplied_rules.TRANSITIONS, UseState(use.state), action).value
    use.ended_at = now
    use.save(update_fields=["state", "ended_at"])


def _record(use: UnappliedUse, *, actor: Actor, now: datetime) -> None:
    origin = use.arrival.payment
    audit.record(
        action="payment.unapplied_used",
        subject=f"payment:{origin.number}",
        actor=actor,
        now=now,
        organisations=[origin.payer_id],
        data={"amount_fen": use.amount_fen, "kind": use.kind, "state": use.state, "arrival": use.arrival.source}
        | ({"paid": use.payment.number} if use.payment else {}),
    )


def sources_used(arrivals: Sequence[int]) -> set[int]:
    """Return which of the arrivals have excess that was used, or is asked to go back."""
    rows = UnappliedUse.objects.filter(arrival_id__in=arrivals, state__in=unapplied_rules.ACTIVE)
    return set(rows.values_list("arrival_id", flat=True))
