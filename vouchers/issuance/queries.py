"""Read what the rule engine needs, and ask it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from fractions import Fraction
from typing import Any

from django.db.models import Max
from django.utils.translation import gettext

from portal.kernel.money import Money
from portal.organisations.models import Organisation
from vouchers.issuance import facts, rules, workflow
from vouchers.issuance.models import Application
from vouchers.issuance.workflow import ReviewAction
from vouchers.ledger import queries as ledger
from vouchers.programmes import rules as engine
from vouchers.programmes.access import catalogue, scheme_of
from vouchers.programmes.decisions import Decision
from vouchers.programmes.models import Budget, ProgrammeVersion
from vouchers.programmes.requests import load_request
from vouchers.programmes.schemes import PoolShort, Programme
from vouchers.programmes.terms import AwardOrder, Stage

COUNTED = tuple(state.value for state in rules.COUNTED)

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


def registered_facts(organisation: Organisation) -> dict[str, Any]:
    """Return what is registered of an applicant."""
    return {"type": "enterprise", "legal_person": True, "region": organisation.city, **organisation.facts}


def registered_provider(name: str) -> dict[str, Any]:
    """Return what is registered of the provider of that name; nothing of one the portal does not know."""
    provider = Organisation.objects.filter(kind=Organisation.Kind.PROVIDER, name=name).first()
    return {"region": provider.city, "recognised": True, **provider.facts} if provider else {}


def awards_of(organisation_id: int, *, besides: int = 0) -> list[facts.Award]:
    """Return the organisation's earlier awards that still count. One query."""
    found = Application.objects.filter(organisation_id=organisation_id, state__in=COUNTED).exclude(pk=besides)
    return [
        facts.Award(
            programme=row.version.programme.code,
            year=row.version.fiscal_year,
            amount=Money(row.amount_fen),
            contract=row.contract_number,
            level=row.version.document.get("level"),
            side=row.version.document.get("side", "demand"),
        )
        for row in found.select_related("version", "version__programme").order_by("pk")
    ]


def pool_of(version: ProgrammeVersion) -> Money:
    """Return what the version's pool of its fiscal year has left."""
    account_id = Budget.objects.get(programme=version.programme, fiscal_year=version.fiscal_year).account_id
    return Money(ledger.balances(account_ids=[account_id])[account_id].available_fen)


def request_for(
    *,
    organisation_id: int,
    version: ProgrammeVersion,
    contract: facts.Contract,
    stated: Mapping[str, Any],
    today: date,
) -> dict[str, Any]:
    """Return the request of a new application as plain JSON."""
    organisation = Organisation.objects.get(pk=organisation_id)
    request = facts.build(
        registered=registered_facts(organisation),
        contract=contract,
        stated=stated,
        history=awards_of(organisation_id),
        pool=None if is_batch(version) else pool_of(version),
        today=today,
    )
    request["provider"].update(registered_provider(request["provider"]["name"]))
    return request


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


def with_pool(application: Application) -> dict[str, Any]:
    """Return the application's request with the pool and the history as they are now."""
    history = facts.history_json(awards_of(application.organisation_id, besides=application.pk))
    request = {**application.request, "history": history}
    if is_batch(application.version):
        request.pop("pool", None)
        return request
    return {**request, "pool": pool_of(application.version).yuan()}


def stages(version: ProgrammeVersion) -> tuple[Stage, ...]:
    """Return the stages a case of this version goes through."""
    return scheme_of(version).terms.workflow or workflow.DEFAULT


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


def may_reserve(application: Application, amount: Money) -> bool:
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
    return amount <= pool_of(application.version) and not queued.exists()


def passed_by(application: Application) -> list[int | None]:
    """Return who has passed the case's present stage in its present turn."""
    return list(
        application.decisions.filter(
            turn=application.turn, stage=application.stage, action=ReviewAction.PASS.value
        ).values_list("person_id", flat=True)
    )


def had_part(application: Application, user_id: int) -> bool:
    """Say whether the person has decided another stage of the case, or this one already in this turn."""
    acts = application.decisions.filter(person_id=user_id)
    return acts.exclude(stage=application.stage).exists() or acts.filter(turn=application.turn).exists()


def bill_share(scheme: Programme, decision: Decision) -> Fraction:
    """Return which share of each bill the voucher pays: the programme's own ceiling, else the deciding rate, else all.

    Source: settlement on the fee actually used (武汉市资金管理办法 2025, deduct at purchase; domain.md L3).
    """
    ceiling = scheme.terms.redeem.max_share
    return ceiling if ceiling is not None else decision.share or Fraction(1)


def services_of(scheme: Programme) -> list[str]:
    """Return the service classes a voucher of this programme may pay for; empty = any."""
    kinds = scheme.document.get("cost", {}).get("include") or []
    return sorted({SERVICES.get(kind, kind) for kind in kinds})
