"""Gather what claims show: dates out of order, and contracts claimed elsewhere; read-only, three queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date, datetime

from portal.controls import money
from portal.controls.gathering import Noticed, day_of
from portal.kernel.money import Money
from vouchers.claims.models import RedemptionClaim
from vouchers.claims.queries import subject_of
from vouchers.claims.rules import ClaimState

__all__ = ["claims"]

GONE = (ClaimState.REFUSED.value, ClaimState.WITHDRAWN.value, ClaimState.DRAFT.value)


def claims(*, since: datetime) -> Iterator[Noticed]:
    """Yield what is noticed about claims filed since: invoices before the contract, one contract in several claims."""
    rows = (
        RedemptionClaim.objects.exclude(state__in=GONE)
        .filter(voucher__isnull=False)
        .select_related("claimant", "version__programme", "voucher__application")
        .prefetch_related("lines")
    )
    same: dict[str, list[RedemptionClaim]] = defaultdict(list)
    recent = []
    for row in rows.order_by("pk"):
        assert row.voucher is not None
        if print_ := row.voucher.application.contract_print:
            same[print_].append(row)
        if row.filed_at is not None and row.filed_at >= since:
            recent.append(row)
    for row in recent:
        assert row.voucher is not None
        assert row.filed_at is not None
        application = row.voucher.application
        try:
            signed = date.fromisoformat(str((application.request.get("contract") or {}).get("signed")))
        except ValueError:
            continue
        others = [
            money.Award(other.number, other.version.name, other.claimant.name, Money(other.amount_fen))
            for other in same.get(application.contract_print, ())
            if other.voucher_id != row.voucher_id
        ]
        findings = (
            money.backdated(
                signed=signed,
                e_signed=None,
                first_use=None,
                invoices=[line.day for line in row.lines.all() if line.day is not None],
                submitted=day_of(row.filed_at),
            ),
            money.double_claim(case=row.number, contract=application.contract_number, others=others),
        )
        for finding in findings:
            if finding is not None:
                department = row.version.programme.department_id
                yield Noticed(subject_of(row), (row.claimant_id,), department, finding)
