"""Tables of what can be shared and what it costs."""

from __future__ import annotations

from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import ArrayField, DateRangeField, DateTimeRangeField, RangeOperators
from django.contrib.postgres.indexes import GinIndex, OpClass
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from scheduler.resources import fees, profile, rules


def _self_operation() -> list[str]:
    return [profile.ServiceMode.SELF.value]


class Resource(models.Model):
    """Anything whose time can be claimed: an instrument, a bench with places, an operator, a room, a pilot line.

    All limits are whole seconds. `setup_s` before and `cleanup_s` after each booking are blocked with it.
    """

    class State(models.TextChoices):
        DRAFT = rules.PublishState.DRAFT.value, _("草稿")
        PROPOSED = rules.PublishState.PROPOSED.value, pgettext_lazy("instrument", "待审核")
        RETURNED = rules.PublishState.RETURNED.value, pgettext_lazy("instrument", "已退回")
        PUBLISHED = rules.PublishState.PUBLISHED.value, _("已发布")
        SUSPENDED = rules.PublishState.SUSPENDED.value, _("已暂停")
        WITHDRAWN = rules.PublishState.WITHDRAWN.value, pgettext_lazy("instrument", "已撤下")

    class Kind(models.TextChoices):
        INSTRUMENT = rules.ResourceKind.INSTRUMENT.value, _("仪器")
        SERVICE_UNIT = rules.ResourceKind.SERVICE_UNIT.value, _("服务单元")
        BENCH = rules.ResourceKind.BENCH.value, _("实验工位")
        OPERATOR = rules.ResourceKind.OPERATOR.value, _("操作人员")
        ROOM = rules.ResourceKind.ROOM.value, _("实验室房间")
        PILOT_LINE = rules.ResourceKind.PILOT_LINE.value, _("中试线")
        CONCEPT_SERVICE = rules.ResourceKind.CONCEPT_SERVICE.value, _("概念验证服务")
        BEAMLINE = rules.ResourceKind.BEAMLINE.value, _("光束线站")
        DEVICE = rules.ResourceKind.DEVICE.value, _("装置部件或样品环境")

    class Counting(models.TextChoices):
        UNITS = rules.Counting.UNITS.value, _("逐个编号，一次预约占用其中一个")
        FUNGIBLE = rules.Counting.FUNGIBLE.value, _("只计数量，一次预约可占用多个")

    class ServiceMode(models.TextChoices):
        SELF = profile.ServiceMode.SELF.value, _("自主上机")
        SAMPLE = profile.ServiceMode.SAMPLE.value, _("送样测试")
        TECHNICAL = profile.ServiceMode.TECHNICAL.value, _("实验技术服务")

    kind = models.CharField(_("类型"), max_length=16, choices=Kind, default=Kind.INSTRUMENT)
    number = models.CharField(max_length=24, unique=True)
    internal_no = models.CharField(_("单位内部编号"), max_length=60, blank=True)
    """The owner's own number of the thing, such as its asset number: what an imported list is matched by."""
    modes = ArrayField(
        models.CharField(max_length=12), verbose_name=_("服务方式"), default=_self_operation, blank=True, size=3
    )
    """How users are served (`profile.ServiceMode`); of an operator nothing."""
    owner = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(_("名称"), max_length=120)
    name_en = models.CharField(_("英文名称"), max_length=160, blank=True)
    city = models.CharField(_("所在城市"), max_length=40)
    site = models.CharField(_("放置地点"), max_length=120, blank=True)
    zone = models.CharField(_("时区"), max_length=40, default="Asia/Shanghai")
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    granularity_s = models.PositiveIntegerField(default=1800)
    grid_from_s = models.PositiveIntegerField(default=0, db_default=0)
    """Where the grid of `granularity_s` begins each day, seconds after local midnight: a beamline's first shift."""
    step_s = models.PositiveIntegerField(default=0, db_default=0)
    """Durations are whole multiples of it, as beam time is given in threes; 0: of the grid only."""
    min_duration_s = models.PositiveIntegerField(default=3600)
    max_duration_s = models.PositiveIntegerField(default=8 * 3600)
    lead_s = models.PositiveIntegerField(default=0)
    horizon_s = models.PositiveIntegerField(default=60 * 86400)
    setup_s = models.PositiveIntegerField(default=0)
    cleanup_s = models.PositiveIntegerField(default=0)
    cleanup_may_exceed = models.BooleanField(default=False)
    """Whether clean-up may run past closing time."""
    capacity = models.PositiveSmallIntegerField(default=1)
    counting = models.CharField(max_length=12, choices=Counting, default=Counting.UNITS)
    """How `capacity` is shared: by numbered units, or by places that are only counted."""
    follows_holidays = models.BooleanField(default=False)
    """Whether public holidays close it and make-up working days (调休) open it."""
    calendar_version = models.BigIntegerField(default=1)
    """Raised in the same transaction as any claim: the feed's ETag."""
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "resource"
        ordering = ["name", "pk"]
        constraints = [
            models.CheckConstraint(
                name="resource_state_known", condition=Q(state__in=[s.value for s in rules.PublishState])
            ),
            models.CheckConstraint(
                name="resource_kind_known", condition=Q(kind__in=[k.value for k in rules.ResourceKind])
            ),
            models.CheckConstraint(
                name="resource_capacity_counted",
                condition=Q(capacity__gt=0) & Q(counting__in=[c.value for c in rules.Counting]),
            ),
            models.CheckConstraint(
                name="resource_durations_ordered",
                condition=Q(min_duration_s__gt=0) & Q(max_duration_s__gte=F("min_duration_s")) & Q(granularity_s__gt=0),
            ),
            models.CheckConstraint(
                name="resource_modes_known", condition=Q(modes__contained_by=[m.value for m in profile.ServiceMode])
            ),
            models.UniqueConstraint(
                name="resource_internal_no_once", fields=["owner", "internal_no"], condition=~Q(internal_no="")
            ),
        ]
        indexes = [models.Index(fields=["state", "city", "name", "id"], name="resource_catalogue")]

    def __str__(self) -> str:
        return self.name


