"""Endpoints of documents and tax invoices."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Any

from django.db.models import QuerySet
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Day,
    Line,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    money,
    paged,
    problems,
)
from vouchers.invoices import access, documents, issuing, rules, services, taxes
from vouchers.invoices.models import ChargeDocument, Fapiao, SalesTax

router = Router(tags=["documents"])
fapiaos = Router(tags=["fapiao"])


class DocumentOut(Schema):
    """An invoice, receipt or correction of one. `content` is all that stands on it (docs/invoices.md), `sha256` its digest.

    `cancelled_by` is the document that took a receipt back; without one it holds.
    """

    number: str
    kind: rules.DocumentKind
    kind_label: str
    charge: str
    refund: str | None
    cancels: str | None
    cancelled_by: str | None
    made_at: datetime
    sha256: str
    content: dict[str, Any]


class ChargeDocumentsOut(Schema):
    """The documents of one charge, and the kinds that are being made: look again in a minute, or post to have them now."""

    documents: list[DocumentOut]
    being_made: list[rules.DocumentKind]


class DocumentFilter(Cursor):
    """Of one charge, or of one kind."""

    charge: Number | None = None
    kind: rules.DocumentKind | None = None


class BuyerIn(StrictIn):
    """Whom tax invoices name. A special one (``special``, 专票) also wants address, phone, bank and account."""

    title: Annotated[Line, Field(max_length=100)]
    credit_code: Annotated[Line, Field(max_length=24)]
    kind: rules.FapiaoKind = rules.FapiaoKind.NORMAL
    address: Annotated[Line, Field(max_length=200)] = ""
    phone: Annotated[Line, Field(max_length=30)] = ""
    bank: Annotated[Line, Field(max_length=100)] = ""
    account: Annotated[Line, Field(max_length=40)] = ""
    email: Annotated[Line, Field(max_length=120)] = ""

    def value(self) -> rules.Buyer:
        return rules.Buyer(**self.model_dump(exclude={"kind"}), kind=self.kind)


class BuyerOut(Schema):
    """Whom the caller's organisation's tax invoices name: as remembered, else as it is registered."""

    title: str
    credit_code: str
    kind: rules.FapiaoKind
    address: str
    phone: str
    bank: str
    account: str
    email: str


class FapiaoIn(StrictIn):
    """A request for a tax invoice over the own share of a captured charge."""

    charge: Number
    buyer: BuyerIn


class FapiaoIssueIn(StrictIn):
    """What was printed: 20 digits, or for older ones a code of 10 or 12 digits and a number of 8. `amount` is 价税合计."""

    number: Annotated[Line, Field(max_length=40)]
    code: Annotated[Line, Field(max_length=40)] = ""
    issued_on: Day
    amount: MoneyIn


class FapiaoDeclineIn(StrictIn):
    """Why none is issued; the payer reads it."""

    reason: Annotated[Block, Field(max_length=200)]


class FapiaoOut(Schema):
    """A tax invoice asked for. `amount` is 价税合计 without sign; of a red one `original` is the blue one it takes back.

    `red` is what reds ask back of a blue one, `red_issued` what issued ones have taken back; `is_taken_back`: all of it.
    A wrong one is `replaced_by` another. `covers`: the own share, or also what vouchers pay whose programmes say so.
    """

    number: str
    colour: rules.Colour
    state: rules.FapiaoState
    state_label: str
    charge: str
    covers: rules.Covers
    subject: str
    payer: str
    provider: str
    kind: rules.FapiaoKind
    buyer: BuyerOut
    rate: taxes.TaxRate | None
    category: str
    goods: str
    amount: MoneyOut
    tax: MoneyOut | None
    red: MoneyOut
    red_issued: MoneyOut
    original: str | None
    replaces: str | None
    replaced_by: str | None
    is_taken_back: bool
    printed_code: str
    printed_number: str
    printed_on: date | None
    has_file: bool
    reason: str
    asked_at: datetime
    ended_at: datetime | None


class FapiaoFilter(Cursor):
    """``?state=requested`` is the provider's queue."""

    state: rules.FapiaoState | None = None
    charge: Number | None = None


