"""Tables of large facilities: their rules as data, beamlines, devices, run cycles and who has which share."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from scheduler.facilities import courses, grades, plan, shares


class Facility(models.Model):
    """A large science facility (大科学装置) and everything it says of itself: shifts, grades, deadlines.

    Shifts start `first_min` minutes after local midnight in `zone` and last `length_min`. Grades are hundredths:
    `lowest_c` to `highest_c` in steps of `step_c`; `ageing_c` is what a request gains for each cycle it waited.
    """

    class Best(models.TextChoices):
        HIGH = grades.Direction.HIGH.value, _("分数高者优先")
        LOW = grades.Direction.LOW.value, _("分数低者优先")

    class ReportRule(models.TextChoices):
        TELL = courses.ReportRule.TELL.value, _("提示评审组")
        BLOCK = courses.ReportRule.BLOCK.value, _("不能提交新申请")

    owner = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    code = models.SlugField(_("代码"), max_length=24, unique=True)
    name = models.CharField(_("名称"), max_length=120)
    name_en = models.CharField(_("英文名称"), max_length=160, blank=True)
    city = models.CharField(_("所在城市"), max_length=40)
    summary = models.TextField(_("简介"), max_length=900, blank=True)
    summary_en = models.TextField(_("英文简介"), max_length=1500, blank=True)
    is_published = models.BooleanField(default=False)
    zone = models.CharField(_("时区"), max_length=40, default="Asia/Shanghai")
    first_min = models.PositiveSmallIntegerField(_("第一班开始（零点后分钟数）"), default=0)
    length_min = models.PositiveSmallIntegerField(_("班次时长（分钟）"), default=480)
    shift_names = ArrayField(models.CharField(max_length=24), verbose_name=_("班次名称"), size=24)
    multiple = models.PositiveSmallIntegerField(_("班次倍数"), default=1)
    lowest_c = models.SmallIntegerField(_("最低分（百分之一）"), default=0)
    highest_c = models.SmallIntegerField(_("最高分（百分之一）"), default=550)
    step_c = models.SmallIntegerField(_("评分步长（百分之一）"), default=10)
    best = models.CharField(_("评分方向"), max_length=4, choices=Best, default=Best.HIGH)
    ageing_c = models.PositiveSmallIntegerField(_("每周期等待加分（百分之一）"), default=0)
    ageing_cycles = models.PositiveSmallIntegerField(_("加分周期上限"), default=0)
    graders = models.PositiveSmallIntegerField(_("每项申请最少评审人数"), default=2)
    together_years = models.PositiveSmallIntegerField(_("合作回避年限"), default=3)
    forms_days = models.PositiveSmallIntegerField(_("样品与安全表提前天数"), default=14)
    answer_days = models.PositiveSmallIntegerField(_("答复安排的天数"), default=10)
    report_weeks = models.PositiveSmallIntegerField(_("实验报告期限（周）"), default=12)
    report_rule = models.CharField(_("未交报告的后果"), max_length=5, choices=ReportRule, default=ReportRule.TELL)
    market_days = models.PositiveSmallIntegerField(_("提前多少天释放未分配班次"), default=14)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "facility"
        ordering = ["name", "pk"]
        constraints = [
            models.CheckConstraint(
                name="facility_shift_length",
                condition=Q(length_min__gte=60) & Q(length_min__lte=1440) & Q(first_min__lt=F("length_min")),
            ),
            models.CheckConstraint(name="facility_multiple", condition=Q(multiple__gte=1) & Q(multiple__lte=99)),
            models.CheckConstraint(
                name="facility_scale",
                condition=Q(lowest_c__lt=F("highest_c"))
                & Q(step_c__gt=0)
                & Q(best__in=[one.value for one in grades.Direction]),
            ),
            models.CheckConstraint(
                name="facility_report_rule_known",
                condition=Q(report_rule__in=[one.value for one in courses.ReportRule]),
            ),
        ]

    def __str__(self) -> str:
        return self.name


class FacilityCourse(models.Model):
    """How proposals of one kind go at a facility; a kind without a row is not offered there. Fields: `courses.Course`."""

    facility = models.ForeignKey(Facility, on_delete=models.CASCADE, related_name="courses")
    kind = models.CharField(max_length=12)
    pool = models.CharField(max_length=8)
    peer_review = models.BooleanField(default=True)
    reviewed_after = models.BooleanField(default=False)
    cycles = models.PositiveSmallIntegerField(default=1)
    lapses = models.BooleanField(default=False)
    own_schedule = models.BooleanField(default=False)
    report_months = models.PositiveSmallIntegerField(default=0)
    paid = models.BooleanField(default=False)
    confidential = models.BooleanField(default=False)

    class Meta:
        db_table = "facility_course"
        constraints = [
            models.UniqueConstraint(name="facility_course_once", fields=["facility", "kind"]),
            models.CheckConstraint(
                name="facility_course_known",
                condition=Q(kind__in=[one.value for one in courses.ProposalKind])
                & Q(pool__in=[one.value for one in shares.Pool])
                & Q(cycles__gte=1),
            ),
        ]


class Beamline(models.Model):
    """A beamline or experiment station: a resource, so that its time is claimed like any other's.

    `changeover_shifts` lie between two visits with different set-ups. Its own closed time are the resource's closures.
    """

    resource = models.OneToOneField(
        "scheduler.Resource", on_delete=models.PROTECT, primary_key=True, related_name="beamline"
    )
    facility = models.ForeignKey(Facility, on_delete=models.PROTECT, related_name="beamlines")
    code = models.CharField(_("线站代码"), max_length=16)
    techniques = models.CharField(_("实验方法"), max_length=300, blank=True)
    changeover_shifts = models.PositiveSmallIntegerField(_("换装班次"), default=0)
    needs_operator = models.BooleanField(_("须有线站人员在场"), default=False)

    class Meta:
        db_table = "beamline"
        ordering = ["facility", "code"]
        constraints = [
            models.UniqueConstraint(name="beamline_code_once", fields=["facility", "code"]),
            models.CheckConstraint(name="beamline_changeover", condition=Q(changeover_shifts__lte=30)),
        ]

    def __str__(self) -> str:
        return self.code


class Device(models.Model):
    """An on-board device or sample environment (机载装置、样品环境): one visit has it at a time, on a beamline it fits."""

    resource = models.OneToOneField(
        "scheduler.Resource", on_delete=models.PROTECT, primary_key=True, related_name="device"
    )
    facility = models.ForeignKey(Facility, on_delete=models.PROTECT, related_name="devices")
    code = models.CharField(_("装置代码"), max_length=16)

    class Meta:
        db_table = "device"
        ordering = ["facility", "code"]
        constraints = [models.UniqueConstraint(name="device_code_once", fields=["facility", "code"])]

    def __str__(self) -> str:
        return self.code


class DeviceFit(models.Model):
    """A device can be used on a beamline."""

    device = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="fits")
    beamline = models.ForeignKey(Beamline, on_delete=models.CASCADE, related_name="fits")

    class Meta:
        db_table = "device_fit"
        constraints = [models.UniqueConstraint(name="device_fit_once", fields=["device", "beamline"])]


class DeviceClash(models.Model):
    """Two devices that cannot be in one visit; stored once, `one` has the lower number."""

    one = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")
    two = models.ForeignKey(Device, on_delete=models.CASCADE, related_name="+")

    class Meta:
        db_table = "device_clash"
        constraints = [
            models.UniqueConstraint(name="device_clash_once", fields=["one", "two"]),
            models.CheckConstraint(name="device_clash_ordered", condition=Q(one__lt=F("two"))),
        ]


class PoolShare(models.Model):
    """Which part of the user shifts a pool has, `num` ÷ `den`; of one beamline, or of all that say nothing of their own."""

    facility = models.ForeignKey(Facility, on_delete=models.CASCADE, related_name="shares")
    beamline = models.ForeignKey(Beamline, null=True, blank=True, on_delete=models.CASCADE, related_name="shares")
    pool = models.CharField(max_length=8)
    num = models.PositiveSmallIntegerField()
    den = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "pool_share"
        constraints = [
            models.UniqueConstraint(
                name="pool_share_once", fields=["facility", "beamline", "pool"], nulls_distinct=False
            ),
            models.CheckConstraint(
                name="pool_share_fraction",
                condition=Q(den__gte=1) & Q(num__lte=F("den")) & Q(pool__in=[one.value for one in shares.Pool]),
            ),
        ]


class Partner(models.Model):
    """An organisation that helped to pay for a beamline and keeps `num` ÷ `den` of its time on `valid` days (local)."""

    beamline = models.ForeignKey(Beamline, on_delete=models.PROTECT, related_name="partners")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    num = models.PositiveSmallIntegerField()
    den = models.PositiveSmallIntegerField()
    valid = DateRangeField()

    class Meta:
        db_table = "partner"
        constraints = [
            models.CheckConstraint(name="partner_fraction", condition=Q(den__gte=1) & Q(num__lte=F("den"))),
            ExclusionConstraint(
                name="partner_no_overlap",
                expressions=[
                    ("beamline", RangeOperators.EQUAL),
                    ("organisation", RangeOperators.EQUAL),
                    ("valid", RangeOperators.OVERLAPS),
                ],
            ),
        ]


class PartnerPart(models.Model):
    """A use that a partner's time may go to, and which part of it at most, such as 60 % for grant-linked work (E5)."""

    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="parts")
    code = models.SlugField(max_length=24)
    name = models.CharField(max_length=60)
    name_en = models.CharField(max_length=80, blank=True)
    num = models.PositiveSmallIntegerField()
    den = models.PositiveSmallIntegerField()

    class Meta:
        db_table = "partner_part"
        constraints = [
            models.UniqueConstraint(name="partner_part_once", fields=["partner", "code"]),
            models.CheckConstraint(name="partner_part_fraction", condition=Q(den__gte=1) & Q(num__lte=F("den"))),
        ]


