"""Read what the rule engine needs, and ask it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from django.db.models import Max, Q, Sum
from django.utils.translation import gettext

from portal.kernel.money import Money
from portal.organisations.models import Organisation
from vouchers.issuance import facts, funds, rules, workflow
from vouchers.issuance.fingerprints import Party, contract_print
from vouchers.issuance.models import Application
from vouchers.issuance.workflow import ReviewAction
from vouchers.ledger import queries as ledger
from vouchers.programmes import rules as engine
from vouchers.programmes.access import catalogue, scheme_of
from vouchers.programmes.decisions import Decision
from vouchers.programmes.models import Budget, CoLead, ProgrammeVersion
from vouchers.programmes.predicates import Truth, judge
from vouchers.programmes.requests import load_request
from vouchers.programmes.schemes import PoolShort, Programme
from vouchers.programmes.terms import AwardOrder, EvidenceTerm, RedeemMode, Stage, Terms
from vouchers.wallets import queries as wallets

COUNTED = tuple(state.value for state in rules.COUNTED)
ENDED = (rules.ApplicationState.ISSUED, rules.ApplicationState.PAID)

SERVICES = {"test": "instrument_use"}
"""Cost kinds of a programme file that the portal sells under another service class."""


CONTRACT_ITSELF = {
    "provider.name",
    "contract.id",
    "contract.items",
    "contract.related",
    "contract.signed",
    "contract.months",
}


def decide(version: ProgrammeVersion, request: Mapping[str, Any]) -> Decision:
    """Ask the engine. Pure apart from reading the other programmes in force, which derived benefits refer to."""
    return engine.evaluate(scheme_of(version), load_request(request), catalogue=catalogue())


TIES = frozenset({"legal_representative", "holders", "phones", "address", "agent"})
"""What the registry says of the people behind an organisation: for the controls alone, no case carries it along."""


def registered_facts(organisation: Organisation) -> dict[str, Any]:
    """Return what is registered of an applicant; its city is where it is registered, and who pays a city's part."""
    city = organisation.city
    told = {name: value for name, value in organisation.facts.items() if name not in TIES}
    return {"type": "enterprise", "legal_person": True, "region": city, "city": city, **told}


def registered_provider(name: str) -> dict[str, Any]:
    """Return what is registered of the provider of that name; nothing of one the portal does not know."""
    provider = Organisation.objects.filter(kind=Organisation.Kind.PROVIDER, name=name).first()
    told = {key: value for key, value in provider.facts.items() if key not in TIES} if provider else {}
    return {"region": provider.city, "recognised": True, "rosters": [], **told} if provider else {}


def awards_of(
    organisation_id: int, *, besides: int = 0, contract_print: str = "", contract: str = ""
) -> list[facts.Award]:
    """Return the earlier awards that count for an organisation's application. One query.

    Its own; and, whoever holds them, those on the same contract, known by its fingerprint and told under the number
    `contract`, so that one contract is not supported twice under two spellings or by two parties.
    """
    same = Q(contract_print=contract_print) if contract_print else Q(pk__in=[])
    found = Application.objects.filter(Q(organisation_id=organisation_id) | same, state__in=COUNTED)
    return [
        award_of(row, contract=contract if contract_print and row.contract_print == contract_print else "")
        for row in found.exclude(pk=besides).select_related("version", "version__programme").order_by("pk")
    ]


def award_of(row: Application, *, contract: str = "") -> facts.Award:
    """Return an application, read with its version and programme, as an award; `contract` replaces its own number."""
    return facts.Award(
        programme=row.version.programme.code,
        year=row.fiscal_year,
        amount=Money(row.amount_fen),
        contract=contract or row.contract_number,
        level=row.version.document.get("level"),
        side=row.version.document.get("side", "demand"),
    )


def pool_of(version: ProgrammeVersion) -> Money:
    """Return what the books of the version's own fiscal year have left; see `funds` for what may be awarded."""
    account_id = Budget.objects.get(programme=version.programme, fiscal_year=version.fiscal_year).account_id
    return Money(ledger.balances(account_ids=[account_id])[account_id].available_fen)


def holdings_of(organisation_id: int, schemes: Iterable[Programme], *, besides: int = 0) -> dict[str, Money]:
    """Return what an organisation holds of each programme that limits it: unspent vouchers, and cases on their way to one.

    Awards are paid, not held. Source: 上海市科技创新券 (a ceiling on what an enterprise holds at a time). Three queries a
    programme with a ceiling, none without.
    """
    return {
        scheme.code: holdings_each([organisation_id], scheme, besides=besides)[organisation_id]
        for scheme in schemes
        if limits_holding(scheme)
    }


