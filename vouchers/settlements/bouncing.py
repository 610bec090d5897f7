"""A payment that the payee's bank sent back after it was paid (退票): booked back, looked at, and paid anew.

The batch stays whole: what was set off, and the claims in it, ended when it was paid first. Its money lies in clearing again,
as that of an approved batch does, until a person has looked at the payee's account; then it goes into a new payment order.
"""

from __future__ import annotations

from datetime import datetime

from django.db import transaction

from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Conflict, Forbidden, noop
from portal.kernel.money import Money
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from portal.organisations import access as people
from vouchers.ledger import services as ledger
from vouchers.ledger.models import Journal
from vouchers.ledger.rules import JournalKind, Posting
from vouchers.payees import queries as accounts
from vouchers.settlements import order_rules, routing, rules
from vouchers.settlements.cases import lock, paid_step, record
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import Discrepancy, PaymentOrderLine
from vouchers.settlements.payout_models import RailPayout

__all__ = ["NoAccount", "NotReturnable", "bounce", "release", "returnable_fen", "take_back"]

_ = noop
CLOSE = order_rules.DiscrepancyAction.CLOSE


class NotReturnable(Conflict):
    code = "settlement.not_returnable"
    message = _("批次 %(number)s 现在可退票的金额是 %(target)s，流水上是 %(amount)s。只有已付款的批次才能整笔退票。")


class NoAccount(Conflict):
    code = "settlement.no_account"
    message = _("收款单位没有生效的收款账户，不能重新付款。请收款单位更正账户，核验生效后再办理。")


def returnable_fen(batch: SettlementBatch) -> int:
    """Lock a batch and return what of it may come back, in fen: all of one that is paid, nothing of others."""
    locked = lock(batch)
    return locked.total_fen if locked.state in rules.PAID else 0


@transaction.atomic
def bounce(
    *, actor: Actor, batch: SettlementBatch, amount: Money, asked_by: str, person: int | None, line: str, now: datetime
) -> SettlementBatch:
    """Book back a batch whose money the statement's `line` shows coming back whole; its case opens or closes.

    `asked_by` is the signature of who said so, `person` that user, `actor` the second person. The journal that paid it is
    mirrored: what was settled is in clearing again. Raises NotReturnable, OwnPayee, InvalidTransition.
    """
    locked = lock(batch)
    if locked.state not in rules.PAID or amount.fen != locked.total_fen:
        target = Money(locked.total_fen if locked.state in rules.PAID else 0)
        raise NotReturnable(field="parts", number=locked.number, target=target, amount=amount)
    if people.belongs(user_id=actor.person, organisation_id=locked.payee_id):
        raise rules.OwnPayee
    _book_back(
        locked, line=line, by=(asked_by, actor.signature), reason=f"退票 {line}", person=person, actor=actor, now=now
    )
    return locked


def take_back(
    batch: SettlementBatch, *, line: str, by: tuple[str, str], actor: Actor, now: datetime
) -> SettlementBatch:
    """Book back a paid batch, under lock, that a gateway has taken back whole. `line` names its transfer. For `taken_back` only.

    Signed by who looked and by the gateway's own record of it (`by`). Raises InvalidTransition.
    """
    _book_back(batch, line=line, by=by, reason=f"支付机构撤回 {line}", person=None, actor=actor, now=now)
    return batch


def _book_back(
    locked: SettlementBatch,
    *,
    line: str,
    by: tuple[str, str],
    reason: str,
    person: int | None,
    actor: Actor,
    now: datetime,
) -> None:
    paid = paid_step(locked)
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.BOUNCE).value
    locked.returns += 1
    locked.returned_line, locked.returned_at, locked.account = line[:80], now, None
    locked.bank_line, locked.reconciled_by_id, locked.reconciled_at = "", None, None
    locked.save()
    _end_line(locked, line=line, person=person, actor=actor, now=now)
    record(locked, action="settlement.bounced", actor=actor, now=now, bank_line=line)
    ledger.post(
        posting=Posting(
            kind=JournalKind.REVERSE,
            key=f"settlement:{locked.number}/returned/{locked.returns}",
            reverses=Journal.objects.get(key=f"settlement:{locked.number}/{paid}").pk,
            operations=(),
            actor=by[0],
            approved_by=by[1],
            reason=reason[:200],
            source_type="settlement",
            source_id=locked.number,
        )
    )


