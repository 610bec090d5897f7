"""Endpoints of what can be shared: instruments with their rates, and clusters."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from django.db.models import Q
from django.utils import timezone
from ninja import Query, Router, Schema, Status
from pydantic import Field

from portal.wire import (
    ActorRequest,
    Block,
    Cursor,
    Line,
    MoneyIn,
    MoneyOut,
    Number,
    PageOut,
    StrictIn,
    Whole,
    money,
    paged,
    problems,
)
from scheduler.resources import access, pricing, queries, services
from scheduler.resources.entries import MAX_CAPACITY
from scheduler.resources.models import Cluster, Instrument, Partition, Rate, Resource
from scheduler.resources.profile import EMPTY, ServiceMode
from scheduler.resources.rules import Category, Counting, PublishAction, PublishState, ResourceKind, Unit
from scheduler.resources.schemas import ProfileIn, ProfileOut, profile_shown

instruments = Router(tags=["instruments"])
clusters = Router(tags=["clusters"])

Seconds = Annotated[Whole, Field(ge=0, le=2**31 - 1)]


class RateOut(Schema):
    """What one unit costs now."""

    unit: Unit
    unit_label: str
    amount: MoneyOut


class InstrumentOut(Schema):
    """An instrument in the catalogue."""

    number: str
    name: str
    name_en: str
    kind: ResourceKind
    kind_label: str
    modes: list[ServiceMode]
    category: Category
    category_label: str
    city: str
    site: str
    zone: str
    owner: str
    state: PublishState
    state_label: str
    rate: RateOut | None


class InstrumentDetailOut(InstrumentOut):
    """An instrument with its description and its limits, in seconds."""

    model: str
    manufacturer: str
    functions: str
    functions_en: str
    original_value: MoneyOut
    contact: str
    phone: str
    granularity_s: int
    min_duration_s: int
    max_duration_s: int
    lead_s: int
    horizon_s: int
    setup_s: int
    cleanup_s: int
    capacity: int
    counting: Counting
    profile: ProfileOut


class InstrumentIn(StrictIn):
    """What a lab says of an instrument. Durations are seconds. `internal_no` is the lab's own number, told to it alone."""

    kind: Literal[
        ResourceKind.INSTRUMENT,
        ResourceKind.SERVICE_UNIT,
        ResourceKind.BENCH,
        ResourceKind.ROOM,
        ResourceKind.PILOT_LINE,
        ResourceKind.CONCEPT_SERVICE,
    ] = ResourceKind.INSTRUMENT
    modes: Annotated[list[ServiceMode], Field(min_length=1, max_length=3)] = [ServiceMode.SELF]
    capacity: Annotated[Whole, Field(ge=1, le=MAX_CAPACITY)] = 1
    counting: Counting = Counting.UNITS
    internal_no: Annotated[Line, Field(max_length=60)] = ""
    name: Annotated[Line, Field(min_length=1, max_length=120)]
    name_en: Annotated[Line, Field(max_length=160)] = ""
    category: Category
    city: Annotated[Line, Field(min_length=1, max_length=40)]
    site: Annotated[Line, Field(max_length=120)] = ""
    zone: Annotated[Line, Field(max_length=40)] = "Asia/Shanghai"
    model: Annotated[Line, Field(max_length=80)] = ""
    manufacturer: Annotated[Line, Field(max_length=120)] = ""
    functions: Annotated[Block, Field(max_length=900)] = ""
    functions_en: Annotated[Block, Field(max_length=1500)] = ""
    original_value: MoneyIn | None = None
    contact: Annotated[Line, Field(max_length=60)] = ""
    phone: Annotated[Line, Field(max_length=40)] = ""
    granularity_s: Seconds = 1800
    min_duration_s: Seconds = 3600
    max_duration_s: Seconds = 8 * 3600
    lead_s: Seconds = 0
    horizon_s: Seconds = 60 * 86400
    setup_s: Seconds = 0
    cleanup_s: Seconds = 0
    profile: ProfileIn | None = None

    def value(self) -> services.InstrumentValues:
        stated = self.model_dump(mode="json", exclude={"original_value", "modes", "profile"})
        return services.InstrumentValues(
            **stated,
            modes=tuple(mode.value for mode in self.modes),
            original_value_fen=self.original_value.value().fen if self.original_value else 0,
            profile=self.profile.value() if self.profile else EMPTY,
        )


