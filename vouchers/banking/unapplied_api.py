"""Endpoints of money that pays nothing yet, for finance: where it came from, and what is done with it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import Forbidden
from portal.wire import ActorRequest, Block, Cursor, Line, MoneyOut, Number, PageOut, StrictIn, money, paged, problems
from vouchers.banking import misapplied, queries
from vouchers.banking.models import StatementLine
from vouchers.banking.schemas import Id
from vouchers.payments import access as payments
from vouchers.payments import unapplied, unapplied_access
from vouchers.payments.unapplied_models import UnappliedUse
from vouchers.payments.unapplied_rules import UseKind, UseState

router = Router(tags=["unapplied money"])


class UnappliedUseOut(Schema):
    """What was done with a part of it: `payment` is what it pays; `doubt` why that is wrong, by the word of `doubter`."""

    kind: UseKind
    state: UseState
    amount: MoneyOut
    payment: str
    source: str
    doubt: str
    doubter: str
    recorded_by: str
    recorded_at: datetime


class UnappliedOut(Schema):
    """So much of an arrival pays nothing: `free` may be applied or go back, `asked` goes back by bank, `proposed` waits for a second person, `on_rail` over a
    gateway by itself. `name` and `account` are whom it came from, as the bank's statement says.
    """

    id: int
    payer: str
    payment: str
    source: str
    arrived_at: datetime
    excess: MoneyOut
    free: MoneyOut
    asked: MoneyOut
    proposed: MoneyOut
    on_rail: MoneyOut
    applied: MoneyOut
    returned: MoneyOut
    line: int | None
    name: str
    account: str
    uses: list[UnappliedUseOut] = []


class UnappliedFilter(Cursor):
    payer: Annotated[Line, Field(max_length=60)] = ""
    """A credit code."""
    all: bool = False
    """Those all of which has been used or has gone back, too."""


class UnappliedApplyIn(StrictIn):
    """The number of a due payment of the same payer."""

    payment: Number


class UnappliedDoubtIn(StrictIn):
    """The number of the payment it should not have paid, and why not."""

    payment: Number
    note: Annotated[Block, Field(max_length=200)]


def _shown(found: Any, line: StatementLine | None = None) -> dict[str, Any]:
    return {
        "id": found.pk,
        "payer": found.payment.payer.credit_code,
        "payment": found.payment.number,
        "source": found.source,
        "arrived_at": found.arrived_at,
        "excess": money(found.excess_fen),
        "free": money(found.free_fen),
        "asked": money(found.asked_fen),
        "proposed": money(found.proposed_fen),
        "on_rail": money(found.on_rail_fen),
        "applied": money(found.applied_later_fen),
        "returned": money(found.returned_fen),
        "line": line.pk if line else None,
        "name": line.name if line else "",
        "account": line.counter_account if line else "",
    }


def _use(found: UnappliedUse) -> dict[str, Any]:
    return {
        "kind": found.kind,
        "state": found.state,
        "amount": money(found.amount_fen),
        "payment": found.payment.number if found.payment else "",
        "source": found.source,
        "doubt": found.doubt,
        "doubter": found.doubter,
        "recorded_by": found.recorded_by,
        "recorded_at": found.recorded_at,
    }


def _whole(request: ActorRequest, pk: int) -> dict[str, Any]:
    found = unapplied_access.get_excess(request.actor, pk)
    uses = found.uses.select_related("payment").order_by("pk")
    return {**_shown(found, queries.came_by([pk]).get(pk)), "uses": [_use(use) for use in uses]}


@router.get("", response={200: PageOut[UnappliedOut], **problems()})
def list_unapplied(request: ActorRequest, wanted: Query[UnappliedFilter]) -> dict[str, Any]:
    """List money of known payers that pays nothing, newest first; what is still with us unless ``?all=true``."""
    if not any(request.actor.may(each) for each in unapplied_access.READERS):
        raise Forbidden
    rows = unapplied_access.visible_to(request.actor)
    if wanted.payer:
        rows = rows.filter(payment__payer__credit_code=wanted.payer.upper())
    found = paged(rows if wanted.all else unapplied_access.waiting(rows), wanted, lambda row: row)
    lines = queries.came_by(row.pk for row in found["items"])
    return {**found, "items": [_shown(row, lines.get(row.pk)) for row in found["items"]]}


@router.get("/{excess_id}", response={200: UnappliedOut, **problems(404)})
def get_unapplied(request: ActorRequest, excess_id: Id) -> dict[str, Any]:
    """Return one, with what was done with it."""
    return _whole(request, excess_id)


@router.post("/{excess_id}/apply", response={200: UnappliedOut, **problems(404, 409)})
def apply_unapplied(request: ActorRequest, excess_id: Id, payload: UnappliedApplyIn) -> dict[str, Any]:
    """Let it pay a due payment of the same payer, as far as both reach; from the limit on a second person confirms."""
    unapplied.apply(
        actor=request.actor,
        arrival=unapplied_access.get_excess(request.actor, excess_id),
        payment=payments.get_payment(request.actor, payload.payment),
        now=timezone.now(),
    )
    return _whole(request, excess_id)


@router.post("/{excess_id}/confirm", response={200: UnappliedOut, **problems(404, 409)})
def confirm_unapplied(request: ActorRequest, excess_id: Id, payload: UnappliedApplyIn) -> dict[str, Any]:
    """Let it pay, as a second person, what was proposed."""
    use = unapplied_access.proposed_for(request.actor, excess_id, payload.payment)
    unapplied.confirm(actor=request.actor, use=use, now=timezone.now())
    return _whole(request, excess_id)


@router.post("/{excess_id}/refuse", response={200: UnappliedOut, **problems(404, 409)})
def refuse_unapplied(request: ActorRequest, excess_id: Id, payload: UnappliedApplyIn) -> dict[str, Any]:
    """Refuse what was proposed: the money is free again."""
    use = unapplied_access.proposed_for(request.actor, excess_id, payload.payment)
    unapplied.refuse(actor=request.actor, use=use, now=timezone.now())
    return _whole(request, excess_id)


@router.post("/{excess_id}/send-back", response={200: UnappliedOut, **problems(404, 409)})
def send_unapplied_back(request: ActorRequest, excess_id: Id) -> dict[str, Any]:
    """Say that what is free of it goes back to the account it came from; the statement's line of the transfer books it."""
    found = unapplied_access.get_excess(request.actor, excess_id)
    unapplied.ask_back(actor=request.actor, arrival=found, now=timezone.now())
    return _whole(request, excess_id)


