"""Read prices in force, quotes, what a voucher would pay, and sums of usage."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from fractions import Fraction
from typing import Any

from django.db.models import Count, Q, QuerySet, Sum

from portal.kernel.errors import Reason, noop
from portal.kernel.money import MAX_FEN, Money
from vouchers.charges import prices
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges
from vouchers.offers import rules
from vouchers.offers.models import MICRO, Offer, Order, PriceList, UsageLine
from vouchers.payments.models import Payment
from vouchers.payments.rules import Collect, PaymentState
from vouchers.programmes.access import scheme_of
from vouchers.programmes.predicates import Truth, judge
from vouchers.wallets.models import Voucher

_ = noop

MOST = Fraction(10**9)


@dataclass(frozen=True, slots=True)
class Quote:
    """What an order would cost and who would pay, or why it cannot be."""

    price_list: PriceList
    priced: prices.PricedList
    split: charge_rules.Split
    reasons: Sequence[Reason]


def items_of(price_list: PriceList) -> list[prices.PriceItem]:
    """Return the items of a price list, in its order."""
    return [prices.from_json(item) for item in price_list.items]


def lists_in_force(offer_ids: Iterable[int], *, at: datetime) -> dict[int, PriceList]:
    """Return the price list in force of each offer that has one. One query."""
    found = (
        PriceList.objects.filter(offer_id__in=list(offer_ids), effective_from__lte=at)
        .order_by("offer_id", "-effective_from")
        .distinct("offer_id")
    )
    return {row.offer_id: row for row in found if row.effective_to is None or at < row.effective_to}


def list_in_force(offer: Offer, *, at: datetime) -> PriceList | None:
    """Return the price list in force, or None."""
    return lists_in_force([offer.pk], at=at).get(offer.pk)


def matching(offers: QuerySet[Offer], words: str) -> QuerySet[Offer]:
    """Return the offers in which every one of `words` occurs: title, description, provider, licence or number."""
    for word in words.split():
        found = Q(number__iexact=word)
        for column in (
            *("title", "title_en", "description", "description_en", "provider__name", "provider__name_en"),
            *("licence", "filing_number"),
        ):
            found |= Q(**{f"{column}__icontains": word})
        offers = offers.filter(found)
    return offers


def matching_orders(found: QuerySet[Order], words: str) -> QuerySet[Order]:
    """Return the orders in which every one of `words` occurs: number, offer, buyer or provider."""
    for word in words.split():
        matches = Q(number__icontains=word)
        for column in ("offer__title", "offer__title_en", "organisation__name", "offer__provider__name"):
            matches |= Q(**{f"{column}__icontains": word})
        found = found.filter(matches)
    return found


def lines_json(lines: Iterable[prices.Line]) -> list[dict[str, str]]:
    """Return lines as an order stores them."""
    return [{"code": line.code, "quantity": prices.text(line.quantity)} for line in lines]


def lines_of(stored: Iterable[Mapping[str, Any]]) -> list[prices.Line]:
    """Return stored lines as values."""
    return [prices.Line(line["code"], Fraction(line["quantity"])) for line in stored]


def purchase_of(offer: Offer, *, related: bool) -> rules.Purchase:
    """Return what a programme's rules look at: the offer's facts, and what is registered of its provider."""
    provider = offer.provider
    return rules.Purchase(
        channel=rules.SaleChannel(offer.channel),
        model_filed=bool(offer.filing_number),
        related=related,
        provider={"region": provider.city, "recognised": True, "name": provider.name, **provider.facts},
    )


def terms_of(voucher: Voucher, purchase: rules.Purchase) -> rules.Terms:
    """Judge the purchase by the programme version the voucher was granted under. What it does not know does not fail."""
    scheme = scheme_of(voucher.application.version)
    facts = purchase.facts()
    failed: set[str] = set()
    for condition in (scheme.provider, scheme.cost.when):
        verdict = judge(condition, facts)
        if verdict.truth is Truth.FALSE:
            failed |= {seen.leaf.path for seen in verdict.because}
    return rules.Terms(failed=frozenset(failed), related_forbidden=scheme.related_party_forbidden)


def programme_reasons(offer: Offer, vouchers: Sequence[Voucher], *, related: bool) -> list[Reason]:
    """Return every ground in the vouchers' programmes against this purchase."""
    purchase = purchase_of(offer, related=related)
    return [
        reason
        for voucher in vouchers
        for reason in rules.programme_reasons(purchase, terms=terms_of(voucher, purchase), voucher=voucher.number)
    ]


