"""A lab's answer to a whole series: see every use, confirm or turn down all that wait in one press."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import acts, shell
from portal.pages.queues import DeclineForm
from scheduler.bookings import access, rules, series_deciding
from scheduler.bookings.models import Booking, BookingSeries

__all__ = ["series_desk"]


@shell.needs(Permission.BOOKING_DECIDE)
def series_desk(request: HttpRequest, number: str) -> HttpResponse:
    """Show every use of a series on the lab's instrument; decide those that wait."""
    actor, now = shell.actor_of(request), timezone.now()
    made = access.get_served_series(actor, number)
    if request.method != "POST":
        return _page(request, made, DeclineForm())
    if shell.act_of(request, "confirm", "decline") == "confirm":
        done, error = acts.attempt_on("booking", lambda: series_deciding.confirm_all(actor=actor, series=made, now=now))
        return _told(request, made, done, error, said=gettext("已确认 %(count)s 次。"))
    form = DeclineForm(request.POST)
    if not form.is_valid():
        return _page(request, made, form)
    note = form.cleaned_data["note"]
    done, error = acts.attempt_on(
        "booking", lambda: series_deciding.decline_all(actor=actor, series=made, note=note, now=now)
    )
    return _told(request, made, done, error, said=gettext("已回绝 %(count)s 次，费用已退回预约单位。"))


def _told(request: HttpRequest, made: BookingSeries, done: Any, error: Explained | None, *, said: str) -> HttpResponse:
    if error is not None:
        return _page(request, made, DeclineForm(), error=error)
    messages.success(request, said % {"count": len(done.done)})
    if done.left:
        count = len(done.left)
        messages.warning(request, gettext("不能确认：%(count)s 次，原因见下表。") % {"count": count})
    return redirect("series_desk", made.number)


def _page(
    request: HttpRequest, made: BookingSeries, form: DeclineForm, *, error: Explained | None = None
) -> HttpResponse:
    now = timezone.now()
    lines = [_line(use, now=now) for use in access.bookings_of(made)]
    context = {
        "series": made,
        "resource": made.resource,
        "lines": lines,
        "waiting": sum(line["waits"] for line in lines),
        "form": form,
        "error": error,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "bookings/series_desk.html", context, status=status)


def _line(use: Booking, *, now: Any) -> dict[str, Any]:
    reasons = series_deciding.stands_against(use, now=now)
    return {
        "booking": use,
        "period": Period(use.starts_at, use.ends_at),
        "waits": use.state == rules.BookingState.REQUESTED.value and not reasons,
        "reasons": [explain_reason(reason) for reason in reasons],
    }
