"""The catalogue of corpora, models and services; one offer with its prices; the order form with its calculator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django import forms
from django.contrib import messages
from django.db.models import Count, QuerySet
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from portal.http import Explained, explain_reason
from portal.kernel.actors import Permission
from portal.pages import acts, purses, shell, slots
from portal.pages.templatetags.show import bilingual, label
from vouchers.charges import prices
from vouchers.charges import services as charges
from vouchers.offers import access, orders, prepaying, queries, rules
from vouchers.offers.models import Offer, PriceList
from vouchers.payments.rules import PaymentState
from vouchers.wallets.models import Voucher

__all__ = ["OrderDesk", "offer", "offer_order", "offer_quote", "offers", "price_rows"]

SORTS = {"title": ["title"], "new": ["-published_at"], "provider": ["provider__name", "title"]}
FACETS = {"kind": Offer.Kind, "delivery": Offer.Delivery, "channel": Offer.Channel}


class CatalogueFilter(forms.Form):
    """What the catalogue may be narrowed to; each choice says how many it leaves."""

    q = forms.CharField(label=_("关键词"), max_length=80, required=False)
    kind = forms.ChoiceField(label=_("类别"), required=False)
    delivery = forms.ChoiceField(label=_("交付方式"), required=False)
    channel = forms.ChoiceField(label=_("成交渠道"), required=False)
    sort = forms.ChoiceField(label=_("排序"), required=False)

    def __init__(self, data: Any) -> None:
        super().__init__(data, auto_id="filter_%s")
        self.fields["q"].widget.attrs.update({"type": "search", "placeholder": gettext("名称、内容、许可或单位")})
        chosen = {name: data.get(name, "") for name in FACETS}
        found = queries.matching(access.on_sale(), (data.get("q") or "").replace("\0", " ")[:80])
        for name, known in FACETS.items():
            others = {
                other: value for other, value in chosen.items() if other != name and value in FACETS[other].values
            }
            counts = dict(
                found.filter(**others)
                .order_by()
                .values_list(name)
                .annotate(number=Count("pk"))
                .values_list(name, "number")
            )
            self._choices(
                name,
                [("", gettext("全部")), *((code, f"{text} ({counts.get(code, 0)})") for code, text in known.choices)],
            )
        self._choices(
            "sort", [("title", gettext("按名称")), ("new", gettext("最新发布")), ("provider", gettext("按单位"))]
        )
        self.full_clean()

    def _choices(self, name: str, choices: list[tuple[str, Any]]) -> None:
        field = self.fields[name]
        assert isinstance(field, forms.ChoiceField)
        field.choices = choices

    def narrow(self, found: QuerySet[Offer]) -> QuerySet[Offer]:
        """Return what the filter leaves; a value not on offer narrows nothing."""
        said = self.cleaned_data
        found = queries.matching(found, said.get("q") or "")
        return found.filter(**{name: said[name] for name in FACETS if said.get(name)})


def price_text(fen: Fraction) -> str:
    """Return a unit price with its sign and grouped thousands, exact: ``¥60,000.00``, ``¥0.000012``."""
    whole, _dot, rest = prices.unit_price_text(fen).partition(".")
    return f"¥{int(whole):,}.{rest}"


def price_words(price_list: PriceList | None) -> str:
    """Say the first price of a list, and whether there are more."""
    if price_list is None:
        return gettext("尚未公布")
    items = queries.items_of(price_list)
    first = items[0]
    text = f"{price_text(first.tiers[0].price)} / {label(first.unit.value, 'price_unit')}"
    return text if len(items) == 1 and len(first.tiers) == 1 else gettext("%(price)s 起") % {"price": text}


@shell.guarded
def offers(request: HttpRequest) -> HttpResponse:
    """Show what is on sale. Six queries whatever the page."""
    filters = CatalogueFilter(request.GET)
    found = filters.narrow(access.on_sale())
    now = timezone.now()
    if shell.wants_csv(request):
        return _csv(found, now=now)
    listing = shell.listing(request, found, sorts=SORTS, default="title")
    rows = list(listing.rows)
    lists = queries.lists_in_force([row.pk for row in rows], at=now)
    lines = [{"offer": row, "price": price_words(lists.get(row.pk))} for row in rows]
    narrowed = any(request.GET.get(name) for name in ("q", *FACETS))
    context = {"filters": filters, "listing": listing, "lines": lines, "narrowed": narrowed}
    return shell.page(request, "offers/catalogue.html", context)


def _csv(found: QuerySet[Offer], *, now: datetime) -> HttpResponse:
    rows = list(found.order_by("title", "pk")[: shell.EXPORT_LIMIT])
    lists = queries.lists_in_force([row.pk for row in rows], at=now)
    head = (
        *(gettext("编号"), gettext("名称"), gettext("类别"), gettext("提供单位"), gettext("价格")),
        *(gettext("交付方式"), gettext("成交渠道"), gettext("模型备案号")),
    )
    return shell.csv_response(
        "offers",
        head,
        (
            (
                *(row.number, bilingual(row, "title"), label(row.kind, "offer_kind"), bilingual(row.provider)),
                *(price_words(lists.get(row.pk)), label(row.delivery, "delivery"), label(row.channel, "channel")),
                row.filing_number,
            )
            for row in rows
        ),
    )


@dataclass(frozen=True, slots=True)
class PriceRow:
    """A price item in words: its tiers one to a line, its conditions as one sentence each."""

    item: prices.PriceItem
    tiers: Sequence[str]
    notes: Sequence[str]


def price_rows(items: Sequence[prices.PriceItem]) -> list[PriceRow]:
    """Return price items as a reader needs them."""
    return [PriceRow(item, _tiers(item), _notes(item)) for item in items]


def _tiers(item: prices.PriceItem) -> list[str]:
    unit = label(item.unit.value, "price_unit")
    said, below = [], Fraction(0)
    for tier in item.tiers:
        price = {"price": price_text(tier.price), "unit": unit, "below": prices.text(below)}
        if tier.up_to is not None:
            price["top"] = prices.text(tier.up_to)
            said.append(gettext("%(top)s 及以内：%(price)s / %(unit)s") % price)
            below = tier.up_to
        elif below:
            said.append(gettext("超过 %(below)s：%(price)s / %(unit)s") % price)
        else:
            said.append(gettext("%(price)s / %(unit)s") % price)
    return said


def _notes(item: prices.PriceItem) -> list[str]:
    unit = label(item.unit.value, "price_unit")
    said = []
    if len(item.tiers) > 1:
        said.append(label(item.tiering.value, "tiering"))
    if item.free:
        said.append(gettext("前 %(free)s %(unit)s免费") % {"free": prices.text(item.free), "unit": unit})
    if item.started:
        said.append(gettext("不足一个计价单位按一个计"))
    if item.minimum:
        said.append(gettext("最低收费 %(amount)s") % {"amount": item.minimum})
    if item.rounding is prices.PriceRounding.DOWN:
        said.append(label(item.rounding.value, "rounding"))
    return said


@shell.guarded
def offer(request: HttpRequest, number: str) -> HttpResponse:
    """Show one offer: what it is, its licence, what it costs, and every version of its prices."""
    actor = shell.stranger_or_actor(request)
    found = access.get_offer(actor, number)
    return offer_page(request, found, now=timezone.now())


def offer_page(request: HttpRequest, found: Offer, *, now: datetime, error: Explained | None = None) -> HttpResponse:
    """Render an offer's page, with what went wrong when an act on it was refused."""
    actor = shell.stranger_or_actor(request)
    versions = list(found.price_lists.order_by("-version")[:20])
    current = queries.list_in_force(found, at=now)
    may_order = actor is None or actor.may(Permission.ORDER_PLACE)
    context = {
        "offer": found,
        "current": current,
        "rows": price_rows(queries.items_of(current)) if current else [],
        "versions": versions,
        "orderable": may_order and current is not None and found.state == Offer.State.PUBLISHED.value,
        "manages": actor is not None
        and actor.may(Permission.OFFER_MANAGE)
        and actor.organisation_id == found.provider_id,
        "error": error,
    }
    return shell.page(request, "offers/offer.html", context, status=error.status if error else 200)


