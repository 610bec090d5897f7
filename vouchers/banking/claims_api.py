"""Endpoints of bank references that a person said by hand what they are for, for finance: find one, release a mistyped one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.kernel.actors import Permission
from portal.wire import ActorRequest, Block, Cursor, Line, PageOut, StrictIn, paged, problems
from vouchers.banking import access, releasing
from vouchers.banking.models import BankClaim
from vouchers.banking.schemas import Id

router = Router(tags=["bank statements"])


class BankClaimOut(Schema):
    """`subject` is what the reference is for: ``in:`` or ``back:`` and a payment, ``batch:`` or ``order:`` and its number.

    `doubt` says why it is wrong, by the word of `doubter`, `right` what it should be; once released it is for nothing.
    """

    id: int
    reference: str
    subject: str
    claimed_at: datetime
    doubt: str
    doubter: str
    right: str
    released_at: datetime | None


class BankClaimFilter(Cursor):
    q: Annotated[Line, Field(max_length=60)] = ""
    """A reference, or the number of what it is for."""
    doubted: bool = False
    """Only those that wait for a second person."""


class BankClaimDoubtIn(StrictIn):
    """Why the reference is wrong, and the right one where it is known."""

    note: Annotated[Block, Field(max_length=200)]
    right: Annotated[Line, Field(max_length=60)] = ""


def _shown(found: BankClaim) -> dict[str, Any]:
    names = ("reference", "subject", "claimed_at", "doubt", "doubter", "right", "released_at")
    return {"id": found.pk, **{name: getattr(found, name) for name in names}}


@router.get("", response={200: PageOut[BankClaimOut], **problems()})
def list_claims(request: ActorRequest, wanted: Query[BankClaimFilter]) -> dict[str, Any]:
    """List references said by hand, newest first."""
    access.require_finance(request.actor)
    return paged(access.claims_like(request.actor, wanted.q, doubted=wanted.doubted), wanted, _shown)


@router.get("/{claim_id}", response={200: BankClaimOut, **problems(404)})
def get_claim(request: ActorRequest, claim_id: Id) -> dict[str, Any]:
    """Return one."""
    return _shown(access.get_claim(request.actor, claim_id))


@router.post("/{claim_id}/doubt", response={200: BankClaimOut, **problems(404, 409)})
def doubt_claim(request: ActorRequest, claim_id: Id, payload: BankClaimDoubtIn) -> dict[str, Any]:
    """Say that a reference was mistyped, and why; a second person releases it."""
    request.actor.require(Permission.BANK_MATCH)
    found = access.get_claim(request.actor, claim_id)
    now = timezone.now()
    return _shown(releasing.doubt(actor=request.actor, claim=found, reason=payload.note, right=payload.right, now=now))


@router.post("/{claim_id}/stand", response={200: BankClaimOut, **problems(404, 409)})
def let_claim_stand(request: ActorRequest, claim_id: Id) -> dict[str, Any]:
    """Let a doubted reference stand."""
    found = access.get_claim(request.actor, claim_id)
    return _shown(releasing.stand(actor=request.actor, claim=found, now=timezone.now()))


@router.post("/{claim_id}/release", response={200: BankClaimOut, **problems(404, 409)})
def release_claim(request: ActorRequest, claim_id: Id) -> dict[str, Any]:
    """Release a doubted reference as a second person; what it was said to be for stands as it was."""
    found = access.get_claim(request.actor, claim_id)
    return _shown(releasing.release(actor=request.actor, claim=found, now=timezone.now()))
