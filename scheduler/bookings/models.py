"""Tables of bookings and sessions."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.bookings import rules


class Booking(models.Model):
    """An enterprise's claim on a resource's time, priced and paid through one charge.

    `title` is the enterprise's secret: shown to it and to the lab that serves it, to nobody else.
    """

    class State(models.TextChoices):
        REQUESTED = rules.BookingState.REQUESTED.value, _("待确认")
        CONFIRMED = rules.BookingState.CONFIRMED.value, _("已确认")
        IN_USE = rules.BookingState.IN_USE.value, _("使用中")
        COMPLETED = rules.BookingState.COMPLETED.value, _("已完成")
        DECLINED = rules.BookingState.DECLINED.value, _("已婉拒")
        CANCELLED = rules.BookingState.CANCELLED.value, _("已取消")
        LAPSED = rules.BookingState.LAPSED.value, _("逾期未确认")
        NO_SHOW = rules.BookingState.NO_SHOW.value, _("未到场")

    number = models.CharField(max_length=24, unique=True)
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    """The calendar identity, for life (RFC 5545 §3.8.4.7)."""
    sequence = models.PositiveIntegerField(default=0)
    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="bookings")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    booked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("用途"), max_length=120)
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    state = models.CharField(max_length=12, choices=State, default=State.REQUESTED)
    charge = models.OneToOneField("vouchers.Charge", null=True, on_delete=models.PROTECT, related_name="+")
    decision_note = models.CharField(max_length=200, blank=True)
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "booking"
        ordering = ["-starts_at", "-pk"]
        constraints = [
            models.UniqueConstraint(name="booking_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="booking_state_known", condition=Q(state__in=[s.value for s in rules.BookingState])
            ),
            models.CheckConstraint(name="booking_ends_after_start", condition=Q(ends_at__gt=models.F("starts_at"))),
        ]
        indexes = [
            models.Index(fields=["organisation", "-starts_at", "-id"], name="booking_of_organisation"),
            models.Index(fields=["resource", "state", "starts_at"], name="booking_of_resource"),
        ]

    def __str__(self) -> str:
        return self.number


class Session(models.Model):
    """The actual use of a booking: started and ended by the lab, or by the clock it reports."""

    booking = models.OneToOneField(Booking, on_delete=models.PROTECT, related_name="session")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "session"
        constraints = [
            models.CheckConstraint(
                name="session_ends_after_start",
                condition=Q(ended_at__isnull=True) | Q(ended_at__gt=models.F("started_at")),
            )
        ]
