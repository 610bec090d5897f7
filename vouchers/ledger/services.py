"""Post to the ledger: the only way value is made, held, moved and ended.

Everything here may run inside the caller's transaction. A refused posting has written nothing and left the
transaction usable. Accounts are locked in id order within one posting and stay locked until the transaction ends:
a verb that moves value should do it with one posting, last, after its other locks.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connection, transaction

from vouchers.ledger import rules
from vouchers.ledger.chart import CNY, AccountKind, JournalKind
from vouchers.ledger.models import Account, Balance, HoldOpen
from vouchers.ledger.rules import AccountKey, AccountRef, HoldOp, Outcome, Posting, ResolveOp, TransferOp

__all__ = ["PostingResult", "account", "close_account", "post", "release_overdue"]


@dataclass(frozen=True, slots=True)
class PostingResult:
    """What a posting made. `hold_ids` are in the order of its `HoldOp`s; `replayed` when the key was known already."""

    journal_id: int
    hold_ids: tuple[int, ...]
    replayed: bool


def account(
    *, kind: AccountKind, owner: str, programme: str = "", fiscal_year: int | None = None, unit: str = CNY
) -> int:
    """Return the id of the account of that identity, opening it when there is none.

    Raises ValueError when the kind needs a programme and fiscal year and lacks them, or carries them needlessly.
    """
    key = AccountKey(AccountKind(kind), owner, programme, fiscal_year or 0, unit)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_open(%s, %s, %s, %s, %s)",
            [key.kind.value, key.unit, key.owner, key.programme, key.fiscal_year or None],
        )
        return int(cursor.fetchone()[0])


def post(*, posting: Posting, now: datetime | None = None) -> PostingResult:
    """Post one journal in one round trip: all of its operations, or none.

    Idempotent by `posting.key`. The database's clock judges deadlines; give `now` only where time is simulated.
    Locks the balances it touches, in account id order, FOR NO KEY UPDATE.

    Raises InsufficientFunds, HoldResolved, HoldExpired, CaptureExceedsHold, RefundExceedsCapture, AccountClosed,
    AlreadyReversed, FlowNotAllowed, BadPosting, or KeyReused when the key was used for other content. A failure is
    not remembered: the same key may succeed later. Whoever promises sticky failures stores the answer beside the key.
    """
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_post(%s::jsonb)", [json.dumps(_request(posting, now))])
        answer = json.loads(cursor.fetchone()[0])
    if "error" in answer:
        raise rules.error_for(answer)
    return PostingResult(answer["journal_id"], tuple(answer["hold_ids"]), answer["replayed"])


def _request(posting: Posting, now: datetime | None) -> dict[str, Any]:
    keys = sorted({ref for ref in _references(posting) if isinstance(ref, AccountKey)})
    numbers = {key: -number for number, key in enumerate(keys, start=1)}
    request: dict[str, Any] = {
        "kind": posting.kind.value,
        "key": posting.key,
        "fingerprint": rules.fingerprint(posting),
        "actor": posting.actor,
        "source_type": posting.source_type,
        "source_id": posting.source_id,
        "open": [
            {"kind": k.kind.value, "unit": k.unit, "owner": k.owner, "programme": k.programme}
            | ({"fiscal_year": k.fiscal_year} if k.fiscal_year else {})
            for k in keys
        ],
        "approved_by": posting.approved_by,
        "reason": posting.reason,
        "effective_at": posting.effective_at and posting.effective_at.isoformat(),
        "now": now and now.isoformat(),
        "reverses": posting.reverses,
    }
    for operation in posting.operations:
        name, item = _item(operation, numbers)
        request.setdefault(name, []).append(item)
    return {name: value for name, value in request.items() if value}


def _references(posting: Posting) -> Iterator[AccountRef]:
    for operation in posting.operations:
        if not isinstance(operation, ResolveOp):
            yield operation.debit
            yield operation.credit


def _item(operation: rules.Operation, numbers: Mapping[AccountKey, int]) -> tuple[str, dict[str, Any]]:
    match operation:
        case TransferOp(debit, credit, amount_fen, refunds_hold):
            item = {"amount": amount_fen, "hold": refunds_hold}
            name = "transfers"
        case HoldOp(debit, credit, amount_fen, ttl_s):
            item = {"amount": amount_fen, "ttl_s": ttl_s}
            name = "holds"
        case ResolveOp(hold, outcome, captured_fen):
            return "resolutions", {"hold": hold, "outcome": outcome.value, "captured": captured_fen}
    item["debit"] = debit if isinstance(debit, int) else numbers[debit]
    item["credit"] = credit if isinstance(credit, int) else numbers[credit]
    return name, item


@transaction.atomic
def close_account(*, account_id: int, now: datetime) -> None:
    """Close an empty account for ever; closing a closed one changes nothing.

    Locks the balance, so that no posting slips in between. Raises AccountNotEmpty while anything is posted or held.
    """
    balance = Balance.objects.select_for_update(no_key=True).get(pk=account_id)
    if balance.posted_dr != balance.posted_cr or balance.held_dr or balance.held_cr:
        raise rules.AccountNotEmpty(account=account_id)
    Account.objects.filter(pk=account_id, closed_at__isnull=True).update(closed_at=now)


def release_overdue(*, now: datetime, limit: int = 200) -> list[int]:
    """End at most `limit` holds whose deadline has passed, oldest first; return the ids of those ended here.

    Correctness never depends on this having run: an overdue hold cannot be captured, and stays held until it is
    ended. May run in several workers at once: each hold is ended once, by a key of its own.
    """
    due = HoldOpen.objects.filter(expires_at__lte=now).order_by("expires_at", "pk").values_list("pk", flat=True)
    ended = []
    for hold_id in list(due[:limit]):
        posting = Posting(
            kind=JournalKind.RELEASE,
            key=f"hold:{hold_id}/expired",
            operations=(ResolveOp(hold_id, Outcome.EXPIRED),),
            actor="system",
            source_type="hold",
            source_id=str(hold_id),
        )
        try:
            result = post(posting=posting, now=now)
        except rules.HoldResolved:
            continue
        if not result.replayed:
            ended.append(hold_id)
    return ended
