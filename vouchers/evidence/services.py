"""Keep and read evidence; the only writer of its table and storage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.core.files.base import ContentFile
from django.core.files.storage import Storage, storages
from django.db import IntegrityError, transaction

from portal.audit import services as audit
from portal.kernel.actors import Actor
from portal.kernel.errors import Unavailable, noop
from vouchers.evidence import access, rules
from vouchers.evidence.models import EvidenceFile
from vouchers.evidence.rules import Upload

__all__ = ["Damaged", "Upload", "read", "store", "withdraw"]

_ = noop


class Damaged(Unavailable):
    """The stored bytes are missing or are not those that were uploaded."""

    code = "evidence.damaged"
    message = _("文件暂时无法读取，或与上传时不一致。请联系管理员。")


def _storage() -> Storage:
    return storages["evidence"]


def _path(sha256: str) -> str:
    """Return where a file lies: named by its digest alone, so that nothing a person typed becomes a path."""
    return f"{sha256[:2]}/{sha256}"


@transaction.atomic
def store(
    *,
    actor: Actor,
    subject: str,
    purpose: str,
    upload: Upload,
    now: datetime,
    kinds: Sequence[rules.Kind] = rules.KINDS,
) -> EvidenceFile:
    """Keep a file with a case, for a purpose. The same bytes for the same purpose are kept once: idempotent.

    The caller has checked that the actor may add to the case, and holds its lock where that matters. Raises BadFile with
    every ground, TooManyFiles. The bytes are written before the row: a row never points at nothing.
    """
    kind = rules.recognise(upload, kinds=kinds)
    sha256 = rules.digest(upload.content)
    present = access.files_of(subject)
    if existing := present.filter(purpose=purpose, sha256=sha256).first():
        return existing
    if present.count() >= rules.MAX_FILES:
        raise rules.TooManyFiles(field="file", limit=rules.MAX_FILES)
    if not _storage().exists(_path(sha256)):
        _storage().save(_path(sha256), ContentFile(upload.content))
    try:
        with transaction.atomic():
            kept = EvidenceFile.objects.create(
                subject=subject,
                purpose=purpose,
                name=rules.clean_name(upload.name),
                media_type=kind.media_type,
                size=len(upload.content),
                sha256=sha256,
                organisation_id=actor.organisation_id,
                uploaded_by_id=actor.user_id,
                uploaded_at=now,
            )
    except IntegrityError:
        return access.files_of(subject).get(purpose=purpose, sha256=sha256)
    _record(kept, action="evidence.stored", actor=actor, now=now)
    return kept


def _record(kept: EvidenceFile, *, action: str, actor: Actor, now: datetime) -> None:
    audit.record(
        action=action,
        subject=kept.subject,
        actor=actor,
        now=now,
        data={"file": kept.pk, "purpose": kept.purpose, "sha256": kept.sha256, "size": kept.size},
    )


@transaction.atomic
def withdraw(*, actor: Actor, file: EvidenceFile, now: datetime) -> EvidenceFile:
    """Take a mistaken file out of its case; it stays on record. Doing so twice changes nothing."""
    locked = EvidenceFile.objects.select_for_update(no_key=True).order_by("pk").get(pk=file.pk)
    if locked.withdrawn_at is None:
        locked.withdrawn_at = now
        locked.save(update_fields=["withdrawn_at"])
        _record(locked, action="evidence.withdrawn", actor=actor, now=now)
    return locked


def read(*, file: EvidenceFile) -> bytes:
    """Return the bytes as they were uploaded. Raises Damaged when they are gone or no longer the same."""
    try:
        with _storage().open(_path(file.sha256)) as stream:
            content: bytes = stream.read()
    except FileNotFoundError as error:
        raise Damaged from error
    if rules.digest(content) != file.sha256:
        raise Damaged
    return content
