"""Check, audit, approve and refuse claims: what the department and its third-party auditor do."""

from __future__ import annotations

import secrets
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.organisations import access as people
from vouchers.charges import refunding
from vouchers.charges import services as charges
from vouchers.claims import queries, rules
from vouchers.claims.cases import end_over, lock, move, payable_of, record, release
from vouchers.claims.models import ClaimPart, RedemptionClaim
from vouchers.invoices import following as invoices
from vouchers.issuance import funds, payouts
from vouchers.ledger import queries as balances
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import (
    AccountKey,
    AccountKind,
    JournalKind,
    Operation,
    Outcome,
    Posting,
    ResolveOp,
    TransferOp,
)
from vouchers.programmes.access import scheme_of
from vouchers.programmes.ceilings import split
from vouchers.programmes.models import Budget
from vouchers.programmes.requests import load_request
from vouchers.programmes.terms import Cadence, RedeemMode

NOTE_MAX = 300


def opened_for(actor: Actor, claim: RedemptionClaim, permission: Permission) -> RedemptionClaim:
    """Lock a claim for a person who may decide it. Raises Forbidden, NotFound, Involved."""
    actor.require(permission)
    locked = lock(claim)
    if locked.version.programme.department_id != actor.organisation_id:
        raise NotFound
    involved = {locked.claimant_id, locked.payee_id}
    involved |= {pk for pk in locked.lines.values_list("charge__payer_id", flat=True) if pk}
    involved |= {pk for pk in locked.lines.values_list("charge__provider_id", flat=True) if pk}
    if any(people.belongs(user_id=actor.person, organisation_id=pk) for pk in sorted(involved)):
        raise rules.Involved
    return locked


def _refuse_same(actor: Actor, *others: int | None) -> None:
    """Raises SamePerson for somebody who had another hand in the claim."""
    if actor.person in others:
        raise rules.SamePerson


def _noted(note: str, *, longest: int = NOTE_MAX) -> str:
    """Raises NoteMissing."""
    if not note.strip():
        raise rules.NoteMissing(field="note")
    return note.strip()[:longest]


def _amount(amount: Money | None, limit: int, note: str) -> int:
    """Return the amount passed on; less than asked needs a reason. Raises AmountRaised, NoteMissing."""
    fen = limit if amount is None else amount.fen
    if not 0 < fen <= limit:
        raise rules.AmountRaised(field="amount", limit=str(Money(limit)))
    if fen < limit:
        _noted(note)
    return fen


@transaction.atomic
def check(
    *, actor: Actor, claim: RedemptionClaim, now: datetime, amount: Money | None = None, note: str = ""
) -> RedemptionClaim:
    """Pass a filed claim, in full or cut to `amount` with a reason; some are drawn by lot for a third party's audit.

    The seed of the draw is made here and recorded, so that the draw can be recomputed and nobody knows it beforehand.
    Raises SamePerson, Involved, AmountRaised, NoteMissing, InvalidTransition.
    """
    locked = opened_for(actor, claim, Permission.CLAIM_CHECK)
    _refuse_same(actor, locked.filed_by_id, locked.created_by_id)
    terms = scheme_of(locked.version).terms
    seed = secrets.token_hex(16)
    is_drawn = not locked.sampled and rules.drawn(seed, locked.number, terms.audit.sample_rate)
    move(locked, rules.ClaimAction.SAMPLE if is_drawn else rules.ClaimAction.PASS)
    locked.checked_fen = _amount(amount, locked.amount_fen, note)
    locked.note = note.strip()[:NOTE_MAX]
    locked.checked_by_id, locked.checked_at = actor.person, now
    locked.approved_by_id, locked.approved_at = None, None
    if not locked.sampled:
        locked.sample_seed, locked.sampled = seed, is_drawn
    locked.save()
    record(locked, action="claim.checked", actor=actor, now=now, checked_fen=locked.checked_fen, seed=seed, note=note)
    return locked


@transaction.atomic
def find(
    *, actor: Actor, claim: RedemptionClaim, finding: str, now: datetime, amount: Money | None = None
) -> RedemptionClaim:
    """Record a third-party auditor's finding on a drawn claim and the amount it bears out. Raises as `check`."""
    locked = opened_for(actor, claim, Permission.CLAIM_AUDIT)
    _refuse_same(actor, locked.filed_by_id, locked.checked_by_id)
    move(locked, rules.ClaimAction.FIND)
    assert locked.checked_fen is not None
    locked.finding = _noted(finding, longest=600)
    locked.checked_fen = _amount(amount, locked.checked_fen, finding)
    locked.audited_by_id, locked.audited_at = actor.person, now
    locked.save()
    record(locked, action="claim.audited", actor=actor, now=now, checked_fen=locked.checked_fen, note=locked.finding)
    return locked


