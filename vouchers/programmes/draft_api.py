"""Endpoints of programmes being written: start, read, save, discard, finish."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Cursor,
    Document,
    MoneyIn,
    Number,
    PageOut,
    StrictIn,
    Whole,
    language,
    paged,
    problems,
)
from vouchers.programmes import access, drafts, previews
from vouchers.programmes.api import ProgrammeDetailOut, SectionOut, detail
from vouchers.programmes.longhand import opened
from vouchers.programmes.models import ProgrammeDraft

router = Router(tags=["programmes"])

Revision = Annotated[int, Field(strict=True, ge=1, le=2**31 - 1)]
VersionNumber = Annotated[int, Field(strict=True, ge=1, le=10**6)]


class DraftOut(Schema):
    """A programme being written. `revision` goes up with every save; state the one a change was made on."""

    id: int
    code: str
    name: str
    name_en: str
    revision: int
    started_from: str | None
    edited_by: str
    updated_at: datetime


class DraftProblemOut(Schema):
    """What keeps a draft from being a programme: where (a JSON path), what, and what is allowed there."""

    path: str
    message: str
    allowed: str


class DraftDetailOut(DraftOut):
    """A draft with its document, what it lacks, and what it says so far in the caller's language."""

    document: dict[str, Any]
    problems: list[DraftProblemOut]
    words: list[SectionOut]


class DraftStartIn(StrictIn):
    """Empty, or the version to begin from; without a number the one in force."""

    programme: Number | None = None
    version: VersionNumber | None = None


class SaveIn(StrictIn):
    """The whole document, right or wrong, and the revision it was made on."""

    document: Document
    revision: Revision


class DraftFinishIn(StrictIn):
    """The revision to finish, and the budget that publishing it adds to the pool of `fiscal_year`."""

    revision: Revision
    budget: MoneyIn
    fiscal_year: Whole


def _shown(draft: ProgrammeDraft) -> dict[str, Any]:
    origin = draft.origin
    return {
        "id": draft.pk,
        "code": draft.code,
        "name": draft.name,
        "name_en": draft.name_en,
        "revision": draft.revision,
        "started_from": f"{origin.programme.code} v{origin.number}" if origin else None,
        "edited_by": str(draft.edited_by),
        "updated_at": draft.updated_at,
    }


def _detail(draft: ProgrammeDraft) -> dict[str, Any]:
    tongue = language()
    return {
        **_shown(draft),
        "document": draft.document,
        "problems": [
            {"path": found.path, "message": found.message.say(tongue), "allowed": found.allowed.say(tongue)}
            for found in previews.problems_of(draft.document)
        ],
        "words": [
            {"title": section.title, "sentences": list(section.sentences)}
            for section in previews.describe(draft.document, tongue, catalogue=access.catalogue())
        ],
    }


@router.get("", response={200: PageOut[DraftOut], **problems()})
def list_drafts(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what the caller's department is writing."""
    return paged(access.drafts_of(request.actor), wanted, _shown)


@router.post("", response={201: DraftDetailOut, **problems(404)})
def start_draft(request: ActorRequest, payload: DraftStartIn) -> Status[dict[str, Any]]:
    """Begin a programme, empty or from a version, which itself never changes."""
    origin = access.get_version(request.actor, payload.programme, payload.version) if payload.programme else None
    draft = drafts.start(actor=request.actor, origin=origin, now=timezone.now())
    return Status(201, _detail(access.get_draft(request.actor, draft.pk)))


@router.get("/{draft_id}", response={200: DraftDetailOut, **problems(404)})
def get_draft(request: ActorRequest, draft_id: int) -> dict[str, Any]:
    """Return a draft with its document and everything it still lacks."""
    return _detail(access.get_draft(request.actor, draft_id))


@router.put("/{draft_id}", response={200: DraftDetailOut, **problems(404, 409)})
def save_draft(request: ActorRequest, draft_id: int, payload: SaveIn) -> dict[str, Any]:
    """Store the document as far as it is written. 409 where somebody saved since `revision`."""
    draft = access.get_draft(request.actor, draft_id)
    drafts.save(
        actor=request.actor,
        draft=draft,
        revision=payload.revision,
        document=opened(payload.document),
        now=timezone.now(),
    )
    return _detail(access.get_draft(request.actor, draft_id))


@router.delete("/{draft_id}", response={204: None, **problems(404, 409)})
def discard_draft(request: ActorRequest, draft_id: int, revision: int | None = None) -> Status[None]:
    """Throw a draft away; with `revision`, only if nobody saved since."""
    draft = access.get_draft(request.actor, draft_id)
    known = draft.revision if revision is None else revision
    drafts.discard(actor=request.actor, draft=draft, revision=known, now=timezone.now())
    return Status(204, None)


@router.post("/{draft_id}/finish", response={201: ProgrammeDetailOut, **problems(404, 409)})
def finish_draft(request: ActorRequest, draft_id: int, payload: DraftFinishIn) -> Status[dict[str, Any]]:
    """Make the draft a version, by the rules by which a file is imported. 422 names every problem by its path."""
    version = drafts.finish(
        actor=request.actor,
        draft=access.get_draft(request.actor, draft_id),
        revision=payload.revision,
        budget=payload.budget.value(),
        fiscal_year=payload.fiscal_year,
        now=timezone.now(),
    )
    return Status(201, detail(access.get_version(request.actor, version.programme.code, version.number)))
