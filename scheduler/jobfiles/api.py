"""Endpoints of files and secrets for jobs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import File, Query, Router, Schema, Status, UploadedFile
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Cursor,
    IdempotencyKey,
    Line,
    Number,
    PageOut,
    StrictIn,
    Text,
    Whole,
    key_from,
    paged,
    problems,
)
from scheduler.jobfiles import access, rules, services
from scheduler.jobfiles.models import JobSecret, JobUpload

router = Router(tags=["jobs"])
secrets_router = Router(tags=["jobs"])


class JobUploadIn(StrictIn):
    """A file to come: its name, its size in bytes and, to have it compared, its SHA-256 in lower-case hexadecimal."""

    name: Annotated[Line, Field(min_length=1, max_length=255)]
    size: Annotated[Whole, Field(ge=0, le=2**53)]
    sha256: Annotated[Line, Field(max_length=64)] = ""


class JobUploadOut(Schema):
    """A file kept for jobs. Send the next piece from `received`, at most `chunk_bytes` at a time."""

    number: str
    name: str
    state: rules.UploadState
    size: int
    received: int
    chunk_bytes: int
    sha256: str
    created_at: datetime


class JobUploadOffset(Schema):
    """Where in the file a piece begins."""

    offset: Annotated[int, Field(ge=0, le=2**53)]


class JobSecretIn(StrictIn):
    """A value for one job: it becomes a file of this name that only the job can read."""

    name: Annotated[Line, Field(min_length=1, max_length=120)]
    value: Annotated[Text, Field(min_length=1, max_length=rules.MAX_SECRET_BYTES)]


class JobSecretOut(Schema):
    """A secret not used yet. Its value is never shown again."""

    number: str
    name: str
    size: int
    created_at: datetime


def _upload(row: JobUpload) -> dict[str, Any]:
    names = ("number", "name", "state", "size", "received", "sha256", "created_at")
    return {**{name: getattr(row, name) for name in names}, "chunk_bytes": rules.CHUNK_BYTES}


def _secret(row: JobSecret) -> dict[str, Any]:
    return {name: getattr(row, name) for name in ("number", "name", "size", "created_at")}


@router.get("", response={200: PageOut[JobUploadOut], **problems()})
def list_job_uploads(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the files the caller's organisation keeps for its jobs."""
    return paged(access.uploads_visible_to(request.actor), wanted, _upload)


@router.post("", response={201: JobUploadOut, **problems(409)})
def begin_job_upload(request: ActorRequest, payload: JobUploadIn, key: IdempotencyKey) -> Status[dict[str, Any]]:
    """Announce a file; then send its pieces. The same key gives the same upload back, with what has arrived."""
    row = services.begin(
        actor=request.actor,
        name=payload.name,
        size=payload.size,
        sha256=payload.sha256,
        key=key_from(key),
        now=timezone.now(),
    )
    return Status(201, _upload(row))


@router.get("/{number}", response={200: JobUploadOut, **problems(404)})
def get_job_upload(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one upload: `received` is where to go on after a broken connection."""
    return _upload(access.get_upload(request.actor, number))


@router.post("/{number}/chunks", response={200: JobUploadOut, **problems(404, 409)})
def send_job_chunk(
    request: ActorRequest, number: Number, wanted: Query[JobUploadOffset], chunk: File[UploadedFile]
) -> dict[str, Any]:
    """Send the piece at `offset`, at most 4 MiB. ``jobfile.offset`` says in its data where to go on."""
    data = chunk.read(rules.CHUNK_BYTES + 1)
    row = access.get_upload(request.actor, number)
    return _upload(
        services.receive(actor=request.actor, upload=row, offset=wanted.offset, data=data, now=timezone.now())
    )


@router.delete("/{number}", response={204: None, **problems(404, 409)})
def discard_job_upload(request: ActorRequest, number: Number) -> Status[None]:
    """Forget a file. One that a job still has to get stays."""
    services.discard(actor=request.actor, upload=access.get_upload(request.actor, number), now=timezone.now())
    return Status(204, None)


@secrets_router.get("", response={200: PageOut[JobSecretOut], **problems()})
def list_job_secrets(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List the secrets not used yet, without their values."""
    return paged(access.secrets_visible_to(request.actor), wanted, _secret)


@secrets_router.post("", response={201: JobSecretOut, **problems(409)})
def keep_job_secret(request: ActorRequest, payload: JobSecretIn) -> Status[dict[str, Any]]:
    """Keep a value for one job, encrypted. It is erased when the job has ended, or after a day without one."""
    row = services.keep_secret(actor=request.actor, name=payload.name, value=payload.value, now=timezone.now())
    return Status(201, _secret(row))


@secrets_router.delete("/{number}", response={204: None, **problems(404, 409)})
def erase_job_secret(request: ActorRequest, number: Number) -> Status[None]:
    """Erase a secret nobody has used."""
    services.erase_secret(actor=request.actor, secret=access.get_secret(request.actor, number), now=timezone.now())
    return Status(204, None)
