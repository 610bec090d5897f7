"""Log spans in which a beamline had no beam, and take mistaken ones out; visits that have ended are counted again."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.period import Period
from scheduler.beamtime import ending, rules, visit_rules
from scheduler.beamtime.models import BeamLoss, BeamVisit
from scheduler.facilities.models import Beamline, RunCycle

__all__ = ["Lost", "log", "void"]


@dataclass(frozen=True, slots=True)
class Lost:
    """What is logged: when there was no beam and why; `note` is up to 300 letters."""

    period: Period
    cause: rules.LossCause
    note: str = ""


def _own(actor: Actor, line: Beamline) -> None:
    actor.require(Permission.BEAMTIME_RUN)
    if line.facility.owner_id != actor.organisation_id:
        raise Forbidden


def _open_cycle(line: Beamline, period: Period) -> None:
    cycles = RunCycle.objects.filter(facility=line.facility, during__overlap=(period.start, period.end))
    found = list(cycles)
    if not found:
        raise visit_rules.BadLoss(field="starts_at")
    if any(one.closed_at is not None for one in found):
        raise visit_rules.CycleClosed


def _again(loss: BeamLoss, *, actor: Actor, now: datetime) -> int:
    hit = BeamVisit.objects.filter(
        beamline_id=loss.beamline_id, during__overlap=loss.during, state__in=ending.OVER
    ).order_by("pk")
    for one in hit:
        ending.recount(actor=actor, visit=one, now=now)
    return len(hit)


def _record(loss: BeamLoss, *, action: str, actor: Actor, now: datetime, visits: int) -> None:
    line = loss.beamline
    audit.record(
        action=action,
        subject=f"instrument:{line.resource.number}",
        actor=actor,
        now=now,
        organisations=[line.facility.owner_id],
        data={
            "loss": loss.pk,
            "cause": loss.cause,
            "starts_at": loss.during.lower.isoformat(),
            "ends_at": loss.during.upper.isoformat(),
            "visits": visits,
        },
    )


@transaction.atomic
def log(*, actor: Actor, line: Beamline, lost: Lost, now: datetime) -> BeamLoss:
    """Log a span without beam on a beamline; the same one again is the same. It may overlap others, and go on for a week.

    Raises BadLoss, CycleClosed, Forbidden.
    """
    _own(actor, line)
    period = lost.period
    if period.duration > visit_rules.WHOLE or period.end > now + visit_rules.AHEAD:
        raise visit_rules.BadLoss(field="ends_at")
    _open_cycle(line, period)
    # Two at once log one: both wait for the beamline's row.
    locked = Beamline.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=line.pk)
    during = (period.start, period.end)
    known = BeamLoss.objects.filter(
        beamline=locked, during=during, cause=lost.cause.value, void_at__isnull=True
    ).first()
    if known is not None:
        return known
    made = BeamLoss.objects.create(
        beamline=line, during=during, cause=lost.cause.value, note=lost.note.strip()[:300], by_id=actor.person, at=now
    )
    made.refresh_from_db(fields=["during"])
    _record(made, action="beam.loss_logged", actor=actor, now=now, visits=_again(made, actor=actor, now=now))
    return made


@transaction.atomic
def void(*, actor: Actor, loss: BeamLoss, now: datetime) -> BeamLoss:
    """Take out what was logged in error; it stays on record. A second time changes nothing. Raises CycleClosed, Forbidden."""
    Beamline.objects.select_for_update(no_key=True, of=("self",)).order_by("pk").get(pk=loss.beamline_id)
    locked = (
        BeamLoss.objects.select_for_update(no_key=True, of=("self",))
        .select_related("beamline__facility", "beamline__resource")
        .order_by("pk")
        .get(pk=loss.pk)
    )
    _own(actor, locked.beamline)
    if locked.void_at is not None:
        return locked
    _open_cycle(locked.beamline, Period(locked.during.lower, locked.during.upper))
    locked.void_at = now
    locked.save(update_fields=["void_at"])
    _record(locked, action="beam.loss_voided", actor=actor, now=now, visits=_again(locked, actor=actor, now=now))
    return locked
