"""Cases of what a bank's answer and the portal disagree on: explained or corrected by one person, closed by another."""

from __future__ import annotations

from datetime import datetime

from django.conf import settings
from django.db import transaction
from django.utils.module_loading import import_string

from portal.kernel.actors import Actor, Permission
from portal.kernel.states import next_state
from vouchers.payments.rules import bank_reference
from vouchers.settlements import lateness
from vouchers.settlements import order_rules as rules
from vouchers.settlements.answering import settle_line
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy
from vouchers.settlements.ordering import record

__all__ = ["close", "correct", "explain", "may_become", "send_back"]

S, A = rules.DiscrepancyState, rules.DiscrepancyAction


def may_become(case: Discrepancy) -> tuple[rules.AnswerOutcome, ...]:
    """Return what a correction may make of the case's line: either end while it is open; paid where it was not, they say."""
    if case.line is None:
        return ()
    if case.line.state == rules.OrderLineState.OPEN.value:
        return (rules.AnswerOutcome.PAID, rules.AnswerOutcome.FAILED)
    late = case.said == rules.AnswerOutcome.PAID.value and case.line.state in rules.NOT_PAID
    return (rules.AnswerOutcome.PAID,) if late else ()


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
    if correction and correction not in may_become(locked):
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
    """Propose what really became of a line: paid in full, or failed. Closing the case carries it out.

    Raises TextMissing, NotToBePaid where there is no line or it cannot become that, InvalidTransition, Forbidden.
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

    Raises CaseOfAnother, NotToBePaid where the line has ended meanwhile, HeldElsewhere where what was paid late is in
    another batch that is not paid, what `settings.BANK_REFERENCES` does where the statement shows the money, InvalidTransition, OwnPayee, Forbidden.
    """
    _require(actor)
    _refuse_shown(case, now=now)
    locked = _lock(case)
    corrected = locked.state == S.CORRECTED.value
    locked.state = next_state(rules.CASE_TRANSITIONS, S(locked.state), A.CLOSE).value
    if actor.person == locked.answered_by_id:
        raise rules.CaseOfAnother
    locked.closed_by_id, locked.closed_at = actor.person, now
    locked.save(update_fields=["state", "closed_by", "closed_at"])
    if corrected:
        _carry_out(locked, actor=actor, now=now)
    record(locked.order, action="discrepancy.closed", actor=actor, now=now, case=locked.number)
    return locked


def _refuse_shown(case: Discrepancy, *, now: datetime) -> None:
    """Raises what `settings.BANK_REFERENCES` does where a payment is to be explained away that the statement shows."""
    explained = Discrepancy.objects.filter(pk=case.pk, state=S.EXPLAINED.value, said=rules.AnswerOutcome.PAID.value)
    found = explained.filter(line__state__in=rules.NOT_PAID).select_related("order").first()
    value = bank_reference(found.bank_reference) if found is not None else ""
    if found is not None and value:
        subject = f"order:{found.order.number}"
        import_string(settings.BANK_REFERENCES)(value, subject=subject, now=now, unseen=True)


def _carry_out(case: Discrepancy, *, actor: Actor, now: datetime) -> None:
    outcome = rules.AnswerOutcome(case.correction)
    if case.line is None or outcome not in may_become(case):
        raise rules.NotToBePaid
    if case.line.state != rules.OrderLineState.OPEN.value:
        lateness.book(case, actor=actor, now=now)
        return
    # A line nobody has answered contradicts only what the bank's reference is used for: it is known by its own then.
    is_used = case.kind == rules.DiscrepancyKind.CONTRADICTS.value
    settle_line(
        actor,
        case.line.batch,
        outcome,
        bank_reference=case.reference if is_used else case.bank_reference or case.reference,
        reason=case.bank_reason or case.text[:200],
        now=now,
    )
