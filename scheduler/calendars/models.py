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
    url = models.CharField(max_length=2000, blank=True)
    """Where it is polled; "" for one that is uploaded. Often a secret: shown to nobody, written in no record."""
    etag = models.CharField(max_length=200, blank=True)
    last_modified = models.CharField(max_length=200, blank=True)
    """What to ask with next time, as the server said them."""
    next_poll_at = models.DateTimeField(null=True, blank=True)
    """When it is due; a poll that began moves it on, so that one that died is made up for. NULL: never."""
    polled_at = models.DateTimeField(null=True, blank=True)
    """When it was last asked for, whatever came of it."""
    checked_at = models.DateTimeField(null=True, blank=True)
    """When the address last gave a good answer, be it that nothing had changed."""
    failures = models.PositiveIntegerField(default=0)
    """Polls that failed since the last good answer."""
    stale_since = models.DateTimeField(null=True, blank=True)
    """When the first of those failed. The last good reading stays in force."""
    problem = models.CharField(max_length=24, blank=True)
    """Why the last poll failed: a reason of ``ports``, or ``emptied``."""
    problem_values = models.JSONField(default=dict, blank=True)

    class Meta:
        db_table = "external_calendar"
        constraints = [
            models.UniqueConstraint(name="external_calendar_once", fields=["resource", "name"]),
            models.CheckConstraint(
                name="external_calendar_polled_where_it_lies", condition=Q(next_poll_at__isnull=True) | ~Q(url="")
            ),
            models.CheckConstraint(
                name="external_calendar_stale_with_reason",
                condition=Q(stale_since__isnull=True, failures=0, problem="")
                | (Q(stale_since__isnull=False, failures__gt=0) & ~Q(problem="")),
            ),
        ]
        indexes = [models.Index(fields=["next_poll_at"], name="external_calendar_due")]


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