class SalesTaxIn(StrictIn):
    """The tax of one class of services; an empty `service` is for all that have no word of their own."""

    service: Annotated[Line, Field(max_length=24)] = ""
    rate: taxes.TaxRate
    category: Annotated[Line, Field(max_length=30)] = ""
    goods: Annotated[Line, Field(max_length=60)] = ""


class SalesTaxOut(Schema):
    """The tax the caller's organisation states of its sales."""

    service: str
    rate: taxes.TaxRate
    category: str
    goods: str
    changed_at: datetime


def _document(document: ChargeDocument) -> dict[str, Any]:
    return {
        "number": document.number,
        "kind": document.kind,
        "kind_label": document.get_kind_display(),
        "charge": document.charge.number,
        "refund": document.content.get("refund"),
        "cancels": document.cancels.number if document.cancels else None,
        "cancelled_by": cancelled.number if (cancelled := getattr(document, "cancelled_by", None)) else None,
        "made_at": document.made_at,
        "sha256": document.sha256,
        "content": document.content,
    }


def said(fapiao: Fapiao) -> dict[str, Any]:
    """Return a tax invoice as `FapiaoOut` has it."""
    return {
        "number": fapiao.number,
        "colour": fapiao.colour,
        "state": fapiao.state,
        "state_label": fapiao.get_state_display(),
        "charge": fapiao.charge.number,
        "covers": fapiao.covers,
        "subject": fapiao.charge.subject,
        "payer": fapiao.charge.payer.name,
        "provider": fapiao.charge.provider.name,
        "kind": fapiao.kind,
        "buyer": fapiao.buyer,
        "rate": fapiao.rate or None,
        "category": fapiao.category,
        "goods": fapiao.goods,
        "amount": money(fapiao.amount_fen),
        "tax": None if fapiao.tax_fen is None else money(fapiao.tax_fen),
        "red": money(fapiao.red_fen),
        "red_issued": money(fapiao.red_issued_fen),
        "original": fapiao.original.number if fapiao.original else None,
        "replaces": fapiao.replaces.number if fapiao.replaces else None,
        "replaced_by": anew.number if (anew := getattr(fapiao, "replaced_by", None)) else None,
        "is_taken_back": fapiao.is_taken_back,
        "printed_code": fapiao.printed_code,
        "printed_number": fapiao.printed_number,
        "printed_on": fapiao.printed_on,
        "has_file": fapiao.file_id is not None,
        "reason": fapiao.reason,
        "asked_at": fapiao.asked_at,
        "ended_at": fapiao.ended_at,
    }


@router.get("", response={200: PageOut[DocumentOut], **problems()})
def list_documents(request: ActorRequest, wanted: Query[DocumentFilter]) -> dict[str, Any]:
    """List the documents made so far: of the caller's purchases or sales; for finance, all."""
    rows: QuerySet[ChargeDocument] = access.documents_visible_to(request.actor).order_by("-pk")
    if wanted.charge is not None:
        rows = rows.filter(charge__number=wanted.charge)
    if wanted.kind is not None:
        rows = rows.filter(kind=wanted.kind.value)
    return paged(rows, wanted, _document)


