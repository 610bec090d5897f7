"""Endpoints of programmes: read them in words, import, publish and suspend versions."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import date, datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Day,
    Document,
    Line,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    Whole,
    language,
    money,
    paged,
    problems,
)
from vouchers.programmes import access, differences, explanations, fairness, json_schema, queries, services, wording
from vouchers.programmes.decisions import Decision, DecisionKind, Outcome
from vouchers.programmes.models import ProgrammeVersion
from vouchers.programmes.states import VersionAction, VersionState

router = Router(tags=["programmes"])

VersionNumber = Annotated[int, Field(ge=1, le=10**6)]


class PoolOut(Schema):
    """What a programme's pool of one fiscal year has left, and what undecided applications have reserved of it."""

    fiscal_year: int
    available: MoneyOut
    reserved: MoneyOut


class ProgrammeOut(Schema):
    """One version of a programme."""

    code: str
    version: int
    name: str
    name_en: str
    state: VersionState
    state_label: str
    department: str
    fiscal_year: int
    budget: MoneyOut
    imported_at: datetime
    published_at: datetime | None
    pools: list[PoolOut]


class SectionOut(Schema):
    """A heading and its sentences."""

    title: str
    sentences: list[str]


class ExposureOut(Schema):
    """A condition the fair-competition review must answer, in the caller's language."""

    path: str
    condition: str
    reason: str


class FairReviewOut(Schema):
    """A fair-competition review."""

    reviewer: str
    reviewed_on: date
    document_number: str
    opinion: str
    recorded_at: datetime


class FairReviewIn(StrictIn):
    """What the review says."""

    reviewer: Line
    reviewed_on: Day
    document_number: Line
    opinion: Block


class ProgrammeDetailOut(ProgrammeOut):
    """A version with its document and the same rules in words, in both languages, and its fair-competition review."""

    exposed: list[ExposureOut]
    fair_review: FairReviewOut | None

    digest: str
    document: dict[str, Any]
    words: dict[str, list[SectionOut]]


class DifferenceOut(Schema):
    """One change between two versions, in the caller's language; "" where nothing stood or stands."""

    section: str
    name: str
    before: str
    after: str
    path: str


class GroundOut(Schema):
    """One ground of a refusal, with what would fix it."""

    rule: str
    message: str
    remedy: str
    details: list[str]


class FactOut(Schema):
    """A fact to bring."""

    path: str
    name: str


class ToldOut(Schema):
    """One step of the evaluation in words."""

    outcome: Outcome
    test: str
    text: str


class DecisionOut(Schema):
    """What the rules decide, why, and how they came to it. Texts in the caller's language, `trace` as data."""

    decision: DecisionKind
    headline: str
    amount: MoneyOut | None
    rule: str
    rule_ids: list[str]
    lines: list[str]
    share: str | None
    funding: dict[str, MoneyOut]
    reasons: list[GroundOut]
    missing: list[FactOut]
    explanation: list[ToldOut]
    trace: list[dict[str, Any]]


class ProgrammeIn(StrictIn):
    """A programme file, and the budget that publishing it adds to the pool of `fiscal_year`."""

    document: Document
    budget: MoneyIn
    fiscal_year: Whole


class ProgrammeFilter(Cursor):
    """``?state=published`` lists what takes applications now."""

    state: VersionState | None = None


def shown(version: ProgrammeVersion, pools: Iterable[queries.Pool]) -> dict[str, Any]:
    """Return a version as `ProgrammeOut`."""
    return {
        "code": version.programme.code,
        "version": version.number,
        "name": version.name,
        "name_en": version.name_en,
        "state": version.state,
        "state_label": version.get_state_display(),
        "department": version.programme.department.name,
        "fiscal_year": version.fiscal_year,
        "budget": money(version.budget_fen),
        "imported_at": version.imported_at,
        "published_at": version.published_at,
        "pools": [
            {
                "fiscal_year": pool.fiscal_year,
                "available": money(pool.available_fen),
                "reserved": money(pool.reserved_fen),
            }
            for pool in pools
        ],
    }


def detail(version: ProgrammeVersion) -> dict[str, Any]:
    scheme, known = access.scheme_of(version), access.catalogue()
    pools = queries.pools([version.programme_id]).get(version.programme_id, [])
    return {
        **shown(version, pools),
        "digest": version.digest,
        "document": version.document,
        "exposed": [
            {"path": one.path, "condition": one.condition.say(language()), "reason": one.reason.say(language())}
            for one in fairness.exposed(scheme)
        ],
        "fair_review": getattr(version, "fair_review", None),
        "words": {
            tongue: [
                {"title": section.title, "sentences": list(section.sentences)}
                for section in wording.describe(scheme, tongue, catalogue=known)
            ]
            for tongue in ("zh", "en")
        },
    }


