"""Index of the vouchers app's Celery tasks, for Celery only."""

from vouchers.claims.tasks import pay_claims
from vouchers.dryruns.tasks import dry_run, dry_runs_left
from vouchers.issuance.tasks import lapse_overdue
from vouchers.ledger.tasks import audit_ledger, seal_ledger
from vouchers.notices.tasks import close_notices
from vouchers.offers.tasks import run_order_deadlines
from vouchers.payees.tasks import enforce_accounts
from vouchers.rounds.tasks import turn_rounds
from vouchers.wallets.tasks import expire_overdue

__all__ = [
    "audit_ledger",
    "close_notices",
    "dry_run",
    "dry_runs_left",
    "enforce_accounts",
    "expire_overdue",
    "lapse_overdue",
    "pay_claims",
    "run_order_deadlines",
    "seal_ledger",
    "turn_rounds",
]
