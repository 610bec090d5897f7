"""A lab sees who waits for its instruments, for how long and when; the name only of who let it be seen."""

from __future__ import annotations

from datetime import timedelta

from django.db.models import Count
from django.http import HttpRequest, HttpResponse

from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import shell
from portal.pages.waitlist import days_of
from scheduler.waitlist import access

__all__ = ["lab_waitlist"]

SORTS = {"created": ["created_at"], "instrument": ["resource__name"], "since": ["since"], "state": ["state"]}


@shell.needs(Permission.INSTRUMENT_MANAGE)
def lab_waitlist(request: HttpRequest) -> HttpResponse:
    """List the entries that wait for the lab's instruments, in the order in which time is offered."""
    found = access.received(shell.actor_of(request))
    listing = shell.listing(request, found, sorts=SORTS, default="created")
    counts = found.order_by().values("resource__number", "resource__name", "resource__name_en")
    context = {
        "listing": listing,
        "lines": [
            {
                "entry": entry,
                "window": Period(entry.since, entry.until),
                "length": timedelta(seconds=entry.length_s),
                "days": days_of(entry),
            }
            for entry in listing.rows
        ],
        "counts": list(counts.annotate(waiting=Count("pk")).order_by("-waiting", "resource__number")[:20]),
    }
    return shell.page(request, "lab/waitlist.html", context)
