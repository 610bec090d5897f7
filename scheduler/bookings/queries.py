"""Read quotes, alternatives and calendars of bookings."""

from __future__ import annotations

import dataclasses
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from django.db import connection
from django.db.models import QuerySet

from portal.kernel.errors import Reason, noop
from portal.kernel.period import Period
from scheduler.availability import rules as availability_rules
from scheduler.bookings import bundles, prepaid, rules
from scheduler.bookings.bundles import Bundle, Wanted
from scheduler.bookings.models import Booking
from scheduler.conduct import queries as conduct
from scheduler.conduct.rules import Standing
from scheduler.qualifications import queries as standing
from scheduler.qualifications.models import Qualification
from scheduler.quotas import queries as quotas
from scheduler.quotas import rules as quota_rules
from scheduler.resources import queries as rates
from scheduler.resources import rules as resource_rules
from scheduler.resources.models import Rate, Resource
from scheduler.search import queries as search
from scheduler.search.rules import Requirement
from vouchers.charges import rules as charge_rules
from vouchers.charges import services as charges

_ = noop

TAKEN = Reason(
    "booking.taken",
    _("所选时段（含准备和清理时间）已被占用。"),
    _("请改选列出的空闲时段之一，或在周历上另选时间。"),
    field="starts_at",
)
SINGLE = Reason(
    "booking.single",
    _("该仪器按台预约，一次只能约一台。"),
    _("请把名额改为 1；需要多台时请分别预约。"),
    field="units",
)
TOO_MANY_PLACES = Reason(
    "booking.places",
    _("名额不足：该资源一共只有 %(capacity)s 个名额。"),
    _("请减少名额。"),
    field="units",
)
OPERATOR_REQUIRED = Reason(
    "booking.operator_required",
    _("该仪器须由实验室人员操作。"),
    _("请选择由实验室人员操作。"),
    field="operator",
)
NOBODY_QUALIFIED = Reason(
    "booking.operator_unskilled",
    _("所选日期没有具备该仪器上机资格的操作人员，或您指定的人员当天不具备资格。"),
    _("请改为不指定人员，或另选日期。"),
    field="operator",
)
OPERATORS_BUSY = Reason(
    "booking.operator_busy",
    _("所选时段内，能操作该仪器的人员都没有空。"),
    _("请改选列出的时段之一，那时仪器和人员都有空。"),
    field="operator",
)
BENCH_BUSY = Reason(
    "booking.bench_busy",
    _("使用前需要的制样台在准备时间内没有空位或不开放。"),
    _("请改选列出的时段之一，那时制样台也有空。"),
    field="starts_at",
)
REACH = timedelta(days=14)
"""How far from the wanted start alternatives are looked for."""


@dataclass(frozen=True, slots=True)
class Quote:
    """What a booking would cost and who would pay, or why it cannot be. `blocked` includes set-up and clean-up."""

    price: resource_rules.Price
    split: charge_rules.Split
    bundle: Bundle
    reasons: Sequence[Reason]
    is_automatic: bool = False
    """Whether the lab confirms bookings of this time at once."""
    standings: Sequence[quota_rules.Standing] = ()
    """Where it would bring the organisation against the lab's limits."""

    @property
    def needs_approval(self) -> bool:
        """Whether it goes beyond a limit that leaves it to the lab."""
        return quota_rules.needs_approval(self.standings)

    @property
    def blocked(self) -> Period:
        return self.bundle.place.blocked


def limits_of(resource: Resource) -> rules.Limits:
    """Return the resource's limits."""
    return rules.Limits(
        granularity_s=resource.granularity_s,
        min_duration_s=resource.min_duration_s,
        max_duration_s=resource.max_duration_s,
        lead_s=resource.lead_s,
        horizon_s=resource.horizon_s,
        zone=resource.zone,
        grid_from_s=resource.grid_from_s,
        step_s=resource.step_s,
    )


@dataclass(frozen=True, slots=True)
class Basis:
    """What is looked up once for an organisation and an instrument, however many times are then judged by it."""

    rate: Rate | None
    lots: Sequence[charge_rules.Lot]
    qualified: Sequence[Qualification]
    certified: Sequence[Period] | None
    conduct: Standing
    covered: quotas.Covered


def basis_of(wanted: Wanted, *, organisation_id: int | None, now: datetime, user_id: int | None = None) -> Basis:
    """Look up what does not depend on the time wanted, of times not before it. Eleven queries at most."""
    return Basis(
        rate=rates.rate_of_resource(wanted.resource.pk, at=now),
        lots=charges.lots_of(vouchers=wanted.vouchers),
        qualified=standing.qualifications_of(wanted.resource, organisation_id=organisation_id),
        certified=standing.calibrated(wanted.resource),
        conduct=conduct.standing_on(resource=wanted.resource, organisation_id=organisation_id, at=now),
        covered=quotas.covered(
            wanted.resource, since=wanted.period.start, organisation_id=organisation_id, user_id=user_id, now=now
        ),
    )