@router.post("/{excess_id}/keep", response={200: UnappliedOut, **problems(404, 409)})
def keep_unapplied(request: ActorRequest, excess_id: Id) -> dict[str, Any]:
    """Take back that it goes back: nothing was transferred."""
    found = unapplied_access.get_excess(request.actor, excess_id)
    unapplied.keep(actor=request.actor, arrival=found, now=timezone.now())
    return _whole(request, excess_id)


@router.post("/{excess_id}/doubt", response={200: UnappliedOut, **problems(404, 409)})
def doubt_unapplied(request: ActorRequest, excess_id: Id, payload: UnappliedDoubtIn) -> dict[str, Any]:
    """Say that it pays the wrong payment, and why; a second person undoes it."""
    request.actor.require(Permission.BANK_MATCH)
    use = unapplied_access.applied_to(request.actor, excess_id, payload.payment)
    misapplied.doubt(actor=request.actor, use=use, reason=payload.note, now=timezone.now())
    return _whole(request, excess_id)


@router.post("/{excess_id}/undo", response={200: UnappliedOut, **problems(404, 409)})
def undo_unapplied(request: ActorRequest, excess_id: Id, payload: UnappliedApplyIn) -> dict[str, Any]:
    """Undo, as a second person, that it pays a payment: that is due again, the money unapplied."""
    use = unapplied_access.applied_to(request.actor, excess_id, payload.payment)
    misapplied.undo(actor=request.actor, use=use, now=timezone.now())
    return _whole(request, excess_id)
