"""The search as an endpoint: a requirement in, the next free slots with price and voucher share out. Open to everybody."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any, Final

from django.http import HttpRequest
from django.utils import timezone
from ninja import Query, Router, Schema
from pydantic import Field

from portal.kernel.money import Money
from portal.organisations.auth import AUTH
from portal.wire import ActorRequest, Line, Moment, MoneyOut, PeriodOut, YuanText, money, problems, span
from scheduler.resources.rules import Category, ResourceKind
from scheduler.search import queries, rules
from scheduler.search.offers import Offer, offers

router = Router(tags=["instruments"])

HORIZON: Final = timedelta(days=366)
MOST: Final = 20


def anybody(request: HttpRequest) -> bool:
    """Let in who brings no token at all; a token that is none stays refused."""
    request.actor = None  # type: ignore[attr-defined]
    return "Authorization" not in request.headers


class SearchIn(Schema):
    """What is needed. Without `duration_s`, window and operator everything that matches is listed, free or not.

    Repeat `city`, `category` and `kind` for any of several. `max_hourly` in yuan. Times half-open, with offset.
    """

    q: Annotated[Line, Field(max_length=80)] = ""
    city: Annotated[list[Annotated[Line, Field(max_length=40)]], Field(max_length=MOST)] = []
    category: Annotated[list[Category], Field(max_length=MOST)] = []
    kind: Annotated[list[ResourceKind], Field(max_length=MOST)] = []
    duration_s: Annotated[int, Field(ge=60, le=31 * 86400)] | None = None
    since: Moment | None = None
    until: Moment | None = None
    operator: bool = False
    max_hourly: YuanText | None = None
    order: rules.Order = rules.Order.SOONEST
    spread: bool = True
    """Count what other cities, categories and kinds would find, too; without, the answer is quicker."""
    limit: Annotated[int, Field(ge=1, le=100)] = 25
    offset: Annotated[int, Field(ge=0, le=100_000)] = 0

    def value(self, now: datetime) -> rules.Requirement:
        """Raises BadRequirement."""
        since = max(self.since or now, now)
        return rules.Requirement(
            duration_s=self.duration_s,
            since=since,
            until=self.until or since + HORIZON,
            words=rules.words_of(self.q),
            cities=tuple(self.city),
            categories=tuple(map(str, self.category)),
            kinds=tuple(map(str, self.kind)),
            max_hourly=Money.from_yuan(self.max_hourly) if self.max_hourly is not None else None,
            with_operator=self.operator,
            free_only=self.since is not None or self.until is not None,
            order=self.order,
        )


class PartOut(Schema):
    """What the caller's best voucher would pay."""

    voucher: str
    amount: MoneyOut


class HitOut(Schema):
    """One instrument: `slot` is its next free time for what is asked, null for none; `price` is for all of it.

    `paid` and `own` say what the caller's best voucher and the caller itself would pay; strangers have no voucher.
    """

    number: str
    name: str
    name_en: str
    category: Category
    kind: ResourceKind
    city: str
    zone: str
    owner: str
    slot: PeriodOut | None
    hourly: MoneyOut | None
    price: MoneyOut | None
    paid: PartOut | None
    own: MoneyOut | None
    operator: str | None


class FacetsOut(Schema):
    """How many hits each value would have, chosen alone among its like."""

    city: dict[str, int]
    category: dict[str, int]
    kind: dict[str, int]


class SearchOut(Schema):
    """A page of hits. `would_help` is filled in when nothing is found: how many there are with one demand less."""

    items: list[HitOut]
    total: int
    facets: FacetsOut
    would_help: dict[rules.Dropped, int]


@router.get("/search", response={200: SearchOut, **problems()}, auth=[*AUTH, anybody])
def search(request: ActorRequest, asked: Query[SearchIn]) -> dict[str, Any]:
    """Find what is free, the soonest or the cheapest first. A look, not a promise: only a booking holds time."""
    now = timezone.now()
    wanted = asked.value(now)
    found = queries.find(wanted, now=now, limit=asked.limit, offset=asked.offset, spread=asked.spread)
    return {
        "items": [_hit(offer) for offer in offers(found.hits, actor=request.actor, now=now)],
        "total": found.total,
        "facets": {"city": found.facets.cities, "category": found.facets.categories, "kind": found.facets.kinds},
        "would_help": {} if found.total else queries.would_help(wanted, now=now),
    }


def _hit(offer: Offer) -> dict[str, Any]:
    resource = offer.resource
    return {
        "number": resource.number,
        "name": resource.name,
        "name_en": resource.name_en,
        "category": resource.instrument.category,
        "kind": resource.kind,
        "city": resource.city,
        "zone": resource.zone,
        "owner": resource.owner.name,
        "slot": span(offer.period) if offer.period else None,
        "hourly": _money(offer.hourly),
        "price": _money(offer.price),
        "paid": {"voucher": offer.paid.number, "amount": money(offer.paid.amount)} if offer.paid else None,
        "own": _money(offer.own),
        "operator": offer.operator.name if offer.operator else None,
    }


def _money(amount: Money | None) -> dict[str, Any] | None:
    return money(amount) if amount is not None else None