def quote(wanted: Wanted, *, organisation_id: int | None, now: datetime, user_id: int | None = None) -> Quote:
    """Price what is `wanted` and collect every reason against it. Sixteen queries at most. Raises NoRate.

    A look, not a promise: only `services.request_booking` holds anything.
    """
    bundle = bundles.bundle_of(wanted, organisation_id=organisation_id, now=now)
    basis = basis_of(wanted, organisation_id=organisation_id, user_id=user_id, now=now)
    return judge(bundle, basis=basis, organisation_id=organisation_id, now=now)


def judge(bundle: Bundle, *, basis: Basis, organisation_id: int | None, now: datetime) -> Quote:
    """Price what has been looked at, and collect every reason against it. No query. Raises NoRate."""
    wanted = bundle.wanted
    resource, period = wanted.resource, wanted.period
    reasons = list(rules.limit_refusals(period, limits=limits_of(resource), now=now))
    if resource.state != resource_rules.PublishState.PUBLISHED.value:
        reasons.append(
            Reason("booking.not_published", _("该仪器目前不接受预约。"), _("请选择其他仪器。"), field="instrument")
        )
    reasons += time_refusals(bundle)
    if bundle.terms is not None and not wanted.attended and bundle.terms.self_use == rules.SelfUse.QUALIFIED.value:
        reasons += standing.qualification_refusals(resource, rows=basis.qualified, during=period)
    reasons += standing.calibration_refusals(resource, spans=basis.certified, during=period)
    reasons += conduct.refusals(basis.conduct, zone=resource.zone)
    if organisation_id == resource.owner_id:
        reasons.append(
            Reason(
                "booking.own",
                _("贵单位是该仪器的提供单位，不能以企业身份预约。"),
                _("自用时间请在“我的仪器”中登记。"),
                field="instrument",
            )
        )
    if basis.rate is None:
        raise resource_rules.NoRate(field="instrument")
    price = rates.priced(basis.rate, duration_s=int(period.duration.total_seconds()) * wanted.units)
    service = resource_rules.ServiceClass.INSTRUMENT_USE.value
    reasons += charge_rules.voucher_refusals(price.amount, lots=basis.lots, service=service, at=now, ends_at=period.end)
    standings = basis.covered.standings(quota_rules.Use(period, wanted.units), now=now)
    reasons += quota_rules.refusals(standings)
    split = charge_rules.split(price.amount, lots=basis.lots)
    reasons += prepaid.transfer_refusals(bundle.terms, wanted, own=split.own)
    return Quote(
        price=price,
        split=split,
        bundle=bundle,
        reasons=tuple(reasons),
        is_automatic=basis.conduct.is_trusted
        and bundle.seen.is_automatic(resource, period)
        and not quota_rules.needs_approval(standings),
        standings=standings,
    )


def time_refusals(bundle: Bundle) -> list[Reason]:
    """Return why the time cannot be had: closed, taken, nobody to run it, no bench to prepare at."""
    wanted, resource = bundle.wanted, bundle.wanted.resource
    reasons: list[Reason] = []
    blocked = bundle.place.blocked
    opened = bundle.seen.opened.get(resource.pk, [])
    in_hours = Period(blocked.start, wanted.period.end) if resource.cleanup_may_exceed else blocked
    # A span far beyond the horizon is already refused; naming what of it is closed would only take long.
    if wanted.period.duration <= timedelta(days=62):
        reasons += availability_rules.opening_refusals(in_hours, opened, zone=resource.zone)
    if resource.counting != resource_rules.Counting.FUNGIBLE.value and wanted.units > 1:
        reasons.append(SINGLE)
    elif wanted.units > resource.capacity:
        reasons.append(dataclasses.replace(TOO_MANY_PLACES, params={"capacity": resource.capacity}))
    elif not bundle.place.free:
        reasons.append(TAKEN)
    if bundle.terms is not None and not wanted.attended and bundle.terms.self_use == rules.SelfUse.NEVER.value:
        reasons.append(OPERATOR_REQUIRED)
    if wanted.attended and not bundle.operators:
        reasons.append(OPERATORS_BUSY if bundle.qualified else NOBODY_QUALIFIED)
    if not bundle.bench_free:
        reasons.append(BENCH_BUSY)
    return reasons


