"""The front door, the desk with what waits for a person, and the accessibility statement."""

from __future__ import annotations

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.utils import timezone

from portal.audit import queries as audit
from portal.kernel.actors import Permission
from portal.pages import desk
from portal.pages.actions import events
from portal.pages.beam.judging_tasks import grades_asked
from portal.pages.programmes import entries
from portal.pages.shell import actor_of, guarded, needs, page, stranger_or_actor
from scheduler.beamtime import trails
from scheduler.bookings.models import Booking
from scheduler.bookings.rules import BookingState
from scheduler.panels import access as panels
from scheduler.resources import access as resources
from vouchers.programmes import access as programmes
from vouchers.wallets.models import Voucher

OPEN_SHOWN = 6
RECENT_SHOWN = 8


@guarded
def home(request: HttpRequest) -> HttpResponse:
    """Say what this is, open the three doors, show which programmes are open and how much they have left."""
    actor = stranger_or_actor(request)
    versions = list(programmes.in_force().order_by("-published_at", "pk")[: OPEN_SHOWN + 1])
    return page(
        request,
        "home/home.html",
        {
            "entries": entries(versions[:OPEN_SHOWN]),
            "has_more": len(versions) > OPEN_SHOWN,
            "may_apply": actor is None or actor.may(Permission.APPLICATION_SUBMIT),
            "issued_fen": Voucher.objects.aggregate(total=Sum("face_fen"))["total"] or 0,
            "instruments": resources.instruments_visible_to(None).count(),
            "clusters": resources.clusters().count(),
            "sessions": Booking.objects.filter(state=BookingState.COMPLETED.value).count(),
        },
    )


@needs()
def dashboard(request: HttpRequest) -> HttpResponse:
    """Show what waits for this person, the nearest deadline first, and what happened lately."""
    actor = actor_of(request)
    seated = panels.is_panelist(actor.user_id)
    if seated != bool(request.session.get("is_panelist")):
        request.session["is_panelist"] = seated
    now = timezone.now()
    asked = list(grades_asked(actor, now)) if seated else []
    recent = trails.readable(audit.lately(actor), actor)[:RECENT_SHOWN] if actor.organisation_id else []
    return page(
        request,
        "home/dashboard.html",
        {
            "tasks": [*asked, *(desk.tasks_of(actor, now=now) if actor.organisation_id else [])],
            "events": events(recent),
            "is_member": actor.organisation_id is not None,
        },
    )


@guarded
def accessibility(request: HttpRequest) -> HttpResponse:
    """Show the accessibility statement."""
    return page(request, "home/accessibility.html", {})
