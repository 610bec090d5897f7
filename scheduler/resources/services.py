"""Publish instruments, set rates, lock resources."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from django.db import connection, transaction
from django.db.models import F

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, Reason, Refused, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from scheduler.resources import rules, words
from scheduler.resources.models import Instrument, Rate, Resource

_ = noop

LOCK_SPACE = 71
"""First key of the advisory locks on resources; the second is the resource's id."""


@dataclass(frozen=True, slots=True)
class InstrumentValues:
    """What a lab says of an instrument. Durations are whole seconds, the value is in fen."""

    name: str
    name_en: str
    category: str
    city: str
    site: str
    zone: str
    model: str
    manufacturer: str
    functions: str
    functions_en: str
    original_value_fen: int
    contact: str
    phone: str
    granularity_s: int
    min_duration_s: int
    max_duration_s: int
    lead_s: int
    horizon_s: int
    setup_s: int
    cleanup_s: int


class BadInstrument(Invalid):
    code = "instrument.invalid"
    message = _("仪器资料填写有误。")


class PriceNegative(Invalid):
    code = "rate.negative"
    message = _("价格不能为负数。")


def lock(*, resource_ids: Iterable[int]) -> None:
    """Take the transaction's locks on resources, lowest id first, waiting at most 3 s.

    Every writer of claims takes these first: with several resources, the exclusion constraint alone deadlocks.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '3s'")
        for resource_id in sorted(set(resource_ids)):
            cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [LOCK_SPACE, resource_id])


def touch_calendar(*, resource_id: int) -> None:
    """Raise the resource's calendar version, in the transaction that changed its claims."""
    Resource.objects.filter(pk=resource_id).update(calendar_version=F("calendar_version") + 1)


def _refusals(values: InstrumentValues) -> list[Reason]:
    reasons: list[Reason] = []
    if not values.name.strip():
        reasons.append(Reason("instrument.name", _("请填写仪器名称。"), field="name"))
    if values.category not in {category.value for category in rules.Category}:
        reasons.append(Reason("instrument.category", _("请从列表中选择仪器类别。"), field="category"))
    if not values.city.strip():
        reasons.append(Reason("instrument.city", _("请填写所在城市。"), field="city"))
    try:
        ZoneInfo(values.zone)
    except (ZoneInfoNotFoundError, ValueError, IsADirectoryError):
        reasons.append(
            Reason("instrument.zone", _("时区无效。"), _("请填写 IANA 时区名，例如 Asia/Shanghai。"), field="zone")
        )
    if values.original_value_fen < 0:
        reasons.append(Reason("instrument.value", _("原值不能为负数。"), field="original_value_fen"))
    if values.granularity_s < 300 or 86400 % values.granularity_s:
        reasons.append(Reason("instrument.granularity", _("时间格须至少 5 分钟且能整除一天。"), field="granularity_s"))
    if not 0 < values.min_duration_s <= values.max_duration_s <= 31 * 86400:
        reasons.append(
            Reason(
                "instrument.durations", _("最短时长须大于零且不超过最长时长（最多 31 天）。"), field="max_duration_s"
            )
        )
    if values.lead_s < 0 or values.horizon_s <= values.lead_s or values.horizon_s > 400 * 86400:
        reasons.append(Reason("instrument.horizon", _("可预约天数须大于提前量，且不超过 400 天。"), field="horizon_s"))
    if not (0 <= values.setup_s <= 86400 and 0 <= values.cleanup_s <= 86400):
        reasons.append(Reason("instrument.buffers", _("准备与清理时间须在 0 到 24 小时之间。"), field="setup_s"))
    return reasons


def _apply(resource: Resource, values: InstrumentValues) -> None:
    for name in (
        *("name", "name_en", "city", "site", "zone", "granularity_s", "min_duration_s", "max_duration_s"),
        *("lead_s", "horizon_s", "setup_s", "cleanup_s"),
    ):
        setattr(resource, name, getattr(values, name))


FACTS = ("category", "model", "manufacturer", "functions", "functions_en", "original_value_fen", "contact", "phone")


