"""Enter and publish instruments, lock resources."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from django.db import IntegrityError, connection, transaction
from django.db.models import F

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, Reason, Refused, noop
from portal.kernel.states import next_state
from portal.numbers.services import PORTAL_ZONE, next_number
from scheduler.resources import access, entries, fees, places, profile, reviewing, rules, words
from scheduler.resources.entries import InstrumentValues
from scheduler.resources.models import Instrument, Resource

__all__ = [
    "BadInstrument",
    "InstrumentValues",
    "change_instrument",
    "change_state",
    "create_instrument",
    "lacks",
    "lock",
    "take",
    "touch_calendar",
]

_ = noop

LOCK_SPACE = 71
"""First key of the advisory locks on resources; the second is the resource's id."""


class BadInstrument(Invalid):
    code = "instrument.invalid"
    message = _("仪器资料填写有误。")


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


SHARED = (
    *("kind", "internal_no", "name", "name_en", "city", "site", "zone", "granularity_s", "min_duration_s"),
    *("max_duration_s", "lead_s", "horizon_s", "setup_s", "cleanup_s", "capacity", "counting"),
)
FACTS = ("category", "model", "manufacturer", "functions", "functions_en", "original_value_fen", "contact", "phone")


def _save(resource: Resource, values: InstrumentValues) -> None:
    """Write what is said of the resource itself. Raises Refused where another one has the owner's number."""
    for name in SHARED:
        setattr(resource, name, getattr(values, name))
    resource.modes = [mode.value for mode in profile.ServiceMode if mode.value in values.modes]
    try:
        with transaction.atomic():
            resource.save()
    except IntegrityError as error:
        if "resource_internal_no_once" not in str(error):
            raise
        reason = Reason(
            "instrument.internal_no",
            _("内部编号“%(number)s”已用于本单位的另一台仪器。"),
            _("请核对编号，或修改已登记的那一台。"),
            field="internal_no",
            params={"number": values.internal_no},
        )
        raise Refused([reason]) from error


def _facts(resource: Resource, values: InstrumentValues) -> dict[str, Any]:
    owner, said = resource.owner, values.profile
    found = words.searchable(
        (
            *(values.name, values.name_en, values.model, values.manufacturer, values.functions, values.functions_en),
            *(said.specs, said.service_content, said.fields_of_science, said.attached_to),
            *(values.city, owner.name, owner.name_en, resource.number),
        )
    )
    return {"search_text": found, **{name: getattr(values, name) for name in FACTS}, **asdict(said)}


def _judge(values: InstrumentValues, *, now: datetime) -> list[Reason]:
    return entries.refusals(values, today=now.astimezone(PORTAL_ZONE).date())


