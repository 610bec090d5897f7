"""Index of the vouchers app's Celery tasks, for Celery only."""

from vouchers.issuance.tasks import lapse_overdue
from vouchers.offers.tasks import run_order_deadlines
from vouchers.wallets.tasks import expire_overdue

__all__ = ["expire_overdue", "lapse_overdue", "run_order_deadlines"]
