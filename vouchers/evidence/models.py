"""The table of evidence files."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models import Q

from vouchers.evidence.rules import MAX_BYTES


class EvidenceFile(models.Model):
    """One file kept with one case. The bytes lie in the evidence storage under their SHA-256, outside every web root.

    `subject` names the case, such as ``application:A2026-000123``; `purpose` is the document asked for, such as ``invoice``
    or the programme's own words. A file is never changed or deleted; a mistaken one is withdrawn and stays on record.
    """

    subject = models.CharField(max_length=80)
    purpose = models.CharField(max_length=300)
    name = models.CharField(max_length=120)
    media_type = models.CharField(max_length=100)
    size = models.PositiveBigIntegerField()
    sha256 = models.CharField(max_length=64)
    organisation = models.ForeignKey(
        "portal.Organisation", null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    uploaded_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.PROTECT, related_name="+"
    )
    uploaded_at = models.DateTimeField()
    withdrawn_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "evidence_file"
        ordering = ["pk"]
        constraints = [
            models.UniqueConstraint(
                name="evidence_once",
                fields=["subject", "purpose", "sha256"],
                condition=Q(withdrawn_at__isnull=True),
            ),
            models.CheckConstraint(name="evidence_size", condition=Q(size__gt=0, size__lte=MAX_BYTES)),
        ]
        indexes = [models.Index(fields=["sha256"], name="evidence_digest")]

    def __str__(self) -> str:
        return self.name
