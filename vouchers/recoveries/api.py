"""Endpoints of recoveries."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Flag,
    Line,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    Whole,
    money,
    paged,
    problems,
)
from vouchers.claims import access as claims
from vouchers.recoveries import access, collecting, queries, services
from vouchers.recoveries.models import Recovery
from vouchers.recoveries.rules import Party, RecoveryState
from vouchers.wallets import access as wallets

router = Router(tags=["recoveries"])


class BreachIn(StrictIn):
    """What was breached, on a `voucher` or on a `claim` (one of the two)."""

    breach: Annotated[Line, Field(max_length=300)]
    party: Party = Party.APPLICANT
    voucher: Annotated[Line, Field(max_length=24)] = ""
    claim: Annotated[Line, Field(max_length=24)] = ""


class ReassessIn(StrictIn):
    """The contract's amounts as they are now, by cost kind."""

    claim: Number
    items: Annotated[dict[str, MoneyIn], Field(min_length=1, max_length=20)]


class RulingIn(StrictIn):
    """What is decided."""

    receivable: MoneyIn
    reason: Annotated[Block, Field(max_length=600)]
    take_unused: Flag = True
    bar_years: Annotated[Whole, Field(ge=0, le=10)] = 0
    publish: Flag = False


class TextIn(StrictIn):
    """The reason, or what the party said."""

    text: Annotated[Block, Field(max_length=2000)]


class ReceivedIn(StrictIn):
    """Money found on the bank statement."""

    amount: MoneyIn
    bank_reference: Annotated[Line, Field(max_length=60)]


class RecoveryOut(Schema):
    """A case of value that must come back."""

    number: str
    state: RecoveryState
    state_label: str
    party: Party
    debtor: str
    programme: str
    voucher: str | None
    claim: str | None
    base: str | None
    breach: str
    receivable: MoneyOut
    received: MoneyOut
    written_off: MoneyOut
    outstanding: MoneyOut
    limit: MoneyOut
    take_unused: bool
    bar_years: int
    barred_until: str | None
    publish: bool
    opened_at: datetime
    confirmed_at: datetime | None


class RecoveryFilter(Cursor):
    """``?state=decided`` lists what waits for a second person."""

    state: RecoveryState | None = None


def _shown(case: Recovery) -> dict[str, Any]:
    return {
        "number": case.number,
        "state": case.state,
        "state_label": case.get_state_display(),
        "party": case.party,
        "debtor": case.debtor.name,
        "programme": case.version.programme.code,
        "voucher": case.voucher.number if case.voucher else None,
        "claim": case.claim.number if case.claim else None,
        "base": case.base.number if case.base else None,
        "breach": case.breach,
        "receivable": money(case.receivable_fen),
        "received": money(case.received_fen),
        "written_off": money(case.written_off_fen),
        "outstanding": money(case.outstanding_fen),
        "limit": money(queries.limit_fen(case)),
        "take_unused": case.take_unused,
        "bar_years": case.bar_years,
        "barred_until": case.barred_until.isoformat() if case.barred_until else None,
        "publish": case.publish,
        "opened_at": case.opened_at,
        "confirmed_at": case.confirmed_at,
    }


@router.get("", response={200: PageOut[RecoveryOut], **problems()})
def list_recoveries(request: ActorRequest, wanted: Query[RecoveryFilter]) -> dict[str, Any]:
    """List recoveries: the department's, those finance collects, or the caller's own."""
    rows = access.visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _shown)


@router.post("", response={201: RecoveryOut, **problems(404, 409)})
def open_case(request: ActorRequest, payload: BreachIn) -> Status[dict[str, Any]]:
    """Open a case on a breach."""
    request.actor.require(Permission.RECOVERY_PROPOSE)
    claim = claims.get_claim(request.actor, payload.claim) if payload.claim else None
    voucher = wallets.get_registered(request.actor, payload.voucher) if payload.voucher and claim is None else None
    if claim is None and voucher is None:
        raise NotFound(field="voucher")
    breach = services.Breach(text=payload.breach, party=payload.party, voucher=voucher, claim=claim)
    made = services.open_case(actor=request.actor, breach=breach, now=timezone.now())
    return Status(201, _shown(access.get_recovery(request.actor, made.number)))


