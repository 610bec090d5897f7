"""Set a lab's rule, count violations, hear appeals; the only writer of both tables."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Protocol

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.states import next_state
from scheduler.conduct import queries, rules
from scheduler.conduct.models import ConductRule, Violation
from scheduler.resources.models import Resource

__all__ = ["appeal", "check_in_time", "count", "decide", "judge_use", "record_violation", "set_rule"]


class Judged(Protocol):
    """What is judged of a booking; bookings stand above conduct and are not known here."""

    @property
    def pk(self) -> Any: ...
    @property
    def number(self) -> str: ...
    @property
    def organisation_id(self) -> int: ...
    @property
    def resource(self) -> Resource: ...
    @property
    def starts_at(self) -> datetime: ...
    @property
    def ends_at(self) -> datetime: ...


@transaction.atomic
def set_rule(*, actor: Actor, thresholds: rules.Thresholds, now: datetime) -> ConductRule:
    """Set the rule of the actor's lab; bookings that begin from now on are judged by it. Raises Forbidden."""
    actor.require(Permission.INSTRUMENT_MANAGE)
    said: dict[str, Any] = {
        "grace_min": thresholds.grace_min,
        "ratio_percent": thresholds.ratio_percent,
        "points": {kind.value: thresholds.weighs(kind) for kind in rules.ViolationKind},
        "warn_at": thresholds.warn_at,
        "watch_at": thresholds.watch_at,
        "suspend_at": thresholds.suspend_at,
        "window_days": thresholds.window_days,
        "suspend_days": thresholds.suspend_days,
    }
    row, _created = ConductRule.objects.update_or_create(
        owner_id=actor.acting_for, defaults=said, create_defaults={**said, "set_at": now}
    )
    audit.record(action="conduct.rule_set", subject=f"organisation:{actor.acting_for}", actor=actor, now=now, data=said)
    return row


def count(
    *, booking: Judged, kind: rules.ViolationKind, actor: Actor, at: datetime, note: str = ""
) -> Violation | None:
    """Count a violation that happened at `at`, once a booking and kind; nothing where the lab's rule does not count it."""
    owner_id = booking.resource.owner_id
    rule = queries.judges(owner_id, booking.starts_at)
    points = rule.weighs(kind) if rule else 0
    if not points:
        return None
    found, created = Violation.objects.get_or_create(
        booking_id=booking.pk,
        kind=kind.value,
        defaults={
            "organisation_id": booking.organisation_id,
            "owner_id": owner_id,
            "points": points,
            "at": at,
            "note": note,
        },
    )
    if created:
        _record(found, action="conduct.counted", number=booking.number, actor=actor, now=at)
    return found


def judge_use(*, booking: Judged, used_s: int, actor: Actor, at: datetime) -> Violation | None:
    """Count a booking far longer than its use, by the lab's rule."""
    rule = queries.judges(booking.resource.owner_id, booking.starts_at)
    booked = booking.ends_at - booking.starts_at
    if rule is None or not rule.wastes(booked=booked, used=timedelta(seconds=used_s)):
        return None
    return count(booking=booking, kind=rules.ViolationKind.OVERBOOKED, actor=actor, at=at)


def check_in_time(*, booking: Judged, started_at: datetime) -> None:
    """Raise Void where use begins after the grace the lab's rule gives."""
    rule = queries.judges(booking.resource.owner_id, booking.starts_at)
    if rule is not None and started_at >= rule.void_at(booking.starts_at):
        raise rules.Void(minutes=rule.grace_min)


@transaction.atomic
def record_violation(
    *, actor: Actor, booking: Judged, kind: rules.ViolationKind, note: str, now: datetime
) -> Violation:
    """Record what the lab saw: overstaying, unreported damage or something else; once a booking and kind.

    Raises NoRule where the lab's rule does not count it, NotByHand, NoteMissing, Forbidden.
    """
    actor.require(Permission.BOOKING_DECIDE)
    if booking.resource.owner_id != actor.organisation_id:
        raise Forbidden
    if kind not in rules.BY_HAND:
        raise rules.NotByHand(field="kind")
    made = count(booking=booking, kind=kind, actor=actor, at=now, note=_note(note))
    if made is None:
        raise rules.NoRule
    return made


def _locked(violation: Violation) -> Violation:
    return (
        Violation.objects.select_for_update(no_key=True, of=("self",))
        .select_related("booking")
        .order_by("pk")
        .get(pk=violation.pk)
    )


def _record(violation: Violation, *, action: str, number: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"booking:{number}",
        actor=actor,
        now=now,
        organisations=[violation.organisation_id, violation.owner_id],
        data={"violation": violation.kind, "points": violation.points},
    )


def _act(violation: Violation, action: rules.ViolationAction, *, actor: Actor, now: datetime) -> None:
    violation.state = next_state(rules.TRANSITIONS, rules.ViolationState(violation.state), action).value
    violation.save(update_fields=["state", "appeal_note", "answer_note"])
    _record(violation, action=f"conduct.{violation.state}", number=violation.booking.number, actor=actor, now=now)


def _note(text: str) -> str:
    text = text.strip()
    if not text or len(text) > rules.NOTE:
        raise rules.NoteMissing(field="note")
    return text


@transaction.atomic
def appeal(*, actor: Actor, violation: Violation, note: str, now: datetime) -> Violation:
    """Appeal, as the organisation it counts for, once; it counts until the lab lifts it.

    Raises NoteMissing, InvalidTransition, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    if violation.organisation_id != actor.organisation_id:
        raise Forbidden
    locked = _locked(violation)
    locked.appeal_note = _note(note)
    _act(locked, rules.ViolationAction.APPEAL, actor=actor, now=now)
    return locked


@transaction.atomic
def decide(*, actor: Actor, violation: Violation, lift: bool, note: str, now: datetime) -> Violation:
    """Lift a violation, or uphold it against an appeal, as the lab, with a reason.

    Raises NoteMissing, InvalidTransition, Forbidden.
    """
    actor.require(Permission.BOOKING_DECIDE)
    if violation.owner_id != actor.organisation_id:
        raise Forbidden
    locked = _locked(violation)
    locked.answer_note = _note(note)
    _act(locked, rules.ViolationAction.LIFT if lift else rules.ViolationAction.UPHOLD, actor=actor, now=now)
    return locked
