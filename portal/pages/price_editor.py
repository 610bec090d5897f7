"""The price editor: the next version of an offer's price list, as many items and tiers as a list may have."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime, time
from fractions import Fraction
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.numbers.services import PORTAL_ZONE
from portal.pages import shell, slots
from portal.pages.fields import YuanField
from portal.pages.templatetags.show import label
from vouchers.charges import prices
from vouchers.offers import access, queries, services

__all__ = ["offer_prices"]

ROWS: Final = prices.MOST_ITEMS
TIERS: Final = 3
"""Tiers a line shows before more are asked for."""
TIER: Final = re.compile(r"(?:.*-)?(?:price|top)(\d{1,2})")


def _tiers_of(values: Mapping[str, Any], prefix: str = "") -> int:
    """Return how many tiers a line has among `values`; never fewer than shown at first, never more than a list may have."""
    found = [TIER.fullmatch(name) for name in values if name.startswith(prefix)]
    most = max((int(match[1]) + 1 for match in found if match), default=0)
    return min(max(most, TIERS), prices.MOST_TIERS)


class PriceItemForm(forms.Form):
    """One line of the price editor. Its tiers are as many as its values hold."""

    code = forms.RegexField(
        r"^[A-Za-z0-9_.-]{1,40}$", label=_("编码"), error_messages={"invalid": _("编码只能用字母、数字和 _ . -。")}
    )
    name = forms.CharField(label=_("名称"), max_length=80)
    name_en = forms.CharField(label=_("英文名称"), max_length=120, required=False)
    unit = forms.ChoiceField(label=_("计价单位"))
    tiering = forms.ChoiceField(label=_("分档方式"), required=False)
    free = forms.DecimalField(label=_("免费额度"), min_value=0, max_digits=16, decimal_places=6, required=False)
    minimum = YuanField(label=_("最低收费"), least_fen=0, required=False)
    rounding = forms.ChoiceField(label=_("取整"), required=False)
    started = forms.BooleanField(label=_("不足一个计价单位按一个计"), required=False)

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for name, kind, known in (
            ("unit", "price_unit", prices.PriceUnit),
            ("tiering", "tiering", prices.Tiering),
            ("rounding", "rounding", prices.PriceRounding),
        ):
            field = self.fields[name]
            assert isinstance(field, forms.ChoiceField)
            field.choices = [(member.value, label(member.value, kind)) for member in known]
        self.steps = _tiers_of(self.data, f"{self.prefix}-") if self.is_bound else _tiers_of(self.initial)
        for at in range(self.steps):
            self.fields[f"price{at}"] = forms.DecimalField(
                label=_("单价"), min_value=0, max_digits=16, decimal_places=6, required=at == 0
            )
            self.fields[f"top{at}"] = forms.DecimalField(
                label=_("用量上限（含）"), min_value=0, max_digits=16, decimal_places=6, required=False
            )
        for field in self.fields.values():
            if isinstance(field, forms.DecimalField):
                field.widget = forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"})

    @property
    def tiers(self) -> list[tuple[forms.BoundField, forms.BoundField]]:
        return [(self[f"price{at}"], self[f"top{at}"]) for at in range(self.steps)]

    @property
    def may_grow(self) -> bool:
        """Say whether the line may have one tier more."""
        return self.steps < prices.MOST_TIERS

    @property
    def is_folded(self) -> bool:
        """Say whether nothing but the first price is said of the line, so that the rest may stay folded away."""
        return not any(self[name].value() for name in ("price1", "free", "minimum")) and self.steps == TIERS

    def value(self) -> prices.PriceItem:
        """Return the item. The tiers are those with a price; the last one's end is as entered."""
        said = self.cleaned_data
        return prices.PriceItem(
            code=said["code"],
            name=said["name"],
            name_en=said["name_en"],
            unit=prices.PriceUnit(said["unit"]),
            tiers=tuple(
                prices.Tier(
                    Fraction(said[f"price{at}"]) * 100,
                    None if said[f"top{at}"] is None else Fraction(said[f"top{at}"]),
                )
                for at in range(self.steps)
                if said[f"price{at}"] is not None
            ),
            tiering=prices.Tiering(said["tiering"] or prices.Tiering.WHOLE_VOLUME),
            free=Fraction(said["free"] or 0),
            minimum=said["minimum"] or Money(0),
            rounding=prices.PriceRounding(said["rounding"] or prices.PriceRounding.HALF_UP),
            started=said["started"],
        )


