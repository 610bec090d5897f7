"""Reach claims: the claimant sees its own, the department its programmes', an auditor those drawn, finance the payable."""

from __future__ import annotations

from django.db.models import Q, QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from vouchers.claims.models import PaymentRun, RedemptionClaim
from vouchers.claims.rules import ClaimState

RELATED = (
    "version",
    "version__programme",
    "version__programme__department",
    "claimant",
    "payee",
    "voucher",
    "application",
    "base",
    "run",
    "filed_by",
    "checked_by",
    "audited_by",
    "approved_by",
)
OFFICERS = (Permission.CLAIM_CHECK, Permission.CLAIM_APPROVE)
DESK = (*OFFICERS, Permission.CLAIM_AUDIT)
FINANCE = (Permission.SETTLEMENT_DRAFT, Permission.SETTLEMENT_APPROVE, Permission.SETTLEMENT_PAY)
HIDDEN = (ClaimState.DRAFT.value,)
"""What the department does not see: nobody's business before it is filed."""


def own_claims(actor: Actor) -> QuerySet[RedemptionClaim]:
    """Return the claims of the actor's organisation."""
    actor.require(Permission.CLAIM_FILE)
    return RedemptionClaim.objects.filter(claimant_id=actor.acting_for).select_related(*RELATED)


def cases(actor: Actor) -> QuerySet[RedemptionClaim]:
    """Return the claims an officer, auditor or finance person of the department works on. Raises Forbidden for others."""
    seen = Q(pk__in=[])
    department = Q(version__programme__department_id=actor.organisation_id)
    if any(actor.may(permission) for permission in OFFICERS):
        seen |= department & ~Q(state__in=HIDDEN)
    elif actor.may(Permission.CLAIM_AUDIT):
        seen |= department & Q(sampled=True)
    if any(actor.may(permission) for permission in FINANCE):
        seen |= Q(state__in=[ClaimState.PAYABLE.value, ClaimState.BATCHED.value, ClaimState.SETTLED.value])
    elif not any(actor.may(permission) for permission in DESK):
        raise Forbidden
    return RedemptionClaim.objects.filter(seen).select_related(*RELATED)


def get_claim(actor: Actor, number: str) -> RedemptionClaim:
    """Return a claim the actor may see. Raises NotFound."""
    found = None
    if actor.may(Permission.CLAIM_FILE):
        found = own_claims(actor).filter(number=number).first()
    if found is None and any(actor.may(permission) for permission in (*DESK, *FINANCE)):
        found = cases(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def runs(actor: Actor) -> QuerySet[PaymentRun]:
    """Return payment runs: finance sees all, officers those of their department. Raises Forbidden for others."""
    rows = PaymentRun.objects.select_related("programme", "opened_by")
    if any(actor.may(permission) for permission in FINANCE):
        return rows
    if any(actor.may(permission) for permission in OFFICERS):
        return rows.filter(programme__department_id=actor.organisation_id)
    raise Forbidden