class OrderForm(forms.Form):
    """How much of what, what for, and what with."""

    purpose = forms.CharField(
        label=_("用途"), max_length=200, help_text=_("例如“设备故障诊断模型微调”。仅贵单位和提供单位可见。")
    )
    voucher = purses.PayWith()
    more = purses.MoreVouchers()
    related = forms.BooleanField(label=_("贵单位与提供单位存在关联关系（控股、被控股或受同一方控制）"), required=False)
    agreed = forms.BooleanField(
        label=_("已阅读并同意许可条款"), error_messages={"required": _("下单前须同意许可条款。")}
    )

    def __init__(
        self,
        data: Mapping[str, Any] | None = None,
        *,
        items: Sequence[prices.PriceItem],
        known: Sequence[purses.Purse],
        **more: Any,
    ) -> None:
        super().__init__(data, **more)
        self.items = items
        for at, item in enumerate(items):
            unit = label(item.unit.value, "price_unit")
            self.fields[f"q{at}"] = forms.DecimalField(
                label=f"{bilingual(item)}",
                required=len(items) == 1,
                min_value=0,
                max_digits=16,
                decimal_places=6,
                widget=forms.TextInput(attrs={"inputmode": "decimal", "autocomplete": "off"}),
                help_text="",
            )
            self.fields[f"q{at}"].unit = unit  # type: ignore[attr-defined]  # shown beside the input
        purses.offer_all(self, known)

    @property
    def quantities(self) -> list[tuple[forms.BoundField, str]]:
        """Return the inputs of quantities, each with its unit."""
        return [(self[f"q{at}"], label(item.unit.value, "price_unit")) for at, item in enumerate(self.items)]

    def lines(self) -> list[prices.Line]:
        """Return the quantities that can be read, whatever else is wrong."""
        said = getattr(self, "cleaned_data", {})
        found = [(item.code, said.get(f"q{at}")) for at, item in enumerate(self.items)]
        return [prices.Line(code, Fraction(value)) for code, value in found if isinstance(value, Decimal) and value]


