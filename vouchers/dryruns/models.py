"""Tables of dry runs."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from vouchers.dryruns import rules
from vouchers.programmes.decisions import DecisionKind


class DryRun(models.Model):
    """Rules tried on cases of the past, or on a file of cases. Nothing is granted by it.

    `document` is what the rules said when the run was asked for. Cases come from applications under `programme`
    submitted from `starts` to `ends` (Beijing days, both included), or from `uploaded`.
    """

    class State(models.TextChoices):
        QUEUED = rules.DryRunState.QUEUED.value, _("排队中")
        RUNNING = rules.DryRunState.RUNNING.value, _("试算中")
        DONE = rules.DryRunState.DONE.value, _("试算完成")
        FAILED = rules.DryRunState.FAILED.value, _("试算失败")

    department = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    programme = models.ForeignKey(
        "vouchers.Programme", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    document = models.JSONField()
    name = models.CharField(max_length=160)
    name_en = models.CharField(max_length=200, blank=True)
    version_number = models.PositiveIntegerField(null=True, blank=True)
    starts = models.DateField(null=True, blank=True)
    ends = models.DateField(null=True, blank=True)
    uploaded = models.JSONField(null=True, blank=True)
    file_name = models.CharField(max_length=120, blank=True)
    state = models.CharField(max_length=12, choices=State, default=State.QUEUED)
    done = models.PositiveIntegerField(default=0)
    total = models.PositiveIntegerField(default=0)
    totals = models.JSONField(default=dict, blank=True)
    charts = models.JSONField(default=dict, blank=True)
    """Drawings by language: ``{"zh": [{"title": …, "svg": "<svg …"}, …], "en": […]}``."""
    problem = models.CharField(max_length=300, blank=True)
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    requested_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "dry_run"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="dry_run_state_known", condition=Q(state__in=[s.value for s in rules.DryRunState])
            ),
            models.CheckConstraint(
                name="dry_run_one_source",
                condition=Q(uploaded__isnull=False, starts__isnull=True)
                | Q(uploaded__isnull=True, starts__isnull=False, ends__isnull=False),
            ),
        ]
        indexes = [models.Index(fields=["department", "-id"], name="dry_run_of_department")]

    def __str__(self) -> str:
        return f"#{self.pk} {self.name}"


class DryRunCase(models.Model):
    """What a dry run says of one case. `before_fen` is what was computed for it then, `after_fen` what would be."""

    class Shift(models.TextChoices):
        NEW = rules.Shift.NEW.value, _("新获支持")
        MORE = rules.Shift.MORE.value, _("增加")
        SAME = rules.Shift.SAME.value, _("不变")
        LESS = rules.Shift.LESS.value, _("减少")
        LOST = rules.Shift.LOST.value, _("失去支持")
        NONE = rules.Shift.NONE.value, _("仍无支持")

    class Decision(models.TextChoices):
        GRANT = DecisionKind.GRANT.value, _("予以支持")
        REJECT = DecisionKind.REJECT.value, _("不予支持")
        SUPPLEMENT = DecisionKind.SUPPLEMENT.value, _("须补充信息")
        MANUAL = DecisionKind.MANUAL.value, _("由人工决定")

    run = models.ForeignKey(DryRun, on_delete=models.CASCADE, related_name="cases")
    number = models.CharField(max_length=80)
    name = models.CharField(max_length=160, blank=True)
    region = models.CharField(max_length=60, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    score = models.PositiveIntegerField(null=True, blank=True)
    before_fen = models.BigIntegerField()
    after_fen = models.BigIntegerField()
    change_fen = models.BigIntegerField()
    shift = models.CharField(max_length=8, choices=Shift)
    decision = models.CharField(max_length=12, choices=Decision)
    rule = models.CharField(max_length=40, blank=True)
    lines = ArrayField(models.CharField(max_length=120), default=list)
    missing = ArrayField(models.CharField(max_length=200), default=list)

    class Meta:
        db_table = "dry_run_case"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="dry_run_case_once", fields=["run", "number"]),
            models.CheckConstraint(
                name="dry_run_case_not_negative", condition=Q(before_fen__gte=0) & Q(after_fen__gte=0)
            ),
        ]

    def __str__(self) -> str:
        return self.number
