"""Say what an entry is that does not match: one person of finance, above a threshold a second one; undone with a reason."""

from __future__ import annotations

from datetime import date, datetime

from django.conf import settings
from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Forbidden
from portal.kernel.states import next_state
from vouchers.reconciliation import queries, rules
from vouchers.reconciliation.models import EntryExplanation
from vouchers.reconciliation.rules import ExplanationAction, ExplanationKind, ExplanationState

__all__ = ["accept", "explain", "may_accept", "needs_second", "send_back", "undo"]


def needs_second(entry: rules.Entry) -> bool:
    """Say whether an entry is explained by two persons: above the threshold, and where its sum in yuan is not known.

    Another currency counts as 0 fen, which says nothing of how much it is.
    """
    is_unknown = entry.cause is rules.Cause.CURRENCY or not entry.difference_fen
    return is_unknown or abs(entry.difference_fen) >= settings.EXPLAIN_APPROVAL_FEN


@transaction.atomic
def explain(
    *, actor: Actor, rail: str, day: date, entry: str, kind: ExplanationKind, reason: str, now: datetime
) -> EntryExplanation:
    """Say what an entry of a day is, by its key; it counts at once unless `needs_second`, else once another accepts it.

    It stays a difference. Raises NotOpen where it matches or is of another day, ExplanationOpen, ReasonMissing, Forbidden.
    """
    actor.require(Permission.PAYMENT_CONFIRM)
    if not (said := reason.strip()[:300]):
        raise rules.ReasonMissing(field="reason")
    found = queries.entries(rail, during=rules.day_period(day), now=now)
    meant = next((one for one in found if one.key == entry and one.is_open), None)
    if meant is None:
        raise rules.NotOpen(field="entry")
    waiting = EntryExplanation.objects.select_for_update(no_key=True).filter(
        rail=rail, entry=entry, state__in=queries.SAID
    )
    if (older := waiting.order_by("pk").first()) is not None:
        if older.difference_fen == meant.difference_fen:
            raise rules.ExplanationOpen
        is_done = older.state == ExplanationState.ACCEPTED.value
        _end(older, ExplanationAction.UNDO if is_done else ExplanationAction.RETURN, note="", actor=actor, now=now)
    made = EntryExplanation(
        rail=rail,
        entry=entry,
        day=day,
        difference_fen=meant.difference_fen,
        kind=kind.value,
        reason=said,
        proposed_by_id=actor.person,
        signature=actor.signature[:160],
        proposed_at=now,
    )
    if not needs_second(meant):
        made.state = _next(made, ExplanationAction.ACCEPT)
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:
        raise rules.ExplanationOpen from None
    _record(made, action="reconciliation.explained", actor=actor, now=now)
    return made


def may_accept(actor: Actor, explanation: EntryExplanation) -> bool:
    """Say whether the actor is a second person who may accept."""
    is_waiting = explanation.state == ExplanationState.PROPOSED.value
    return is_waiting and actor.may(Permission.SETTLEMENT_APPROVE) and actor.user_id != explanation.proposed_by_id


@transaction.atomic
def accept(*, actor: Actor, explanation: EntryExplanation, now: datetime) -> EntryExplanation:
    """Let another person's word count. Raises OwnExplanation, InvalidTransition, Forbidden."""
    actor.require(Permission.SETTLEMENT_APPROVE)
    locked = _locked(explanation)
    if locked.proposed_by_id == actor.person:
        raise rules.OwnExplanation
    locked.state = _next(locked, ExplanationAction.ACCEPT)
    locked.decided_by_id, locked.decided_at = actor.person, now
    locked.save(update_fields=["state", "decided_by", "decided_at"])
    _record(locked, action="reconciliation.explanation_accepted", actor=actor, now=now)
    return locked


@transaction.atomic
def send_back(*, actor: Actor, explanation: EntryExplanation, note: str, now: datetime) -> EntryExplanation:
    """Send a word back that waits, with a reason, or take back one's own. Raises ReasonMissing, InvalidTransition, Forbidden."""
    locked = _locked(explanation)
    if not (actor.may(Permission.SETTLEMENT_APPROVE) or locked.proposed_by_id == actor.person):
        raise Forbidden
    _said(note)
    return _end(locked, ExplanationAction.RETURN, note=note, actor=actor, now=now)


@transaction.atomic
def undo(*, actor: Actor, explanation: EntryExplanation, note: str, now: datetime) -> EntryExplanation:
    """Take a word back that counts, with a reason: the difference is unexplained again.

    Raises ReasonMissing, InvalidTransition, Forbidden.
    """
    if not (actor.may(Permission.PAYMENT_CONFIRM) or actor.may(Permission.SETTLEMENT_APPROVE)):
        raise Forbidden
    _said(note)
    return _end(_locked(explanation), ExplanationAction.UNDO, note=note, actor=actor, now=now)


def _said(note: str) -> None:
    if not note.strip():
        raise rules.ReasonMissing(field="note")


def _end(
    explanation: EntryExplanation, action: ExplanationAction, *, note: str, actor: Actor, now: datetime
) -> EntryExplanation:
    explanation.state = _next(explanation, action)
    explanation.note = note.strip()[:300]
    explanation.undone_by_id, explanation.undone_at = actor.person, now
    explanation.save(update_fields=["state", "note", "undone_by", "undone_at"])
    if action is ExplanationAction.UNDO:
        _record(explanation, action="reconciliation.explanation_undone", actor=actor, now=now)
    else:
        _record(explanation, action="reconciliation.explanation_returned", actor=actor, now=now)
    return explanation


def _locked(explanation: EntryExplanation) -> EntryExplanation:
    return EntryExplanation.objects.select_for_update(no_key=True).order_by("pk").get(pk=explanation.pk)


def _next(explanation: EntryExplanation, action: ExplanationAction) -> str:
    return next_state(rules.EXPLANATION_TRANSITIONS, ExplanationState(explanation.state), action).value


def _record(explanation: EntryExplanation, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=f"rail:{explanation.rail}",
        actor=actor,
        now=now,
        organisations=[actor.acting_for],
        data={
            "entry": explanation.entry,
            "day": explanation.day.isoformat(),
            "difference_fen": explanation.difference_fen,
            "kind": explanation.kind,
            "reason": explanation.reason,
            "note": explanation.note,
            "state": explanation.state,
        },
    )
