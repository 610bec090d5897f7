"""The lab's desk: decide requests, start and finish sessions, see what will be captured."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import Count, Q, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.errors import PortalError, noop
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages import acts, shell, slots
from portal.pages.bookings import SORTS, BookingFilter, acted, bookings_csv, due
from portal.pages.templatetags.show import zone_of
from scheduler.bookings import access, rules, services
from scheduler.bookings.models import Booking, CounterOffer, Session

__all__ = ["booking_confirm", "booking_decline", "booking_miss", "booking_queue", "session_finish", "session_start"]

S = rules.BookingState
TABS: Final[Mapping[str, str]] = {
    "confirm": noop("待确认"),
    "today": noop("今天"),
    "in_use": noop("使用中"),
    "measure": noop("待计量"),
    "all": noop("全部"),
}


def _today(now: datetime) -> Period:
    """Return the local day of the portal's zone."""
    midnight = timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
    return Period(midnight, midnight + timedelta(days=1))


def _tabs(now: datetime) -> Mapping[str, Q]:
    """Return which bookings each tab holds. To measure: the booked time is over and no use is recorded yet."""
    day = _today(now)
    return {
        "confirm": Q(state=S.REQUESTED.value),
        "today": Q(state__in=[S.CONFIRMED.value, S.IN_USE.value], starts_at__lt=day.end, ends_at__gt=day.start),
        "in_use": Q(state=S.IN_USE.value),
        "measure": Q(state__in=[S.CONFIRMED.value, S.IN_USE.value], ends_at__lte=now),
        "all": Q(),
    }


@dataclass(frozen=True, slots=True)
class Line:
    """A booking as the desk shows it. `expected` is what finishing now would capture; `held` is the most."""

    booking: Booking
    period: Period
    held: Money
    expected: Money | None
    started_at: datetime | None
    act: str
    """The act that is due: confirm, start, finish or none."""
    is_offered: bool
    """Whether another time was offered for it and waits for an answer."""


def _lines(rows: Iterable[Booking], *, now: datetime) -> list[Line]:
    """Return the desk's lines. One query for all sessions, one for all offers of another time."""
    found = list(rows)
    offers = CounterOffer.objects.filter(booking__in=found, state=CounterOffer.State.OPEN, until__gt=now)
    offered = set(offers.values_list("booking_id", flat=True))
    started = dict(Session.objects.filter(booking__in=found).values_list("booking_id", "started_at"))
    lines = []
    for row in found:
        began = started.get(row.pk)
        running = row.state == S.IN_USE.value and began is not None
        charge = row.charge
        assert charge is not None
        used = _until(began, _ends_by_default(row, now=now)) if running else None
        expected = due(row, used) if used else None
        if charge.actual_fen is not None:
            expected = Money(charge.actual_fen)
        lines.append(
            Line(
                booking=row,
                period=Period(row.starts_at, row.ends_at),
                held=Money(charge.price_fen),
                expected=expected,
                started_at=began,
                act={S.REQUESTED: "confirm", S.CONFIRMED: "start", S.IN_USE: "finish"}.get(S(row.state), ""),
                is_offered=row.pk in offered,
            )
        )
    return lines


@shell.needs(Permission.BOOKING_DECIDE, Permission.SESSION_RECORD)
def booking_queue(request: HttpRequest) -> HttpResponse:
    """List the bookings on the lab's instruments by what is to be done with them."""
    now = timezone.now()
    served = access.served_bookings(shell.actor_of(request))
    tabs = _tabs(now)
    chosen = request.GET.get("tab", "")
    if chosen not in tabs:
        chosen = "confirm"
    filters = BookingFilter(request.GET, placeholder=gettext("预约号、仪器、单位或用途"))
    found = served.filter(tabs[chosen])
    if chosen == "all":
        found = filters.narrow(found, now=now)
    if shell.wants_csv(request):
        return bookings_csv(found)
    listing = shell.listing(request, found, sorts=SORTS, default="-start" if chosen == "all" else "start")
    counts = _counts(served, tabs)
    context = {
        "tabs": [
            {"key": key, "name": gettext(name), "count": counts.get(key), "chosen": key == chosen}
            for key, name in TABS.items()
        ],
        "chosen": chosen,
        "listing": listing,
        "lines": _lines(listing.rows, now=now),
        "filters": filters,
        "decides": shell.actor_of(request).may(Permission.BOOKING_DECIDE),
        "records": shell.actor_of(request).may(Permission.SESSION_RECORD),
    }
    return shell.page(request, "bookings/queue.html", context)


def _counts(served: QuerySet[Booking], tabs: Mapping[str, Q]) -> dict[str, int]:
    """Return how many bookings each working tab holds. One query."""
    return served.select_related(None).aggregate(
        **{key: Count("pk", filter=which) for key, which in tabs.items() if key != "all"}
    )


@shell.needs(Permission.BOOKING_DECIDE)
def booking_confirm(request: HttpRequest, number: str) -> HttpResponse:
    """Accept a requested booking: one press on the desk or on the booking's page."""
    actor = shell.actor_of(request)
    made = access.get_served(actor, number)
    if request.method != "POST":
        return acted(request, number, None)
    now = timezone.now()
    _done, error = acts.attempt_on("booking", lambda: services.confirm(actor=actor, booking=made, now=now))
    # A second press finds what the first one did: that is what was wanted, not a mistake to report.
    if error is None or access.get_served(actor, number).state == S.CONFIRMED.value:
        error = None
        messages.success(request, gettext("已确认预约 %(number)s。") % {"number": number})
        if request.POST.get("next") == "queue":
            return redirect("booking_queue")
    return acted(request, number, error)


