"""Tables of applications and of what was decided on them."""

from __future__ import annotations

import pgtrigger
from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from vouchers.issuance import rules
from vouchers.issuance.workflow import ReviewAction


class Application(models.Model):
    """One enterprise's case under one programme version, with the decision the rules gave and its inputs.

    `request` holds every fact the engine saw, `decision` its whole answer: an auditor can run it again. In `review`,
    `stage` is the index of the programme's stage and `role` who acts there; `turn` counts how often the case came to
    its reviewers (submission, every answer to a return, every appeal), `first_turn` the one since the last appeal. `place` is its position in first-come order
    within the version, without gaps. The clock stands in `supplement`: `stopped_s` are the seconds it has stood.
    """

    class State(models.TextChoices):
        DRAFT = rules.ApplicationState.DRAFT.value, _("草稿")
        SUPPLEMENT = rules.ApplicationState.SUPPLEMENT.value, _("待补充")
        REVIEW = rules.ApplicationState.REVIEW.value, _("审核中")
        WAITING = rules.ApplicationState.WAITING.value, _("待批次确定")
        DECIDED = rules.ApplicationState.DECIDED.value, _("已审定")
        NOTICED = rules.ApplicationState.NOTICED.value, _("公示中")
        OBJECTION = rules.ApplicationState.OBJECTION.value, _("异议处理中")
        GRANTED = rules.ApplicationState.GRANTED.value, _("待发放")
        ISSUED = rules.ApplicationState.ISSUED.value, _("已发券")
        PAID = rules.ApplicationState.PAID.value, _("已拨付")
        REFUSED = rules.ApplicationState.REFUSED.value, _("未通过")
        APPEAL = rules.ApplicationState.APPEAL.value, _("申诉中")
        WITHDRAWN = rules.ApplicationState.WITHDRAWN.value, _("已撤回")

    number = models.CharField(max_length=24, unique=True)
    version = models.ForeignKey("vouchers.ProgrammeVersion", on_delete=models.PROTECT, related_name="applications")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    contract_number = models.CharField(_("合同编号"), max_length=60)
    request = models.JSONField()
    decision = models.JSONField()
    state = models.CharField(max_length=12, choices=State)
    stage = models.PositiveSmallIntegerField(default=0)
    role = models.CharField(max_length=12, blank=True)
    desk = models.ForeignKey("portal.Organisation", null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    """The co-lead department that acts at the present stage; empty = the programme's own."""
    turn = models.PositiveSmallIntegerField(default=1)
    first_turn = models.PositiveSmallIntegerField(default=1)
    place = models.PositiveBigIntegerField(null=True, blank=True)
    stage_since = models.DateTimeField(null=True, blank=True)
    due_at = models.DateTimeField(null=True, blank=True)
    stopped_at = models.DateTimeField(null=True, blank=True)
    stopped_s = models.PositiveBigIntegerField(default=0)
    days_left = models.PositiveSmallIntegerField(null=True, blank=True)
    score = models.PositiveIntegerField(null=True, blank=True)
    """Mean of the experts' points in hundredths of a point: 8750 = 87.5 of 100."""
    draft = models.JSONField(default=dict, blank=True)
    """What is filled in before submission: ``contract`` and ``stated``."""
    undertaking = models.TextField(blank=True)
    undertaken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    undertaken_at = models.DateTimeField(null=True, blank=True)
    undertaken_print = models.CharField(max_length=64, blank=True)
    contract_print = models.CharField(max_length=64, blank=True, db_index=True)
    sampled = models.BooleanField(default=False)
    """Drawn for a check afterwards; only cases the machine itself decided."""
    appeal_note = models.CharField(max_length=600, blank=True)
    appealed_at = models.DateTimeField(null=True, blank=True)
    computed_fen = models.BigIntegerField(default=0)
    amount_fen = models.BigIntegerField(default=0)
    reserve_hold_id = models.BigIntegerField(null=True, blank=True)
    reserved_at = models.DateTimeField(null=True, blank=True)
    fiscal_year = models.PositiveIntegerField()
    """The budget year the award is drawn from: the version's own until it is reserved."""
    note = models.CharField(max_length=300, blank=True)
    submitted_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    reviewed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    key = models.CharField(max_length=80)
    fingerprint = models.CharField(max_length=64)
    started_at = models.DateTimeField(null=True, blank=True)
    submitted_at = models.DateTimeField(null=True, blank=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "application"
        ordering = ["-pk"]
        constraints = [
            models.UniqueConstraint(name="application_key_once", fields=["organisation", "key"]),
            models.CheckConstraint(
                name="application_state_known", condition=Q(state__in=[s.value for s in rules.ApplicationState])
            ),
            models.CheckConstraint(
                name="application_amount_only_down",
                condition=Q(amount_fen__gte=0) & Q(amount_fen__lte=F("computed_fen")),
            ),
            models.CheckConstraint(
                name="application_submitted_unless_draft",
                condition=Q(submitted_at__isnull=False)
                | Q(state__in=[rules.ApplicationState.DRAFT.value, rules.ApplicationState.WITHDRAWN.value]),
            ),
            models.UniqueConstraint(
                name="application_place_once", fields=["version", "place"], condition=Q(place__isnull=False)
            ),
            models.CheckConstraint(
                name="application_four_eyes",
                condition=(Q(reviewed_by__isnull=True) | ~Q(reviewed_by=F("submitted_by")))
                & (
                    Q(approved_by__isnull=True) | (~Q(approved_by=F("submitted_by")) & ~Q(approved_by=F("reviewed_by")))
                ),
            ),
        ]
        indexes = [
            models.Index(fields=["organisation", "-id"], name="application_of_organisation"),
            models.Index(fields=["state", "id"], name="application_queue"),
            models.Index(fields=["state", "role", "due_at"], name="application_stage_queue"),
        ]

    def __str__(self) -> str:
        return self.number


class StageDecision(models.Model):
    """What one person did with a case at one stage of one turn. Never changed, never deleted.

    `amount_fen` is the amount passed on, `score` the expert's points of 100, `checks` the items ticked. `person` is empty
    where the machine itself decided (programmes of instant enjoyment).
    """

    class Action(models.TextChoices):
        PASS = ReviewAction.PASS.value, pgettext_lazy("stage", "通过")
        SCORE = ReviewAction.SCORE.value, _("评分")
        RETURN = ReviewAction.RETURN.value, _("退回补充")
        SEND_BACK = ReviewAction.SEND_BACK.value, _("退回上一环节")
        REFUSE = ReviewAction.REFUSE.value, _("不予通过")
        ADMIT = ReviewAction.ADMIT.value, _("受理申诉")
        DISMISS = ReviewAction.DISMISS.value, _("驳回申诉")

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="decisions")
    turn = models.PositiveSmallIntegerField()
    stage = models.PositiveSmallIntegerField()
    role = models.CharField(max_length=12)
    person = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    action = models.CharField(max_length=12, choices=Action)
    amount_fen = models.BigIntegerField(null=True, blank=True)
    score = models.PositiveSmallIntegerField(null=True, blank=True)
    checks = models.JSONField(default=list)
    note = models.CharField(max_length=300, blank=True)
    at = models.DateTimeField()

    class Meta:
        db_table = "application_stage_decision"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(name="stage_decision_once", fields=["application", "turn", "stage", "person"]),
            models.CheckConstraint(
                name="stage_decision_action_known", condition=Q(action__in=[a.value for a in ReviewAction])
            ),
            models.CheckConstraint(name="stage_decision_score", condition=Q(score__isnull=True) | Q(score__lte=100)),
        ]
        triggers = [pgtrigger.Protect(name="append_only", operation=pgtrigger.Update | pgtrigger.Delete)]

    def __str__(self) -> str:
        return f"{self.application} {self.stage} {self.action}"


