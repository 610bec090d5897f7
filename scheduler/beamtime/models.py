"""Tables of beam time given: allocations, schedule drafts, visits with what they had and lost, compensation, reports."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.constraints import ExclusionConstraint
from django.contrib.postgres.fields import DateTimeRangeField, RangeOperators
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from scheduler.beamtime import rules
from scheduler.facilities.shares import Pool

POOLS = [one.value for one in Pool]


class BeamAllocation(models.Model):
    """Shifts given to a request from a pool: by a panel's list, by the director, by contract, or for beam that was lost."""

    request = models.ForeignKey("scheduler.BeamRequest", on_delete=models.PROTECT, related_name="allocations")
    pool = models.CharField(max_length=8)
    shifts = models.PositiveSmallIntegerField()
    made_up_for = models.ForeignKey(
        "scheduler.BeamVisit", null=True, blank=True, on_delete=models.PROTECT, related_name="made_up_by"
    )
    """The visit whose lost beam this gives back; NULL for time given in the first place."""
    reason = models.CharField(max_length=500, blank=True)
    given_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    given_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    """When it was given back or withdrawn; it counts no more."""

    class Meta:
        db_table = "beam_allocation"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(name="beam_allocation_known", condition=Q(shifts__gte=1) & Q(pool__in=POOLS)),
            models.UniqueConstraint(
                name="beam_allocation_once",
                fields=["request"],
                condition=Q(ended_at__isnull=True, made_up_for__isnull=True),
            ),
        ]


class ScheduleDraft(models.Model):
    """One draft of a cycle's schedule, with its proof: `value` reached of at most `bound`, after `spent_ms`."""

    class State(models.TextChoices):
        QUEUED = rules.DraftState.QUEUED.value, _("排队中")
        SOLVING = rules.DraftState.SOLVING.value, _("计算中")
        DRAFTED = rules.DraftState.DRAFTED.value, _("可供调整")
        FAILED = rules.DraftState.FAILED.value, _("未能排出")
        ADOPTED = rules.DraftState.ADOPTED.value, _("已采用")
        DISCARDED = rules.DraftState.DISCARDED.value, _("已放弃")

    cycle = models.ForeignKey("scheduler.RunCycle", on_delete=models.PROTECT, related_name="drafts")
    state = models.CharField(max_length=9, choices=State, default=State.QUEUED)
    seconds = models.PositiveSmallIntegerField(default=40)
    """How long the planner lets it look, per beamline."""
    value = models.PositiveIntegerField(default=0)
    bound = models.PositiveIntegerField(default=0)
    spent_ms = models.PositiveIntegerField(default=0)
    lines = models.JSONField(default=dict, blank=True)
    """By beamline code: value, bound, spent_ms, placed, unplaced, known (the numbers it was proved for); told while it is being computed."""
    failure = models.CharField(max_length=300, blank=True)
    key = models.CharField(max_length=120)
    version = models.PositiveIntegerField(default=1)
    made_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    made_at = models.DateTimeField()
    started_at = models.DateTimeField(null=True, blank=True)
    """When a worker took it up; while it is queued anew, when it was ordered anew."""
    ended_at = models.DateTimeField(null=True, blank=True)
    adopted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    adopted_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "schedule_draft"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="schedule_draft_key_once", fields=["cycle", "key"]),
            models.UniqueConstraint(
                name="schedule_draft_one_open",
                fields=["cycle"],
                condition=Q(state__in=["queued", "solving", "drafted"]),
            ),
            models.CheckConstraint(
                name="schedule_draft_state_known", condition=Q(state__in=[one.value for one in rules.DraftState])
            ),
        ]


