"""The posting protocol through the ORM: slow and readable, to be compared with ``ledger_post`` step by step."""

from __future__ import annotations

from collections import defaultdict
from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Sum

from portal.kernel.errors import PortalError
from portal.kernel.idempotency import KeyReused
from vouchers.ledger import rules
from vouchers.ledger.chart import ACCOUNT_KINDS, FLOWS, JOURNAL_KINDS, AccountKind, Bound, JournalKind
from vouchers.ledger.models import Account, Balance, Hold, HoldOpen, HoldResolution, Journal, Refusal, Transfer
from vouchers.ledger.rules import HoldOp, Outcome, Posting, ResolveOp, TransferOp
from vouchers.ledger.services import PostingResult

Leg = tuple[int, int, int, int | None]


REFUSALS = {kind.code: kind for kind in rules.ERRORS.values()}
MISTAKES = (rules.BadPosting, rules.FlowNotAllowed, KeyReused)


def post(*, posting: Posting, now: datetime) -> PostingResult:
    """Post, and remember a refusal beside the posting that was undone."""
    fingerprint = bytes.fromhex(rules.fingerprint(posting))
    if refused := Refusal.objects.filter(key=posting.key).first():
        if bytes(refused.fingerprint) != fingerprint:
            raise KeyReused
        raise REFUSALS[refused.answer["error"]](needed="", available="")
    try:
        return _post(posting=posting, now=now, fingerprint=fingerprint)
    except MISTAKES:
        raise
    except PortalError as error:
        Refusal.objects.create(key=posting.key, fingerprint=fingerprint, answer={"error": error.code}, refused_at=now)
        raise


@transaction.atomic
def _post(*, posting: Posting, now: datetime, fingerprint: bytes) -> PostingResult:
    if known := Journal.objects.filter(key=posting.key).first():
        if bytes(known.fingerprint) != fingerprint:
            raise KeyReused
        return PostingResult(known.pk, tuple(known.holds.order_by("line_no").values_list("pk", flat=True)), True)
    resolved = [op for op in posting.operations if isinstance(op, ResolveOp)]
    held = [op for op in posting.operations if isinstance(op, HoldOp)]
    holds = Hold.objects.in_bulk([op.hold for op in resolved])
    if len(holds) < len({op.hold for op in resolved}):
        raise rules.BadPosting
    legs = _legs(posting, holds)
    effect = _effect(legs, held, [holds[op.hold] for op in resolved])
    list(Balance.objects.select_for_update(no_key=True).filter(pk__in=effect).order_by("pk"))
    if not effect:
        raise rules.BadPosting
    if posting.reverses and Journal.objects.filter(reverses=posting.reverses).exists():
        raise rules.AlreadyReversed
    for op in resolved:
        _check_resolution(op, holds[op.hold], now)
    for debit, credit in [(leg[0], leg[1]) for leg in legs] + [(op.debit, op.credit) for op in held]:
        _check_leg(posting.kind, debit, credit)
    if posting.kind is JournalKind.REFUND:
        _check_refunds(posting)
    _check_balances(effect)
    journal = Journal.objects.create(
        kind=posting.kind,
        key=posting.key,
        fingerprint=fingerprint,
        actor=posting.actor,
        approved_by=posting.approved_by,
        source_type=posting.source_type,
        source_id=posting.source_id,
        effective_at=posting.effective_at or now,
        recorded_at=now,
        reverses_id=posting.reverses,
    )
    return PostingResult(journal.pk, _write(journal, legs, held, resolved, effect, now), False)


def _legs(posting: Posting, holds: dict[int, Hold]) -> list[Leg]:
    if posting.kind is JournalKind.REVERSE:
        original = Journal.objects.filter(pk=posting.reverses).first()
        if original is None or not JOURNAL_KINDS[JournalKind(original.kind)].reversible:
            return []
        rows = original.transfers.order_by("line_no")
        return [(row.credit_account_id, row.debit_account_id, row.amount, None) for row in rows]
    legs: list[Leg] = [
        (op.debit, op.credit, op.amount_fen, op.refunds_hold) for op in posting.operations if isinstance(op, TransferOp)
    ]
    for op in posting.operations:
        if isinstance(op, ResolveOp) and op.outcome is Outcome.CAPTURED:
            hold = holds[op.hold]
            legs.append((hold.debit_account_id, hold.credit_account_id, op.captured_fen, hold.pk))
    return legs


def _effect(legs: list[Leg], held: list[HoldOp], ended: list[Hold]) -> dict[int, dict[str, int]]:
    effect: dict[int, dict[str, int]] = defaultdict(
        lambda: {"posted_dr": 0, "posted_cr": 0, "held_dr": 0, "held_cr": 0}
    )
    for debit, credit, amount, _hold in legs:
        effect[debit]["posted_dr"] += amount
        effect[credit]["posted_cr"] += amount
    for op in held:
        effect[op.debit]["held_dr"] += op.amount_fen
        effect[op.credit]["held_cr"] += op.amount_fen
    for hold in ended:
        effect[hold.debit_account_id]["held_dr"] -= hold.amount
        effect[hold.credit_account_id]["held_cr"] -= hold.amount
    return effect


