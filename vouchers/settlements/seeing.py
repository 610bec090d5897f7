"""That the bank's statement shows what was paid: who matches lines tells it here; see `services.reconcile`."""

from __future__ import annotations

from datetime import datetime

from django.db import transaction
from django.db.models import Sum

from portal.kernel.actors import Actor
from portal.kernel.errors import Conflict, noop
from portal.kernel.states import next_state
from vouchers.ledger.models import Transfer
from vouchers.payments.rules import bank_reference
from vouchers.settlements import rules, services
from vouchers.settlements.cases import lock, record
from vouchers.settlements.models import SettlementBatch
from vouchers.settlements.order_models import PaymentOrderLine
from vouchers.settlements.payout_models import RailPayout
from vouchers.settlements.payout_rules import RailPayoutState

__all__ = ["SeenElsewhere", "expected_fen", "late_fen", "not_seen", "seen", "unseen_fen"]

_ = noop


class SeenElsewhere(Conflict):
    code = "settlement.seen_elsewhere"
    message = _("批次 %(number)s 已按银行流水 %(line)s 对账，不能再由另一条流水说明。")


def unseen_fen(batch: SettlementBatch, *, bank_line: str) -> int:
    """Lock a batch and return what lines of the statement may show of it, in fen: 0 where it was not paid.

    Raises SeenElsewhere where a person has reconciled it by another line.
    """
    locked = lock(batch)
    if locked.state == rules.BatchState.RECONCILED.value and not _is_line(locked, bank_line):
        raise SeenElsewhere(field="parts", number=locked.number, line=locked.bank_line)
    return expected_fen(locked)


def expected_fen(batch: SettlementBatch) -> int:
    """Return what lines of the statement show of a batch once they show all of it, in fen: each time the bank paid it."""
    taken_back = RailPayout.objects.filter(batch=batch, state=RailPayoutState.REVERSED.value)
    over_rail = taken_back.count() if batch.returns else 0
    return batch.total_fen * (batch.returns - over_rail + (batch.state in rules.PAID))


def late_fen(line: PaymentOrderLine) -> int:
    """Return what the bank paid late of a line beside its batch, in fen: 0 where the batch became paid by it."""
    key = f"settlement:{line.batch.number}/late/{line.reference}"
    return Transfer.objects.filter(journal__key=key).aggregate(fen=Sum("amount"))["fen"] or 0


def _is_line(batch: SettlementBatch, bank_line: str) -> bool:
    return bank_reference(batch.bank_line) == bank_reference(bank_line)


@transaction.atomic
def seen(*, actor: Actor, batch: SettlementBatch, bank_line: str, now: datetime) -> SettlementBatch:
    """Reconcile a paid batch all of whose money lines of the statement show; any other stays as it is.

    Raises ReconciledBySame for the person who recorded the payment, OwnPayee, InvalidTransition, Forbidden.
    """
    locked = lock(batch)
    if locked.state != rules.BatchState.PAID.value:
        return locked
    return services.book_reconciled(actor=actor, batch=locked, bank_line=bank_line, now=now)


@transaction.atomic
def not_seen(*, actor: Actor, batch: SettlementBatch, bank_line: str, now: datetime) -> SettlementBatch:
    """Take back that a line shows a batch, where it was reconciled by lines: it is paid, and to be reconciled again."""
    locked = lock(batch)
    if locked.state != rules.BatchState.RECONCILED.value:
        return locked
    locked.state = next_state(rules.TRANSITIONS, rules.BatchState.RECONCILED, rules.BatchAction.UNRECONCILE).value
    locked.bank_line, locked.reconciled_by_id, locked.reconciled_at = "", None, None
    locked.save(update_fields=["state", "bank_line", "reconciled_by", "reconciled_at"])
    record(locked, action="settlement.unreconciled", actor=actor, now=now, bank_line=bank_line)
    return locked
