"""Endpoints of orders, their files and their usage lines."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from django.utils import timezone
from ninja import File, Form, Query, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.http import explain_reason
from portal.tables.values import LIMITS
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Day,
    IdempotencyKey,
    Line,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    ReasonOut,
    StrictIn,
    Whole,
    key_from,
    money,
    paged,
    problems,
)
from vouchers.charges.api import ChargeOut, charged
from vouchers.charges.prices import text
from vouchers.evidence import access as evidence
from vouchers.evidence import services as files
from vouchers.evidence.rules import MAX_BYTES
from vouchers.offers import access, importing, orders, queries, rules, usage
from vouchers.offers.api import OrderLineIn, OrderQuoteIn, PricedLineOut, QuantityText, priced, vouchers_of
from vouchers.offers.models import MICRO, Order, UsageLine
from vouchers.offers.prepay_api import OrderAdvanceOut, advance_out

router = Router(tags=["orders"])

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]


class OrderIn(OrderQuoteIn):
    """`purpose` says what for; only the buyer and the provider read it."""

    offer: Number
    purpose: Annotated[Line, Field(min_length=1, max_length=200)]


class OrderOut(Schema):
    """One order. `purpose` and `advance` are told to the buyer and the provider only; `actual` once something was delivered.

    `again_of` is the order that lapsed unpaid, whose late money bought this one.
    """

    number: str
    offer: str
    title: str
    kind: rules.OfferKind
    provider: str
    organisation: str
    purpose: str
    related: bool
    licence: str
    price_version: int
    wanted: list[PricedLineOut]
    delivered: list[PricedLineOut]
    proposed: list[PricedLineOut]
    ruled_at: datetime | None
    actual: MoneyOut | None
    state: rules.OrderState
    state_label: str
    note: str
    charge: ChargeOut | None
    advance: OrderAdvanceOut | None
    again_of: str | None
    placed_at: datetime
    delivered_at: datetime | None
    accept_by: datetime | None
    by_silence: bool


class OrderNoteIn(StrictIn):
    """Why; the other side reads it."""

    note: Annotated[Block, Field(max_length=200)] = ""


class DeliveryIn(OrderNoteIn):
    """What was delivered, if less than ordered; not beside usage lines."""

    quantities: Annotated[list[OrderLineIn], Field(max_length=50)] | None = None


class OrderFileOut(Schema):
    """A file kept with an order."""

    id: int
    purpose: str
    name: str
    size: int
    sha256: str
    uploaded_at: datetime


class UsageLineIn(StrictIn):
    """One line of use. `quantity` in units of the price item; `reference` is the provider's own and says it once."""

    day: Day
    reference: Annotated[Line, Field(min_length=1, max_length=80)]
    code: Annotated[Line, Field(min_length=1, max_length=40)]
    quantity: QuantityText
    model: Annotated[Line, Field(max_length=80)] = ""
    tokens_in: Annotated[Whole, Field(ge=0, le=10**15)] | None = None
    tokens_out: Annotated[Whole, Field(ge=0, le=10**15)] | None = None
    stated: MoneyIn | None = None

    def value(self, at: int) -> usage.UsageValue:
        return usage.UsageValue(
            row=at,
            day=self.day,
            reference=self.reference,
            code=self.code,
            quantity=Fraction(Decimal(self.quantity)),
            model=self.model,
            tokens_in=self.tokens_in,
            tokens_out=self.tokens_out,
            stated=self.stated.value() if self.stated else None,
        )


class UsageLinesIn(StrictIn):
    """At most 5,000 lines a call, taken all or none."""

    lines: Annotated[list[UsageLineIn], Field(min_length=1, max_length=5000)]


class UsageImportOut(Schema):
    """What an import did. `id` is null where every line was known before."""

    id: int | None
    added: int
    known: int


class UsagePreviewOut(Schema):
    """What taking a file would do; with `reasons`, nothing of it can be taken."""

    new: int
    known: int
    before: MoneyOut
    after: MoneyOut
    stated: MoneyOut | None
    waived: MoneyOut
    ignored_columns: list[str]
    reasons: list[ReasonOut]


class UsageLineOut(Schema):
    """One line of use that counts."""

    day: str
    reference: str
    code: str
    quantity: str
    model: str
    tokens_in: int | None
    tokens_out: int | None
    import_id: int


class OrderFilter(Cursor):
    """``?state=placed`` is the provider's queue."""

    state: rules.OrderState | None = None


