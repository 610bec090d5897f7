"""The table of grants of computing. What is used of one is never kept here: it follows from the jobs."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce


class Allocation(models.Model):
    """What one enterprise may use of the cards during `during`, half-open.

    `programme_code` blank: whoever pays; else jobs paid with a voucher of that programme. Without a `partition`: all of
    them together. `card_s` are card-seconds, `cards` the cards of jobs that have not ended; NULL sets no bound. Two in force
    never overlap for the same enterprise, programme and partition; one that was ended counts no more.
    """

    number = models.CharField(max_length=24, unique=True)
    name = models.CharField(max_length=60)
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    programme_code = models.CharField(max_length=60, blank=True)
    partition = models.ForeignKey(
        "scheduler.Partition", null=True, blank=True, on_delete=models.PROTECT, related_name="allocations"
    )
    card_s = models.BigIntegerField(null=True, blank=True)
    cards = models.PositiveIntegerField(null=True, blank=True)
    during = DateTimeRangeField(default_bounds="[)")
    ended_at = models.DateTimeField(null=True, blank=True)
    granted_by = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)

    class Meta:
        db_table = "allocation"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="allocation_key_once", fields=["granted_by", "key"]),
            models.CheckConstraint(
                name="allocation_grants_something", condition=Q(card_s__isnull=False) | Q(cards__isnull=False)
            ),
            models.CheckConstraint(name="allocation_card_s_not_negative", condition=Q(card_s__gte=0)),
            models.CheckConstraint(
                name="allocation_during_bounded",
                condition=Q(during__isempty=False, during__lower_inf=False, during__upper_inf=False),
            ),
            ExclusionConstraint(
                name="allocation_no_overlap",
                expressions=[
                    ("organisation", RangeOperators.EQUAL),
                    ("programme_code", RangeOperators.EQUAL),
                    (Coalesce(F("partition_id"), 0), RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                condition=Q(ended_at__isnull=True),
            ),
        ]
        indexes = [
            models.Index(fields=["organisation"], condition=Q(ended_at__isnull=True), name="allocation_in_force"),
        ]

    def __str__(self) -> str:
        return self.number
