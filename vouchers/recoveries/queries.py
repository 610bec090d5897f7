"""Read what could be recovered, and what the rules say is owed back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django.db.models import Q, Sum
from django.db.models.functions import Coalesce

from portal.kernel.money import Money
from vouchers.claims.models import RedemptionClaim
from vouchers.ledger import queries as ledger
from vouchers.programmes import rules as engine
from vouchers.programmes.access import catalogue, scheme_of
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.requests import load_request
from vouchers.programmes.rules import Reassessment
from vouchers.programmes.terms import Sanction
from vouchers.recoveries.models import Recovery
from vouchers.recoveries.rules import RecoveryState

LIVE = (RecoveryState.DROPPED.value,)


def subject_of(recovery: Recovery) -> str:
    """Return the case's name for evidence, flags and the trail."""
    return f"recovery:{recovery.number}"


def sanctions_of(version: ProgrammeVersion) -> tuple[Sanction, ...]:
    """Return what the programme says follows a breach."""
    return scheme_of(version).terms.sanctions


def spent_fen(recovery: Recovery) -> int:
    """Return the value already spent: of a voucher what left it, of a claim what was approved."""
    if recovery.voucher is not None:
        balance = ledger.balances(account_ids=[recovery.voucher.account_id])[recovery.voucher.account_id]
        return recovery.voucher.face_fen - balance.available_fen - balance.held_fen - _taken(recovery)
    return (recovery.claim.approved_fen or 0) if recovery.claim is not None else 0


def _taken(recovery: Recovery) -> int:
    """Return what was taken back of a voucher unused, or came to its end: it left the voucher, but was never spent."""
    assert recovery.voucher is not None
    page = ledger.statement(account_id=recovery.voucher.account_id, limit=200)
    kinds = {"claw_unused", "expire"}
    return sum(-line.amount_fen for line in page.lines if line.kind.value in kinds)


def limit_fen(recovery: Recovery) -> int:
    """Return the most that can be made receivable: what was spent, less what other cases already ask back."""
    others = Recovery.objects.exclude(pk=recovery.pk).exclude(state__in=LIVE)
    others = others.filter(voucher=recovery.voucher) if recovery.voucher else others.filter(claim=recovery.claim)
    asked = others.aggregate(total=Sum("receivable_fen"))["total"] or 0
    return max(0, spent_fen(recovery) - asked)


def promised_fen(recovery: Recovery) -> int:
    """Return what drafted and approved settlement batches will set off once they are paid."""
    lines = recovery.set_offs.filter(active=True, batch__paid_at__isnull=True)
    return -(lines.aggregate(total=Sum("amount_fen"))["total"] or 0)


def outstanding_of(debtor_id: int) -> list[tuple[Recovery, int]]:
    """Return the debtor's cases in collection with the fen no batch has promised yet, oldest first. One query."""
    pending = Q(set_offs__active=True, set_offs__batch__paid_at__isnull=True)
    cases = (
        Recovery.objects.filter(debtor_id=debtor_id, state=RecoveryState.RECOVERING.value)
        .select_related("version__programme")
        .annotate(promised=Coalesce(-Sum("set_offs__amount_fen", filter=pending), 0))
        .order_by("pk")
    )
    found = [(case, case.outstanding_fen - case.promised) for case in cases]
    return [(case, fen) for case, fen in found if fen > 0]


def reassessed(claim: RedemptionClaim, items: Mapping[str, Money]) -> Reassessment:
    """Return what the rules give on the contract as it is now: `items` by cost kind replace those of the application.

    Raises ValueError for a claim without application.
    """
    application = claim.application or (claim.voucher.application if claim.voucher else None)
    if application is None:
        raise ValueError("no application")
    request: dict[str, Any] = copy.deepcopy(application.request)
    request["contract"]["items"] = {kind: amount.yuan() for kind, amount in items.items()}
    request.pop("pool", None)
    return engine.reassess(
        scheme_of(application.version),
        load_request(request),
        Money(claim.approved_fen or 0),
        catalogue=catalogue(),
    )
