"""Endpoints of rounds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Line,
    Moment,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    money,
    paged,
    problems,
)
from vouchers.programmes import access as programmes
from vouchers.programmes.allocation import lot
from vouchers.rounds import access, deciding, queries, services
from vouchers.rounds.models import Round, RoundAward
from vouchers.rounds.rules import RoundState

rounds = Router(tags=["rounds"])


class RoundIn(StrictIn):
    """`closes_at` exclusive, absent = until closed. `public_source`: a public value of after the intake, for a lottery."""

    programme: Number
    closes_at: Moment | None = None
    public_source: Annotated[Line, Field(max_length=120)] = ""


class ProposalIn(StrictIn):
    """`pool` limits what the round gives; `public_value` is the announced one, of a lottery."""

    pool: MoneyIn | None = None
    public_value: Annotated[Line, Field(max_length=60)] = ""
    note: Annotated[Block, Field(max_length=300)] = ""


class RoundNoteIn(StrictIn):
    """Why, for the trail."""

    note: Annotated[Block, Field(max_length=300)] = ""


class RoundOut(Schema):
    """A round as everybody sees it. `secret` stays empty until the round is decided; k is `coefficient`."""

    number: str
    programme: str
    version: int
    serial: int
    opens_at: datetime
    closes_at: datetime | None
    order: str
    order_label: str
    short: str
    state: RoundState
    state_label: str
    pool: MoneyOut
    coefficient: str
    commitment: str
    secret: str
    public_source: str
    public_value: str
    decided_at: datetime | None


class AwardOut(Schema):
    """What one application got: `place` in the order, `why` the one reason, `lot` in a lottery, `score` of 100."""

    place: int
    application: str
    asked: MoneyOut
    amount: MoneyOut
    outcome: str
    why: str
    why_label: str
    score: str
    lot: str


class RoundFilter(Cursor):
    """``?state=open`` lists what takes applications."""

    state: RoundState | None = None


def _shown(round_: Round) -> dict[str, Any]:
    is_revealed = round_.seed_revealed_at is not None
    return {
        "number": round_.number,
        "programme": round_.version.programme.code,
        "version": round_.version.number,
        "serial": round_.serial,
        "opens_at": round_.opens_at,
        "closes_at": round_.closes_at,
        "order": round_.order,
        "order_label": round_.get_order_display(),
        "short": round_.short,
        "state": round_.state,
        "state_label": round_.get_state_display(),
        "pool": money(round_.pool_fen),
        "coefficient": str(queries.coefficient(round_)),
        "commitment": round_.seed_commitment,
        "secret": bytes(round_.seed_secret or b"").hex() if is_revealed else "",
        "public_source": round_.public_source,
        "public_value": round_.public_value,
        "decided_at": round_.decided_at,
    }


@rounds.get("", response={200: PageOut[RoundOut], **problems()})
def list_rounds(request: ActorRequest, wanted: Query[RoundFilter]) -> dict[str, Any]:  # noqa: ARG001  everybody may read it
    """List the rounds of every programme."""
    rows = access.public()
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _shown)


@rounds.get("/{number}", response={200: RoundOut, **problems(404)})
def get_round(request: ActorRequest, number: Number) -> dict[str, Any]:  # noqa: ARG001  everybody may read it
    """Return a round."""
    return _shown(access.get_public(number))


@rounds.get("/{number}/awards", response={200: PageOut[AwardOut], **problems(404)})
def list_awards(request: ActorRequest, number: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what a round of the caller's department gives to whom, proposed or decided."""
    round_ = access.get_own(request.actor, number)
    seed = queries.seed(round_) if round_.order == Round.Order.LOTTERY else None

    def show(award: RoundAward) -> dict[str, Any]:
        return {
            "place": award.place,
            "application": award.application.number,
            "asked": money(award.asked_fen),
            "amount": money(award.amount_fen),
            "outcome": award.outcome,
            "why": award.why,
            "why_label": award.get_why_display(),
            "score": f"{award.score_num}/{award.score_den}" if award.score_num is not None else "",
            "lot": lot(seed, award.application.number) if seed else "",
        }

    return paged(round_.awards.select_related("application"), wanted, show)


@rounds.post("", response={201: RoundOut, **problems(404, 409)})
def open_round(request: ActorRequest, payload: RoundIn) -> Status[dict[str, Any]]:
    """Open the next round of a programme that decides in rounds; a lottery's commitment is in the answer."""
    made = services.open_round(
        actor=request.actor,
        version=programmes.get_version(request.actor, payload.programme),
        closes_at=payload.closes_at,
        public_source=payload.public_source,
        now=timezone.now(),
    )
    return Status(201, _shown(access.get_own(request.actor, made.number)))


@rounds.post("/{number}/close", response={200: RoundOut, **problems(404, 409)})
def close(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Close a round whose end has come, or one without an end."""
    services.close(actor=request.actor, round_=access.get_own(request.actor, number), now=timezone.now())
    return _shown(access.get_own(request.actor, number))


@rounds.post("/{number}/propose", response={200: RoundOut, **problems(404, 409)})
def propose(request: ActorRequest, number: Number, payload: ProposalIn) -> dict[str, Any]:
    """Compute the allocation as the first of two persons; read it under ``/awards``."""
    services.propose(
        actor=request.actor,
        round_=access.get_own(request.actor, number),
        pool=payload.pool.value() if payload.pool else None,
        public_value=payload.public_value,
        note=payload.note,
        now=timezone.now(),
    )
    return _shown(access.get_own(request.actor, number))


@rounds.post("/{number}/reject", response={200: RoundOut, **problems(404, 409)})
def reject(request: ActorRequest, number: Number, payload: RoundNoteIn) -> dict[str, Any]:
    """Send a proposal back."""
    found = access.get_own(request.actor, number)
    services.reject(actor=request.actor, round_=found, note=payload.note, now=timezone.now())
    return _shown(access.get_own(request.actor, number))


@rounds.post("/{number}/confirm", response={200: RoundOut, **problems(404, 409)})
def confirm(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Decide a proposed round as the second person: every award is reserved, or none."""
    deciding.confirm(actor=request.actor, round_=access.get_own(request.actor, number), now=timezone.now())
    return _shown(access.get_own(request.actor, number))


@rounds.post("/{number}/evaluate", response={200: RoundOut, **problems(404, 409)})
def evaluate(request: ActorRequest, number: Number, payload: RoundNoteIn) -> dict[str, Any]:
    """File a finished round with what was learnt from it."""
    found = access.get_own(request.actor, number)
    services.evaluate(actor=request.actor, round_=found, note=payload.note, now=timezone.now())
    return _shown(access.get_own(request.actor, number))
