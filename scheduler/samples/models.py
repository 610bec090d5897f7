"""Tables of sample orders, their samples, and each sample's chain of custody."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from scheduler.samples import rules


class SampleOrder(models.Model):
    """An enterprise's request that a lab test its samples, priced by the lab's quote and paid through one charge.

    `title`, `wanted`, the samples and the report are secrets of the two parties: nobody else sees them. `price_fen` is
    `unit_price_fen` × `quantity` + `surcharge_fen`, the technical service beside the tests (data analysis, a method
    developed), said in `surcharge`; `counted` is what was tested and is billed, at most `quantity`.
    """

    class State(models.TextChoices):
        REQUESTED = rules.SampleOrderState.REQUESTED.value, _("待答复")
        NEEDS_METHOD = rules.SampleOrderState.NEEDS_METHOD.value, _("需开发方法")
        FEASIBLE = rules.SampleOrderState.FEASIBLE.value, _("可检测，待报价")
        QUOTED = rules.SampleOrderState.QUOTED.value, _("已报价")
        ACCEPTED = rules.SampleOrderState.ACCEPTED.value, _("待收样")
        SAMPLES_REJECTED = rules.SampleOrderState.SAMPLES_REJECTED.value, _("样品被拒收")
        RECEIVED = rules.SampleOrderState.RECEIVED.value, _("已收样")
        QUEUED = rules.SampleOrderState.QUEUED.value, _("排队检测")
        TESTING = rules.SampleOrderState.TESTING.value, _("检测中")
        DRAFTED = rules.SampleOrderState.DRAFTED.value, _("待复核")
        REVIEWED = rules.SampleOrderState.REVIEWED.value, _("已复核")
        REPORTED = rules.SampleOrderState.REPORTED.value, _("已出报告")
        BILLED = rules.SampleOrderState.BILLED.value, _("已结算")
        CLOSED = rules.SampleOrderState.CLOSED.value, _("已完结")
        DECLINED = rules.SampleOrderState.DECLINED.value, _("不能检测")
        CANCELLED = rules.SampleOrderState.CANCELLED.value, _("已取消")

    class Unit(models.TextChoices):
        SAMPLE = rules.QuoteUnit.SAMPLE.value, _("个样品")
        TEST = rules.QuoteUnit.TEST.value, _("次检测")

    number = models.CharField(max_length=24, unique=True)
    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="sample_orders")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    requested_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    title = models.CharField(_("检测名称"), max_length=120)
    wanted = models.TextField(_("检测要求"), max_length=2000)
    project = models.CharField(_("项目名称"), max_length=120, blank=True)
    state = models.CharField(max_length=16, choices=State, default=State.REQUESTED)
    note = models.CharField(max_length=400, blank=True)
    """The latest word of one party to the other: feasibility, quote, rejection, review."""
    unit = models.CharField(max_length=8, choices=Unit, blank=True)
    unit_price_fen = models.BigIntegerField(null=True, blank=True)
    quantity = models.PositiveIntegerField(null=True, blank=True)
    surcharge = models.CharField(_("实验技术服务内容"), max_length=120, blank=True)
    surcharge_fen = models.BigIntegerField(default=0)
    quoted_until = models.DateTimeField(null=True, blank=True)
    charge = models.OneToOneField("vouchers.Charge", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    counted = models.PositiveIntegerField(null=True, blank=True)
    machine_s = models.PositiveIntegerField(default=0)
    """Machine time the tests took, seconds: never priced, but counted in the evaluation of the instrument's use."""
    drafted_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    started_at = models.DateTimeField(null=True, blank=True)
    """When testing began, the latest time."""
    issued_at = models.DateTimeField(null=True, blank=True)
    billed_at = models.DateTimeField(null=True, blank=True)
    retests = models.PositiveSmallIntegerField(default=0)
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "sample_order"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="sample_order_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="sample_order_state_known", condition=Q(state__in=[s.value for s in rules.SampleOrderState])
            ),
            models.CheckConstraint(
                name="sample_order_unit_known", condition=Q(unit__in=["", *(u.value for u in rules.QuoteUnit)])
            ),
            models.CheckConstraint(
                name="sample_order_quote_whole",
                condition=Q(unit="", unit_price_fen__isnull=True, quantity__isnull=True)
                | Q(unit_price_fen__gte=0, quantity__gt=0, quoted_until__isnull=False),
            ),
            models.CheckConstraint(
                name="sample_order_surcharge_named",
                condition=Q(surcharge="", surcharge_fen=0) | (~Q(surcharge="") & Q(surcharge_fen__gt=0)),
            ),
            models.CheckConstraint(
                name="sample_order_counted_in_quote", condition=Q(counted__isnull=True) | Q(counted__lte=F("quantity"))
            ),
            models.CheckConstraint(
                name="sample_order_four_eyes",
                condition=Q(reviewed_by__isnull=True) | ~Q(reviewed_by=F("drafted_by")),
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="sample_order_of_organisation"),
            models.Index(fields=["resource", "state", "id"], name="sample_order_of_resource"),
        ]

    def __str__(self) -> str:
        return self.number

    @property
    def subject(self) -> str:
        """What audit records, evidence and the charge call this order."""
        return f"sample:{self.number}"

    @property
    def price_fen(self) -> int | None:
        """The quoted price, or None before a quote."""
        if self.unit_price_fen is None or self.quantity is None:
            return None
        return self.unit_price_fen * self.quantity + self.surcharge_fen


