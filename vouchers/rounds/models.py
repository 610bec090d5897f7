"""Tables of rounds and what they gave to whom."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from vouchers.programmes.allocation import AwardOutcome, Why
from vouchers.programmes.schemes import PoolShort
from vouchers.programmes.terms import AwardOrder
from vouchers.rounds import rules


class Round(models.Model):
    """One intake of a programme version, decided together. Its order and shortage rule are those at its opening.

    `pool_fen` is what it may give, `coefficient` the published k. A lottery's secret is drawn at the opening, its
    SHA-256 shown at once, itself only when the round is decided; `public_source` names the value mixed in, if any.
    """

    class State(models.TextChoices):
        OPEN = rules.RoundState.OPEN.value, _("受理中")
        CLOSED = rules.RoundState.CLOSED.value, _("已截止")
        DECIDING = rules.RoundState.DECIDING.value, _("待复核")
        DECIDED = rules.RoundState.DECIDED.value, pgettext_lazy("round", "已确定")
        NOTICED = rules.RoundState.NOTICED.value, _("公示中")
        GRANTED = rules.RoundState.GRANTED.value, pgettext_lazy("round", "已发放")
        EVALUATED = rules.RoundState.EVALUATED.value, _("已评价归档")

    class Order(models.TextChoices):
        FIRST_COME = AwardOrder.FIRST_COME.value, _("先到先得")
        ALL_THEN_PRORATE = AwardOrder.ALL_THEN_PRORATE.value, _("按比例分配")
        RANKED = AwardOrder.RANKED.value, _("按评分择优")
        LOTTERY = AwardOrder.LOTTERY.value, _("摇号抽签")
        REGION_QUOTA = AwardOrder.REGION_QUOTA.value, _("按地区额度")

    class Short(models.TextChoices):
        PARTIAL = PoolShort.PARTIAL.value, _("余额不足时给余额")
        REJECT = PoolShort.REJECT.value, _("余额不足时不予支持")
        QUEUE = PoolShort.QUEUE.value, _("余额不足时排队")
        PRORATE = PoolShort.PRORATE.value, _("余额不足时同比例折减")

    number = models.CharField(max_length=24, unique=True)
    version = models.ForeignKey("vouchers.ProgrammeVersion", on_delete=models.PROTECT, related_name="rounds")
    serial = models.PositiveSmallIntegerField()
    opens_at = models.DateTimeField()
    closes_at = models.DateTimeField(null=True, blank=True)
    order = models.CharField(max_length=20, choices=Order)
    short = models.CharField(max_length=12, choices=Short)
    state = models.CharField(max_length=12, choices=State, default=State.OPEN)
    seed_secret = models.BinaryField(max_length=64, null=True, blank=True)
    seed_commitment = models.CharField(max_length=64, blank=True)
    seed_revealed_at = models.DateTimeField(null=True, blank=True)
    public_source = models.CharField(_("并入的公开数值"), max_length=120, blank=True)
    public_value = models.CharField(_("公开数值"), max_length=60, blank=True)
    pool_fen = models.BigIntegerField(default=0)
    coefficient_num = models.PositiveBigIntegerField(default=1)
    coefficient_den = models.PositiveBigIntegerField(default=1)
    by_region = models.JSONField(default=dict, blank=True)
    """Each region's coefficient as text ``"1/2"``, where quotas are prorated."""
    opened_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    checked_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    proposed_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.CharField(_("说明"), max_length=300, blank=True)

    class Meta:
        db_table = "round"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="round_serial_once", fields=["version", "serial"]),
            models.UniqueConstraint(
                name="round_one_open", fields=["version"], condition=Q(state=rules.RoundState.OPEN.value)
            ),
            models.CheckConstraint(
                name="round_state_known", condition=Q(state__in=[s.value for s in rules.RoundState])
            ),
            models.CheckConstraint(
                name="round_window_ordered", condition=Q(closes_at__isnull=True) | Q(closes_at__gt=F("opens_at"))
            ),
            models.CheckConstraint(
                name="round_two_persons", condition=Q(checked_by__isnull=True) | ~Q(checked_by=F("decided_by"))
            ),
            models.CheckConstraint(
                name="round_decided_by_two",
                condition=Q(state__in=["open", "closed", "deciding"])
                | (Q(decided_by__isnull=False) & Q(checked_by__isnull=False)),
            ),
            models.CheckConstraint(
                name="round_lottery_committed",
                condition=~Q(order=AwardOrder.LOTTERY.value)
                | (Q(seed_secret__isnull=False) & Q(seed_commitment__regex=r"^[0-9a-f]{64}$")),
            ),
            models.CheckConstraint(
                name="round_coefficient_at_most_one",
                condition=Q(coefficient_den__gt=0) & Q(coefficient_num__lte=F("coefficient_den")),
            ),
            models.CheckConstraint(name="round_pool_not_negative", condition=Q(pool_fen__gte=0)),
        ]
        indexes = [models.Index(fields=["state", "closes_at"], name="round_due")]

    def __str__(self) -> str:
        return self.number