class StartForm(forms.Form):
    """When the new list begins."""

    day = slots.DayField(
        label=_("生效日期"), required=False, help_text=_("留空即刻生效；填写日期则自当日零时（北京时间）生效。")
    )


PriceForms = forms.formset_factory(PriceItemForm, extra=0, min_num=1, max_num=ROWS, absolute_max=ROWS, can_delete=True)


def _stored(item: prices.PriceItem) -> dict[str, Any]:
    """Return an item as the editor shows it."""
    tiers = {
        name: value
        for at, tier in enumerate(item.tiers)
        for name, value in (
            (f"price{at}", prices.unit_price_text(tier.price)),
            (f"top{at}", "" if tier.up_to is None else prices.text(tier.up_to)),
        )
    }
    facts = {name: getattr(item, name) for name in ("code", "name", "name_en", "started")}
    enums = {name: getattr(item, name).value for name in ("unit", "tiering", "rounding")}
    return {
        **facts,
        **enums,
        "minimum": item.minimum or None,
        "free": prices.text(item.free) if item.free else "",
        **tiers,
    }


@shell.needs(Permission.OFFER_MANAGE)
def offer_prices(request: HttpRequest, number: str) -> HttpResponse:
    """Write the next version of a price list, starting from the present one, and publish it."""
    actor, now = shell.actor_of(request), timezone.now()
    offer = access.get_own_offer(actor, number)
    latest = offer.price_lists.order_by("-version").first()
    error: Explained | None = None
    grows = request.POST.get("act", "").startswith("more")
    if request.method == "POST":
        rows, start = PriceForms(request.POST, prefix="row"), StartForm(request.POST)
        if grows:
            rows = _grown(request.POST)
            start = StartForm(initial={"day": request.POST.get("day", "")})
        elif rows.is_valid() and start.is_valid():
            items = [form.value() for form in rows.forms if form not in rows.deleted_forms]
            day = start.cleaned_data["day"]
            begins = datetime.combine(day, time(), PORTAL_ZONE) if day else now
            _made, error = shell.attempt(
                lambda: services.publish_prices(actor=actor, offer=offer, items=items, effective_from=begins, now=now)
            )
            if error is None:
                messages.success(request, gettext("新价目表已公布。已有订单仍按下单时的价目表。"))
                return redirect("offer", number)
    else:
        known = [_stored(item) for item in queries.items_of(latest)] if latest else [{}]
        rows, start = PriceForms(initial=known, prefix="row"), StartForm()
    bad = request.method == "POST" and not grows
    context = {
        "offer": offer,
        "rows": rows,
        "start": start,
        "error": error,
        "latest": latest,
        "most": ROWS,
        "path": request.path,
    }
    return shell.page(
        request, "offers/prices_edit.html", context, status=error.status if error else 422 if bad else 200
    )


def _grown(posted: Mapping[str, Any]) -> Any:
    """Return the editor with the same values, unjudged, and one line more (``more``) or one tier more (``more.2``)."""
    data = dict(posted.items())
    sent = str(data.get("row-TOTAL_FORMS", ""))
    total = min(int(sent), ROWS) if sent.isdigit() and len(sent) < 4 else 0
    act, _dot, line = str(data["act"]).partition(".")
    if act == "more" and not line:
        total = min(total + 1, ROWS)
    known = []
    for at in range(total):
        start = f"row-{at}-"
        values = {name.removeprefix(start): value for name, value in data.items() if name.startswith(start)}
        if line == str(at) and (tiers := _tiers_of(values)) < prices.MOST_TIERS:
            values[f"price{tiers}"] = ""
        known.append(values)
    return PriceForms(initial=known or [{}], prefix="row")
