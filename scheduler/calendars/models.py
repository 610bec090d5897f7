"""Tables of labs' own calendars: the calendar, what it says is busy, and what each reading did."""

from __future__ import annotations

from django.contrib.postgres.fields import DateTimeRangeField
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _


class ExternalCalendar(models.Model):
    """A lab's own calendar whose busy time blocks the resource. The last good reading stays in force."""

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.CASCADE, related_name="external_calendars")
    name = models.CharField(_("名称"), max_length=80)
    digest = models.CharField(max_length=64)
    imported_at = models.DateTimeField()
    """When it was last read with success, whether anything had changed or not."""
    imported_by = models.CharField(max_length=160)

    class Meta:
        db_table = "external_calendar"
        constraints = [models.UniqueConstraint(name="external_calendar_once", fields=["resource", "name"])]


class ExternalBusy(models.Model):
    """Time one event of a calendar takes, as last read. Claims are made of it where nobody has the time."""

    calendar = models.ForeignKey(ExternalCalendar, on_delete=models.CASCADE, related_name="busy")
    during = DateTimeRangeField(default_bounds="[)")
    uid = models.CharField(max_length=200, blank=True)
    summary = models.CharField(max_length=200, blank=True)
    all_day = models.BooleanField(default=False)

    class Meta:
        db_table = "external_busy"
        constraints = [
            models.CheckConstraint(
                name="external_busy_bounded",
                condition=Q(during__isempty=False)
                & Q(during__startswith__isnull=False)
                & Q(during__endswith__isnull=False),
            ),
        ]
        indexes = [GistIndex(fields=["calendar", "during"], name="external_busy_of_calendar")]


class CalendarImport(models.Model):
    """What one reading did: counts, skipped events and conflicts, kept for the lab to look at."""

    calendar = models.ForeignKey(ExternalCalendar, on_delete=models.CASCADE, related_name="imports")
    at = models.DateTimeField()
    actor_label = models.CharField(max_length=160)
    digest = models.CharField(max_length=64)
    report = models.JSONField(default=dict)

    class Meta:
        db_table = "calendar_import"
        ordering = ["-pk"]
