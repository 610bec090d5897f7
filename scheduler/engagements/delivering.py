"""Deliver, accept and return milestones; an accepted one is billed at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor
from portal.kernel.money import Money
from portal.kernel.states import next_state
from scheduler.engagements import rules, steps, telling
from scheduler.engagements.models import Engagement, Milestone
from scheduler.messages.rules import MessageKind
from vouchers.charges import services as charges
from vouchers.evidence import services as files

D, M = rules.MilestoneAction, rules.MilestoneState


def _lock(engagement: Engagement, milestone: Milestone) -> Milestone:
    """Lock a milestone of a locked engagement."""
    found = (
        Milestone.objects.select_for_update(no_key=True, of=("self",))
        .select_related("line__quote", "charge")
        .order_by("pk")
        .get(pk=milestone.pk)
    )
    found.engagement = engagement
    return found


def _move(milestone: Milestone, action: rules.MilestoneAction) -> None:
    milestone.state = next_state(rules.MILESTONE_TRANSITIONS, M(milestone.state), action).value


def _record(milestone: Milestone, *, action: str, actor: Actor, now: datetime, **data: object) -> None:
    engagement = milestone.engagement
    engagement.updated_at = now
    engagement.save(update_fields=["updated_at"])
    steps.record(engagement, action=action, actor=actor, now=now, milestone=milestone.position, **data)


@transaction.atomic
def deliver(
    *, actor: Actor, milestone: Milestone, uploads: Sequence[files.Upload], note: str = "", now: datetime
) -> Milestone:
    """Deliver a milestone, as the lab, with its files; the enterprise has the days of its quote to accept or return it.

    A change of plan that waits for an answer lapses: it was made for what had not been delivered. Raises FileMissing, TooManyFiles, BadFile with every ground, InvalidTransition, Forbidden.
    """
    engagement = steps.served(actor=actor, engagement=milestone.engagement)
    locked = _lock(engagement, milestone)
    _move(locked, D.DELIVER)
    if not uploads:
        raise rules.FileMissing(field="file")
    if len(uploads) > rules.DELIVERY_FILES:
        raise rules.TooManyFiles(field="file", limit=rules.DELIVERY_FILES)
    locked.deliveries += 1
    for upload in uploads:
        purpose = f"delivery-{locked.deliveries}"
        files.store(actor=actor, subject=locked.subject, purpose=purpose, upload=upload, now=now)
    locked.delivery_note = note.strip()[: steps.NOTE]
    locked.delivered_by_id, locked.delivered_at = actor.person, now
    locked.deemed_at = rules.deemed_at(delivered_at=now, days=locked.line.quote.acceptance_days)
    locked.save()
    steps.lapse_quote(engagement, now=now)
    _record(locked, action="engagement.delivered", actor=actor, now=now)
    key = f"{locked.position}:{locked.deliveries}"
    telling.tell(engagement, MessageKind.MILESTONE_DELIVERED, key=key, now=now, until=locked.deemed_at)
    return locked


@transaction.atomic
def send_back(*, actor: Actor, milestone: Milestone, note: str, now: datetime) -> Milestone:
    """Return a delivery, as the enterprise, with reasons: the lab delivers again. Raises NoteMissing, InvalidTransition,
    Forbidden.
    """
    engagement = steps.asked(actor=actor, engagement=milestone.engagement)
    locked = _lock(engagement, milestone)
    note = steps.noted(note=note)
    _move(locked, D.RETURN)
    locked.return_note, locked.deemed_at = note, None
    locked.save()
    _record(locked, action="engagement.returned", actor=actor, now=now)
    return locked


@transaction.atomic
def accept(*, actor: Actor, milestone: Milestone, now: datetime) -> Milestone:
    """Accept a delivery, as the enterprise: its price is captured, vouchers pay, the own share becomes due.

    Raises InvalidTransition (two at once bill once), Forbidden.
    """
    engagement = steps.asked(actor=actor, engagement=milestone.engagement)
    return _bill(_lock(engagement, milestone), actor=actor, now=now)


def _bill(locked: Milestone, *, actor: Actor, now: datetime, deemed: bool = False) -> Milestone:
    _move(locked, D.ACCEPT)
    locked.accepted_at, locked.deemed_at, locked.is_deemed = now, None, deemed
    locked.save()
    price = Money(locked.line.price_fen)
    locked.charge = charges.capture(
        charge_id=locked.charge_id,
        actual=price,
        measured={"amount_fen": price.fen, "unit": "milestone", "unit_price_fen": price.fen, "quantity": "1/1"},
        actor=actor,
        now=now,
    )
    _record(
        locked,
        action="engagement.deemed" if deemed else "engagement.milestone_accepted",
        actor=actor,
        now=now,
        amount_fen=price.fen,
    )
    if deemed:
        telling.tell(locked.engagement, MessageKind.MILESTONE_DEEMED, key=str(locked.position), now=now)
    steps.complete_if_done(locked.engagement, actor=actor, now=now)
    return locked


@transaction.atomic
def accept_due(*, now: datetime) -> int:
    """Accept what was delivered and nobody answered in the days agreed; returns how many. Safe at any time."""
    actor = Actor.system("自动处理")
    due = Milestone.objects.filter(state=M.DELIVERED.value, deemed_at__lte=now).select_related("engagement")
    done = 0
    for row in due.order_by("pk")[:200]:
        locked = _lock(steps.lock(row.engagement), row)
        if locked.state == M.DELIVERED.value and locked.deemed_at is not None and locked.deemed_at <= now:
            _bill(locked, actor=actor, now=now, deemed=True)
            done += 1
    return done
