"""The job table: the row is the intent, the outbox and the record."""

from __future__ import annotations

import uuid

import pgtrigger
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
        EXPIRED = rules.JobState.EXPIRED.value, _("过期未运行")
        CANCELLED = rules.JobState.CANCELLED.value, _("已取消")
        OUT_OF_MEMORY = rules.JobState.OUT_OF_MEMORY.value, _("内存不足")
        INTERRUPTED = rules.JobState.INTERRUPTED.value, _("节点中断")
        LAUNCH_FAILED = rules.JobState.LAUNCH_FAILED.value, _("启动失败")
        LOST = rules.JobState.LOST.value, _("已丢失")

    class Settlement(models.TextChoices):
        NONE = rules.Settlement.NONE.value, _("未结算")
        PROVISIONAL = rules.Settlement.PROVISIONAL.value, _("暂结")
        SETTLED = rules.Settlement.SETTLED.value, _("已结算")
        ADJUSTED = rules.Settlement.ADJUSTED.value, _("已调整")

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
    guard_s = models.PositiveIntegerField(default=0)
    """Seconds held beyond the limit: the cluster may end a run that much late."""
    array = models.CharField(max_length=80, blank=True)
    """Task numbers, canonical (``0-9%2``); blank for one job."""
    requeue = models.BooleanField(default=False)
    environment = models.JSONField(default=dict, blank=True)
    """What the user set; never secrets, which travel as files."""
    state = models.CharField(max_length=16, choices=State, default=State.PENDING)
    reason = models.CharField(max_length=120, blank=True)
    cluster_job_id = models.CharField(max_length=40, blank=True)
    cluster_submitted_at = models.DateTimeField(null=True, blank=True)
    cluster_data = models.JSONField(default=dict, blank=True)
    held = models.BooleanField(default=False)
    """Somebody on the cluster holds it: it will not start by itself."""
    expected_start_at = models.DateTimeField(null=True, blank=True)
    settlement = models.CharField(max_length=12, choices=Settlement, default=Settlement.NONE)
    observed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    attempted_at = models.DateTimeField(null=True, blank=True)
    released_at = models.DateTimeField(null=True, blank=True)
    cancel_asked_at = models.DateTimeField(null=True, blank=True)
    settled_at = models.DateTimeField(null=True, blank=True)
    written_off_fen = models.BigIntegerField(default=0)
    """What the runs cost above what was held: the operator bears it."""
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
            models.CheckConstraint(
                name="job_settlement_known", condition=Q(settlement__in=[s.value for s in rules.Settlement])
            ),
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


class JobDependency(models.Model):
    """`job` starts only after `after`, a job of the same organisation on the same cluster."""

    class Kind(models.TextChoices):
        OK = "ok", _("成功后")
        NOTOK = "notok", _("失败后")
        ANY = "any", _("结束后")

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="dependencies")
    after = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="dependants")
    kind = models.CharField(max_length=8, choices=Kind, default=Kind.OK)

    class Meta:
        db_table = "job_dependency"
        constraints = [
            models.UniqueConstraint(name="job_dependency_once", fields=["job", "after"]),
            models.CheckConstraint(name="job_dependency_not_itself", condition=~Q(job=models.F("after"))),
        ]


class JobTaskCancel(models.Model):
    """Somebody wants one task of an array cancelled. `taken_at`: when the cluster took it, or proved it is not there."""

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="task_cancels")
    task = models.PositiveIntegerField()
    asked_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    asked_at = models.DateTimeField()
    taken_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "job_task_cancel"
        ordering = ["job", "task"]
        constraints = [models.UniqueConstraint(name="job_task_cancel_once", fields=["job", "task"])]


class JobRun(models.Model):
    """One time a job, or one task of its array, held resources: what is metered and charged.

    `task` is −1 for a job that is no array. Counts are what was allocated. A confirmed run comes from accounting with its
    end and never changes; before that, later observations overwrite it.
    """

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="runs")
    no = models.PositiveIntegerField()
    cluster_job_id = models.CharField(max_length=40)
    task = models.IntegerField(default=-1)
    submitted_at = models.DateTimeField()
    state = models.CharField(max_length=16, choices=Job.State)
    raw_state = models.CharField(max_length=60)
    reason = models.CharField(max_length=120, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    elapsed_s = models.PositiveIntegerField(default=0)
    cpus = models.PositiveIntegerField(null=True, blank=True)
    cards = models.PositiveIntegerField(null=True, blank=True)
    card_type = models.CharField(max_length=32, blank=True)
    memory_mb = models.PositiveIntegerField(null=True, blank=True)
    nodes = models.PositiveIntegerField(null=True, blank=True)
    billing = models.PositiveIntegerField(null=True, blank=True)
    exit_code = models.IntegerField(null=True, blank=True)
    confirmed = models.BooleanField(default=False)
    not_billed = models.CharField(max_length=24, blank=True)
    """Why it is not billed, a code of `refunds.NOT_BILLED`; blank while it is, or is not known yet."""
    doubt = models.CharField(max_length=24, blank=True)
    """Why it cannot be priced, a code of `refunds.DOUBTS`; blank where it can."""
    ruled_count = models.PositiveIntegerField(null=True, blank=True)
    """Cards or cores two operators ruled, where the cluster's word could not be priced."""
    observed_at = models.DateTimeField()

    class Meta:
        db_table = "job_run"
        ordering = ["job", "no"]
        constraints = [
            models.UniqueConstraint(name="job_run_once", fields=["job", "cluster_job_id", "task", "submitted_at"]),
            models.UniqueConstraint(name="job_run_number_once", fields=["job", "no"]),
        ]


class JobLine(models.Model):
    """What one run costs: count × seconds at the frozen price, rounded half up once. Never changed.

    A correction is a further revision, and the last one counts; 0 seconds say that the run is not billed after all.
    """

    run = models.ForeignKey(JobRun, on_delete=models.PROTECT, related_name="lines")
    revision = models.PositiveSmallIntegerField(default=1)
    count = models.PositiveIntegerField()
    seconds = models.PositiveIntegerField()
    unit = models.CharField(max_length=12)
    unit_price_fen = models.BigIntegerField()
    rate_id = models.BigIntegerField(null=True, blank=True)
    """The line of the price list that was in force when the job was submitted."""
    amount_fen = models.BigIntegerField()
    confirmed = models.BooleanField()
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "job_line"
        ordering = ["run", "revision"]
        constraints = [
            models.UniqueConstraint(name="job_line_once", fields=["run", "revision"]),
            models.CheckConstraint(name="job_line_not_negative", condition=Q(amount_fen__gte=0)),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]


class JobCharge(models.Model):
    """A further charge of a job beside its first: before a run its user put back, or to adjust a provisional settlement."""

    class Purpose(models.TextChoices):
        REQUEUE = "requeue", _("重新排队前追加冻结")
        ADJUSTMENT = "adjustment", _("按集群记账补收")

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="further_charges")
    no = models.PositiveSmallIntegerField()
    charge = models.OneToOneField("vouchers.Charge", on_delete=models.PROTECT, related_name="+")
    purpose = models.CharField(max_length=12, choices=Purpose)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "job_charge"
        ordering = ["job", "no"]
        constraints = [models.UniqueConstraint(name="job_charge_once", fields=["job", "no"])]
