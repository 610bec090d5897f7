"""Reach what a lab shows beside an instrument. Whoever asks has reached the instrument first."""

from __future__ import annotations

from collections.abc import Sequence

from django.db.models import QuerySet

from portal.kernel.errors import NotFound
from scheduler.catalogue.models import Admission, InstrumentFile
from scheduler.catalogue.rules import FilePurpose
from scheduler.resources.models import Resource
from vouchers.evidence.models import EvidenceFile

__all__ = ["admissions_of", "covers", "files_of", "get_file", "get_small"]


def files_of(resource: Resource) -> QuerySet[InstrumentFile]:
    """Return an instrument's files, in the lab's order; removed ones are left out."""
    return InstrumentFile.objects.filter(resource=resource, kept__withdrawn_at__isnull=True).select_related(
        "kept", "small"
    )


def covers(resource_ids: Sequence[int]) -> dict[int, InstrumentFile]:
    """Return the first picture of each instrument that has one, by instrument. One query, none for no instruments."""
    if not resource_ids:
        return {}
    found = InstrumentFile.objects.filter(
        resource_id__in=resource_ids, purpose=FilePurpose.PICTURE.value, kept__withdrawn_at__isnull=True
    )
    first = found.order_by("resource_id", "position", "pk").distinct("resource_id")
    return {file.resource_id: file for file in first}


def get_file(resource: Resource, file_id: int) -> InstrumentFile:
    """Return one file of an instrument. Raises NotFound."""
    found = files_of(resource).filter(pk=file_id).first()
    if found is None:
        raise NotFound
    return found


def get_small(resource: Resource, file_id: int) -> EvidenceFile:
    """Return the small copy of one picture of an instrument. Raises NotFound, of documents too."""
    small: EvidenceFile | None = get_file(resource, file_id).small
    if small is None:
        raise NotFound
    return small


def admissions_of(resource: Resource) -> QuerySet[Admission]:
    """Return an instrument's proposals, the latest first."""
    return Admission.objects.filter(resource=resource).select_related("proposed_by", "decided_by")