class Instrument(models.Model):
    """Catalogue facts of an instrument (fields of the national sharing platform)."""

    class Category(models.TextChoices):
        ANALYTICAL = "analytical", _("分析仪器")
        PHYSICAL = "physical", _("物理性能测试仪器")
        METROLOGY = "metrology", _("计量仪器")
        ELECTRONIC = "electronic", _("电子测量仪器")
        MARINE = "marine", _("海洋仪器")
        EARTH = "earth", _("地球探测仪器")
        ATMOSPHERE = "atmosphere", _("大气探测仪器")
        SPECIAL = "special", _("特种检测仪器")
        LASER = "laser", _("激光器")
        PROCESS = "process", _("工艺试验仪器")
        COMPUTER = "computer", _("计算机及其配套设备")
        ASTRONOMY = "astronomy", _("天文仪器")
        MEDICAL = "medical", _("医学科研仪器")
        NUCLEAR = "nuclear", _("核仪器")
        OTHER = "other", _("其他仪器")

    class Source(models.TextChoices):
        PURCHASED = profile.Source.PURCHASED.value, _("购置")
        DEVELOPED = profile.Source.DEVELOPED.value, _("研制")
        DONATED = profile.Source.DONATED.value, _("接受捐赠")
        TRANSFERRED = profile.Source.TRANSFERRED.value, _("调拨")
        OTHER = profile.Source.OTHER.value, _("其他来源")

    class Purpose(models.TextChoices):
        GENERAL = profile.Purpose.GENERAL.value, _("通用")
        SPECIAL = profile.Purpose.SPECIAL.value, _("专用")

    class RunningState(models.TextChoices):
        NORMAL = profile.RunningState.NORMAL.value, _("运行正常")
        REPAIR = profile.RunningState.REPAIR.value, _("维修中")
        IDLE = profile.RunningState.IDLE.value, _("闲置")
        SCRAPPED = profile.RunningState.SCRAPPED.value, _("已报废")

    class ShareMode(models.TextChoices):
        OUTSIDE = profile.ShareMode.OUTSIDE.value, _("对外共享")
        INSIDE = profile.ShareMode.INSIDE.value, _("单位内共享")
        NONE = profile.ShareMode.NONE.value, _("不共享")

    resource = models.OneToOneField(Resource, on_delete=models.PROTECT, primary_key=True, related_name="instrument")
    category = models.CharField(_("类别"), max_length=12, choices=Category)
    model = models.CharField(_("型号"), max_length=80, blank=True)
    manufacturer = models.CharField(_("生产厂商"), max_length=120, blank=True)
    functions = models.TextField(_("主要功能"), max_length=900, blank=True)
    functions_en = models.TextField(_("英文功能说明"), max_length=1500, blank=True)
    original_value_fen = models.BigIntegerField(_("原值"), default=0)
    contact = models.CharField(_("联系人"), max_length=60, blank=True)
    phone = models.CharField(_("联系电话"), max_length=40, blank=True)
    class_code = models.CharField(_("分类编码"), max_length=6, blank=True)
    source = models.CharField(_("来源"), max_length=12, choices=Source, default=Source.PURCHASED)
    purpose = models.CharField(_("通用或专用"), max_length=8, choices=Purpose, default=Purpose.GENERAL)
    running_state = models.CharField(_("运行状态"), max_length=8, choices=RunningState, default=RunningState.NORMAL)
    share_mode = models.CharField(_("共享模式"), max_length=8, choices=ShareMode, default=ShareMode.OUTSIDE)
    fields_of_science = models.CharField(_("学科领域"), max_length=200, blank=True)
    country = models.CharField(_("产地国别"), max_length=40, blank=True)
    in_service_on = models.DateField(_("启用日期"), null=True, blank=True)
    attached_to = models.CharField(_("所属平台或服务单元"), max_length=120, blank=True)
    funding_source = models.CharField(_("经费来源"), max_length=120, blank=True)
    specs = models.TextField(_("主要技术指标"), max_length=1500, blank=True)
    opening_rules = models.TextField(_("对外开放规定"), max_length=900, blank=True)
    service_content = models.TextField(_("服务内容"), max_length=900, blank=True)
    typical_results = models.TextField(_("服务典型成果"), max_length=900, blank=True)
    yearly_hours = models.PositiveSmallIntegerField(_("年运行机时"), default=0)
    yearly_service_hours = models.PositiveSmallIntegerField(_("年对外服务机时"), default=0)
    """As the lab states them of its last full year; what the portal measured itself is in the usage records."""
    customs_no = models.CharField(_("报关单号"), max_length=18, blank=True)
    customs_on = models.DateField(_("进口日期"), null=True, blank=True)
    customs_item = models.CharField(_("报关商品项号"), max_length=10, blank=True)
    customs_name = models.CharField(_("报关品名"), max_length=120, blank=True)
    search_text = models.TextField(blank=True, editable=False)
    """What words are looked for in: all names in lower case, with pinyin and initials."""

    class Meta:
        db_table = "instrument"
        indexes = [GinIndex(OpClass("search_text", name="gin_trgm_ops"), name="instrument_words")]
        constraints = [
            models.CheckConstraint(
                name="instrument_category_known", condition=Q(category__in=[c.value for c in rules.Category])
            ),
            models.CheckConstraint(name="instrument_value_not_negative", condition=Q(original_value_fen__gte=0)),
            models.CheckConstraint(
                name="instrument_choices_known",
                condition=Q(source__in=[s.value for s in profile.Source])
                & Q(purpose__in=[p.value for p in profile.Purpose])
                & Q(running_state__in=[r.value for r in profile.RunningState])
                & Q(share_mode__in=[m.value for m in profile.ShareMode]),
            ),
        ]

    def __str__(self) -> str:
        return str(self.resource)


