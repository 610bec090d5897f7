"""Tell who waits that time was free and why it was not kept for them: they alone can do something about it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from portal.kernel.errors import Reason
from portal.kernel.period import Period
from scheduler.messages import services as messages
from scheduler.messages.rules import MessageKind
from scheduler.messages.wording import span
from scheduler.resources.models import Resource
from scheduler.waitlist import queries
from scheduler.waitlist.models import WaitlistEntry

__all__ = ["tell"]


def tell(entry: WaitlistEntry, *, resource: Resource, period: Period, reasons: Sequence[Reason], now: datetime) -> None:
    """Tell whoever joined. Once a local day per cause, however often the list is looked at and whatever time it was."""
    codes = "+".join(sorted({reason.code for reason in reasons}))[:100]
    day = now.astimezone(ZoneInfo(resource.zone)).date()
    messages.tell(
        told=messages.Told(
            kind=MessageKind.WAIT_PASSED_OVER,
            organisation_id=entry.organisation_id,
            user_id=entry.created_by_id,
            key=f"wait:{entry.pk}:{day}:{codes}",
            instrument=resource.name,
            instrument_en=resource.name_en,
            params={"theirs": span(period, resource.zone), "zone": resource.zone},
            reasons=[queries.said(reason) for reason in reasons],
        ),
        now=now,
    )
