"""Endpoints of vouchers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from django.utils.translation import gettext
from ninja import Query, Router, Schema
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Line,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    money,
    paged,
    problems,
)
from vouchers.ledger import queries as ledger
from vouchers.ledger.chart import ACCOUNT_KINDS, JOURNAL_KINDS, AccountKind, JournalKind
from vouchers.wallets import access, redeeming, services
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import OnExpiry, VoucherState

router = Router(tags=["vouchers"])


class VoucherOut(Schema):
    """A voucher and its balance: `face` = spent + `held` + `available`. It pays `share` of each bill.

    One that does not `deducts` pays no purchase: its holder pays in full and claims that share back.
    """

    number: str
    application: str
    programme: str
    programme_name: str
    fiscal_year: int
    state: VoucherState
    state_label: str
    face: MoneyOut
    available: MoneyOut
    held: MoneyOut
    share: str
    services: list[str]
    multi_use: bool
    deducts: bool
    note: str
    valid_from: datetime
    valid_until: datetime
    grace_until: datetime
    on_expiry: OnExpiry


class MovementOut(Schema):
    """One line of a voucher's statement: `amount` is negative when value left it, `balance` what it came to."""

    id: int
    kind: JournalKind
    kind_label: str
    other: AccountKind
    other_label: str
    subject: str
    amount: MoneyOut
    balance: MoneyOut
    at: datetime


class RegisteredOut(VoucherOut):
    """A voucher as its department's officers see it."""

    holder: str


class FreezeIn(StrictIn):
    """Why; the holder reads it."""

    reason: Annotated[Block, Field(max_length=300)]


class CodeOut(Schema):
    """A code, told this once: it is stored nowhere and replaces the earlier one."""

    code: str


class LookUpIn(StrictIn):
    """A code as typed, and the service class it is to pay for."""

    code: Annotated[Line, Field(max_length=60)]
    service: Number


class LookUpOut(Schema):
    """The voucher is good for `service`: it pays `share` of a bill and at most `most`. Nothing else is told."""

    service: str
    share: str
    most: MoneyOut


class VoucherFilter(Cursor):
    """``?state=active`` lists what can be spent."""

    state: VoucherState | None = None


def _voucher(voucher: Voucher, balances: Mapping[int, ledger.AccountBalance]) -> dict[str, Any]:
    balance = balances[voucher.account_id]
    return {
        "number": voucher.number,
        "application": voucher.application.number,
        "programme": voucher.programme_code,
        "programme_name": voucher.application.version.name,
        "fiscal_year": voucher.fiscal_year,
        "state": voucher.state,
        "state_label": voucher.get_state_display(),
        "face": money(voucher.face_fen),
        "available": money(balance.available_fen),
        "held": money(balance.held_fen),
        "share": f"{voucher.share_num}/{voucher.share_den}",
        "services": voucher.services,
        "valid_from": voucher.valid_from,
        "valid_until": voucher.valid_until,
        "grace_until": voucher.grace_until,
        "on_expiry": voucher.on_expiry,
        "multi_use": voucher.multi_use,
        "deducts": voucher.deducts,
        "note": voucher.note,
    }


@router.get("", response={200: PageOut[VoucherOut], **problems()})
def list_vouchers(request: ActorRequest, wanted: Query[VoucherFilter]) -> dict[str, Any]:
    """List the vouchers of the caller's organisation with their balances."""
    rows = access.vouchers_of(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    page = paged(rows, wanted, lambda voucher: voucher)
    balances = ledger.balances(account_ids=[voucher.account_id for voucher in page["items"]])
    return {**page, "items": [_voucher(voucher, balances) for voucher in page["items"]]}


@router.get("/register", response={200: PageOut[RegisteredOut], **problems()})
def register(request: ActorRequest, wanted: Query[VoucherFilter]) -> dict[str, Any]:
    """List the vouchers granted under the programmes of the caller's department."""
    rows = access.register(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    page = paged(rows, wanted, lambda voucher: voucher)
    balances = ledger.balances(account_ids=[voucher.account_id for voucher in page["items"]])
    return {**page, "items": [_registered(voucher, balances) for voucher in page["items"]]}


def _registered(voucher: Voucher, balances: Mapping[int, ledger.AccountBalance]) -> dict[str, Any]:
    return {**_voucher(voucher, balances), "holder": voucher.holder.name}


@router.post("/look-up", response={200: LookUpOut, **problems(409)})
def look_up(request: ActorRequest, payload: LookUpIn) -> dict[str, Any]:
    """Say what a code is good for, at a provider's counter. Every try is stored; ten failures in an hour lock out."""
    shown = redeeming.look_up(actor=request.actor, text=payload.code, service=payload.service, now=timezone.now())
    return {"service": shown.service, "share": str(shown.share), "most": money(shown.most)}


def _officially(request: ActorRequest, number: str, act: Callable[[Voucher, datetime], object]) -> dict[str, Any]:
    act(access.get_registered(request.actor, number), timezone.now())
    voucher = access.get_registered(request.actor, number)
    return _registered(voucher, ledger.balances(account_ids=[voucher.account_id]))


@router.post("/{number}/freeze", response={200: RegisteredOut, **problems(404, 409)})
def freeze(request: ActorRequest, number: Number, payload: FreezeIn) -> dict[str, Any]:
    """Stop new orders on a voucher during an investigation; open orders go on."""
    return _officially(
        request,
        number,
        lambda voucher, now: services.freeze(actor=request.actor, voucher=voucher, reason=payload.reason, now=now),
    )


@router.post("/{number}/unfreeze", response={200: RegisteredOut, **problems(404, 409)})
def unfreeze(request: ActorRequest, number: Number, payload: FreezeIn) -> dict[str, Any]:
    """Let a frozen voucher be spent again."""
    return _officially(
        request,
        number,
        lambda voucher, now: services.unfreeze(actor=request.actor, voucher=voucher, reason=payload.reason, now=now),
    )


@router.post("/{number}/code", response={200: CodeOut, **problems(404, 409)})
def make_code(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Make a new code for a voucher; the earlier one ends. The code is in this answer only."""
    voucher = access.get_voucher(request.actor, number)
    return {"code": redeeming.make_code(actor=request.actor, voucher=voucher, now=timezone.now())}


@router.get("/{number}", response={200: VoucherOut, **problems(404)})
def get_voucher(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a voucher with its balance."""
    voucher = access.get_voucher(request.actor, number)
    return _voucher(voucher, ledger.balances(account_ids=[voucher.account_id]))


@router.get("/{number}/movements", response={200: PageOut[MovementOut], **problems(404)})
def movements(request: ActorRequest, number: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """Return a voucher's statement from the ledger, newest first, each line with the balance after it.

    What is only held is not on it: see the voucher's `held`.
    """
    voucher = access.get_voucher(request.actor, number)
    page = ledger.statement(account_id=voucher.account_id, before=wanted.before, limit=wanted.limit)
    return {"items": [_movement(line) for line in page.lines], "next_before": page.next_before}


def _movement(line: ledger.StatementLine) -> dict[str, Any]:
    return {
        "id": line.transfer_id,
        "kind": line.kind,
        "kind_label": gettext(JOURNAL_KINDS[line.kind].label),
        "other": line.other_kind,
        "other_label": gettext(ACCOUNT_KINDS[line.other_kind].label),
        "subject": f"{line.source_type}:{line.source_id}",
        "amount": money(line.amount_fen),
        "balance": money(line.balance_fen),
        "at": line.effective_at,
    }