@transaction.atomic
def send_back(*, actor: Actor, claim: RedemptionClaim, note: str, now: datetime) -> RedemptionClaim:
    """Return a claim to its claimant for supplements; what it holds stays held. Raises NoteMissing."""
    locked = opened_for(actor, claim, Permission.CLAIM_CHECK)
    move(locked, rules.ClaimAction.RETURN)
    locked.note = _noted(note)
    locked.save()
    record(locked, action="claim.returned", actor=actor, now=now, note=locked.note)
    return locked


@transaction.atomic
def recheck(*, actor: Actor, claim: RedemptionClaim, note: str, now: datetime) -> RedemptionClaim:
    """Send a checked claim back to its checkers instead of approving it. Raises NoteMissing."""
    locked = opened_for(actor, claim, Permission.CLAIM_APPROVE)
    move(locked, rules.ClaimAction.RECHECK)
    locked.note = _noted(note)
    locked.checked_fen = None
    locked.checked_by_id, locked.checked_at = None, None
    locked.save()
    record(locked, action="claim.rechecked", actor=actor, now=now, note=locked.note)
    return locked


@transaction.atomic
def refuse(*, actor: Actor, claim: RedemptionClaim, note: str, now: datetime) -> RedemptionClaim:
    """Refuse a claim for a reason: the value goes back to the voucher or the pool it came from. Raises NoteMissing, SamePerson.

    The checker refuses while checking, the approver afterwards.
    """
    either = Permission.CLAIM_CHECK if actor.may(Permission.CLAIM_CHECK) else Permission.CLAIM_APPROVE
    locked = opened_for(actor, claim, either)
    is_checking = locked.state in {rules.ClaimState.CHECKING.value, rules.ClaimState.PROPOSED.value}
    actor.require(Permission.CLAIM_CHECK if is_checking else Permission.CLAIM_APPROVE)
    _refuse_same(actor, locked.filed_by_id)
    move(locked, rules.ClaimAction.REFUSE)
    locked.note = _noted(note)
    release(locked, actor=actor, now=now)
    locked.invoices.update(active=False)
    if locked.mode == RedeemMode.DEDUCT.value:
        _give_back(locked, locked.amount_fen, actor=actor, now=now)
    else:
        if locked.application is not None:
            payouts.denied(locked.application, actor=actor, note=locked.note, now=now)
        locked.lines.update(active=False)
    locked.save()
    record(locked, action="claim.refused", actor=actor, now=now, note=locked.note)
    return locked


@transaction.atomic
def approve(
    *, actor: Actor, claim: RedemptionClaim, now: datetime, amount: Money | None = None, note: str = ""
) -> RedemptionClaim:
    """Approve a checked claim as another person, in full or cut further; it is owed from now on.

    What each payer bears is stored (the last takes the remainder). Paid at once, or with the run of its window. Raises
    SamePerson, Involved, AmountRaised, NoteMissing, InsufficientFunds for an award the pool cannot bear.
    """
    locked = opened_for(actor, claim, Permission.CLAIM_APPROVE)
    _refuse_same(actor, locked.filed_by_id, locked.created_by_id, locked.checked_by_id, locked.audited_by_id)
    move(locked, rules.ClaimAction.APPROVE)
    assert locked.checked_fen is not None
    locked.approved_fen = _amount(amount, locked.checked_fen, note)
    if note.strip():
        locked.note = note.strip()[:NOTE_MAX]
    locked.approved_by_id, locked.approved_at = actor.person, now
    if queries.cadence_of(locked.version) is Cadence.ON_CLAIM:
        locked.eligible_at = now
    _owe(locked, actor=actor, now=now)
    locked.save()
    _share(locked)
    record(locked, action="claim.approved", actor=actor, now=now, approved_fen=locked.approved_fen, note=locked.note)
    return locked


