"""Take in files and secrets, give them to jobs, and forget them in time; the only writer of its tables."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from django.db import connection, transaction
from django.db.models import Count, Exists, OuterRef, Q, Sum

from portal.audit import services as audit
from portal.kernel import idempotency
from portal.kernel.actors import Actor, Permission
from portal.kernel.errors import Invalid, Reason, Refused, noop
from portal.kernel.states import next_state
from portal.numbers.services import next_number
from scheduler.jobfiles import access, keeping, rules
from scheduler.jobfiles.models import JobFile, JobSecret, JobUpload
from vouchers.evidence.rules import clean_name

__all__ = ["attach", "begin", "check", "discard", "erase_secret", "keep_secret", "receive", "sweep"]

_ = noop

FORGOTTEN = timedelta(days=7)
"""How long an upload nobody touches, and no job waits for, is kept."""
UNUSED = timedelta(days=1)
"""How long a secret no job took is kept."""
BLOBS_LOCK = 77
SYSTEM = Actor.system(_("清理作业文件"))


class BadChecksum(Invalid):
    code = "jobfile.bad_checksum"
    message = _("SHA-256 须为 64 位小写十六进制。")


class BadSecret(Invalid):
    code = "jobsecret.value"
    message = _("密钥内容须为 1 字节到 64 KB，名称须能用作文件名。")


def _record(*, action: str, subject: str, actor: Actor, organisation_id: int, now: datetime, **data: Any) -> None:
    audit.record(action=action, subject=subject, actor=actor, now=now, organisations=[organisation_id], data=data)


@transaction.atomic
def begin(*, actor: Actor, name: str, size: int, sha256: str, key: str, now: datetime) -> JobUpload:
    """Announce a file of `size` bytes; its pieces follow. An empty file is complete at once.

    `sha256` may be "": then nothing is compared. Idempotent on (organisation, `key`). Raises TooLarge, NoRoom, BadChecksum,
    KeyReused, Forbidden.
    """
    actor.require(Permission.JOB_SUBMIT)
    if not 0 <= size <= rules.MAX_BYTES:
        raise rules.TooLarge(field="size", limit_mb=rules.MAX_BYTES >> 20)
    if sha256 and not rules.SHA256.fullmatch(sha256):
        raise BadChecksum(field="sha256")
    print_ = idempotency.fingerprint({"name": name, "size": size, "sha256": sha256})
    _lock_organisation(actor.acting_for)
    if existing := JobUpload.objects.filter(organisation_id=actor.acting_for, key=key).first():
        idempotency.check_replay(stored=existing.fingerprint, asked=print_)
        return existing
    kept = access.uploads_visible_to(actor).aggregate(count=Count("pk"), total=Sum("size"))
    if kept["count"] >= rules.MAX_UPLOADS or (kept["total"] or 0) + size > rules.MAX_TOTAL_BYTES:
        raise rules.NoRoom(field="size", files=rules.MAX_UPLOADS, gb=rules.MAX_TOTAL_BYTES >> 30)
    upload = JobUpload.objects.create(
        number=next_number(prefix="F", now=now),
        organisation_id=actor.acting_for,
        uploaded_by_id=actor.user_id,
        key=key,
        fingerprint=print_,
        name=clean_name(name),
        size=size,
        expected=sha256,
        created_at=now,
        touched_at=now,
    )
    if size == 0:
        keeping.append(upload.number, offset=0, data=b"")
        if not _finish(upload, actor=actor, now=now):
            raise rules.ChecksumDiffers(field="sha256")
    return upload


def _lock_organisation(organisation_id: int) -> None:
    """Let one begin of an organisation count at a time (until commit)."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, %s)", [BLOBS_LOCK, organisation_id])


def receive(*, actor: Actor, upload: JobUpload, offset: int, data: bytes, now: datetime) -> JobUpload:
    """Take in the piece at `offset`; with the last one, compare the SHA-256. Sent again after a lost answer: WrongOffset.

    Raises WrongOffset, BadChunk, ChecksumDiffers (then it begins again from 0), Forbidden.
    """
    actor.require(Permission.JOB_SUBMIT)
    taken, is_right = _receive(actor=actor, upload_id=upload.pk, offset=offset, data=data, now=now)
    if not is_right:
        raise rules.ChecksumDiffers(field="sha256")
    return taken


