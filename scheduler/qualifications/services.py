"""Enter a lab's operators and say who can run which of its instruments, from one local day to another."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Invalid, noop
from portal.numbers.services import next_number
from scheduler.availability.rules import zone_named
from scheduler.resources.models import Resource, Skill
from scheduler.resources.rules import PublishState, ResourceKind
from scheduler.resources.services import lock

__all__ = ["BadDays", "Days", "OperatorNameMissing", "end_skill", "enter_operator", "grant_skill"]

_ = noop


class OperatorNameMissing(Invalid):
    code = "operator.name"
    message = _("请填写操作人员的姓名（60 字以内）。")


class BadDays(Invalid):
    code = "skill.days"
    message = _("资格的结束日期须晚于开始日期。")


@dataclass(frozen=True, slots=True)
class Days:
    """Local days, half-open: `until` is the first day that no longer counts."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if self.since >= self.until:
            raise BadDays(field="until")


@transaction.atomic
def enter_operator(*, actor: Actor, name: str, city: str, zone: str, now: datetime) -> Resource:
    """Enter a member of the lab's staff whose hours are booked with its instruments. Raises OperatorNameMissing.

    Free for bookings once hours are set as of any resource (`availability.services.set_opening_hours`).
    """
    actor.require(Permission.INSTRUMENT_MANAGE)
    if not name.strip() or len(name.strip()) > 60:
        raise OperatorNameMissing(field="name")
    zone_named(zone)
    assert actor.organisation_id is not None
    person = Resource.objects.create(
        kind=ResourceKind.OPERATOR.value,
        number=next_number(prefix="P", now=now),
        owner_id=actor.organisation_id,
        name=name.strip(),
        city=city,
        zone=zone,
        state=PublishState.PUBLISHED.value,
    )
    audit.record(action="operator.entered", subject=f"operator:{person.number}", actor=actor, now=now)
    return person


@transaction.atomic
def grant_skill(*, actor: Actor, operator: Resource, instrument: Resource, days: Days, now: datetime) -> Skill:
    """Say that an operator can run an instrument on these days; joins what touches. Raises Forbidden for others'."""
    _require_own(actor, operator, instrument)
    lock(resource_ids=[operator.pk])
    known = Skill.objects.filter(operator=operator, instrument=instrument, valid__overlap=(days.since, days.until))
    rows = list(known)
    since = min([days.since, *(row.valid.lower for row in rows if row.valid.lower)])
    until = max([days.until, *(row.valid.upper for row in rows if row.valid.upper)])
    known.delete()
    skill = Skill.objects.create(operator=operator, instrument=instrument, valid=(since, until))
    _record(operator, instrument, action="skill.granted", actor=actor, now=now, since=str(since), until=str(until))
    return skill


@transaction.atomic
def end_skill(*, actor: Actor, operator: Resource, instrument: Resource, on: date, now: datetime) -> None:
    """End an operator's skill: `on` is the first day it no longer counts. Bookings made stay. Idempotent."""
    _require_own(actor, operator, instrument)
    lock(resource_ids=[operator.pk])
    for row in Skill.objects.filter(operator=operator, instrument=instrument, valid__endswith__gt=on):
        if row.valid.lower is not None and row.valid.lower >= on:
            row.delete()
        else:
            row.valid = (row.valid.lower, on)
            row.save(update_fields=["valid"])
    _record(operator, instrument, action="skill.ended", actor=actor, now=now, until=str(on))


def _require_own(actor: Actor, *resources: Resource) -> None:
    actor.require(Permission.INSTRUMENT_MANAGE)
    if any(resource.owner_id != actor.organisation_id for resource in resources):
        raise Forbidden


def _record(operator: Resource, instrument: Resource, *, action: str, actor: Actor, now: datetime, **data: str) -> None:
    audit.record(
        action=action,
        subject=f"operator:{operator.number}",
        actor=actor,
        now=now,
        data={"instrument": instrument.number, **data},
    )
