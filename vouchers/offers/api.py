"""Endpoints of offers and their prices."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Annotated, Any

from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.http import explain_reason
from portal.kernel.actors import Permission
from portal.kernel.money import Money
from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    DecimalText,
    Flag,
    Line,
    Moment,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    ReasonOut,
    StrictIn,
    Whole,
    money,
    paged,
    problems,
)
from vouchers.charges import prices
from vouchers.charges.prices import PriceItem, PriceRounding, PriceUnit, Tier, Tiering
from vouchers.offers import access, queries, rules, services
from vouchers.offers.models import Offer, PriceList
from vouchers.wallets import access as wallet
from vouchers.wallets.models import Voucher

__all__ = ["OrderLineIn", "PricedLineOut", "QuantityText", "priced", "router", "vouchers_of"]

router = Router(tags=["offers"])

QuantityText = Annotated[str, DecimalText(digits=10, places=6)]
"""A quantity as text, ``"1250.5"``: JSON floats are not exact."""
UnitPriceText = Annotated[str, DecimalText(digits=10, places=6)]


class PriceTierIn(StrictIn):
    """Yuan a unit, up to and including `up_to` units; the last tier has no end."""

    price_yuan: UnitPriceText
    up_to: QuantityText | None = None


class PriceItemIn(StrictIn):
    """One line of a price list; `free` units cost nothing, `started` counts a part of a unit as a whole one."""

    code: Annotated[Line, Field(min_length=1, max_length=40)]
    name: Annotated[Line, Field(min_length=1, max_length=80)]
    name_en: Annotated[Line, Field(max_length=120)] = ""
    unit: PriceUnit
    tiers: Annotated[list[PriceTierIn], Field(min_length=1, max_length=12)]
    tiering: Tiering = Tiering.WHOLE_VOLUME
    free: QuantityText = "0"
    minimum: MoneyIn | None = None
    rounding: PriceRounding = PriceRounding.HALF_UP
    started: Flag = False

    def value(self) -> PriceItem:
        return PriceItem(
            code=self.code,
            name=self.name,
            name_en=self.name_en,
            unit=self.unit,
            tiers=tuple(
                Tier(
                    Fraction(Decimal(tier.price_yuan)) * 100,
                    None if tier.up_to is None else Fraction(Decimal(tier.up_to)),
                )
                for tier in self.tiers
            ),
            tiering=self.tiering,
            free=Fraction(Decimal(self.free)),
            minimum=self.minimum.value() if self.minimum else Money(0),
            rounding=self.rounding,
            started=self.started,
        )


class PriceListIn(StrictIn):
    """The next version of a price list, in force from `effective_from`: now, if not said."""

    items: Annotated[list[PriceItemIn], Field(min_length=1, max_length=50)]
    effective_from: Moment | None = None
    effective_to: Moment | None = None


class PriceListOut(Schema):
    """One published version. `items` are exact: prices in yuan and quantities as text."""

    version: int
    effective_from: datetime
    effective_to: datetime | None
    published_at: datetime
    items: list[dict[str, Any]]


class OfferIn(StrictIn):
    """What a provider says of an offer. `prepay_days`: the own share is paid in advance, so many days after the order; 0: after."""

    kind: rules.OfferKind
    title: Annotated[Line, Field(min_length=1, max_length=120)]
    title_en: Annotated[Line, Field(max_length=160)] = ""
    description: Annotated[Block, Field(min_length=1, max_length=2000)]
    description_en: Annotated[Block, Field(max_length=3000)] = ""
    licence: Annotated[Block, Field(min_length=1, max_length=2000)]
    filing_number: Annotated[Line, Field(max_length=80)] = ""
    delivery: rules.DeliveryForm
    channel: rules.SaleChannel = rules.SaleChannel.DIRECT
    acceptance_days: Annotated[Whole, Field(ge=3, le=60)] = 7
    prepay_days: Annotated[Whole, Field(ge=0, le=rules.PREPAY_DAYS)] = 0

    def value(self) -> services.OfferValues:
        said = self.model_dump()
        return services.OfferValues(
            **{name: getattr(value, "value", value) for name, value in said.items()},
        )


class OfferOut(Schema):
    """One offer with its prices in force, if any."""

    number: str
    provider: str
    provider_en: str
    kind: rules.OfferKind
    kind_label: str
    title: str
    title_en: str
    description: str
    description_en: str
    licence: str
    filing_number: str
    delivery: rules.DeliveryForm
    channel: rules.SaleChannel
    acceptance_days: int
    prepay_days: int
    state: rules.OfferState
    state_label: str
    prices: PriceListOut | None


class OrderLineIn(StrictIn):
    """How much of which price item."""

    code: Annotated[Line, Field(min_length=1, max_length=40)]
    quantity: QuantityText

    def value(self) -> prices.Line:
        return prices.Line(self.code, Fraction(Decimal(self.quantity)))


class OrderQuoteIn(StrictIn):
    """What would be ordered, and the vouchers to pay with. `related`: the parties are related."""

    lines: Annotated[list[OrderLineIn], Field(min_length=1, max_length=50)]
    vouchers: Annotated[list[Number], Field(max_length=10)] = []
    related: Flag = False


class PricedLineOut(Schema):
    """One item priced: `billable` is what is charged for after the free quota."""

    code: str
    name: str
    unit: PriceUnit
    quantity: str
    billable: str
    amount: MoneyOut
    minimum: bool


class OrderQuoteOut(Schema):
    """What an order would cost and who would pay. Nothing is held; with `reasons`, it cannot be ordered."""

    orderable: bool
    version: int
    price: MoneyOut
    voucher_share: MoneyOut
    own_share: MoneyOut
    lines: list[PricedLineOut]
    reasons: list[ReasonOut]


class OfferFilter(Cursor):
    """`q` are words, all of which must occur; ``mine=true`` lists the provider's own, in every state."""

    q: Annotated[Line, Field(max_length=80)] = ""
    kind: rules.OfferKind | None = None
    mine: bool = False


