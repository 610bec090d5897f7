"""Tables of sweeps, of use without the portal, of runs nobody can price yet, and of the nightly audit."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.jobs.models import Job
from scheduler.metering import rules


class Sweep(models.Model):
    """How far a cluster's accounting has been read. The next reading begins 72 hours before `until`."""

    cluster = models.OneToOneField(
        "scheduler.Cluster", on_delete=models.PROTECT, primary_key=True, related_name="sweep"
    )
    until = models.DateTimeField(null=True, blank=True)
    """The watermark: everything that ended before it is priced."""
    swept_at = models.DateTimeField(null=True, blank=True)
    """When accounting last answered."""
    failed_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=200, blank=True)
    rows = models.PositiveIntegerField(default=0)
    """Rows of the last reading."""

    class Meta:
        db_table = "metering_sweep"

    def __str__(self) -> str:
        return f"sweep of cluster {self.pk}"


class UnmanagedRun(models.Model):
    """A run on an organisation's account that did not go through the portal: metered, priced, shown as owed.

    Prices are those of the partition when it started. The key is the cluster's: (job id, task, submit time).
    """

    number = models.CharField(max_length=24, unique=True)
    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="unmanaged_runs")
    cluster_job_id = models.CharField(max_length=40)
    task = models.IntegerField(default=-1)
    submitted_at = models.DateTimeField()
    name = models.CharField(max_length=200, blank=True)
    account = models.CharField(max_length=80)
    user = models.CharField(max_length=64, blank=True)
    organisation = models.ForeignKey(
        "portal.Organisation", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """Whose account it is; NULL where the account is nobody's in particular."""
    partition_name = models.CharField(max_length=80, blank=True)
    partition = models.ForeignKey(
        "scheduler.Partition", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    state = models.CharField(max_length=16, choices=Job.State)
    raw_state = models.CharField(max_length=60)
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    elapsed_s = models.PositiveIntegerField(default=0)
    cpus = models.PositiveIntegerField(null=True, blank=True)
    cards = models.PositiveIntegerField(null=True, blank=True)
    card_type = models.CharField(max_length=32, blank=True)
    memory_mb = models.PositiveIntegerField(null=True, blank=True)
    billing = models.PositiveIntegerField(null=True, blank=True)
    confirmed = models.BooleanField(default=False)
    not_billed = models.CharField(max_length=24, blank=True)
    doubt = models.CharField(max_length=24, blank=True)
    """Why it cannot be priced; blank where it is, or need not be."""
    ruled_count = models.PositiveIntegerField(null=True, blank=True)
    unit = models.CharField(max_length=12, blank=True)
    unit_price_fen = models.BigIntegerField(default=0)
    rate_id = models.BigIntegerField(null=True, blank=True)
    count = models.PositiveIntegerField(default=0)
    amount_fen = models.BigIntegerField(null=True, blank=True)
    """What it costs at the partition's price; NULL until it has ended and is priced."""
    first_seen_at = models.DateTimeField()
    observed_at = models.DateTimeField()
    priced_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "unmanaged_run"
        ordering = ["-submitted_at", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="unmanaged_run_once", fields=["cluster", "cluster_job_id", "task", "submitted_at"]
            ),
            models.CheckConstraint(
                name="unmanaged_run_not_negative", condition=Q(amount_fen__isnull=True) | Q(amount_fen__gte=0)
            ),
        ]
        indexes = [models.Index(fields=["organisation", "-submitted_at"], name="unmanaged_run_of_organisation")]

    def __str__(self) -> str:
        return self.number


class QuarantinedRun(models.Model):
    """A run that cannot be priced, until two operators have ruled or what was missing has come. Never priced 0 meanwhile."""

    class State(models.TextChoices):
        OPEN = rules.QuarantineState.OPEN.value, _("待处理")
        PROPOSED = rules.QuarantineState.PROPOSED.value, _("待复核")
        RESOLVED = rules.QuarantineState.RESOLVED.value, _("已处理")

    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="quarantined_runs")
    run = models.OneToOneField(
        "scheduler.JobRun", null=True, blank=True, on_delete=models.PROTECT, related_name="quarantine"
    )
    unmanaged = models.OneToOneField(
        UnmanagedRun, null=True, blank=True, on_delete=models.PROTECT, related_name="quarantine"
    )
    doubt = models.CharField(max_length=24)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    opened_at = models.DateTimeField()
    count = models.PositiveIntegerField(null=True, blank=True)
    """Cards or cores to bill, as proposed; NULL with a proposal: not billed."""
    reason = models.CharField(max_length=300, blank=True)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(null=True, blank=True)
    resolved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    resolved_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "quarantined_run"
        ordering = ["-opened_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="quarantined_run_of_one_thing",
                condition=Q(run__isnull=False, unmanaged__isnull=True) | Q(run__isnull=True, unmanaged__isnull=False),
            ),
            models.CheckConstraint(
                name="quarantined_run_state_known", condition=Q(state__in=[s.value for s in rules.QuarantineState])
            ),
            models.CheckConstraint(
                name="quarantined_run_two_persons",
                condition=Q(resolved_by__isnull=True)
                | Q(proposed_by__isnull=True)
                | ~Q(resolved_by=models.F("proposed_by")),
            ),
        ]

    def __str__(self) -> str:
        return f"quarantined run {self.pk}"


class JobAudit(models.Model):
    """One comparison of the portal's lines, the schedulers' accounting and the ledger. Kept for ever, never changed."""

    since = models.DateTimeField()
    until = models.DateTimeField()
    made_at = models.DateTimeField()
    jobs = models.PositiveIntegerField()
    portal_units_s = models.BigIntegerField()
    scheduler_units_s = models.BigIntegerField()
    lines_fen = models.BigIntegerField()
    ledger_fen = models.BigIntegerField()
    written_off_fen = models.BigIntegerField()
    unmanaged = models.PositiveIntegerField()
    unmanaged_fen = models.BigIntegerField()
    quarantined = models.PositiveIntegerField()
    away = models.JSONField(default=list)
    """Codes of clusters that did not answer: their jobs were not compared with accounting."""
    differences = models.JSONField(default=list)

    class Meta:
        db_table = "job_audit"
        ordering = ["-pk"]

    def __str__(self) -> str:
        return f"audit {self.pk}"

    @property
    def is_clean(self) -> bool:
        return not self.differences and not self.away