def limits_holding(scheme: Programme) -> bool:
    """Say whether a programme limits what an organisation holds of it at a time. Awards are paid, not held."""
    return scheme.count.holding_max is not None and scheme.terms.redeem.mode is not RedeemMode.AWARD


def holdings_each(organisation_ids: Sequence[int], scheme: Programme, *, besides: int = 0) -> dict[int, Money]:
    """Return what each organisation holds of a programme, as `holdings_of` counts. Three queries."""
    coming = Application.objects.filter(
        organisation_id__in=organisation_ids,
        version__programme__code=scheme.code,
        state__in=[state.value for state in rules.COUNTED if state not in ENDED],
    ).exclude(pk=besides)
    on_its_way = dict(coming.values_list("organisation_id").annotate(total=Sum("amount_fen")))
    held = wallets.held_by_each(holder_ids=organisation_ids, programme=scheme.code)
    return {pk: fen + Money(on_its_way.get(pk, 0)) for pk, fen in held.items()}


def _with_holding(
    request: dict[str, Any], version: ProgrammeVersion, organisation_id: int, *, besides: int = 0
) -> dict[str, Any]:
    """Return the request with what the applicant holds now, where the programme limits it."""
    for held in holdings_of(organisation_id, [scheme_of(version)], besides=besides).values():
        request["holding"] = held.yuan()
    return request


def request_for(
    *,
    organisation_id: int,
    version: ProgrammeVersion,
    contract: facts.Contract,
    stated: Mapping[str, Any],
    now: datetime,
) -> dict[str, Any]:
    """Return the request of a new application as plain JSON."""
    organisation = Organisation.objects.get(pk=organisation_id)
    request = facts.build(
        registered=registered_facts(organisation),
        contract=contract,
        stated=stated,
        history=(),
        pool=None if is_batch(version) else funds.left(version, now=now),
        today=now.astimezone(rules.BEIJING).date(),
    )
    request["provider"].update(registered_provider(request["provider"]["name"]))
    request["history"] = history_of(organisation, request)
    return _with_holding(request, version, organisation_id)


def history_of(organisation: Organisation, request: Mapping[str, Any], *, besides: int = 0) -> list[dict[str, Any]]:
    """Return the earlier awards that count, as the request holds them."""
    found = awards_of(
        organisation.pk,
        besides=besides,
        contract_print=print_of(organisation, request),
        contract=str((request.get("contract") or {}).get("id", "")),
    )
    return facts.history_json(found)


def with_facts(application: Application, *, stated: Mapping[str, Any]) -> dict[str, Any]:
    """Return the application's request with further or corrected facts.

    What is registered of the applicant and the provider, and the contract itself, stay as they are.
    """
    request: dict[str, Any] = {**application.request}
    fixed = {f"applicant.{name}" for name in registered_facts(application.organisation)} | CONTRACT_ITSELF
    fixed |= {f"provider.{name}" for name in registered_provider(request["provider"]["name"])}
    for path, value in stated.items():
        section, _dot, name = path.partition(".")
        if section in facts.STATED_SECTIONS and name and path not in fixed:
            request[section] = {**request.get(section, {}), name: value}
    return request


def with_pool(application: Application, *, now: datetime) -> dict[str, Any]:
    """Return the application's request with the pool, the history and what is held as they are now."""
    history = history_of(application.organisation, application.request, besides=application.pk)
    request = {**application.request, "history": history}
    _with_holding(request, application.version, application.organisation_id, besides=application.pk)
    if is_batch(application.version):
        request.pop("pool", None)
        return request
    left = funds.left(application.version, now=now, submitted=application.submitted_at)
    return {**request, "pool": left.yuan()}


def locked(application: Application) -> Application:
    """Return the case as it is now, locked until the transaction ends."""
    return (
        Application.objects.select_for_update(no_key=True, of=("self",))
        .select_related("version", "version__programme", "organisation", "reviewed_by", "submitted_by")
        .order_by("pk")
        .get(pk=application.pk)
    )


def terms(version: ProgrammeVersion) -> Terms:
    """Return what the version says about the time after the decision."""
    return scheme_of(version).terms


def stages(version: ProgrammeVersion) -> tuple[Stage, ...]:
    """Return the stages a case of this version goes through."""
    return scheme_of(version).terms.workflow or workflow.DEFAULT


PLACES = ("district", "region", "city")
"""Facts of an applicant that say where it is."""


def desk_of(application: Application, stage: Stage) -> int | None:
    """Return the co-lead department that acts at a stage of the case; None = the programme's own.

    One query, none for a stage of no level.
    """
    if not stage.level:
        return None
    partners = [
        workflow.Partner(one.organisation_id, one.level, tuple(one.regions))
        for one in CoLead.objects.filter(version_id=application.version_id).order_by("pk")
    ]
    facts_of = application.request.get("applicant") or {}
    return workflow.desk_of(stage, partners, {str(facts_of[name]) for name in PLACES if facts_of.get(name)})


