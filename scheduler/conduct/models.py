"""Tables of labs' rules of conduct and of what was counted under them."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.conduct import rules


class ConductRule(models.Model):
    """A lab's rule. No row: nothing is counted, and nobody is suspended."""

    owner = models.OneToOneField("portal.Organisation", primary_key=True, on_delete=models.PROTECT, related_name="+")
    grace_min = models.PositiveSmallIntegerField()
    ratio_percent = models.PositiveSmallIntegerField()
    points = models.JSONField()
    """How many points a violation weighs, by kind."""
    warn_at = models.PositiveSmallIntegerField()
    watch_at = models.PositiveSmallIntegerField()
    suspend_at = models.PositiveSmallIntegerField()
    window_days = models.PositiveSmallIntegerField()
    suspend_days = models.PositiveSmallIntegerField()
    set_at = models.DateTimeField()
    """Only bookings that begin from then on are judged."""

    class Meta:
        db_table = "conduct_rule"


class Violation(models.Model):
    """One violation, counted for an organisation at a lab; it may appeal once."""

    class Kind(models.TextChoices):
        NO_SHOW = rules.ViolationKind.NO_SHOW.value, _("未到场")
        LATE_CANCEL = rules.ViolationKind.LATE_CANCEL.value, _("临时取消")
        OVERBOOKED = rules.ViolationKind.OVERBOOKED.value, _("预约远多于使用")
        OVERSTAYED = rules.ViolationKind.OVERSTAYED.value, _("超时占用")
        DAMAGE = rules.ViolationKind.DAMAGE.value, _("损坏未报告")
        OTHER = rules.ViolationKind.OTHER.value, _("其他违约")

    class State(models.TextChoices):
        COUNTED = rules.ViolationState.COUNTED.value, _("已计入")
        APPEALED = rules.ViolationState.APPEALED.value, _("申诉中")
        UPHELD = rules.ViolationState.UPHELD.value, _("维持计入")
        LIFTED = rules.ViolationState.LIFTED.value, _("已撤销")

    booking = models.ForeignKey("scheduler.Booking", on_delete=models.PROTECT, related_name="violations")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    owner = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    kind = models.CharField(max_length=12, choices=Kind)
    points = models.PositiveSmallIntegerField()
    """What it weighed by the rule at that time."""
    at = models.DateTimeField()
    note = models.CharField(max_length=rules.NOTE, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.COUNTED)
    appeal_note = models.CharField(max_length=rules.NOTE, blank=True)
    answer_note = models.CharField(max_length=rules.NOTE, blank=True)

    class Meta:
        db_table = "violation"
        ordering = ["-at", "-pk"]
        constraints = [
            models.UniqueConstraint(name="violation_once", fields=["booking", "kind"]),
            models.CheckConstraint(
                name="violation_kind_known", condition=Q(kind__in=[k.value for k in rules.ViolationKind])
            ),
            models.CheckConstraint(
                name="violation_state_known", condition=Q(state__in=[s.value for s in rules.ViolationState])
            ),
        ]
        indexes = [models.Index(fields=["owner", "organisation", "-at"], name="violation_counted")]
