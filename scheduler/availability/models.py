"""Tables of when a resource is open and what occupies its time."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateTimeRangeField, RangeOperators
from django.contrib.postgres.fields.ranges import RangeEndsWith, RangeStartsWith
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Extract
from django.utils.translation import gettext_lazy as _

from scheduler.availability import rules

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
    audience = models.CharField(max_length=12, default=rules.Audience.EVERYBODY.value)
    is_automatic = models.BooleanField(default=False)
    """Whether a booking in this time is confirmed at once; else the lab decides."""

    class Meta:
        db_table = "opening_hours"
        ordering = ["resource", "opens_min", "pk"]
        constraints = [
            models.CheckConstraint(
                name="opening_hours_ordered",
                condition=Q(opens_min__lt=1440)
                & Q(closes_min__gt=models.F("opens_min"))
                & Q(closes_min__lte=models.F("opens_min") + 1440),
            ),
            models.CheckConstraint(
                name="opening_hours_audience_known", condition=Q(audience__in=[a.value for a in rules.Audience])
            ),
        ]


class Closure(models.Model):
    """Time in which a resource is closed whatever its weekly pattern says."""

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.CASCADE, related_name="closures")
    during = DateTimeRangeField(default_bounds="[)")
    reason = models.CharField(_("原因"), max_length=120)

    class Meta:
        db_table = "closure"
        ordering = ["during"]


class SpecialOpening(models.Model):
    """Time in which a resource is open although its weekly pattern or a holiday says otherwise. No closure overlaps it."""

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.CASCADE, related_name="special_openings")
    during = DateTimeRangeField(default_bounds="[)")
    audience = models.CharField(max_length=12, default=rules.Audience.EVERYBODY.value)
    is_automatic = models.BooleanField(default=False)
    reason = models.CharField(_("原因"), max_length=120, blank=True)
    is_released = models.BooleanField(default=False, db_default=False)
    """Whether the portal opened it, because nobody was given the time; it closes by itself when somebody is."""

    class Meta:
        db_table = "special_opening"
        ordering = ["during"]
        constraints = [
            models.CheckConstraint(
                name="special_opening_audience_known", condition=Q(audience__in=[a.value for a in rules.Audience])
            ),
            ExclusionConstraint(
                name="special_opening_no_overlap",
                expressions=[
                    ("resource", RangeOperators.EQUAL),
                    ("audience", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
            ),
        ]


class OpenPeriod(models.Model):
    """One span in which a resource is open, written from its hours, special openings, closures and the holidays.

    Materialised for `opening.AHEAD`, so that one query can look for free time in ten thousand instruments. The one
    source of what is open: search, quotes and calendars read it, nothing else expands hours. What was open stays.
    """

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.CASCADE, related_name="open_periods")
    during = DateTimeRangeField(default_bounds="[)")
    audience = models.CharField(max_length=12)
    is_automatic = models.BooleanField(default=False)

    class Meta:
        db_table = "open_period"
        constraints = [
            models.CheckConstraint(
                name="open_period_audience_known", condition=Q(audience__in=[a.value for a in rules.Audience])
            ),
        ]
        indexes = [GistIndex(fields=["resource", "during"], name="open_period_of_resource")]


class FreeGap(models.Model):
    """One span in which a unit of a resource is open to enterprises and taken by nobody: what a search looks in.

    Written by the database alone, in the transaction that changes a claim (``sql/occupancy.sql``); `unit_no` is 0 for a
    resource whose places are only counted. A gap reaches back before now; readers clip it.
    """

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.CASCADE, related_name="+")
    unit_no = models.PositiveSmallIntegerField()
    during = DateTimeRangeField(default_bounds="[)")
    starts_at = models.GeneratedField(
        expression=RangeStartsWith("during"), output_field=models.DateTimeField(), db_persist=True
    )
    ends_at = models.GeneratedField(
        expression=RangeEndsWith("during"), output_field=models.DateTimeField(), db_persist=True
    )

    secs = models.GeneratedField(
        expression=Extract(RangeEndsWith("during") - RangeStartsWith("during"), "epoch"),
        output_field=models.IntegerField(),
        db_persist=True,
    )

    class Meta:
        db_table = "free_gap"
        constraints = [
            ExclusionConstraint(
                name="free_gap_no_overlap",
                expressions=[
                    ("resource", RangeOperators.EQUAL),
                    ("unit_no", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
            ),
        ]
        indexes = [
            models.Index(fields=["resource", "starts_at", "ends_at"], name="free_gap_of_resource"),
            *(
                models.Index(
                    fields=["resource", "starts_at", "ends_at"], condition=Q(secs__gte=secs), name=f"free_gap_{secs}"
                )
                for secs in rules.LENGTH_CLASSES
            ),
        ]


class Claim(models.Model):
    """The only table that occupies time: bookings with all they need, outages and external busy time alike.

    `during` is what the holder uses, `blocked` adds set-up and clean-up. Two blocking claims of one unit never overlap
    and places are never oversold: the database refuses it, whatever the code does.
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
    unit_no = models.PositiveSmallIntegerField(null=True, default=1)
    """Which of the resource's units; NULL where places are only counted."""
    units = models.PositiveSmallIntegerField(default=1)
    """How many places; more than one only where they are counted."""
    role = models.CharField(max_length=12, default=rules.ClaimRole.MAIN.value)
    during = DateTimeRangeField(default_bounds="[)")
    blocked = DateTimeRangeField(default_bounds="[)")
    state = models.CharField(max_length=12, choices=State)
    hold_until = models.DateTimeField(null=True, blank=True)
    """When a held claim ends by itself: the next writer releases it, no worker is needed. NULL: never by itself."""
    booking = models.ForeignKey(
        "scheduler.Booking", null=True, blank=True, on_delete=models.PROTECT, related_name="claims"
    )
    calendar = models.ForeignKey(
        "scheduler.ExternalCalendar", null=True, blank=True, on_delete=models.CASCADE, related_name="claims"
    )
    visit = models.ForeignKey(
        "scheduler.BeamVisit", null=True, blank=True, on_delete=models.PROTECT, related_name="claims"
    )
    note = models.CharField(max_length=120, blank=True)
    """For the lab only: the source event of external time, the reason of an outage."""

    class Meta:
        db_table = "claim"
        constraints = [
            ExclusionConstraint(
                name="claim_no_overlap",
                expressions=[
                    ("resource", RangeOperators.EQUAL),
                    ("unit_no", RangeOperators.EQUAL),
                    ("blocked", RangeOperators.OVERLAPS),
                ],
                condition=Q(state__in=list(BLOCKING)),
                # Deferrable, so that two bookings can change places in one transaction.
                deferrable=models.Deferrable.IMMEDIATE,
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
                name="claim_of_one_thing",
                condition=(Q(booking__isnull=True) & Q(calendar__isnull=True))
                | (Q(booking__isnull=True) & Q(visit__isnull=True))
                | (Q(calendar__isnull=True) & Q(visit__isnull=True)),
            ),
            models.CheckConstraint(name="claim_units_positive", condition=Q(units__gt=0)),
            models.CheckConstraint(name="claim_role_known", condition=Q(role__in=[r.value for r in rules.ClaimRole])),
            models.CheckConstraint(
                name="claim_hold_ends_held", condition=Q(hold_until__isnull=True) | Q(state__in=["held", "released"])
            ),
        ]
        indexes = [
            models.Index(fields=["hold_until"], condition=Q(state="held"), name="claim_hold_ends"),
        ]
