"""Endpoints of the provider's desk of tax invoices: files, numbers as a table, and wrong ones issued anew."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Annotated, Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.http import explain, explain_reason
from portal.kernel.errors import NotFound
from portal.tables.values import LIMITS
from portal.wire import ActorRequest, Block, MoneyOut, Number, ReasonOut, StrictIn, money, problems
from vouchers.evidence import services as evidence
from vouchers.evidence.rules import MAX_BYTES
from vouchers.invoices import access, importing, issuing, replacing
from vouchers.invoices.api import BuyerIn, FapiaoOut, said

router = Router(tags=["fapiao"])


class FapiaoReissueIn(StrictIn):
    """Whom the right one names, and what is wrong with the first; the payer reads it."""

    buyer: BuyerIn
    reason: Annotated[Block, Field(max_length=200)]


class FapiaoReissuedOut(Schema):
    """The wrong one, the red one that takes it back, and the one that takes its place: to be issued in that order."""

    original: FapiaoOut
    red: FapiaoOut
    anew: FapiaoOut


class FapiaoRowVerdict(StrEnum):
    """What a row of a table would do, or has done."""

    READY = "ready"
    SAME = "same"
    REGISTERED = "registered"
    REFUSED = "refused"


class FapiaoRowOut(Schema):
    """One row, by its number in the file. `reasons` holds everything that speaks against it."""

    row: int
    request: str
    printed_number: str
    amount: MoneyOut | None
    verdict: FapiaoRowVerdict
    reasons: list[ReasonOut]


class FapiaoTableOut(Schema):
    """What became of a table, row by row."""

    ready: int
    same: int
    registered: int
    refused: int
    rows: list[FapiaoRowOut]


def _row(found: importing.Found, verdict: FapiaoRowVerdict, reasons: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "row": found.row,
        "request": found.request,
        "printed_number": found.printed.number if found.printed else "",
        "amount": money(found.printed.amount) if found.printed else None,
        "verdict": verdict,
        "reasons": reasons,
    }


def _table(rows: list[dict[str, Any]]) -> dict[str, Any]:
    counts = Counter(row["verdict"] for row in rows)
    return {**{verdict.value: counts[verdict] for verdict in FapiaoRowVerdict}, "rows": rows}


def _looked(found: importing.Found) -> dict[str, Any]:
    verdict = FapiaoRowVerdict.READY if found.is_ready else FapiaoRowVerdict.SAME
    reasons = [explain_reason(reason) for reason in found.reasons]
    return _row(found, FapiaoRowVerdict.REFUSED if reasons else verdict, reasons)


def _check(request: ActorRequest, file: UploadedFile) -> list[importing.Found]:
    content = file.read(LIMITS.size + 1)
    return importing.check(actor=request.actor, content=content, name=file.name or "file", now=timezone.now())


@router.post("/import/preview", response={200: FapiaoTableOut, **problems(409)})
def preview_import(request: ActorRequest, file: File[UploadedFile]) -> dict[str, Any]:
    """Say row by row what taking a table of issued numbers (xlsx or CSV, at most 10 MB) would do; writes nothing."""
    return _table([_looked(one) for one in _check(request, file)])


@router.post("/import", response={200: FapiaoTableOut, **problems(409)})
def import_table(request: ActorRequest, file: File[UploadedFile]) -> dict[str, Any]:
    """Register the rows that are right, each by itself, and say of the others why not; the same file again is `same`."""
    rows = []
    for one in importing.register(actor=request.actor, rows=_check(request, file), now=timezone.now()):
        if one.error is None:
            rows.append(
                _row(one.found, FapiaoRowVerdict.SAME if one.found.is_same else FapiaoRowVerdict.REGISTERED, [])
            )
        else:
            rows.append(_row(one.found, FapiaoRowVerdict.REFUSED, list(explain(one.error).reasons)))
    return _table(rows)


@router.post("/{number}/file", response={201: FapiaoOut, **problems(404, 409)})
def upload_file(request: ActorRequest, number: Number, file: File[UploadedFile]) -> Status[dict[str, Any]]:
    """Hand over the PDF, OFD or XML (at most 20 MB) of an issued one, as its provider; the same again changes nothing."""
    issuing.attach(
        actor=request.actor,
        fapiao=access.get_fapiao(request.actor, number),
        upload=evidence.Upload(file.name or "file", file.read(MAX_BYTES + 1)),
        now=timezone.now(),
    )
    return Status(201, said(access.get_fapiao(request.actor, number)))


@router.get("/{number}/file", response={200: bytes, **problems(404)})
def get_file(request: ActorRequest, number: Number) -> HttpResponse:
    """Return the file of an issued one, as a download."""
    found = access.get_fapiao(request.actor, number)
    if found.file is None:
        raise NotFound
    response = HttpResponse(evidence.read(file=found.file), content_type="application/octet-stream")
    response["Content-Disposition"] = "attachment"
    return response


@router.post("/{number}/reissue", response={201: FapiaoReissuedOut, **problems(404, 409)})
def reissue(request: ActorRequest, number: Number, payload: FapiaoReissueIn) -> Status[dict[str, Any]]:
    """Take a wrong issued one back whole in red and ask for it anew, as its provider; again with the same returns the same."""
    done = replacing.reissue(
        actor=request.actor,
        fapiao=access.get_fapiao(request.actor, number),
        buyer=payload.buyer.value(),
        reason=payload.reason,
        now=timezone.now(),
    )
    parts = {"original": done.original, "red": done.red, "anew": done.anew}
    return Status(201, {name: said(access.get_fapiao(request.actor, one.number)) for name, one in parts.items()})
