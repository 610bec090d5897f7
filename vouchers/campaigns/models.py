"""Tables of campaigns."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from vouchers.campaigns import rules


class Campaign(models.Model):
    """Vouchers of one programme for a list of organisations that need not apply, put forward by one and approved by another.

    `stated` are facts by path that hold for all of them. What each is given the programme's rules decide when its batch
    is issued.
    """

    class State(models.TextChoices):
        PROPOSED = rules.CampaignState.PROPOSED.value, _("待批准")
        APPROVED = rules.CampaignState.APPROVED.value, pgettext_lazy("campaign", "发放中")
        DONE = rules.CampaignState.DONE.value, pgettext_lazy("campaign", "已发放")
        WITHDRAWN = rules.CampaignState.WITHDRAWN.value, _("已撤回")

    number = models.CharField(max_length=24, unique=True)
    version = models.ForeignKey("vouchers.ProgrammeVersion", on_delete=models.PROTECT, related_name="campaigns")
    state = models.CharField(max_length=12, choices=State, default=State.PROPOSED)
    stated = models.JSONField(default=dict)
    recipients = models.PositiveIntegerField()
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    approved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    approved_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "campaign"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="campaign_key_once", fields=["version", "key"]),
            models.CheckConstraint(
                name="campaign_state_known", condition=Q(state__in=[s.value for s in rules.CampaignState])
            ),
            models.CheckConstraint(
                name="campaign_four_eyes", condition=Q(approved_by__isnull=True) | ~Q(approved_by=F("proposed_by"))
            ),
            models.CheckConstraint(
                name="campaign_signed_before_issuing",
                condition=Q(approved_by__isnull=False)
                | Q(state__in=[rules.CampaignState.PROPOSED.value, rules.CampaignState.WITHDRAWN.value]),
            ),
        ]

    def __str__(self) -> str:
        return self.number


class CampaignBatch(models.Model):
    """One batch: its recipients (organisation ids), and, once issued, what came of it.

    `left_out` names recipients who got nothing and why: ``{"organisation": 7, "reasons": ["R13"]}``; `number` in the
    campaign counts from 1.
    """

    campaign = models.ForeignKey(Campaign, on_delete=models.PROTECT, related_name="batches")
    number = models.PositiveIntegerField()
    organisations = ArrayField(models.BigIntegerField())
    issued_at = models.DateTimeField(null=True)
    vouchers = models.PositiveIntegerField(default=0)
    amount_fen = models.BigIntegerField(default=0)
    left_out = models.JSONField(default=list)

    class Meta:
        db_table = "campaign_batch"
        ordering = ["campaign", "number"]
        constraints = [
            models.UniqueConstraint(name="campaign_batch_once", fields=["campaign", "number"]),
            models.CheckConstraint(
                name="campaign_batch_counts",
                condition=Q(issued_at__isnull=False) | Q(vouchers=0, amount_fen=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.campaign}/{self.number}"
