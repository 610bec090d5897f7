"""Post to the ledger: the only way value is made, held, moved and ended.

Everything here may run inside the caller's transaction. A refused posting has written nothing and left the
transaction usable. Accounts are locked in id order within one posting, those that many share last, and stay locked
until the transaction ends: a verb that moves value should do it with one posting, last, after its other locks.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import OperationalError, connection, transaction

from portal.audit.services import record
from portal.kernel.actors import Actor, Permission
from vouchers.ledger import rules
from vouchers.ledger.chart import CNY, AccountKind, JournalKind
from vouchers.ledger.models import Account, Balance, HoldOpen, Period
from vouchers.ledger.rules import AccountKey, AccountRef, HoldOp, Outcome, Posting, ResolveOp, TransferOp

__all__ = ["PostingResult", "account", "accounts", "close_account", "close_year", "hush", "post", "release_overdue"]

TRANSIENT = {"40P01", "40001", "55P03"}
"""Deadlock, serialisation failure, lock not granted in time: nothing happened, and the same call may succeed."""

RETRIES = 3
JITTER_S = (0.01, 0.08)


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
    [found] = accounts(keys=[AccountKey(AccountKind(kind), owner, programme, fiscal_year or 0, unit)])
    return found


def accounts(*, keys: Sequence[AccountKey]) -> list[int]:
    """Return the ids of the accounts of these identities, in order, opening those there are none of. One query."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_open_all(%s, %s, %s, %s, %s)",
            [
                [key.kind.value for key in keys],
                [key.unit for key in keys],
                [key.owner for key in keys],
                [key.programme for key in keys],
                [key.fiscal_year or None for key in keys],
            ],
        )
        return [int(number) for number in cursor.fetchone()[0]]


def post(*, posting: Posting, now: datetime | None = None) -> PostingResult:
    """Post one journal in one round trip: all of its operations, or none.

    Idempotent by `posting.key`. The database's clock judges deadlines; give `now` only where time is simulated.
    Locks the balances it touches FOR NO KEY UPDATE, in account id order, hot ones last, waiting 2 s at most for each.
    Outside a transaction a transient failure is tried again up to three times; inside one it ends the transaction, and
    whoever opened that may start over.

    Raises InsufficientFunds, HoldResolved, HoldExpired, CaptureExceedsHold, RefundExceedsCapture, AccountClosed,
    AlreadyReversed, PeriodClosed, FlowNotAllowed, BadPosting, LedgerBusy, or KeyReused when the key was used for other
    content. A refusal (all but BadPosting, FlowNotAllowed, LedgerBusy) is remembered with the caller's transaction: the key
    fails for ever after, whatever changes, and a new attempt needs a new key.
    """
    request = json.dumps(_request(posting, now))
    answer = _ask(request) if connection.in_atomic_block else _patiently(lambda: _ask(request))
    if "error" in answer:
        raise rules.error_for(answer)
    return PostingResult(answer["journal_id"], tuple(answer["hold_ids"]), answer["replayed"])


def _ask(request: str) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT ledger_post(%s::jsonb)", [request])
        answer: dict[str, Any] = json.loads(cursor.fetchone()[0])
    return answer


def _patiently(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    for attempt in range(RETRIES + 1):
        try:
            return work()
        except OperationalError as error:
            if getattr(error.__cause__, "sqlstate", "") not in TRANSIENT:
                raise
            if attempt == RETRIES:
                raise rules.LedgerBusy from error
        time.sleep(random.SystemRandom().uniform(*JITTER_S))
    raise rules.LedgerBusy


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


def hush() -> None:
    """Wait for postings under way and keep others waiting until the caller's transaction ends; ten seconds at most."""
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '10s'")
        cursor.execute("SELECT pg_advisory_xact_lock(7151, 1)")


@transaction.atomic
def close_year(*, fiscal_year: int, proposed_by: str, actor: Actor, now: datetime) -> Period:
    """Close a fiscal year for ever: nothing is dated before its end any more, and its trial balance stands.

    `proposed_by` is the signature of the person who asked, `actor` the one who approves: two persons. Waits for postings
    under way, and they for it. Money of that year's programmes may still move, dated into the open year.

    Raises Forbidden, SamePerson, PeriodNotOver before the year's end, YearClosed.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    ends_at = rules.year_ends_at(fiscal_year)
    if proposed_by == actor.signature:
        raise rules.SamePerson
    if now < ends_at:
        raise rules.PeriodNotOver(year=fiscal_year)
    hush()
    if Period.objects.filter(pk=fiscal_year).exists():
        raise rules.YearClosed(year=fiscal_year)
    closed = Period.objects.create(
        fiscal_year=fiscal_year, ends_at=ends_at, closed_at=now, proposed_by=proposed_by, approved_by=actor.signature
    )
    record(action="ledger.year_closed", subject=f"year:{fiscal_year}", actor=actor, now=now)
    return closed
