"""What a booking's page says of its advance, and where a lab says when own shares are paid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from math import ceil
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Actor, Permission
from portal.pages import shell, slots
from portal.pages.templatetags.show import bilingual, clock, zone_of
from scheduler.bookings import access, bundles, prepaid, rules
from scheduler.bookings.models import COLLECTS, Booking
from scheduler.resources import access as resources
from vouchers.payments.rules import Collect, PaymentState

__all__ = ["Shown", "advance_of", "hold_note", "instrument_payment_terms", "took_place", "until_text"]


@dataclass(frozen=True, slots=True)
class Shown:
    """An advance as a booking's page tells it. `left_s`: how much longer the booking waits for it; 0: no longer."""

    payment: Any
    left_s: int
    may_pay: bool

    @property
    def waits(self) -> bool:
        return self.left_s > 0

    @property
    def is_paid(self) -> bool:
        return bool(self.payment.state == PaymentState.CONFIRMED.value)


def advance_of(made: Booking, *, actor: Actor, now: datetime) -> Shown | None:
    """Return what was asked for in advance of a booking. One query, none where nothing can have been."""
    found = prepaid.advance_of(made)
    if found is None:
        return None
    is_open = found.state in {PaymentState.DUE.value, PaymentState.DECLARED.value}
    held = made.state == rules.BookingState.HELD.value and made.hold_until is not None
    left = ceil((made.hold_until - now).total_seconds()) if held and is_open and made.hold_until else 0
    pays = made.organisation_id == actor.organisation_id and actor.may(Permission.PAYMENT_DECLARE)
    return Shown(found, max(left, 0), pays)


def took_place(made: Booking, *, actor: Actor) -> dict[str, Booking | None]:
    """Return the lapsed hold a booking books again, and the booking made again of it, as far as the actor sees them."""
    if made.collect != Collect.BEFORE.value:
        return {}
    seen = access.visible_to(actor)
    return {
        "again_of": seen.filter(pk=made.again_of_id).first() if made.again_of_id else None,
        "again": seen.filter(again_of=made).first(),
    }


def until_text(made: Booking) -> str:
    """Return until when a booking is held, in its instrument's zone; with the day where that is not today."""
    zone = zone_of(made.resource.zone)
    if made.hold_until is None or made.hold_until.astimezone(zone).date() == timezone.now().astimezone(zone).date():
        return clock(made.hold_until, made.resource.zone)
    return f"{made.hold_until.astimezone(zone):%Y-%m-%d %H:%M}"


def hold_note(made: Booking, advance: Shown | None) -> str:
    """Say what is to be done until when while a booking is held."""
    until = {"until": until_text(made)}
    if advance is not None and advance.waits:
        return gettext("保留至 %(until)s，到账后自动提交") % until
    return gettext("保留至 %(until)s，请在此之前提交") % until


class PayTermsForm(forms.Form):
    """When the own share of an instrument's bookings is paid."""

    collect = forms.ChoiceField(
        label=_("自付部分何时付款"),
        choices=COLLECTS,
        widget=forms.RadioSelect,
        help_text=_("预付：时段先保留，自付部分到账后预约才提交；使用后按实际时长结算，用不完的退还。"),
    )
    hold_minutes = forms.IntegerField(
        label=_("在线付款的保留时间（分钟）"),
        min_value=5,
        max_value=120,
        help_text=_("5 到 120 分钟。到期未付的，时段立即可由其他单位预约。"),
    )
    transfer_hold_hours = forms.IntegerField(
        label=_("等待对公转账的保留时间（小时）"),
        min_value=0,
        max_value=240,
        help_text=_("0 表示预付只接受在线付款；最长 240 小时，且不晚于预约开始。"),
    )

    def terms(self) -> prepaid.PayTerms:
        """Return what the form says."""
        said = self.cleaned_data
        return prepaid.PayTerms(Collect(said["collect"]), said["hold_minutes"] * 60, said["transfer_hold_hours"] * 3600)


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_payment_terms(request: HttpRequest, number: str) -> HttpResponse:
    """Say when the own share of one's instrument's bookings is paid."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = resources.get_own_instrument(actor, number)
    kept = prepaid.pay_terms(bundles.terms_of(resource))
    initial = {
        "collect": kept.collect.value,
        "hold_minutes": kept.hold_s // 60,
        "transfer_hold_hours": kept.transfer_hold_s // 3600,
    }
    form = PayTermsForm(request.POST if request.method == "POST" else None, initial=initial)
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        _row, error = shell.attempt(
            lambda: prepaid.set_pay_terms(actor=actor, resource=resource, terms=form.terms(), now=now)
        )
        if error is None:
            messages.success(request, gettext("已保存，对以后的预约生效。"))
            return redirect("instrument", number)
        error = slots.put_back(form, error)
    context = {"resource": resource, "name": bilingual(resource), "form": form, "error": error}
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/payment_terms.html", context, status=status)
