"""A lab's price list for an instrument: what is in force, what is announced, and what a full price would be."""

from __future__ import annotations

from datetime import datetime, time
from fractions import Fraction
from typing import Any

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.pages import shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.fields import YuanField
from portal.pages.templatetags.show import zone_of
from scheduler.resources import access, fees, pricing, profile, queries, rules
from scheduler.resources.models import Rate, Resource

__all__ = ["instrument_rate"]

UNITS = [(unit.value, Rate.Unit(unit.value).label) for unit in fees.LISTED]


class PriceForm(forms.Form):
    """One line of the price list."""

    mode = forms.ChoiceField(label=_("服务方式"), choices=Resource.ServiceMode.choices)
    user_class = forms.ChoiceField(label=_("用户类别"), choices=Rate.UserClass.choices)
    unit = forms.ChoiceField(label=_("计价单位"), choices=UNITS)
    amount = YuanField(label=_("单价"), least_fen=0, required=False)
    share = forms.DecimalField(
        label=_("原值比例"),
        required=False,
        min_value=1,
        max_value=5,
        max_digits=5,
        decimal_places=4,
        help_text=_("仅用于按原值比例计价的便携仪器，每天百分之一到百分之五。"),
    )
    since = slots.DayField(
        label=_("生效日期"), required=False, help_text=_("留空表示立即生效；已有预约仍按预约时的价格。")
    )

    def clean(self) -> dict[str, Any]:
        said: dict[str, Any] = self.cleaned_data
        by_share = said.get("unit") == rules.Unit.VALUE_DAY.value
        wanted = "share" if by_share else "amount"
        if wanted not in self.errors and said.get(wanted) is None:
            self.add_error(wanted, gettext("请填写比例。") if by_share else gettext("请填写单价。"))
        return said

    def item(self, resource: Resource, *, now: datetime) -> fees.PriceItem:
        """Return the line, from the chosen day's local midnight on."""
        said = self.cleaned_data
        day = said["since"]
        unit = rules.Unit(said["unit"])
        by_share = unit is rules.Unit.VALUE_DAY
        return fees.PriceItem(
            mode=profile.ServiceMode(said["mode"]),
            unit=unit,
            user_class=fees.UserClass(said["user_class"]),
            since=datetime.combine(day, time.min, zone_of(resource.zone)) if day else now,
            amount=Money(0) if by_share else said["amount"],
            share=Fraction(said["share"]) / 100 if by_share else Fraction(0),
        )


class CostForm(forms.Form):
    """What an hour costs the lab: the parts of a full price."""

    depreciation = YuanField(label=_("年折旧"), least_fen=0)
    quota = forms.IntegerField(label=_("年额定机时"), min_value=1, max_value=8784)
    consumption = YuanField(label=_("每小时材料、水电"), least_fen=0, required=False)
    service = YuanField(label=_("每小时人员服务"), least_fen=0, required=False)
    other = YuanField(label=_("每小时房屋、维修等"), least_fen=0, required=False)

    def advice(self) -> Money | None:
        """Return the full price of an hour, None while the form is not filled in."""
        if not self.is_bound or not self.is_valid():
            return None
        said = self.cleaned_data
        parts = {name: said[name] or Money(0) for name in ("consumption", "service", "other")}
        basis = fees.CostBasis(yearly_depreciation=said["depreciation"], quota_hours=said["quota"], **parts)
        return fees.full_price(basis, hours=Fraction(1))


def _costs(request: HttpRequest) -> CostForm:
    return CostForm(request.GET if "quota" in request.GET else None, auto_id="cost_%s")


@shell.needs(Permission.INSTRUMENT_MANAGE)
def instrument_rate(request: HttpRequest, number: str) -> HttpResponse:
    """Show the price list and announce a price, or take one off (``act=end``)."""
    actor, now = shell.actor_of(request), timezone.now()
    resource = access.get_own_instrument(actor, number)
    form = PriceForm(
        request.POST if request.method == "POST" and "end" not in request.POST else None,
        initial={"mode": resource.modes[0] if resource.modes else "self"},
    )
    error: Explained | None = None
    if request.method == "POST" and "end" in request.POST:
        text = request.POST["end"]
        rate_id = int(text) if text.isascii() and text.isdigit() and len(text) < 19 else 0
        _done, error = shell.attempt(
            lambda: pricing.end_price(actor=actor, resource=resource, rate_id=rate_id, now=now)
        )
        if error is None:
            messages.success(request, gettext("该价格已取消。"))
            return arrived(request, reverse("instrument_rate", args=[number]))
    elif request.method == "POST" and form.is_valid():
        item = form.item(resource, now=now)
        rate, error = shell.attempt(lambda: pricing.set_price(actor=actor, resource=resource, item=item, now=now))
        if error is None:
            messages.success(
                request,
                gettext("新价格已生效。") if rate.valid.lower <= now else gettext("新价格已公布，到日期自动生效。"),
            )
            return arrived(request, reverse("instrument_rate", args=[number]))
        error = slots.put_back(form, error)
    costs = _costs(request)
    context = {
        "resource": resource,
        "form": form,
        "error": error,
        "prices": queries.prices_of_resource(resource.pk, at=now),
        "past": resource.rates.filter(valid__fully_lt=(now, None)).order_by("-valid")[:20],
        "costs": costs,
        "advice": costs.advice(),
        "now": now,
        "path": request.path,
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "lab/rate.html", context, status=status)