class DraftPlace(models.Model):
    """Where a draft puts an allocation. A planner who drags or fixes it raises `version`; two never overlap on a line."""

    draft = models.ForeignKey(ScheduleDraft, on_delete=models.CASCADE, related_name="places")
    allocation = models.ForeignKey(BeamAllocation, on_delete=models.PROTECT, related_name="+")
    beamline = models.ForeignKey("scheduler.Beamline", on_delete=models.PROTECT, related_name="+")
    operator = models.ForeignKey(
        "scheduler.Resource", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    during = DateTimeRangeField(default_bounds="[)")
    is_fixed = models.BooleanField(default=False)
    moved_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "draft_place"
        ordering = ["draft", "beamline", "during"]
        constraints = [
            models.UniqueConstraint(name="draft_place_once", fields=["draft", "allocation"]),
            ExclusionConstraint(
                name="draft_place_no_overlap",
                expressions=[
                    ("draft", RangeOperators.EQUAL),
                    ("beamline", RangeOperators.EQUAL),
                    ("during", RangeOperators.OVERLAPS),
                ],
                deferrable=models.Deferrable.IMMEDIATE,
            ),
        ]


class BeamVisit(models.Model):
    """Beam time of a team on a beamline. Its claims hold the beamline, its devices and its operator while it stands."""

    class State(models.TextChoices):
        OFFERED = rules.VisitState.OFFERED.value, _("待课题组答复")
        SCHEDULED = rules.VisitState.SCHEDULED.value, _("已排定")
        READY = rules.VisitState.READY.value, _("准备就绪")
        RUNNING = rules.VisitState.RUNNING.value, _("实验中")
        DONE = rules.VisitState.DONE.value, _("待交报告")
        CLOSED = rules.VisitState.CLOSED.value, _("已完成")
        DECLINED = rules.VisitState.DECLINED.value, _("课题组已谢绝")
        CANCELLED = rules.VisitState.CANCELLED.value, _("已取消")
        MISSED = rules.VisitState.MISSED.value, _("未到场")

    number = models.CharField(max_length=24, unique=True)
    allocation = models.ForeignKey(BeamAllocation, on_delete=models.PROTECT, related_name="visits")
    beamline = models.ForeignKey("scheduler.Beamline", on_delete=models.PROTECT, related_name="visits")
    during = DateTimeRangeField(default_bounds="[)")
    shifts = models.PositiveSmallIntegerField()
    state = models.CharField(max_length=9, choices=State, default=State.OFFERED)
    operator = models.ForeignKey(
        "scheduler.Resource", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    devices = models.ManyToManyField("scheduler.Device", blank=True, related_name="+", db_table="beam_visit_device")
    offered_at = models.DateTimeField()
    answer_by = models.DateTimeField()
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)
    answer_note = models.CharField(max_length=500, blank=True)
    promised_at = models.DateTimeField(null=True, blank=True)
    """When the team had accepted it, of a visit the facility moved to another day since."""
    sample_approved_at = models.DateTimeField(null=True, blank=True)
    sample_approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    safety_approved_at = models.DateTimeField(null=True, blank=True)
    safety_approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+"
    )
    late_reason = models.CharField(max_length=300, blank=True)
    """Why the head of the beamline took forms that came late; empty where none did."""
    checked_in_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    had_min = models.PositiveIntegerField(null=True, blank=True)
    lost_min = models.PositiveIntegerField(null=True, blank=True)
    own_lost_min = models.PositiveIntegerField(null=True, blank=True)
    """Whole minutes had, lost by the facility, lost by the team itself; set when it ends, together the time given."""
    cancel_reason = models.CharField(max_length=500, blank=True)
    report_due = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "beam_visit"
        ordering = ["during", "pk"]
        constraints = [
            models.CheckConstraint(
                name="beam_visit_state_known", condition=Q(state__in=[one.value for one in rules.VisitState])
            ),
            models.CheckConstraint(
                name="beam_visit_done_counted",
                condition=~Q(state__in=["done", "closed"])
                | Q(had_min__isnull=False, lost_min__isnull=False, own_lost_min__isnull=False),
            ),
            ExclusionConstraint(
                name="beam_visit_no_overlap",
                expressions=[("beamline", RangeOperators.EQUAL), ("during", RangeOperators.OVERLAPS)],
                condition=Q(state__in=["offered", "scheduled", "ready", "running"]),
                deferrable=models.Deferrable.IMMEDIATE,
            ),
        ]
        indexes = [
            models.Index(fields=["beamline", "state"], name="beam_visit_of_line"),
            models.Index(fields=["report_due"], condition=Q(state="done"), name="beam_visit_report_due"),
            models.Index(fields=["answer_by"], condition=Q(state="offered"), name="beam_visit_answer_due"),
        ]

    def __str__(self) -> str:
        return self.number


class VisitParticipant(models.Model):
    """Somebody of the team who comes; confirmed by the leader or by herself."""

    visit = models.ForeignKey(BeamVisit, on_delete=models.CASCADE, related_name="participants")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    confirmed_at = models.DateTimeField()

    class Meta:
        db_table = "visit_participant"
        constraints = [models.UniqueConstraint(name="visit_participant_once", fields=["visit", "user"])]


