"""The four clocks of a booking side by side, readings by hand or from a log, and what an instrument is charged by."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.templatetags.show import bilingual, zone_label, zone_of
from portal.tables.values import LIMITS
from scheduler.bookings import access, metering, reading_lists, rules, settling
from scheduler.bookings.clocks import WAIT, SessionClock, Use
from scheduler.bookings.models import CLOCKS, Booking, Session
from scheduler.resources import access as resources

__all__ = ["booking_reading", "clocks_of", "instrument_charge_terms", "readings_import"]

LIVE = {rules.BookingState.REQUESTED.value, rules.BookingState.CONFIRMED.value}
"""States before use; what ended without one has no clocks."""


def clocks_of(made: Booking, session: Session | None) -> dict[str, Any] | None:
    """Return what a booking's page says of its clocks; None where there is nothing beside the booked time yet."""
    if session is None and (made.clock == SessionClock.PRESENT.value or made.state not in LIVE):
        return None
    seen = settling.compare(made)
    ended = session.ended_at if session else None
    return {
        "lines": seen.lines,
        "agreed": seen.agreed.value,
        "charged": seen.charged.value if seen.charged else "",
        "waits_until": ended + WAIT if ended and seen.waits else None,
        "dispute_days": made.dispute_days,
    }


class ReadingForm(forms.Form):
    """A use as the instrument measured it or the staff confirm it, in the instrument's wall time."""

    source = forms.ChoiceField(
        label=_("登记的是"),
        choices=[row for row in CLOCKS if row[0] in {SessionClock.METERED.value, SessionClock.CONFIRMED.value}],
    )
    day = slots.DayField(label=_("开始日期"))
    clock = slots.ClockField(label=_("开始时间"), widget=slots.time_input())
    end_day = slots.DayField(label=_("结束日期"))
    end_clock = slots.ClockField(label=_("结束时间"), widget=slots.time_input())
    minutes = forms.IntegerField(
        label=_("计时分钟"),
        required=False,
        min_value=0,
        max_value=100_000,
        help_text=_("起止之间只有一部分计时的（如只计开束时间）请填写；不填按起止全长。"),
    )

    def use(self, zone: str) -> Use:
        """Return the use. Raises BadPeriod, LocalTimeMissing."""
        said = self.cleaned_data
        names = ("clock", "end_clock")
        period = slots.local_period(
            (said["day"], said["clock"]), (said["end_day"], said["end_clock"]), zone, fields=names
        )
        minutes = said["minutes"]
        return Use(period, int(period.duration.total_seconds()) if minutes is None else minutes * 60, "manual")


def _wall(moment: datetime, zone: str) -> tuple[Any, int]:
    local = moment.astimezone(zone_of(zone))
    return local.date(), local.hour * 60 + local.minute


@shell.needs(Permission.SESSION_RECORD)
def booking_reading(request: HttpRequest, number: str) -> HttpResponse:
    """Record what the instrument measured, or what the lab confirms."""
    actor, now = shell.actor_of(request), timezone.now()
    made = access.get_served(actor, number)
    zone, session = made.resource.zone, Session.objects.filter(booking=made).first()
    begun = session.started_at if session else made.starts_at
    over = session.ended_at if session and session.ended_at else min(made.ends_at, now)
    (day, clock), (end_day, end_clock) = _wall(begun, zone), _wall(max(over, begun), zone)
    initial = {"day": day, "clock": clock, "end_day": end_day, "end_clock": end_clock}
    form = ReadingForm(request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        said = SessionClock(form.cleaned_data["source"])
        _made, error = acts.attempt_on(
            "booking",
            lambda: metering.record_reading(actor=actor, booking=made, clock=said, use=form.use(zone), now=now),
        )
        if error is None:
            messages.success(request, gettext("已登记。多次登记的，以最后一次为准；已结算的金额不变。"))
            return arrived(request, reverse("booking", args=[number]))
        error = slots.put_back(form, error, {"started_at": "clock", "ended_at": "end_clock", "ends_at": "end_clock"})
    context = {
        "booking": made,
        "period": Period(made.starts_at, made.ends_at),
        "form": form,
        "error": error,
        "path": request.path,
        "zone": zone_label(zone),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "bookings/reading.html", context, status=status)


def may_read(made: Booking) -> bool:
    """Say whether readings of a booking are taken: from the start of its use on."""
    return made.state in {rules.BookingState.IN_USE.value, rules.BookingState.COMPLETED.value}


class LogForm(forms.Form):
    """An instrument's log."""

    file = forms.FileField(
        label=_("计时记录"),
        help_text=_("xlsx 或 CSV，不超过 10 MB。全部正确才导入；同一文件再次导入没有变化。"),
        allow_empty_file=True,
        error_messages={"required": _("请选择一个文件。")},
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["file"].widget.attrs["accept"] = ".xlsx,.csv"


@shell.needs(Permission.SESSION_RECORD)
def readings_import(request: HttpRequest) -> HttpResponse:
    """Take an instrument's log: all rows or none."""
    actor, now = shell.actor_of(request), timezone.now()
    form = LogForm(*((request.POST, request.FILES) if request.method == "POST" else ()))
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        sent = form.cleaned_data["file"]
        raw, name = sent.read(LIMITS.size + 1), (sent.name or "file")[:80]
        done, error = shell.attempt(lambda: reading_lists.take(actor=actor, raw=raw, name=name, now=now))
        if error is None:
            told = gettext("已导入：新增 %(added)s 条，%(known)s 条没有变化。")
            messages.success(request, told % {"added": done.added, "known": done.known})
            return redirect("booking_queue")
        error = slots.put_back(form, error)
    columns = [{"title": gettext(one.title), "required": one.required} for one in reading_lists.COLUMNS]
    status = error.status if error else 422 if form.errors else 200
    return shell.page(
        request, "bookings/readings.html", {"form": form, "error": error, "columns": columns}, status=status
    )


class ChargeTermsForm(forms.Form):
    """By which clock new bookings of an instrument are charged."""

    clock = forms.ChoiceField(
        label=_("按哪个时钟结算"),
        choices=CLOCKS,
        widget=forms.RadioSelect,
        help_text=_("约定的计时还没有登记时，结算最多等 3 天，之后按已有的计时结算。结算金额不超过预约时冻结的金额。"),
    )
    dispute_days = forms.IntegerField(
        label=_("异议期（工作日）"),
        min_value=1,
        max_value=60,
        help_text=_("结算后多少个工作日内，预约单位可以对计时提出异议。"),
    )


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_charge_terms(request: HttpRequest, number: str) -> HttpResponse:
    """Say by which clock new bookings of one's instrument are charged."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_own_instrument(actor, number)
    held = settling.terms_of(resource)
    initial = {"clock": held.clock.value, "dispute_days": held.dispute_days}
    form = ChargeTermsForm(request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        said = settling.Agreed(SessionClock(form.cleaned_data["clock"]), form.cleaned_data["dispute_days"])
        _row, error = shell.attempt(
            lambda: metering.set_charge_terms(actor=actor, resource=resource, terms=said, now=now)
        )
        if error is None:
            messages.success(request, gettext("已保存，对以后的预约生效。"))
            return redirect("instrument", number)
        error = slots.put_back(form, error)
    context = {"resource": resource, "name": bilingual(resource), "form": form, "error": error}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/charge_terms.html", context, status=status)
