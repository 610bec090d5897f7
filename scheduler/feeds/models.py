"""Tables of subscription addresses and of who reads them."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from scheduler.feeds import rules


class FeedToken(models.Model):
    """One secret address of one document about one instrument, or about one person's own bookings.

    Of the secret only the SHA-256 is kept; it is shown once. `prefix`, its first letters, lets people tell addresses
    apart.
    """

    class Kind(models.TextChoices):
        EVENTS = rules.FeedKind.EVENTS.value, pgettext_lazy("feed", "日程")
        FREEBUSY = rules.FeedKind.FREEBUSY.value, _("忙闲信息")
        AVAILABILITY = rules.FeedKind.AVAILABILITY.value, _("开放时间")

    class Privacy(models.TextChoices):
        BUSY = rules.FeedPrivacy.BUSY.value, _("只显示已占用")
        TITLE = rules.FeedPrivacy.TITLE.value, _("显示名称")
        FULL = rules.FeedPrivacy.FULL.value, _("显示全部内容")

    resource = models.ForeignKey(
        "scheduler.Resource", null=True, blank=True, on_delete=models.PROTECT, related_name="feeds"
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    organisation = models.ForeignKey(
        "portal.Organisation", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """Of a person's bookings, those made for this organisation only: whose API token asked for the address."""
    label = models.CharField(_("名称"), max_length=60)
    kind = models.CharField(max_length=12, choices=Kind)
    privacy = models.CharField(max_length=8, choices=Privacy, default=Privacy.BUSY)
    prefix = models.CharField(max_length=8)
    digest = models.CharField(max_length=64)
    created_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_fetched_at = models.DateTimeField(null=True, blank=True)
    fetches = models.PositiveBigIntegerField(default=0)
    hour_since = models.DateTimeField(null=True, blank=True)
    hour_count = models.PositiveSmallIntegerField(default=0)
    """Fetches since `hour_since`, for the limit per hour."""
    version = models.CharField(max_length=34, blank=True)
    version_since = models.DateTimeField(null=True, blank=True)
    """The ETag last told and, to the second, since when it is told: Last-Modified (RFC 9110 §8.8.2)."""

    class Meta:
        db_table = "feed_token"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="feed_token_once", fields=["digest", "kind"]),
            models.CheckConstraint(
                name="feed_token_of_one_thing",
                condition=Q(resource__isnull=False, user__isnull=True)
                | (Q(resource__isnull=True, user__isnull=False) & ~Q(kind=rules.FeedKind.AVAILABILITY.value)),
            ),
            models.CheckConstraint(
                name="feed_token_kind_known", condition=Q(kind__in=[kind.value for kind in rules.FeedKind])
            ),
            models.CheckConstraint(
                name="feed_token_privacy_known",
                condition=Q(privacy__in=[level.value for level in rules.FeedPrivacy])
                & (Q(kind=rules.FeedKind.EVENTS.value) | Q(privacy=rules.FeedPrivacy.BUSY.value)),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.label} ({self.prefix}…)"


class FeedReader(models.Model):
    """One program at one network address that fetched a feed: what tells the owner whether an address leaked."""

    token = models.ForeignKey(FeedToken, on_delete=models.CASCADE, related_name="readers")
    address = models.CharField(max_length=45, blank=True)
    program = models.CharField(max_length=160)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()
    fetches = models.PositiveBigIntegerField(default=1)

    class Meta:
        db_table = "feed_reader"
        ordering = ["-last_at", "-pk"]
        constraints = [models.UniqueConstraint(name="feed_reader_once", fields=["token", "address", "program"])]