class Sample(models.Model):
    """One sample of an order: what it is, what is dangerous about it, what becomes of it."""

    class State(models.TextChoices):
        EXPECTED = rules.SampleState.EXPECTED.value, _("待收样")
        HELD = rules.SampleState.HELD.value, _("在库")
        REJECTED = rules.SampleState.REJECTED.value, _("拒收")
        RETURNED = rules.SampleState.RETURNED.value, _("已退回")
        DISPOSED = rules.SampleState.DISPOSED.value, _("已处置")

    class Hazard(models.TextChoices):
        NONE = rules.Hazard.NONE.value, pgettext_lazy("hazard", "无")
        EXPLOSIVE = rules.Hazard.EXPLOSIVE.value, _("爆炸品")
        GAS = rules.Hazard.GAS.value, _("气体")
        FLAMMABLE_LIQUID = rules.Hazard.FLAMMABLE_LIQUID.value, _("易燃液体")
        FLAMMABLE_SOLID = rules.Hazard.FLAMMABLE_SOLID.value, _("易燃固体、自燃或遇水放出易燃气体的物质")
        OXIDISING = rules.Hazard.OXIDISING.value, _("氧化性物质和有机过氧化物")
        TOXIC = rules.Hazard.TOXIC.value, _("毒性物质和感染性物质")
        RADIOACTIVE = rules.Hazard.RADIOACTIVE.value, _("放射性物质")
        CORROSIVE = rules.Hazard.CORROSIVE.value, _("腐蚀性物质")
        OTHER = rules.Hazard.OTHER.value, _("杂项危险物质")

    order = models.ForeignKey(SampleOrder, on_delete=models.PROTECT, related_name="samples")
    position = models.PositiveSmallIntegerField()
    label = models.CharField(_("样品标识"), max_length=60)
    material = models.CharField(_("材质与数量"), max_length=120, blank=True)
    hazards = models.JSONField(default=list)
    hazard_note = models.CharField(_("危险性说明"), max_length=400, blank=True)
    return_wanted = models.BooleanField(_("检测后退回"), default=False)
    state = models.CharField(max_length=12, choices=State, default=State.EXPECTED)

    class Meta:
        db_table = "sample"
        ordering = ["order", "position"]
        constraints = [
            models.UniqueConstraint(name="sample_position_once", fields=["order", "position"]),
            models.UniqueConstraint(name="sample_label_once", fields=["order", "label"]),
            models.CheckConstraint(
                name="sample_state_known", condition=Q(state__in=[s.value for s in rules.SampleState])
            ),
        ]

    def __str__(self) -> str:
        return self.label


class Custody(models.Model):
    """One link of a sample's chain of custody: what was done, by whom, when, and where it lies since. Never changed."""

    class Act(models.TextChoices):
        RECEIVE = rules.SampleAction.RECEIVE.value, _("收样")
        REJECT = rules.SampleAction.REJECT.value, _("拒收")
        RESEND = rules.SampleAction.RESEND.value, _("重新寄送")
        MOVE = rules.SampleAction.MOVE.value, _("移交")
        RETURN = rules.SampleAction.RETURN.value, _("退回")
        DISPOSE = rules.SampleAction.DISPOSE.value, _("处置")

    sample = models.ForeignKey(Sample, on_delete=models.PROTECT, related_name="custody")
    act = models.CharField(max_length=8, choices=Act)
    at = models.DateTimeField()
    place = models.CharField(_("存放地点"), max_length=120, blank=True)
    person = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    note = models.CharField(max_length=400, blank=True)

    class Meta:
        db_table = "sample_custody"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(name="custody_act_known", condition=Q(act__in=[a.value for a in rules.SampleAction]))
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.sample} {self.act}"
