"""What one was told: of proposals to exchange times, of waiting lists, of clusters one operates, of beam time one plans."""

from __future__ import annotations

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.views.decorators.http import require_POST

from portal.kernel.actors import Permission
from portal.pages import shell
from scheduler.messages import access, services
from scheduler.messages.wording import worded

__all__ = ["messages_seen", "my_messages"]

SORTS = {"created": ["created_at"]}


@shell.needs(*access.READERS)
def my_messages(request: HttpRequest) -> HttpResponse:
    """List one's messages, the latest first."""
    actor = shell.actor_of(request)
    listing = shell.listing(request, access.own(actor), sorts=SORTS, default="-created")
    context = {
        "listing": listing,
        "lines": [{"message": row, "said": worded(row)} for row in listing.rows],
        "unseen": access.unseen(actor),
        "books": actor.may(Permission.BOOKING_REQUEST),
        "plans": actor.may(Permission.BEAMTIME_PLAN) or actor.may(Permission.FACILITY_MANAGE),
        "operates": actor.may(Permission.CLUSTER_MANAGE),
    }
    return shell.page(request, "bookings/messages.html", context)


@require_POST
@shell.needs(*access.READERS)
def messages_seen(request: HttpRequest) -> HttpResponse:
    """Take all for seen."""
    services.mark_seen(actor=shell.actor_of(request), now=timezone.now())
    return redirect("my_messages")