@router.post("/reassess", response={201: RecoveryOut, 204: None, **problems(404, 409)})
def reassess(request: ActorRequest, payload: ReassessIn) -> Status[dict[str, Any] | None]:
    """Ask the rules again on a contract that was refunded or cut after payment; 204 when nothing is owed back."""
    request.actor.require(Permission.RECOVERY_PROPOSE)
    claim = claims.get_claim(request.actor, payload.claim)
    items = {kind: amount.value() for kind, amount in payload.items.items()}
    made = services.reassess(actor=request.actor, claim=claim, items=items, now=timezone.now())
    if made is None:
        return Status(204, None)
    return Status(201, _shown(access.get_recovery(request.actor, made.number)))


@router.get("/{number}", response={200: RecoveryOut, **problems(404)})
def get_recovery(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a case."""
    return _shown(access.get_recovery(request.actor, number))


def _act(request: ActorRequest, number: str, act: Callable[[Recovery, datetime], object]) -> dict[str, Any]:
    act(access.get_recovery(request.actor, number), timezone.now())
    return _shown(access.get_recovery(request.actor, number))


@router.post("/{number}/accept", response={200: RecoveryOut, **problems(404, 409)})
def accept(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Open a proposed case."""
    return _act(request, number, lambda case, now: services.accept(actor=request.actor, recovery=case, now=now))


@router.post("/{number}/hear", response={200: RecoveryOut, **problems(404, 409)})
def hear(request: ActorRequest, number: Number, payload: TextIn) -> dict[str, Any]:
    """Write down what the party said."""
    return _act(
        request,
        number,
        lambda case, now: services.hear(actor=request.actor, recovery=case, note=payload.text, now=now),
    )


@router.post("/{number}/decide", response={200: RecoveryOut, **problems(404, 409)})
def decide(request: ActorRequest, number: Number, payload: RulingIn) -> dict[str, Any]:
    """Decide as the first of two persons."""
    ruling = services.Ruling(
        receivable=payload.receivable.value(),
        reason=payload.reason,
        take_unused=payload.take_unused,
        bar_years=payload.bar_years,
        publish=payload.publish,
    )
    return _act(
        request, number, lambda case, now: services.decide(actor=request.actor, recovery=case, ruling=ruling, now=now)
    )


@router.post("/{number}/confirm", response={200: RecoveryOut, **problems(404, 409)})
def confirm(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Confirm a decision as the second person: from now on it holds."""
    return _act(request, number, lambda case, now: services.confirm(actor=request.actor, recovery=case, now=now))


@router.post("/{number}/return", response={200: RecoveryOut, **problems(404, 409)})
def send_back(request: ActorRequest, number: Number, payload: TextIn) -> dict[str, Any]:
    """Refuse to confirm: the case is decided anew."""
    return _act(
        request,
        number,
        lambda case, now: services.send_back(actor=request.actor, recovery=case, reason=payload.text, now=now),
    )


@router.post("/{number}/drop", response={200: RecoveryOut, **problems(404, 409)})
def drop(request: ActorRequest, number: Number, payload: TextIn) -> dict[str, Any]:
    """Close a case without consequence."""
    return _act(
        request,
        number,
        lambda case, now: services.drop(actor=request.actor, recovery=case, reason=payload.text, now=now),
    )


@router.post("/{number}/receive", response={200: RecoveryOut, **problems(404, 409)})
def receive(request: ActorRequest, number: Number, payload: ReceivedIn) -> dict[str, Any]:
    """Book money found on the bank statement, once a bank reference."""
    return _act(
        request,
        number,
        lambda case, now: collecting.receive(
            actor=request.actor,
            recovery=case,
            amount=payload.amount.value(),
            bank_reference=payload.bank_reference,
            now=now,
        ),
    )


@router.post("/{number}/ask-write-off", response={200: RecoveryOut, **problems(404, 409)})
def ask_write_off(request: ActorRequest, number: Number, payload: TextIn) -> dict[str, Any]:
    """Ask to give up what cannot be collected."""
    return _act(
        request,
        number,
        lambda case, now: collecting.ask_write_off(actor=request.actor, recovery=case, reason=payload.text, now=now),
    )


@router.post("/{number}/write-off", response={200: RecoveryOut, **problems(404, 409)})
def write_off(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Give up what is outstanding, as another person than the one who asked."""
    return _act(request, number, lambda case, now: collecting.write_off(actor=request.actor, recovery=case, now=now))