def quote(
    offer: Offer,
    *,
    lines: Sequence[prices.Line],
    vouchers: Sequence[Voucher] = (),
    related: bool = False,
    organisation_id: int | None,
    now: datetime,
) -> Quote:
    """Price `lines` by the list in force and collect every reason against the order. Raises NoPrice, NoSuchItem.

    A look, not a promise: only placing an order holds anything. The price is always the list price: a voucher pays a part of
    it and never lowers it.
    """
    price_list = list_in_force(offer, at=now)
    if price_list is None:
        raise rules.NoPrice(field="items")
    priced = prices.price_all(items_of(price_list), lines)
    reasons: list[Reason] = []
    if offer.state != Offer.State.PUBLISHED.value:
        reasons.append(Reason("offer.not_on_sale", _("该服务目前不接受订单。"), _("请选择其他服务。"), field="offer"))
    if organisation_id == offer.provider_id:
        reasons.append(
            Reason(
                "order.own", _("贵单位是该服务的提供单位，不能向自己下单。"), _("请选择其他提供单位。"), field="offer"
            )
        )
    if not any(line.quantity for line in lines):
        reasons.append(
            Reason("order.nothing", _("还没有填写数量。"), _("请至少在一项中填写大于零的数量。"), field="items")
        )
    if any(not 0 <= line.quantity <= MOST or (line.quantity * MICRO).denominator != 1 for line in lines):
        reasons.append(
            Reason("order.quantity", _("数量须在 0 到 10 亿之间，最多六位小数。"), _("请修改数量。"), field="items")
        )
    reasons += amount_reasons(priced.amount)
    plan = charges.plan(vouchers=vouchers, price=priced.amount, service=offer.kind, now=now)
    reasons += plan.reasons
    reasons += programme_reasons(offer, vouchers, related=related)
    return Quote(price_list, priced, plan.split, tuple(reasons))


def amount_reasons(amount: Money) -> list[Reason]:
    """Return why an amount is none the books can hold."""
    if amount.fen <= MAX_FEN:
        return []
    return [
        Reason(
            "order.amount",
            _("金额 %(amount)s 超过系统上限 %(limit)s。"),
            _("请检查数量和单价，或分成几份订单。"),
            field="items",
            params={"amount": str(amount), "limit": str(Money(MAX_FEN))},
        )
    ]


def advance(order: Order) -> Payment | None:
    """Return what was asked for in advance of an order reached with its charge's payment, or None. No query then."""
    if order.prepay_by is None:
        return None
    found: Payment | None = getattr(order.charge, "payment", None)
    return found if found is not None and found.collect == Collect.BEFORE.value else None


def waits_for_money(order: Order) -> bool:
    """Say whether an order's delivery cannot begin before its advance has arrived."""
    asked = advance(order)
    is_open = order.state in {rules.OrderState.PLACED.value, rules.OrderState.ACCEPTED.value}
    return is_open and asked is not None and asked.state != PaymentState.CONFIRMED.value


def is_unpaid(order: Order) -> bool:
    """Say whether the advance of an order that ended had not arrived in full then. No query where `access` reached it."""
    asked = advance(order)
    if asked is None or order.charge is None:
        return False
    return asked.state != PaymentState.CONFIRMED.value or asked.amount_fen < order.charge.own_held_fen


def used(order: Order) -> list[prices.Line]:
    """Return the usage of an order by item, added up in the database. One query."""
    found = (
        UsageLine.objects.filter(order=order, active=True)
        .order_by()
        .values("code")
        .annotate(total=Sum("quantity_micro"))
    )
    return [prices.Line(row["code"], Fraction(int(row["total"]), MICRO)) for row in found]


def priced(order: Order, lines: Iterable[prices.Line]) -> prices.PricedList:
    """Price lines by the order's frozen list."""
    return prices.price_all(items_of(order.price_list), lines)


def priced_json(order: Order) -> list[dict[str, Any]]:
    """Return what an order's delivery comes to, item by item, exact, as its charge keeps it for papers."""
    return [
        {
            "code": line.item.code,
            "name": line.item.name,
            "name_en": line.item.name_en,
            "unit": line.item.unit.value,
            "amount_fen": line.amount.fen,
            "minimum": line.minimum,
            "parts": [
                {"quantity": prices.text(part.quantity), "price_yuan": prices.unit_price_text(part.price)}
                for part in line.parts
            ],
        }
        for line in priced(order, lines_of(order.delivered)).lines
    ]


@dataclass(frozen=True, slots=True)
class Day:
    """The use of one item on one day."""

    day: date
    code: str
    quantity: Fraction
    lines: int


def usage_by_day(order: Order) -> list[Day]:
    """Return the usage of an order by day and item, oldest first. One query."""
    found = (
        UsageLine.objects.filter(order=order, active=True)
        .order_by("day", "code")
        .values("day", "code")
        .annotate(total=Sum("quantity_micro"), count=Count("pk"))
    )
    return [Day(row["day"], row["code"], Fraction(int(row["total"]), MICRO), row["count"]) for row in found]