def _shown(request: ActorRequest, order: Order) -> dict[str, Any]:
    part = access.is_buyer(request.actor, order) or access.is_provider(request.actor, order)
    told = ("number", "related", "licence", "state", "note")
    names = (*told, "placed_at", "delivered_at", "accept_by", "by_silence", "ruled_at")
    return {
        **{name: getattr(order, name) for name in names},
        "offer": order.offer.number,
        "title": order.offer.title,
        "kind": order.offer.kind,
        "provider": order.offer.provider.name,
        "organisation": order.organisation.name,
        "purpose": order.purpose if part else "",
        "price_version": order.price_list.version,
        "wanted": priced(queries.priced(order, queries.lines_of(order.wanted))),
        "proposed": priced(queries.priced(order, queries.lines_of(order.proposed))),
        "delivered": priced(queries.priced(order, queries.lines_of(order.delivered))),
        "actual": None if order.actual_fen is None else money(order.actual_fen),
        "state_label": order.get_state_display(),
        "charge": charged(order.charge, actor=request.actor),
        "advance": advance_out(order) if part else None,
        "again_of": order.again_of.number if order.again_of else None,
    }


def shown_again(request: ActorRequest, number: str) -> dict[str, Any]:
    """Return an order as it is now."""
    return _shown(request, access.get_order(request.actor, number))


@router.post("", response={201: OrderOut, **problems(404, 409)})
def place(request: ActorRequest, payload: OrderIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Order at the list price in force; the price is held until acceptance. 409 carries every reason."""
    wanted = orders.Wanted(
        offer=access.get_offer(request.actor, payload.offer),
        lines=[line.value() for line in payload.lines],
        purpose=payload.purpose,
        related=payload.related,
        vouchers=vouchers_of(request, payload.vouchers),
    )
    made = orders.place(actor=request.actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, shown_again(request, made.number))


@router.get("", response={200: PageOut[OrderOut], **problems()})
def list_orders(request: ActorRequest, wanted: Query[OrderFilter]) -> dict[str, Any]:
    """List the caller's orders, those on its offers, and those paid by its programmes."""
    rows = access.visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, lambda order: _shown(request, order))


