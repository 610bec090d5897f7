"""The metering table."""

from __future__ import annotations

import pgtrigger
from django.db import models
from django.db.models import Q


class UsageRecord(models.Model):
    """One measured use: a session on an instrument, one run of a job, or a paid visit to a beamline. Never changed: corrections are new rows.

    `duration_s` is elapsed use in seconds without suspension; `count` is cards or cores (1 on instruments).
    """

    booking = models.OneToOneField(
        "scheduler.Booking", null=True, blank=True, on_delete=models.PROTECT, related_name="usage"
    )
    job = models.ForeignKey("scheduler.Job", null=True, blank=True, on_delete=models.PROTECT, related_name="usage")
    visit = models.ForeignKey(
        "scheduler.BeamVisit", null=True, blank=True, on_delete=models.PROTECT, related_name="usage"
    )
    run_no = models.PositiveSmallIntegerField(default=1)
    """Of a job its run. Of a visit its count: counted again, the last one is what it had."""
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField()
    duration_s = models.PositiveIntegerField()
    count = models.PositiveIntegerField(default=1)
    source = models.CharField(max_length=12)
    """``manual`` (a person), ``bench`` (the user, at the bench), ``meter`` or ``file`` (the instrument), ``cluster`` (the scheduler's own accounting)."""
    detail = models.JSONField(default=dict)
    recorded_at = models.DateTimeField()
    recorded_by = models.CharField(max_length=160)

    class Meta:
        db_table = "usage_record"
        constraints = [
            models.UniqueConstraint(name="usage_job_run_once", fields=["job", "run_no"]),
            models.UniqueConstraint(name="usage_visit_run_once", fields=["visit", "run_no"]),
            models.CheckConstraint(
                name="usage_of_one_thing",
                condition=Q(booking__isnull=False, job__isnull=True, visit__isnull=True)
                | Q(booking__isnull=True, job__isnull=False, visit__isnull=True)
                | Q(booking__isnull=True, job__isnull=True, visit__isnull=False),
            ),
            models.CheckConstraint(name="usage_ends_after_start", condition=Q(ended_at__gte=models.F("started_at"))),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]