def vouchers_of(request: ActorRequest, numbers: list[str]) -> list[Voucher]:
    """Return the caller's vouchers of these numbers, each once. Raises NotFound."""
    return wallet.get_vouchers(request.actor, numbers)


def priced(found: prices.PricedList) -> list[dict[str, Any]]:
    """Return priced lines as `PricedLineOut`."""
    return [
        {
            "code": line.item.code,
            "name": line.item.name,
            "unit": line.item.unit,
            "quantity": prices.text(line.quantity),
            "billable": prices.text(line.billable),
            "amount": money(line.amount),
            "minimum": line.minimum,
        }
        for line in found.lines
    ]


def _list(row: PriceList | None) -> dict[str, Any] | None:
    if row is None:
        return None
    names = ("version", "effective_from", "effective_to", "published_at", "items")
    return {name: getattr(row, name) for name in names}


def _shown(offer: Offer, price_list: PriceList | None) -> dict[str, Any]:
    names = (
        *("number", "kind", "title", "title_en", "description", "description_en", "licence", "filing_number"),
        *("delivery", "channel", "acceptance_days", "prepay_days", "state"),
    )
    return {
        **{name: getattr(offer, name) for name in names},
        "provider": offer.provider.name,
        "provider_en": offer.provider.name_en,
        "kind_label": offer.get_kind_display(),
        "state_label": offer.get_state_display(),
        "prices": _list(price_list),
    }


def _again(request: ActorRequest, number: str) -> dict[str, Any]:
    offer = access.get_offer(request.actor, number)
    return _shown(offer, queries.list_in_force(offer, at=timezone.now()))


