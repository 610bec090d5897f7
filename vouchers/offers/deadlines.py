"""The clock's part of orders: what nobody paid or answered ends, buyers are told of deadlines, silence accepts."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import structlog
from django.db import transaction
from django.db.models import F, Q

from portal.kernel.actors import Actor
from portal.kernel.errors import PortalError
from vouchers.offers import orders, prepaying, rules
from vouchers.offers.models import Order
from vouchers.offers.ports import News
from vouchers.payments.rules import PaymentState

__all__ = ["run_deadlines"]

LIMIT = 200
logger = structlog.get_logger("offers")
S = rules.OrderState


def run_deadlines(*, now: datetime) -> int:
    """Lapse what was not paid in time or answered by no provider, tell buyers of coming deadlines, accept by silence.

    Returns how many orders moved. Run by the clock, safe at any time; each order in a transaction of its own, so that what
    goes wrong with one keeps no other waiting. A provider's days to answer begin once an advance
    has arrived. Silence counts only after notice (`rules.NOTICE`); a dispute stops the clock.
    """
    actor = Actor.system("自动处理")
    late = Order.objects.filter(_unpaid(now) | _unanswered(now)).order_by("pk")[:LIMIT]
    moved = sum(_safely(_lapse, row, actor=actor, now=now) for row in late)
    waiting = Order.objects.filter(state=S.DELIVERED.value, accept_by__lte=now + rules.NOTICE).order_by("pk")[:LIMIT]
    return moved + sum(_safely(_by_silence, row, actor=actor, now=now) for row in waiting)


def _safely(act: Callable[..., int], row: Order, *, actor: Actor, now: datetime) -> int:
    try:
        with transaction.atomic():
            return act(orders.lock(row), actor=actor, now=now)
    except PortalError as error:
        logger.warning("offers.deadline_failed", order=row.number, error=str(error))
    except Exception:
        logger.exception("offers.deadline_broke", order=row.number)
    return 0


def _lapse(order: Order, *, actor: Actor, now: datetime) -> int:
    unpaid = prepaying.is_overdue(order, now=now)
    if not unpaid and not Order.objects.filter(_unanswered(now), pk=order.pk).exists():
        return 0
    orders.end(order, rules.OrderAction.LAPSE, actor=actor, now=now)
    if unpaid:
        orders.tell(order, News.LAPSED, now=now)
    return 1


def _unpaid(now: datetime) -> Q:
    until = F("charge__payment__due_until")
    waits = Q(charge__payment__state=PaymentState.DUE.value) | Q(charge__payment__declared_at__gte=until)
    waits |= Q(charge__payment__due_until__lte=now - rules.STATEMENT_GRACE)
    is_open = Q(charge__payment__state__in=[PaymentState.DUE.value, PaymentState.DECLARED.value])
    return waits & is_open & Q(state__in=[S.PLACED.value, S.ACCEPTED.value], charge__payment__due_until__lte=now)


def _unanswered(now: datetime) -> Q:
    since = now - rules.UNANSWERED
    paid = Q(charge__payment__state=PaymentState.CONFIRMED.value, charge__payment__confirmed_at__lte=since)
    return Q(state=S.PLACED.value, placed_at__lte=since) & (Q(prepay_by__isnull=True) | paid)


def _by_silence(order: Order, *, actor: Actor, now: datetime) -> int:
    if order.state != S.DELIVERED.value or order.accept_by is None:
        return 0
    if rules.notice_due(accept_by=order.accept_by, noticed_at=order.noticed_at, now=now):
        order.noticed_at = now
        order.save(update_fields=["noticed_at"])
        orders.record(order, action="order.acceptance_due", actor=actor, now=now)
        return 1
    if rules.is_accepted_by_silence(accept_by=order.accept_by, noticed_at=order.noticed_at, now=now):
        order.by_silence = True
        orders.complete(order, actor=actor, now=now)
        return 1
    return 0
