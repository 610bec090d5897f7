"""Endpoint of an enterprise's purchases, each with its payment, receipt and tax invoice."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from ninja import Query, Router, Schema
from pydantic import Field

from portal.wire import ActorRequest, Cursor, Line, Moment, MoneyOut, PageOut, money, paged, problems
from vouchers.charges.models import Charge
from vouchers.charges.rules import ChargeState
from vouchers.invoices.rules import FapiaoState
from vouchers.payments.rules import PaymentState
from vouchers.purchases import access, queries
from vouchers.purchases.rules import Bought, Papers, Standing

__all__ = ["router"]

router = Router(tags=["payments"])


class PurchaseOut(Schema):
    """One purchase. `subject` is what was bought, such as ``booking:B2611-000042``; all amounts are of now.

    While it runs, `price`, `voucher_share` and `own_share` are what is held; afterwards what was taken, less refunds.
    `paid` has arrived of the own share, `due` is to come; `paid_back` went back to the payer, `owed_back` is to go.
    """

    charge: str
    subject: str
    kind: str
    provider: str
    state: ChargeState
    standing: Standing
    price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    paid: MoneyOut
    due: MoneyOut
    refunded: MoneyOut
    paid_back: MoneyOut
    owed_back: MoneyOut
    payment: str | None
    payment_state: PaymentState | None
    due_until: datetime | None
    receipt: str | None
    fapiao: str | None
    fapiao_state: FapiaoState | None
    created_at: datetime
    settled_at: datetime | None


class PurchaseFilter(Cursor):
    """``?standing=due`` is what is to be paid. `since` and `until` (exclusive) are of when it was ordered."""

    standing: Standing | None = None
    kind: Bought | None = None
    papers: Papers | None = None
    since: Moment | None = None
    until: Moment | None = None
    q: Annotated[Line, Field(max_length=80)] = ""


def _shown(charge: Charge) -> dict[str, Any]:
    row = queries.row(charge)
    figures, payment = row.figures, row.payment
    return {
        "charge": charge.number,
        "subject": charge.subject,
        "kind": row.kind,
        "provider": charge.provider.name,
        "state": charge.state,
        "standing": row.standing,
        "price": money(figures.price),
        "voucher_share": money(figures.voucher),
        "own_share": money(figures.own),
        "paid": money(figures.paid),
        "due": money(figures.due),
        "refunded": money(figures.refunded),
        "paid_back": money(figures.back),
        "owed_back": money(figures.owed_back),
        "payment": payment.number if payment else None,
        "payment_state": payment.state if payment else None,
        "due_until": payment.due_until if payment and figures.due else None,
        "receipt": row.receipt or None,
        "fapiao": row.fapiao.number if row.fapiao else None,
        "fapiao_state": row.fapiao.state if row.fapiao else None,
        "created_at": charge.created_at,
        "settled_at": charge.resolved_at,
    }


@router.get("", response={200: PageOut[PurchaseOut], **problems()})
def list_purchases(request: ActorRequest, wanted: Query[PurchaseFilter]) -> dict[str, Any]:
    """List what the caller's organisation bought, newest first, with what is paid, due, owed back, and its papers.

    Three queries whatever the page.
    """
    by = queries.Narrowing(
        standing=wanted.standing,
        kind=wanted.kind,
        papers=wanted.papers,
        since=wanted.since,
        until=wanted.until,
        text=wanted.q,
    )
    rows = queries.with_papers(queries.narrowed(access.own_purchases(request.actor), by))
    return paged(rows, wanted, _shown)