def _end_line(batch: SettlementBatch, *, line: str, person: int | None, actor: Actor, now: datetime) -> None:
    """Mark the batch's line in its payment order as come back; close the cases that said so, or open one."""
    rows = PaymentOrderLine.objects.select_for_update(no_key=True, of=("self",)).select_related("order")
    paid = rows.filter(batch=batch, state=order_rules.OrderLineState.PAID.value).order_by("pk").first()
    if paid is None:
        return
    was = order_rules.OrderLineState(paid.state)
    paid.state = next_state(order_rules.LINE_TRANSITIONS, was, order_rules.OrderLineAction.BOUNCE).value
    paid.reason = f"退票 {line}"[:200]
    paid.save(update_fields=["state", "reason"])
    said = Discrepancy.objects.select_for_update(no_key=True, of=("self",)).filter(
        line=paid, kind=order_rules.DiscrepancyKind.CONTRADICTS.value, said=order_rules.AnswerOutcome.FAILED.value
    )
    open_cases = list(said.exclude(state=order_rules.DiscrepancyState.CLOSED.value).order_by("pk"))
    for case in open_cases:
        state, actions = order_rules.DiscrepancyState(case.state), [order_rules.DiscrepancyAction.EXPLAIN, CLOSE]
        if state is not order_rules.DiscrepancyState.OPEN:  # the statement answers anew what a person had answered
            actions.insert(0, order_rules.DiscrepancyAction.RETURN)
        for action in actions:
            state = next_state(order_rules.CASE_TRANSITIONS, state, action)
        case.state = state.value
        case.text, case.answered_by_id, case.answered_at = f"退票 {line}", person, now
        case.closed_by_id, case.closed_at = actor.user_id, now
        case.save()
    if not open_cases:
        Discrepancy.objects.create(
            number=next_number(prefix="DF", now=now),
            kind=order_rules.DiscrepancyKind.BOUNCED.value,
            order=paid.order,
            line=paid,
            reference=paid.reference,
            expected_fen=paid.amount_fen,
            found_fen=paid.amount_fen,
            said=order_rules.AnswerOutcome.FAILED.value,
            bank_reference=line[:60],
            opened_at=now,
        )


@transaction.atomic
def release(*, actor: Actor, batch: SettlementBatch, text: str, now: datetime) -> SettlementBatch:
    """Let a batch that came back be paid anew, to the account in force now, which a person has looked at: `text` says how.

    Its open case is explained by it, and closed by another person as any is. Raises NoAccount, TextMissing, OwnPayee,
    InvalidTransition, Forbidden.
    """
    if not any(actor.may(permission) for permission in (Permission.SETTLEMENT_APPROVE, Permission.SETTLEMENT_PAY)):
        raise Forbidden
    if not text.strip():
        raise order_rules.TextMissing(field="text")
    locked = lock(batch)
    if people.belongs(user_id=actor.person, organisation_id=locked.payee_id):
        raise rules.OwnPayee
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState(locked.state), rules.BatchAction.RELEASE).value
    over_rail = RailPayout.objects.filter(batch=locked).exists()  # only own shares, which may go the same way again
    account = routing.account_for(locked, now=now) if over_rail else accounts.in_force_of(locked.payee_id, now=now)
    if account is None:
        raise NoAccount
    locked.account = account
    locked.save(update_fields=["state", "account"])
    cases = Discrepancy.objects.select_for_update(no_key=True, of=("self",)).filter(
        line__batch=locked,
        kind=order_rules.DiscrepancyKind.BOUNCED.value,
        state=order_rules.DiscrepancyState.OPEN.value,
    )
    for case in cases.order_by("pk"):
        state, action = order_rules.DiscrepancyState(case.state), order_rules.DiscrepancyAction.EXPLAIN
        case.state = next_state(order_rules.CASE_TRANSITIONS, state, action).value
        case.text, case.answered_by_id, case.answered_at = text.strip()[:600], actor.person, now
        case.save(update_fields=["state", "text", "answered_by", "answered_at"])
    record(locked, action="settlement.released", actor=actor, now=now, text=text.strip()[:600], account=account.masked)
    return locked
