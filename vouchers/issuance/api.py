"""Endpoints of applications."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Day,
    Facts,
    Flag,
    IdempotencyKey,
    Line,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    Whole,
    key_from,
    money,
    paged,
    problems,
)
from vouchers.issuance import access, drafts, facts, queries, reviewing, services
from vouchers.issuance.models import Application
from vouchers.issuance.reviewing import Verdict
from vouchers.issuance.rules import ApplicationState
from vouchers.programmes import access as programmes
from vouchers.programmes.api import DecisionOut, decided
from vouchers.programmes.decisions import Decision

assessments = Router(tags=["programmes"])
applications = Router(tags=["applications"])


class ContractIn(StrictIn):
    """A contract; `items` are its amounts by kind of cost, such as ``{"compute": {"yuan": "100000"}}``."""

    number: Annotated[Line, Field(max_length=60)]
    provider: Annotated[Line, Field(max_length=120)]
    signed: Day
    months: Annotated[Whole, Field(ge=-1, le=10_000)]
    items: Annotated[dict[Number, MoneyIn], Field(max_length=50)]
    related: Flag = False

    def value(self) -> facts.Contract:
        return facts.Contract(
            number=self.number,
            provider=self.provider,
            signed=self.signed,
            months=self.months,
            items={kind: amount.value() for kind, amount in self.items.items()},
            related=self.related,
        )


class AssessIn(StrictIn):
    """A contract, and further facts by path."""

    contract: ContractIn
    stated: Facts = {}


class ApplicationIn(AssessIn):
    """What an application says. `programme` is the programme's code."""

    programme: Number


class CompleteIn(StrictIn):
    """The facts asked for, by path; `answer` in words only where something was asked inside an appeal."""

    stated: Facts
    answer: Annotated[Block, Field(max_length=600)] = ""


class PassIn(StrictIn):
    """`amount` only to lower what came to the stage; `seen` as the case showed it, to decide on nothing else."""

    amount: MoneyIn | None = None
    note: Annotated[Block, Field(max_length=300)] = ""
    score: Annotated[Whole, Field(ge=0, le=100)] | None = None
    checks: Annotated[list[Annotated[Line, Field(max_length=300)]], Field(max_length=100)] = []
    seen: Annotated[str, Field(max_length=40)] = ""

    def value(self) -> Verdict:
        return Verdict(
            amount=self.amount.value() if self.amount else None,
            note=self.note,
            score=self.score,
            checks=tuple(self.checks),
            seen=self.seen,
        )


class CaseNoteIn(StrictIn):
    """Why; the applicant reads it."""

    note: Annotated[Block, Field(max_length=300)]
    seen: Annotated[str, Field(max_length=40)] = ""

    def value(self) -> Verdict:
        return Verdict(note=self.note, seen=self.seen)


class ApplicationOut(Schema):
    """One case."""

    number: str
    programme: str
    programme_name: str
    version: int
    organisation: str
    contract_number: str
    state: ApplicationState
    state_label: str
    stage: str
    """Name of the stage a case in `review` stands at."""
    role: str
    due_at: datetime | None
    seen: str
    computed: MoneyOut
    amount: MoneyOut
    note: str
    voucher: str | None
    submitted_at: datetime | None
    decided_at: datetime | None


class StageActOut(Schema):
    """What was done at one stage; the applicant is not told by whom."""

    turn: int
    stage: int
    role: str
    action: str
    amount: MoneyOut | None
    score: int | None
    note: str
    at: datetime


class ApplicationDetailOut(ApplicationOut):
    """A case with every fact the rules saw and all they answered."""

    request: dict[str, Any]
    decision: DecisionOut | None
    draft: dict[str, Any]
    signed: bool
    """Whether the undertaking is signed for what the case holds now."""
    turn: int
    stages: list[StageActOut]


class ApplicationFilter(Cursor):
    """``?state=review`` is what the deciders have before them."""

    state: ApplicationState | None = None


def _shown(application: Application) -> dict[str, Any]:
    voucher = getattr(application, "voucher", None)
    return {
        "number": application.number,
        "programme": application.version.programme.code,
        "programme_name": application.version.name,
        "version": application.version.number,
        "organisation": application.organisation.name,
        "contract_number": application.contract_number,
        "state": application.state,
        "state_label": application.get_state_display(),
        "stage": queries.stage_name(application),
        "role": application.role,
        "due_at": application.due_at,
        "seen": reviewing.seen_of(application),
        "computed": money(application.computed_fen),
        "amount": money(application.amount_fen),
        "note": application.note,
        "voucher": voucher.number if voucher else None,
        "submitted_at": application.submitted_at,
        "decided_at": application.decided_at,
    }


