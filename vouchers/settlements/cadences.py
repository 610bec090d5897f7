"""How often what is owed out of a programme's money is settled, and whether a checker looks at it first.

The programme version says it where its document has a cadence of payment (``redeem.cadence`` month or quarter); where it
says nothing, the department's own terms do, by programme or for all.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from vouchers.programmes.access import in_force, scheme_of
from vouchers.programmes.terms import Cadence
from vouchers.settlements import queries
from vouchers.settlements.legs import purse_of
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import SettlementTerms
from vouchers.settlements.order_rules import SettlementCadence

__all__ = ["cadences", "needs_check", "set_terms", "terms_of"]

OF_VERSION = {Cadence.MONTH: SettlementCadence.MONTHLY, Cadence.QUARTER: SettlementCadence.QUARTERLY}


def terms_of(code: str) -> SettlementTerms | None:
    """Return the department's terms of a programme, else those of all; None where it has set none."""
    rows = {row.programme_code: row for row in SettlementTerms.objects.filter(programme_code__in=["", code])}
    return rows.get(code) or rows.get("")


def cadences(codes: set[str]) -> Mapping[str, SettlementCadence]:
    """Return the cadence of each programme; "" stands for own shares."""
    of_version = {
        version.programme.code: OF_VERSION.get(scheme_of(version).terms.redeem.cadence) for version in in_force()
    }
    rows = {row.programme_code: SettlementCadence(row.cadence) for row in SettlementTerms.objects.all()}
    default = rows.get("", SettlementCadence.ON_DEMAND)
    return {code: rows.get(code) or of_version.get(code) or default for code in codes}


def needs_check(batch: SettlementBatch) -> bool:
    """Say whether a checker must look at a draft before it is approved: the clock drafted it, or the terms ask for it."""
    if batch.created_by_id is None:
        return True
    asking = set(SettlementTerms.objects.filter(needs_check=True).values_list("programme_code", flat=True))
    if not asking:
        return False
    known = set(SettlementTerms.objects.values_list("programme_code", flat=True))
    codes = {purse_of(line).programme for line in queries.lines_of(batch.pk).filter(active=True)}
    return any((code if code in known else "") in asking for code in codes)


@transaction.atomic
def set_terms(
    *, actor: Actor, programme_code: str, cadence: SettlementCadence, needs_check: bool, now: datetime
) -> SettlementTerms:
    """Set how often a programme, or with an empty code all others, is settled. The same again changes nothing.

    Raises Forbidden.
    """
    actor.require(Permission.SETTLEMENT_APPROVE)
    values = {"cadence": cadence.value, "needs_check": needs_check}
    found = (
        SettlementTerms.objects.select_for_update(no_key=True)
        .order_by("pk")
        .filter(programme_code=programme_code)
        .first()
    )
    if found and all(getattr(found, name) == value for name, value in values.items()):
        return found
    made, _created = SettlementTerms.objects.update_or_create(
        programme_code=programme_code, defaults={**values, "changed_by_id": actor.person, "changed_at": now}
    )
    audit.record(
        action="settlement.terms_set",
        subject=f"programme:{programme_code}" if programme_code else "settlement_terms:*",
        actor=actor,
        now=now,
        data=values,
    )
    return made