NAMES = {"items": "q0", "vouchers": "voucher", "offer": ""}


@dataclass(frozen=True, slots=True)
class Calculation:
    """What the calculator shows: the price item by item, who pays it, or why it cannot be."""

    quote: queries.Quote | None = None
    share: Fraction | None = None
    reasons: Sequence[Mapping[str, str]] = ()

    @property
    def seen(self) -> str:
        """What the person saw when pressing the button: price and voucher's part, in fen."""
        return f"{self.quote.priced.amount.fen}/{self.quote.split.voucher.fen}" if self.quote else ""


class OrderDesk:
    """One visit to an offer's order form."""

    def __init__(self, request: HttpRequest, number: str) -> None:
        self.request, self.now = request, timezone.now()
        self.actor = shell.actor_of(request)
        self.offer = access.get_offer(self.actor, number)
        current = queries.list_in_force(self.offer, at=self.now)
        if current is None:
            raise rules.NoPrice
        self.items = queries.items_of(current)
        self.purses = purses.purses_of(self.actor, now=self.now, service=rules.OfferKind(self.offer.kind))

    def form(self, data: Mapping[str, Any] | None, **more: Any) -> OrderForm:
        return OrderForm(data, items=self.items, known=self.purses, **more)

    def vouchers(self, form: OrderForm) -> list[Voucher]:
        """Return the chosen vouchers, none to pay all oneself. Raises NotFound at the field for a foreign one."""
        return purses.chosen(self.actor, self.purses, form.cleaned_data)

    def calculate(self, form: OrderForm) -> Calculation:
        """Price what the form asks for and collect everything against it."""
        form.full_clean()
        lines = form.lines()
        if not lines:
            return Calculation()
        made, error = shell.attempt(lambda: self._calculation(form, lines))
        if error is not None:
            return Calculation(reasons=slots.renamed(error, NAMES).reasons)
        assert isinstance(made, Calculation)
        return made

    def _calculation(self, form: OrderForm, lines: Sequence[prices.Line]) -> Calculation:
        paying = self.vouchers(form)
        quote = queries.quote(
            self.offer,
            lines=lines,
            vouchers=paying,
            related=bool(form.cleaned_data.get("related")),
            organisation_id=self.actor.organisation_id,
            now=self.now,
        )
        share = charges.terms_of(paying[0]).share if len(paying) == 1 else None
        return Calculation(quote, share, [explain_reason(reason) for reason in quote.reasons])

    def wanted(self, form: OrderForm) -> orders.Wanted:
        """Return what a valid form asks for. Raises NotFound."""
        return orders.Wanted(
            offer=self.offer,
            lines=form.lines(),
            purpose=form.cleaned_data["purpose"],
            related=form.cleaned_data["related"],
            vouchers=self.vouchers(form),
        )

    def show(
        self, form: OrderForm, shown: Calculation, *, error: Explained | None = None, key: str = ""
    ) -> HttpResponse:
        """Render the form. `error` is why an order was not taken; its status is the answer's."""
        context = {
            "offer": self.offer,
            "form": form,
            "rows": price_rows(self.items),
            "shown": shown,
            "error": error,
            "key": key or shell.new_key(),
        }
        status = error.status if error else 422 if form.is_bound and form.errors else 200
        return shell.page(self.request, "offers/order.html", context, status=status)