@router.get("/{number}", response={200: DocumentOut, **problems(404)})
def get_document(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one document."""
    return _document(access.get_document(request.actor, number))


@router.get("/charges/{number}", response={200: ChargeDocumentsOut, **problems(404)})
def list_charge_documents(request: ActorRequest, number: Number) -> dict[str, Any]:
    """List the documents of a captured charge, and which are being made. Nothing is made by looking."""
    charge = access.get_taken(request.actor, number)
    made = [_document(one) for one in documents.documents_of(charge)]
    return {"documents": made, "being_made": documents.missing_of(charge)}


@router.post("/charges/{number}", response={200: list[DocumentOut], **problems(404, 409)})
def make_documents(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """Return every document a captured charge has by now, making those that are missing; doing so again changes nothing."""
    charge = access.get_taken(request.actor, number)
    made = documents.all_for(actor=request.actor, charge=charge, now=timezone.now())
    return [_document(one) for one in made]


@fapiaos.get("", response={200: PageOut[FapiaoOut], **problems()})
def list_fapiaos(request: ActorRequest, wanted: Query[FapiaoFilter]) -> dict[str, Any]:
    """List tax invoices asked for: of the caller's purchases or sales; for finance, all."""
    rows = access.fapiaos_visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    if wanted.charge is not None:
        rows = rows.filter(charge__number=wanted.charge)
    return paged(rows, wanted, said)


@fapiaos.get("/buyer", response={200: BuyerOut, **problems()})
def get_buyer(request: ActorRequest) -> rules.Buyer:
    """Return whom the caller's organisation's tax invoices name."""
    return services.own_buyer(actor=request.actor)


@fapiaos.put("/buyer", response={200: BuyerOut, **problems(409)})
def put_buyer(request: ActorRequest, payload: BuyerIn) -> rules.Buyer:
    """Remember whom the caller's organisation's tax invoices shall name."""
    services.remember(actor=request.actor, buyer=payload.value(), now=timezone.now())
    return services.own_buyer(actor=request.actor)


@fapiaos.get("/tax", response={200: list[SalesTaxOut], **problems()})
def list_taxes(request: ActorRequest) -> list[SalesTax]:
    """List the tax the caller's organisation states of its sales."""
    return list(access.taxes_of(request.actor))


@fapiaos.put("/tax", response={200: SalesTaxOut, **problems(409)})
def put_tax(request: ActorRequest, payload: SalesTaxIn) -> SalesTax:
    """State the tax of one class of services, for documents and requests made from now on."""
    return services.state_tax(
        actor=request.actor,
        service=payload.service,
        rate=payload.rate,
        category=payload.category,
        goods=payload.goods,
        now=timezone.now(),
    )


@fapiaos.post("", response={201: FapiaoOut, **problems(404, 409)})
def request_fapiao(request: ActorRequest, payload: FapiaoIn) -> Status[dict[str, Any]]:
    """Ask the provider for a tax invoice over the own share; asking again for the same buyer returns the first request."""
    made = services.request(
        actor=request.actor,
        charge=access.get_taken(request.actor, payload.charge),
        buyer=payload.buyer.value(),
        now=timezone.now(),
    )
    return Status(201, _again(request, made.number))


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    return said(access.get_fapiao(request.actor, number))


@fapiaos.get("/{number}", response={200: FapiaoOut, **problems(404)})
def get_fapiao(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one tax invoice asked for."""
    return _again(request, number)


@fapiaos.post("/{number}/withdraw", response={200: FapiaoOut, **problems(404, 409)})
def withdraw_fapiao(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take a request back that the provider has not taken up yet."""
    found = access.get_fapiao(request.actor, number)
    services.withdraw(actor=request.actor, fapiao=found, now=timezone.now())
    return _again(request, number)


@fapiaos.post("/{number}/accept", response={200: FapiaoOut, **problems(404, 409)})
def accept_fapiao(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take a request up, as the seller."""
    found = access.get_fapiao(request.actor, number)
    issuing.accept(actor=request.actor, fapiao=found, now=timezone.now())
    return _again(request, number)


@fapiaos.post("/{number}/decline", response={200: FapiaoOut, **problems(404, 409)})
def decline_fapiao(request: ActorRequest, number: Number, payload: FapiaoDeclineIn) -> dict[str, Any]:
    """Say that none is issued, and why."""
    found = access.get_fapiao(request.actor, number)
    issuing.decline(actor=request.actor, fapiao=found, reason=payload.reason, now=timezone.now())
    return _again(request, number)


@fapiaos.post("/{number}/issue", response={200: FapiaoOut, **problems(404, 409)})
def issue_fapiao(request: ActorRequest, number: Number, payload: FapiaoIssueIn) -> dict[str, Any]:
    """Register what the seller's tax system has printed; its file is handed over at `/fapiao/{number}/file`."""
    printed = rules.Printed(
        number=payload.number, code=payload.code, issued_on=payload.issued_on, amount=payload.amount.value().fen
    )
    found = access.get_fapiao(request.actor, number)
    issuing.issue(actor=request.actor, fapiao=found, printed=printed, now=timezone.now())
    return _again(request, number)
