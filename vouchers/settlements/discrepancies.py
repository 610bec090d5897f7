"""Cases of what a bank's answer and the portal disagree on: explained or corrected by one person, closed by another."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import QuerySet

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import NotFound
from portal.kernel.states import next_state
from vouchers.settlements import order_rules as rules
from vouchers.settlements.answering import settle_line
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy
from vouchers.settlements.ordering import record

__all__ = ["close", "correct", "explain", "get_case", "send_back", "visible_to"]

READERS = (Permission.SETTLEMENT_PAY, Permission.SETTLEMENT_APPROVE, Permission.SETTLEMENT_DRAFT)
S, A = rules.DiscrepancyState, rules.DiscrepancyAction


def visible_to(actor: Actor) -> QuerySet[Discrepancy]:
    """Return the cases the actor may see: finance all, others none."""
    rows = Discrepancy.objects.select_related("order", "line", "line__batch__payee", "answered_by", "closed_by")
    return rows if any(actor.may(each) for each in READERS) else rows.none()


def get_case(actor: Actor, number: str) -> Discrepancy:
    """Return one case. Raises NotFound."""
    found = visible_to(actor).filter(number=number).first()
    if found is None:
        raise NotFound
    return found


def _lock(case: Discrepancy) -> Discrepancy:
    """Return the case as it is now, locked after its batch, the order in which an answer locks them."""
    if case.line_id is not None:
        batches = SettlementBatch.objects.select_for_update(no_key=True).filter(order_lines=case.line_id)
        list(batches.order_by("pk"))
    return (
        Discrepancy.objects.select_for_update(no_key=True, of=("self",))
        .select_related("order", "line__batch")
        .order_by("pk")
        .get(pk=case.pk)
    )


def _require(actor: Actor) -> None:
    if not actor.may(Permission.SETTLEMENT_APPROVE):
        actor.require(Permission.SETTLEMENT_PAY)


def _answer(
    actor: Actor, case: Discrepancy, action: rules.DiscrepancyAction, *, text: str, correction: str, now: datetime
) -> Discrepancy:
    _require(actor)
    if not text.strip():
        raise rules.TextMissing(field="text")
    locked = _lock(case)
    locked.state = next_state(rules.CASE_TRANSITIONS, S(locked.state), action).value
    if correction and (locked.line is None or locked.line.state != rules.OrderLineState.OPEN.value):
        raise rules.NotToBePaid(field="correction")
    locked.text, locked.correction = text.strip()[:600], correction
    locked.answered_by_id, locked.answered_at = actor.person, now
    locked.save()
    return locked


@transaction.atomic
def explain(*, actor: Actor, case: Discrepancy, text: str, now: datetime) -> Discrepancy:
    """Explain a case that needs no correction in the books. Raises TextMissing, InvalidTransition, Forbidden."""
    done = _answer(actor, case, A.EXPLAIN, text=text, correction="", now=now)
    record(done.order, action="discrepancy.explained", actor=actor, now=now, case=done.number)
    return done


@transaction.atomic
def correct(*, actor: Actor, case: Discrepancy, outcome: rules.AnswerOutcome, text: str, now: datetime) -> Discrepancy:
    """Propose what really became of an open line: paid in full, or failed. Closing the case carries it out.

    Raises TextMissing, NotToBePaid where the line has ended or there is none, InvalidTransition, Forbidden.
    """
    done = _answer(actor, case, A.CORRECT, text=text, correction=outcome.value, now=now)
    record(
        done.order,
        action="discrepancy.corrected",
        actor=actor,
        now=now,
        case=done.number,
        outcome=outcome.value,
    )
    return done


@transaction.atomic
def send_back(*, actor: Actor, case: Discrepancy, now: datetime) -> Discrepancy:
    """Do not accept what was said of a case: it is open again. Raises InvalidTransition, Forbidden."""
    _require(actor)
    locked = _lock(case)
    locked.state = next_state(rules.CASE_TRANSITIONS, S(locked.state), A.RETURN).value
    locked.correction = ""
    locked.save(update_fields=["state", "correction"])
    record(locked.order, action="discrepancy.returned", actor=actor, now=now, case=locked.number)
    return locked


@transaction.atomic
def close(*, actor: Actor, case: Discrepancy, now: datetime) -> Discrepancy:
    """Close a case as another person than explained or corrected it; a correction is carried out now.

    Raises CaseOfAnother, NotToBePaid where the line has ended meanwhile, InvalidTransition, Forbidden.
    """
    _require(actor)
    locked = _lock(case)
    corrected = locked.state == S.CORRECTED.value
    locked.state = next_state(rules.CASE_TRANSITIONS, S(locked.state), A.CLOSE).value
    if actor.person == locked.answered_by_id:
        raise rules.CaseOfAnother
    locked.closed_by_id, locked.closed_at = actor.person, now
    locked.save(update_fields=["state", "closed_by", "closed_at"])
    if corrected:
        if locked.line is None or locked.line.state != rules.OrderLineState.OPEN.value:
            raise rules.NotToBePaid
        settle_line(
            actor,
            locked.line.batch,
            rules.AnswerOutcome(locked.correction),
            bank_reference=locked.bank_reference or locked.reference,
            reason=locked.bank_reason or locked.text[:200],
            now=now,
        )
    record(locked.order, action="discrepancy.closed", actor=actor, now=now, case=locked.number)
    return locked
