"""Index of the vouchers app's Celery tasks, for Celery only."""

from vouchers.banking.tasks import look_for_left, look_through
from vouchers.claims.tasks import pay_claims
from vouchers.dryruns.tasks import dry_run, dry_runs_left
from vouchers.invoices.tasks import make_documents
from vouchers.issuance.tasks import lapse_overdue
from vouchers.ledger.tasks import audit_ledger, seal_ledger
from vouchers.notices.tasks import close_notices
from vouchers.offers.tasks import run_order_deadlines
from vouchers.payees.tasks import enforce_accounts
from vouchers.payments.tasks import (
    fetch_payment_notices,
    look_at_payments,
    process_payment_event,
    send_payment_refund,
)
from vouchers.reconciliation.tasks import pull_gateways
from vouchers.rounds.tasks import turn_rounds
from vouchers.settlements.tasks import draft_settlements
from vouchers.wallets.tasks import expire_overdue

__all__ = [
    "audit_ledger",
    "close_notices",
    "draft_settlements",
    "dry_run",
    "dry_runs_left",
    "enforce_accounts",
    "expire_overdue",
    "fetch_payment_notices",
    "lapse_overdue",
    "look_at_payments",
    "look_for_left",
    "look_through",
    "make_documents",
    "pay_claims",
    "process_payment_event",
    "pull_gateways",
    "run_order_deadlines",
    "seal_ledger",
    "send_payment_refund",
    "turn_rounds",
]
