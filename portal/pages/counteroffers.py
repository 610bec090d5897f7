"""Offer another time for a request, as the lab; take it or let it go, as the enterprise."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from portal.pages.bookings import acted
from portal.pages.moving import MoveForm, price_changed
from scheduler.bookings import access, counteroffers
from scheduler.bookings.models import Booking

__all__ = ["booking_counter_offer", "counter_offer_accept", "counter_offer_refuse"]


class CounterOfferForm(MoveForm):
    """The time offered, and why."""

    note = forms.CharField(
        label=_("说明"),
        max_length=200,
        help_text=_("预约单位会看到，例如“上午安排了检修，下午同样条件可以做”。"),
        widget=forms.Textarea(attrs={"rows": 2}),
        error_messages={"required": _("请写明原因，预约单位会看到。")},
    )


@shell.needs(Permission.BOOKING_DECIDE)
def booking_counter_offer(request: HttpRequest, number: str) -> HttpResponse:
    """Ask for the other time and the reason; hold it and tell the enterprise on its booking's page."""
    actor = shell.actor_of(request)
    made = access.get_served(actor, number)
    data = request.POST if request.method == "POST" else None
    form = CounterOfferForm(data, made=made, initial=_own_time(made))
    error = None
    if request.method == "POST" and form.is_valid():
        note, now = form.cleaned_data["note"], timezone.now()
        _done, error = acts.attempt_on(
            "booking",
            lambda: counteroffers.offer(actor=actor, booking=made, period=form.period(), note=note, now=now),
        )
        if error is None:
            messages.success(request, gettext("已向预约单位建议其他时段，答复前两个时段都为其保留。"))
            return acted(request, number, None)
        error = slots.put_back(form, error, slots.NAMES)
    context = {
        "booking": made,
        "resource": made.resource,
        "period": Period(made.starts_at, made.ends_at),
        "form": form,
        "error": error,
        "path": reverse("booking_counter_offer", args=[number]),
        "longest": counteroffers.LONGEST,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "bookings/counter_offer.html", context, status=status)


def _own_time(made: Booking) -> dict[str, Any]:
    slot = slots.slot_of(Period(made.starts_at, made.ends_at), made.resource.zone)
    return {"day": slot.day, "start": slot.start, "end": slot.end, "ends_on": slot.ends_on}


@shell.needs(Permission.BOOKING_REQUEST)
def counter_offer_accept(request: HttpRequest, number: str) -> HttpResponse:
    """Take the offered time at the price that was shown."""
    actor, now = shell.actor_of(request), timezone.now()
    made = access.get_own(actor, number)
    if request.method != "POST":
        return acted(request, number, None)
    look = counteroffers.look(actor=actor, booking=made, now=now)
    if look is not None and request.POST.get("seen") != look.seen:
        return acted(request, number, shell.attempt(price_changed)[1])
    _done, error = acts.attempt_on("booking", lambda: counteroffers.accept(actor=actor, booking=made, now=now))
    if error is None:
        messages.success(request, gettext("已改到实验室建议的时段，预约已确认。"))
    return acted(request, number, error)


@shell.needs(Permission.BOOKING_REQUEST)
def counter_offer_refuse(request: HttpRequest, number: str) -> HttpResponse:
    """Let the offer go; the request stays."""
    actor, now = shell.actor_of(request), timezone.now()
    made = access.get_own(actor, number)
    if request.method != "POST":
        return acted(request, number, None)
    _done, error = acts.attempt_on("booking", lambda: counteroffers.refuse(actor=actor, booking=made, now=now))
    if error is None:
        messages.success(request, gettext("已婉拒建议的时段，原申请继续等待实验室确认。"))
    return acted(request, number, error)
