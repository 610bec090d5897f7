"""Open, answer, decide and settle disputes; the only writer of disputes."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden, NotFound
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from portal.workdays.queries import workdays
from scheduler.bookings import settling
from scheduler.bookings.models import Booking
from scheduler.disputes import access, rules
from scheduler.disputes.models import Dispute
from vouchers.charges import refunding, withholding

__all__ = ["answer", "appeal", "decide", "open_dispute", "settle_due", "withdraw"]

A, S = rules.DisputeAction, rules.DisputeState


def _record(dispute: Dispute, *, action: str, actor: Actor, now: datetime, **data: Any) -> None:
    audit.record(
        action=action,
        subject=f"booking:{dispute.booking.number}",
        actor=actor,
        now=now,
        organisations=[dispute.booking.organisation_id, dispute.booking.resource.owner_id],
        data={"dispute": dispute.number, **data},
    )


def _lock(dispute: Dispute) -> Dispute:
    return (
        Dispute.objects.select_for_update(no_key=True, of=("self",))
        .select_related("booking__resource", "booking__charge", "booking__organisation")
        .order_by("pk")
        .get(pk=dispute.pk)
    )


def _move(dispute: Dispute, action: rules.DisputeAction) -> None:
    dispute.state = next_state(rules.TRANSITIONS, S(dispute.state), action).value


def _note(text: str) -> str:
    text = text.strip()
    if not text or len(text) > rules.NOTE:
        raise rules.NoteMissing(field="note")
    return text


def _less(used_s: int, charged_s: int) -> int:
    """Return seconds that are fewer than were charged. Raises BadTime."""
    if not 0 <= used_s < charged_s:
        raise rules.BadTime(field="minutes", most=charged_s // 60)
    return used_s


def charged_s(*, booking: Booking) -> int:
    """Return how many seconds of use a booking was charged for, 0 where nothing was. Two queries."""
    charge = booking.charge
    if charge is None or charge.state != "captured" or not charge.refundable_fen:
        return 0
    return next((line.use.used_s for line in settling.compare(booking).lines if line.counts), 0)


def until(*, booking: Booking) -> datetime:
    """Return until when a charged booking may be disputed: so many workdays after the charge as was agreed. One query."""
    assert booking.charge is not None
    assert booking.charge.resolved_at is not None
    return rules.deadline(workdays(), booking.charge.resolved_at, days=booking.dispute_days, zone=booking.resource.zone)


@transaction.atomic
def open_dispute(*, actor: Actor, booking: Booking, claimed_s: int, reason: str, now: datetime) -> Dispute:
    """Say, as the organisation that booked, that less was used than was charged; the lab has `ANSWER_DAYS` to answer.

    The charge is held back from every settlement and claim until the dispute is over. Raises NothingToDispute, TooLate,
    AlreadyDisputed, BadTime, NoteMissing, Forbidden.
    """
    actor.require(Permission.BOOKING_REQUEST)
    if booking.organisation_id != actor.organisation_id:
        raise Forbidden
    reason = _note(reason)
    locked = (
        Booking.objects.select_for_update(no_key=True, of=("self",))
        .select_related("resource", "charge")
        .order_by("pk")
        .get(pk=booking.pk)
    )
    if Dispute.objects.filter(booking=locked).exists():
        raise rules.AlreadyDisputed
    charged = charged_s(booking=locked)
    if locked.state != "completed" or not charged:
        raise rules.NothingToDispute
    if rules.is_over(until(booking=locked), now=now):
        raise rules.TooLate(days=locked.dispute_days)
    assert locked.charge_id is not None
    withholding.withhold(charge_id=locked.charge_id, reason="disputed", actor=actor, now=now)
    made = Dispute.objects.create(
        number=next_number(prefix="W", now=now),
        booking=locked,
        charged_s=charged,
        claimed_s=_less(claimed_s, charged),
        reason=reason,
        opened_by_id=actor.user_id,
        opened_at=now,
        due_at=rules.deadline(workdays(), now, days=rules.ANSWER_DAYS, zone=locked.resource.zone),
    )
    _record(made, action="dispute.opened", actor=actor, now=now, note=reason)
    return made


def _of_the_lab(actor: Actor, dispute: Dispute) -> Dispute:
    locked = _lock(dispute)
    if not access.serves(actor) or locked.booking.resource.owner_id != actor.organisation_id:
        raise Forbidden
    return locked


def _of_the_organisation(actor: Actor, dispute: Dispute) -> Dispute:
    actor.require(Permission.BOOKING_REQUEST)
    locked = _lock(dispute)
    if locked.booking.organisation_id != actor.organisation_id:
        raise Forbidden
    return locked


@transaction.atomic
def answer(*, actor: Actor, dispute: Dispute, counted_s: int | None, note: str, now: datetime) -> Dispute:
    """Answer as the lab: propose what to count, or (None) stand by the charge. Somebody else decides.

    Raises BadTime, NoteMissing, InvalidTransition, Forbidden.
    """
    locked = _of_the_lab(actor, dispute)
    note = _note(note)
    _move(locked, A.ANSWER)
    locked.answer_s = None if counted_s is None else _less(counted_s, locked.charged_s)
    locked.answer_note, locked.answered_by_id, locked.answered_at = note, actor.person, now
    locked.due_at = None
    locked.save()
    _record(locked, action="dispute.answered", actor=actor, now=now, note=note)
    return locked


@transaction.atomic
def decide(*, actor: Actor, dispute: Dispute, counted_s: int | None, note: str, now: datetime) -> Dispute:
    """Decide: so many seconds count (the rest is given back at once), or (None) the charge stands.

    By a person of the lab other than who answered; by the department where it was asked, where the lab has not answered
    in time, or beside the lab once it has answered. What the department decides is final; where the lab upholds its
    charge the organisation may ask the department, as many workdays as it had to dispute. Raises SamePerson, NotAnswered,
    NotYet, Involved, BadTime, NoteMissing, InvalidTransition, NotFound, Forbidden.
    """
    locked = _lock(dispute)
    department = actor.may(Permission.ORDER_RULE)
    _may_decide(actor, locked, department=department, now=now)
    note = _note(note)
    _move(locked, A.UPHOLD if counted_s is None else A.ACCEPT)
    locked.counted_s = None if counted_s is None else _less(counted_s, locked.charged_s)
    locked.decision_note, locked.decided_by_id, locked.decided_at = note, actor.person, now
    locked.by_department = department
    final = department or counted_s is not None
    locked.due_at = None if final else _appeal_until(locked, now=now)
    locked.save()
    _record(locked, action=f"dispute.{locked.state}", actor=actor, now=now, note=note)
    if final:
        _settle(locked, actor=actor, now=now)
    return locked


def _appeal_until(dispute: Dispute, *, now: datetime) -> datetime:
    booking = dispute.booking
    return rules.deadline(workdays(), now, days=booking.dispute_days, zone=booking.resource.zone)


def _may_decide(actor: Actor, dispute: Dispute, *, department: bool, now: datetime) -> None:
    """Raise what forbids the actor to decide: SamePerson, NotAnswered, NotYet, Involved, NotFound, Forbidden."""
    if department:
        if not access.visible_to(actor).filter(pk=dispute.pk).exists():
            raise NotFound
        for party in (dispute.booking.organisation_id, dispute.booking.resource.owner_id):
            if people.belongs(user_id=actor.person, organisation_id=party):
                raise rules.Involved
        if dispute.state == S.OPEN.value and dispute.due_at and not rules.is_over(dispute.due_at, now=now):
            raise rules.NotYet(until=f"{dispute.due_at:%Y-%m-%d}")
        return
    if not access.serves(actor) or dispute.booking.resource.owner_id != actor.organisation_id:
        raise Forbidden
    if dispute.state in {S.OPEN.value, S.APPEALED.value}:
        raise rules.NotAnswered
    if dispute.answered_by_id == actor.person:
        raise rules.SamePerson


@transaction.atomic
def appeal(*, actor: Actor, dispute: Dispute, note: str, now: datetime) -> Dispute:
    """Ask the department, as the organisation, where the lab has upheld its charge. Raises TooLate, NoteMissing,
    InvalidTransition, Forbidden.
    """
    locked = _of_the_organisation(actor, dispute)
    note = _note(note)
    _move(locked, A.APPEAL)
    if rules.is_over(locked.due_at, now=now):
        raise rules.TooLate(days=locked.booking.dispute_days)
    locked.appeal_note, locked.due_at = note, None
    locked.save()
    _record(locked, action="dispute.appealed", actor=actor, now=now, note=note)
    return locked


@transaction.atomic
def withdraw(*, actor: Actor, dispute: Dispute, now: datetime) -> Dispute:
    """Withdraw it as the organisation before it is decided: the charge stands. Raises InvalidTransition, Forbidden."""
    locked = _of_the_organisation(actor, dispute)
    _move(locked, A.WITHDRAW)
    locked.due_at = None
    locked.save()
    _let_go(locked, actor=actor, now=now)
    _record(locked, action="dispute.withdrawn", actor=actor, now=now)
    return locked


def _let_go(dispute: Dispute, *, actor: Actor, now: datetime) -> None:
    assert dispute.booking.charge_id is not None
    withholding.let_go(charge_id=dispute.booking.charge_id, actor=actor, now=now)


def correction(*, dispute: Dispute, counted_s: int) -> Money:
    """Return what is given back if so many seconds count: what was taken and not given back, above their price."""
    charge = dispute.booking.charge
    assert charge is not None
    kept = settling.due(dispute.booking, counted_s)
    return max(Money(charge.refundable_fen) - kept, Money(0))


def _settle(dispute: Dispute, *, actor: Actor, now: datetime) -> None:
    """Give back what a locked, decided dispute comes to, and let the rest of the charge be paid out."""
    _move(dispute, A.SETTLE)
    charge = dispute.booking.charge
    assert charge is not None
    if dispute.counted_s is not None:
        back = correction(dispute=dispute, counted_s=dispute.counted_s)
        if back:
            refunding.correct(
                actor=actor,
                charge_id=charge.pk,
                amount=back,
                reason=dispute.decision_note[:200],
                now=now,
                key=f"dispute:{dispute.number}",
            )
        dispute.corrected_fen = back.fen
    dispute.settled_at, dispute.due_at = now, None
    dispute.save()
    _let_go(dispute, actor=actor, now=now)
    _record(dispute, action="dispute.settled", actor=actor, now=now, amount_fen=dispute.corrected_fen)


@transaction.atomic
def settle_due(*, now: datetime) -> int:
    """Settle what was upheld and nobody asked the department about in time; returns how many.

    Run by the clock, safe at any time.
    """
    actor = Actor.system("自动处理")
    settled = 0
    for row in Dispute.objects.filter(state=S.UPHELD.value, due_at__lte=now).order_by("pk")[:200]:
        locked = _lock(row)
        if locked.state == S.UPHELD.value and rules.is_over(locked.due_at, now=now):
            _settle(locked, actor=actor, now=now)
            settled += 1
    return settled
