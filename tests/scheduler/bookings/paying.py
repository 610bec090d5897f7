"""Instruments that ask in advance, and money for their bookings: in time, late, in parts."""

from __future__ import annotations

import itertools
from datetime import datetime, timedelta
from typing import Any

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from scheduler.bookings import bundles, prepaid, services
from scheduler.bookings.models import Booking
from scheduler.resources.models import Resource
from tests import make
from vouchers.ledger import queries as balances
from vouchers.ledger.models import Account
from vouchers.payments import arriving
from vouchers.payments.models import Arrival, Payment
from vouchers.payments.rules import Collect

BEFORE = prepaid.PayTerms(Collect.BEFORE, 600, 72 * 3600)
_serial = itertools.count(1)


def prepaid_instrument(w: make.World, terms: prepaid.PayTerms = BEFORE, **changes: Any) -> Resource:
    """Publish an instrument whose own shares are paid in advance: ten minutes online, three days by transfer."""
    resource = make.instrument(w, **changes)
    prepaid.set_pay_terms(actor=w.keeper, resource=resource, terms=terms, now=make.NOW)
    return resource


def booked(w: make.World, resource: Resource, *, now: datetime = make.NOW, actor: Any = None, **more: Any) -> Booking:
    """Ask for a use as an enterprise does: held, where its own share is to be paid first."""
    wanted = bundles.Wanted(resource, more.pop("period", None) or make.slot(), "截面观察", **more)
    return services.request_booking(actor=actor or w.researcher, wanted=wanted, now=now, key=make.key())


def payment_of(booking: Booking) -> Payment:
    return Payment.objects.get(charge_id=Booking.objects.get(pk=booking.pk).charge_id)


def arrives(
    payment: Payment, *, after: timedelta = timedelta(minutes=1), fen: int | None = None, source: str = ""
) -> Arrival:
    """Let money for a payment arrive so long after `make.NOW`: by default once, all of it, over a rail."""
    return arriving.receive(
        payment=payment,
        amount=Money(payment.amount_fen if fen is None else fen),
        source=source or f"attempt:T{next(_serial)}",
        account="rail:stripe",
        actor=Actor.system("test"),
        now=make.NOW + after,
    )


def unapplied(organisation_id: int, *payments: Payment) -> int:
    """Return what we have of a payer's money that pays for nothing: of its own, and of these payments' advances."""
    owners = [f"organisation:{organisation_id}", *(f"charge:{one.charge.number}" for one in payments)]
    rows = Account.objects.filter(kind="unapplied_cash", owner__in=owners).values_list("pk", flat=True)
    return sum(row.posted_fen for row in balances.balances(account_ids=list(rows)).values())