class RoundAward(models.Model):
    """What one application got in a round: proposed by the first person, final with the second.

    `score` is the mean of the experts' points as a fraction; `is_final` is withdrawn when an objection sends the case
    back to review, so that it may take part in a later round.
    """

    class Outcome(models.TextChoices):
        FULL = AwardOutcome.FULL.value, _("足额")
        LESS = AwardOutcome.LESS.value, _("部分")
        WAITS = AwardOutcome.WAITS.value, _("排队")
        NOTHING = AwardOutcome.NOTHING.value, _("未获支持")

    class Why(models.TextChoices):
        COVERED = Why.COVERED.value, _("资金足以支付全额")
        PRORATED = Why.PRORATED.value, _("按本批公布的系数折减")
        REST = Why.REST.value, _("资金池仅余此数")
        POOL_SHORT = Why.POOL_SHORT.value, _("资金池余额不足以支付全额")
        EXHAUSTED = Why.EXHAUSTED.value, _("资金池已用完")
        QUEUED = Why.QUEUED.value, _("按次序排队，等待资金池有余额")
        BELOW_FLOOR = Why.BELOW_FLOOR.value, _("可支付的金额低于最低支持额度")
        NO_QUOTA = Why.NO_QUOTA.value, _("所在地区没有分配额度")

    round = models.ForeignKey(Round, on_delete=models.PROTECT, related_name="awards")
    application = models.ForeignKey("vouchers.Application", on_delete=models.PROTECT, related_name="awards")
    place = models.PositiveIntegerField()
    asked_fen = models.BigIntegerField()
    amount_fen = models.BigIntegerField()
    outcome = models.CharField(max_length=12, choices=Outcome)
    why = models.CharField(max_length=16, choices=Why)
    score_num = models.BigIntegerField(null=True, blank=True)
    score_den = models.BigIntegerField(default=1)
    region = models.CharField(max_length=60, blank=True)
    is_final = models.BooleanField(default=False)
    promoted_at = models.DateTimeField(null=True, blank=True)
    """When money came back for it, if it had to wait."""

    class Meta:
        db_table = "round_award"
        ordering = ["round", "place"]
        constraints = [
            models.UniqueConstraint(name="round_award_once", fields=["round", "application"]),
            models.UniqueConstraint(name="round_place_once", fields=["round", "place"]),
            models.UniqueConstraint(name="round_award_one_final", fields=["application"], condition=Q(is_final=True)),
            models.CheckConstraint(
                name="round_award_within_claim",
                condition=Q(amount_fen__gte=0) & Q(amount_fen__lte=F("asked_fen")) & Q(asked_fen__gt=0),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.round} #{self.place}"

    @property
    def is_undrawn(self) -> bool:
        """Say whether lots decided against it: those drawn before left it too little."""
        return (
            self.round.order == AwardOrder.LOTTERY.value
            and self.outcome == AwardOutcome.NOTHING.value
            and self.why in {Why.EXHAUSTED.value, Why.POOL_SHORT.value}
        )