def _owe(claim: RedemptionClaim, *, actor: Actor, now: datetime) -> None:
    """Move the approved amount into what the payee is owed, and the rest back."""
    assert claim.approved_fen is not None
    if claim.mode == RedeemMode.DEDUCT.value:
        _give_back(claim, claim.amount_fen - claim.approved_fen, actor=actor, now=now)
        return
    if claim.mode == RedeemMode.REIMBURSE.value:
        assert claim.hold_id is not None
        operations: list[Operation] = [ResolveOp(claim.hold_id, Outcome.CAPTURED, claim.approved_fen)]
        kind = JournalKind.CAPTURE
    else:
        operations, kind = [], JournalKind.AWARD
        if claim.application is not None and claim.application.reserve_hold_id is not None:
            operations.append(ResolveOp(claim.application.reserve_hold_id, Outcome.RELEASED))
            pool = Budget.objects.get(programme=claim.version.programme, fiscal_year=claim.fiscal_year).account_id
        else:
            pool, claim.fiscal_year = funds.draw(claim.version, amount=Money(claim.approved_fen), now=now)
        operations.append(TransferOp(pool, payable_of(claim), claim.approved_fen))
    ledger.post(
        posting=Posting(
            kind=kind,
            key=f"claim:{claim.number}/approve",
            operations=operations,
            actor=f"{claim.checked_by} #{claim.checked_by_id}",
            approved_by=actor.signature,
            source_type="claim",
            source_id=claim.number,
        )
    )
    end_over(claim, now=now)


def _give_back(claim: RedemptionClaim, fen: int, *, actor: Actor, now: datetime) -> None:
    """Return `fen` of the charges' voucher shares to their vouchers: of lines refunded since, then from the last upwards.

    To `expired` where the voucher is over by now: its value belongs to the pool again. What the provider refunded after
    filing went back already; so much only settles what it owes for that.
    """
    operations: list[Operation] = []
    settled, owed_by = 0, ""
    left = fen
    lines = list(claim.lines.select_related("charge", "voucher").order_by("-position")) if fen else []
    for charge_id in sorted({line.charge_id for line in lines if line.charge_id}):
        charges.lock(charge_id)  # before the vouchers, as a refund does
    ended = refunding.over(sorted({line.voucher_id for line in lines if line.voucher_id}), now=now)
    for line in sorted(lines, key=queries.is_whole):
        part = min(left, line.amount_fen)
        if not part:
            break
        assert line.charge is not None
        assert line.voucher is not None
        voucher = line.voucher
        money = (voucher.programme_code, voucher.fiscal_year)
        expired = AccountKey(AccountKind.EXPIRED, f"programme:{money[0]}/{money[1]}", *money)
        target = expired if voucher.pk in ended else voucher.account_id
        cut = refunding.cut(charge=line.charge, voucher=voucher, fen=part)
        if cut.back_fen:
            operations.append(TransferOp(payable_of(claim), target, cut.back_fen, cut.hold_id))
        settled, owed_by = settled + cut.settled_fen, cut.owed_by or owed_by
        left -= part
        invoices.lost(charge_id=line.charge.pk, now=now)
    if operations:
        ledger.post(
            posting=Posting(
                kind=JournalKind.REFUND,
                key=f"claim:{claim.number}/give-back",
                operations=operations,
                actor=actor.signature,
                source_type="claim",
                source_id=claim.number,
                reason=claim.note,
            )
        )
    if settled:
        _settle_refunds(claim, settled, first=owed_by, actor=actor)


def _settle_refunds(claim: RedemptionClaim, fen: int, *, first: str, actor: Actor) -> None:
    """Set what the provider owes for its refunds off against what it is not paid.

    Signed by whoever refunded (`first`) and by the actor. What a paid batch has taken from the provider for them already
    stays payable to it.
    """
    payable = payable_of(claim)
    owed = ledger.account(
        kind=AccountKind.RECEIVABLE_PROVIDER,
        owner=payable.owner,
        programme=payable.programme,
        fiscal_year=payable.fiscal_year,
    )
    fen = min(fen, balances.balances(account_ids=[owed])[owed].available_fen)
    if fen <= 0:
        return
    ledger.post(
        posting=Posting(
            kind=JournalKind.BATCH_OPEN,
            key=f"claim:{claim.number}/set-off",
            operations=[TransferOp(payable, owed, fen)],
            actor=first,
            approved_by=actor.signature,
            source_type="claim",
            source_id=claim.number,
            reason=claim.note,
        )
    )


def _share(claim: RedemptionClaim) -> None:
    """Store what each payer bears of the approved amount."""
    assert claim.approved_fen is not None
    found = queries.applications_of(claim)
    request = load_request(found[0].request if found else {})
    parts = split(scheme_of(claim.version), request, Money(claim.approved_fen))
    ClaimPart.objects.bulk_create(
        ClaimPart(claim=claim, position=at, payer=payer[:120], amount_fen=part.fen)
        for at, (payer, part) in enumerate(parts, 1)
    )