def _words(resource: Resource, values: InstrumentValues) -> str:
    owner = resource.owner
    return words.searchable(
        (
            *(values.name, values.name_en, values.model, values.manufacturer, values.functions, values.functions_en),
            *(values.city, owner.name, owner.name_en, resource.number),
        )
    )


@transaction.atomic
def create_instrument(*, actor: Actor, values: InstrumentValues, now: datetime) -> Resource:
    """Enter an instrument as a draft of the actor's organisation. Raises Refused with every wrong value."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    if reasons := _refusals(values):
        raise Refused(reasons)
    assert actor.organisation_id is not None
    resource = Resource(owner_id=actor.organisation_id, number=next_number(prefix="R", now=now))
    _apply(resource, values)
    resource.save()
    Instrument.objects.create(
        resource=resource, search_text=_words(resource, values), **{name: getattr(values, name) for name in FACTS}
    )
    audit.record(action="instrument.entered", subject=f"instrument:{resource.number}", actor=actor, now=now)
    return resource


@transaction.atomic
def change_instrument(*, actor: Actor, resource: Resource, values: InstrumentValues, now: datetime) -> Resource:
    """Change an instrument's description and limits; bookings already made keep their terms."""
    _require_own(actor, resource)
    if reasons := _refusals(values):
        raise Refused(reasons)
    locked = Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)
    _apply(locked, values)
    locked.save()
    Instrument.objects.filter(resource=locked).update(
        search_text=_words(locked, values), **{name: getattr(values, name) for name in FACTS}
    )
    audit.record(action="instrument.changed", subject=f"instrument:{locked.number}", actor=actor, now=now)
    return locked


def _require_own(actor: Actor, resource: Resource) -> None:
    actor.require(Permission.INSTRUMENT_MANAGE)
    if resource.owner_id != actor.organisation_id:
        raise Forbidden


@transaction.atomic
def change_state(*, actor: Actor, resource: Resource, action: rules.PublishAction, now: datetime) -> Resource:
    """Publish or suspend. Publishing needs opening hours and a rate in force; raises Refused naming what lacks."""
    _require_own(actor, resource)
    locked = Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)
    state = next_state(rules.TRANSITIONS, rules.PublishState(locked.state), action)
    reasons: list[Reason] = []
    if action is rules.PublishAction.PUBLISH:
        if not locked.opening_hours.exists():
            reasons.append(
                Reason("instrument.no_hours", _("还没有设置开放时间。"), _("请先设置每周开放时间。"), field="hours")
            )
        if not locked.rates.filter(valid__contains=now).exists():
            reasons.append(Reason("instrument.no_rate", _("还没有公布价格。"), _("请先设置价格。"), field="rate"))
    if reasons:
        raise Refused(reasons)
    locked.state = state.value
    locked.save(update_fields=["state"])
    audit.record(action=f"instrument.{state.value}", subject=f"instrument:{locked.number}", actor=actor, now=now)
    return locked


@transaction.atomic
def set_hourly_rate(*, actor: Actor, resource: Resource, amount: Money, now: datetime) -> Rate:
    """Make `amount` per hour the price from now on. Bookings already made keep the price they were quoted."""
    _require_own(actor, resource)
    if amount.fen < 0:
        raise PriceNegative(field="rate")
    Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)
    for rate in resource.rates.filter(valid__contains=now):
        rate.valid = (rate.valid.lower, now)
        rate.save(update_fields=["valid"])
    rate = Rate.objects.create(resource=resource, unit=rules.Unit.HOUR.value, amount_fen=amount.fen, valid=(now, None))
    audit.record(
        action="rate.set",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={"unit": rate.unit, "amount_fen": rate.amount_fen},
    )
    return rate


@transaction.atomic
def publish_feed(*, actor: Actor, resource: Resource, now: datetime) -> str:
    """Make a new secret for the instrument's calendar feed and return it, this once; the old one ends at once."""
    _require_own(actor, resource)
    secret = secrets.token_urlsafe(24)
    Resource.objects.filter(pk=resource.pk).update(feed_digest=hashlib.sha256(secret.encode()).hexdigest())
    audit.record(action="feed.published", subject=f"instrument:{resource.number}", actor=actor, now=now)
    return secret
