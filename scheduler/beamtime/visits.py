"""Prepare, start, end, cancel and miss visits. Whose forms, training and people are there is judged all at once."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from django.db import transaction
from django.db.models import F, Q

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, Reason
from portal.kernel.period import Period
from portal.kernel.states import next_state
from scheduler.availability.models import Claim
from scheduler.beamtime import billing, call_offs, holding, rules, visit_rules
from scheduler.beamtime import visit_access as access
from scheduler.beamtime.models import BeamTraining, BeamVisit, VisitParticipant
from scheduler.panels import rounds
from scheduler.proposals import finishing
from scheduler.proposals.models import TeamMember
from scheduler.proposals.rules import InvitationState

__all__ = [
    "accept_late",
    "approve",
    "check_in",
    "clock",
    "confirm",
    "left_team",
    "lock",
    "make_ready",
    "miss",
    "missing_of",
    "move",
    "not_ready",
    "period_of",
    "preparation",
    "record",
    "served",
    "start",
    "train",
    "undo_ready",
]

A, S, P = rules.VisitAction, rules.VisitState, Permission
FORMS: Final = {"sample": P.BEAMTIME_RUN, "safety": P.PROPOSAL_CLEAR}
"""Who approves which form."""
TRAINED: Final = timedelta(days=3 * 366)


def period_of(visit: BeamVisit) -> Period:
    return Period(visit.during.lower, visit.during.upper)


def clock(visit: BeamVisit, moment: datetime) -> str:
    """Return a moment in the facility's wall time, with its zone."""
    zone = visit.beamline.facility.zone
    return f"{moment.astimezone(ZoneInfo(zone)):%Y-%m-%d %H:%M} ({zone})"


def lock(visit: BeamVisit) -> BeamVisit:
    return (
        BeamVisit.objects.select_for_update(no_key=True, of=("self",))
        .select_related("beamline__facility", "beamline__resource", "allocation__request__proposal")
        .order_by("pk")
        .get(pk=visit.pk)
    )


def move(visit: BeamVisit, action: rules.VisitAction) -> None:
    """Take a locked visit on in its table of states. Raises InvalidTransition."""
    visit.state = next_state(rules.TRANSITIONS, S(visit.state), action).value
    visit.version += 1


