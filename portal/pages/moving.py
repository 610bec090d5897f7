"""Move a booking to another time, seeing the new price first; take that back; give back the rest of one in use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.contrib import messages
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.http import url_has_allowed_host_and_scheme
from django.utils.translation import gettext

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.errors import Conflict, noop
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.bookings import acted
from portal.pages.templatetags.show import period_text, zone_of
from scheduler.availability.models import OpeningHours
from scheduler.bookings import access, moving
from scheduler.bookings.clocks import SessionClock
from scheduler.bookings.models import Booking

__all__ = [
    "MoveForm",
    "booking_move",
    "booking_move_price",
    "booking_move_undo",
    "booking_release_rest",
    "price_changed",
]

_ = noop


class NewPrice(Conflict):
    """The time was changed after the price was shown, or somebody changed the price."""

    code = "booking.move_price"
    message = _("请先核对新时段的费用，再确认改期。")


class MoveForm(slots.BookingForm):
    """The new time of a booking; what for and who pays stay as they are."""

    def __init__(self, data: Mapping[str, Any] | None, *, made: Booking, **more: Any) -> None:
        hours = list(OpeningHours.objects.filter(resource=made.resource))
        options = slots.options_of(made.resource, hours)
        super().__init__(data, resource=made.resource, options=options, purses=(), **more)
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
                _tell(request, found, form.period(), made)
                return arrived(request, _whence(request) or reverse("booking", args=[number]))
        else:
            _none, error = shell.attempt(price_changed)
    return _show(request, made, form, found=found, error=error)


def price_changed() -> None:
    """Raise NewPrice."""
    raise NewPrice


def _tell(request: HttpRequest, found: moving.Look, period: Period, made: Booking) -> None:
    """Say what the booking is now, with the means to take it back."""
    told = {"number": made.number, "when": period_text(period, zone_of(made.resource.zone))}
    text = (
        gettext("预约 %(number)s 已改到 %(when)s。")
        if found.confirmed
        else gettext("预约 %(number)s 已改到 %(when)s，等待实验室重新确认。")
    )
    messages.success(request, text % told, extra_tags=reverse("booking_move_undo", args=[made.number]))


def _whence(request: HttpRequest) -> str:
    """Return the page of the portal a dialog was opened on, or that a form names; "" where neither is known."""
    url = request.POST.get("back") or request.headers.get("HX-Current-URL", "")
    if not url or not url_has_allowed_host_and_scheme(url, allowed_hosts={request.get_host()}):
        return ""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


@shell.needs(Permission.BOOKING_REQUEST)
def booking_move_price(request: HttpRequest, number: str) -> HttpResponse:
    """Say in one line what moving to the time in the address would come to, while it is being chosen. Changes nothing.

    JSON: ``text``, and ``fits``: whether it could be moved there.
    """
    made = access.get_own(shell.actor_of(request), number)
    form = MoveForm(_start(made, request), made=made)
    found, error = _looked(request, made, form)
    parts = [] if not form.timed or error else [period_text(form.period(), zone_of(made.resource.zone))]
    if error is not None:
        parts.append(error.text)
    elif found is not None and found.quote.reasons:
        parts.append(explain_reason(found.quote.reasons[0])["text"])
        if found.alternatives:
            free = period_text(found.alternatives[0], zone_of(made.resource.zone))
            parts.append(gettext("最近的空闲：%(free)s") % {"free": free})
    elif found is not None:
        parts += _costs(made, found)
    fits = found is not None and not found.quote.reasons
    return JsonResponse({"text": " · ".join(parts), "fits": fits})


def _costs(made: Booking, found: moving.Look) -> list[str]:
    """Return the new price with its difference from what is held, who pays it, and whether the lab decides anew."""
    quote = found.quote
    more = quote.price.amount - Money(_held(made))
    price = str(quote.price.amount)
    if more.fen > 0:
        price = gettext("%(price)s（多 %(more)s）") % {"price": price, "more": more}
    elif more.fen < 0:
        price = gettext("%(price)s（少 %(less)s）") % {"price": price, "less": Money(-more.fen)}
    else:
        price = gettext("%(price)s（不变）") % {"price": price}
    paid = {"voucher": quote.split.voucher, "own": quote.split.own}
    who = gettext("券抵扣 %(voucher)s，自付 %(own)s") if quote.split.voucher.fen else gettext("自付 %(own)s")
    decides = "" if found.confirmed else gettext("须实验室重新确认")
    return [part for part in (price, who % paid, decides) if part]


@shell.needs(Permission.BOOKING_REQUEST)
def booking_move_undo(request: HttpRequest, number: str) -> HttpResponse:
    """Take the last move back: one press, within seconds."""
    actor = shell.actor_of(request)
    made = access.get_own(actor, number)
    if request.method != "POST":
        return acted(request, number, None)
    now = timezone.now()
    _done, error = acts.attempt_on("booking", lambda: moving.undo(actor=actor, booking=made, now=now))
    if error is not None:
        return acted(request, number, error)
    messages.success(request, gettext("已撤销改期，恢复为原来的时段、状态和价格。"))
    return arrived(request, _whence(request) or reverse("booking", args=[number]))


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
        "more": found.quote.price.amount.fen - _held(made) if found else 0,
        "less": _held(made) - found.quote.price.amount.fen if found else 0,
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


def _held(made: Booking) -> int:
    assert made.charge is not None
    return made.charge.price_fen


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
        booked = made.clock == SessionClock.BOOKED.value
        kept, used = (
            gettext("已释放余下的时间；费用仍按预约时长结算。"),
            gettext("已释放余下的时间；费用按实际用量结算。"),
        )
        messages.success(request, kept if booked else used)
    return acted(request, number, error)
