"""Endpoints of flags."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.wire import ActorRequest, Block, Cursor, PageOut, StrictIn, paged, problems
from vouchers.flags import access, services
from vouchers.flags.models import Flag
from vouchers.flags.rules import FlagAction, FlagState, Pattern

router = Router(tags=["flags"])


class FlagOut(Schema):
    """What a control noticed on a case. `facts` are ``{"said", "params", "rows": [[what, of, expected, found], …]}``."""

    id: int
    subject: str
    pattern: Pattern
    pattern_label: str
    state: FlagState
    state_label: str
    facts: dict[str, Any]
    raised_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    reason: str


class FlagFilter(Cursor):
    """``?state=open`` is what waits for a check."""

    state: FlagState | None = None
    pattern: Pattern | None = None


class FlagIn(StrictIn):
    """The finding and what it rests on."""

    action: FlagAction
    reason: Annotated[Block, Field(max_length=500)]


def _shown(flag: Flag) -> dict[str, Any]:
    return {
        "id": flag.pk,
        "subject": flag.subject,
        "pattern": flag.pattern,
        "pattern_label": flag.get_pattern_display(),
        "state": flag.state,
        "state_label": flag.get_state_display(),
        "facts": flag.facts,
        "raised_at": flag.raised_at,
        "decided_by": str(flag.decided_by) if flag.decided_by else None,
        "decided_at": flag.decided_at,
        "reason": flag.reason,
    }


@router.get("", response={200: PageOut[FlagOut], **problems()})
def list_flags(request: ActorRequest, wanted: Query[FlagFilter]) -> dict[str, Any]:
    """List what the controls noticed in the caller's department; an auditor sees all."""
    flags = access.visible_to(request.actor)
    if wanted.state:
        flags = flags.filter(state=wanted.state.value)
    if wanted.pattern:
        flags = flags.filter(pattern=wanted.pattern.value)
    return paged(flags, wanted, show=_shown)


@router.get("/{flag_id}", response={200: FlagOut, **problems(404)})
def get_flag(request: ActorRequest, flag_id: int) -> dict[str, Any]:
    """Return one flag with the facts side by side."""
    return _shown(access.get_flag(request.actor, flag_id))


@router.post("/{flag_id}/decide", response={200: FlagOut, **problems(404, 409)})
def decide(request: ActorRequest, flag_id: int, payload: FlagIn) -> dict[str, Any]:
    """Clear, confirm or reopen a flag, with the reason; nobody decides about an organisation of their own."""
    flag = access.get_flag(request.actor, flag_id)
    services.decide(actor=request.actor, flag=flag, action=payload.action, reason=payload.reason, now=timezone.now())
    return _shown(access.get_flag(request.actor, flag_id))
