"""Endpoints of one's own messages."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.utils import timezone
from ninja import Query, Router, Schema

from portal.wire import ActorRequest, Cursor, PageOut, paged, problems
from scheduler.messages import access, rules, services
from scheduler.messages.models import Message
from scheduler.messages.wording import worded

router = Router(tags=["messages"])


class MessageOut(Schema):
    """One message in the caller's language; `path` leads to the page where one can act on it."""

    id: int
    kind: rules.MessageKind
    about: str
    headline: str
    text: str
    reasons: list[str]
    path: str
    created_at: datetime
    seen_at: datetime | None


class SeenOut(Schema):
    """How many messages had not been seen before."""

    seen: int


def _shown(row: Message) -> dict[str, Any]:
    said = worded(row)
    names = ("kind", "about", "created_at", "seen_at")
    return {
        "id": row.pk,
        "headline": said.headline,
        "text": said.text,
        "reasons": list(said.reasons),
        "path": said.path,
        **{name: getattr(row, name) for name in names},
    }


@router.get("", response={200: PageOut[MessageOut], **problems()})
def list_messages(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:
    """List what the person was told, the latest first."""
    return paged(access.own(request.actor), wanted, _shown)


@router.post("/seen", response={200: SeenOut, **problems()})
def mark_seen(request: ActorRequest) -> dict[str, int]:
    """Take all one's messages for seen. Repeating it changes nothing."""
    return {"seen": services.mark_seen(actor=request.actor, now=timezone.now())}
