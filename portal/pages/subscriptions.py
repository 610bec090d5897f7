"""Subscription addresses: those of a lab's instrument and of one's own bookings; making, ending, who reads them."""

from __future__ import annotations

from typing import Any

from django import forms
from django.conf import settings
from django.contrib import messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST

from portal import links
from portal.kernel.actors import Permission
from portal.pages import acts, shell
from portal.pages.calendar_mails import form_of
from portal.pages.slots import put_back
from scheduler.feeds import access, rules, services
from scheduler.feeds.models import FeedToken
from scheduler.resources import access as resources
from scheduler.resources.models import Resource

__all__ = ["feed_revoke", "instrument_feed", "my_feeds"]

READERS = 10
"""Readers shown per address, the latest first."""


class FeedForm(forms.Form):
    """An address to make."""

    label = forms.CharField(
        label=_("名称"), max_length=60, help_text=_("写明给谁、在哪里用，例如“手机日历”，以后好辨认和作废。")
    )
    kind = forms.ChoiceField(
        label=pgettext_lazy("feed", "内容"),
        choices=FeedToken.Kind.choices,
        help_text=_("日历软件订阅“日程”；排程程序用“忙闲信息”，以及仪器的“开放时间”。"),
    )
    privacy = forms.ChoiceField(label=_("显示多少"), choices=FeedToken.Privacy.choices)

    def __init__(self, data: Any, *, of_instrument: bool) -> None:
        super().__init__(data)
        kinds = self.fields["kind"]
        assert isinstance(kinds, forms.ChoiceField)
        if not of_instrument:
            kinds.choices = [each for each in FeedToken.Kind.choices if each[0] != FeedToken.Kind.AVAILABILITY]


def _page(request: HttpRequest, *, resource: Resource | None, found: QuerySet[FeedToken]) -> HttpResponse:
    """Show the addresses; on POST make one and show its secret, this once."""
    actor, now = shell.actor_of(request), timezone.now()
    form = FeedForm(request.POST if request.method == "POST" else None, of_instrument=resource is not None)
    made, error = None, None
    if request.method == "POST" and form.is_valid():
        if acts.was_sent(request):
            messages.info(request, gettext("地址已生成。它只显示一次；如未保存，请作废后重新生成。"))
            return redirect(request.path)
        values = form.cleaned_data
        wanted = services.Wanted(
            label=values["label"],
            kind=rules.FeedKind(values["kind"]),
            privacy=rules.FeedPrivacy(values["privacy"]),
            resource=resource,
        )
        made, error = shell.attempt(lambda: services.issue(actor=actor, wanted=wanted, now=now))
        if error is None:
            acts.remember(request)
            form = FeedForm(None, of_instrument=resource is not None)
        else:
            error = put_back(form, error, {"label": "label", "kind": "kind", "privacy": "privacy"})
    context: dict[str, Any] = {
        "resource": resource,
        "rows": [{"token": token, "readers": list(token.readers.all())[:READERS]} for token in found],
        "form": form,
        "error": error,
        "key": shell.new_key(),
        "mails": form_of(actor) if resource is None else None,
        "mails_sent": settings.CALENDAR_MAILS,
    }
    if made:
        token, secret = made
        url = links.absolute(request, reverse("feed", args=[secret, token.kind]))
        context["made"] = {"token": token, "url": url, "webcal": "webcal://" + url.partition("://")[2]}
    status = error.status if error else 422 if form.errors else 200
    response = shell.page(request, "feeds/feeds.html", context, status=status)
    response["Cache-Control"] = "no-store"
    return response


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_feed(request: HttpRequest, number: str) -> HttpResponse:
    """The addresses of one of the lab's instruments."""
    actor = shell.actor_of(request)
    resource = resources.get_own_instrument(actor, number)
    return _page(request, resource=resource, found=access.of_instrument(actor, resource))


@shell.needs(Permission.BOOKING_REQUEST)
def my_feeds(request: HttpRequest) -> HttpResponse:
    """The addresses of one's own bookings."""
    return _page(request, resource=None, found=access.own_feeds(shell.actor_of(request)))


@require_POST
@shell.needs(Permission.INSTRUMENT_MANAGE, Permission.BOOKING_REQUEST)
def feed_revoke(request: HttpRequest, feed_id: int) -> HttpResponse:
    """End an address at once."""
    actor = shell.actor_of(request)
    token = services.revoke(actor=actor, token=access.get_feed(actor, feed_id), now=timezone.now())
    messages.success(request, gettext("订阅地址“%(label)s”已作废。") % {"label": token.label})
    if token.resource is not None:
        return redirect("instrument_feed", number=token.resource.number)
    return redirect("my_feeds")
