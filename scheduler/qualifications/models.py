"""Tables of who may run an instrument themselves, and of the certificates instruments are measured by."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateRangeField, RangeOperators
from django.db import models


class Qualification(models.Model):
    """A lab's word that an organisation's people may run an instrument themselves on `valid` local days, half-open."""

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="qualifications")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    valid = DateRangeField()
    suspended_at = models.DateTimeField(null=True, blank=True)
    """Since when it does not count; NULL: it does."""
    note = models.CharField(max_length=200, blank=True)
    """Why it was suspended; the organisation reads it."""

    class Meta:
        db_table = "qualification"
        constraints = [
            ExclusionConstraint(
                name="qualification_no_overlap",
                expressions=[
                    ("resource", RangeOperators.EQUAL),
                    ("organisation", RangeOperators.EQUAL),
                    ("valid", RangeOperators.OVERLAPS),
                ],
            ),
        ]


class Calibration(models.Model):
    """A certificate of verification or calibration, in force on `valid` local days of the resource, half-open.

    Source: ISO/IEC 17025:2017 §6.4.6-6.4.8: equipment whose validity matters is calibrated and labelled with the period.
    """

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="calibrations")
    valid = DateRangeField()
    certificate = models.CharField(max_length=80)

    class Meta:
        db_table = "calibration"
        constraints = [
            models.UniqueConstraint(name="calibration_once", fields=["resource", "certificate"]),
        ]
