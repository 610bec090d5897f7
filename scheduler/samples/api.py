"""Endpoints of sample orders."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Form, Query, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.kernel.money import Money
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
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
from scheduler.resources import access as resources
from scheduler.samples import access, reports, rules, services, testing
from scheduler.samples.models import Sample, SampleOrder
from vouchers.charges.api import ChargeOut, charged
from vouchers.evidence import services as files
from vouchers.evidence.rules import MAX_BYTES
from vouchers.wallets import access as wallet

router = Router(tags=["samples"])

Note = Annotated[Block, Field(max_length=400)]
Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Position = Annotated[int, Field(ge=1, le=rules.MAX_SAMPLES)]


class SampleIn(StrictIn):
    """One sample. `hazards` must be declared; with any but ``none``, `hazard_note` says what and how to act."""

    label: Annotated[Line, Field(min_length=1, max_length=60)]
    material: Annotated[Line, Field(max_length=120)] = ""
    hazards: Annotated[list[rules.Hazard], Field(min_length=1, max_length=10)]
    hazard_note: Note = ""
    return_wanted: Flag = False


class SampleOrderIn(StrictIn):
    """What is to be tested on an instrument; only the two parties read it."""

    instrument: Number
    title: Annotated[Line, Field(min_length=1, max_length=120)]
    wanted: Annotated[Block, Field(min_length=1, max_length=2000)]
    project: Annotated[Line, Field(max_length=120)] = ""
    samples: Annotated[list[SampleIn], Field(min_length=1, max_length=rules.MAX_SAMPLES)]


class CustodyOut(Schema):
    """One link of a chain of custody: what, when, by whom, and where the sample lies since."""

    act: rules.SampleAction
    at: datetime
    place: str
    person: str
    note: str


class SampleOut(Schema):
    """One sample and its chain of custody."""

    position: int
    label: str
    material: str
    hazards: list[rules.Hazard]
    hazard_note: str
    return_wanted: bool
    state: rules.SampleState
    custody: list[CustodyOut]


class ReportOut(Schema):
    """A report: `test` 0 is the first, 1 the first retest."""

    id: int
    test: int
    name: str
    size: int
    sha256: str
    uploaded_at: datetime


class SampleOrderRowOut(Schema):
    """One sample order with its quote and its money."""

    number: str
    instrument: str
    lab: str
    organisation: str
    title: str
    wanted: str
    project: str
    state: rules.SampleOrderState
    state_label: str
    note: str
    unit: str
    unit_price: MoneyOut | None
    quantity: int | None
    surcharge: str
    surcharge_price: MoneyOut
    price: MoneyOut | None
    quoted_until: datetime | None
    counted: int | None
    machine_s: int
    retests: int
    issued_at: datetime | None
    charge: ChargeOut | None
    created_at: datetime


class SampleOrderOut(SampleOrderRowOut):
    """One sample order with its samples and the reports the caller may read."""

    samples: list[SampleOut]
    reports: list[ReportOut]


class SampleNoteIn(StrictIn):
    """Why; the other party reads it."""

    note: Note = ""


class AnswerIn(SampleNoteIn):
    """Whether it can be done; ``needs_method`` and ``cannot`` need a note."""

    feasibility: rules.Feasibility


class SampleQuoteIn(SampleNoteIn):
    """The lab's price for each of `quantity` samples or tests, and for the technical service beside them, if any."""

    unit: rules.QuoteUnit
    unit_price: MoneyIn
    quantity: Annotated[Whole, Field(ge=1, le=10_000)]
    surcharge: Annotated[Line, Field(max_length=120)] = ""
    surcharge_price: MoneyIn | None = None


class AcceptIn(StrictIn):
    """`price` is the one seen, so that a changed quote is not accepted unseen; none of `vouchers`: all is paid oneself."""

    price: MoneyIn
    vouchers: Annotated[list[Number], Field(max_length=10)] = []


class HandlingIn(SampleNoteIn):
    """One act on one sample: where it lies since; a rejection or disposal says why."""

    act: rules.SampleAction
    place: Annotated[Line, Field(max_length=120)] = ""


class SampleFilter(Cursor):
    """``?state=requested`` is what the lab has to answer."""

    state: rules.SampleOrderState | None = None


def _sample(sample: Sample) -> dict[str, Any]:
    names = ("position", "label", "material", "hazards", "hazard_note", "return_wanted", "state")
    links = [
        {"act": link.act, "at": link.at, "place": link.place, "person": str(link.person or ""), "note": link.note}
        for link in sample.custody.all()
    ]
    return {**{name: getattr(sample, name) for name in names}, "custody": links}