def record(visit: BeamVisit, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Keep on record what was done to a visit, for the team's organisation and the facility's. No titles, no samples."""
    audit.record(
        action=action,
        subject=f"beam_visit:{visit.number}",
        actor=actor,
        now=now,
        organisations=[visit.allocation.request.proposal.organisation_id, visit.beamline.facility.owner_id],
        data=data,
    )


def served(*, actor: Actor, visit: BeamVisit, permission: Permission) -> BeamVisit:
    """Lock a visit at the actor's own facility. Raises Forbidden without the permission there."""
    actor.require(permission)
    locked = lock(visit)
    if not actor.is_system and locked.beamline.facility.owner_id != actor.organisation_id:
        raise Forbidden
    return locked


def _midnight(visit: BeamVisit, training: BeamTraining | None) -> datetime | None:
    if training is None:
        return None
    return datetime.combine(training.until, time(), ZoneInfo(visit.beamline.facility.zone))


def preparation(
    visit: BeamVisit, people: Sequence[VisitParticipant], known: Mapping[int, BeamTraining]
) -> rules.Preparation:
    """Return what is there before a visit. Forms taken late with a reason count as in time."""
    proposal = visit.allocation.request.proposal
    by = visit.during.lower - timedelta(days=visit.beamline.facility.forms_days)
    approved = [visit.sample_approved_at, visit.safety_approved_at]
    if proposal.no_samples:
        approved[0] = approved[0] or min(visit.offered_at, by)
    if visit.late_reason:
        approved = [None if at is None else min(at, by) for at in approved]
    named: dict[str, datetime | None] = {}
    for one in people:
        name = str(one.user) if str(one.user) not in named else f"{one.user} ({one.user_id})"
        named[name] = _midnight(visit, known.get(one.user_id))
    by_mail = visit.allocation.request.by_mail
    return rules.Preparation(approved[0], approved[1], tuple(named), named, by_mail)


def missing_of(found: Sequence[BeamVisit]) -> dict[int, list[Reason]]:
    """Return every reason that keeps each of these visits from being ready, by id. Two queries, however many they are."""
    people: dict[int, list[VisitParticipant]] = defaultdict(list)
    still = {
        "visit__allocation__request__proposal__team__user": F("user"),
        "visit__allocation__request__proposal__team__state": InvitationState.JOINED.value,
    }
    for one in VisitParticipant.objects.filter(visit__in=found, **still).select_related("user").order_by("pk"):
        people[one.visit_id].append(one)
    users = {one.user_id for each in people.values() for one in each}
    lines = {visit.beamline.facility_id for visit in found}
    known: dict[int, dict[int, BeamTraining]] = defaultdict(dict)
    for training in BeamTraining.objects.filter(facility__in=lines, user__in=users):
        known[training.facility_id][training.user_id] = training
    return {
        visit.pk: rules.not_ready(
            preparation(visit, people[visit.pk], known[visit.beamline.facility_id]),
            visit=period_of(visit),
            days=visit.beamline.facility.forms_days,
        )
        for visit in found
    }


def not_ready(*, visit: BeamVisit) -> list[Reason]:
    """Return every reason that keeps a visit from being ready, none where it is. Two queries."""
    return missing_of([visit])[visit.pk]


@transaction.atomic
def confirm(*, actor: Actor, visit: BeamVisit, user_ids: Collection[int], now: datetime) -> BeamVisit:
    """Say who comes, as the team: its leader for everybody, others for themselves. A visit no longer ready is not.

    The list replaces the one before. Raises NotInTeam, InvalidTransition once the beam has begun, Forbidden.
    """
    actor.require(P.PROPOSAL_SUBMIT)
    locked = lock(visit)
    team = {one.user_id: one for one in access.team_of(locked)}
    me = team.get(actor.person)
    if me is None or not access.is_team(actor, locked):
        raise Forbidden
    if S(locked.state) not in visit_rules.PENDING:
        next_state(rules.TRANSITIONS, S(locked.state), A.MAKE_READY)
    wanted = set(user_ids)
    present = set(locked.participants.values_list("user_id", flat=True)) & set(team)
    if not wanted <= set(team) or (not me.is_leader and (wanted ^ present) - {actor.person}):
        raise visit_rules.NotInTeam(field="participants")
    locked.participants.exclude(user_id__in=wanted).delete()
    VisitParticipant.objects.bulk_create(
        [VisitParticipant(visit=locked, user_id=pk, confirmed_at=now) for pk in sorted(wanted - present)]
    )
    _judge_again(locked)
    locked.save()
    record(locked, action="visit.confirmed", actor=actor, now=now, count=len(wanted))
    return locked


@transaction.atomic
def left_team(proposal_id: int, *, user_id: int, actor: Actor, now: datetime) -> None:
    """Take somebody who left a team off its visits that have not begun; what is no longer ready is not.

    Answers `scheduler.proposals.ports.LeftTeam`.
    """
    coming = VisitParticipant.objects.filter(
        user_id=user_id, visit__state__in=visit_rules.TO_COME, visit__allocation__request__proposal_id=proposal_id
    )
    for pk in list(coming.order_by("visit_id").values_list("visit_id", flat=True)):
        locked = lock(BeamVisit(pk=pk))
        if S(locked.state) not in visit_rules.TO_COME:
            continue
        locked.participants.filter(user_id=user_id).delete()
        _judge_again(locked)
        locked.save()
        record(locked, action="visit.participant_left", actor=actor, now=now, user=user_id)


def _judge_again(visit: BeamVisit) -> None:
    if visit.state == S.READY.value and not_ready(visit=visit):
        move(visit, A.UNDO_READY)


@transaction.atomic
def approve(*, actor: Actor, visit: BeamVisit, form: str, now: datetime) -> BeamVisit:
    """Approve a visit's samples (beamline staff) or its safety form (safety staff), once: the first time counts.

    By nobody of its team. Raises InvalidTransition unless the visit is still to come, OwnProposal, Forbidden.
    """
    locked = served(actor=actor, visit=visit, permission=FORMS[form])
    rounds.not_in_team(actor, [locked.allocation.request.proposal])
    if S(locked.state) not in visit_rules.PENDING:
        next_state(rules.TRANSITIONS, S(locked.state), A.MAKE_READY)
    if getattr(locked, f"{form}_approved_at") is not None:
        return locked
    if now > locked.during.lower - timedelta(days=locked.beamline.facility.forms_days):
        # What was taken late before was another form: the head judges this one anew.
        locked.late_reason = ""
    setattr(locked, f"{form}_approved_at", now)
    setattr(locked, f"{form}_approved_by_id", actor.person)
    locked.save()
    record(locked, action="visit.form_approved", actor=actor, now=now, form=form)
    return locked


@transaction.atomic
def accept_late(*, actor: Actor, visit: BeamVisit, reason: str, now: datetime) -> BeamVisit:
    """Take forms that were approved too late, as the beamline's head, with a reason the team reads; by nobody of it.

    Raises NotLate, ReasonMissing, InvalidTransition, OwnProposal, Forbidden.
    """
    locked = served(actor=actor, visit=visit, permission=P.BEAMTIME_RUN)
    rounds.not_in_team(actor, [locked.allocation.request.proposal])
    reason = visit_rules.noted(reason)[:300]
    if S(locked.state) not in visit_rules.PENDING:
        next_state(rules.TRANSITIONS, S(locked.state), A.MAKE_READY)
    by = locked.during.lower - timedelta(days=locked.beamline.facility.forms_days)
    if not any(at is not None and at > by for at in (locked.sample_approved_at, locked.safety_approved_at)):
        raise visit_rules.NotLate
    locked.late_reason = reason
    locked.save()
    record(locked, action="visit.late_accepted", actor=actor, now=now)
    return locked


@transaction.atomic
def train(*, actor: Actor, visit: BeamVisit, member: TeamMember, until: date, now: datetime) -> BeamTraining:
    """Enter that a member of a visit's team is trained at the facility before `until` (local day, exclusive).

    By beamline or safety staff who are not of the team; a later entry replaces the one before, and all her visits that were
    ready are judged again. Raises NotInTeam, BadTraining, OwnProposal, Forbidden.
    """
    if not actor.may(P.PROPOSAL_CLEAR):
        actor.require(P.BEAMTIME_RUN)
    facility = visit.beamline.facility
    if facility.owner_id != actor.organisation_id:
        raise Forbidden
    rounds.not_in_team(actor, [visit.allocation.request.proposal])
    if not access.team_of(visit).filter(pk=member.pk).exists():
        raise visit_rules.NotInTeam(field="email")
    today = now.astimezone(ZoneInfo(facility.zone)).date()
    if not today < until <= today + TRAINED:
        raise visit_rules.BadTraining(field="until")
    assert member.user_id is not None, "who has joined a team is a user"
    entered, _made = BeamTraining.objects.update_or_create(
        facility=facility, user_id=member.user_id, defaults={"until": until, "by_id": actor.person, "at": now}
    )
    hers = Q(state=S.READY.value, beamline__facility=facility, participants__user=member.user_id)
    for one in BeamVisit.objects.filter(Q(pk=visit.pk) | hers).distinct().order_by("pk"):
        locked = lock(one)
        _judge_again(locked)
        locked.save()
    locked = lock(visit)
    record(locked, action="visit.trained", actor=actor, now=now, user=member.user_id, until=until.isoformat())
    return entered


@transaction.atomic
def make_ready(*, actor: Actor, visit: BeamVisit, now: datetime) -> BeamVisit:
    """Say that everything is there for a visit. Raises NotPrepared with every reason, InvalidTransition, Forbidden."""
    locked = served(actor=actor, visit=visit, permission=P.BEAMTIME_RUN)
    move(locked, A.MAKE_READY)
    if reasons := not_ready(visit=locked):
        raise visit_rules.NotPrepared(reasons)
    locked.save()
    record(locked, action="visit.ready", actor=actor, now=now)
    return locked


@transaction.atomic
def undo_ready(*, actor: Actor, visit: BeamVisit, reason: str, now: datetime) -> BeamVisit:
    """Say that a visit is not ready after all. Raises ReasonMissing, InvalidTransition, Forbidden."""
    locked = served(actor=actor, visit=visit, permission=P.BEAMTIME_RUN)
    said = visit_rules.noted(reason)
    move(locked, A.UNDO_READY)
    locked.save()
    record(locked, action="visit.not_ready", actor=actor, now=now, reason=said)
    return locked


def _still_ready(visit: BeamVisit) -> None:
    """Judge a ready visit as it is now: people leave teams, and training is entered elsewhere. Raises NotPrepared."""
    if reasons := not_ready(visit=visit):
        raise visit_rules.NotPrepared(reasons)


def _in_time(visit: BeamVisit, *, now: datetime, since: datetime) -> None:
    if now < since:
        raise visit_rules.NotYetThere(at=clock(visit, since))
    if now >= visit.during.upper:
        raise visit_rules.VisitOver


@transaction.atomic
def check_in(*, actor: Actor, visit: BeamVisit, now: datetime) -> BeamVisit:
    """Check the team in, from a day before its beam to the end; a second time changes nothing.

    Raises NotYetThere, VisitOver, InvalidTransition unless ready, NotPrepared where that is so no more, Forbidden.
    """
    locked = served(actor=actor, visit=visit, permission=P.BEAMTIME_RUN)
    if locked.checked_in_at is not None:
        return locked
    next_state(rules.TRANSITIONS, S(locked.state), A.START)
    _in_time(locked, now=now, since=locked.during.lower - visit_rules.BEFORE)
    _still_ready(locked)
    locked.checked_in_at = now
    locked.save()
    record(locked, action="visit.checked_in", actor=actor, now=now)
    return locked


@transaction.atomic
def start(*, actor: Actor, visit: BeamVisit, now: datetime) -> BeamVisit:
    """Give the beam to a team that is checked in; to samples sent in, nobody has to come.

    Raises TeamNotThere, NotYetThere, VisitOver, InvalidTransition, NotPrepared where it is not ready any more, Forbidden.
    """
    locked = served(actor=actor, visit=visit, permission=P.BEAMTIME_RUN)
    move(locked, A.START)
    if locked.checked_in_at is None and not access.by_mail(locked):
        raise visit_rules.TeamNotThere
    _in_time(locked, now=now, since=locked.during.lower)
    _still_ready(locked)
    holding.set_claims(locked, Claim.State.IN_USE)
    locked.save()
    record(locked, action="visit.started", actor=actor, now=now)
    return locked


@transaction.atomic
def miss(*, actor: Actor, visit: BeamVisit, now: datetime) -> BeamVisit:
    """Say that nobody came, once the time is over: the allocation ends, the request is served, nothing is made up for.

    Raises NotOver, InvalidTransition, Forbidden.
    """
    holding.hold(visit)
    locked = served(actor=actor, visit=visit, permission=P.BEAMTIME_RUN)
    move(locked, A.MISS)
    if now < locked.during.upper:
        raise visit_rules.NotOver
    holding.set_claims(locked, Claim.State.RELEASED)
    locked.save()
    call_offs.end_allocation(locked, now=now)
    if not call_offs.unmet(locked.allocation.request):
        finishing.serve(request=locked.allocation.request)
    billing.follow(request=locked.allocation.request, actor=actor, now=now)
    record(locked, action="visit.missed", actor=actor, now=now)
    return locked
