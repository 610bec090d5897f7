"""The provider's offers: the list, describing one, the price editor, publishing, suspending and withdrawing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, time
from fractions import Fraction
from typing import Any, Final

from django import forms
from django.contrib import messages
from django.db.models import Count, Q
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.numbers.services import PORTAL_ZONE
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.fields import YuanField
from portal.pages.offers import offer_page, price_words
from portal.pages.templatetags.show import label
from vouchers.charges import prices
from vouchers.offers import access, queries, rules, services
from vouchers.offers.models import Offer

__all__ = ["my_offers", "offer_edit", "offer_new", "offer_prices", "offer_state", "offer_withdraw"]

S = rules.OrderState


@shell.needs(Permission.OFFER_MANAGE)
def my_offers(request: HttpRequest) -> HttpResponse:
    """List the provider's offers in every state, with the orders that wait."""
    waiting = Count("orders", filter=Q(orders__state__in=[S.PLACED.value, S.DISPUTED.value]))
    found = access.own_offers(shell.actor_of(request)).annotate(waiting=waiting)
    sorts = {"title": ["title"], "state": ["state"], "waiting": ["waiting"], "kind": ["kind", "title"]}
    listing = shell.listing(request, found, sorts=sorts, default="title")
    rows = list(listing.rows)
    lists = queries.lists_in_force([row.pk for row in rows], at=timezone.now())
    lines = [{"offer": row, "price": price_words(lists.get(row.pk))} for row in rows]
    return shell.page(request, "offers/mine.html", {"listing": listing, "lines": lines})


class OfferForm(forms.Form):
    """What a provider says of an offer."""

    kind = forms.ChoiceField(label=_("类别"), choices=[("", _("请选择")), *Offer.Kind.choices])
    title = forms.CharField(label=_("名称"), max_length=120)
    title_en = forms.CharField(label=_("英文名称"), max_length=160, required=False)
    description = forms.CharField(label=_("说明"), max_length=2000, widget=forms.Textarea(attrs={"rows": 5}))
    description_en = forms.CharField(
        label=_("英文说明"), max_length=3000, required=False, widget=forms.Textarea(attrs={"rows": 5})
    )
    licence = forms.CharField(
        label=_("许可条款"),
        max_length=2000,
        widget=forms.Textarea(attrs={"rows": 4}),
        help_text=_("可用于什么、不可用于什么、期限多长。订单保留下单时的条款。"),
    )
    filing_number = forms.CharField(
        label=_("模型备案号"), max_length=80, required=False, help_text=_("没有备案号的模型，不能用要求备案的券付款。")
    )
    delivery = forms.ChoiceField(label=_("交付方式"), choices=Offer.Delivery.choices)
    channel = forms.ChoiceField(label=_("成交渠道"), choices=Offer.Channel.choices)
    acceptance_days = forms.IntegerField(label=_("验收期"), initial=7, min_value=3, max_value=60)

    def values(self) -> services.OfferValues:
        return services.OfferValues(**self.cleaned_data)


def _describe(request: HttpRequest, form: OfferForm, offer: Offer | None) -> HttpResponse:
    actor, now = shell.actor_of(request), timezone.now()
    error: Explained | None = None
    if request.method == "POST" and form.is_valid():
        values = form.values()
        if offer is None:
            made, error = shell.attempt(lambda: services.create_offer(actor=actor, values=values, now=now))
        else:
            known = offer
            made, error = shell.attempt(lambda: services.change_offer(actor=actor, offer=known, values=values, now=now))
        if error is None:
            acts.remember(request)
            said = gettext("已保存为草稿。接下来请公布价目表。") if offer is None else gettext("已保存。")
            messages.success(request, said)
            return redirect("offer", made.number)
        error = slots.put_back(form, error)
    context = {
        "form": form,
        "offer": offer,
        "error": error,
        "key": request.POST.get("idempotency_key") or shell.new_key(),
    }
    status = error.status if error else 422 if form.errors else 200
    return shell.page(request, "offers/edit.html", context, status=status)


@shell.needs(Permission.OFFER_MANAGE)
def offer_new(request: HttpRequest) -> HttpResponse:
    """Enter an offer as a draft. A form sent twice enters it once."""
    if request.method == "POST" and acts.was_sent(request):
        messages.info(request, gettext("这张表单已提交过，服务已在列表中。"))
        return redirect("my_offers")
    return _describe(request, OfferForm(request.POST if request.method == "POST" else None), None)


