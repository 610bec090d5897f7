"""What becomes of an order when the money of its advance arrives: in time, late, or for nothing any more.

`fulfil` answers `vouchers.payments.ports.Fulfilment` for ``order:…``. Time decides, no worker: an order whose advance did not
arrive in time has lapsed, whoever writes that down.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError, Refused, Unavailable
from vouchers.charges import services as charges
from vouchers.offers import orders, queries, rules
from vouchers.offers.models import Order
from vouchers.offers.ports import News
from vouchers.payments import advances
from vouchers.payments.models import Payment
from vouchers.payments.rules import PaymentState

__all__ = ["advance_of", "ends_at", "fulfil", "is_overdue"]

PAID = "支付到账"
S = rules.OrderState


def advance_of(order: Order) -> Payment | None:
    """Return what was asked for in advance of an order, or None. One query, none where nothing was."""
    if order.prepay_by is None or order.charge_id is None:
        return None
    return advances.of_charge(order.charge_id)


def is_overdue(order: Order, *, now: datetime) -> bool:
    """Say whether an order is to lapse because its advance has not arrived in time.

    A transfer declared in time has `rules.STATEMENT_GRACE` more, for the bank's statement to show it. Never where it had
    arrived and is due again, because a match was reversed or a gateway took it back.
    """
    if S(order.state) not in {S.PLACED, S.ACCEPTED}:
        return False
    asked = advance_of(order)
    until = ends_at(asked) if asked else None
    return until is not None and now >= until


def ends_at(asked: Payment) -> datetime | None:
    """Return when an order lapses unless its advance has arrived, exclusive; None: it does not."""
    if asked.due_until is None or asked.state not in {PaymentState.DUE.value, PaymentState.DECLARED.value}:
        return None
    declared_at = asked.declared_at if asked.state == PaymentState.DECLARED.value else None
    in_time = declared_at is not None and declared_at < asked.due_until
    return asked.due_until + rules.STATEMENT_GRACE if in_time else asked.due_until


def fulfil(subject: str, *, charge_id: int, paid_at: datetime, now: datetime) -> int | None:
    """Let an order go on whose advance has arrived; return the charge the money pays, or None where it goes back.

    Late by at most `rules.LATEST`, the same is ordered again where it is still on sale under the terms agreed to and at no higher price, under
    another number, with a charge and an advance of its own: those the money pays. Idempotent; raises nothing for what is
    gone, and Unavailable where it cannot be told now. Locks the order.
    """
    found = Order.objects.filter(number=subject.partition(":")[2]).first()
    asked = advances.of_charge(charge_id)
    if found is None or asked is None:
        return None
    last = _last(found)
    if is_overdue(last, now=paid_at):
        orders.end(last, rules.OrderAction.LAPSE, actor=Actor.system(PAID), now=now)
    advance = advance_of(last)
    if advance is None:
        return None
    if last.state == S.LAPSED.value and advance.state == PaymentState.CANCELLED.value:
        too_late = last.prepay_by is None or paid_at >= last.prepay_by + rules.LATEST
        made = None if too_late else _again(last, most_fen=asked.amount_fen, now=now)
        orders.tell(last, News.AGAIN if made else News.GONE, now=now, again=made)
        return made.charge_id if made else None
    if advance.amount_fen > asked.amount_fen or last.resolved_at is not None:
        if last.state == S.CANCELLED.value:
            orders.tell(last, News.GONE, now=now)
        return None
    if advance.state != PaymentState.CONFIRMED.value:
        orders.record(last, action="order.prepaid", actor=Actor.system(PAID), now=now)
        orders.tell(last, News.PAID, now=now)
    return advance.charge_id


def _last(order: Order) -> Order:
    """Return an order, or the last of those that took its place, under lock."""
    last = orders.lock(order)
    while (after := Order.objects.filter(again_of=last).first()) is not None:
        last = orders.lock(after)
    return last


def _again(order: Order, *, most_fen: int, now: datetime) -> Order | None:
    """Order again what lapsed unpaid, if its own share is at most what is there; None: nothing has happened.

    Raises Unavailable where a lock or the ledger is busy: that says nothing about the order, and the money must wait for it.
    """
    assert order.charge is not None
    actor = replace(Actor.system(PAID), user_id=order.placed_by_id, organisation_id=order.organisation_id)
    wanted = orders.Wanted(
        offer=order.offer,
        lines=queries.lines_of(order.wanted),
        purpose=order.purpose,
        related=order.related,
        vouchers=charges.payers(charge_id=order.charge.pk),
    )
    if order.offer.licence != order.licence:
        return None
    try:
        with transaction.atomic():
            made = orders.place(actor=actor, wanted=wanted, now=now, key=f"again:{order.number}")
            advance = advance_of(made)
            dearer = made.charge is None or made.charge.price_fen > order.charge.price_fen
            if dearer or advance is None or advance.amount_fen > most_fen:
                raise Refused([rules.DEARER])
            made.again_of = order
            made.save(update_fields=["again_of"])
            orders.record(made, action="order.prepaid", actor=Actor.system(PAID), now=now)
            return made
    except Unavailable:
        raise
    except PortalError:
        return None
