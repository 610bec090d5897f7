"""Write audit records; the only writer of the table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

import structlog
from django.db import transaction

from portal.audit.models import Record
from portal.kernel.actors import Actor

logger = structlog.get_logger("audit")


def record(
    *,
    action: str,
    subject: str,
    actor: Actor,
    now: datetime,
    organisations: Iterable[int | None] = (),
    data: Mapping[str, Any] | None = None,
) -> Record:
    """Write one record in the caller's transaction: the action and its record commit together or not at all.

    `action` is a dotted past-tense name (``booking.confirmed``); `organisations` may read the record. The log tells it
    once it is committed: a look that is rolled back leaves no line.
    """
    request_id = str(structlog.contextvars.get_contextvars().get("request_id", ""))
    readers = sorted({pk for pk in (*organisations, actor.organisation_id) if pk is not None})
    row = Record.objects.create(
        at=now,
        action=action,
        actor_user_id=actor.user_id,
        actor_organisation_id=actor.organisation_id,
        actor_label=actor.label,
        subject=subject,
        organisation_ids=readers,
        data=dict(data or {}),
        request_id=request_id,
    )
    transaction.on_commit(lambda: logger.info(action, subject=subject, actor=actor.label))
    return row
