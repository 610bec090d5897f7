"""Endpoints of public notices and objections."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    IdempotencyKey,
    Line,
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
from vouchers.notices import access, objecting, services
from vouchers.notices.models import Notice, NoticeItem, Objection
from vouchers.notices.objecting import Statement, Verdict
from vouchers.notices.rules import NoticeState, ObjectionState
from vouchers.programmes import access as programmes
from vouchers.rounds import access as rounds

notices = Router(tags=["notices"])
objections = Router(tags=["notices"])


class NoticeIn(StrictIn):
    """Draft a notice of a programme's decided cases, or of one round's."""

    programme: Number
    round: Number | None = None
    title: Annotated[Line, Field(max_length=160)] = ""


class ObjectionIn(StrictIn):
    """What is held against an item, and who says so: name and contact are never printed."""

    position: Annotated[Whole, Field(ge=1, le=2**31 - 1)]
    name: Annotated[Line, Field(min_length=1, max_length=60)]
    contact: Annotated[Line, Field(min_length=1, max_length=120)]
    text: Annotated[Block, Field(min_length=1, max_length=4000)]


class VerdictIn(StrictIn):
    """``reject``: the item goes on; ``refuse``: its case is refused; ``review``: it is reviewed anew, by others."""

    verdict: Verdict
    reason: Annotated[Block, Field(max_length=500)]


class NoticeOut(Schema):
    """A notice. Objections are taken until `ends_at` (exclusive); `last_day` is its last working day."""

    number: str
    programme: str
    round: str | None
    title: str
    state: NoticeState
    state_label: str
    fields: list[str]
    working_days: int
    published_at: datetime | None
    last_day: date | None
    ends_at: datetime | None
    is_estimated: bool
    objection_to: str


class NoticeItemOut(Schema):
    """What the public reads of one case."""

    position: int
    printed: dict[str, str]
    amount: MoneyOut
    state: str
    state_label: str


class ReceiptOut(Schema):
    """The receipt by which whoever objected asks what became of it."""

    receipt: str
    state: ObjectionState
    state_label: str
    reason: str


class ObjectionOut(ReceiptOut):
    """An objection as the department reads it."""

    number: str
    notice: str
    position: int
    application: str
    name: str
    contact: str
    text: str
    filed_at: datetime
    decided_at: datetime | None


def _notice(notice: Notice) -> dict[str, Any]:
    return {
        "number": notice.number,
        "programme": notice.version.programme.code,
        "round": notice.round.number if notice.round else None,
        "title": notice.title,
        "state": notice.state,
        "state_label": notice.get_state_display(),
        "fields": notice.fields,
        "working_days": notice.working_days,
        "published_at": notice.published_at,
        "last_day": notice.last_day,
        "ends_at": notice.ends_at,
        "is_estimated": notice.is_estimated,
        "objection_to": notice.objection_to,
    }


def _item(item: NoticeItem) -> dict[str, Any]:
    return {
        "position": item.position,
        "printed": {name: str(value) for name, value in item.printed.items()},
        "amount": money(item.amount_fen),
        "state": item.state,
        "state_label": item.get_state_display(),
    }


def _receipt(objection: Objection) -> dict[str, Any]:
    return {
        "receipt": objection.receipt,
        "state": objection.state,
        "state_label": objection.get_state_display(),
        "reason": objection.reason,
    }


def _objection(objection: Objection) -> dict[str, Any]:
    return {
        **_receipt(objection),
        "number": objection.number,
        "notice": objection.item.notice.number,
        "position": objection.item.position,
        "application": objection.item.application.number,
        "name": objection.name,
        "contact": objection.contact,
        "text": objection.text,
        "filed_at": objection.filed_at,
        "decided_at": objection.decided_at,
    }


@notices.get("", response={200: PageOut[NoticeOut], **problems()})
def list_notices(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:  # noqa: ARG001  everybody may read it
    """List the published notices, newest first."""
    return paged(access.public(), wanted, _notice)


@notices.get("/{number}", response={200: NoticeOut, **problems(404)})
def get_notice(request: ActorRequest, number: Number) -> dict[str, Any]:  # noqa: ARG001  everybody may read it
    """Return a published notice."""
    return _notice(access.get_public(number))


@notices.get("/{number}/items", response={200: PageOut[NoticeItemOut], **problems(404)})
def list_items(request: ActorRequest, number: Number, wanted: Query[Cursor]) -> dict[str, Any]:  # noqa: ARG001  everybody may read it
    """List what a published notice prints."""
    return paged(access.get_public(number).items.all(), wanted, _item)


@notices.post("", response={201: NoticeOut, **problems(404, 409)})
def draft(request: ActorRequest, payload: NoticeIn) -> Status[dict[str, Any]]:
    """Draft a notice of every decided case no notice carries yet."""
    made = services.draft(
        actor=request.actor,
        version=programmes.get_version(request.actor, payload.programme),
        round_=rounds.get_own(request.actor, payload.round) if payload.round else None,
        title=payload.title,
        now=timezone.now(),
    )
    return Status(201, _notice(access.get_own(request.actor, made.number)))


@notices.post("/{number}/publish", response={200: NoticeOut, **problems(404, 409)})
def publish(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Publish a draft as a second person; the period begins."""
    services.publish(actor=request.actor, notice=access.get_own(request.actor, number), now=timezone.now())
    return _notice(access.get_own(request.actor, number))


@notices.post("/{number}/discard", response={200: NoticeOut, **problems(404, 409)})
def discard(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Give up a draft."""
    services.discard(actor=request.actor, notice=access.get_own(request.actor, number), now=timezone.now())
    return _notice(access.get_own(request.actor, number))


@notices.post("/{number}/objections", response={201: ReceiptOut, **problems(404, 409)})
def object_to(
    request: ActorRequest,  # noqa: ARG001  anybody may
    number: Number,
    payload: ObjectionIn,
    key: IdempotencyKey,
) -> Status[dict[str, Any]]:
    """Object to an item of a running notice, as anybody may. Keep the receipt."""
    filed = objecting.file(
        item=access.get_public_item(number, payload.position),
        statement=Statement(payload.name, payload.contact, payload.text),
        key=key_from(key),
        now=timezone.now(),
    )
    return Status(201, _receipt(filed))


@objections.get("", response={200: PageOut[ObjectionOut], **problems()})
def list_objections(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the objections to the notices of the caller's department."""
    return paged(access.objections(request.actor), wanted, _objection)


@objections.get("/receipts/{receipt}", response={200: ReceiptOut, **problems(404)})
def get_receipt(request: ActorRequest, receipt: Number) -> dict[str, Any]:  # noqa: ARG001  everybody may read it
    """Say what became of an objection, by its receipt."""
    return _receipt(access.objection_by_receipt(receipt))


@objections.get("/{number}", response={200: ObjectionOut, **problems(404)})
def get_objection(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return an objection to a notice of the caller's department."""
    return _objection(access.get_objection(request.actor, number))


@objections.post("/{number}/decide", response={200: ObjectionOut, **problems(404, 409)})
def decide(request: ActorRequest, number: Number, payload: VerdictIn) -> dict[str, Any]:
    """Decide an objection, as somebody without a part in the case."""
    objecting.decide(
        actor=request.actor,
        objection=access.get_objection(request.actor, number),
        verdict=payload.verdict,
        reason=payload.reason,
        now=timezone.now(),
    )
    return _objection(access.get_objection(request.actor, number))
