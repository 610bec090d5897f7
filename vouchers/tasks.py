"""Index of the vouchers app's Celery tasks, for Celery only."""

from vouchers.wallets.tasks import expire_overdue

__all__ = ["expire_overdue"]
