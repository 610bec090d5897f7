"""Table of the limits labs set."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.quotas import rules


class QuotaRule(models.Model):
    """A limit on the use of the owner's instruments together, or of those named; a rule that ended stays on record."""

    class Measure(models.TextChoices):
        HOURS = rules.Measure.HOURS.value, _("使用小时数")
        BOOKINGS = rules.Measure.BOOKINGS.value, _("尚未开始的预约数")
        PEAK_SHARE = rules.Measure.PEAK_SHARE.value, _("高峰时段份额（%）")
        KEPT_SHARE = rules.Measure.KEPT_SHARE.value, _("开放时间中给外单位保留的份额（%）")

    class Span(models.TextChoices):
        WEEK = rules.Span.WEEK.value, _("每周")
        MONTH = rules.Span.MONTH.value, _("每月")

    class Per(models.TextChoices):
        ORGANISATION = rules.Per.ORGANISATION.value, _("每个单位")
        PERSON = rules.Per.PERSON.value, _("每个人")

    class Effect(models.TextChoices):
        REFUSE = rules.Effect.REFUSE.value, _("不接受预约")
        APPROVAL = rules.Effect.APPROVAL.value, _("须由实验室确认")

    owner = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    resources = models.ManyToManyField("scheduler.Resource", db_table="quota_resource", related_name="quota_rules")
    """What the limit covers together; none: all the owner has."""
    name = models.CharField(max_length=40)
    measure = models.CharField(max_length=12, choices=Measure)
    span = models.CharField(max_length=8, choices=Span, default=Span.WEEK)
    per = models.CharField(max_length=12, choices=Per, default=Per.ORGANISATION)
    effect = models.CharField(max_length=8, choices=Effect, default=Effect.REFUSE)
    amount = models.PositiveIntegerField()
    """Seconds, bookings or per cent, as `measure` says."""
    peak_days = ArrayField(models.PositiveSmallIntegerField(), default=list, blank=True)
    peak_from_min = models.PositiveSmallIntegerField(default=0)
    peak_until_min = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "quota_rule"
        constraints = [
            models.CheckConstraint(
                name="quota_rule_measure_known", condition=Q(measure__in=[m.value for m in rules.Measure])
            ),
            models.CheckConstraint(name="quota_rule_span_known", condition=Q(span__in=[s.value for s in rules.Span])),
            models.CheckConstraint(name="quota_rule_per_known", condition=Q(per__in=[p.value for p in rules.Per])),
            models.CheckConstraint(
                name="quota_rule_effect_known", condition=Q(effect__in=[e.value for e in rules.Effect])
            ),
            models.CheckConstraint(name="quota_rule_amount_positive", condition=Q(amount__gt=0)),
        ]
        indexes = [models.Index(fields=["owner"], condition=Q(ended_at__isnull=True), name="quota_rule_in_force")]

    def __str__(self) -> str:
        return self.name