class BeamTraining(models.Model):
    """A person's safety training at a facility. It counts before `until`, a local day of the facility (exclusive)."""

    facility = models.ForeignKey("scheduler.Facility", on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    until = models.DateField()
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        db_table = "beam_training"
        constraints = [models.UniqueConstraint(name="beam_training_once", fields=["facility", "user"])]


class BeamLoss(models.Model):
    """A span in which a beamline had no beam, and why. Kept when it was logged in error: `void_at` takes it out."""

    class Cause(models.TextChoices):
        MACHINE = rules.LossCause.MACHINE.value, _("加速器故障")
        BEAMLINE = rules.LossCause.BEAMLINE.value, _("线站故障")
        FACILITY = rules.LossCause.FACILITY.value, _("装置其他原因")
        USER = rules.LossCause.USER.value, _("用户原因")

    beamline = models.ForeignKey("scheduler.Beamline", on_delete=models.PROTECT, related_name="losses")
    during = DateTimeRangeField(default_bounds="[)")
    cause = models.CharField(max_length=8, choices=Cause)
    note = models.CharField(max_length=300, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    void_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "beam_loss"
        ordering = ["beamline", "during", "pk"]
        constraints = [
            models.CheckConstraint(
                name="beam_loss_known",
                condition=Q(cause__in=[one.value for one in rules.LossCause]) & Q(during__isempty=False),
            )
        ]


class Compensation(models.Model):
    """A visit on the list of those who lost beam. Nobody is credited by itself: staff decide, with a reason (E8)."""

    class State(models.TextChoices):
        LISTED = rules.CompensationState.LISTED.value, _("待补偿")
        GRANTED = rules.CompensationState.GRANTED.value, _("已补偿")
        DECLINED = rules.CompensationState.DECLINED.value, _("不予补偿")

    visit = models.OneToOneField(BeamVisit, on_delete=models.PROTECT, related_name="compensation")
    state = models.CharField(max_length=8, choices=State, default=State.LISTED)
    is_cancelled = models.BooleanField()
    lost_min = models.PositiveIntegerField()
    asked_note = models.CharField(max_length=500, blank=True)
    decision_note = models.CharField(max_length=500, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    listed_at = models.DateTimeField()

    class Meta:
        db_table = "compensation"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                name="compensation_state_known",
                condition=Q(state__in=[one.value for one in rules.CompensationState]),
            )
        ]


class VisitReport(models.Model):
    """The team's report of a visit: a PDF and what it led to. Of confidential visits only that it was handed in counts."""

    visit = models.OneToOneField(BeamVisit, on_delete=models.PROTECT, related_name="report")
    summary = models.TextField(max_length=3000)
    publications = models.CharField(max_length=1000, blank=True)
    file = models.CharField(max_length=200, blank=True)
    name = models.CharField(max_length=120, blank=True)
    pages = models.PositiveSmallIntegerField(default=0)
    size = models.PositiveIntegerField(default=0)
    sha256 = models.CharField(max_length=64, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        db_table = "visit_report"


class BeamQuote(models.Model):
    """An offer of paid, proprietary beam time to an enterprise: so many shifts at `shift_fen` each, accepted by click.

    Accepting is the contract: it holds the price like a booking does and gives the allocation. Money in integer fen.
    """

    class State(models.TextChoices):
        OFFERED = rules.BeamQuoteState.OFFERED.value, _("待企业确认")
        ACCEPTED = rules.BeamQuoteState.ACCEPTED.value, _("合同已成立")
        SETTLED = rules.BeamQuoteState.SETTLED.value, _("已按交付结算")
        FREED = rules.BeamQuoteState.FREED.value, _("未交付，费用已释放")
        DECLINED = rules.BeamQuoteState.DECLINED.value, _("企业已谢绝")
        WITHDRAWN = rules.BeamQuoteState.WITHDRAWN.value, _("已撤回报价")
        EXPIRED = rules.BeamQuoteState.EXPIRED.value, _("报价已过期")

    request = models.ForeignKey("scheduler.BeamRequest", on_delete=models.PROTECT, related_name="quotes")
    state = models.CharField(max_length=9, choices=State, default=State.OFFERED)
    shifts = models.PositiveSmallIntegerField()
    shift_fen = models.BigIntegerField()
    tax_bp = models.PositiveSmallIntegerField(default=600)
    """Tax contained in the price, hundredths of a per cent."""
    terms = models.TextField(max_length=5000, blank=True)
    terms_sha256 = models.CharField(max_length=64, blank=True)
    """Of what was accepted, set when it was."""
    valid_until = models.DateTimeField()
    offered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    offered_at = models.DateTimeField()
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)
    answer_note = models.CharField(max_length=500, blank=True)
    """Why it was declined or withdrawn, for the other side."""
    charge = models.ForeignKey("vouchers.Charge", null=True, blank=True, on_delete=models.PROTECT, related_name="+")

    class Meta:
        db_table = "beam_quote"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(
                name="beam_quote_one_open", fields=["request"], condition=Q(state__in=["offered", "accepted"])
            ),
            models.CheckConstraint(
                name="beam_quote_known",
                condition=Q(state__in=[one.value for one in rules.BeamQuoteState])
                & Q(shifts__gte=1)
                & Q(shift_fen__gte=0)
                & Q(valid_until__gt=F("offered_at")),
            ),
        ]
