"""Tell the enterprise what it has to answer and what was answered: no word of the work itself goes into a mail."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from scheduler.engagements.models import Engagement
from scheduler.messages import services as messages
from scheduler.messages.rules import MessageKind

__all__ = ["tell"]


def tell(engagement: Engagement, kind: MessageKind, *, key: str, now: datetime, until: datetime | None = None) -> None:
    """Tell the person who asked. `key` makes it one thing told once. Call in the transaction in which it happens."""
    resource = engagement.resource
    day = f"{until.astimezone(ZoneInfo(resource.zone)):%Y-%m-%d %H:%M}" if until else ""
    messages.tell(
        told=messages.Told(
            kind=kind,
            organisation_id=engagement.organisation_id,
            user_id=engagement.requested_by_id,
            key=f"{kind.value}:{engagement.number}:{key}",
            instrument=resource.name,
            instrument_en=resource.name_en,
            about=engagement.number,
            params={"number": engagement.number, "until": day, "zone": resource.zone},
        ),
        now=now,
    )