@transaction.atomic
def create_instrument(*, actor: Actor, values: InstrumentValues, now: datetime) -> Resource:
    """Enter an instrument as a draft of the actor's organisation. Raises Refused with every wrong value."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    if reasons := _judge(values, now=now):
        raise Refused(reasons)
    assert actor.organisation_id is not None
    resource = Resource(owner_id=actor.organisation_id, number=next_number(prefix="R", now=now))
    _save(resource, values)
    Instrument.objects.create(resource=resource, **_facts(resource, values))
    audit.record(action="instrument.entered", subject=f"instrument:{resource.number}", actor=actor, now=now)
    return resource


@transaction.atomic
def change_instrument(*, actor: Actor, resource: Resource, values: InstrumentValues, now: datetime) -> Resource:
    """Change an instrument's description and limits; bookings already made keep their terms.

    Raises Refused with every wrong value, and where fewer places were left than are booked: naming the bookings and from
    when on it would work.
    """
    access.require_own(actor, resource)
    lock(resource_ids=[resource.pk])
    locked = Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)
    reasons = _judge(values, now=now)
    recount = (values.capacity, values.counting) != (locked.capacity, locked.counting)
    if recount:
        reasons += _too_few(locked, values, now=now)
    if reasons:
        raise Refused(reasons)
    _save(locked, values)
    Instrument.objects.filter(resource=locked).update(**_facts(locked, values))
    if recount:
        places.follow(locked)
    audit.record(action="instrument.changed", subject=f"instrument:{locked.number}", actor=actor, now=now)
    return locked


MOST_NAMED = 20


def _too_few(resource: Resource, values: InstrumentValues, *, now: datetime) -> list[Reason]:
    """Say which bookings a smaller capacity, or another way of counting, would break, and from when on it would not."""
    met = places.in_the_way(resource, capacity=values.capacity, counting=values.counting, now=now)
    if not met:
        return []
    zone = ZoneInfo(resource.zone)
    recounted = values.counting != resource.counting
    free_at = max(each.blocked.end for each in met).astimezone(zone)
    return [
        Reason(
            "instrument.counting_booked" if recounted else "instrument.capacity_booked",
            COUNTING_BOOKED if recounted else CAPACITY_BOOKED,
            _("最早可在 %(when)s（%(zone)s）之后改；提前改须先与预约单位改期或取消。"),
            field="counting" if recounted else "capacity",
            params={
                "bookings": [_named(each, zone) for each in met[:MOST_NAMED]],
                "number": len(met),
                "when": f"{free_at:%Y-%m-%d %H:%M}",
                "zone": resource.zone,
            },
        )
    ]


CAPACITY_BOOKED = _("数量减少后放不下 %(number)s 项已有安排：%(bookings)s。")
COUNTING_BOOKED = _("改变计数方式会影响 %(number)s 项已有安排：%(bookings)s。")


def _named(taken: places.Taken, zone: ZoneInfo) -> str:
    start, end = taken.during.start.astimezone(zone), taken.during.end.astimezone(zone)
    until = f"{end:%H:%M}" if end.date() == start.date() else f"{end:%Y-%m-%d %H:%M}"
    return f"{taken.number} {start:%Y-%m-%d %H:%M}–{until}".strip()


OWN_ACTIONS = (rules.PublishAction.PUBLISH, rules.PublishAction.SUSPEND, rules.PublishAction.RESTORE)
"""What a lab does at once; review (`scheduler.catalogue.admitting`) and withdrawal (`withdrawing`) have their services."""


@transaction.atomic
def change_state(*, actor: Actor, resource: Resource, action: rules.PublishAction, now: datetime) -> Resource:
    """Publish, suspend or restore as a draft. Publishing needs opening hours and a rate in force; raises Refused naming what lacks.

    A provider whose instruments are reviewed (`reviewing`) proposes them in place of publishing a draft.
    """
    access.require_own(actor, resource)
    if action not in OWN_ACTIONS:
        raise ValueError(f"{action.value} has a service of its own")
    locked = (
        Resource.objects.select_for_update(no_key=True, of=("self",))
        .select_related("owner", "instrument")
        .order_by("pk")
        .get(pk=resource.pk)
    )
    next_state(rules.TRANSITIONS, rules.PublishState(locked.state), action)
    reasons: list[Reason] = []
    if action is rules.PublishAction.PUBLISH:
        if locked.state == rules.PublishState.DRAFT.value and reviewing.needs_review(locked.owner.facts):
            reasons.append(
                Reason(
                    "instrument.review",
                    _("本单位的仪器须经平台审核后才能发布。"),
                    _("请提交审核；审核通过即发布。"),
                    field="review",
                )
            )
        reasons += lacks(resource=locked, now=now)
    if reasons:
        raise Refused(reasons)
    return take(locked=locked, action=action, actor=actor, now=now)


def take(*, locked: Resource, action: rules.PublishAction, actor: Actor, now: datetime) -> Resource:
    """Take a transition of a resource the caller has judged and locked. Raises InvalidTransition."""
    locked.state = next_state(rules.TRANSITIONS, rules.PublishState(locked.state), action).value
    locked.save(update_fields=["state"])
    audit.record(
        action=f"instrument.{locked.state}",
        subject=f"instrument:{locked.number}",
        actor=actor,
        now=now,
        organisations=[locked.owner_id],
    )
    return locked


def lacks(*, resource: Resource, now: datetime) -> list[Reason]:
    """Say all that keeps a thing from being published: hours, prices, whom it is shared with, its running state."""
    reasons: list[Reason] = []
    # A beamline has no weekly hours: what a machine plan leaves over is opened shift by shift.
    if resource.kind != rules.ResourceKind.BEAMLINE.value and not resource.opening_hours.exists():
        reasons.append(
            Reason("instrument.no_hours", _("还没有设置开放时间。"), _("请先设置每周开放时间。"), field="hours")
        )
    return reasons + _unpriced(resource, now=now) + _not_for_others(resource)


def _unpriced(resource: Resource, *, now: datetime) -> list[Reason]:
    """Say which modes on offer have no price for enterprises in force."""
    for_them = resource.rates.filter(valid__contains=now, user_class=fees.UserClass.EXTERNAL.value)
    priced = set(for_them.values_list("mode", flat=True))
    if not priced:
        return [Reason("instrument.no_rate", _("还没有公布价格。"), _("请先设置价格。"), field="rate")]
    return [
        Reason("instrument.no_mode_rate", NO_RATE[mode], _("请先设置价格，或取消这种服务方式。"), field="rate")
        for mode in profile.ServiceMode
        if mode.value in resource.modes and mode.value not in priced
    ]


NO_RATE = {
    profile.ServiceMode.SELF: _("“自主上机”还没有公布对企业的价格。"),
    profile.ServiceMode.SAMPLE: _("“送样测试”还没有公布对企业的价格。"),
    profile.ServiceMode.TECHNICAL: _("“实验技术服务”还没有公布对企业的价格。"),
}


def _not_for_others(resource: Resource) -> list[Reason]:
    """Say why a thing cannot serve enterprises: its holder shares it with nobody outside, or it is scrapped."""
    facts, reasons = resource.instrument, []
    if facts.share_mode != profile.ShareMode.OUTSIDE.value:
        reasons.append(
            Reason(
                "instrument.not_shared",
                _("共享模式不是“对外共享”，不能向企业发布。"),
                _("请先在资料中修改共享模式。"),
                field="share_mode",
            )
        )
    if facts.running_state == profile.RunningState.SCRAPPED.value:
        reasons.append(
            Reason(
                "instrument.scrapped",
                _("运行状态是“已报废”，不能发布。"),
                _("请核对运行状态。"),
                field="running_state",
            )
        )
    return reasons
