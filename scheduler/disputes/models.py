"""The table of disputes."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.disputes import rules


class Dispute(models.Model):
    """What an organisation says against the time it was charged for, and what became of it. Times in seconds of use."""

    class State(models.TextChoices):
        OPEN = rules.DisputeState.OPEN.value, _("待实验室答复")
        ANSWERED = rules.DisputeState.ANSWERED.value, _("已答复，待裁定")
        ACCEPTED = rules.DisputeState.ACCEPTED.value, _("异议成立")
        UPHELD = rules.DisputeState.UPHELD.value, _("维持收费")
        APPEALED = rules.DisputeState.APPEALED.value, _("待主管部门裁定")
        SETTLED = rules.DisputeState.SETTLED.value, _("已了结")
        WITHDRAWN = rules.DisputeState.WITHDRAWN.value, _("已撤回")

    number = models.CharField(max_length=24, unique=True)
    booking = models.OneToOneField("scheduler.Booking", on_delete=models.PROTECT, related_name="dispute")
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    charged_s = models.PositiveIntegerField()
    """What was charged when the dispute was opened."""
    claimed_s = models.PositiveIntegerField()
    """What the organisation says it used."""
    reason = models.CharField(max_length=rules.NOTE)
    opened_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    opened_at = models.DateTimeField()
    due_at = models.DateTimeField(null=True, blank=True)
    """Until when the lab answers; once upheld, until when the organisation may ask the department. NULL: no deadline."""
    answer_s = models.PositiveIntegerField(null=True, blank=True)
    """What the lab proposes to count; NULL: it stands by the charge."""
    answer_note = models.CharField(max_length=rules.NOTE, blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)
    appeal_note = models.CharField(max_length=rules.NOTE, blank=True)
    counted_s = models.PositiveIntegerField(null=True, blank=True)
    """What counts in the end, as decided; NULL before, and where the charge stands."""
    decision_note = models.CharField(max_length=rules.NOTE, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    by_department = models.BooleanField(default=False)
    corrected_fen = models.BigIntegerField(default=0)
    """What was given back."""
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "dispute"
        ordering = ["-opened_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="dispute_state_known", condition=Q(state__in=[s.value for s in rules.DisputeState])
            ),
            models.CheckConstraint(
                name="dispute_times",
                condition=Q(claimed_s__lt=models.F("charged_s"))
                & (Q(answer_s__isnull=True) | Q(answer_s__lt=models.F("charged_s")))
                & (Q(counted_s__isnull=True) | Q(counted_s__lt=models.F("charged_s"))),
            ),
            models.CheckConstraint(name="dispute_corrects", condition=Q(corrected_fen__gte=0)),
        ]
        indexes = [models.Index(fields=["due_at"], condition=Q(state="upheld"), name="dispute_due")]

    def __str__(self) -> str:
        return self.number
