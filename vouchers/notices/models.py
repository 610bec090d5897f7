"""Tables of public notices, their items and objections."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from vouchers.notices import rules


class Notice(models.Model):
    """A public list of decided cases, open to objections until `ends_at`; drafted by one person, published by another.

    `last_day` is counted in working days from the day after publication; `is_estimated` when part of the period lies in
    a year whose holidays nobody has fixed yet.
    """

    class State(models.TextChoices):
        DRAFT = rules.NoticeState.DRAFT.value, _("草稿")
        PUBLISHED = rules.NoticeState.PUBLISHED.value, _("公示中")
        CLOSED = rules.NoticeState.CLOSED.value, _("公示结束")
        DISCARDED = rules.NoticeState.DISCARDED.value, _("已作废")

    number = models.CharField(max_length=24, unique=True)
    version = models.ForeignKey("vouchers.ProgrammeVersion", on_delete=models.PROTECT, related_name="notices")
    round = models.ForeignKey("vouchers.Round", null=True, blank=True, on_delete=models.PROTECT, related_name="notices")
    title = models.CharField(_("标题"), max_length=160)
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    fields = ArrayField(models.CharField(max_length=24), default=list)
    working_days = models.PositiveSmallIntegerField()
    objection_to = models.CharField(_("异议受理"), max_length=200, blank=True)
    drafted_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    drafted_at = models.DateTimeField()
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    published_at = models.DateTimeField(null=True, blank=True)
    last_day = models.DateField(null=True, blank=True)
    ends_at = models.DateTimeField(null=True, blank=True)
    is_estimated = models.BooleanField(default=False)
    closed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "notice"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="notice_state_known", condition=Q(state__in=[s.value for s in rules.NoticeState])
            ),
            models.CheckConstraint(
                name="notice_published_by_second_person",
                condition=Q(published_by__isnull=True) | ~Q(published_by=F("drafted_by")),
            ),
            models.CheckConstraint(
                name="notice_published_whole",
                condition=Q(state__in=["draft", "discarded"])
                | (Q(published_by__isnull=False) & Q(published_at__isnull=False) & Q(ends_at__gt=F("published_at"))),
            ),
        ]
        indexes = [models.Index(fields=["state", "ends_at"], name="notice_due")]

    def __str__(self) -> str:
        return self.number


class NoticeItem(models.Model):
    """One case in a notice, with exactly what the public reads of it: `printed` never changes once published."""

    class State(models.TextChoices):
        NOTICED = rules.ItemState.NOTICED.value, pgettext_lazy("notice item", "公示中")
        OBJECTED = rules.ItemState.OBJECTED.value, _("有异议，核查中")
        GRANTED = rules.ItemState.GRANTED.value, _("公示无异议")
        DROPPED = rules.ItemState.DROPPED.value, _("已退出公示")

    notice = models.ForeignKey(Notice, on_delete=models.PROTECT, related_name="items")
    application = models.ForeignKey("vouchers.Application", on_delete=models.PROTECT, related_name="notice_items")
    position = models.PositiveIntegerField()
    printed = models.JSONField(default=dict)
    amount_fen = models.BigIntegerField()
    state = models.CharField(max_length=12, choices=State, default=State.NOTICED)
    settled_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "notice_item"
        ordering = ["notice", "position"]
        constraints = [
            models.UniqueConstraint(name="notice_item_once", fields=["notice", "application"]),
            models.UniqueConstraint(name="notice_position_once", fields=["notice", "position"]),
            models.UniqueConstraint(
                name="notice_item_one_running",
                fields=["application"],
                condition=Q(state__in=[rules.ItemState.NOTICED.value, rules.ItemState.OBJECTED.value]),
            ),
            models.CheckConstraint(
                name="notice_item_state_known", condition=Q(state__in=[s.value for s in rules.ItemState])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.notice} #{self.position}"


class Objection(models.Model):
    """What somebody holds against one item. Name and contact are read by the department only, never printed.

    `receipt` is the secret by which its author asks what became of it. Evidence hangs on ``objection:<number>``.
    """

    class State(models.TextChoices):
        OPEN = rules.ObjectionState.OPEN.value, _("核查中")
        UPHELD = rules.ObjectionState.UPHELD.value, _("异议成立")
        REJECTED = rules.ObjectionState.REJECTED.value, _("异议不成立")
        MOOT = rules.ObjectionState.MOOT.value, _("已无须处理")

    number = models.CharField(max_length=24, unique=True)
    receipt = models.CharField(max_length=24, unique=True)
    item = models.ForeignKey(NoticeItem, on_delete=models.PROTECT, related_name="objections")
    name = models.CharField(_("姓名或单位"), max_length=60)
    contact = models.CharField(_("联系方式"), max_length=120)
    text = models.TextField(_("事实和理由"), max_length=4000)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    filed_at = models.DateTimeField()
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    reason = models.CharField(_("处理理由"), max_length=500, blank=True)

    class Meta:
        db_table = "objection"
        ordering = ["-pk"]
        constraints = [
            models.CheckConstraint(
                name="objection_state_known", condition=Q(state__in=[s.value for s in rules.ObjectionState])
            ),
            models.CheckConstraint(
                name="objection_decided_with_reason",
                condition=Q(state__in=["open", "moot"])
                | (Q(decided_by__isnull=False) & Q(decided_at__isnull=False) & ~Q(reason="")),
            ),
        ]
        indexes = [models.Index(fields=["state", "id"], name="objection_queue")]

    def __str__(self) -> str:
        return self.number
