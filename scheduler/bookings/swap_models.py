"""Table of proposals to exchange times."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.bookings import swap_rules
from scheduler.bookings.models import Booking


class Swap(models.Model):
    """A proposal that two bookings of different organisations change places; neither is told who the other is.

    The times are those at the proposal: a booking that has changed since ends it.
    """

    class State(models.TextChoices):
        PROPOSED = swap_rules.SwapState.PROPOSED.value, _("待答复")
        ACCEPTED = swap_rules.SwapState.ACCEPTED.value, _("已交换")
        DECLINED = swap_rules.SwapState.DECLINED.value, _("对方未接受")
        WITHDRAWN = swap_rules.SwapState.WITHDRAWN.value, _("已撤回")
        LAPSED = swap_rules.SwapState.LAPSED.value, _("已过期")

    number = models.CharField(max_length=24, unique=True)
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    asked = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="swaps_asked")
    """The proposer's booking; `other` is that of whoever is asked."""
    other = models.ForeignKey(Booking, on_delete=models.PROTECT, related_name="swaps_received")
    asked_resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="+")
    other_resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="+")
    asked_starts_at = models.DateTimeField()
    asked_ends_at = models.DateTimeField()
    other_starts_at = models.DateTimeField()
    other_ends_at = models.DateTimeField()
    price_fen = models.BigIntegerField()
    """What the proposer agreed to pay for the new time, at most."""
    state = models.CharField(max_length=12, choices=State, default=State.PROPOSED)
    expires_at = models.DateTimeField()
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    decided_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "booking_swap"
        ordering = ["-created_at", "-pk"]
        constraints = [
            models.UniqueConstraint(name="swap_key_once", fields=["organisation", "key"]),
            models.UniqueConstraint(
                name="swap_one_waits", fields=["asked"], condition=Q(state=swap_rules.SwapState.PROPOSED.value)
            ),
            models.CheckConstraint(
                name="swap_state_known", condition=Q(state__in=[s.value for s in swap_rules.SwapState])
            ),
            models.CheckConstraint(name="swap_of_two", condition=~Q(asked=models.F("other"))),
        ]
        indexes = [
            models.Index(
                fields=["expires_at"], condition=Q(state=swap_rules.SwapState.PROPOSED.value), name="swap_waiting"
            ),
        ]

    def __str__(self) -> str:
        return self.number