class Skill(models.Model):
    """An operator of a lab who can run one of its instruments on `valid` days (local, half-open)."""

    operator = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="skills")
    instrument = models.ForeignKey(Resource, on_delete=models.PROTECT, related_name="skilled")
    valid = DateRangeField()

    class Meta:
        db_table = "skill"
        constraints = [
            ExclusionConstraint(
                name="skill_no_overlap",
                expressions=[
                    ("operator", RangeOperators.EQUAL),
                    ("instrument", RangeOperators.EQUAL),
                    ("valid", RangeOperators.OVERLAPS),
                ],
            ),
        ]
        indexes = [models.Index(fields=["instrument", "operator"], name="skill_of_instrument")]


class Cluster(models.Model):
    """A computing cluster, reached through the adapter named in settings."""

    code = models.SlugField(max_length=24, unique=True)
    owner = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    name = models.CharField(max_length=120)
    name_en = models.CharField(max_length=160, blank=True)
    city = models.CharField(max_length=40)
    adapter = models.CharField(max_length=16)
    config = models.JSONField(default=dict, blank=True)
    """What the adapter needs to reach it; never secrets, only where they lie."""
    posix_user = models.CharField(max_length=32, default="nobody")
    accepts_work = models.BooleanField(default=True)
    """The operator's switch: False during maintenance."""
    health_ok = models.BooleanField(null=True)
    health_detail = models.CharField(max_length=200, blank=True)
    health_at = models.DateTimeField(null=True, blank=True)
    version = models.CharField(max_length=60, blank=True)
    capabilities = models.JSONField(default=dict, blank=True)
    """What it last said it can do: ``features``, ``guard_s``, ``max_array_size``, ``offered``; empty before it was asked."""

    class Meta:
        db_table = "cluster"
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    @property
    def guard_s(self) -> int:
        """Return how many seconds a run may exceed its limit before the cluster has ended it: two minutes where unsaid.

        Source: Slurm tests limits every 30 s, then waits KillWait (30 s), and a minute is the unit of limits.
        """
        return int(self.capabilities.get("guard_s", 120))

    @property
    def features(self) -> frozenset[str]:
        """Return what its adapter does beyond placing, observing and cancelling (``scheduler.jobs.ports.Feature``)."""
        return frozenset(self.capabilities.get("features", ()))


