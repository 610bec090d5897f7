"""Tables about what is not clear: what clusters were asked and answered, what needs a person, which cluster is away."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.models import Job


class JobEvidence(models.Model):
    """One question put to a cluster about one job, and its answer; the same answer again only counts up.

    `answered_at` is the first time the answer was had, `last_at` the last; both empty while no answer is recorded, which is
    itself evidence: the one who asked is gone. Never holds a title or a script.
    """

    class Op(models.TextChoices):
        SUBMIT = "submit", _("提交")
        FIND = "find", _("查找")
        RELEASE = "release", _("放行")
        CANCEL = "cancel", _("取消")

    class Verdict(models.TextChoices):
        NONE = "", _("没有记录到回答")
        ACCEPTED = "accepted", _("已接收")
        REJECTED = "rejected", _("已拒绝")
        NOT_SENT = "not_sent", _("没有送出")
        UNKNOWN = "unknown", _("回答丢失")
        FOUND = "found", _("找到")
        ABSENT = "absent", _("确认没有")
        CANNOT_TELL = "cannot_tell", _("无法判断")
        DONE = "done", _("已照办")
        FAILED = "failed", _("没有回答")

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="evidence")
    attempt = models.PositiveSmallIntegerField()
    op = models.CharField(max_length=8, choices=Op)
    asked_at = models.DateTimeField()
    question = models.JSONField(default=dict)
    answered_at = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(null=True, blank=True)
    times = models.PositiveIntegerField(default=1)
    verdict = models.CharField(max_length=12, choices=Verdict, blank=True)
    detail = models.CharField(max_length=500, blank=True)
    """The cluster's own words."""
    refs = models.JSONField(default=list)
    """Ids on the cluster the answer names."""

    class Meta:
        db_table = "job_evidence"
        ordering = ["pk"]
        indexes = [models.Index(fields=["job", "attempt", "op"], name="job_evidence_of_attempt")]


class JobAlert(models.Model):
    """Something about a job a person should look at. One open row per job and kind."""

    class Kind(models.TextChoices):
        UNKNOWN_CODE = "unknown_code", _("集群报告了未知状态")
        UNRESOLVED = "unresolved", _("下落超过 15 分钟未核实")
        DUPLICATE = "duplicate", _("同一作业在集群上不止一份")
        ATTENTION = "attention", _("作业被暂停排队，需要处理")
        UNCONFIRMED = "unconfirmed", _("记账长时间没有确认")

    job = models.ForeignKey(Job, on_delete=models.PROTECT, related_name="alerts")
    kind = models.CharField(max_length=16, choices=Kind)
    detail = models.CharField(max_length=500, blank=True)
    raised_at = models.DateTimeField()
    cleared_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "job_alert"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="job_alert_open_once", fields=["job", "kind"], condition=Q(cleared_at__isnull=True)
            )
        ]


class ClusterBreaker(models.Model):
    """How the calls to one cluster went lately; read and written by every process, timed by the database's clock.

    Open while `opened_at` is set: nobody calls before `retry_at`, then one caller at a time tries.
    """

    class Channel(models.TextChoices):
        CONTROL = "control", _("调度")
        ACCOUNTING = "accounting", _("记账")

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.CASCADE, related_name="breakers")
    channel = models.CharField(max_length=12, choices=Channel)
    failures = models.PositiveIntegerField(default=0)
    """Calls in a row without an answer."""
    trips = models.PositiveIntegerField(default=0)
    """Tries since it opened."""
    opened_at = models.DateTimeField(null=True, blank=True)
    retry_at = models.DateTimeField(null=True, blank=True)
    closed_at = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=500, blank=True)

    class Meta:
        db_table = "cluster_breaker"
        constraints = [models.UniqueConstraint(name="cluster_breaker_once", fields=["cluster", "channel"])]