@shell.needs(Permission.ORDER_PLACE)
def offer_order(request: HttpRequest, number: str) -> HttpResponse:
    """Show the order form with its calculator, and take the order."""
    desk = OrderDesk(request, number)
    key = request.POST.get("idempotency_key", "")
    if request.method != "POST":
        first = next((purse.voucher.number for purse in desk.purses if purse.voucher.deducts), "")
        return desk.show(desk.form(None, initial={"voucher": first}), Calculation())
    form = desk.form(request.POST)
    shown = desk.calculate(form)
    if request.POST.get("act") == "quote":
        kept = {name: form[name].value() for name in form.fields}
        return desk.show(desk.form(None, initial=kept), shown, key=key)
    if not form.is_valid():
        return desk.show(form, shown, key=key)
    before = access.own_orders(desk.actor).filter(key=key).exists()
    if request.POST.get("seen") != shown.seen and shown.quote is not None and not before:
        text = gettext("数量、付款方式或价格有变，价格已更新。请核对下方价格，再次提交即可下单。")
        return desk.show(form, shown, error=Explained(409, "price.changed", text, ()), key=key)
    made, error = acts.attempt_on(
        "order",
        lambda: orders.place(actor=desk.actor, wanted=desk.wanted(form), now=desk.now, key=shell.key_of(request)),
    )
    if error is not None:
        fresh = "" if error.code == acts.SentBefore.code else key
        return desk.show(form, shown, error=slots.put_back(form, error, NAMES), key=fresh)
    if (asked := prepaying.advance_of(made)) is not None and asked.state == PaymentState.DUE.value:
        text = gettext("已提交订单 %(number)s。请在期限前预付自付部分，到账后开始交付。")
        messages.success(request, text % {"number": made.number})
        return redirect(reverse("payment", args=[asked.number]))
    messages.success(request, gettext("已提交订单 %(number)s，等待提供单位接单。") % {"number": made.number})
    return redirect(reverse("order", args=[made.number]))


@shell.needs(Permission.ORDER_PLACE)
def offer_quote(request: HttpRequest, number: str) -> HttpResponse:
    """Show the price and everything against it while the form changes. Holds nothing."""
    desk = OrderDesk(request, number)
    shown = desk.calculate(desk.form(request.GET))
    return shell.page(request, "offers/quote.html", {"offer": desk.offer, "shown": shown})