@router.get("", response={200: PageOut[OfferOut], **problems()})
def list_offers(request: ActorRequest, wanted: Query[OfferFilter]) -> dict[str, Any]:
    """List what is on sale, or the caller's own offers. Two queries whatever the page."""
    rows = access.own_offers(request.actor) if wanted.mine else access.on_sale()
    if wanted.kind is not None:
        rows = rows.filter(kind=wanted.kind.value)
    page = paged(queries.matching(rows, wanted.q), wanted, lambda offer: offer)
    lists = queries.lists_in_force([offer.pk for offer in page["items"]], at=timezone.now())
    return {**page, "items": [_shown(offer, lists.get(offer.pk)) for offer in page["items"]]}


@router.post("", response={201: OfferOut, **problems(409)})
def create_offer(request: ActorRequest, payload: OfferIn) -> Status[dict[str, Any]]:
    """Enter an offer as a draft."""
    made = services.create_offer(actor=request.actor, values=payload.value(), now=timezone.now())
    return Status(201, _again(request, made.number))


@router.get("/{number}", response={200: OfferOut, **problems(404)})
def get_offer(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one offer."""
    return _again(request, number)


@router.put("/{number}", response={200: OfferOut, **problems(404, 409)})
def change_offer(request: ActorRequest, number: Number, payload: OfferIn) -> dict[str, Any]:
    """Change an offer's description; orders keep the licence they agreed to."""
    offer = access.get_own_offer(request.actor, number)
    services.change_offer(actor=request.actor, offer=offer, values=payload.value(), now=timezone.now())
    return _again(request, number)


@router.get("/{number}/prices", response={200: list[PriceListOut], **problems(404)})
def list_prices(request: ActorRequest, number: Number) -> list[dict[str, Any] | None]:
    """Return every version of an offer's price list, newest first."""
    return [_list(row) for row in access.get_offer(request.actor, number).price_lists.order_by("-version")[:100]]


@router.post("/{number}/prices", response={201: PriceListOut, **problems(404, 409)})
def publish_prices(request: ActorRequest, number: Number, payload: PriceListIn) -> Status[dict[str, Any] | None]:
    """Publish the next version of the price list. Published versions never change."""
    now = timezone.now()
    made = services.publish_prices(
        actor=request.actor,
        offer=access.get_own_offer(request.actor, number),
        items=[item.value() for item in payload.items],
        effective_from=payload.effective_from or now,
        effective_to=payload.effective_to,
        now=now,
    )
    return Status(201, _list(made))


def _move(request: ActorRequest, number: str, action: rules.OfferAction) -> dict[str, Any]:
    offer = access.get_own_offer(request.actor, number)
    services.change_state(actor=request.actor, offer=offer, action=action, now=timezone.now())
    return _again(request, number)


@router.post("/{number}/publish", response={200: OfferOut, **problems(404, 409)})
def publish(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Put an offer on sale; it needs a price list in force."""
    return _move(request, number, rules.OfferAction.PUBLISH)


@router.post("/{number}/suspend", response={200: OfferOut, **problems(404, 409)})
def suspend(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take no more orders for now; those placed go on."""
    return _move(request, number, rules.OfferAction.SUSPEND)


@router.post("/{number}/withdraw", response={200: OfferOut, **problems(404, 409)})
def withdraw(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take an offer off sale for good; orders placed go on."""
    return _move(request, number, rules.OfferAction.WITHDRAW)


@router.post("/{number}/quote", response={200: OrderQuoteOut, **problems(404, 409)})
def quote(request: ActorRequest, number: Number, payload: OrderQuoteIn) -> dict[str, Any]:
    """Price an order and say every reason against it. A look, not a promise: nothing is held."""
    request.actor.require(Permission.ORDER_PLACE)
    found = queries.quote(
        access.get_offer(request.actor, number),
        lines=[line.value() for line in payload.lines],
        vouchers=vouchers_of(request, payload.vouchers),
        related=payload.related,
        organisation_id=request.actor.organisation_id,
        now=timezone.now(),
    )
    return {
        "orderable": not found.reasons,
        "version": found.price_list.version,
        "price": money(found.priced.amount),
        "voucher_share": money(found.split.voucher),
        "own_share": money(found.split.own),
        "lines": priced(found.priced),
        "reasons": [explain_reason(reason) for reason in found.reasons],
    }