class RunCycle(models.Model):
    """A run of the machine; `version` is raised by every change of its plan, so that nobody overwrites another's."""

    facility = models.ForeignKey(Facility, on_delete=models.PROTECT, related_name="cycles")
    code = models.CharField(_("周期"), max_length=16)
    during = DateTimeRangeField(default_bounds="[)")
    version = models.PositiveIntegerField(default=1)
    closed_at = models.DateTimeField(null=True, blank=True)
    """When its figures were closed; nothing of it is planned afterwards."""

    class Meta:
        db_table = "run_cycle"
        ordering = ["facility", "-during"]
        constraints = [
            models.UniqueConstraint(name="run_cycle_code_once", fields=["facility", "code"]),
            ExclusionConstraint(
                name="run_cycle_no_overlap",
                expressions=[("facility", RangeOperators.EQUAL), ("during", RangeOperators.OVERLAPS)],
            ),
        ]

    def __str__(self) -> str:
        return self.code


class MachinePeriod(models.Model):
    """What the machine does in one span of a cycle. Spans of a cycle never overlap: the database refuses it."""

    class Mode(models.TextChoices):
        USER = plan.MachineMode.USER.value, _("用户束流")
        STUDY = plan.MachineMode.STUDY.value, _("机器研究")
        MAINTENANCE = plan.MachineMode.MAINTENANCE.value, _("维护")
        WARM_UP = plan.MachineMode.WARM_UP.value, _("启动调束")
        SHUTDOWN = plan.MachineMode.SHUTDOWN.value, _("停机")

    cycle = models.ForeignKey(RunCycle, on_delete=models.CASCADE, related_name="periods")
    mode = models.CharField(max_length=12, choices=Mode)
    during = DateTimeRangeField(default_bounds="[)")

    class Meta:
        db_table = "machine_period"
        ordering = ["cycle", "during"]
        constraints = [
            models.CheckConstraint(
                name="machine_period_mode_known", condition=Q(mode__in=[one.value for one in plan.MachineMode])
            ),
            ExclusionConstraint(
                name="machine_period_no_overlap",
                expressions=[("cycle", RangeOperators.EQUAL), ("during", RangeOperators.OVERLAPS)],
            ),
        ]