class RateIn(StrictIn):
    """The price of one hour."""

    amount: MoneyIn


class InstrumentFilter(Cursor):
    """`q` looks in names, manufacturer and functions; `mine` lists the caller's own, drafts included."""

    q: Annotated[Line, Field(max_length=80)] = ""
    city: Annotated[Line, Field(max_length=40)] = ""
    category: Category | None = None
    mine: bool = False


class PartitionOut(Schema):
    """One queue of a cluster: what a job may ask for there, and the price."""

    name: str
    label: str
    label_en: str
    card_type: str
    max_cards: int
    max_cpus: int
    max_memory_mb: int
    max_time_s: int
    is_open: bool
    rate: RateOut | None


class HealthOut(Schema):
    """Whether work could be submitted `as_of` the last look; `ok` is null before the first."""

    ok: bool | None
    as_of: datetime | None


class ClusterOut(Schema):
    """A computing cluster. `accepts_work` is its operator's switch."""

    code: str
    name: str
    name_en: str
    city: str
    owner: str
    accepts_work: bool
    health: HealthOut
    partitions: list[PartitionOut]


def _rate(rate: Rate | None) -> dict[str, Any] | None:
    if rate is None:
        return None
    return {"unit": rate.unit, "unit_label": rate.get_unit_display(), "amount": money(rate.amount_fen)}


def shown(resource: Resource, rate: Rate | None) -> dict[str, Any]:
    """Return an instrument as `InstrumentOut`."""
    return {
        "number": resource.number,
        "name": resource.name,
        "name_en": resource.name_en,
        "kind": resource.kind,
        "kind_label": resource.get_kind_display(),
        "modes": resource.modes,
        "category": resource.instrument.category,
        "category_label": resource.instrument.get_category_display(),
        "city": resource.city,
        "site": resource.site,
        "zone": resource.zone,
        "owner": resource.owner.name,
        "state": resource.state,
        "state_label": resource.get_state_display(),
        "rate": _rate(rate),
    }


FACTS = ("model", "manufacturer", "functions", "functions_en", "contact", "phone")
LIMITS = (
    *("granularity_s", "min_duration_s", "max_duration_s", "lead_s", "horizon_s", "setup_s", "cleanup_s"),
    *("capacity", "counting"),
)


def _detail(request: ActorRequest, number: str) -> dict[str, Any]:
    resource = access.get_instrument(request.actor, number)
    facts: Instrument = resource.instrument
    return {
        **shown(resource, queries.rate_of_resource(resource.pk, at=timezone.now())),
        **{name: getattr(facts, name) for name in FACTS},
        **{name: getattr(resource, name) for name in LIMITS},
        "original_value": money(facts.original_value_fen),
        "profile": profile_shown(facts),
    }


@instruments.get("", response={200: PageOut[InstrumentOut], **problems()})
def list_instruments(request: ActorRequest, wanted: Query[InstrumentFilter]) -> dict[str, Any]:
    """List published instruments, newest first; a lab sees its own drafts too."""
    rows = access.own_instruments(request.actor) if wanted.mine else access.instruments_visible_to(request.actor)
    if wanted.q:
        found = Q()
        for column in ("name", "name_en", "instrument__manufacturer", "instrument__functions"):
            found |= Q(**{f"{column}__icontains": wanted.q})
        rows = rows.filter(found)
    if wanted.city:
        rows = rows.filter(city=wanted.city)
    if wanted.category is not None:
        rows = rows.filter(instrument__category=wanted.category.value)
    page = paged(rows, wanted, lambda resource: resource)
    rates = queries.rates_of_resources([resource.pk for resource in page["items"]], at=timezone.now())
    return {**page, "items": [shown(resource, rates.get(resource.pk)) for resource in page["items"]]}