def decided(decision: Decision) -> dict[str, Any]:
    """Return a decision as `DecisionOut`, in the caller's language."""
    tongue = language()
    grounds = explanations.reasons(decision, tongue)
    return {
        "decision": decision.decision,
        "headline": explanations.headline(decision, tongue),
        "amount": None if decision.amount is None else money(decision.amount),
        "rule": decision.rule,
        "rule_ids": list(decision.rule_ids),
        "lines": list(decision.lines),
        "share": None if decision.share is None else str(decision.share),
        "funding": {payer: money(part) for payer, part in decision.funding},
        "reasons": [
            {
                "rule": failure.code,
                "message": ground.message,
                "remedy": ground.remedy,
                "details": list(ground.details),
            }
            for failure, ground in zip(decision.failures, grounds, strict=True)
        ],
        "missing": [{"path": fact.path, "name": fact.name.say(tongue)} for fact in decision.missing],
        "explanation": [
            {"outcome": told.outcome, "test": told.test, "text": told.text}
            for told in explanations.explain(decision, tongue, catalogue=access.catalogue())
        ],
        "trace": decision.as_json()["trace"],
    }


@router.get("", response={200: PageOut[ProgrammeOut], **problems()})
def list_programmes(request: ActorRequest, wanted: Query[ProgrammeFilter]) -> dict[str, Any]:
    """List the versions the caller may see: published ones, and drafts of its own department."""
    versions = access.visible_to(request.actor)
    if wanted.state is not None:
        versions = versions.filter(state=wanted.state.value)
    page = paged(versions, wanted, lambda version: version)
    pools = queries.pools({version.programme_id for version in page["items"]})
    return {**page, "items": [shown(version, pools.get(version.programme_id, [])) for version in page["items"]]}


@router.get("/schema", response={200: dict[str, Any], **problems()})
def get_schema(request: ActorRequest) -> dict[str, Any]:  # noqa: ARG001  the same for everybody
    """Return the JSON Schema (draft 2020-12) of programme files, with titles in Chinese and English."""
    return json_schema.programme_schema()


@router.get("/{code}/versions/{number}/differences", response={200: list[DifferenceOut], **problems(404)})
def get_differences(
    request: ActorRequest, code: Number, number: VersionNumber, since: VersionNumber | None = None
) -> list[differences.Difference]:
    """Return what changed in a version in words, since version `since`, without it since the version before.

    Empty if nothing did, and for a first version.
    """
    after = access.get_version(request.actor, code, number)
    if since is None and number == 1:
        return []
    before = access.get_version(request.actor, code, since if since is not None else number - 1)
    return differences.differences(access.scheme_of(before), access.scheme_of(after), language())


@router.get("/{code}", response={200: ProgrammeDetailOut, **problems(404)})
def get_programme(request: ActorRequest, code: Number, version: VersionNumber | None = None) -> dict[str, Any]:
    """Return a programme with its rules in words; without `version` the one in force, else the newest."""
    return detail(access.get_version(request.actor, code, version))


@router.post("", response={201: ProgrammeDetailOut, **problems(409)})
def import_programme(request: ActorRequest, payload: ProgrammeIn) -> Status[dict[str, Any]]:
    """Store a programme file as the next draft of its code. 422 names every problem of the file by its path."""
    version = services.import_version(
        actor=request.actor,
        raw=json.dumps(payload.document, ensure_ascii=False).encode(),
        budget=payload.budget.value(),
        fiscal_year=payload.fiscal_year,
        now=timezone.now(),
    )
    return Status(201, detail(access.get_version(request.actor, version.programme.code, version.number)))


def _act(
    request: ActorRequest, code: str, number: int, act: Callable[[ProgrammeVersion, datetime], object]
) -> dict[str, Any]:
    act(access.get_version(request.actor, code, number), timezone.now())
    return detail(access.get_version(request.actor, code, number))


@router.post("/{code}/versions/{number}/publish", response={200: ProgrammeDetailOut, **problems(404, 409)})
def publish(request: ActorRequest, code: Number, number: VersionNumber) -> dict[str, Any]:
    """Put a draft in force, as another person than the one who imported it; its budget goes into the pool."""
    return _act(
        request, code, number, lambda version, now: services.publish(actor=request.actor, version=version, now=now)
    )


@router.put("/{code}/versions/{number}/fair-review", response={200: ProgrammeDetailOut, **problems(404, 409)})
def record_fair_review(
    request: ActorRequest, code: Number, number: VersionNumber, payload: FairReviewIn
) -> dict[str, Any]:
    """Record the fair-competition review a draft needs to be published, as another person than its importer."""
    review = services.Review(**payload.model_dump())
    return _act(
        request,
        code,
        number,
        lambda version, now: services.record_fair_review(actor=request.actor, version=version, review=review, now=now),
    )


def _change(request: ActorRequest, code: str, number: int, action: VersionAction) -> dict[str, Any]:
    return _act(
        request,
        code,
        number,
        lambda version, now: services.change_state(actor=request.actor, version=version, action=action, now=now),
    )


@router.post("/{code}/versions/{number}/suspend", response={200: ProgrammeDetailOut, **problems(404, 409)})
def suspend(request: ActorRequest, code: Number, number: VersionNumber) -> dict[str, Any]:
    """Take no more applications, with effect at once; vouchers already issued stay good."""
    return _change(request, code, number, VersionAction.SUSPEND)


@router.post("/{code}/versions/{number}/resume", response={200: ProgrammeDetailOut, **problems(404, 409)})
def resume(request: ActorRequest, code: Number, number: VersionNumber) -> dict[str, Any]:
    """Take applications again."""
    return _change(request, code, number, VersionAction.RESUME)
