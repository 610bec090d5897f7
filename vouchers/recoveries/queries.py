"""Read what could be recovered, and what the rules say is owed back."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from django.db.models import F, Q, Sum
from django.db.models.functions import Coalesce

from portal.kernel.money import Money
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.rules import ClaimState
from vouchers.programmes import rules as engine
from vouchers.programmes.access import catalogue, scheme_of
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.requests import load_request
from vouchers.programmes.rules import Reassessment
from vouchers.programmes.terms import RedeemMode, Sanction
from vouchers.recoveries.models import Recovery
from vouchers.recoveries.rules import RecoveryState
from vouchers.wallets.rules import VoucherState

LIVE = (RecoveryState.DROPPED.value,)
UNDECIDED = (RecoveryState.OPEN.value, RecoveryState.HEARD.value, RecoveryState.DECIDED.value)
PAID = (ClaimState.PAYABLE.value, ClaimState.BATCHED.value, ClaimState.SETTLED.value)


def subject_of(recovery: Recovery) -> str:
    """Return the case's name for evidence, flags and the trail."""
    return f"recovery:{recovery.number}"


def sanctions_of(version: ProgrammeVersion) -> tuple[Sanction, ...]:
    """Return what the programme says follows a breach."""
    return scheme_of(version).terms.sanctions


def spent_fen(recovery: Recovery) -> int:
    """Return the value already spent: of a voucher what it paid and nobody gave back, of a claim what was approved."""
    if recovery.voucher is not None:
        paid = recovery.voucher.parts.aggregate(total=Sum(F("captured_fen") - F("refunded_fen")))["total"] or 0
        back = recovery.voucher.claims.filter(state__in=PAID, mode=RedeemMode.REIMBURSE.value)
        return int(paid) + int(back.aggregate(total=Sum("approved_fen"))["total"] or 0)
    return (recovery.claim.approved_fen or 0) if recovery.claim is not None else 0


def limit_fen(recovery: Recovery) -> int:
    """Return the most that can be made receivable: what was spent, less what other cases already ask back.

    A case on a voucher and one on a claim of that voucher ask for the same money.
    """
    others = Recovery.objects.exclude(pk=recovery.pk).exclude(state__in=LIVE)
    claim = recovery.claim
    if recovery.voucher is not None:
        same = Q(voucher=recovery.voucher) | Q(claim__voucher=recovery.voucher)
    else:
        same = Q(claim=claim)
        if claim is not None and claim.voucher_id is not None:
            same |= Q(voucher=claim.voucher_id)
    asked = others.filter(same).aggregate(total=Sum("receivable_fen"))["total"] or 0
    return max(0, spent_fen(recovery) - asked)


def is_frozen_for(recovery: Recovery) -> bool:
    """Say whether the case's voucher is frozen because of it: for its reason, and no other case on it is open."""
    voucher = recovery.voucher
    if voucher is None or voucher.state != VoucherState.FROZEN.value or voucher.note != recovery.breach:
        return False
    others = Recovery.objects.filter(voucher=voucher, state__in=UNDECIDED).exclude(pk=recovery.pk)
    return not others.exists()


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