class Partition(models.Model):
    """One queue of a cluster with one kind of card."""

    cluster = models.ForeignKey(Cluster, on_delete=models.PROTECT, related_name="partitions")
    name = models.CharField(max_length=40)
    label = models.CharField(max_length=80)
    label_en = models.CharField(max_length=80, blank=True)
    card_type = models.CharField(max_length=24, blank=True)
    max_cards = models.PositiveIntegerField(default=0)
    max_cpus = models.PositiveIntegerField(default=8)
    max_memory_mb = models.PositiveIntegerField(default=16000)
    max_time_s = models.PositiveIntegerField(default=86400)
    cpus_per_card = models.PositiveIntegerField(default=1)
    is_open = models.BooleanField(default=True)

    class Meta:
        db_table = "partition"
        ordering = ["cluster", "name"]
        constraints = [models.UniqueConstraint(name="partition_once", fields=["cluster", "name"])]

    def __str__(self) -> str:
        return f"{self.cluster} / {self.label}"


class Rate(models.Model):
    """What one unit of a resource or partition costs during `valid`: a line of a price list.

    Of a resource for one mode of service and one class of users. Lines of one thing, mode, unit and class never overlap in
    time. A VALUE_DAY line has a share of the original value, in parts per million, in place of an amount.
    """

    class Unit(models.TextChoices):
        HOUR = rules.Unit.HOUR.value, _("小时")
        CARD_HOUR = rules.Unit.CARD_HOUR.value, _("卡时")
        CORE_HOUR = rules.Unit.CORE_HOUR.value, _("核时")
        SAMPLE = rules.Unit.SAMPLE.value, pgettext_lazy("unit", "样品")
        TEST = rules.Unit.TEST.value, pgettext_lazy("unit", "次")
        DAY = rules.Unit.DAY.value, pgettext_lazy("unit", "天")
        VALUE_DAY = rules.Unit.VALUE_DAY.value, pgettext_lazy("unit", "天（按原值比例）")

    class UserClass(models.TextChoices):
        EXTERNAL = fees.UserClass.EXTERNAL.value, _("企业及其他外单位")
        ACADEMIC = fees.UserClass.ACADEMIC.value, _("高校和科研院所")
        INTERNAL = fees.UserClass.INTERNAL.value, _("本单位")

    resource = models.ForeignKey(Resource, null=True, blank=True, on_delete=models.PROTECT, related_name="rates")
    partition = models.ForeignKey(Partition, null=True, blank=True, on_delete=models.PROTECT, related_name="rates")
    unit = models.CharField(max_length=12, choices=Unit)
    mode = models.CharField(max_length=12, choices=Resource.ServiceMode, default=Resource.ServiceMode.SELF)
    user_class = models.CharField(max_length=12, choices=UserClass, default=UserClass.EXTERNAL)
    amount_fen = models.BigIntegerField(default=0)
    share_ppm = models.PositiveIntegerField(default=0)
    valid = DateTimeRangeField(default_bounds="[)")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        db_table = "rate"
        constraints = [
            models.CheckConstraint(name="rate_amount_not_negative", condition=Q(amount_fen__gte=0)),
            models.CheckConstraint(name="rate_unit_known", condition=Q(unit__in=[u.value for u in rules.Unit])),
            models.CheckConstraint(
                name="rate_amount_or_share",
                condition=Q(unit=rules.Unit.VALUE_DAY.value, amount_fen=0, share_ppm__gt=0)
                | (~Q(unit=rules.Unit.VALUE_DAY.value) & Q(share_ppm=0)),
            ),
            models.CheckConstraint(
                name="rate_mode_and_class_known",
                condition=Q(mode__in=[m.value for m in profile.ServiceMode])
                & Q(user_class__in=[c.value for c in fees.UserClass]),
            ),
            models.CheckConstraint(
                name="rate_of_one_thing",
                condition=Q(resource__isnull=False, partition__isnull=True)
                | Q(resource__isnull=True, partition__isnull=False),
            ),
            ExclusionConstraint(
                name="rate_no_overlap_resource",
                expressions=[
                    ("resource", RangeOperators.EQUAL),
                    ("mode", RangeOperators.EQUAL),
                    ("unit", RangeOperators.EQUAL),
                    ("user_class", RangeOperators.EQUAL),
                    ("valid", RangeOperators.OVERLAPS),
                ],
                condition=Q(resource__isnull=False),
            ),
            ExclusionConstraint(
                name="rate_no_overlap_partition",
                expressions=[("partition", RangeOperators.EQUAL), ("valid", RangeOperators.OVERLAPS)],
                condition=Q(partition__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.amount_fen} fen / {self.unit}"