def _row(request: ActorRequest, order: SampleOrder) -> dict[str, Any]:
    names = (
        "number",
        "title",
        "wanted",
        "project",
        "state",
        "note",
        "unit",
        "quantity",
        "surcharge",
        "quoted_until",
        "retests",
    )
    issued = access.is_lab(request.actor, order) or order.state in reports.ISSUED
    return {
        **{name: getattr(order, name) for name in (*names, "issued_at", "created_at")},
        "counted": order.counted if issued else None,
        "machine_s": order.machine_s if issued else 0,
        "instrument": order.resource.number,
        "lab": order.resource.owner.name,
        "organisation": order.organisation.name,
        "state_label": order.get_state_display(),
        "unit_price": None if order.unit_price_fen is None else money(order.unit_price_fen),
        "surcharge_price": money(order.surcharge_fen),
        "price": None if order.price_fen is None else money(order.price_fen),
        "charge": charged(order.charge, actor=request.actor),
    }


def _shown(request: ActorRequest, order: SampleOrder) -> dict[str, Any]:
    return {
        **_row(request, order),
        "samples": [_sample(sample) for sample in order.samples.prefetch_related("custody__person")],
        "reports": [
            {
                "id": file.pk,
                "test": int(file.purpose.removeprefix("report-")),
                **{name: getattr(file, name) for name in ("name", "size", "sha256", "uploaded_at")},
            }
            for file in reports.reports_for(request.actor, order)
        ],
    }


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    return _shown(request, access.get_order(request.actor, number))


def _act(
    request: ActorRequest, number: str, reach: Callable[..., SampleOrder], act: Callable[..., object], **more: Any
) -> dict[str, Any]:
    act(actor=request.actor, order=reach(request.actor, number), now=timezone.now(), **more)
    return _again(request, number)


