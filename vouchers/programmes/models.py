"""Tables of programmes: their rules as versioned data, and their budgets."""

from __future__ import annotations

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from vouchers.programmes.states import VersionState
from vouchers.programmes.terms import Level


class Programme(models.Model):
    """A support scheme of one department, known by its code for ever; its rules live in versions."""

    code = models.CharField(max_length=60, unique=True)
    department = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "programme"
        ordering = ["code"]

    def __str__(self) -> str:
        return self.code


class ProgrammeVersion(models.Model):
    """One version of a programme's rules. The document never changes once stored; a change is a new version."""

    class State(models.TextChoices):
        DRAFT = VersionState.DRAFT.value, _("草稿")
        PUBLISHED = VersionState.PUBLISHED.value, _("已发布")
        SUSPENDED = VersionState.SUSPENDED.value, _("已暂停")
        SUPERSEDED = VersionState.SUPERSEDED.value, _("已被新版取代")

    programme = models.ForeignKey(Programme, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    name = models.CharField(max_length=160)
    name_en = models.CharField(max_length=200, blank=True)
    document = models.JSONField()
    digest = models.CharField(max_length=64)
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    budget_fen = models.BigIntegerField()
    fiscal_year = models.PositiveIntegerField()
    imported_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    imported_at = models.DateTimeField()
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "programme_version"
        ordering = ["programme", "-number"]
        constraints = [
            models.UniqueConstraint(name="programme_version_once", fields=["programme", "number"]),
            models.UniqueConstraint(
                name="programme_one_in_force",
                fields=["programme"],
                condition=Q(state__in=["published", "suspended"]),
            ),
            models.CheckConstraint(
                name="programme_version_state_known", condition=Q(state__in=[s.value for s in VersionState])
            ),
            models.CheckConstraint(
                name="programme_published_by_second_person",
                condition=Q(published_by__isnull=True) | ~Q(published_by=F("imported_by")),
            ),
            models.CheckConstraint(name="programme_budget_not_negative", condition=Q(budget_fen__gte=0)),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.number}"


class CoLead(models.Model):
    """A further department that takes part in a version: found when it was published, by credit code or name.

    It acts at the stages of `level`, where there are any, for applicants of `regions`, empty = for all others.
    """

    version = models.ForeignKey(ProgrammeVersion, on_delete=models.PROTECT, related_name="co_leads")
    organisation = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    level = models.CharField(max_length=12, blank=True)
    regions = ArrayField(models.CharField(max_length=60), default=list)

    class Meta:
        db_table = "programme_co_lead"
        ordering = ["pk"]
        constraints = [
            models.CheckConstraint(
                name="co_lead_level_known", condition=Q(level__in=["", *(one.value for one in Level)])
            )
        ]

    def __str__(self) -> str:
        return str(self.organisation)


class FairReview(models.Model):
    """The fair-competition review of one version: who reviewed it, under which number, and what was said.

    `exposed` keeps the conditions that were exposed when it was recorded: path, condition and reason in both languages.
    """

    version = models.OneToOneField(ProgrammeVersion, on_delete=models.PROTECT, related_name="fair_review")
    reviewer = models.CharField(max_length=120)
    reviewed_on = models.DateField()
    document_number = models.CharField(max_length=120)
    opinion = models.TextField(max_length=4000)
    exposed = models.JSONField()
    recorded_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    recorded_at = models.DateTimeField()

    class Meta:
        db_table = "fair_review"


class Budget(models.Model):
    """The money of one programme in one fiscal year: its pool is a ledger account."""

    programme = models.ForeignKey(Programme, on_delete=models.PROTECT, related_name="budgets")
    fiscal_year = models.PositiveIntegerField()
    account_id = models.BigIntegerField(unique=True)

    class Meta:
        db_table = "budget"
        constraints = [models.UniqueConstraint(name="budget_once", fields=["programme", "fiscal_year"])]


class ProgrammeDraft(models.Model):
    """A programme being written in the editor: a document that may still be incomplete. Finishing it makes a version.

    `revision` goes up with every save: who saves on top of an older one is told, so that nobody overwrites another.
    """

    department = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    origin = models.ForeignKey(ProgrammeVersion, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    document = models.JSONField()
    code = models.CharField(max_length=60, blank=True)
    name = models.CharField(max_length=160, blank=True)
    name_en = models.CharField(max_length=200, blank=True)
    revision = models.PositiveIntegerField(default=1)
    started_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    edited_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    started_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "programme_draft"
        ordering = ["-updated_at", "-pk"]

    def __str__(self) -> str:
        return self.name or self.code or f"#{self.pk}"