def elsewhere(found: Quote, *, now: datetime, version: int | None = None) -> list[Period]:
    """Return up to three free periods in place of what was refused, none before a limit of the lab's frees.

    Where a limit would refuse them, too, there is none. `version`: the calendar's, of a transaction that has changed
    nothing yet, so what is found may serve the rivals as well.
    """
    broken = quota_rules.broken(found.standings)
    since = [standing.frees_at for standing in broken if standing.window is not None and standing.frees_at]
    if len(since) < len(broken):
        return []
    wanted = found.bundle.wanted
    if since:
        return alternatives(wanted, now=now, since=max(since))
    if version is None or wanted.attended or found.bundle.terms is not None or connection.savepoint_ids:
        return alternatives(wanted, now=now)
    return list(_shared(wanted, version=version, now=now))


@dataclass(slots=True)
class _Answer:
    """What is free in place of one slot, looked for by one of its rivals while the others wait."""

    guard: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    free: Sequence[Period] | None = None


KEPT: Final = 256
"""How many answers for rivals are kept."""
_answers: OrderedDict[tuple[Any, ...], _Answer] = OrderedDict()
_guard = threading.Lock()


def _shared(wanted: Wanted, *, version: int, now: datetime) -> Sequence[Period]:
    """Return what `alternatives` does, looked for once for all rivals while the calendar stays as it is."""
    resource = wanted.resource
    asked = (wanted.period.start, wanted.period.end, wanted.units, limits_of(resource), bundles.room_of(resource))
    key = (resource.pk, resource.number, version, resource.capacity, *asked)
    soonest = now + timedelta(seconds=resource.lead_s)
    with _guard:
        answer = _answers.setdefault(key, _Answer())
        while len(_answers) > KEPT:
            _answers.popitem(last=False)
    with answer.guard:
        if answer.free is None or any(period.start < soonest for period in answer.free):
            answer.free = alternatives(wanted, now=now)
        return answer.free


def alternatives(wanted: Wanted, *, now: datetime, since: datetime | None = None) -> list[Period]:
    """Return up to three free periods of the wanted length nearest to the wanted start; durations kept in limits.

    None before `since`.

    All that a use like it needs is free then: changeover, an operator if one is wanted, a bench if the lab asks for one.
    """
    resource = wanted.resource
    seconds = int(wanted.period.duration.total_seconds())
    if resource.step_s:
        seconds = -(-seconds // resource.step_s) * resource.step_s
    length = timedelta(seconds=min(max(seconds, resource.min_duration_s), resource.max_duration_s))
    reachable = Period(now + timedelta(seconds=resource.lead_s), now + timedelta(seconds=resource.horizon_s))
    first = max(reachable.start, since) if since else reachable.start
    near = min(max(wanted.period.start, first), reachable.end - length)
    earliest, latest = max(first, near - REACH), min(reachable.end, near + length + REACH)
    if earliest >= latest:
        return []
    like = dataclasses.replace(wanted, period=Period(near, near + length))
    return availability_rules.alternatives(
        bundles.free_spans(like, window=Period(earliest, latest), now=now),
        duration=length,
        granularity=timedelta(seconds=resource.granularity_s),
        offset=timedelta(seconds=resource.grid_from_s),
        zone=resource.zone,
        near=near,
    )


@dataclass(frozen=True, slots=True)
class Twin:
    """Another instrument of the same category in the same city, and when it is free next."""

    resource: Resource
    period: Period


def twins(wanted: Wanted, *, now: datetime) -> list[Twin]:
    """Return up to three other instruments of the same category in the same city, each with when it is free next."""
    resource, facts = wanted.resource, getattr(wanted.resource, "instrument", None)
    length = int(wanted.period.duration.total_seconds())
    since = max(now, wanted.period.start - timedelta(days=1))
    if facts is None:
        return []
    found = search.find(
        Requirement(
            duration_s=length,
            since=since,
            until=since + timedelta(seconds=length) + REACH,
            cities=(resource.city,),
            categories=(facts.category,),
            with_operator=wanted.attended,
        ),
        now=now,
        limit=4,
    )
    free = {hit.resource_id: hit.period for hit in found.hits if hit.period and hit.resource_id != resource.pk}
    named = Resource.objects.in_bulk(list(free)[:3])
    return [Twin(named[pk], period) for pk, period in free.items() if pk in named]


def calendar(resource: Resource, *, since: datetime, until: datetime) -> QuerySet[Booking]:
    """Return the bookings a feed of the resource shows, cancelled ones included, oldest first."""
    return (
        Booking.objects.filter(resource=resource, ends_at__gt=since, starts_at__lt=until)
        .select_related("organisation")
        .order_by("starts_at", "pk")
    )
