"""Tables of when a resource is open and what occupies its time."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

BLOCKING = ("held", "confirmed", "in_use", "outage", "external")
"""Claim states that occupy time; the exclusion constraint repeats them."""


class OpeningHours(models.Model):
    """A weekly pattern in the resource's local wall time. `weekdays` are ISO numbers, Monday = 1."""

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.CASCADE, related_name="opening_hours")
    weekdays = ArrayField(models.PositiveSmallIntegerField(), size=7)
    opens_min = models.PositiveSmallIntegerField()
    closes_min = models.PositiveSmallIntegerField()
    """Minutes after local midnight; `closes_min` may pass midnight, by at most a whole day after opening."""
    valid_from = models.DateField(null=True, blank=True)
    valid_until = models.DateField(null=True, blank=True)
    """Last local day, inclusive."""

    class Meta:
        db_table = "opening_hours"
        ordering = ["resource", "opens_min", "pk"]
        constraints = [
            models.CheckConstraint(
                name="opening_hours_ordered",
                condition=Q(opens_min__lt=1440)
                & Q(closes_min__gt=models.F("opens_min"))
                & Q(closes_min__lte=models.F("opens_min") + 1440),
            )
        ]


class Closure(models.Model):
    """Time in which a resource is closed whatever its weekly pattern says."""

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.CASCADE, related_name="closures")
    during = DateTimeRangeField(default_bounds="[)")
    reason = models.CharField(_("原因"), max_length=120)

    class Meta:
        db_table = "closure"
        ordering = ["during"]


class ExternalCalendar(models.Model):
    """A lab's own calendar whose busy time blocks the resource. The last good import stays in force."""

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.CASCADE, related_name="external_calendars")
    name = models.CharField(_("名称"), max_length=80)
    digest = models.CharField(max_length=64)
    imported_at = models.DateTimeField()
    imported_by = models.CharField(max_length=160)

    class Meta:
        db_table = "external_calendar"
        constraints = [models.UniqueConstraint(name="external_calendar_once", fields=["resource", "name"])]


class CalendarImport(models.Model):
    """What one upload did: counts, skipped events and conflicts, kept for the lab to look at."""

    calendar = models.ForeignKey(ExternalCalendar, on_delete=models.CASCADE, related_name="imports")
    at = models.DateTimeField()
    actor_label = models.CharField(max_length=160)
    digest = models.CharField(max_length=64)
    report = models.JSONField(default=dict)

    class Meta:
        db_table = "calendar_import"
        ordering = ["-pk"]


class Claim(models.Model):
    """The only table that occupies time: bookings, outages and external busy time alike.

    `during` is what the holder uses, `blocked` adds set-up and clean-up. Two blocking claims of one resource never
    overlap: the database refuses it, whatever the code does.
    """

    class State(models.TextChoices):
        HELD = "held", _("待确认")
        CONFIRMED = "confirmed", _("已预约")
        IN_USE = "in_use", _("使用中")
        OUTAGE = "outage", _("维护")
        EXTERNAL = "external", _("单位自用")
        DONE = "done", _("已结束")
        RELEASED = "released", _("已释放")

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="claims")
    during = DateTimeRangeField(default_bounds="[)")
    blocked = DateTimeRangeField(default_bounds="[)")
    state = models.CharField(max_length=12, choices=State)
    booking = models.OneToOneField(
        "scheduler.Booking", null=True, blank=True, on_delete=models.PROTECT, related_name="claim"
    )
    calendar = models.ForeignKey(
        ExternalCalendar, null=True, blank=True, on_delete=models.CASCADE, related_name="claims"
    )
    note = models.CharField(max_length=120, blank=True)
    """For the lab only: the source event of external time, the reason of an outage."""

    class Meta:
        db_table = "claim"
        constraints = [
            ExclusionConstraint(
                name="claim_no_overlap",
                expressions=[("resource", RangeOperators.EQUAL), ("blocked", RangeOperators.OVERLAPS)],
                condition=Q(state__in=list(BLOCKING)),
            ),
            models.CheckConstraint(
                name="claim_blocked_contains_during",
                condition=Q(blocked__contains=models.F("during"))
                & Q(during__isempty=False)
                & Q(during__startswith__isnull=False)
                & Q(during__endswith__isnull=False),
            ),
            models.CheckConstraint(
                name="claim_state_known",
                condition=Q(state__in=["held", "confirmed", "in_use", "outage", "external", "done", "released"]),
            ),
            models.CheckConstraint(
                name="claim_of_one_thing", condition=Q(booking__isnull=True) | Q(calendar__isnull=True)
            ),
        ]
