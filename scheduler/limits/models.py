"""Tables of limits: a cluster's policy, each enterprise's account there, and where they differed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.limits import rules


class LimitPolicy(models.Model):
    """What bounds the accounts of a cluster, and when that was last brought into step. No row: off."""

    class Mode(models.TextChoices):
        OFF = rules.LimitMode.OFF.value, _("不下发")
        QUOTA = rules.LimitMode.QUOTA.value, _("按配额")
        COVERED = rules.LimitMode.COVERED.value, _("按配额和可支付余额")

    cluster = models.OneToOneField("scheduler.Cluster", on_delete=models.PROTECT, related_name="limit_policy")
    mode = models.CharField(max_length=8, choices=Mode, default=Mode.OFF)
    tried_at = models.DateTimeField(null=True, blank=True)
    synced_at = models.DateTimeField(null=True, blank=True)
    error = models.CharField(max_length=300, blank=True)
    """Why the last try failed, in the cluster's words; blank when it did not."""

    class Meta:
        db_table = "limit_policy"
        constraints = [
            models.CheckConstraint(name="limit_mode_known", condition=Q(mode__in=[m.value for m in rules.LimitMode]))
        ]

    def __str__(self) -> str:
        return f"{self.cluster} {self.mode}"


class ClusterAccount(models.Model):
    """An enterprise's account on a cluster and the POSIX user its jobs run as.

    `desired` is what was last asked for, `found` what was read back at `as_of` (`rules.as_json`); both empty before.
    """

    class State(models.TextChoices):
        NEW = rules.AccountState.NEW.value, _("待建立")
        IN_STEP = rules.AccountState.IN_STEP.value, _("一致")
        DRIFTED = rules.AccountState.DRIFTED.value, _("有偏差")
        REFUSED = rules.AccountState.REFUSED.value, _("集群未接受")

    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    cluster = models.ForeignKey("scheduler.Cluster", on_delete=models.PROTECT, related_name="accounts")
    name = models.CharField(max_length=40)
    posix_user = models.CharField(max_length=32)
    state = models.CharField(max_length=8, choices=State, default=State.NEW)
    desired = models.JSONField(default=dict, blank=True)
    found = models.JSONField(default=dict, blank=True)
    applied_at = models.DateTimeField(null=True, blank=True)
    as_of = models.DateTimeField(null=True, blank=True)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "cluster_account"
        ordering = ["cluster", "name"]
        constraints = [
            models.UniqueConstraint(name="cluster_account_once", fields=["cluster", "organisation"]),
            models.UniqueConstraint(name="cluster_account_name_once", fields=["cluster", "name"]),
            models.CheckConstraint(
                name="cluster_account_state_known", condition=Q(state__in=[s.value for s in rules.AccountState])
            ),
        ]

    def __str__(self) -> str:
        return self.name


class LimitDrift(models.Model):
    """A difference nobody here caused: seen at one time, repaired at another. `what` as in `rules.Difference`."""

    account = models.ForeignKey(ClusterAccount, on_delete=models.PROTECT, related_name="drifts")
    what = models.CharField(max_length=24)
    wanted = models.BigIntegerField(null=True, blank=True)
    found = models.BigIntegerField(null=True, blank=True)
    seen_at = models.DateTimeField()
    repaired_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "limit_drift"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="limit_drift_open_once", fields=["account", "what"], condition=Q(repaired_at__isnull=True)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.account} {self.what}"