@transaction.atomic
def _receive(*, actor: Actor, upload_id: int, offset: int, data: bytes, now: datetime) -> tuple[JobUpload, bool]:
    upload = JobUpload.objects.select_for_update(no_key=True).order_by("pk").get(pk=upload_id)
    if upload.state != JobUpload.State.RECEIVING or offset != upload.received:
        raise rules.WrongOffset(field="offset", offset=upload.received)
    if not 0 < len(data) <= rules.CHUNK_BYTES or offset + len(data) > upload.size:
        raise rules.BadChunk(field="chunk", limit_mb=rules.CHUNK_BYTES >> 20)
    keeping.append(upload.number, offset=offset, data=data)
    upload.received = offset + len(data)
    upload.touched_at = now
    if upload.received < upload.size:
        upload.save(update_fields=["received", "touched_at"])
        return upload, True
    return upload, _finish(upload, actor=actor, now=now)


def _finish(upload: JobUpload, *, actor: Actor, now: datetime) -> bool:
    """Name the bytes by their content; or begin again when they are not what was announced."""
    sha256 = keeping.digest(upload.number)
    if upload.expected not in ("", sha256):
        keeping.drop_part(upload.number)
        upload.received = 0
        upload.save()
        return False
    _lock_blobs()
    keeping.finish(upload.number, sha256)
    _move(upload, rules.UploadAction.FINISH)
    upload.sha256 = sha256
    upload.save()
    said = {"size": upload.size, "sha256": sha256}
    _record(
        action="jobfile.uploaded",
        subject=f"jobfile:{upload.number}",
        actor=actor,
        organisation_id=upload.organisation_id,
        now=now,
        **said,
    )
    return True


def _move(upload: JobUpload, action: rules.UploadAction) -> None:
    upload.state = next_state(rules.TRANSITIONS, rules.UploadState(upload.state), action).value


def _lock_blobs() -> None:
    """Keep two hands off the same bytes until commit: whoever names them and whoever removes them."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_xact_lock(%s, 0)", [BLOBS_LOCK])


def _wanted_by_jobs() -> Exists:
    return Exists(JobFile.objects.filter(upload=OuterRef("pk"), staged_at__isnull=True, job__settled_at__isnull=True))


def discard(*, actor: Actor, upload: JobUpload, now: datetime) -> None:
    """Forget a file and its bytes. Idempotent. Raises UploadInUse while a job still has to get it, Forbidden."""
    actor.require(Permission.JOB_SUBMIT)
    _discard(actor=actor, upload_id=upload.pk, now=now)
    _drop_unused(upload.number)


@transaction.atomic
def _discard(*, actor: Actor, upload_id: int, now: datetime) -> None:
    upload = JobUpload.objects.select_for_update(no_key=True).order_by("pk").get(pk=upload_id)
    if upload.state == JobUpload.State.DISCARDED:
        return
    if JobUpload.objects.filter(_wanted_by_jobs(), pk=upload_id).exists():
        raise rules.UploadInUse
    _move(upload, rules.UploadAction.DISCARD)
    upload.touched_at = now
    upload.save()
    _record(
        action="jobfile.discarded",
        subject=f"jobfile:{upload.number}",
        actor=actor,
        organisation_id=upload.organisation_id,
        now=now,
    )


@transaction.atomic
def _drop_unused(number: str) -> None:
    """Remove the bytes of a forgotten upload, unless another one has the same. The row is committed before."""
    _lock_blobs()
    upload = JobUpload.objects.get(number=number)
    if upload.state != JobUpload.State.DISCARDED:
        return
    keeping.drop_part(number)
    alive = JobUpload.objects.filter(sha256=upload.sha256, state=JobUpload.State.COMPLETE).exists()
    if upload.sha256 and not alive:
        keeping.drop(upload.sha256)


@transaction.atomic
def keep_secret(*, actor: Actor, name: str, value: str, now: datetime) -> JobSecret:
    """Keep a value for one job, encrypted; it can never be read back here. Raises BadSecret, NoRoom, Forbidden."""
    actor.require(Permission.JOB_SUBMIT)
    content = value.encode()
    shown = clean_name(name)
    if not 0 < len(content) <= rules.MAX_SECRET_BYTES or not rules.path_is_plain(shown):
        raise BadSecret(field="value" if rules.path_is_plain(shown) else "name")
    _lock_organisation(actor.acting_for)
    if access.secrets_visible_to(actor).count() >= rules.MAX_UPLOADS:
        raise rules.NoRoom(field="name", files=rules.MAX_UPLOADS, gb=rules.MAX_TOTAL_BYTES >> 30)
    secret = JobSecret.objects.create(
        number=next_number(prefix="K", now=now),
        organisation_id=actor.acting_for,
        kept_by_id=actor.user_id,
        name=shown,
        sealed=keeping.seal(content),
        size=len(content),
        created_at=now,
    )
    _record(
        action="jobsecret.kept",
        subject=f"jobsecret:{secret.number}",
        actor=actor,
        organisation_id=secret.organisation_id,
        now=now,
    )
    return secret


@transaction.atomic
def erase_secret(*, actor: Actor, secret: JobSecret, now: datetime) -> None:
    """Erase a secret's value for good. Idempotent. Raises UploadInUse while its job still has to get it."""
    locked = JobSecret.objects.select_for_update(no_key=True).order_by("pk").get(pk=secret.pk)
    if locked.erased_at is not None:
        return
    if JobFile.objects.filter(secret=locked, staged_at__isnull=True, job__settled_at__isnull=True).exists():
        raise rules.UploadInUse
    locked.sealed, locked.erased_at = b"", now
    locked.save(update_fields=["sealed", "erased_at"])
    _record(
        action="jobsecret.erased",
        subject=f"jobsecret:{locked.number}",
        actor=actor,
        organisation_id=locked.organisation_id,
        now=now,
    )


