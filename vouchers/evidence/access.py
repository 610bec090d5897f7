"""Reach evidence by its case. Whoever asks has checked first that the actor may see the case itself."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from portal.kernel.errors import NotFound
from vouchers.evidence.models import EvidenceFile


def files_of(subject: str) -> QuerySet[EvidenceFile]:
    """Return the files kept with a case, in the order they came; withdrawn ones are left out."""
    return EvidenceFile.objects.filter(subject=subject, withdrawn_at__isnull=True).select_related("uploaded_by")


def files_of_all(subjects: Sequence[str]) -> QuerySet[EvidenceFile]:
    """Return the files kept with several cases, in the order they came; withdrawn ones are left out."""
    return EvidenceFile.objects.filter(subject__in=subjects, withdrawn_at__isnull=True).order_by("pk")


def get_file(subject: str, file_id: int) -> EvidenceFile:
    """Return one file of a case, withdrawn or not: what a decision rested on stays readable. Raises NotFound."""
    found = EvidenceFile.objects.filter(subject=subject, pk=file_id).first()
    if found is None:
        raise NotFound
    return found
