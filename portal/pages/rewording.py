"""Change what a booking says it is for."""

from __future__ import annotations

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.kernel.actors import Permission
from portal.kernel.period import Period
from portal.pages import acts, shell
from portal.pages.bookings import acted
from scheduler.bookings import access, rewording

__all__ = ["booking_reword"]


class TitleForm(forms.Form):
    """The purpose of a booking."""

    title = forms.CharField(label=_("用途"), max_length=120, help_text=_("仅贵单位和实验室可见。"))


@shell.needs(Permission.BOOKING_REQUEST)
def booking_reword(request: HttpRequest, number: str) -> HttpResponse:
    """Show the purpose; on POST set it."""
    actor = shell.actor_of(request)
    made = access.get_own(actor, number)
    form = TitleForm(request.POST if request.method == "POST" else None, initial={"title": made.title})
    if request.method == "POST" and form.is_valid():
        title, now = form.cleaned_data["title"], timezone.now()
        _made, error = acts.attempt_on(
            "booking", lambda: rewording.reword(actor=actor, booking=made, title=title, now=now)
        )
        if error is None:
            messages.success(request, gettext("用途已修改。"))
        return acted(request, number, error)
    context = {"booking": made, "period": Period(made.starts_at, made.ends_at), "form": form, "path": request.path}
    return shell.page(request, "bookings/reword.html", context, status=422 if form.errors else 200)
