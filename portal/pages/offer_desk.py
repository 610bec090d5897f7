"""The provider's offers: the list, describing one, publishing, suspending and withdrawing."""

from __future__ import annotations

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
from portal.pages import acts, shell, slots
from portal.pages.booking_requests import arrived
from portal.pages.offers import offer_page, price_words
from vouchers.offers import access, queries, rules, services
from vouchers.offers.models import Offer

__all__ = ["my_offers", "offer_edit", "offer_new", "offer_state", "offer_withdraw"]

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
    prepay_days = forms.IntegerField(
        label=_("预付期限"),
        initial=0,
        min_value=0,
        max_value=rules.PREPAY_DAYS,
        help_text=_("下单后多少天内预付自付部分，到账后才能开始交付；0 表示验收后付款。"),
    )

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
