"""Rating a finished booking, and the lab's answer to a rating."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from scheduler.bookings import access as bookings
from scheduler.ratings import access, services

__all__ = ["RateForm", "booking_rate", "rating_answer"]


class RateForm(forms.Form):
    """Stars and a word."""

    stars = forms.TypedChoiceField(
        label=_("评分"),
        coerce=int,
        choices=[
            (5, pgettext_lazy("stars", "5 分，很满意")),
            (4, pgettext_lazy("stars", "4 分，满意")),
            (3, pgettext_lazy("stars", "3 分，一般")),
            (2, pgettext_lazy("stars", "2 分，不满意")),
            (1, pgettext_lazy("stars", "1 分，很不满意")),
        ],
    )
    comment = forms.CharField(
        label=_("评价"),
        max_length=400,
        required=False,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("在仪器页面公开，不显示单位名称。请不要写样品或项目的内容。"),
    )


class AnswerForm(forms.Form):
    """What the lab says to a rating."""

    answer = forms.CharField(
        label=_("回复"),
        max_length=400,
        widget=forms.Textarea(attrs={"rows": 3}),
        help_text=_("在仪器页面公开，提交后不能修改。"),
    )


@shell.needs(Permission.BOOKING_REQUEST)
def booking_rate(request: HttpRequest, number: str) -> HttpResponse:
    """Rate a completed booking, once."""
    actor, now = shell.actor_of(request), timezone.now()
    made = bookings.get_own(actor, number)
    form = RateForm(request.POST if request.method == "POST" else None)
    back = reverse("booking", args=[number])
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        _made, error = acts.attempt_on(
            "booking",
            lambda: services.rate_booking(
                actor=actor, booking=made, stars=said["stars"], comment=said["comment"], now=now
            ),
        )
        if error is None:
            messages.success(request, gettext("感谢评价。"))
            return arrived(request, back)
        error = slots.put_back(form, error)
    about = f"{made.number} · {made.title}"
    return _page(request, form, {"heading": gettext("评价服务"), "about": about, "back": back}, error)


@shell.needs(Permission.BOOKING_DECIDE)
def rating_answer(request: HttpRequest, rating_id: int) -> HttpResponse:
    """Answer a rating of one's own instrument, once."""
    actor, now = shell.actor_of(request), timezone.now()
    rating = access.get_served(actor, rating_id)
    form = AnswerForm(request.POST if request.method == "POST" else None)
    back = reverse("instrument", args=[rating.resource.number])
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        _made, error = acts.attempt_on(
            "booking",
            lambda: services.answer(actor=actor, rating=rating, text=form.cleaned_data["answer"], now=now),
        )
        if error is None:
            messages.success(request, gettext("已回复。"))
            return arrived(request, back)
        error = slots.put_back(form, error)
    about = f"{rating.stars} / 5 · {rating.comment}"
    return _page(request, form, {"heading": gettext("回复评价"), "about": about, "back": back}, error)


def _page(request: HttpRequest, form: forms.Form, words: dict[str, Any], error: Explained | None) -> HttpResponse:
    status = error.status if error else 422 if form.errors else 200
    context = {**words, "form": form, "error": error, "path": request.path}
    return shell.page(request, "ratings/form.html", context, status=status)
