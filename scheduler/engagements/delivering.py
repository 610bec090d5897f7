"""Deliver, accept, return, dispute and rule on milestones; an accepted one is billed at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.organisations import access as people
from scheduler.engagements import access, rules, steps, telling
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
    return _bill(_lock(engagement, milestone), actor=actor, now=now, action="engagement.milestone_accepted")


@transaction.atomic
def dispute(*, actor: Actor, milestone: Milestone, note: str, now: datetime) -> Milestone:
    """Ask for a ruling on a returned delivery, as either party, with reasons; everything stays held until then.

    The department reads what is disputed. A change of plan that waits for an answer lapses. Raises NoteMissing,
    InvalidTransition, Forbidden.
    """
    by_client = actor.organisation_id == milestone.engagement.organisation_id
    engagement = (steps.asked if by_client else steps.served)(actor=actor, engagement=milestone.engagement)
    locked = _lock(engagement, milestone)
    note = steps.noted(note=note)
    _move(locked, D.DISPUTE)
    locked.dispute_note, locked.disputed_by_id, locked.disputed_at = note, actor.person, now
    locked.save()
    steps.lapse_quote(engagement, now=now)
    _record(locked, action="engagement.disputed", actor=actor, now=now)
    return locked


@transaction.atomic
def rule(*, actor: Actor, milestone: Milestone, counted: Money | None, note: str, now: datetime) -> Milestone:
    """Rule on a disputed milestone as an officer of a department whose voucher pays it, or of any where none does.

    `counted` of its price is captured and the rest released; None is all of it, zero drops the milestone and frees what
    was held. Both parties read the reason. Source: Civil Code 2020, Articles 509, 582 (performance as agreed; a lower
    price for what falls short). Raises NoteMissing, BadAmount, Involved for a member of either party, NotFound for
    another department's, InvalidTransition, Forbidden.
    """
    actor.require(Permission.ORDER_RULE)
    engagement = steps.lock(milestone.engagement)
    locked = _lock(engagement, milestone)
    if not access.disputed(actor).filter(pk=locked.pk).exists():
        raise NotFound
    for party in (engagement.organisation_id, engagement.resource.owner_id):
        if people.belongs(user_id=actor.person, organisation_id=party):
            raise rules.Involved
    note = steps.noted(note=note)
    price = Money(locked.line.price_fen)
    if counted is not None and not 0 <= counted.fen <= price.fen:
        raise rules.BadAmount(field="amount", most=price)
    locked.ruling_note, locked.ruled_by_id, locked.ruled_at = note, actor.person, now
    if counted is None or counted:
        return _bill(locked, actor=actor, now=now, action="engagement.ruled", step=D.RULE, counted=counted)
    _move(locked, D.QUASH)
    locked.save()
    charges.release(charge_id=locked.charge_id, reason="ruled", actor=actor, now=now)
    _record(locked, action="engagement.quashed", actor=actor, now=now)
    steps.complete_if_done(engagement, actor=actor, now=now)
    return locked


def _bill(
    locked: Milestone,
    *,
    actor: Actor,
    now: datetime,
    action: str,
    deemed: bool = False,
    step: rules.MilestoneAction = D.ACCEPT,
    counted: Money | None = None,
) -> Milestone:
    """Take the step that accepts a locked milestone and capture its price, or what of it `counted`; record it as `action`."""
    _move(locked, step)
    locked.accepted_at, locked.deemed_at, locked.is_deemed = now, None, deemed
    locked.save()
    price = Money(locked.line.price_fen) if counted is None else counted
    locked.charge = charges.capture(
        charge_id=locked.charge_id,
        actual=price,
        measured={"amount_fen": price.fen, "unit": "milestone", "unit_price_fen": price.fen, "quantity": "1/1"},
        actor=actor,
        now=now,
    )
    _record(locked, action=action, actor=actor, now=now, amount_fen=price.fen)
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
            _bill(locked, actor=actor, now=now, action="engagement.deemed", deemed=True)
            done += 1
    return done
