"""Tables of engagements, their quotes with the lines of each, and the milestones that were agreed."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from scheduler.engagements import rules


class Engagement(models.Model):
    """An enterprise's request for technical service, done by a lab as a project with milestones.

    `title`, `description`, `wanted`, the quotes and the files are secrets of the two parties: nobody else sees them.
    """

    class State(models.TextChoices):
        REQUESTED = rules.EngagementState.REQUESTED.value, pgettext_lazy("engagement", "待报价")
        QUOTED = rules.EngagementState.QUOTED.value, _("已报价")
        RUNNING = rules.EngagementState.RUNNING.value, pgettext_lazy("engagement", "进行中")
        COMPLETED = rules.EngagementState.COMPLETED.value, pgettext_lazy("engagement", "已全部验收")
        STOPPED = rules.EngagementState.STOPPED.value, pgettext_lazy("engagement", "已提前终止")
        CLOSED = rules.EngagementState.CLOSED.value, _("已完结")
        DECLINED = rules.EngagementState.DECLINED.value, pgettext_lazy("engagement", "不能承接")
        CANCELLED = rules.EngagementState.CANCELLED.value, _("已取消")

    number = models.CharField(max_length=24, unique=True)
    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="engagements")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("服务名称"), max_length=120)
    description = models.TextField(_("需求说明"), max_length=2000)
    wanted = models.TextField(_("期望成果"), max_length=1000)
    wanted_by = models.DateField(_("期望完成日期"))
    state = models.CharField(max_length=12, choices=State, default=State.REQUESTED)
    note = models.CharField(max_length=400, blank=True)
    """The latest word of one party to the other: a refusal, a stop."""
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "engagement"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="engagement_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="engagement_state_known", condition=Q(state__in=[s.value for s in rules.EngagementState])
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="engagement_of_organisation"),
            models.Index(fields=["resource", "state", "id"], name="engagement_of_resource"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def subject(self) -> str:
        """What audit records call this engagement."""
        return f"engagement:{self.number}"


class EngagementQuote(models.Model):
    """One quote of a lab: a plan for all, or while the engagement runs, for what is not delivered yet."""

    class State(models.TextChoices):
        OPEN = rules.QuoteState.OPEN.value, pgettext_lazy("quote", "待答复")
        ACCEPTED = rules.QuoteState.ACCEPTED.value, pgettext_lazy("quote", "已接受")
        REFUSED = rules.QuoteState.REFUSED.value, pgettext_lazy("quote", "未接受")
        REPLACED = rules.QuoteState.REPLACED.value, pgettext_lazy("quote", "已被新报价代替")
        LAPSED = rules.QuoteState.LAPSED.value, pgettext_lazy("quote", "已失效")

    engagement = models.ForeignKey(Engagement, on_delete=models.PROTECT, related_name="quotes")
    version = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=8, choices=State, default=State.OPEN)
    acceptance_days = models.PositiveSmallIntegerField(_("验收期（天）"))
    """After how many days without an answer a delivery counts as accepted."""
    note = models.CharField(max_length=400, blank=True)
    quoted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    quoted_at = models.DateTimeField()
    open_until = models.DateTimeField()
    answer = models.CharField(max_length=400, blank=True)
    """What the enterprise says against it."""
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "engagement_quote"
        ordering = ["engagement", "version"]
        constraints = [
            models.UniqueConstraint(name="engagement_quote_version_once", fields=["engagement", "version"]),
            models.UniqueConstraint(
                name="engagement_quote_open_once", fields=["engagement"], condition=Q(state=rules.QuoteState.OPEN.value)
            ),
            models.CheckConstraint(
                name="engagement_quote_state_known", condition=Q(state__in=[s.value for s in rules.QuoteState])
            ),
            models.CheckConstraint(
                name="engagement_quote_acceptance",
                condition=Q(acceptance_days__gte=1, acceptance_days__lte=rules.MOST_ACCEPTANCE_DAYS),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.engagement_id}/{self.version}"


class EngagementQuoteLine(models.Model):
    """One milestone as quoted; never changed."""

    quote = models.ForeignKey(EngagementQuote, on_delete=models.PROTECT, related_name="lines")
    position = models.PositiveSmallIntegerField()
    name = models.CharField(_("里程碑"), max_length=60)
    deliverable = models.CharField(_("交付物"), max_length=300)
    due_on = models.DateField(_("交付日期"))
    price_fen = models.BigIntegerField()

    class Meta:
        db_table = "engagement_quote_line"
        ordering = ["quote", "position"]
        constraints = [
            models.UniqueConstraint(name="engagement_line_position_once", fields=["quote", "position"]),
            models.CheckConstraint(name="engagement_line_price", condition=Q(price_fen__gte=0)),
        ]

    def __str__(self) -> str:
        return self.name


class Milestone(models.Model):
    """One agreed milestone with the charge that pays it: held with the quote, captured at its acceptance."""

    class State(models.TextChoices):
        PLANNED = rules.MilestoneState.PLANNED.value, pgettext_lazy("milestone", "待交付")
        DELIVERED = rules.MilestoneState.DELIVERED.value, pgettext_lazy("milestone", "待验收")
        RETURNED = rules.MilestoneState.RETURNED.value, pgettext_lazy("milestone", "已退回修改")
        DISPUTED = rules.MilestoneState.DISPUTED.value, pgettext_lazy("milestone", "争议待裁定")
        ACCEPTED = rules.MilestoneState.ACCEPTED.value, pgettext_lazy("milestone", "已验收结算")
        DROPPED = rules.MilestoneState.DROPPED.value, pgettext_lazy("milestone", "已取消")

    engagement = models.ForeignKey(Engagement, on_delete=models.PROTECT, related_name="milestones")
    position = models.PositiveSmallIntegerField()
    """Counted on over all plans of the engagement; a dropped one's number is not used again."""
    line = models.OneToOneField(EngagementQuoteLine, on_delete=models.PROTECT, related_name="milestone")
    charge = models.OneToOneField("vouchers.Charge", on_delete=models.PROTECT, related_name="+")
    state = models.CharField(max_length=12, choices=State, default=State.PLANNED)
    deliveries = models.PositiveSmallIntegerField(default=0)
    delivery_note = models.CharField(max_length=400, blank=True)
    delivered_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    delivered_at = models.DateTimeField(null=True, blank=True)
    deemed_at = models.DateTimeField(null=True, blank=True)
    """When the present delivery counts as accepted; NULL while there is none to answer."""
    return_note = models.CharField(max_length=400, blank=True)
    """Why the latest delivery was returned."""
    accepted_at = models.DateTimeField(null=True, blank=True)
    is_deemed = models.BooleanField(default=False)
    """Whether silence accepted it."""
    dispute_note = models.CharField(max_length=400, blank=True)
    """Why a ruling was asked for."""
    disputed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    disputed_at = models.DateTimeField(null=True, blank=True)
    ruling_note = models.CharField(max_length=400, blank=True)
    ruled_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    ruled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "milestone"
        ordering = ["engagement", "position"]
        constraints = [
            models.UniqueConstraint(name="milestone_position_once", fields=["engagement", "position"]),
            models.CheckConstraint(
                name="milestone_state_known", condition=Q(state__in=[s.value for s in rules.MilestoneState])
            ),
            models.CheckConstraint(
                name="milestone_deemed_while_delivered",
                condition=Q(state="delivered", deemed_at__gt=F("delivered_at"))
                | (~Q(state="delivered") & Q(deemed_at__isnull=True)),
            ),
            models.CheckConstraint(
                name="milestone_accepted_at",
                condition=Q(state="accepted", accepted_at__isnull=False)
                | (~Q(state="accepted") & Q(accepted_at__isnull=True, is_deemed=False)),
            ),
        ]
        indexes = [models.Index(fields=["deemed_at"], condition=Q(state="delivered"), name="milestone_deemed")]

    def __str__(self) -> str:
        return self.number

    @property
    def number(self) -> str:
        return f"{self.engagement.number}.{self.position}"

    @property
    def subject(self) -> str:
        """What the charge, its records and its files call this milestone."""
        return f"milestone:{self.number}"
