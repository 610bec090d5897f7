"""Tables of assessments by staff, panels, grades, rankings and appeals."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.panels import rules


class Assessment(models.Model):
    """What one of the staff found: whether it can be done, or how dangerous it is; or what an urgent one was worth after.

    `round_no` rises when a proposal comes back after an appeal; the earlier findings stay on file.
    """

    class Kind(models.TextChoices):
        TECHNICAL = rules.AssessmentKind.TECHNICAL.value, _("技术可行性")
        SAFETY = rules.AssessmentKind.SAFETY.value, _("安全分级")
        URGENCY = rules.AssessmentKind.URGENCY.value, _("紧急性")
        AFTERWARDS = rules.AssessmentKind.AFTERWARDS.value, _("事后评价")

    proposal = models.ForeignKey("scheduler.BeamProposal", on_delete=models.PROTECT, related_name="assessments")
    kind = models.CharField(max_length=10, choices=Kind)
    round_no = models.PositiveSmallIntegerField(default=1)
    passed = models.BooleanField()
    safety_class = models.CharField(max_length=8, blank=True)
    shifts = models.PositiveSmallIntegerField(null=True, blank=True)
    """How many shifts the staff think are needed."""
    note = models.CharField(max_length=1000, blank=True)
    to_team = models.CharField(max_length=1000, blank=True)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()

    class Meta:
        db_table = "assessment"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="assessment_once", fields=["proposal", "kind", "round_no"]),
            models.CheckConstraint(
                name="assessment_known",
                condition=Q(kind__in=[one.value for one in rules.AssessmentKind])
                & Q(safety_class__in=["", *(one.value for one in rules.SafetyClass)]),
            ),
        ]


class Panel(models.Model):
    """A panel of a call: who grades, and which balance counts among equals (`targets`: group → [num, den])."""

    facility = models.ForeignKey("scheduler.Facility", on_delete=models.PROTECT, related_name="panels")
    call = models.ForeignKey("scheduler.ProposalCall", on_delete=models.PROTECT, related_name="panels")
    name = models.CharField(_("名称"), max_length=80)
    name_en = models.CharField(_("英文名称"), max_length=120, blank=True)
    targets = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "panel"
        ordering = ["call", "name", "pk"]
        constraints = [models.UniqueConstraint(name="panel_name_once", fields=["call", "name"])]

    def __str__(self) -> str:
        return self.name


class Panelist(models.Model):
    """A reviewer of a panel, from any organisation; `organisations` are those she belongs or belonged to of late."""

    panel = models.ForeignKey(Panel, on_delete=models.CASCADE, related_name="panelists")
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    is_chair = models.BooleanField(default=False)
    left_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "panelist"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="panelist_once", fields=["panel", "user"]),
            models.UniqueConstraint(name="panelist_one_chair", fields=["panel"], condition=Q(is_chair=True)),
        ]


class Grading(models.Model):
    """One reviewer's part in judging one proposal: asked, graded, or stepped back with what was found.

    `parties` are the codes of `rules.Party` that were declared or found out; persons are named to the office only.
    """

    class State(models.TextChoices):
        ASKED = rules.GradingState.ASKED.value, _("待评分")
        GRADED = rules.GradingState.GRADED.value, _("评分完成")
        RECUSED = rules.GradingState.RECUSED.value, _("已回避")

    panelist = models.ForeignKey(Panelist, on_delete=models.PROTECT, related_name="gradings")
    proposal = models.ForeignKey("scheduler.BeamProposal", on_delete=models.PROTECT, related_name="gradings")
    round_no = models.PositiveSmallIntegerField(default=1)
    state = models.CharField(max_length=8, choices=State, default=State.ASKED)
    grade_c = models.SmallIntegerField(null=True, blank=True)
    to_panel = models.CharField(max_length=2000, blank=True)
    to_team = models.CharField(max_length=2000, blank=True)
    parties = ArrayField(models.CharField(max_length=10), default=list, blank=True)
    recused_note = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "grading"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="grading_once", fields=["panelist", "proposal", "round_no"]),
            models.CheckConstraint(
                name="grading_whole",
                condition=Q(state="graded", grade_c__isnull=False)
                | Q(state__in=["asked", "recused"], grade_c__isnull=True),
            ),
            models.CheckConstraint(
                name="grading_parties_known", condition=Q(parties__contained_by=[one.value for one in rules.Party])
            ),
        ]
        indexes = [models.Index(fields=["proposal", "round_no"], name="grading_of_proposal")]


class Ranking(models.Model):
    """The panel's collective list for one beamline and cycle: drafted by its chair or the office, decided by another.

    What an appeal brings back is ranked on a list of its own: one that is decided stays as it was.
    """

    class State(models.TextChoices):
        DRAFT = rules.RankingState.DRAFT.value, _("草拟中")
        PROPOSED = rules.RankingState.PROPOSED.value, _("待批准")
        DECIDED = rules.RankingState.DECIDED.value, _("已批准")

    panel = models.ForeignKey(Panel, on_delete=models.PROTECT, related_name="rankings")
    beamline = models.ForeignKey("scheduler.Beamline", on_delete=models.PROTECT, related_name="rankings")
    state = models.CharField(max_length=8, choices=State, default=State.DRAFT)
    shifts = models.PositiveSmallIntegerField()
    """How many shifts there were to give."""
    targets = models.JSONField(default=dict, blank=True)
    """The balance that counts on this list, as the panel had it when it was drafted."""
    note = models.CharField(max_length=1000, blank=True)
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField(null=True, blank=True)
    decided_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    version = models.PositiveIntegerField(default=1)

    class Meta:
        db_table = "ranking"
        ordering = ["panel", "beamline", "-pk"]
        constraints = [
            models.UniqueConstraint(
                name="ranking_one_open", fields=["panel", "beamline"], condition=Q(state__in=["draft", "proposed"])
            ),
            models.CheckConstraint(
                name="ranking_four_eyes",
                condition=Q(decided_by__isnull=True) | ~Q(decided_by=models.F("proposed_by")),
            ),
            models.CheckConstraint(
                name="ranking_state_known", condition=Q(state__in=[one.value for one in rules.RankingState])
            ),
        ]


class RankedRequest(models.Model):
    """A request in its place on a list: its grade with ageing, what decided the place (`rules.TieBreak`), what it gets."""

    ranking = models.ForeignKey(Ranking, on_delete=models.CASCADE, related_name="rows")
    request = models.ForeignKey("scheduler.BeamRequest", on_delete=models.PROTECT, related_name="+")
    place = models.PositiveSmallIntegerField()
    grade_c = models.SmallIntegerField()
    aged_c = models.SmallIntegerField()
    by = models.CharField(max_length=8)
    has_had = models.PositiveSmallIntegerField(default=0)
    shifts = models.PositiveSmallIntegerField(default=0)
    """What the panel gives; 0: reserve list or refused."""
    on_reserve = models.BooleanField(default=True)
    """Where `shifts` is 0: whether it waits for what others give back, or is refused."""
    moved_note = models.CharField(max_length=500, blank=True)
    """Why the panel decided otherwise than the order says; empty where it did not."""
    to_team = models.CharField(max_length=1000, blank=True)

    class Meta:
        db_table = "ranked_request"
        ordering = ["ranking", "place"]
        constraints = [
            models.UniqueConstraint(name="ranked_request_once", fields=["ranking", "request"]),
            models.UniqueConstraint(
                name="ranked_request_place_once",
                fields=["ranking", "place"],
                deferrable=models.Deferrable.DEFERRED,
            ),
            models.CheckConstraint(
                name="ranked_request_by_known", condition=Q(by__in=[one.value for one in rules.TieBreak])
            ),
        ]


class Appeal(models.Model):
    """A team's appeal against a refusal or a finding: one at a time, decided by somebody who did not decide before."""

    class State(models.TextChoices):
        OPEN = rules.AppealState.OPEN.value, _("待答复")
        UPHELD = rules.AppealState.UPHELD.value, _("申诉成立")
        DISMISSED = rules.AppealState.DISMISSED.value, _("申诉不成立")

    proposal = models.ForeignKey("scheduler.BeamProposal", on_delete=models.PROTECT, related_name="appeals")
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    text = models.CharField(max_length=2000)
    by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    at = models.DateTimeField()
    answer = models.CharField(max_length=2000, blank=True)
    answered_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    answered_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "appeal"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="appeal_one_open", fields=["proposal"], condition=Q(state="open")),
            models.CheckConstraint(
                name="appeal_state_known", condition=Q(state__in=[one.value for one in rules.AppealState])
            ),
        ]