def detailed(application: Application) -> dict[str, Any]:
    """Return a case as `ApplicationDetailOut`."""
    return {
        **_shown(application),
        "request": application.request,
        "decision": decided(Decision.from_json(application.decision)) if application.decision else None,
        "draft": application.draft,
        "signed": drafts.is_signed(application),
        "turn": application.turn,
        "stages": [
            {
                "turn": act.turn,
                "stage": act.stage,
                "role": act.role,
                "action": act.action,
                "amount": money(act.amount_fen) if act.amount_fen is not None else None,
                "score": act.score,
                "note": act.note,
                "at": act.at,
            }
            for act in application.decisions.all()
        ],
    }


@assessments.post("/{code}/assess", response={200: DecisionOut, **problems(404, 409)})
def assess(request: ActorRequest, code: Number, payload: AssessIn) -> dict[str, Any]:
    """Say what the rules would decide now about the caller's contract. Nothing changes, nothing is reserved."""
    wanted = services.Wanted(
        version=programmes.get_version(request.actor, code),
        contract=payload.contract.value(),
        stated=payload.stated,
    )
    return decided(services.assess(actor=request.actor, wanted=wanted, now=timezone.now()))


def _listed(request: ActorRequest) -> QuerySet[Application]:
    """Return the caller's own applications, or its department's cases. Raises Forbidden for all others."""
    actor = request.actor
    if actor.may(Permission.APPLICATION_SUBMIT) or actor.may(Permission.VOUCHER_READ_OWN):
        return access.own_applications(actor)
    return access.cases(actor)


@applications.get("", response={200: PageOut[ApplicationOut], **problems()})
def list_applications(request: ActorRequest, wanted: Query[ApplicationFilter]) -> dict[str, Any]:
    """List an enterprise's own applications, or the cases of a reviewer's or approver's department."""
    rows = _listed(request)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _shown)


@applications.get("/{number}", response={200: ApplicationDetailOut, **problems(404)})
def get_application(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a case with the facts and the whole decision."""
    return detailed(access.get_application(request.actor, number))


@applications.post("", response={201: ApplicationDetailOut, **problems(404, 409)})
def submit(request: ActorRequest, payload: ApplicationIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Apply: the rules decide at once, and what they grant is reserved in the pool.

    State ``supplement`` when facts are missing; 409 with every failing test when the rules refuse.
    """
    wanted = services.Wanted(
        version=programmes.get_version(request.actor, payload.programme),
        contract=payload.contract.value(),
        stated=payload.stated,
    )
    made = services.submit(actor=request.actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, detailed(access.get_application(request.actor, made.number)))


def _act(request: ActorRequest, number: str, act: Callable[[Application, datetime], object]) -> dict[str, Any]:
    act(access.get_application(request.actor, number), timezone.now())
    return detailed(access.get_application(request.actor, number))


@applications.post("/{number}/complete", response={200: ApplicationDetailOut, **problems(404, 409)})
def complete(request: ActorRequest, number: Number, payload: CompleteIn) -> dict[str, Any]:
    """Bring the missing facts; the rules decide anew."""
    return _act(
        request,
        number,
        lambda case, now: services.complete(
            actor=request.actor, application=case, stated=payload.stated, now=now, answer=payload.answer
        ),
    )


@applications.post("/{number}/withdraw", response={200: ApplicationDetailOut, **problems(404, 409)})
def withdraw(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Withdraw before it is decided; what was reserved goes back to the pool."""
    return _act(request, number, lambda case, now: services.withdraw(actor=request.actor, application=case, now=now))


@applications.post("/{number}/pass", response={200: ApplicationDetailOut, **problems(404, 409)})
def pass_stage(request: ActorRequest, number: Number, payload: PassIn) -> dict[str, Any]:
    """Pass the stage the case stands at, with its amount or less; after the last one it is decided.

    Where nothing is left to wait for, the voucher is issued at once: its number is in the answer.
    """
    return _act(
        request,
        number,
        lambda case, now: reviewing.pass_stage(actor=request.actor, application=case, verdict=payload.value(), now=now),
    )


@applications.post("/{number}/return", response={200: ApplicationDetailOut, **problems(404, 409)})
def return_case(request: ActorRequest, number: Number, payload: CaseNoteIn) -> dict[str, Any]:
    """Send a case back for more facts, or to the earlier stage the programme names."""
    return _act(
        request,
        number,
        lambda case, now: reviewing.return_case(
            actor=request.actor, application=case, verdict=payload.value(), now=now
        ),
    )


@applications.post("/{number}/refuse", response={200: ApplicationDetailOut, **problems(404, 409)})
def refuse(request: ActorRequest, number: Number, payload: CaseNoteIn) -> dict[str, Any]:
    """Refuse at any stage, with a reason; its reservation is released."""
    return _act(
        request,
        number,
        lambda case, now: reviewing.refuse(actor=request.actor, application=case, verdict=payload.value(), now=now),
    )