@router.get("/{number}", response={200: OrderOut, **problems(404)})
def get_order(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one order."""
    return shown_again(request, number)


def _act(
    request: ActorRequest, number: str, reach: Callable[..., Order], act: Callable[..., object], **more: Any
) -> dict[str, Any]:
    act(actor=request.actor, order=reach(request.actor, number), now=timezone.now(), **more)
    return shown_again(request, number)


@router.post("/{number}/accept", response={200: OrderOut, **problems(404, 409)})
def accept(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take an order on, as the provider."""
    return _act(request, number, access.get_served, orders.accept)


@router.post("/{number}/decline", response={200: OrderOut, **problems(404, 409)})
def decline(request: ActorRequest, number: Number, payload: OrderNoteIn) -> dict[str, Any]:
    """Turn an order down, as the provider, with a reason; everything held is free again."""
    return _act(request, number, access.get_served, orders.decline, note=payload.note)


@router.post("/{number}/cancel", response={200: OrderOut, **problems(404, 409)})
def cancel(request: ActorRequest, number: Number, payload: OrderNoteIn) -> dict[str, Any]:
    """Cancel before delivery begins; everything held is free again."""
    return _act(request, number, access.get_own, orders.cancel, note=payload.note)


@router.post("/{number}/begin", response={200: OrderOut, **problems(404, 409)})
def begin(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Begin delivery, as the provider."""
    return _act(request, number, access.get_served, orders.begin)


@router.post("/{number}/deliver", response={200: OrderOut, **problems(404, 409)})
def deliver(request: ActorRequest, number: Number, payload: DeliveryIn) -> dict[str, Any]:
    """Hand over for acceptance, as the provider; 409 names everything that lacks."""
    stated = None if payload.quantities is None else [line.value() for line in payload.quantities]
    return _act(request, number, access.get_served, orders.deliver, quantities=stated, note=payload.note)


@router.post("/{number}/approve", response={200: OrderOut, **problems(404, 409)})
def approve(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Accept a delivery: the actual price is captured, the rest of what was held is free again."""
    return _act(request, number, access.get_own, orders.approve)


@router.post("/{number}/give-up", response={200: OrderOut, **problems(404, 409)})
def give_up(request: ActorRequest, number: Number, payload: OrderNoteIn) -> dict[str, Any]:
    """Give an order up, as the provider, with a reason; everything held is free again."""
    return _act(request, number, access.get_served, orders.give_up, note=payload.note)


def _file(row: Any) -> dict[str, Any]:
    names = ("purpose", "name", "size", "sha256", "uploaded_at")
    return {"id": row.pk, **{name: getattr(row, name) for name in names}}


@router.get("/{number}/files", response={200: list[OrderFileOut], **problems(404)})
def list_files(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """List the files kept with an order."""
    order = access.get_order(request.actor, number)
    return [_file(row) for row in evidence.files_of(order.subject)]


@router.post("/{number}/files", response={201: OrderFileOut, **problems(404, 409)})
def add_file(
    request: ActorRequest, number: Number, purpose: Form[rules.FilePurpose], file: File[UploadedFile]
) -> Status[dict[str, Any]]:
    """Keep a file with an order (at most 20 MB); the same bytes again change nothing."""
    kept = orders.add_file(
        actor=request.actor,
        order=access.get_order(request.actor, number),
        purpose=purpose.value,
        upload=files.Upload(file.name or "file", file.read(MAX_BYTES + 1)),
        now=timezone.now(),
    )
    return Status(201, _file(kept))


@router.get("/{number}/usage", response={200: PageOut[UsageLineOut], **problems(404)})
def list_usage(request: ActorRequest, number: Number, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the usage lines of an order that count."""
    order = access.get_order(request.actor, number)
    return paged(UsageLine.objects.filter(order=order, active=True), wanted, _usage)


def _usage(row: UsageLine) -> dict[str, Any]:
    return {
        "day": row.day.isoformat(),
        "reference": row.reference,
        "code": row.code,
        "quantity": text(Fraction(row.quantity_micro, MICRO)),
        "model": row.model,
        "tokens_in": row.tokens_in,
        "tokens_out": row.tokens_out,
        "import_id": row.upload_id,
    }


def _imported(done: importing.Imported) -> dict[str, Any]:
    return {"id": done.upload.pk if done.upload else None, "added": done.added, "known": done.known}


@router.post("/{number}/usage", response={200: UsageImportOut, **problems(404, 409)})
def add_usage(request: ActorRequest, number: Number, payload: UsageLinesIn) -> dict[str, Any]:
    """Add usage lines, as the provider; known lines change nothing, a line that differs is a conflict."""
    done = importing.import_lines(
        actor=request.actor,
        order=access.get_served(request.actor, number),
        lines=[line.value(at) for at, line in enumerate(payload.lines, 1)],
        now=timezone.now(),
    )
    return _imported(done)


def _upload(file: UploadedFile) -> files.Upload:
    return files.Upload(file.name or "file", file.read(LIMITS.size + 1))


@router.post("/{number}/usage/preview", response={200: UsagePreviewOut, **problems(404, 409)})
def preview(request: ActorRequest, number: Number, file: File[UploadedFile]) -> dict[str, Any]:
    """Say what taking a file of usage lines (xlsx or CSV, at most 10 MB) would do; writes nothing."""
    order = access.get_served(request.actor, number)
    found = importing.preview_file(order=order, upload=_upload(file), now=timezone.now())
    reasons = [*(problem.reason for problem in found.problems), *found.conflicts]
    return {
        "new": len(found.new),
        "known": found.known,
        "before": money(found.before.amount),
        "after": money(found.after.amount),
        "stated": None if found.stated is None else money(found.stated),
        "waived": money(found.waived),
        "ignored_columns": list(found.ignored),
        "reasons": [explain_reason(reason) for reason in reasons],
    }


@router.post("/{number}/usage/file", response={200: UsageImportOut, **problems(404, 409)})
def import_file(request: ActorRequest, number: Number, file: File[UploadedFile]) -> dict[str, Any]:
    """Take a file of usage lines, all of it or nothing; the same file again changes nothing."""
    order = access.get_served(request.actor, number)
    done = importing.import_file(actor=request.actor, order=order, upload=_upload(file), now=timezone.now())
    return _imported(done)


@router.post("/{number}/usage/imports/{import_id}/withdraw", response={200: UsageImportOut, **problems(404, 409)})
def withdraw_import(request: ActorRequest, number: Number, import_id: Id) -> dict[str, Any]:
    """Withdraw an import as a whole; its lines count no more. Idempotent."""
    order = access.get_served(request.actor, number)
    done = importing.withdraw(actor=request.actor, order=order, upload_id=import_id, now=timezone.now())
    return {"id": done.pk, "added": 0, "known": 0}
