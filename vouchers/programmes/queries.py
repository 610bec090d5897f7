"""Read pools, and what stands in the way of publishing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q

from portal.kernel.errors import Reason
from portal.organisations.models import Organisation
from portal.organisations.rules import Kind
from vouchers.ledger import queries as ledger
from vouchers.programmes import publication
from vouchers.programmes.access import scheme_of
from vouchers.programmes.models import FairReview, Programme, ProgrammeVersion
from vouchers.programmes.publication import Standing
from vouchers.programmes.schemes import CoLead
from vouchers.programmes.schemes import Programme as Scheme
from vouchers.programmes.states import VersionState
from vouchers.programmes.terms import BEIJING


@dataclass(frozen=True, slots=True)
class Pool:
    """What a programme's pool of one fiscal year was given, has free and has reserved, in fen."""

    fiscal_year: int
    put_in_fen: int
    available_fen: int
    reserved_fen: int


def pools(programme_ids: Iterable[int]) -> dict[int, list[Pool]]:
    """Return the pools of each programme, newest year first. Two queries."""
    codes = dict(Programme.objects.filter(pk__in=list(programme_ids)).values_list("code", "pk"))
    return {
        codes[code]: [
            Pool(year, one.put_in, one.free, one.reserved) for year, one in sorted(years.items(), reverse=True)
        ]
        for code, years in ledger.budgets(programmes=codes).items()
    }


def co_leads(scheme: Scheme) -> list[tuple[CoLead, Organisation | None]]:
    """Return the further departments the file names, each with the organisation it is; None for one nobody knows.

    Known by credit code where the file gives one, else by name or credit code in `name`. One query, none without any.
    """
    if not scheme.co_leads:
        return []
    called = {one.name for one in scheme.co_leads} | {one.credit_code for one in scheme.co_leads}
    rows = Organisation.objects.filter(Q(name__in=called) | Q(credit_code__in=called), kind=Kind.DEPARTMENT.value)
    by_code = {row.credit_code: row for row in rows}
    by_name: dict[str, list[Organisation]] = {}
    for row in by_code.values():
        by_name.setdefault(row.name, []).append(row)

    def known(one: CoLead) -> Organisation | None:
        if one.credit_code:
            return by_code.get(one.credit_code)
        same = by_name.get(one.name, [])
        return by_code.get(one.name) or (same[0] if len(same) == 1 else None)

    return [(one, known(one)) for one in scheme.co_leads]


def missing_to_publish(version: ProgrammeVersion, *, now: datetime) -> list[Reason]:
    """Return every reason why a draft may not be published now; empty if it may. A constant number of queries."""
    scheme = scheme_of(version)
    mine = version.programme.versions.filter(state__in=[VersionState.PUBLISHED, VersionState.SUSPENDED]).first()
    older = ProgrammeVersion.objects.filter(
        programme__code__in=scheme.supersedes,
        programme__department_id=version.programme.department_id,
        state=VersionState.PUBLISHED.value,
    ).exclude(programme_id=version.programme_id)
    return publication.obstacles(
        scheme,
        is_reviewed=FairReview.objects.filter(version=version).exists(),
        current=_standing(mine) if mine is not None and mine.pk != version.pk else None,
        predecessors=[_standing(old) for old in older.order_by("programme__code")],
        unknown=[at for at, (_one, found) in enumerate(co_leads(scheme)) if found is None],
        today=now.astimezone(BEIJING).date(),
    )


def _standing(version: ProgrammeVersion) -> Standing:
    return Standing(str(version), scheme_of(version).in_force)
