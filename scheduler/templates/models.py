"""Tables of application templates: each published document stays as it was."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.templates import rules


class JobTemplate(models.Model):
    """One application of one organisation; `is_public`: every enterprise may use it, else only its owner's people."""

    code = models.SlugField(max_length=40, unique=True)
    owner = models.ForeignKey("portal.Organisation", on_delete=models.PROTECT, related_name="+")
    is_public = models.BooleanField(default=False)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "job_template"
        ordering = ["code"]

    def __str__(self) -> str:
        return self.code


class JobTemplateVersion(models.Model):
    """One document of a template. At most one version is published; earlier ones stay readable."""

    class State(models.TextChoices):
        DRAFT = rules.TemplateState.DRAFT.value, _("待发布")
        PUBLISHED = rules.TemplateState.PUBLISHED.value, _("已发布")
        WITHDRAWN = rules.TemplateState.WITHDRAWN.value, _("已停用")

    template = models.ForeignKey(JobTemplate, on_delete=models.PROTECT, related_name="versions")
    number = models.PositiveIntegerField()
    document = models.JSONField()
    state = models.CharField(max_length=12, choices=State, default=State.DRAFT)
    imported_by = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.PROTECT, related_name="+")
    imported_at = models.DateTimeField()
    published_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    published_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "job_template_version"
        ordering = ["template", "-number"]
        constraints = [
            models.UniqueConstraint(name="job_template_version_once", fields=["template", "number"]),
            models.UniqueConstraint(
                name="job_template_one_published", fields=["template"], condition=Q(state="published")
            ),
            models.CheckConstraint(
                name="job_template_version_state", condition=Q(state__in=[state.value for state in rules.TemplateState])
            ),
        ]

    def __str__(self) -> str:
        return f"{self.template_id} v{self.number}"
