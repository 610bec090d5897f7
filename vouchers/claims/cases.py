"""What every writer of claims shares: locking a claim, moving it, its payable account, giving back what it holds."""

from __future__ import annotations

from datetime import datetime

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.states import next_state
from vouchers.claims import access, queries, rules
from vouchers.claims.models import RedemptionClaim
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind, JournalKind, Outcome, Posting, ResolveOp
from vouchers.programmes.terms import RedeemMode
from vouchers.wallets import expiry


def record(claim: RedemptionClaim, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    """Write what was done into the trail, for claimant, payee and department to read."""
    audit.record(
        action=action,
        subject=queries.subject_of(claim),
        actor=actor,
        now=now,
        organisations=[claim.claimant_id, claim.payee_id, claim.version.programme.department_id],
        data={"state": claim.state, "amount_fen": claim.amount_fen, **data},
    )


def lock(claim: RedemptionClaim) -> RedemptionClaim:
    """Return the claim as it is now, locked until the transaction ends."""
    return (
        RedemptionClaim.objects.select_for_update(no_key=True, of=("self",))
        .select_related(*access.RELATED, "voucher__application__version")
        .order_by("pk")
        .get(pk=claim.pk)
    )


def move(claim: RedemptionClaim, action: rules.ClaimAction) -> None:
    """Take the claim to the state `action` leads to. Raises InvalidTransition."""
    claim.state = next_state(rules.TRANSITIONS, rules.ClaimState(claim.state), action).value


def payable_of(claim: RedemptionClaim) -> AccountKey:
    """Return the account of what the payee is owed: providers by charges, others as claimants."""
    kind = AccountKind.PROVIDER_PAYABLE if claim.mode == RedeemMode.DEDUCT.value else AccountKind.CLAIMANT_PAYABLE
    return AccountKey(kind, f"organisation:{claim.payee_id}", claim.version.programme.code, claim.fiscal_year)


def release(claim: RedemptionClaim, *, actor: Actor, now: datetime) -> None:
    """Give back what a claim holds on its voucher, if anything; on to the programme where the voucher is over by now."""
    if claim.hold_id is not None:
        ledger.post(
            posting=Posting(
                kind=JournalKind.RELEASE,
                key=f"claim:{claim.number}/release/{claim.hold_id}",
                operations=[ResolveOp(claim.hold_id, Outcome.RELEASED)],
                actor=actor.signature,
                source_type="claim",
                source_id=claim.number,
            )
        )
        claim.hold_id = None
        end_over(claim, now=now)


def end_over(claim: RedemptionClaim, *, now: datetime) -> None:
    """End the voucher of a reimbursement if its time is over: what came back to it goes where its rest went."""
    if claim.mode == RedeemMode.REIMBURSE.value and claim.voucher_id is not None:
        expiry.end_if_over(voucher_id=claim.voucher_id, now=now)
