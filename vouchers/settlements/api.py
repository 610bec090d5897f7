"""Endpoints of settlement batches."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.kernel.actors import Permission
from portal.kernel.errors import NotFound
from portal.organisations import access as people
from portal.wire import (
    ActorRequest,
    Cursor,
    Line,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    money,
    paged,
    problems,
)
from vouchers.settlements import access, queries, services
from vouchers.settlements.models import SettlementBatch, SettlementLine
from vouchers.settlements.rules import BatchState, Leg

router = Router(tags=["settlements"])


class ProviderOut(Schema):
    """A provider by name and unified social credit code."""

    name: str
    name_en: str
    credit_code: str


class BatchOut(Schema):
    """What one provider is paid in one go."""

    number: str
    provider: ProviderOut
    state: BatchState
    state_label: str
    total: MoneyOut
    bank_reference: str
    created_by: str
    approved_by: str | None
    paid_by: str | None
    created_at: datetime
    approved_at: datetime | None
    paid_at: datetime | None


class LineOut(Schema):
    """One leg of one charge: the voucher's share, or the own share that has arrived."""

    subject: str
    charge: str
    leg: Leg
    payer: str
    amount: MoneyOut


class BatchDetailOut(BatchOut):
    """A batch with its lines, which add up to its total."""

    lines: list[LineOut]


class DueOut(Schema):
    """What a provider can be paid now."""

    provider: ProviderOut
    amount: MoneyOut


class BatchIn(StrictIn):
    """`provider` is a unified social credit code."""

    provider: Number


class PaidIn(StrictIn):
    """The number of the treasury's payment."""

    bank_reference: Annotated[Line, Field(max_length=60)]


class BatchFilter(Cursor):
    """``?state=draft`` is the approver's queue."""

    state: BatchState | None = None


def _provider(organisation: Any) -> dict[str, str]:
    return {
        "name": organisation.name,
        "name_en": organisation.name_en,
        "credit_code": organisation.credit_code,
    }


def _shown(batch: SettlementBatch) -> dict[str, Any]:
    return {
        "number": batch.number,
        "provider": _provider(batch.provider),
        "state": batch.state,
        "state_label": batch.get_state_display(),
        "total": money(batch.total_fen),
        "bank_reference": batch.bank_reference,
        "created_by": str(batch.created_by),
        "approved_by": str(batch.approved_by) if batch.approved_by else None,
        "paid_by": str(batch.paid_by) if batch.paid_by else None,
        "created_at": batch.created_at,
        "approved_at": batch.approved_at,
        "paid_at": batch.paid_at,
    }


def _line(line: SettlementLine) -> dict[str, Any]:
    return {
        "subject": line.charge.subject,
        "charge": line.charge.number,
        "leg": line.leg,
        "payer": line.charge.payer.name,
        "amount": money(line.amount_fen),
    }


def _detail(request: ActorRequest, number: str) -> dict[str, Any]:
    batch = access.get_batch(request.actor, number)
    return {**_shown(batch), "lines": [_line(line) for line in queries.lines_of(batch.pk)]}


@router.get("", response={200: PageOut[BatchOut], **problems()})
def list_batches(request: ActorRequest, wanted: Query[BatchFilter]) -> dict[str, Any]:
    """List batches: finance sees all, a provider its own once approved."""
    rows = access.visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, _shown)


@router.get("/due", response={200: list[DueOut], **problems()})
def due(request: ActorRequest) -> list[dict[str, Any]]:
    """Say what each provider can be paid now; a provider learns its own sum only."""
    providers = people.providers()
    if not any(request.actor.may(permission) for permission in access.FINANCE):
        request.actor.require(Permission.SETTLEMENT_READ_OWN)
        providers = providers.filter(pk=people.get_own(request.actor).pk)
    sums = queries.due_by_provider()
    return [
        {"provider": _provider(provider), "amount": money(sums[provider.pk])}
        for provider in providers.filter(pk__in=sums).order_by("name", "pk")
    ]


@router.get("/{number}", response={200: BatchDetailOut, **problems(404)})
def get_batch(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return a batch with its lines."""
    return _detail(request, number)


@router.post("", response={201: BatchDetailOut, **problems(404, 409)})
def draft(request: ActorRequest, payload: BatchIn) -> Status[dict[str, Any]]:
    """Put everything a provider is owed into a new batch. No money moves yet; a second call finds nothing (409)."""
    request.actor.require(Permission.SETTLEMENT_DRAFT)
    provider = people.providers().filter(credit_code=payload.provider).first()
    if provider is None:
        raise NotFound(field="provider")
    batch = services.draft(actor=request.actor, provider=provider, now=timezone.now())
    return Status(201, _detail(request, batch.number))


@router.post("/{number}/approve", response={200: BatchDetailOut, **problems(404, 409)})
def approve(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Approve as another person than the one who drafted it."""
    services.approve(actor=request.actor, batch=access.get_batch(request.actor, number), now=timezone.now())
    return _detail(request, number)


@router.post("/{number}/pay", response={200: BatchDetailOut, **problems(404, 409)})
def pay(request: ActorRequest, number: Number, payload: PaidIn) -> dict[str, Any]:
    """Record that the treasury has paid an approved batch; the ledger posts it."""
    services.mark_paid(
        actor=request.actor,
        batch=access.get_batch(request.actor, number),
        bank_reference=payload.bank_reference,
        now=timezone.now(),
    )
    return _detail(request, number)


@router.post("/{number}/discard", response={200: BatchDetailOut, **problems(404, 409)})
def discard(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Give a batch up before it is paid; its lines can go into another one."""
    services.discard(actor=request.actor, batch=access.get_batch(request.actor, number), now=timezone.now())
    return _detail(request, number)