@shell.needs(Permission.OFFER_MANAGE)
def offer_edit(request: HttpRequest, number: str) -> HttpResponse:
    """Change an offer's description and licence."""
    offer = access.get_own_offer(shell.actor_of(request), number)
    initial = {name: getattr(offer, name) for name in OfferForm.base_fields}
    return _describe(request, OfferForm(request.POST if request.method == "POST" else None, initial=initial), offer)


@shell.needs(Permission.OFFER_MANAGE)
def offer_state(request: HttpRequest, number: str) -> HttpResponse:
    """Publish or suspend; a refusal says what lacks, on the offer's page."""
    if request.method != "POST":
        return redirect("offer", number)
    action = rules.OfferAction(shell.act_of(request, "publish", "suspend"))
    said = {
        rules.OfferAction.PUBLISH: gettext("已发布，企业现在可以下单。"),
        rules.OfferAction.SUSPEND: gettext("已暂停，不再接受新订单；已有订单不受影响。"),
    }
    return _change(request, number, action, said[action])


def _change(request: HttpRequest, number: str, action: rules.OfferAction, said: str) -> HttpResponse:
    actor, now = shell.actor_of(request), timezone.now()
    offer = access.get_own_offer(actor, number)
    _done, error = acts.attempt_on(
        "offer", lambda: services.change_state(actor=actor, offer=offer, action=action, now=now)
    )
    if error is None:
        messages.success(request, said)
        return arrived(request, reverse("offer", args=[number]))
    return offer_page(request, offer, now=now, error=slots.renamed(error, {"prices": ""}))


@shell.needs(Permission.OFFER_MANAGE)
def offer_withdraw(request: HttpRequest, number: str) -> HttpResponse:
    """Ask, saying what follows; then take an offer off sale for good."""
    offer = access.get_own_offer(shell.actor_of(request), number)
    if request.method != "POST":
        return shell.page(request, "offers/withdraw.html", {"offer": offer, "path": request.path})
    return _change(request, number, rules.OfferAction.WITHDRAW, gettext("已下架；已有订单照常履行。"))


ROWS: Final = 8
TIERS: Final = 4


class PriceItemForm(forms.Form):
    """One line of the price editor: up to four tiers. A line without code, name and price is left out."""

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
        for at in range(TIERS):
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
        return [(self[f"price{at}"], self[f"top{at}"]) for at in range(TIERS)]

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
                for at in range(TIERS)
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
        for at, tier in enumerate(item.tiers[:TIERS])
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
    if request.method == "POST":
        rows, start = PriceForms(request.POST, prefix="row"), StartForm(request.POST)
        if request.POST.get("act") == "more":
            rows = _with_another(request.POST)
        elif rows.is_valid() and start.is_valid():
            items = [form.value() for form in rows.forms if form not in rows.deleted_forms]
            day = start.cleaned_data["day"]
            begins = datetime.combine(day, time(), PORTAL_ZONE) if day else now
            _made, error = shell.attempt(
                lambda: services.publish_prices(
                    actor=actor,
                    offer=offer,
                    items=items,
                    effective_from=max(begins, now) if not day else begins,
                    now=now,
                )
            )
            if error is None:
                messages.success(request, gettext("新价目表已公布。已有订单仍按下单时的价目表。"))
                return redirect("offer", number)
    else:
        known = [_stored(item) for item in queries.items_of(latest)] if latest else [{}]
        rows, start = PriceForms(initial=known, prefix="row"), StartForm()
    bad = request.method == "POST" and request.POST.get("act") != "more"
    context = {"offer": offer, "rows": rows, "start": start, "error": error, "latest": latest, "most": ROWS}
    return shell.page(
        request, "offers/prices_edit.html", context, status=error.status if error else 422 if bad else 200
    )


def _with_another(posted: Mapping[str, Any]) -> Any:
    """Return the editor with the same values and one more line, unjudged."""
    data = dict(posted.items())
    sent = str(data.get("row-TOTAL_FORMS", ""))
    total = min(int(sent) + 1, ROWS) if sent.isdigit() and len(sent) < 4 else 1
    starts = [f"row-{at}-" for at in range(total)]
    known = [
        {name.removeprefix(start): value for name, value in data.items() if name.startswith(start)} for start in starts
    ]
    return PriceForms(initial=known, prefix="row")
