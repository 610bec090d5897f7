"""Tables of outages, the bookings they displace, what is offered instead and who is told."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.displacements import rules


class Outage(models.Model):
    """A resource that cannot be used for some time, declared by its lab whatever is booked."""

    number = models.CharField(max_length=24, unique=True)
    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="outages")
    starts_at = models.DateTimeField()
    ends_at = models.DateTimeField()
    reason = models.CharField(_("停机原因"), max_length=120)
    """Read by everybody whose booking it displaces."""
    answer_by = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    """When the lab ended it early."""
    sessions_ended = models.PositiveIntegerField(default=0)
    claims = models.ManyToManyField("scheduler.Claim", related_name="+")
    declared_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    declared_at = models.DateTimeField()
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)

    class Meta:
        db_table = "outage"
        ordering = ["-declared_at", "-pk"]
        constraints = [
            models.UniqueConstraint(name="outage_key_once", fields=["resource", "key"]),
            models.CheckConstraint(name="outage_ends_after_start", condition=Q(ends_at__gt=models.F("starts_at"))),
        ]

    def __str__(self) -> str:
        return self.number


class Displacement(models.Model):
    """A booking whose time an outage has taken, until its enterprise has chosen or the time to choose is over."""

    class State(models.TextChoices):
        OPEN = rules.DisplacementState.OPEN.value, _("待选择")
        MOVED = rules.DisplacementState.MOVED.value, _("已改期")
        REFUNDED = rules.DisplacementState.REFUNDED.value, _("已取消并退回")
        LAPSED = rules.DisplacementState.LAPSED.value, _("逾期，已退回")

    outage = models.ForeignKey(Outage, on_delete=models.PROTECT, related_name="displacements")
    booking = models.ForeignKey("scheduler.Booking", on_delete=models.PROTECT, related_name="displacements")
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    was_from = models.DateTimeField()
    was_to = models.DateTimeField()
    answered_at = models.DateTimeField(null=True, blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        db_table = "displacement"
        ordering = ["was_from", "pk"]
        constraints = [
            models.UniqueConstraint(name="displacement_once", fields=["outage", "booking"]),
            models.UniqueConstraint(
                name="displacement_one_open", fields=["booking"], condition=Q(state=rules.DisplacementState.OPEN.value)
            ),
            models.CheckConstraint(
                name="displacement_state_known", condition=Q(state__in=[s.value for s in rules.DisplacementState])
            ),
        ]


class DisplacementOption(models.Model):
    """One thing that may be chosen. `claims` hold its time; giving the money back needs none."""

    class Kind(models.TextChoices):
        LATER = rules.OptionKind.LATER.value, _("同一台仪器，改到停机之后")
        TWIN = rules.OptionKind.TWIN.value, _("改用同类仪器")
        REFUND = rules.OptionKind.REFUND.value, _("取消预约，费用全部退回")

    displacement = models.ForeignKey(Displacement, on_delete=models.CASCADE, related_name="options")
    kind = models.CharField(max_length=12, choices=Kind)
    resource = models.ForeignKey("scheduler.Resource", null=True, on_delete=models.PROTECT, related_name="+")
    starts_at = models.DateTimeField(null=True)
    ends_at = models.DateTimeField(null=True)
    held_until = models.DateTimeField(null=True)
    claims = models.ManyToManyField("scheduler.Claim", related_name="+")
    is_chosen = models.BooleanField(default=False)

    class Meta:
        db_table = "displacement_option"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="displacement_option_once", fields=["displacement", "kind"]),
            models.CheckConstraint(
                name="displacement_option_kind_known", condition=Q(kind__in=[k.value for k in rules.OptionKind])
            ),
            models.CheckConstraint(
                name="displacement_option_has_time",
                condition=Q(kind=rules.OptionKind.REFUND.value)
                | Q(resource__isnull=False, starts_at__isnull=False, ends_at__gt=models.F("starts_at")),
            ),
        ]


class OutageNotice(models.Model):
    """The one message a person gets about an outage, whatever number of bookings it is about. The row is the outbox."""

    outage = models.ForeignKey(Outage, on_delete=models.PROTECT, related_name="notices")
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "outage_notice"
        constraints = [models.UniqueConstraint(name="outage_notice_once", fields=["outage", "person"])]
        indexes = [
            models.Index(fields=["created_at"], condition=Q(sent_at__isnull=True), name="outage_notice_to_send"),
        ]
