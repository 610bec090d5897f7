"""Decide for many organisations that need not apply at once, and write their cases: what campaigns issue from."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from portal.kernel.money import Money
from portal.numbers.services import next_numbers
from portal.organisations.models import Member, Organisation
from portal.rows import insert_alike
from vouchers.issuance import facts, funds, queries, rules
from vouchers.issuance.models import Application
from vouchers.ledger import services as ledger
from vouchers.ledger.rules import AccountKey, AccountKind
from vouchers.programmes import rules as engine
from vouchers.programmes.access import catalogue, scheme_of
from vouchers.programmes.decisions import Decision, DecisionKind
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.requests import load_request
from vouchers.programmes.terms import Automation, RedeemMode
from vouchers.wallets.services import Grant

__all__ = ["Decided", "Granted", "Source", "decide_for", "enrol", "lets_campaigns", "pays_at_counter"]


@dataclass(frozen=True, slots=True)
class Source:
    """Where cases come from: a programme version, facts by path that hold for all, the two who signed, the budget year.

    `key` names the source; with the organisation it is the case's own key, so that one source gives each only once.
    """

    version: ProgrammeVersion
    stated: Mapping[str, Any]
    key: str
    proposed_by: int
    approved_by: int
    year: int


@dataclass(frozen=True, slots=True)
class Granted:
    """What one organisation is given: the request the rules saw, and their decision, also as JSON."""

    organisation_id: int
    request: Mapping[str, Any]
    decision: Decision
    plain: Mapping[str, Any]

    @property
    def amount(self) -> Money:
        return self.decision.amount or Money(0)


@dataclass(slots=True)
class Decided:
    """What the rules gave, in order; and who gets nothing, with codes of why."""

    granted: list[Granted] = field(default_factory=list)
    left_out: list[dict[str, Any]] = field(default_factory=list)

    def leave_out(self, organisation_id: int, reasons: Sequence[str]) -> None:
        self.left_out.append({"organisation": organisation_id, "reasons": list(reasons)})


def lets_campaigns(version: ProgrammeVersion) -> bool:
    """Say whether a programme's vouchers may be granted in bulk: nobody applies, first come, no notice, no award."""
    terms = queries.terms(version)
    return (
        terms.automation is Automation.NO_APPLICATION
        and not queries.is_batch(version)
        and queries.notice_days(version) == 0
        and terms.redeem.mode is not RedeemMode.AWARD
    )


def pays_at_counter(version: ProgrammeVersion) -> bool:
    """Say whether a programme's vouchers pay at purchase, so that a code is of use."""
    return queries.terms(version).redeem.mode is RedeemMode.DEDUCT


def decide_for(organisations: Sequence[Organisation], *, source: Source, now: datetime) -> Decided:
    """Ask the rules about each organisation, in order, until the pool is spent. Eight queries at most.

    The organisations are locked: their caps are judged by all they hold. Equal requests are decided once, so the pool is
    no part of them; it is counted down here, and the ledger stands behind that.
    """
    version, scheme, known = source.version, scheme_of(source.version), catalogue()
    today = now.astimezone(rules.BEIJING).date()
    ids = [organisation.pk for organisation in organisations]
    history = _history(ids)
    holdings = queries.holdings_each(ids, scheme) if queries.limits_holding(scheme) else {}
    pool = funds.left(version, now=now).fen
    memo: dict[str, tuple[Mapping[str, Any], Decision, Mapping[str, Any]]] = {}
    found = Decided()
    own = _own_of(source, ids)
    for organisation in organisations:
        if organisation.pk in own:
            found.leave_out(organisation.pk, [rules.SamePerson.code])
            continue
        request = facts.build_without_contract(
            registered=queries.registered_facts(organisation),
            stated=source.stated,
            history=history.get(organisation.pk, ()),
            today=today,
        )
        if (held := holdings.get(organisation.pk)) is not None:
            request["holding"] = held.yuan()
        asked = json.dumps(request, sort_keys=True, default=str)
        if asked not in memo:
            decision = engine.evaluate(scheme, load_request(request), catalogue=known)
            memo[asked] = (request, decision, decision.as_json())
        granted = Granted(organisation.pk, *memo[asked])
        if reasons := _against(granted.decision, granted.amount.fen, pool):
            found.leave_out(organisation.pk, reasons)
            continue
        pool -= granted.amount.fen
        found.granted.append(granted)
    return found


