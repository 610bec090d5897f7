"""Gather what is known of applications and of the parties behind them; read-only, a bounded number of queries."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db.models import Count, QuerySet

from portal.controls import money, parties
from portal.controls.findings import Finding
from portal.kernel.money import Money
from portal.organisations.models import Member, Organisation
from vouchers.issuance.models import Application, StageDecision
from vouchers.issuance.rules import COUNTED
from vouchers.issuance.workflow import ReviewAction, StageRole
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


@dataclass(frozen=True, slots=True)
class Known:
    """What the applications of one sweep are compared with: read once, whatever their number."""

    ties: Mapping[int, Ties]
    names: frozenset[str]
    graph: parties.Graph
    history: Mapping[int, Sequence[Application]]
    awarded: Mapping[int, Sequence[tuple[str, Ties]]]
    same_contract: Mapping[str, Sequence[Application]]
    decided: Mapping[tuple[int, str], Sequence[parties.Decided]]


def applications(*, since: datetime) -> Iterator[Noticed]:
    """Yield what is noticed about applications submitted since; their history is read whole. Six queries."""
    rows = list(
        Application.objects.filter(submitted_at__gte=since)
        .select_related("version", "version__programme", "organisation")
        .order_by("pk")
    )
    if not rows:
        return
    known = _known(rows)
    for row in rows:
        for finding in _about(row, known):
            if finding is not None:
                department = row.version.programme.department_id
                yield Noticed(f"application:{row.number}", (row.organisation_id,), department, finding)


def _known(rows: Sequence[Application]) -> Known:
    ties = ties_of(Organisation.objects.exclude(kind=Organisation.Kind.DEPARTMENT))
    history: dict[int, list[Application]] = defaultdict(list)
    awarded: dict[int, list[tuple[str, Ties]]] = defaultdict(list)
    same: dict[str, list[Application]] = defaultdict(list)
    for other in Application.objects.select_related("version__programme", "organisation").order_by("pk"):
        history[other.organisation_id].append(other)
        if other.amount_fen and other.organisation_id in ties:
            awarded[other.version.programme_id].append((other.number, ties[other.organisation_id]))
        if other.contract_print and other.state in COUNTED:
            same[other.contract_print].append(other)
    return Known(
        ties,
        frozenset(tie.organisation for tie in ties.values()),
        parties.graph_of(list(ties.values())),
        history,
        awarded,
        same,
        _decided({row.organisation_id for row in rows}),
    )


def _decided(organisations: set[int]) -> dict[tuple[int, str], list[parties.Decided]]:
    """Return who passed how many of each organisation's cases, by role: one reviewer of a department is no finding among approvers."""
    found: dict[tuple[int, str], list[parties.Decided]] = defaultdict(list)
    counted = (
        StageDecision.objects.filter(
            application__organisation_id__in=organisations, action=ReviewAction.PASS.value, person__isnull=False
        )
        .values("application__organisation_id", "role", "person", "person__display_name", "person__username")
        .annotate(times=Count("application", distinct=True))
        .order_by("person")
    )
    for row in counted:
        official = f"{row['person__display_name'] or row['person__username']} #{row['person']}"
        found[row["application__organisation_id"], row["role"]].append(parties.Decided(official, row["times"]))
    return found


def _about(row: Application, known: Known) -> Iterator[Finding | None]:
    own, contract = known.ties.get(row.organisation_id), _contract(row)
    if own is None or contract is None:
        return
    others = [
        found
        for other in known.history[row.organisation_id]
        if other.pk != row.pk and (found := _contract(other)) is not None
    ]
    for limit in limits_of(scheme_of(row.version)):
        yield money.split_contract(contract=contract, others=others, limit=limit)
    assert row.submitted_at is not None
    yield money.backdated(
        signed=contract.signed, e_signed=None, first_use=None, invoices=(), submitted=day_of(row.submitted_at)
    )
    yield parties.same_people(applicant=own, awarded=known.awarded.get(row.version.programme_id, ()))
    if contract.provider in known.names:
        yield parties.related_party(buyer=own.organisation, seller=contract.provider, graph=known.graph)
    twins = known.same_contract.get(row.contract_print, ()) if row.contract_print else ()
    yield money.double_claim(
        case=row.number,
        contract=contract.number,
        others=[
            money.Award(twin.number, twin.version.name, twin.organisation.name, Money(twin.amount_fen))
            for twin in twins
        ],
    )
    for role in StageRole:
        yield parties.insider(
            applicant=own.organisation, decided=known.decided.get((row.organisation_id, role.value), ())
        )
