"""Times of a call in words, in its facility's zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from scheduler.facilities.models import Facility
from scheduler.proposals.models import ProposalCall

__all__ = ["closing", "moment"]


def moment(facility: Facility, at: datetime) -> str:
    """Return a time to the second with its zone, the same in every language."""
    local = at.astimezone(ZoneInfo(facility.zone))
    return f"{local:%Y-%m-%d %H:%M:%S} ({facility.zone}, UTC{local:%z})"


def closing(call: ProposalCall) -> str:
    """Return when a call ends."""
    return moment(call.facility, call.during.upper)
