"""Endpoints of a lab's whole catalogue: its list in, the national platform's columns out."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils import timezone
from ninja import File, Router, Schema, UploadedFile

from portal.http import explain_reason
from portal.wire import ActorRequest, MoneyOut, ReasonOut, money, problems
from scheduler.catalogue import queries, services
from scheduler.resources import access

router = Router(tags=["instruments"])

MOST = 5000


class ListFaultOut(Schema):
    """What is wrong in a row, counted as the spreadsheet shows it."""

    row: int
    column: str
    reason: ReasonOut


class ListLookOut(Schema):
    """What taking a list does: instruments new, changed and the same. Nothing is taken while there are `faults`."""

    new: list[str]
    changed: list[str]
    same: int
    faults: list[ListFaultOut]
    ignored: list[str]


class ReportedOut(Schema):
    """An instrument in the national network platform's columns, choices in the caller's language."""

    number: str
    owner: str
    state: str
    internal_no: str
    name: str
    name_en: str
    kind: str
    category: str
    class_code: str
    model: str
    manufacturer: str
    country: str
    value: MoneyOut
    source: str
    purpose: str
    running_state: str
    share_mode: str
    fields_of_science: str
    in_service_on: date | None
    city: str
    site: str
    attached_to: str
    funding_source: str
    specs: str
    functions: str
    service_content: str
    opening_rules: str
    typical_results: str
    fees: str
    yearly_hours: int
    yearly_service_hours: int
    contact: str
    phone: str
    customs_no: str
    customs_on: date | None
    customs_item: str
    customs_name: str


def _shown(found: services.Look) -> dict[str, Any]:
    return {
        "new": [line.values.internal_no for line in found.new],
        "changed": [line.values.internal_no for line in found.changed],
        "same": found.same,
        "faults": [
            {"row": fault.row, "column": fault.column, "reason": explain_reason(fault.reason)} for fault in found.faults
        ],
        "ignored": list(found.ignored),
    }


def _content(file: UploadedFile) -> bytes:
    """Read one byte more than allowed, never the whole of a flood."""
    return bytes(file.read(services.LIST_LIMITS.size + 1))


@router.post("/import/preview", response={200: ListLookOut, **problems(409)})
def preview(request: ActorRequest, file: File[UploadedFile]) -> dict[str, Any]:
    """Say what taking a list (xlsx or CSV, at most 10 MB and 2,000 rows) would do; writes nothing."""
    return _shown(
        services.look(actor=request.actor, content=_content(file), name=file.name or "file", now=timezone.now())
    )


@router.post("/import", response={200: ListLookOut, **problems(409)})
def take(request: ActorRequest, file: File[UploadedFile]) -> dict[str, Any]:
    """Take a list, all rows or none, matched by the lab's internal numbers. The same list again changes nothing."""
    return _shown(
        services.take(actor=request.actor, content=_content(file), name=file.name or "file", now=timezone.now())
    )


@router.get("/export", response={200: list[ReportedOut], **problems()})
def export(request: ActorRequest) -> list[dict[str, Any]]:
    """Return the caller's own catalogue, drafts included, at most 5,000 instruments."""
    rows = access.own_instruments(request.actor).order_by("pk")[:MOST]
    return [{**line, "value": money(line["value"])} for line in queries.reported(rows, at=timezone.now())]