@shell.needs(Permission.SESSION_RECORD)
def booking_miss(request: HttpRequest, number: str) -> HttpResponse:
    """Record that nobody came to a confirmed booking: one press on the booking's page."""
    actor = shell.actor_of(request)
    made = access.get_served(actor, number)
    if request.method != "POST":
        return acted(request, number, None)
    now = timezone.now()
    _done, error = acts.attempt_on("booking", lambda: services.miss(actor=actor, booking=made, now=now))
    if error is None:
        messages.success(
            request, gettext("已登记预约 %(number)s 未到场，冻结的费用已退回预约单位。") % {"number": number}
        )
    return acted(request, number, error)


class DeclineForm(forms.Form):
    """Why a request is turned down."""

    note = forms.CharField(
        label=_("原因"),
        max_length=200,
        help_text=_("预约单位会看到。请说明原因，能建议其他时间或仪器更好。"),
        widget=forms.Textarea(attrs={"rows": 3}),
        error_messages={"required": _("请写明原因，预约单位会看到。")},
    )


@shell.needs(Permission.BOOKING_DECIDE)
def booking_decline(request: HttpRequest, number: str) -> HttpResponse:
    """Turn a requested booking down, with a reason."""
    actor = shell.actor_of(request)
    made = access.get_served(actor, number)
    form = DeclineForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        note, now = form.cleaned_data["note"], timezone.now()
        _done, error = acts.attempt_on(
            "booking", lambda: services.decline(actor=actor, booking=made, note=note, now=now)
        )
        if error is None:
            messages.success(request, gettext("已回绝预约 %(number)s，费用已退回预约单位。") % {"number": number})
        return acted(request, number, error)
    context = {"booking": made, "period": Period(made.starts_at, made.ends_at), "form": form, "path": request.path}
    return shell.page(request, "bookings/decline.html", context, status=422 if form.errors else 200)


class MomentForm(forms.Form):
    """A moment in the instrument's wall time."""

    day = slots.DayField(label=_("日期"))
    clock = slots.ClockField(label=_("时间"), widget=slots.time_input())

    def moment(self, zone: str) -> datetime:
        """Return the instant. Raises LocalTimeMissing at ``clock``."""
        values = self.cleaned_data
        return slots.instant(values["day"], values["clock"], zone, field="clock")


NAMES = {"started_at": "clock", "ended_at": "clock", "ends_at": "clock"}


def _ends_by_default(made: Booking, *, now: datetime) -> datetime:
    """Return when a use ended unless the lab says otherwise: now, at most the booked end, in the minutes of the form."""
    return min(made.ends_at, now).replace(second=0, microsecond=0)


def _until(began: datetime | None, end: datetime) -> Period | None:
    """Return the use from `began` to `end`; None where that is no use."""
    return Period(began, end) if began and began < end else None


def _initial(moment: datetime, zone: str) -> dict[str, Any]:
    local = moment.astimezone(zone_of(zone))
    day: date = local.date()
    return {"day": day, "clock": local.hour * 60 + local.minute}


def _record(
    request: HttpRequest, made: Booking, *, act: Callable[[datetime, datetime], Any], default: datetime, finishing: bool
) -> HttpResponse:
    """Show the form for a moment with its default, or record the moment given."""
    now = timezone.now()
    zone = made.resource.zone
    session = Session.objects.filter(booking=made).first()
    form = MomentForm(request.POST if request.method == "POST" else None, initial=_initial(default, zone))
    error: Explained | None = None
    looking = request.POST.get("act") == "show"
    if request.method == "POST" and not looking and form.is_valid():
        _done, error = acts.attempt_on("booking", lambda: act(form.moment(zone), now))
        if error is None:
            return acted(request, made.number, None)
        error = slots.put_back(form, error, NAMES)
    used = _used(session, form, default, zone) if finishing else None
    context = {
        "booking": made,
        "period": Period(made.starts_at, made.ends_at),
        "session": session,
        "form": form,
        "error": error,
        "path": request.path,
        "finishing": finishing,
        "used": used,
        "expected": due(made, used),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "bookings/session.html", context, status=status)


def _used(session: Session | None, form: MomentForm, default: datetime, zone: str) -> Period | None:
    """Return the use that the form's moment, or else the default, would record; None where that is no use."""
    if session is None:
        return None
    end = default
    if form.is_bound and form.is_valid():
        try:
            end = form.moment(zone)
        except PortalError:
            return None
    return _until(session.started_at, end)


@shell.needs(Permission.SESSION_RECORD)
def session_start(request: HttpRequest, number: str) -> HttpResponse:
    """Record that use began; by default at the booked start, or now if that is still ahead."""
    actor = shell.actor_of(request)
    made = access.get_served(actor, number)
    default = min(made.starts_at, timezone.now()).replace(second=0, microsecond=0)

    def act(moment: datetime, now: datetime) -> Session:
        return services.start_session(actor=actor, booking=made, started_at=moment, now=now)

    return _record(request, made, act=act, default=default, finishing=False)


@shell.needs(Permission.SESSION_RECORD)
def session_finish(request: HttpRequest, number: str) -> HttpResponse:
    """Record that use ended: the actual price is captured, the rest released. By default now, at most the booked end."""
    actor = shell.actor_of(request)
    made = access.get_served(actor, number)
    default = _ends_by_default(made, now=timezone.now())

    def act(moment: datetime, now: datetime) -> Booking:
        return services.finish_session(actor=actor, booking=made, ended_at=moment, now=now)

    return _record(request, made, act=act, default=default, finishing=True)
