"""Tables of a lab's catalogue: what it shows beside an instrument."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from scheduler.catalogue import checklist, rules


class InstrumentFile(models.Model):
    """A picture or a document of an instrument, seen by whoever sees it; its bytes lie with the evidence, outside every
    web root.

    A picture has words for those who do not see it, and a small copy for lists; the first in `position` stands for the
    instrument. A calibration certificate holds until a day, inclusive.
    """

    class Purpose(models.TextChoices):
        PICTURE = rules.FilePurpose.PICTURE.value, _("图片")
        FEES = rules.FilePurpose.FEES.value, _("收费规定")
        SOP = rules.FilePurpose.SOP.value, _("操作规程")
        CALIBRATION = rules.FilePurpose.CALIBRATION.value, _("校准证书")

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="files")
    purpose = models.CharField(max_length=12, choices=Purpose)
    words = models.CharField(max_length=120)
    """What it shows or is, in words: a picture's alternative text, a document's title."""
    words_en = models.CharField(max_length=200, blank=True)
    position = models.PositiveSmallIntegerField(default=0)
    """Where it stands among the instrument's files of its purpose; equals stand in the order they came."""
    valid_until = models.DateField(null=True, blank=True)
    kept = models.OneToOneField("vouchers.EvidenceFile", on_delete=models.PROTECT, related_name="+")
    small = models.OneToOneField(
        "vouchers.EvidenceFile", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    """A picture's small copy, at most 320 pixels long."""
    created_at = models.DateTimeField()

    class Meta:
        db_table = "instrument_file"
        ordering = ["position", "pk"]
        constraints = [
            models.CheckConstraint(
                name="instrument_file_purpose_known", condition=Q(purpose__in=[p.value for p in rules.FilePurpose])
            ),
            models.CheckConstraint(
                name="instrument_file_calibration_ends",
                condition=Q(purpose=rules.FilePurpose.CALIBRATION.value, valid_until__isnull=False)
                | (~Q(purpose=rules.FilePurpose.CALIBRATION.value) & Q(valid_until__isnull=True)),
            ),
            models.CheckConstraint(
                name="instrument_file_picture_small",
                condition=Q(purpose=rules.FilePurpose.PICTURE.value, small__isnull=False)
                | (~Q(purpose=rules.FilePurpose.PICTURE.value) & Q(small__isnull=True)),
            ),
        ]
        indexes = [models.Index(fields=["resource", "purpose"], name="instrument_file_of")]

    def __str__(self) -> str:
        return self.words


class Admission(models.Model):
    """One proposal of an instrument to the platform: who proposed it, and what became of it. Open while `outcome` is empty."""

    class Outcome(models.TextChoices):
        ADMITTED = checklist.Outcome.ADMITTED.value, _("已通过")
        RETURNED = checklist.Outcome.RETURNED.value, _("已退回")
        RECALLED = checklist.Outcome.RECALLED.value, _("已撤回")

    resource = models.ForeignKey("scheduler.Resource", on_delete=models.PROTECT, related_name="admissions")
    proposed_by = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.PROTECT, related_name="+")
    proposed_at = models.DateTimeField()
    outcome = models.CharField(max_length=12, choices=Outcome, blank=True)
    decided_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    decided_at = models.DateTimeField(null=True, blank=True)
    note = models.TextField(max_length=1000, blank=True)
    """Why it was returned; of an admission what the officer noted."""

    class Meta:
        db_table = "admission"
        ordering = ["-proposed_at", "-pk"]
        constraints = [
            models.CheckConstraint(
                name="admission_decided",
                condition=Q(outcome="", decided_at__isnull=True)
                | Q(outcome__in=[o.value for o in checklist.Outcome], decided_at__isnull=False),
            ),
            models.UniqueConstraint(name="admission_open_once", fields=["resource"], condition=Q(outcome="")),
        ]

    def __str__(self) -> str:
        return f"{self.resource} {self.outcome}"