@instruments.get("/{number}", response={200: InstrumentDetailOut, **problems(404)})
def get_instrument(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Return one instrument."""
    return _detail(request, number)


@instruments.post("", response={201: InstrumentDetailOut, **problems(409)})
def create(request: ActorRequest, payload: InstrumentIn) -> Status[dict[str, Any]]:
    """Enter an instrument as a draft. It needs opening hours and a rate before it can be published."""
    made = services.create_instrument(actor=request.actor, values=payload.value(), now=timezone.now())
    return Status(201, _detail(request, made.number))


@instruments.put("/{number}", response={200: InstrumentDetailOut, **problems(404, 409)})
def change(request: ActorRequest, number: Number, payload: InstrumentIn) -> dict[str, Any]:
    """Replace the description and the limits; bookings already made keep their terms."""
    services.change_instrument(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        values=payload.value(),
        now=timezone.now(),
    )
    return _detail(request, number)


@instruments.put("/{number}/rate", response={200: InstrumentDetailOut, **problems(404, 409)})
def set_rate(request: ActorRequest, number: Number, payload: RateIn) -> dict[str, Any]:
    """Set the price of an hour from now on; bookings already made keep the price they were quoted."""
    pricing.set_hourly_rate(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        amount=payload.amount.value(),
        now=timezone.now(),
    )
    return _detail(request, number)


def _change_state(request: ActorRequest, number: str, action: PublishAction) -> dict[str, Any]:
    services.change_state(
        actor=request.actor,
        resource=access.get_own_instrument(request.actor, number),
        action=action,
        now=timezone.now(),
    )
    return _detail(request, number)


@instruments.post("/{number}/publish", response={200: InstrumentDetailOut, **problems(404, 409)})
def publish(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Open an instrument for bookings. 409 names what is still missing."""
    return _change_state(request, number, PublishAction.PUBLISH)


@instruments.post("/{number}/suspend", response={200: InstrumentDetailOut, **problems(404, 409)})
def suspend(request: ActorRequest, number: Number) -> dict[str, Any]:
    """Take no more bookings; those already made stay."""
    return _change_state(request, number, PublishAction.SUSPEND)


def _partition(partition: Partition, rate: Rate | None) -> dict[str, Any]:
    names = ("name", "label", "label_en", "card_type", "max_cards", "max_cpus", "max_memory_mb", "max_time_s")
    return {
        **{name: getattr(partition, name) for name in names},
        "is_open": partition.is_open,
        "rate": _rate(rate),
    }


def _cluster(cluster: Cluster, rates: dict[int, Rate]) -> dict[str, Any]:
    return {
        "code": cluster.code,
        "name": cluster.name,
        "name_en": cluster.name_en,
        "city": cluster.city,
        "owner": cluster.owner.name,
        "accepts_work": cluster.accepts_work,
        "health": {"ok": cluster.health_ok, "as_of": cluster.health_at},
        "partitions": [_partition(partition, rates.get(partition.pk)) for partition in cluster.partitions.all()],
    }


@clusters.get("", response={200: PageOut[ClusterOut], **problems()})
def list_clusters(request: ActorRequest, wanted: Query[Cursor]) -> dict[str, Any]:  # noqa: ARG001  public to every caller
    """List the clusters with their partitions, prices and health."""
    page = paged(access.clusters(), wanted, lambda cluster: cluster)
    partitions = [partition.pk for cluster in page["items"] for partition in cluster.partitions.all()]
    rates = queries.rates_of_partitions(partitions, at=timezone.now())
    return {**page, "items": [_cluster(cluster, rates) for cluster in page["items"]]}
