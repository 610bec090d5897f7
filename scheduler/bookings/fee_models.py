"""The table of fees kept for bookings given up too late."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from scheduler.bookings.models import Booking


class LateFee(models.Model):
    """What a booking given up too late costs: held on its charge until the slot is over, then billed for what nobody took."""

    booking = models.OneToOneField(Booking, primary_key=True, on_delete=models.PROTECT, related_name="late_fee")
    unit_no = models.PositiveSmallIntegerField(null=True)
    """Which unit was given up; NULL where places are only counted."""
    fee_fen = models.BigIntegerField()
    kept_at = models.DateTimeField()
    sold_s = models.PositiveIntegerField(null=True)
    owed_fen = models.BigIntegerField(null=True)
    settled_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "late_fee"
        constraints = [
            models.CheckConstraint(
                name="late_fee_owes_at_most_itself",
                condition=Q(fee_fen__gt=0)
                & (
                    Q(settled_at__isnull=True, owed_fen__isnull=True)
                    | Q(settled_at__isnull=False, owed_fen__gte=0, owed_fen__lte=models.F("fee_fen"))
                ),
            )
        ]
        indexes = [
            models.Index(fields=["kept_at"], condition=Q(settled_at__isnull=True), name="late_fee_waiting"),
        ]
