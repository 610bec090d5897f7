"""Gather what is known of applications and of the parties behind them; read-only, a bounded number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import QuerySet

from portal.controls import money, parties
from portal.controls.findings import Finding
from portal.kernel.money import Money
from portal.organisations.models import Member, Organisation
from vouchers.issuance.models import Application
from vouchers.programmes.access import scheme_of
from vouchers.programmes.predicates import Operator, leaves
from vouchers.programmes.schemes import Programme

__all__ = ["Noticed", "Ties", "applications", "day_of", "limits_of", "ties_of"]

BEIJING: Final = ZoneInfo("Asia/Shanghai")
YEARLY_TOTAL: Final = "applicant.year_compute_contracts"
Ties = parties.Ties


@dataclass(frozen=True, slots=True)
class Noticed:
    """A finding about one case: whose it is and whom it concerns."""

    subject: str
    organisations: tuple[int, ...]
    department_id: int | None
    finding: Finding


def day_of(moment: datetime) -> date:
    """Return the Beijing day of an instant."""
    return moment.astimezone(BEIJING).date()


def _fraction(value: Any) -> Fraction:
    try:
        return Fraction(str(value))
    except (ValueError, ZeroDivisionError):
        return Fraction(0)


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(str(item) for item in value) if isinstance(value, list) else (str(value),) if value else ()


def _tie(organisation: Organisation, members: Sequence[str]) -> Ties:
    """Read the registry part of an organisation's facts; what is not registered is not known, never guessed."""
    facts: Mapping[str, Any] = organisation.facts
    rows = facts.get("holders")
    holders = [(str(row[0]), _fraction(row[1])) for row in rows if len(row) == 2] if isinstance(rows, list) else []
    return Ties(
        organisation=organisation.name,
        legal_representative=str(facts.get("legal_representative") or ""),
        holders=tuple(holders),
        phones=_texts(facts.get("phones")),
        address=str(facts.get("address") or ""),
        agent=str(facts.get("agent") or ""),
        members=tuple(members),
    )


def ties_of(organisations: QuerySet[Organisation]) -> dict[int, Ties]:
    """Return what is known of each organisation, by id. Two queries."""
    people: dict[int, list[str]] = defaultdict(list)
    rows = Member.objects.filter(left_at__isnull=True, organisation__in=organisations).select_related("user")
    for member in rows.order_by("pk"):
        people[member.organisation_id].append(f"{member.user} #{member.user_id}")
    return {each.pk: _tie(each, people[each.pk]) for each in organisations}


def _contract(row: Application) -> money.Contract | None:
    contract = row.request.get("contract", {})
    try:
        signed = date.fromisoformat(str(contract.get("signed")))
        total = sum(Money.from_yuan(str(part)).fen for part in (contract.get("items") or {}).values())
    except (ValueError, TypeError):
        return None
    provider = str(row.request.get("provider", {}).get("name", ""))
    return money.Contract(row.contract_number, provider, signed, Money(total))


def limits_of(scheme: Programme) -> list[Money]:
    """Return the yearly totals up to which the programme pays better: where splitting a contract would pay."""
    return [
        Money.from_yuan(str(leaf.value))
        for line in scheme.lines
        for leaf in leaves(line.when)
        if leaf.path == YEARLY_TOTAL and leaf.operator is Operator.AT_MOST
    ]


def applications(*, since: datetime) -> Iterator[Noticed]:
    """Yield what is noticed about applications submitted or decided since; history is read whole."""
    recent = (
        Application.objects.filter(submitted_at__gte=since)
        .select_related("version", "version__programme", "organisation")
        .order_by("pk")
    )
    rows = list(recent)
    if not rows:
        return
    ties = ties_of(Organisation.objects.exclude(kind=Organisation.Kind.DEPARTMENT))
    by_name = {tie.organisation: tie for tie in ties.values()}
    history: dict[int, list[Application]] = defaultdict(list)
    awarded: dict[int, list[tuple[str, Ties]]] = defaultdict(list)
    for other in (
        Application.objects.exclude(submitted_at=None)
        .select_related("version__programme", "organisation")
        .order_by("pk")
    ):
        history[other.organisation_id].append(other)
        if other.amount_fen and other.organisation_id in ties:
            awarded[other.version.programme_id].append((other.number, ties[other.organisation_id]))
    for row in rows:
        yield from _about(row, history=history[row.organisation_id], awarded=awarded, ties=ties, by_name=by_name)


def _about(
    row: Application,
    *,
    history: Sequence[Application],
    awarded: Mapping[int, Sequence[tuple[str, Ties]]],
    ties: Mapping[int, Ties],
    by_name: Mapping[str, Ties],
) -> Iterator[Noticed]:
    own = ties.get(row.organisation_id)
    contract = _contract(row)
    if own is None or contract is None or row.submitted_at is None:
        return
    others = [found for other in history if other.pk != row.pk and (found := _contract(other)) is not None]
    findings: list[Finding | None] = [
        money.split_contract(contract=contract, others=others, limit=limit)
        for limit in limits_of(scheme_of(row.version))
    ]
    findings.append(
        money.backdated(
            signed=contract.signed, e_signed=None, first_use=None, invoices=(), submitted=day_of(row.submitted_at)
        )
    )
    findings.append(parties.same_people(applicant=own, awarded=awarded.get(row.version.programme_id, ())))
    if contract.provider in by_name:
        findings.append(
            parties.related_party(buyer=own.organisation, seller=contract.provider, ties=list(ties.values()))
        )
    for finding in findings:
        if finding is not None:
            yield Noticed(
                f"application:{row.number}", (row.organisation_id,), row.version.programme.department_id, finding
            )
