"""Endpoints of an instrument's price list."""

from __future__ import annotations

from datetime import datetime
from fractions import Fraction
from typing import Annotated, Any

from django.utils import timezone
from ninja import Router, Schema, Status
from pydantic import Field

from portal.kernel.money import Money
from portal.wire import ActorRequest, Moment, MoneyIn, MoneyOut, Number, StrictIn, Whole, money, problems
from scheduler.resources import access, fees, pricing, queries
from scheduler.resources.models import Rate
from scheduler.resources.profile import ServiceMode
from scheduler.resources.rules import Unit

router = Router(tags=["instruments"])


class RateItemOut(Schema):
    """One line of the price list, in force from `since` up to `until`; `share` is in parts per million of the value a day."""

    id: int
    mode: ServiceMode
    mode_label: str
    unit: Unit
    unit_label: str
    user_class: fees.UserClass
    user_class_label: str
    amount: MoneyOut | None
    share_ppm: int
    since: datetime
    until: datetime | None


class RateItemIn(StrictIn):
    """A new line: an `amount` for each unit, or of `value_day` a share in parts per million. Without `since` from now on."""

    mode: ServiceMode = ServiceMode.SELF
    unit: Unit
    user_class: fees.UserClass = fees.UserClass.EXTERNAL
    amount: MoneyIn | None = None
    share_ppm: Annotated[Whole, Field(ge=0, le=1_000_000)] = 0
    since: Moment | None = None

    def value(self, now: datetime) -> fees.PriceItem:
        return fees.PriceItem(
            mode=self.mode,
            unit=self.unit,
            user_class=self.user_class,
            since=self.since or now,
            amount=self.amount.value() if self.amount else Money(0),
            share=Fraction(self.share_ppm, fees.MILLION),
        )


def price_shown(rate: Rate) -> dict[str, Any]:
    """Return a line as `RateItemOut`."""
    return {
        "id": rate.pk,
        "mode": rate.mode,
        "mode_label": rate.get_mode_display(),
        "unit": rate.unit,
        "unit_label": rate.get_unit_display(),
        "user_class": rate.user_class,
        "user_class_label": rate.get_user_class_display(),
        "amount": None if rate.share_ppm else money(rate.amount_fen),
        "share_ppm": rate.share_ppm,
        "since": rate.valid.lower,
        "until": rate.valid.upper,
    }


@router.get("/{number}/prices", response={200: list[RateItemOut], **problems(404)})
def list_prices(request: ActorRequest, number: Number) -> list[dict[str, Any]]:
    """List the prices in force and those announced."""
    resource = access.get_instrument(request.actor, number)
    return [price_shown(rate) for rate in queries.prices_of_resource(resource.pk, at=timezone.now())]


@router.post("/{number}/prices", response={201: RateItemOut, **problems(404, 409)})
def set_price(request: ActorRequest, number: Number, payload: RateItemIn) -> Status[dict[str, Any]]:
    """Announce a price; the one of the same mode, unit and class ends where it begins. Bookings made keep theirs."""
    now = timezone.now()
    resource = access.get_own_instrument(request.actor, number)
    rate = pricing.set_price(actor=request.actor, resource=resource, item=payload.value(now), now=now)
    return Status(201, price_shown(rate))


@router.delete("/{number}/prices/{price_id}", response={204: None, **problems(404, 409)})
def end_price(request: ActorRequest, number: Number, price_id: int) -> Status[None]:
    """Take a price off the list: one in force ends now, an announced one goes."""
    resource = access.get_own_instrument(request.actor, number)
    pricing.end_price(actor=request.actor, resource=resource, rate_id=price_id, now=timezone.now())
    return Status(204, None)
