"""Keep pictures and documents beside an instrument; the only writer of its table."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.db import transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Refused
from portal.numbers.services import PORTAL_ZONE
from scheduler.catalogue import access, pictures, rules
from scheduler.catalogue.models import InstrumentFile
from scheduler.catalogue.rules import About, FilePurpose
from scheduler.resources import access as resources
from scheduler.resources.models import Resource
from vouchers.evidence import rules as evidence_rules
from vouchers.evidence import services as evidence

__all__ = ["add", "arrange", "describe", "remove"]


def _lock(actor: Actor, resource: Resource) -> None:
    resources.require_own(actor, resource)
    Resource.objects.select_for_update(no_key=True).order_by("pk").get(pk=resource.pk)


def _said(about: About) -> dict[str, object]:
    return {
        "words": about.words.strip(),
        "words_en": about.words_en.strip(),
        "valid_until": about.valid_until,
    }


@transaction.atomic
def add(*, actor: Actor, resource: Resource, about: About, upload: evidence.Upload, now: datetime) -> InstrumentFile:
    """Keep a file beside an instrument, after those of its purpose; the same bytes again only change the words.

    A picture is made anew: upright, at most 1,600 pixels, JPEG, without metadata, with a small copy. Raises BadPicture,
    BadFile, Refused with every ground, Forbidden.
    """
    _lock(actor, resource)
    if reasons := rules.file_refusals(about, today=now.astimezone(PORTAL_ZONE).date()):
        raise Refused(reasons)
    small: bytes | None = None
    if about.purpose is FilePurpose.PICTURE:
        stem = evidence_rules.clean_name(upload.name).rpartition(".")[0] or "picture"
        made = pictures.made_anew(upload.content)
        upload, small = evidence.Upload(f"{stem[:100]}.jpg", made.content), made.small
    present = access.files_of(resource).filter(purpose=about.purpose.value)
    known = present.filter(kept__sha256=evidence_rules.digest(upload.content)).first()
    if known is not None:
        return _rewrite(known, about)
    if reasons := rules.too_many(about.purpose, present=present.count()):
        raise Refused(reasons)
    kept = evidence.store(
        actor=actor, subject=f"instrument:{resource.number}", purpose=about.purpose.value, upload=upload, now=now
    )
    last = present.order_by("-position").values_list("position", flat=True).first()
    file = InstrumentFile(
        resource=resource,
        purpose=about.purpose.value,
        position=0 if last is None else last + 1,
        kept=kept,
        created_at=now,
        **_said(about),
    )
    if small is not None:
        file.small = evidence.store(
            actor=actor,
            subject=f"instrument:{resource.number}",
            purpose=f"small-{kept.pk}",
            upload=evidence.Upload(f"small-{kept.pk}.jpg", small),
            now=now,
        )
    file.save()
    return file


def _rewrite(file: InstrumentFile, about: About) -> InstrumentFile:
    for name, value in _said(about).items():
        setattr(file, name, value)
    file.save(update_fields=list(_said(about)))
    return file


@transaction.atomic
def describe(*, actor: Actor, resource: Resource, file_id: int, about: About, now: datetime) -> InstrumentFile:
    """Change a file's words and validity; its purpose stays. Raises NotFound, Refused with every ground, Forbidden."""
    _lock(actor, resource)
    file = access.get_file(resource, file_id)
    said = About(FilePurpose(file.purpose), about.words, about.words_en, about.valid_until)
    if reasons := rules.file_refusals(said, today=now.astimezone(PORTAL_ZONE).date()):
        raise Refused(reasons)
    audit.record(
        action="instrument.file_described",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={"file": file.pk},
    )
    return _rewrite(file, said)


@transaction.atomic
def arrange(
    *, actor: Actor, resource: Resource, purpose: FilePurpose, file_ids: Sequence[int], now: datetime
) -> list[InstrumentFile]:
    """Put the files of a purpose into this order: the first picture stands for the instrument in lists.

    Idempotent. Raises BadOrder unless `file_ids` names each of them once, Forbidden.
    """
    _lock(actor, resource)
    present = {file.pk: file for file in access.files_of(resource).filter(purpose=purpose.value)}
    if sorted(file_ids) != sorted(present):
        raise rules.BadOrder(field="files")
    ordered = [present[file_id] for file_id in file_ids]
    for position, file in enumerate(ordered):
        file.position = position
    InstrumentFile.objects.bulk_update(ordered, ["position"])
    audit.record(
        action="instrument.files_arranged",
        subject=f"instrument:{resource.number}",
        actor=actor,
        now=now,
        data={"files": list(file_ids)},
    )
    return ordered


@transaction.atomic
def remove(*, actor: Actor, resource: Resource, file_id: int, now: datetime) -> None:
    """Take a file off an instrument's page; it stays on record. Raises NotFound, Forbidden."""
    _lock(actor, resource)
    file = access.get_file(resource, file_id)
    evidence.withdraw(actor=actor, file=file.kept, now=now)
    if file.small is not None:
        evidence.withdraw(actor=actor, file=file.small, now=now)
