"""Index of the portal's own tasks, for Celery only."""

from portal.controls.tasks import sweep

__all__ = ["sweep"]