# ---- jobs


def check(*, actor: Actor, wanted: Sequence[rules.Attachment], takes_files: bool) -> list[Reason]:
    """Return every ground against giving a job these files. Two queries."""
    return rules.refusals(list(_things(actor, wanted)), takes_files=takes_files) if wanted else []


def _things(actor: Actor, wanted: Sequence[rules.Attachment]) -> list[rules.Thing]:
    numbers = [one.number for one in wanted]
    uploads = {row.number: row for row in access.uploads_visible_to(actor).filter(number__in=numbers)}
    secrets = {row.number: row for row in access.secrets_visible_to(actor).filter(number__in=numbers)}
    things = []
    for one in wanted:
        upload, secret = uploads.get(one.number), secrets.get(one.number)
        row = upload or secret
        ready = secret is not None or (upload is not None and upload.state == JobUpload.State.COMPLETE)
        twice = secret is not None and numbers.count(one.number) > 1
        things.append(
            rules.Thing(one.number, one.path or (row.name if row else ""), row.size if row else 0, ready and not twice)
        )
    return things


@transaction.atomic
def attach(*, actor: Actor, job_id: int, number: str, wanted: Sequence[rules.Attachment], now: datetime) -> None:
    """Give a job its files, in the transaction that submits it; `check` has found nothing against it.

    Rows are locked, so that nobody deletes a file meanwhile. Raises Refused when somebody just has.
    """
    if not wanted:
        return
    numbers = [one.number for one in wanted]
    own = {"organisation_id": actor.acting_for, "number__in": numbers}
    uploads = {row.number: row for row in JobUpload.objects.select_for_update(no_key=True).filter(**own).order_by("pk")}
    secrets = {row.number: row for row in JobSecret.objects.select_for_update(no_key=True).filter(**own).order_by("pk")}
    if reasons := check(actor=actor, wanted=wanted, takes_files=True):
        raise Refused(reasons)
    JobFile.objects.bulk_create(
        JobFile(
            job_id=job_id,
            path=thing.path,
            upload=uploads.get(thing.number),
            secret=secrets.get(thing.number),
        )
        for thing in _things(actor, wanted)
    )
    JobUpload.objects.filter(pk__in=[row.pk for row in uploads.values()]).update(touched_at=now)
    data = {"files": sorted(uploads), "secrets": sorted(secrets)}
    _record(
        action="job.files_attached",
        subject=f"job:{number}",
        actor=actor,
        organisation_id=actor.acting_for,
        now=now,
        **data,
    )


def sweep(*, now: datetime) -> int:
    """Erase secrets of ended jobs and those nobody used; forget files nobody touches. Return how many. Safe to repeat."""
    done = 0
    over = Q(use__job__settled_at__isnull=False) | Q(use__isnull=True, created_at__lt=now - UNUSED)
    for secret in JobSecret.objects.filter(over, erased_at__isnull=True).order_by("pk")[:500]:
        erase_secret(actor=SYSTEM, secret=secret, now=now)
        done += 1
    stale = JobUpload.objects.filter(~_wanted_by_jobs(), touched_at__lt=now - FORGOTTEN)
    for upload in stale.exclude(state=JobUpload.State.DISCARDED).order_by("pk")[:500]:
        _discard(actor=SYSTEM, upload_id=upload.pk, now=now)
        _drop_unused(upload.number)
        done += 1
    return done
