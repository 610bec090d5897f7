"""What a search shows of each hit: the thing itself, what the asked time costs, and which part a voucher would pay."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.kernel.period import Period
from scheduler.resources.models import Resource
from scheduler.resources.rules import ServiceClass, Unit, price
from scheduler.search.queries import Hit
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges
from vouchers.wallets import access as wallets
from vouchers.wallets.rules import VoucherState

__all__ = ["Offer", "offers", "payable_until"]

SERVICE: Final = ServiceClass.INSTRUMENT_USE.value
LEAST: Final = Money(100)
"""A price that anything left of a voucher can pay its share of."""


@dataclass(frozen=True, slots=True)
class Offer:
    """A hit as people read it. `price` is for all of `period`; `paid` what the caller's best voucher would pay of it.

    A look, not a promise: a booking decides. `hourly` and `price` are None where no price is published, `period` where
    nothing is free.
    """

    resource: Resource
    period: Period | None
    hourly: Money | None
    price: Money | None
    paid: charge_rules.Part | None
    operator: Resource | None

    @property
    def own(self) -> Money | None:
        """Return what the caller would pay itself."""
        return self.price - self.paid.amount if self.price is not None and self.paid is not None else self.price


def offers(hits: Sequence[Hit], *, actor: Actor | None, now: datetime) -> list[Offer]:
    """Return the hits with names, prices and voucher shares, in their order.

    One query for the resources; for who holds vouchers one more each for these, their balances, and which of those for
    one use only are used.
    """
    ids = {hit.resource_id for hit in hits} | {hit.operator_id for hit in hits if hit.operator_id is not None}
    known = Resource.objects.select_related("owner", "instrument").in_bulk(ids)
    lots = _lots(actor, now=now) if hits else []
    return [_offer(hit, known, lots, now=now) for hit in hits]


def _lots(actor: Actor | None, *, now: datetime) -> list[charge_rules.Lot]:
    """Return the vouchers of the actor that may be used now, with their balances."""
    if actor is None or not actor.may(Permission.VOUCHER_READ_OWN):
        return []
    held = wallets.vouchers_of(actor).filter(state=VoucherState.ACTIVE.value, valid_from__lte=now, valid_until__gt=now)
    return charges.lots_of(vouchers=list(held))


def payable_until(actor: Actor | None, *, now: datetime) -> datetime | None:
    """Return until when the actor's vouchers can pay for use of instruments; None where none of them can. As `_lots`."""
    ends = [
        lot.terms.grace or lot.terms.valid.end
        for lot in _lots(actor, now=now)
        if charge_rules.best_part(LEAST, lots=[lot], service=SERVICE, at=now) is not None
    ]
    return max(ends, default=None)


def _offer(hit: Hit, known: dict[int, Resource], lots: Sequence[charge_rules.Lot], *, now: datetime) -> Offer:
    hourly = Money(hit.hourly_fen) if hit.hourly_fen is not None else None
    full, paid = None, None
    if hourly is not None and hit.period is not None:
        seconds = int(hit.period.duration.total_seconds())
        full = price(unit=Unit.HOUR, unit_price=hourly, duration_s=seconds).amount
        paid = charge_rules.best_part(full, lots=lots, service=SERVICE, at=now, ends_at=hit.period.end)
    operator = known.get(hit.operator_id) if hit.operator_id is not None else None
    return Offer(known[hit.resource_id], hit.period, hourly, full, paid, operator)