@router.post("", response={201: SampleOrderOut, **problems(404, 409)})
def request_tests(request: ActorRequest, payload: SampleOrderIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Ask a lab to test samples; nothing is held before its quote is accepted. 409 carries every reason."""
    wanted = services.Wanted(
        resource=resources.get_instrument(request.actor, payload.instrument),
        title=payload.title,
        wanted=payload.wanted,
        project=payload.project,
        samples=[
            services.Declared(
                label=one.label,
                material=one.material,
                hazards=[hazard.value for hazard in one.hazards],
                hazard_note=one.hazard_note,
                return_wanted=one.return_wanted,
            )
            for one in payload.samples
        ],
    )
    made = services.request(actor=request.actor, wanted=wanted, now=timezone.now(), key=key_from(key))
    return Status(201, _again(request, made.number))


@router.get("", response={200: PageOut[SampleOrderRowOut], **problems()})
def list_orders(request: ActorRequest, wanted: Query[SampleFilter]) -> dict[str, Any]:
    """List the caller's own sample orders and those on its instruments."""
    rows = access.visible_to(request.actor)
    if wanted.state is not None:
        rows = rows.filter(state=wanted.state.value)
    return paged(rows, wanted, lambda order: _row(request, order))


@router.get("/{number}", response={200: SampleOrderOut, **problems(404)})
def get_order(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one sample order."""
    return _again(request, number)


@router.post("/{number}/answer", response={200: SampleOrderOut, **problems(404, 409)})
def answer(request: ActorRequest, number: Number, payload: AnswerIn) -> dict[str, Any]:
    """Say, as the lab, whether the tests can be done."""
    said = {"feasibility": payload.feasibility, "note": payload.note}
    return _act(request, number, access.get_served, services.answer, **said)


@router.post("/{number}/quote", response={200: SampleOrderOut, **problems(404, 409)})
def quote(request: ActorRequest, number: Number, payload: SampleQuoteIn) -> dict[str, Any]:
    """Name the price, as the lab; again until it is accepted."""
    extra = payload.surcharge_price.value() if payload.surcharge_price else Money(0)
    price = services.Quote(
        payload.unit, payload.unit_price.value(), payload.quantity, payload.note, payload.surcharge, extra
    )
    return _act(request, number, access.get_served, services.quote, quote=price)


@router.post("/{number}/accept", response={200: SampleOrderOut, **problems(404, 409)})
def accept(request: ActorRequest, number: Number, payload: AcceptIn) -> dict[str, Any]:
    """Accept the quote, as the enterprise: the price is held."""
    vouchers = wallet.get_vouchers(request.actor, payload.vouchers)
    seen: Money = payload.price.value()
    return _act(request, number, access.get_own, services.accept, seen_fen=seen.fen, vouchers=vouchers)


@router.post("/{number}/cancel", response={200: SampleOrderOut, **problems(404, 409)})
def cancel(request: ActorRequest, number: Number, payload: SampleNoteIn) -> dict[str, Any]:
    """Cancel, as the enterprise, before the lab has the samples; everything held is free again."""
    return _act(request, number, access.get_own, services.cancel, note=payload.note)


@router.post("/{number}/samples/{position}", response={200: SampleOrderOut, **problems(404, 409)})
def handle(request: ActorRequest, number: Number, position: Position, payload: HandlingIn) -> dict[str, Any]:
    """Receive, reject, move, return or dispose of one sample, as the lab; the chain of custody grows by one link."""
    sample = access.get_sample(access.get_served(request.actor, number), position)
    handling = testing.Handling(payload.act, payload.place, payload.note)
    testing.handle(actor=request.actor, sample=sample, handling=handling, now=timezone.now())
    return _again(request, number)


@router.post("/{number}/resend", response={200: SampleOrderOut, **problems(404, 409)})
def resend(request: ActorRequest, number: Number, payload: SampleNoteIn) -> dict[str, Any]:
    """Send samples again after all were rejected, as the enterprise."""
    return _act(request, number, access.get_own, testing.resend, note=payload.note)


@router.post("/{number}/queue", response={200: SampleOrderOut, **problems(404, 409)})
def queue(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Queue received samples, as the lab."""
    return _act(request, number, access.get_served, testing.queue)


@router.post("/{number}/start", response={200: SampleOrderOut, **problems(404, 409)})
def start(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Begin testing, as the lab."""
    return _act(request, number, access.get_served, testing.start)


@router.post("/{number}/draft", response={200: SampleOrderOut, **problems(404, 409)})
def draft(
    request: ActorRequest,
    number: Number,
    counted: Form[Annotated[int, Field(ge=1, le=10_000)]],
    report: File[UploadedFile],
    machine_s: Form[Annotated[int, Field(ge=0, le=10**8)]] = 0,
) -> dict[str, Any]:
    """Draft the result, as the lab: the report (at most 20 MB), what is billed of the quote, machine seconds."""
    upload = files.Upload(report.name or "file", report.read(MAX_BYTES + 1))
    said = testing.Draft(report=upload, counted=counted, machine_s=machine_s)
    return _act(request, number, access.get_served, testing.draft, draft=said)


@router.post("/{number}/review", response={200: SampleOrderOut, **problems(404, 409)})
def review(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Approve a drafted result, as another person than its drafter."""
    return _act(request, number, access.get_served, testing.review)


@router.post("/{number}/send-back", response={200: SampleOrderOut, **problems(404, 409)})
def send_back(request: ActorRequest, number: Number, payload: SampleNoteIn) -> dict[str, Any]:
    """Send a drafted result back to testing, as another person than its drafter, with a reason."""
    return _act(request, number, access.get_served, testing.send_back, note=payload.note)


@router.post("/{number}/issue", response={200: SampleOrderOut, **problems(404, 409)})
def issue(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Issue the reviewed report: the enterprise sees it from now on."""
    return _act(request, number, access.get_served, testing.issue)


@router.post("/{number}/retest", response={200: SampleOrderOut, **problems(404, 409)})
def retest(request: ActorRequest, number: Number, payload: SampleNoteIn) -> dict[str, Any]:
    """Ask for the tests to be done again, as the enterprise, before billing, with a reason."""
    return _act(request, number, access.get_own, testing.retest, note=payload.note)


@router.post("/{number}/bill", response={200: SampleOrderOut, **problems(404, 409)})
def bill(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Accept the report and settle: the enterprise at any time, the lab after seven days without an answer."""
    return _act(request, number, access.get_order, testing.bill)


@router.get("/{number}/reports/{file_id}", response={200: bytes, **problems(404)})
def get_report(request: ActorRequest, number: Number, file_id: Id) -> HttpResponse:
    """Return the bytes of a report the caller may read."""
    order = access.get_order(request.actor, number)
    file = reports.get_report(request.actor, order, file_id)
    response = HttpResponse(files.read(file=file), content_type=file.media_type)
    response["X-Content-Type-Options"] = "nosniff"
    response["Cache-Control"] = "private, no-store"
    return response