def stage_name(application: Application) -> str:
    """Return the name of the stage a case under review stands at; empty elsewhere."""
    if application.state != rules.ApplicationState.REVIEW.value:
        return ""
    return gettext(stages(application.version)[application.stage].stage)


def is_batch(version: ProgrammeVersion) -> bool:
    """Say whether awards are fixed together for a batch, so that an application alone reserves nothing."""
    return scheme_of(version).terms.order is not AwardOrder.FIRST_COME


def notice_days(version: ProgrammeVersion) -> int:
    """Return how many working days a decision is public before it is carried out; 0 = none."""
    return scheme_of(version).terms.notice.min_working_days


def last_place(version_id: int) -> int:
    """Return the last place given in a version's first-come order; 0 = none yet."""
    return Application.objects.filter(version_id=version_id).aggregate(last=Max("place"))["last"] or 0


def may_reserve(application: Application, amount: Money, *, now: datetime) -> bool:
    """Say whether the case reserves now: not in a batch order, nor behind or in the queue of a pool that was short."""
    if is_batch(application.version):
        return False
    if scheme_of(application.version).pool_short is not PoolShort.QUEUE:
        return True
    queued = Application.objects.filter(
        version_id=application.version_id,
        reserve_hold_id__isnull=True,
        state__in=[rules.ApplicationState.REVIEW.value, rules.ApplicationState.WAITING.value],
    ).exclude(pk=application.pk)
    left = funds.left(application.version, now=now, submitted=application.submitted_at)
    return amount <= left and not queued.exists()


def passed_by(application: Application) -> list[int | None]:
    """Return who has passed the case's present stage in its present turn."""
    return list(
        application.decisions.filter(
            turn=application.turn,
            stage=application.stage,
            action__in=[ReviewAction.PASS.value, ReviewAction.SCORE.value],
        ).values_list("person_id", flat=True)
    )


def acted_now(application: Application, user_id: int) -> bool:
    """Say whether the person has acted at the case's present stage in its present turn already."""
    return application.decisions.filter(person_id=user_id, turn=application.turn, stage=application.stage).exists()


def score_of(application: Application) -> int | None:
    """Return the mean of the experts' points of the present turn, in hundredths, rounded down; None without any."""
    scored = application.decisions.filter(turn=application.turn, score__isnull=False)
    points = [score for score in scored.values_list("score", flat=True) if score is not None]
    return sum(points) * 100 // len(points) if points else None


def evidence_asked(
    version: ProgrammeVersion, request: Mapping[str, Any], *, stage: str = "application"
) -> list[EvidenceTerm]:
    """Return the documents the programme asks for at a stage, with an application of these facts.

    A condition whose facts are not stated asks for nothing: the rules themselves ask for the facts.
    """
    return [
        term
        for term in terms(version).evidence
        if term.stage == stage and judge(term.required_when, request).truth is Truth.TRUE
    ]


def print_of(organisation: Organisation, request: Mapping[str, Any]) -> str:
    """Return the fingerprint of a request's contract; empty while there is none. One query."""
    contract, name = request.get("contract") or {}, str((request.get("provider") or {}).get("name", ""))
    if not contract.get("id") or not contract.get("signed"):
        return ""
    provider = Organisation.objects.filter(kind=Organisation.Kind.PROVIDER, name=name).first()
    total = sum((Money.from_yuan(str(part)).fen for part in (contract.get("items") or {}).values()), 0)
    return contract_print(
        parties=(
            Party(organisation.name, organisation.credit_code),
            Party(name, provider.credit_code if provider else ""),
        ),
        number=str(contract["id"]),
        amount=Money(total),
        signed=date.fromisoformat(str(contract["signed"])),
    )


def bill_share(scheme: Programme, decision: Decision) -> Fraction:
    """Return which share of each bill the voucher pays: the programme's own ceiling, else the deciding rate, else all.

    Source: settlement on the fee actually used (武汉市资金管理办法 2025, deduct at purchase; domain.md L3).
    """
    ceiling = scheme.terms.redeem.max_share
    return ceiling if ceiling is not None else decision.share or Fraction(1)


def services_of(scheme: Programme) -> list[str]:
    """Return the service classes a voucher of this programme may pay for; empty = any."""
    kinds = set(scheme.cost.include or scheme.subject) - set(scheme.cost.exclude)
    return sorted({SERVICES.get(kind, kind) for kind in kinds})
