"""Move a booking to another time, seeing the new price first; give back the rest of one in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.errors import Conflict, noop
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from portal.pages.bookings import acted
from scheduler.availability.models import OpeningHours
from scheduler.bookings import access, moving
from scheduler.bookings.models import Booking

__all__ = ["booking_move", "booking_release_rest"]

_ = noop


class NewPrice(Conflict):
    """The time was changed after the price was shown, or somebody changed the price."""

    code = "booking.move_price"
    message = _("请先核对新时段的费用，再确认改期。")


class MoveForm(slots.BookingForm):
    """The new time of a booking; what for and who pays stay as they are."""

    def __init__(self, data: Mapping[str, Any] | None, *, made: Booking) -> None:
        hours = list(OpeningHours.objects.filter(resource=made.resource))
        options = slots.options_of(made.resource, hours)
        super().__init__(data, resource=made.resource, options=options, purses=())
        for name in ("title", "voucher", "more"):
            del self.fields[name]


def _start(made: Booking, request: HttpRequest) -> dict[str, Any]:
    """Return what the form starts with: the time in the address, else the booking's own."""
    slot = slots.slot_of(Period(made.starts_at, made.ends_at), made.resource.zone)
    own = {
        "day": slot.day.isoformat(),
        "start": f"{slot.start // 60:02d}:{slot.start % 60:02d}",
        "end": f"{slot.end // 60:02d}:{slot.end % 60:02d}",
        "ends_on": str(slot.ends_on),
    }
    return {name: request.GET.get(name, value) for name, value in own.items()}


def _looked(request: HttpRequest, made: Booking, form: MoveForm) -> tuple[moving.Look | None, Explained | None]:
    actor = shell.actor_of(request)
    if not form.is_valid():
        return None, None
    found, error = acts.attempt_on(
        "booking", lambda: moving.look(actor=actor, booking=made, period=form.period(), now=timezone.now())
    )
    return found, slots.renamed(error, slots.NAMES) if error else None


@shell.needs(Permission.BOOKING_REQUEST)
def booking_move(request: HttpRequest, number: str) -> HttpResponse:
    """Ask for the new time, show what it costs and who pays; then move the booking with all it holds."""
    actor = shell.actor_of(request)
    made = access.get_own(actor, number)
    form = MoveForm(request.POST if request.method == "POST" else _start(made, request), made=made)
    found, error = _looked(request, made, form)
    if request.method == "POST" and request.POST.get("act") == "move" and found is not None and not found.quote.reasons:
        if request.POST.get("seen") == found.seen:
            now = timezone.now()
            _moved, error = acts.attempt_on(
                "booking", lambda: moving.move(actor=actor, booking=made, period=form.period(), now=now)
            )
            if error is None:
                messages.success(request, gettext("已改期。"))
                return acted(request, number, None)
        else:
            _none, error = shell.attempt(_price_changed)
    return _show(request, made, form, found=found, error=error)


def _price_changed() -> None:
    raise NewPrice


def _show(
    request: HttpRequest, made: Booking, form: MoveForm, *, found: moving.Look | None, error: Explained | None
) -> HttpResponse:
    address = reverse("booking_move", args=[made.number])
    context = {
        "booking": made,
        "resource": made.resource,
        "period": Period(made.starts_at, made.ends_at),
        "form": form,
        "found": found,
        "reasons": [explain_reason(reason) for reason in found.quote.reasons] if found else [],
        "alternatives": [
            {"period": span, "url": f"{address}?{slots.book_link(made.resource, span).partition('?')[2]}"}
            for span in (found.alternatives if found else ())
        ],
        "error": error,
        "path": address,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "bookings/move.html", context, status=status)


@shell.needs(Permission.BOOKING_REQUEST)
def booking_release_rest(request: HttpRequest, number: str) -> HttpResponse:
    """Give back what is left of a booking in use: one press on the booking's page."""
    actor = shell.actor_of(request)
    made = access.get_own(actor, number)
    if request.method != "POST":
        return acted(request, number, None)
    now = timezone.now()
    _done, error = acts.attempt_on("booking", lambda: moving.release_rest(actor=actor, booking=made, now=now))
    if error is None:
        messages.success(request, gettext("已释放余下的时间；费用按实际用量结算。"))
    return acted(request, number, error)