def _check_resolution(op: ResolveOp, hold: Hold, now: datetime) -> None:
    overdue = hold.expires_at is not None and now >= hold.expires_at
    if HoldResolution.objects.filter(pk=op.hold).exists():
        raise rules.HoldResolved
    if op.outcome is Outcome.CAPTURED and overdue:
        raise rules.HoldExpired
    if op.outcome is Outcome.CAPTURED and op.captured_fen > hold.amount:
        raise rules.CaptureExceedsHold(needed="", available="")
    if op.outcome is Outcome.EXPIRED and not overdue:
        raise rules.BadPosting


def _check_leg(kind: JournalKind, debit: int, credit: int) -> None:
    accounts = Account.objects.in_bulk([debit, credit])
    if len(accounts) < len({debit, credit}) or accounts[debit].unit != accounts[credit].unit:
        raise rules.BadPosting
    a, b = accounts[debit], accounts[credit]
    if a.closed_at or b.closed_at:
        raise rules.AccountClosed
    same = (a.programme, a.fiscal_year) == (b.programme, b.fiscal_year)
    if not same or (kind, AccountKind(a.kind), AccountKind(b.kind)) not in FLOWS:
        raise rules.FlowNotAllowed


def _check_refunds(posting: Posting) -> None:
    for op in posting.operations:
        hold = Hold.objects.filter(pk=op.refunds_hold).first()
        kinds = dict(Account.objects.filter(pk__in=[op.debit, op.credit]).values_list("pk", "kind"))
        owed = hold and Account.objects.get(pk=hold.credit_account_id).kind
        claimant = owed == AccountKind.CLAIMANT_PAYABLE
        debt = AccountKind.RECEIVABLE_ENTERPRISE if claimant else AccountKind.RECEIVABLE_PROVIDER
        if (
            hold is None
            or (op.credit != hold.debit_account_id and kinds[op.credit] != AccountKind.EXPIRED)
            or (op.debit != hold.credit_account_id and kinds[op.debit] != debt)
        ):
            raise rules.BadPosting
        resolution = HoldResolution.objects.filter(pk=hold.pk).first()
        back = Transfer.objects.filter(hold=hold, journal__kind=JournalKind.REFUND).aggregate(sum=Sum("amount"))["sum"]
        if op.amount_fen + (back or 0) > (resolution.captured_amount if resolution else 0):
            raise rules.RefundExceedsCapture(needed="", available="")


def _check_balances(effect: dict[int, dict[str, int]]) -> None:
    for balance in Balance.objects.filter(pk__in=effect).select_related("account").order_by("pk"):
        after = {name: getattr(balance, name) + change for name, change in effect[balance.pk].items()}
        bound = ACCOUNT_KINDS[AccountKind(balance.account.kind)].bound
        if (bound is Bound.CREDIT and after["posted_dr"] + after["held_dr"] > after["posted_cr"]) or (
            bound is Bound.DEBIT and after["posted_cr"] + after["held_cr"] > after["posted_dr"]
        ):
            raise rules.InsufficientFunds(needed="", available="")


def _write(
    journal: Journal,
    legs: list[Leg],
    held: list[HoldOp],
    resolved: list[ResolveOp],
    effect: dict[int, dict[str, int]],
    now: datetime,
) -> tuple[int, ...]:
    for number, change in effect.items():
        Balance.objects.filter(pk=number).update(**{name: F(name) + amount for name, amount in change.items()})
    for line, (debit, credit, amount, hold_id) in enumerate(legs, start=1):
        Transfer.objects.create(
            journal=journal, line_no=line, unit="CNY", debit_account_id=debit, credit_account_id=credit,
            amount=amount, hold_id=hold_id,
        )  # fmt: skip
    made = []
    for line, op in enumerate(held, start=1):
        expires_at = now + timedelta(seconds=op.ttl_s) if op.ttl_s else None
        hold = Hold.objects.create(
            journal=journal, line_no=line, unit="CNY", debit_account_id=op.debit, credit_account_id=op.credit,
            amount=op.amount_fen, expires_at=expires_at,
        )  # fmt: skip
        HoldOpen.objects.create(hold=hold, expires_at=expires_at)
        made.append(hold.pk)
    for op in resolved:
        HoldResolution.objects.create(
            hold_id=op.hold, journal=journal, outcome=op.outcome, captured_amount=op.captured_fen
        )
        HoldOpen.objects.filter(pk=op.hold).delete()
    return tuple(made)
