"""Object to a delivery, and rule on it where the parties do not agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound, Refused
from portal.organisations import access as people
from vouchers.charges.prices import Line
from vouchers.offers import access, orders, queries, rules
from vouchers.offers.models import Order

__all__ = ["dispute", "rule"]

A = rules.OrderAction


@transaction.atomic
def dispute(*, actor: Actor, order: Order, note: str, now: datetime, quantities: Sequence[Line] | None = None) -> Order:
    """Object to a delivery, with a reason: nothing is captured and no deadline runs until the provider answers.

    `quantities` is how much of the delivery the buyer accepts, for the provider to deliver anew, or for a ruling. Raises
    NoteMissing, Refused for more than was delivered, InvalidTransition, Forbidden.
    """
    locked = orders.buy(actor, order)
    note = orders.noted(note)
    locked.proposed = _within(locked, quantities) if quantities is not None else []
    locked.accept_by = None
    locked.noticed_at = None
    orders.move(locked, A.DISPUTE, actor=actor, now=now, note=note)
    return locked


@transaction.atomic
def rule(*, actor: Actor, order: Order, note: str, now: datetime, quantities: Sequence[Line] | None = None) -> Order:
    """Rule on a disputed order as an officer of a department whose voucher pays it: how much of the delivery counts.

    That much is captured at the frozen price list, None is all of it; nothing at all ends the order and frees what was
    held. Both parties read the reason. Source: Civil Code 2020, Articles 509, 582 (performance as agreed; a lower price or
    return for what falls short). Raises NoteMissing, Refused for more than was delivered, Involved for a member of either
    party, NotFound for another department's, InvalidTransition, Forbidden.
    """
    actor.require(Permission.ORDER_RULE)
    locked = orders.lock(order)
    if not access.overseen_orders(actor).filter(pk=locked.pk).exists():
        raise NotFound
    for party in (locked.organisation_id, locked.offer.provider_id):
        if people.belongs(user_id=actor.person, organisation_id=party):
            raise rules.Involved
    note = orders.noted(note)
    counted = locked.delivered if quantities is None else _within(locked, quantities)
    locked.ruled_by_id, locked.ruled_at = actor.person, now
    if not counted:
        return orders.end(locked, A.QUASH, actor=actor, now=now, note=note)
    locked.delivered = counted
    locked.actual_fen = queries.priced(locked, queries.lines_of(counted)).amount.fen
    return orders.complete(locked, actor=actor, now=now, action=A.RULE, note=note)


def _within(order: Order, quantities: Sequence[Line]) -> list[dict[str, str]]:
    """Return quantities as an order stores them, none of zero. Raises Refused for more than was delivered."""
    delivered = {line.code: line.quantity for line in queries.lines_of(order.delivered)}
    if any(not 0 <= line.quantity <= delivered.get(line.code, 0) for line in quantities):
        raise Refused([rules.MORE_THAN_DELIVERED])
    return queries.lines_json(line for line in quantities if line.quantity)