def _own_of(source: Source, organisation_ids: Sequence[int]) -> set[int]:
    """Return to which of the organisations the two who signed belong: nobody grants to their own."""
    signed = Member.objects.filter(user_id__in=[source.proposed_by, source.approved_by], left_at__isnull=True)
    return set(signed.filter(organisation__in=organisation_ids).values_list("organisation_id", flat=True))


def _against(decision: Decision, amount: int, pool: int) -> list[str]:
    """Return why nothing is granted, as codes; a decision that people must take is none of the machine's."""
    if decision.decision is DecisionKind.REJECT:
        return [reason.code for reason in decision.failures]
    if decision.decision is DecisionKind.SUPPLEMENT:
        return [f"missing:{fact.path}" for fact in decision.missing]
    if decision.decision is DecisionKind.MANUAL:
        return ["manual"]
    return ["pool_short"] if amount > pool or amount <= 0 else []


def _history(organisation_ids: Sequence[int]) -> dict[int, list[facts.Award]]:
    earlier = Application.objects.filter(organisation__in=organisation_ids, state__in=queries.COUNTED)
    awards: dict[int, list[facts.Award]] = defaultdict(list)
    for row in earlier.select_related("version", "version__programme").order_by("pk"):
        awards[row.organisation_id].append(queries.award_of(row))
    return awards


def enrol(decided: Decided, *, source: Source, now: datetime) -> list[Grant]:
    """Write the cases of all that was granted, in the state after issuing, and return what their vouchers are made of.

    The caller holds the version's lock and posts the value in the same transaction. Three queries, and one for each kind
    of request among them.
    """
    version, scheme = source.version, scheme_of(source.version)
    numbers = next_numbers(prefix="A", now=now, count=len(decided.granted))
    place = queries.last_place(version.pk)
    alike: dict[int, list[tuple[str, int]]] = defaultdict(list)
    for at, number in enumerate(numbers):
        alike[id(decided.granted[at].plain)].append((number, at))
    made: dict[int | str, int] = {}
    for same in alike.values():
        each: dict[str, Sequence[int | str]] = {
            "number": [number for number, _at in same],
            "organisation_id": [decided.granted[at].organisation_id for _number, at in same],
            "place": [place + at + 1 for _number, at in same],
        }
        made |= insert_alike(_case(decided.granted[same[0][1]], source, now), each=each, known_by="number")
    code, year = version.programme.code, source.year
    keys = [AccountKey(AccountKind.VOUCHER, f"application:{number}", code, year) for number in numbers]
    kinds = queries.services_of(scheme)
    return [
        Grant(
            application_id=made[number],
            holder_id=granted.organisation_id,
            account_id=account_id,
            fiscal_year=year,
            face=granted.amount,
            share=queries.bill_share(scheme, granted.decision),
            services=kinds,
            scheme=scheme,
            contract_signed=None,
        )
        for number, account_id, granted in zip(numbers, ledger.accounts(keys=keys), decided.granted, strict=True)
    ]


def _case(granted: Granted, source: Source, now: datetime) -> Application:
    """Return the case all who were granted the same on the same request have alike."""
    return Application(
        version=source.version,
        request=granted.request,
        decision=granted.plain,
        state=rules.ApplicationState.ISSUED.value,
        computed_fen=granted.amount.fen,
        amount_fen=granted.amount.fen,
        submitted_by_id=source.proposed_by,
        approved_by_id=source.approved_by,
        key=source.key,
        started_at=now,
        submitted_at=rules.to_the_millisecond(now),
        reserved_at=now,
        fiscal_year=source.year,
        decided_at=now,
    )
