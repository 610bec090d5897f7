"""Endpoints of what a job was given and of what it left."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.http import HttpResponseBase
from ninja import Query, Router, Schema
from pydantic import Field

from portal.wire import ActorRequest, Number, problems
from scheduler.jobs import access, outputs

router = Router(tags=["jobs"])


class JobInputOut(Schema):
    """A file or secret a job was given. `number` is the upload's or the secret's."""

    path: str
    number: str
    secret: bool
    size: int
    sha256: str
    staged_at: datetime | None


class JobOutputOut(Schema):
    """A file of the job's directory."""

    path: str
    size: int
    modified_at: datetime


class JobOutputWanted(Schema):
    """Which file, by its path as listed."""

    path: Annotated[str, Field(min_length=1, max_length=4000)]


@router.get("/{number}/files", response={200: list[JobInputOut], **problems(404)})
def list_job_inputs(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """List what the job was given: files, and secrets by name only."""
    job = access.get_job(request.actor, number)
    found = []
    for file in job.files.select_related("upload", "secret").defer("secret__sealed"):
        thing = file.upload or file.secret
        assert thing is not None
        found.append(
            {
                "path": file.path,
                "number": thing.number,
                "secret": file.secret_id is not None,
                "size": thing.size,
                "sha256": file.upload.sha256 if file.upload else "",
                "staged_at": file.staged_at,
            }
        )
    return found


@router.get("/{number}/outputs", response={200: list[JobOutputOut], **problems(404, 409, 502)})
def list_job_outputs(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """List what the job's directory holds, at most 1,000 files; its secrets are left out."""
    entries = outputs.listed(access.get_job(request.actor, number))
    return [{"path": entry.path, "size": entry.size, "modified_at": entry.modified_at} for entry in entries]


@router.get("/{number}/outputs/content", response={200: bytes, 206: bytes, 416: bytes, **problems(404, 409, 502)})
def get_job_output(request: ActorRequest, number: Number, wanted: Query[JobOutputWanted]) -> HttpResponseBase:
    """Return a file as a download. One ``Range`` of bytes is answered, so that a broken download goes on."""
    return outputs.handed_out(
        access.get_job(request.actor, number),
        wanted.path,
        asked=request.headers.get("Range", ""),
        unless=request.headers.get("If-Range", ""),
    )
