"""What the writers of engagements share: lock for one party, take a step and record it, free what is not delivered."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.states import next_state
from scheduler.engagements import rules
from scheduler.engagements.models import Engagement, EngagementQuote
from scheduler.resources.models import Resource
from scheduler.resources.profile import ServiceMode
from scheduler.resources.rules import ResourceKind
from vouchers.charges import services as charges

NOTE = 400
FOR_PROJECTS = frozenset({ResourceKind.CONCEPT_SERVICE.value, ResourceKind.PILOT_LINE.value})
"""Kinds of resources that serve by projects whatever their modes say."""
OPEN_MILESTONES = (rules.MilestoneState.PLANNED.value, rules.MilestoneState.RETURNED.value)
"""What may still be freed."""
ENDED = (rules.MilestoneState.ACCEPTED.value, rules.MilestoneState.DROPPED.value)


def is_offered(resource: Resource) -> bool:
    """Say whether projects are asked for here: a concept service, a pilot line, or what offers technical service."""
    return resource.kind in FOR_PROJECTS or ServiceMode.TECHNICAL.value in resource.modes


def local_day(resource: Resource, now: datetime) -> date:
    """Return the day it is where the resource stands."""
    return now.astimezone(ZoneInfo(resource.zone)).date()


def record(engagement: Engagement, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    """Write down an act for both parties to read; auditors read it too, so no word of what is done or why goes in."""
    audit.record(
        action=action,
        subject=engagement.subject,
        actor=actor,
        now=now,
        organisations=[engagement.organisation_id, engagement.resource.owner_id],
        data={"state": engagement.state, **data},
    )


def lock(engagement: Engagement) -> Engagement:
    """Lock an engagement and return it as it is now; before its milestones' charges, which come before the accounts."""
    return (
        Engagement.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "resource__owner", "organisation")
        .order_by("pk")
        .get(pk=engagement.pk)
    )


def served(*, actor: Actor, engagement: Engagement) -> Engagement:
    """Lock an engagement for the lab that serves it. Raises Forbidden."""
    actor.require(Permission.BOOKING_DECIDE)
    locked = lock(engagement)
    if locked.resource.owner_id != actor.organisation_id:
        raise Forbidden
    return locked


def asked(*, actor: Actor, engagement: Engagement) -> Engagement:
    """Lock an engagement for the enterprise that asked for it. Raises Forbidden."""
    actor.require(Permission.BOOKING_REQUEST)
    locked = lock(engagement)
    if locked.organisation_id != actor.organisation_id:
        raise Forbidden
    return locked


def noted(*, note: str) -> str:
    """Return a reason given. Raises NoteMissing."""
    note = note.strip()
    if not note or len(note) > NOTE:
        raise rules.NoteMissing(field="note")
    return note


def move(
    engagement: Engagement,
    step: rules.EngagementAction,
    *,
    action: str,
    actor: Actor,
    now: datetime,
    note: str = "",
    **data: Any,
) -> None:
    """Take the transition, save the row and record it as `action`."""
    engagement.state = next_state(rules.TRANSITIONS, rules.EngagementState(engagement.state), step).value
    engagement.updated_at = now
    engagement.note = note or engagement.note
    engagement.save(update_fields=["state", "updated_at", "note"])
    record(engagement, action=action, actor=actor, now=now, **data)


def open_quote(engagement: Engagement) -> EngagementQuote | None:
    """Return the quote that waits for an answer, if there is one."""
    return engagement.quotes.filter(state=rules.QuoteState.OPEN.value).first()


def answer(quote: EngagementQuote, action: rules.QuoteAction, *, now: datetime, answer: str = "") -> None:
    """Take a quote's transition and save it."""
    quote.state = next_state(rules.QUOTE_TRANSITIONS, rules.QuoteState(quote.state), action).value
    quote.answer, quote.answered_at = answer, now
    quote.save(update_fields=["state", "answer", "answered_at"])


def lapse_quote(engagement: Engagement, *, now: datetime) -> None:
    """Let a quote nobody has answered lapse: what it was made for has gone on without it."""
    if quote := open_quote(engagement):
        answer(quote, rules.QuoteAction.LAPSE, now=now)


def complete_if_done(engagement: Engagement, *, actor: Actor, now: datetime) -> None:
    """Complete a locked, running engagement once every milestone is accepted or dropped and no quote waits."""
    running = engagement.state == rules.EngagementState.RUNNING.value
    if running and not engagement.milestones.exclude(state__in=ENDED).exists() and open_quote(engagement) is None:
        move(engagement, rules.EngagementAction.COMPLETE, actor=actor, now=now, action="engagement.completed")


def free_rest(engagement: Engagement, *, actor: Actor, now: datetime, reason: str) -> None:
    """Drop what is not delivered of a locked engagement: everything held for it is free again.

    Raises AwaitsAcceptance while a delivery waits for an answer, AwaitsRuling while one is disputed.
    """
    held = list(
        engagement.milestones.select_for_update(no_key=True, of=("self",)).select_related("line").order_by("pk")
    )
    for one in held:
        if one.state == rules.MilestoneState.DELIVERED.value:
            raise rules.AwaitsAcceptance(name=one.line.name)
        if one.state == rules.MilestoneState.DISPUTED.value:
            raise rules.AwaitsRuling(name=one.line.name)
    for one in held:
        if one.state in OPEN_MILESTONES:
            one.state = next_state(
                rules.MILESTONE_TRANSITIONS, rules.MilestoneState(one.state), rules.MilestoneAction.DROP
            ).value
            one.save(update_fields=["state"])
            charges.release(charge_id=one.charge_id, reason=reason, actor=actor, now=now)
