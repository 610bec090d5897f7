"""Tell a buyer what happens to an order that is paid in advance: answers ``vouchers.offers.ports.Teller``."""

from __future__ import annotations

from datetime import datetime

from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.numbers.services import PORTAL_ZONE
from scheduler.messages import rules, services
from scheduler.messages.wording import moment
from vouchers.offers.models import Order
from vouchers.offers.ports import News

__all__ = ["told"]

KINDS = {
    News.ASKED: rules.MessageKind.ORDER_ASKED,
    News.PAID: rules.MessageKind.ORDER_PAID,
    News.LAPSED: rules.MessageKind.ORDER_LAPSED,
    News.AGAIN: rules.MessageKind.ORDER_AGAIN,
    News.GONE: rules.MessageKind.ORDER_GONE,
}


def told(*, order: Order, news: News, amount: Money, again: Order | None, now: datetime) -> None:
    """Write to who placed the order, or to all who may order; once an order and kind of news. Times are of Beijing."""
    until = order.prepay_by.astimezone(PORTAL_ZONE) if order.prepay_by else None
    services.tell(
        told=services.Told(
            kind=KINDS[news],
            organisation_id=order.organisation_id,
            user_id=order.placed_by_id,
            key=f"order:{order.number}/{news}",
            instrument=order.offer.title,
            about=again.number if again else order.number,
            params={
                "number": order.number,
                "again": again.number if again else "",
                "amount": str(amount),
                "until": moment(until) if until else "",
            },
            permission=Permission.ORDER_PLACE,
        ),
        now=now,
    )
