"""Tables of what clusters said of themselves, what went wrong with them, and what their operators keep."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.clusters import rules


class ClusterStatus(models.Model):
    """The last that is known of a cluster: one row each, written by its poller."""

    cluster = models.OneToOneField(
        "scheduler.Cluster", on_delete=models.PROTECT, primary_key=True, related_name="status"
    )
    ok = models.BooleanField(null=True)
    failures = models.PositiveIntegerField(default=0)
    """Readings that failed in a row."""
    failing_since = models.DateTimeField(null=True, blank=True)
    latency_ms = models.PositiveIntegerField(null=True, blank=True)
    polled_at = models.DateTimeField(null=True, blank=True)
    good_at = models.DateTimeField(null=True, blank=True)
    """When it last answered."""
    asked_health_at = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    """When it is to be asked next."""
    capacity_at = models.DateTimeField(null=True, blank=True)
    capacity_detail = models.CharField(max_length=200, blank=True)
    """Why capacity is not known; blank while it is."""
    capabilities_at = models.DateTimeField(null=True, blank=True)
    swept_at = models.DateTimeField(null=True, blank=True)
    """When accounting was last read whole for jobs the portal does not know."""
    sweep_asked_at = models.DateTimeField(null=True, blank=True)
    sweep_failures = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "cluster_status"


class HealthReading(models.Model):
    """What one poll of a cluster brought; kept for a week."""

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="readings")
    at = models.DateTimeField()
    ok = models.BooleanField()
    latency_ms = models.PositiveIntegerField()
    detail = models.CharField(max_length=200, blank=True)

    class Meta:
        db_table = "cluster_reading"
        ordering = ["-at"]
        indexes = [models.Index(fields=["cluster", "-at"], name="cluster_reading_latest")]


class ClusterPool(models.Model):
    """What a partition has of one card type ("" = none) at `as_of`, on whose behalf ever: the scheduler's own count."""

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="pools")
    partition = models.CharField(max_length=40)
    card_type = models.CharField(max_length=32, blank=True)
    cards = models.PositiveIntegerField(default=0)
    cards_used = models.PositiveIntegerField(default=0)
    cards_down = models.PositiveIntegerField(default=0)
    cpus = models.PositiveIntegerField(default=0)
    cpus_used = models.PositiveIntegerField(default=0)
    nodes = models.PositiveIntegerField(default=0)
    nodes_down = models.PositiveIntegerField(default=0)
    is_open = models.BooleanField(default=True)
    running = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)
    as_of = models.DateTimeField()

    class Meta:
        db_table = "cluster_pool"
        ordering = ["partition", "card_type"]
        constraints = [models.UniqueConstraint(name="cluster_pool_once", fields=["cluster", "partition", "card_type"])]

    @property
    def cards_idle(self) -> int:
        return max(self.cards - self.cards_used - self.cards_down, 0)

    @property
    def cpus_idle(self) -> int:
        return max(self.cpus - self.cpus_used, 0)


class PoolUse(models.Model):
    """The last reading of a pool in five minutes beginning `at`; kept for a month."""

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="+")
    partition = models.CharField(max_length=40)
    card_type = models.CharField(max_length=32, blank=True)
    at = models.DateTimeField()
    cards = models.PositiveIntegerField(default=0)
    cards_used = models.PositiveIntegerField(default=0)
    cards_down = models.PositiveIntegerField(default=0)
    cpus = models.PositiveIntegerField(default=0)
    cpus_used = models.PositiveIntegerField(default=0)
    running = models.PositiveIntegerField(default=0)
    waiting = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "cluster_pool_use"
        constraints = [
            models.UniqueConstraint(name="cluster_pool_use_once", fields=["cluster", "at", "partition", "card_type"])
        ]


class Incident(models.Model):
    """A time a cluster, or its accounting, did not answer: half-open, open while `closed_at` is null."""

    class Kind(models.TextChoices):
        AWAY = rules.IncidentKind.AWAY.value, _("集群连不上")
        ACCOUNTING = rules.IncidentKind.ACCOUNTING.value, _("记账服务连不上")

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="incidents")
    kind = models.CharField(max_length=12, choices=Kind)
    opened_at = models.DateTimeField()
    """The first reading that failed."""
    closed_at = models.DateTimeField(null=True, blank=True)
    detail = models.CharField(max_length=200, blank=True)
    partitions = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    jobs_running = models.PositiveIntegerField(default=0)
    jobs_waiting = models.PositiveIntegerField(default=0)
    """The portal's jobs on the cluster when it went."""
    note = models.CharField(max_length=500, blank=True)
    noted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    noted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "cluster_incident"
        ordering = ["-opened_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="cluster_incident_open_once", fields=["cluster", "kind"], condition=Q(closed_at__isnull=True)
            ),
            models.CheckConstraint(
                name="cluster_incident_kind_known", condition=Q(kind__in=[k.value for k in rules.IncidentKind])
            ),
            models.CheckConstraint(
                name="cluster_incident_ordered",
                condition=Q(closed_at__isnull=True) | Q(closed_at__gte=models.F("opened_at")),
            ),
        ]


class OrphanJob(models.Model):
    """A job on a cluster that bears a marker of ours which the portal does not know. It is only ever ended by a person."""

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="orphans")
    cluster_job_id = models.CharField(max_length=40)
    submitted_at = models.DateTimeField()
    marker = models.CharField(max_length=40)
    account = models.CharField(max_length=64, blank=True)
    user = models.CharField(max_length=64, blank=True)
    partition = models.CharField(max_length=40, blank=True)
    raw_state = models.CharField(max_length=60, blank=True)
    cards = models.PositiveIntegerField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    first_seen_at = models.DateTimeField()
    last_seen_at = models.DateTimeField()
    taken_off_at = models.DateTimeField(null=True, blank=True)
    """When an operator asked the cluster to end it."""
    taken_off_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        db_table = "cluster_orphan"
        ordering = ["-first_seen_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="cluster_orphan_once", fields=["cluster", "cluster_job_id", "submitted_at", "marker"]
            )
        ]


class KeyRotation(models.Model):
    """One exchange of a cluster's signing key, step by step. Holds names of keys, never a key."""

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="rotations")
    old_key = models.CharField(max_length=80, blank=True)
    new_key = models.CharField(max_length=80)
    steps = models.JSONField(default=dict, blank=True)
    """Step → {at, by}: when it was done and by whom."""
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "cluster_key_rotation"
        ordering = ["-started_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="cluster_rotation_open_once", fields=["cluster"], condition=Q(finished_at__isnull=True)
            )
        ]
