"""The table of announced maintenance."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import Q

from portal.kernel.period import Period


class MaintenanceWindow(models.Model):
    """When a cluster takes no jobs, as announced. Half-open: at `during.upper` it is open again, without anybody's doing.

    Finished early, a window ends when it was finished; cancelled, it never counted. Windows in force never overlap.
    """

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="windows")
    during = DateTimeRangeField(default_bounds="[)")
    reason = models.CharField(max_length=120)
    reason_en = models.CharField(max_length=160, blank=True)
    announced_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    finished_at = models.DateTimeField(null=True, blank=True)
    """When it was ended before its time."""
    cancelled_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "maintenance_window"
        ordering = ["during"]
        constraints = [
            ExclusionConstraint(
                name="maintenance_no_overlap",
                expressions=[("cluster", RangeOperators.EQUAL), ("during", RangeOperators.OVERLAPS)],
                condition=Q(cancelled_at__isnull=True),
            ),
            models.CheckConstraint(
                name="maintenance_has_two_ends",
                condition=Q(during__isempty=False, during__lower_inf=False, during__upper_inf=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.cluster}: {self.reason}"

    @property
    def period(self) -> Period:
        return Period(self.during.lower, self.during.upper)
