"""Endpoints of the pictures and documents beside an instrument."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any

from django.http import HttpResponse
from django.utils import timezone
from ninja import File, Form, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.wire import ActorRequest, Line, Number, StrictIn, problems
from scheduler.catalogue import access, files, rules
from scheduler.catalogue.models import InstrumentFile
from scheduler.resources import access as resources
from vouchers.evidence import services as evidence
from vouchers.evidence.models import EvidenceFile
from vouchers.evidence.rules import MAX_BYTES

router = Router(tags=["instruments"])

Id = Annotated[int, Field(ge=1, le=2**63 - 1)]
Words = Annotated[Line, Field(min_length=1, max_length=rules.MOST_WORDS)]
WordsEn = Annotated[Line, Field(max_length=rules.MOST_WORDS_EN)]


class InstrumentFileOut(Schema):
    """A picture or document. `words` is a picture's alternative text or a document's title, in both languages."""

    id: int
    purpose: rules.FilePurpose
    purpose_label: str
    words: str
    words_en: str
    valid_until: date | None
    name: str
    media_type: str
    size: int


class InstrumentFileIn(StrictIn):
    """What a file is. `valid_until` is the last valid day of a calibration certificate, of nothing else."""

    purpose: rules.FilePurpose
    words: Words
    words_en: WordsEn = ""
    valid_until: date | None = None


class InstrumentFileWordsIn(StrictIn):
    """What a file says of itself from now on."""

    words: Words
    words_en: WordsEn = ""
    valid_until: date | None = None


class InstrumentFileOrderIn(StrictIn):
    """Every file of a purpose once, in the order they are to stand."""

    purpose: rules.FilePurpose = rules.FilePurpose.PICTURE
    files: Annotated[list[Id], Field(max_length=60)]


def _shown(file: InstrumentFile) -> dict[str, Any]:
    names = ("purpose", "words", "words_en", "valid_until")
    return {
        **{name: getattr(file, name) for name in names},
        "id": file.pk,
        "purpose_label": file.get_purpose_display(),
        "name": file.kept.name,
        "media_type": file.kept.media_type,
        "size": file.kept.size,
    }


def _bytes(file: EvidenceFile) -> HttpResponse:
    response = HttpResponse(evidence.read(file=file), content_type=file.media_type)
    response["X-Content-Type-Options"] = "nosniff"
    response["Content-Disposition"] = "attachment"
    response["Cache-Control"] = "private, no-store"
    return response


@router.get("/{number}/files", response={200: list[InstrumentFileOut], **problems(404)})
def list_files(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """List the pictures and documents of an instrument the caller may see, in the lab's order."""
    resource = resources.get_instrument(request.actor, number)
    return [_shown(file) for file in access.files_of(resource)]


@router.post("/{number}/files", response={201: InstrumentFileOut, **problems(404, 409)})
def add_file(
    request: ActorRequest, number: Number, payload: Form[InstrumentFileIn], file: File[UploadedFile]
) -> Status[dict[str, Any]]:
    """Keep a file: a picture (JPEG, PNG, WebP, at most 10 MB, made anew without metadata) or a document (20 MB)."""
    made = files.add(
        actor=request.actor,
        resource=resources.get_own_instrument(request.actor, number),
        about=rules.About(**payload.model_dump()),
        upload=evidence.Upload(file.name or "file", file.read(MAX_BYTES + 1)),
        now=timezone.now(),
    )
    return Status(201, _shown(made))


@router.put("/{number}/files/order", response={200: list[InstrumentFileOut], **problems(404, 409)})
def arrange_files(request: ActorRequest, number: Number, payload: InstrumentFileOrderIn) -> list[dict[str, Any]]:
    """Put the files of a purpose in order; the first picture stands for the instrument in lists."""
    resource = resources.get_own_instrument(request.actor, number)
    files.arrange(
        actor=request.actor,
        resource=resource,
        purpose=payload.purpose,
        file_ids=payload.files,
        now=timezone.now(),
    )
    return [_shown(file) for file in access.files_of(resource)]


@router.put("/{number}/files/{file_id}", response={200: InstrumentFileOut, **problems(404, 409)})
def describe_file(request: ActorRequest, number: Number, file_id: Id, payload: InstrumentFileWordsIn) -> dict[str, Any]:
    """Replace what a file says of itself."""
    resource = resources.get_own_instrument(request.actor, number)
    known = access.get_file(resource, file_id)
    about = rules.About(rules.FilePurpose(known.purpose), **payload.model_dump())
    return _shown(
        files.describe(actor=request.actor, resource=resource, file_id=file_id, about=about, now=timezone.now())
    )


@router.delete("/{number}/files/{file_id}", response={204: None, **problems(404)})
def remove_file(request: ActorRequest, number: Number, file_id: Id) -> Status[None]:
    """Take a file off the instrument's page; it stays on record."""
    resource = resources.get_own_instrument(request.actor, number)
    files.remove(actor=request.actor, resource=resource, file_id=file_id, now=timezone.now())
    return Status(204, None)


@router.get("/{number}/files/{file_id}", response={200: bytes, **problems(404)})
def get_file(request: ActorRequest, number: Number, file_id: Id) -> HttpResponse:
    """Return the bytes of a file of an instrument the caller may see, as a download."""
    return _bytes(access.get_file(resources.get_instrument(request.actor, number), file_id).kept)


@router.get("/{number}/files/{file_id}/small", response={200: bytes, **problems(404)})
def get_small(request: ActorRequest, number: Number, file_id: Id) -> HttpResponse:
    """Return the small copy of a picture, at most 320 pixels long; of a document nothing (404)."""
    return _bytes(access.get_small(resources.get_instrument(request.actor, number), file_id))
