"""Endpoints of vouchers."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils.translation import gettext
from ninja import Query, Router, Schema

from portal.wire import ActorRequest, Cursor, MoneyOut, Number, PageOut, money, paged, problems
from vouchers.ledger import queries as ledger
from vouchers.ledger.chart import ACCOUNT_KINDS, JOURNAL_KINDS, AccountKind, JournalKind
from vouchers.wallets import access
from vouchers.wallets.models import Voucher
from vouchers.wallets.rules import VoucherState

router = Router(tags=["vouchers"])


class VoucherOut(Schema):
    """A voucher and its balance: `face` = spent + `held` + `available`. It pays `share` of each bill."""

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
    valid_from: datetime
    valid_until: datetime


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
