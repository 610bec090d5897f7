"""The job table: the row is the intent, the outbox and the record."""

from __future__ import annotations

import uuid

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.jobs import rules


class Job(models.Model):
    """One job from intent to settlement. Title and script are the enterprise's secrets.

    The cluster's identity of a job is (cluster, `cluster_job_id`, `cluster_submitted_at`, `marker`): ids are reused.
    """

    class State(models.TextChoices):
        PENDING = rules.JobState.PENDING.value, _("待发送")
        SUBMITTING = rules.JobState.SUBMITTING.value, _("发送中")
        UNKNOWN = rules.JobState.UNKNOWN.value, _("核实中")
        PLACED = rules.JobState.PLACED.value, _("已送达")
        REJECTED = rules.JobState.REJECTED.value, _("集群拒绝")
        QUEUED = rules.JobState.QUEUED.value, _("排队中")
        STARTING = rules.JobState.STARTING.value, _("启动中")
        RUNNING = rules.JobState.RUNNING.value, _("运行中")
        SUSPENDED = rules.JobState.SUSPENDED.value, _("已挂起")
        FINISHING = rules.JobState.FINISHING.value, _("收尾中")
        SUCCEEDED = rules.JobState.SUCCEEDED.value, _("已完成")
        FAILED = rules.JobState.FAILED.value, _("运行失败")
        TIMED_OUT = rules.JobState.TIMED_OUT.value, _("超出时限")
        CANCELLED = rules.JobState.CANCELLED.value, _("已取消")
        OUT_OF_MEMORY = rules.JobState.OUT_OF_MEMORY.value, _("内存不足")
        INTERRUPTED = rules.JobState.INTERRUPTED.value, _("节点中断")
        LAUNCH_FAILED = rules.JobState.LAUNCH_FAILED.value, _("启动失败")
        LOST = rules.JobState.LOST.value, _("已丢失")

    number = models.CharField(max_length=24, unique=True)
    uid = models.UUIDField(default=uuid.uuid4, unique=True, editable=False)
    marker = models.CharField(max_length=40, unique=True)
    partition = models.ForeignKey("scheduler.Partition", on_delete=models.PROTECT, related_name="jobs")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("作业名称"), max_length=120)
    script = models.TextField(_("脚本"))
    cards = models.PositiveIntegerField(default=0)
    cpus = models.PositiveIntegerField(default=1)
    memory_mb = models.PositiveIntegerField(default=1000)
    time_limit_s = models.PositiveIntegerField()
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    reason = models.CharField(max_length=120, blank=True)
    cluster_job_id = models.CharField(max_length=40, blank=True)
    cluster_submitted_at = models.DateTimeField(null=True, blank=True)
    cluster_data = models.JSONField(default=dict, blank=True)
    observed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    charge = models.OneToOneField("vouchers.Charge", null=True, on_delete=models.PROTECT, related_name="+")
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "job"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="job_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(name="job_state_known", condition=Q(state__in=[s.value for s in rules.JobState])),
            models.CheckConstraint(name="job_time_limit_bounded", condition=Q(time_limit_s__gte=60)),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="job_of_organisation"),
            models.Index(
                fields=["partition", "id"],
                name="job_active",
                condition=Q(settled_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return self.number