class Assignment(models.Model):
    """Who was drawn for a stage of a case. `seed` and `eligible` let anybody draw again; see `drawing`.

    `released_at` ends it: the person recused, or another was put in their place, for `reason`.
    """

    application = models.ForeignKey(Application, on_delete=models.PROTECT, related_name="assignments")
    turn = models.PositiveSmallIntegerField()
    stage = models.PositiveSmallIntegerField()
    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    seed = models.CharField(max_length=120)
    eligible = ArrayField(models.BigIntegerField())
    at = models.DateTimeField()
    released_at = models.DateTimeField(null=True, blank=True)
    released_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "application_assignment"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                name="assignment_once",
                fields=["application", "turn", "stage", "person"],
                condition=Q(released_at__isnull=True),
            )
        ]
        indexes = [
            models.Index(fields=["person", "released_at"], name="assignment_of_person"),
        ]

    def __str__(self) -> str:
        return f"{self.application} {self.stage} → {self.person}"


class Recusal(models.Model):
    """A person keeps away from an organisation's cases, or from one case, and says why. Lifted, never deleted.

    `withdrawn_at` ends it: another of the department lifted it, for `withdrawn_reason`.
    """

    person = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    organisation = models.ForeignKey(
        "portal.Organisation", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    application = models.ForeignKey(
        Application, null=True, blank=True, on_delete=models.PROTECT, related_name="recusals"
    )
    reason = models.CharField(max_length=300)
    at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)
    withdrawn_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    withdrawn_reason = models.CharField(max_length=300, blank=True)

    class Meta:
        db_table = "application_recusal"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                name="recusal_from_one",
                condition=Q(organisation__isnull=True, application__isnull=False)
                | Q(organisation__isnull=False, application__isnull=True),
            ),
            models.UniqueConstraint(
                name="recusal_organisation_once",
                fields=["person", "organisation"],
                condition=Q(withdrawn_at__isnull=True),
            ),
            models.UniqueConstraint(
                name="recusal_application_once",
                fields=["person", "application"],
                condition=Q(withdrawn_at__isnull=True),
            ),
            models.CheckConstraint(
                name="recusal_lifted_by_another",
                condition=Q(withdrawn_by__isnull=True) | ~Q(withdrawn_by=F("person")),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.person} ∌ {self.organisation or self.application}"
