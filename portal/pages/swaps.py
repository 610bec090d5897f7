"""Exchange times with whoever holds another, without learning who: propose, answer, withdraw."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Q
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain_reason
from portal.kernel.actors import Actor, Permission
from portal.kernel.money import Money
from portal.kernel.period import Period
from portal.pages import acts, shell
from portal.pages.booking_requests import arrived
from portal.pages.templatetags.show import bilingual, period_text, zone_of
from scheduler.bookings import access, swapping
from scheduler.bookings.models import Booking
from scheduler.bookings.swap_models import Swap
from scheduler.bookings.swapping import Offer
from scheduler.resources import access as resources

__all__ = ["booking_swap", "swap", "waiting_for"]


def waiting_for(actor: Actor, *, booking: Booking | None = None) -> list[dict[str, Any]]:
    """Return the proposals that wait, the actor's own and those made to it: about one booking, or all. One query."""
    found = access.own_swaps(actor).filter(state=Swap.State.PROPOSED, expires_at__gt=timezone.now())
    if booking is not None:
        found = found.filter(Q(asked=booking) | Q(other=booking))
    return [_seen(one, actor) for one in found]


def _seen(one: Swap, actor: Actor) -> dict[str, Any]:
    """Return a proposal as one side sees it: what it gives, what it gets."""
    mine = swapping.side_of(one, actor)
    asked = mine.pk == one.asked_id
    spans = (Period(one.asked_starts_at, one.asked_ends_at), Period(one.other_starts_at, one.other_ends_at))
    given, gets = spans if asked else spans[::-1]
    place = one.other_resource if asked else one.asked_resource
    return {"swap": one, "asked": asked, "booking": mine, "given": given, "gets": gets, "resource": place}


class PartnerForm(forms.Form):
    """Which taken time to ask for: of each no more is shown than when it is."""

    to = forms.ChoiceField(label=_("想换到的时段"), error_messages={"required": _("请选择一个时段。")})

    def __init__(self, data: Any, *, made: Booking, now: datetime) -> None:
        super().__init__(data)
        zone = zone_of(made.resource.zone)
        field = self.fields["to"]
        assert isinstance(field, forms.ChoiceField)
        choices: dict[str, str] = {}
        for one in swapping.partners(made, now=now):
            text = period_text(Period(one.starts_at, one.ends_at), zone)
            if one.resource_id != made.resource_id:
                text = f"{text} · {bilingual(one.resource)} {one.resource.number}"
            choices.setdefault(f"{one.resource.number} {one.starts_at.isoformat()}", text)
        self.is_empty = not choices
        field.choices = [("", gettext("请选择")), *choices.items()]


def _asked(request: HttpRequest, made: Booking, form: PartnerForm, now: datetime) -> dict[str, Any]:
    number, _space, text = form.cleaned_data["to"].partition(" ")
    actor = shell.actor_of(request)
    at = parse_datetime(text)
    assert at is not None
    return {"actor": actor, "booking": made, "resource": resources.get_instrument(actor, number), "at": at, "now": now}


@shell.needs(Permission.BOOKING_REQUEST)
def booking_swap(request: HttpRequest, number: str) -> HttpResponse:
    """Choose a taken time, see what it would cost, then propose to exchange; whoever holds it is asked."""
    made = access.get_own(shell.actor_of(request), number)
    now = timezone.now()
    form = PartnerForm(request.POST if request.method == "POST" else None, made=made, now=now)
    offer, error = None, None
    if request.method == "POST" and form.is_valid():
        asked = _asked(request, made, form, now)
        offer, error = acts.attempt_on("booking", lambda: swapping.look(**asked))
        if error is None and request.POST.get("act") == "propose" and not offer.reasons:
            agreed = request.POST.get("seen", "")
            price = Money(int(agreed)) if agreed.isascii() and agreed.isdigit() and len(agreed) < 16 else Money(0)
            _made, error = acts.attempt_on(
                "booking", lambda: swapping.propose(**asked, price=price, key=shell.key_of(request))
            )
            if error is None:
                messages.success(request, gettext("已向占用该时段的单位提议交换；对方答复之前，双方的预约都不变。"))
                return arrived(request, reverse("booking", args=[made.number]))
    return _show(request, made, form, offer=offer, error=error)


def _show(
    request: HttpRequest, made: Booking, form: PartnerForm, *, offer: Offer | None, error: Explained | None
) -> HttpResponse:
    context = {
        "booking": made,
        "resource": made.resource,
        "period": Period(made.starts_at, made.ends_at),
        "form": form,
        "key": request.POST.get("idempotency_key") or shell.new_key(),
        "path": request.path,
        "error": error,
        **_priced(offer),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "bookings/swap.html", context, status=status)


def _priced(offer: Offer | None) -> dict[str, Any]:
    """Return what a template says of an offer."""
    if offer is None:
        return {"offer": None, "reasons": []}
    return {
        "offer": offer,
        "own": offer.price - offer.voucher,
        "reasons": [explain_reason(reason) for reason in offer.reasons],
    }


@shell.needs(Permission.BOOKING_REQUEST)
def swap(request: HttpRequest, number: str) -> HttpResponse:
    """Show a proposal to one of its two sides: when, what it costs; accept it, decline it or withdraw it."""
    actor = shell.actor_of(request)
    one = access.get_swap(actor, number)
    if request.method != "POST":
        return _swap_page(request, one)
    now = timezone.now()
    if shell.act_of(request, "accept", "end") == "end":
        _done, error = acts.attempt_on("swap", lambda: swapping.answer(actor=actor, swap=one, now=now))
        told = gettext("提议已结束，双方的预约都不变。")
    else:
        seen = request.POST.get("seen", "")
        price = Money(int(seen)) if seen.isascii() and seen.isdigit() and len(seen) < 16 else Money(0)
        _done, error = acts.attempt_on("swap", lambda: swapping.accept(actor=actor, swap=one, price=price, now=now))
        told = gettext("已交换时段。")
    if error is not None:
        return _swap_page(request, access.get_swap(actor, number), error=error)
    messages.success(request, told)
    return arrived(request, reverse("booking", args=[swapping.side_of(one, actor).number]))


def _swap_page(request: HttpRequest, one: Swap, *, error: Explained | None = None) -> HttpResponse:
    actor, now = shell.actor_of(request), timezone.now()
    waits = one.state == Swap.State.PROPOSED.value and now < one.expires_at
    offer = None
    if waits:
        offer, over = shell.attempt(lambda: swapping.weigh(actor=actor, swap=one, now=now))
        error = error or over
    context = {**_seen(one, actor), "waits": waits and offer is not None, "error": error, "path": request.path}
    context |= _priced(offer)
    return shell.page(request, "bookings/swap_offer.html", context, status=error.status if error else 200)
